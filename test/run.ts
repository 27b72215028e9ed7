// The test command: finds or starts a real engine, then runs every suite in the runtime it was started in.
//   node test/run.ts [PATH...]      deno run -A test/run.ts [PATH...]
// Engine: DOCKGATE_TEST_DOCKER_HOST=unix://... or, as root with dockerd installed, a private one that ends with the run.
// DOCKGATE_TEST_LEFT=FILE (Node): what ran here in part, for want of an engine or a program, is listed there, for another run.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathWithEngine, startPrivateEngine } from './support/private-engine.ts';
import { IS_DENO, ROOT } from './support/runtime.ts';

/** Files that take longest, the longest first: they begin first, so that none is left alone at the end. */
const LONGEST: readonly string[] = [
  'test/corpus/shared-corpus.test.ts',
  'test/corpus/own-corpus.test.ts',
  'test/corpus/attacks.test.ts',
  'test/buildkit/attacks.test.ts',
  'test/buildkit/docker-build.test.ts',
  'test/package/image.test.ts',
  'test/audit/sinks.test.ts',
  'test/connect/docker.test.ts',
  'test/clients/docker-cli.test.ts',
  'test/clients/compose.test.ts',
  'test/clients/build.test.ts',
  'test/clients/libraries.test.ts',
  'test/clients/engines.test.ts',
  'test/e2e/docker-cli.test.ts',
  'test/e2e/tokens.test.ts',
  'test/e2e/bound-sockets.test.ts',
  'test/gateway/bad-input.test.ts',
  'test/faults/fair.test.ts',
  'test/faults/slow-reader.test.ts',
  'test/corpus/differential.test.ts',
  'test/doctor/doctor.test.ts',
  'test/fidelity/streams.test.ts',
  'test/fidelity/hijack.test.ts',
];

/** Files that never run at the same time: each of the first with each of the second. */
const APART: readonly (readonly [readonly string[], readonly string[]])[] = [
  // The first make a swarm of the engine for a moment, which the others, that ask for one, would see.
  [
    ['test/corpus/shared-corpus.test.ts', 'test/corpus/attacks.test.ts'],
    [
      'test/clients/docker-cli.test.ts',
      'test/clients/libraries.test.ts',
      'test/corpus/own-corpus.test.ts',
      'test/gateway/versions.test.ts',
    ],
  ],
  // One lock for both, as the corpus listens on a fixed port.
  [['test/corpus/shared-corpus.test.ts'], ['test/corpus/attacks.test.ts']],
];

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
const program = join(ROOT, 'node_modules', '.cache', `test-program-${process.pid}`);
if (!IS_DENO) {
  // Most files start gateways and commands of ours by the dozen: on Node the bundle, three times as fast as the sources.
  mkdirSync(join(program, 'bin'), { recursive: true });
  cpSync('bin/dockgate.js', join(program, 'bin', 'dockgate.js'));
  execFileSync(process.execPath, ['scripts/build.ts', join(program, 'dist')]);
  env.DOCKGATE_TEST_PROGRAM = join(program, 'bin', 'dockgate.js');
  // What is loaded again and again is compiled once.
  env.NODE_COMPILE_CACHE ??= join(program, 'compile-cache');
}

/** Files run at once: more than the processors, for much of a file's time goes by in the engine. */
const JOBS = Number(env.DOCKGATE_TEST_JOBS ?? Math.min(4, availableParallelism() + 1));
/** Longest one process may take before it is ended and counts as failed, in ms. */
const UNIT_TIMEOUT_MS = 300_000;
/** Files that Deno runs in one process, which starts more slowly than Node; the longest have one each. */
const DENO_BATCH = 6;
const rest = files.filter((path) => !LONGEST.includes(path));
const batch = IS_DENO ? DENO_BATCH : 1;
const units: string[][] = LONGEST.filter((path) => files.includes(path)).map((path) => [path]);
for (let i = 0; i < rest.length; i += batch) units.push(rest.slice(i, i + batch));

/** Files in which a test was skipped. */
const inPart = new Set<string>();
const children = new Set<ChildProcess>();
const took: { paths: readonly string[]; seconds: number }[] = [];
let isStopped = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    isStopped = true;
    for (const child of children) endAll(child, signal);
  });

