// The test command: finds or starts a real engine, then runs every suite in the runtime it was started in.
//   node test/run.ts [PATH...]      deno run -A test/run.ts [PATH...]
// Engine: DOCKGATE_TEST_DOCKER_HOST=unix://... or, as root with dockerd installed, a private one that ends with the run.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { startPrivateEngine } from './support/private-engine.ts';
import { IS_DENO, ROOT } from './support/runtime.ts';

process.chdir(ROOT);
const wanted = process.argv.slice(2);
const files = (wanted.length === 0 ? ['test'] : wanted)
  .flatMap((path) => (statSync(path).isDirectory() ? globSync(`${path}/**/*.test.ts`) : [path]))
  .map((path) => relative(ROOT, path))
  .sort();

const env: NodeJS.ProcessEnv = { ...process.env };
let stopEngine: (() => Promise<void>) | undefined;
if (env.DOCKGATE_TEST_DOCKER_HOST !== undefined && env.DOCKGATE_TEST_DOCKER_HOST !== '') {
  console.log(`engine: ${env.DOCKGATE_TEST_DOCKER_HOST} (from DOCKGATE_TEST_DOCKER_HOST)`);
} else if (process.getuid?.() === 0 && spawnSync('sh', ['-c', 'command -v dockerd']).status === 0) {
  const engine = await startPrivateEngine();
  env.DOCKGATE_TEST_DOCKER_HOST = `unix://${engine.socket}`;
  stopEngine = engine.stop;
  console.log(`engine: a private one at ${env.DOCKGATE_TEST_DOCKER_HOST}, stopped at the end`);
} else {
  console.log(
    'engine: NONE. Tests that need a real Docker Engine are SKIPPED; set DOCKGATE_TEST_DOCKER_HOST=unix://...',
  );
}

const scratch = mkdtempSync(join(tmpdir(), 'dg-test-'));
env.TMPDIR = scratch;
const args = IS_DENO
  ? ['test', '-A', '--no-check', '--quiet', ...files]
  : ['--test', '--test-timeout=120000', '--test-concurrency=2', ...files];
const child = spawn(process.execPath, args, { stdio: 'inherit', env });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
const code = await new Promise<number>((resolve) => child.once('exit', (exit) => resolve(exit ?? 1)));
if (stopEngine !== undefined) await stopEngine();
if (existsSync(scratch)) rmSync(scratch, { recursive: true, force: true });
process.exit(code);
