// The test command: finds or starts a real engine, then runs every suite in the runtime it was started in.
//   node test/run.ts [PATH...]      deno run -A test/run.ts [PATH...]
// Engine: DOCKGATE_TEST_DOCKER_HOST=unix://... or, as root with dockerd installed, a private one that ends with the run.
import { spawn } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathWithEngine, startPrivateEngine } from './support/private-engine.ts';
import { IS_DENO, ROOT } from './support/runtime.ts';

process.chdir(ROOT);
const wanted = process.argv.slice(2);
const files = (wanted.length === 0 ? ['test'] : wanted)
  .flatMap((path) => (statSync(path).isDirectory() ? globSync(`${path}/**/*.test.ts`) : [path]))
  .map((path) => relative(ROOT, path))
  .sort();

const env: NodeJS.ProcessEnv = { ...process.env };
let stopEngine: (() => Promise<void>) | undefined;
const installed = pathWithEngine();
if (env.DOCKGATE_TEST_DOCKER_HOST !== undefined && env.DOCKGATE_TEST_DOCKER_HOST !== '') {
  console.log(`engine: ${env.DOCKGATE_TEST_DOCKER_HOST} (from DOCKGATE_TEST_DOCKER_HOST)`);
} else if ('path' in installed) {
  const engine = await startPrivateEngine(installed);
  env.DOCKGATE_TEST_DOCKER_HOST = `unix://${engine.socket}`;
  stopEngine = engine.stop;
  console.log(`engine: a private one at ${env.DOCKGATE_TEST_DOCKER_HOST}, stopped at the end`);
} else {
  console.log(
    `engine: NONE (${installed.why}). Tests that need a real Docker Engine are SKIPPED; set DOCKGATE_TEST_DOCKER_HOST=unix://...`,
  );
}

const scratch = mkdtempSync(join(tmpdir(), 'dg-test-'));
env.TMPDIR = scratch;
// Two files at once: Node's runner does so itself, Deno gets every other file in a process of its own, whose output comes last.
const shares = IS_DENO ? [files.filter((_, i) => i % 2 === 0), files.filter((_, i) => i % 2 === 1)] : [files];
const runs = shares
  .filter((share) => share.length > 0)
  .map((share, i) => {
    const args = IS_DENO
      ? ['test', '-A', '--no-check', '--quiet', ...share]
      : ['--test', '--test-timeout=120000', '--test-concurrency=2', ...share];
    const child = spawn(process.execPath, args, { stdio: i === 0 ? 'inherit' : ['ignore', 'pipe', 'pipe'], env });
    const kept: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data: Buffer) => kept.push(data));
    const ended = new Promise<number>((resolve) => child.once('close', (exit) => resolve(exit ?? 1)));
    return { child, kept, ended };
  });
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    for (const { child } of runs) child.kill(signal);
  });
let code = 0;
for (const { kept, ended } of runs) {
  code = Math.max(code, await ended);
  for (const data of kept) process.stdout.write(data);
}
if (stopEngine !== undefined) await stopEngine();
if (existsSync(scratch)) rmSync(scratch, { recursive: true, force: true });
process.exit(code);