/** Signals a file's process, and on Node all it started. */
function endAll(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (IS_DENO) child.kill(signal);
    else process.kill(-(child.pid as number), signal);
  } catch {
    // it is over
  }
}

/** Runs files in one process, and prints what it said once it ended, so that no two mix. */
async function passes(paths: readonly string[]): Promise<boolean> {
  const started = performance.now();
  const args = IS_DENO ? ['test', '-A', '--no-check', '--quiet', ...paths] : ['--test-timeout=120000', ...paths];
  // A group of its own on Node, so that what a file started ends with one that has to be ended.
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env, detached: !IS_DENO });
  children.add(child);
  const timer = setTimeout(() => endAll(child, 'SIGKILL'), UNIT_TIMEOUT_MS);
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => said.push(data));
  const code = await new Promise<number>((resolve) => child.once('close', (exit) => resolve(exit ?? 1)));
  clearTimeout(timer);
  if (code !== 0) endAll(child, 'SIGKILL');
  children.delete(child);
  const seconds = (performance.now() - started) / 1000;
  took.push({ paths, seconds });
  process.stdout.write(`\n== ${paths.join(' ')} (${seconds.toFixed(1)} s)${code === 0 ? '' : ' FAILED'}\n`);
  for (const data of said) process.stdout.write(data);
  // The mark of a skipped test.
  if (/^\s*\uFE63 /m.test(Buffer.concat(said).toString())) for (const path of paths) inPart.add(path);
  return code === 0;
}

/** Runs all, so many at once; returns those that failed. */
async function runAll(units: readonly (readonly string[])[], jobs: number): Promise<(readonly string[])[]> {
  const waiting = [...units];
  const running = new Set<string>();
  const failed: (readonly string[])[] = [];
  const mayRun = (paths: readonly string[]) =>
    !APART.some((pair) =>
      pair.some((set, i) => paths.some((p) => set.includes(p)) && pair[1 - i]?.some((p) => running.has(p))),
    );
  const work = async () => {
    while (waiting.length > 0 && !isStopped) {
      const next = waiting.findIndex(mayRun);
      // What must not run now is left to the worker that runs the other.
      if (next < 0) return;
      const [paths] = waiting.splice(next, 1) as [readonly string[]];
      for (const path of paths) running.add(path);
      if (!(await passes(paths))) failed.push(paths);
      for (const path of paths) running.delete(path);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return failed;
}

let failed = await runAll(units, JOBS);
if (failed.length > 0 && !isStopped && env.DOCKGATE_TEST_AGAIN === '1') {
  // Real engines and clients on a loaded machine now and then miss a deadline: once more, one at a time.
  const again = failed.flat().map((path) => [path]);
  console.log(`\n== FAILED ONCE, running again: ${again.flat().join(' ')}`);
  failed = await runAll(again, 1);
}
took.sort((a, b) => b.seconds - a.seconds);
console.log(`\n== the longest of ${files.length} files`);
for (const { paths, seconds } of took.slice(0, 12))
  console.log(`${seconds.toFixed(1).padStart(7)} s  ${paths.join(' ')}`);
if (failed.length > 0) console.log(`\n== FAILED: ${failed.flat().join(' ')}`);
if (env.DOCKGATE_TEST_LEFT !== undefined) {
  const left = files.filter((path) => inPart.has(path) || asksForEngine(path));
  writeFileSync(env.DOCKGATE_TEST_LEFT, `${left.join('\n')}\n`);
}
const code = isStopped || failed.length > 0 ? 1 : 0;
if (stopEngine !== undefined) await stopEngine();
rmSync(program, { recursive: true, force: true });
if (existsSync(scratch)) rmSync(scratch, { recursive: true, force: true });
process.exit(code);

/** Whether a test looks at engines by itself: it may have fewer rows where they are missing. Others skip by name what they cannot run. */
function asksForEngine(path: string): boolean {
  return /support\/(?:engine|host-rules|tenants)\.ts'|DOCKGATE_TEST_(?:DOCKER|PODMAN|CLI)/.test(
    readFileSync(path, 'utf8'),
  );
}
