// node scripts/node.js bench/build.ts [MB] [ROUNDS] [RUNTIME...]: what a build whose context has that many MB takes straight and through dockgate, and the CPU of
// dockgate for it, in alternating runs: over a bound socket on Node and on Deno, and over HTTPS with a client certificate on Node.
// Needs DOCKGATE_TEST_DOCKER_HOST and the docker CLI with buildx (DOCKGATE_TEST_DOCKER_CLI, DOCKGATE_TEST_CLI_PLUGINS).
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callerOverAll, clientEnv } from '../test/clients/channels.ts';
import { ENGINE } from '../test/support/engine.ts';
import { docker, startGateway, type TestGateway } from '../test/support/gateway.ts';
import { ROOT } from '../test/support/runtime.ts';

const MB = Number(process.argv[2] ?? 200);
const ROUNDS = Number(process.argv[3] ?? 5);
const RUNTIMES = process.argv.slice(4);
const TICKS_A_SECOND = 100;
const COMMANDS = {
  node: [
    process.execPath,
    [...(process.env.BENCH_NODE_OPTIONS ?? '').split(' ').filter(Boolean), `${ROOT}bin/dockgate.js`],
  ],
  deno: [`${ROOT}node_modules/deno/deno`, ['run', '-A', '--no-check', `${ROOT}src/cli/main.ts`]],
} as const;

interface Way {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly pid: number | undefined;
  readonly folder: string;
  readonly seconds: number[];
  readonly cpu: number[];
}

/** User and system time of a process so far, in seconds. */
function cpuOf(pid: number | undefined): number {
  if (pid === undefined) return 0;
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

function contextIn(dir: string, name: string): string {
  const folder = join(dir, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), `FROM scratch\nCOPY big /big\n`);
  const block = Buffer.alloc(1_000_000, name);
  writeFileSync(join(folder, 'big'), '');
  for (let i = 0; i < MB; i++) {
    block.writeUInt32BE(i);
    writeFileSync(join(folder, 'big'), block, { flag: 'a' });
  }
  return folder;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
const least = (values: readonly number[]): number => Math.min(...values);

const dir = mkdtempSync(join(tmpdir(), 'dg-bench-build-'));
const gateways: TestGateway[] = [];
const stops: (() => Promise<unknown>)[] = [];
const ways: Way[] = [];
const add = (name: string, env: NodeJS.ProcessEnv, pid?: number) =>
  ways.push({ name, env, pid, folder: contextIn(dir, name.replaceAll(' ', '-')), seconds: [], cpu: [] });

try {
  for (const runtime of ['node', 'deno'] as const) {
    if (RUNTIMES.length > 0 && !RUNTIMES.includes(runtime)) continue;
    const gateway = await startGateway({
      engine: ENGINE as string,
      command: COMMANDS[runtime],
      unix: [{ name: 'base', identity: 'base' }],
    });
    gateways.push(gateway);
    await gateway.must('identity', 'create', 'base', '--policy', 'baseline');
    const base = await callerOverAll(gateway, 'base');
    stops.push(() => base.stop());
    const unix = clientEnv(gateway, 'unix', base);
    if (ways.length === 0) add('direct', { ...unix, DOCKER_HOST: process.env.DOCKGATE_TEST_DOCKER_HOST });
    add(`${runtime} socket`, unix, gateway.process.pid);
    if (runtime === 'node') add('node https', clientEnv(gateway, 'mtls', base), gateway.process.pid);
  }
  for (let round = 0; round <= ROUNDS; round++) {
    for (const way of ways) {
      const now = new Date();
      utimesSync(join(way.folder, 'big'), now, now);
      const before = cpuOf(way.pid);
      const started = performance.now();
      const ran = await docker(way.env, ['build', '--no-cache', '--output', 'type=cacheonly', way.folder]);
      const seconds = (performance.now() - started) / 1000;
      if (ran.code !== 0) throw new Error(`${way.name}: ${ran.stderr}`);
      // The first of each is to warm up.
      if (round === 0) continue;
      way.seconds.push(seconds);
      way.cpu.push(cpuOf(way.pid) - before);
    }
  }
  console.log(`a context of ${MB} MB, ${ROUNDS} alternating rounds: seconds of the build, CPU seconds of dockgate`);
  for (const { name, seconds, cpu } of ways) {
    const figures = (values: readonly number[]) => `${median(values).toFixed(2)} (least ${least(values).toFixed(2)})`;
    console.log(`  ${name.padEnd(12)} ${figures(seconds)}   ${figures(cpu)}`);
  }
} finally {
  for (const stop of stops) await stop();
  for (const gateway of gateways) await gateway.remove();
  rmSync(dir, { recursive: true, force: true });
}
