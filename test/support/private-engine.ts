// A private Docker Engine for one test run, where dockerd is installed and the caller is root: own state, own socket,
// no bridge and no packet filter rules unless asked for, and the image busybox:test made from the machine's static busybox.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** The suites know what engines from this major version on answer; older ones have suites of their own (test/corpus, test/clients). */
const OLDEST_ENGINE = 25;

/** PATH with a dockerd: of the folder the docker CLI of the tests is in, or the machine's; or why no private engine can be had. */
export function pathWithEngine(): { readonly path: string } | { readonly why: string } {
  if (process.getuid?.() !== 0) return { why: 'a private engine needs root' };
  const cli = process.env.DOCKGATE_TEST_DOCKER_CLI;
  const beside = cli === undefined ? [] : [dirname(cli), join(dirname(cli), '..', 'sbin')];
  const path = [...beside, process.env.PATH ?? ''].join(':');
  const told = spawnSync('dockerd', ['--version'], { encoding: 'utf8', env: { ...process.env, PATH: path } }).stdout;
  const version = Number(/version (\d+)\./.exec(told ?? '')?.[1] ?? 0);
  if (version >= OLDEST_ENGINE) return { path };
  return { why: version > 0 ? `dockerd ${version} is older than ${OLDEST_ENGINE}` : 'no dockerd here' };
}

export interface PrivateEngineOptions {
  /** Default: the environment's. */
  readonly path?: string;
  /** In a network name space of its own, with nothing but a loopback: for a swarm, which makes bridges and listens. */
  readonly isAlone?: boolean;
  /** In such a name space, with a bridge, packet filter rules and published ports, which are reached within it. */
  readonly hasBridge?: boolean;
  /** Further arguments of dockerd, as for a second listener. */
  readonly args?: readonly string[];
}

export interface PrivateEngine {
  readonly socket: string;
  /** Command words that run a program in the engine's network name space: `nsenter -t 123 -n`. */
  readonly within: readonly string[];
  stop(): Promise<void>;
}

/** Starts dockerd and waits for it. @throws when it does not answer within 30 s or there is no static busybox */
export async function startPrivateEngine({
  path = process.env.PATH ?? '',
  hasBridge = false,
  isAlone = hasBridge,
  args = [],
}: PrivateEngineOptions = {}): Promise<PrivateEngine> {
  const dir = mkdtempSync(join(tmpdir(), 'dg-engine-'));
  const socket = join(dir, 'docker.sock');
  const log = openSync(join(dir, 'log'), 'w');
  const alone = ['--net', 'sh', '-c', 'busybox ip link set lo up; exec dockerd "$@"', 'dockerd'];
  const daemon = spawn(
    isAlone ? 'unshare' : 'dockerd',
    [
      ...(isAlone ? alone : []),
      '--data-root',
      join(dir, 'data'),
      '--exec-root',
      join(dir, 'exec'),
      '--pidfile',
      join(dir, 'pid'),
    ].concat([
      '-H',
      `unix://${socket}`,
      ...(hasBridge ? [] : ['--iptables=false', '--bridge=none']),
      '--ip6tables=false',
      '--storage-driver=overlay2',
      ...args,
    ]),
    { stdio: ['ignore', log, log], env: { ...process.env, PATH: path } },
  );
  const exited = new Promise<void>((resolve) => daemon.once('exit', () => resolve()));
  const stop = async () => {
    daemon.kill('SIGTERM');
    await exited;
    try {
      execFileSync('umount', ['-R', join(dir, 'data')], { stdio: 'ignore' });
    } catch {
      // nothing was mounted there
    }
    // A container on the host's network, and a swarm, leave these mounted.
    const spaces = join(dir, 'exec', 'netns');
    for (const space of existsSync(spaces) ? readdirSync(spaces) : [])
      spawnSync('umount', [join(spaces, space)], { stdio: 'ignore' });
    rmSync(dir, { recursive: true, force: true });
  };
  for (let i = 0; i < 120; i++) {
    if (await answers(socket)) {
      importBusybox(dir, socket);
      return { socket, within: ['nsenter', '-t', String(daemon.pid), '-n'], stop };
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  const tail = readFileSync(join(dir, 'log'), 'utf8').split('\n').slice(-10).join('\n');
  await stop();
  throw new Error(`dockerd did not answer; the end of its log:\n${tail}`);
}

const answers = (socketPath: string): Promise<boolean> =>
  new Promise((resolve) => {
    const request = http.get({ socketPath, path: '/_ping', timeout: 1000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    request.on('error', () => resolve(false));
  });

function importBusybox(dir: string, socket: string): void {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find(existsSync);
  if (busybox === undefined)
    throw new Error('the tests need a static busybox (package busybox-static) to make an image from');
  const root = join(dir, 'root');
  for (const folder of ['bin', 'tmp', 'etc']) mkdirSync(join(root, folder), { recursive: true });
  copyFileSync(busybox, join(root, 'bin', 'busybox'));
  writeFileSync(join(root, 'etc', 'passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  writeFileSync(join(root, 'etc', 'group'), 'root:x:0:\n');
  for (const applet of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean)) {
    if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
  }
  const tar = execFileSync('tar', ['-C', root, '-c', '.'], { maxBuffer: 64 * 1024 * 1024 });
  execFileSync(
    'curl',
    [
      '-fsS',
      '--unix-socket',
      socket,
      '-X',
      'POST',
      '-H',
      'Content-Type: application/x-tar',
      '--data-binary',
      '@-',
    ].concat([
      'http://docker/images/create?fromSrc=-&repo=busybox&tag=test&changes=CMD%20%5B%22sh%22%5D&changes=ENV%20PATH%3D%2Fbin',
    ]),
    { input: tar },
  );
}
