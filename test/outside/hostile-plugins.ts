// Plugins that do all they can to hurt, in every tier, while a second client measures how long its own small calls take: beside a
// plugin that does nothing, in alternating rounds; and before it how much of the gateway's own thread one hostile hook takes at a stretch,
// in processor time, which no load beside it changes (Node alone tells it). By hand, some three minutes for a runtime; only ratios within one run mean something:
//   DOCKGATE_TEST_DOCKER_HOST=unix://... node test/outside/hostile-plugins.ts [TIER]     deno run -A test/outside/hostile-plugins.ts
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tier } from '../../src/admission/hosts/host.ts';
import { loadPlugins } from '../../src/admission/load.ts';
import { silentLogger } from '../../src/log.ts';
import { type Api, apiOver } from '../support/api.ts';
import { ENGINE } from '../support/engine.ts';
import { startGateway } from '../support/gateway.ts';

const ROUND_MS = 1500;
const AT_ONCE = 4;

/** What a hook does, by the label of the container that is to be made. */
const WAYS: Readonly<Record<string, string>> = {
  nothing: 'return { kind: "deny", code: "no", message: "no" }',
  loop: 'for (;;);',
  'native stall': 'new Array(2e7).fill(0).map(String).sort(); return { kind: "pass" }',
  'big number': '(1n << 4000000n).toString(); return { kind: "pass" }',
  'memory bomb': 'const all = []; for (;;) all.push(new Array(1e5).fill(all.length))',
  'endless promise': 'return new Promise(() => {})',
  'loop of promises': 'return (async () => { for (;;) await 0; })()',
  pollution:
    'Object.prototype.kind = "pass"; Array.prototype.push = () => { throw 1; }; Promise.prototype.then = undefined; return {}',
  recursion: 'const f = (n) => f(n + 1) + 1; return f(0)',
  'answer of 100 MB': 'return { kind: "warn", message: "x".repeat(1e8) }',
  exit: 'globalThis.process.exit(1)',
  'leaked handles':
    'globalThis.kept ??= []; for (let i = 0; i < 2e4; i++) kept.push(context.engine.get("image.inspect", { name: "x" }).catch(() => 0)); return { kind: "x" }',
  'getter on the result': 'return { get kind() { for (;;); } }',
  proxy: 'return new Proxy({}, { get: () => { for (;;); }, ownKeys: () => { for (;;); } })',
  'async generator': 'return (async function* () { for (;;) yield 1; })()',
  'a thenable that never ends': 'return { then() { for (;;); } }',
  timers: 'for (let i = 0; i < 1e5; i++) setTimeout(() => { for (;;); }, 0); return { kind: "x" }',
  atomics: 'Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0); return { kind: "x" }',
  wasm: 'new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,102,0,0,10,9,1,7,0,3,64,12,0,11,11]))).exports.f()',
  regex: '/^(a+)+$/.test("a".repeat(40) + "!"); return { kind: "x" }',
  species: 'class L extends Array { static get [Symbol.species]() { for (;;); } } return new L(1).map((x) => x)',
  'toJSON of itself': 'const o = { toJSON: () => ({ o }) }; return o',
  'log flood': 'for (let i = 0; i < 1e6; i++) context.log("info", "x".repeat(2000)); return { kind: "x" }',
};

const plugin = (tier: string): string => `import { definePlugin } from 'dockgate/plugin';
const ways = {
${Object.entries(WAYS)
  .map(([name, code]) => `  ${JSON.stringify(name)}: (context) => { ${code}; },`)
  .join('\n')}
};
export default definePlugin({
  meta: { name: 'hostile-${tier}', version: '1.0.0', apiVersion: 1, description: 'does all it can' },
  match: { actions: ['container.create'] },
  validate: (request, context) => ways[request.body.Labels?.how]?.(context) ?? { kind: 'pass' },
});
`;

const at = (sorted: readonly number[], share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;

/** Latencies in ms of small calls, one after the other, while `busy` lasts. */
async function measure(api: Api, busy: Promise<unknown>): Promise<readonly number[]> {
  let isOver = false;
  void busy.finally(() => {
    isOver = true;
  });
  const times: number[] = [];
  while (!isOver) {
    const startedMs = performance.now();
    const { status } = await api('GET', '/v1.44/_ping');
    if (status !== 200) throw new Error(`the second client was answered ${status}`);
    times.push(performance.now() - startedMs);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return times.sort((a, b) => a - b);
}

async function play(tier: string): Promise<void> {
  const gateway = await startGateway({
    engine: ENGINE as string,
    unix: ['mallory', 'alice'].map((name) => ({ name, identity: name })),
  });
  try {
    const file = join(gateway.dir, `hostile-${tier}.ts`);
    writeFileSync(file, plugin(tier));
    for (const name of ['mallory', 'alice']) await gateway.must('identity', 'create', name, '--policy', 'operator');
    await gateway.must('plugin', 'add', file, '--tier', tier, '--config', gateway.configFile);
    await gateway.must('plugin', 'reload');
    const api = (name: string): Api => apiOver(join(gateway.dir, `${name}.sock`));
    const [mallory, alice] = [api('mallory'), api('alice')];
    const body = (how: string) => ({ Image: 'no-such:image', Labels: { how }, HostConfig: { NetworkMode: 'none' } });
    const round = async (how: string): Promise<{ times: readonly number[]; statuses: Set<string> }> => {
      const statuses = new Set<string>();
      const endMs = performance.now() + ROUND_MS;
      const one = async () => {
        while (performance.now() < endMs) {
          const { status, text } = await mallory('POST', '/v1.44/containers/create', { body: body(how) });
          statuses.add(`${status} ${/plugin-failed|did not|denied|failed|No such image/.exec(text)?.[0] ?? ''}`);
        }
      };
      const busy = Promise.all(Array.from({ length: AT_ONCE }, one));
      return { times: await measure(alice, busy), statuses };
    };
    console.log(
      `\n## ${tier}\n\nway | calm p50 | p99 | hostile p50 | p99 | max (ms) | answered\n--- | --- | --- | --- | --- | --- | ---`,
    );
    for (const how of Object.keys(WAYS)) {
      const calm = (await round('nothing')).times;
      const { times, statuses } = await round(how);
      const figures = [at(calm, 0.5), at(calm, 0.99), at(times, 0.5), at(times, 0.99), at(times, 1)];
      console.log([how, ...figures.map((ms) => ms.toFixed(1)), [...statuses].join(', ')].join(' | '));
      // Another caller's container of the same plugin is judged still, once it runs again.
      const endMs = performance.now() + 20_000;
      for (;;) {
        const { status, text } = await alice('POST', '/v1.44/containers/create', { body: body('none') });
        if (status === 404) break;
        if (performance.now() > endMs) throw new Error(`${how}: another caller is answered ${status} ${text}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  } finally {
    await gateway.remove();
  }
}

/** Processor time of this thread in ms; undefined where the runtime does not tell it. */
function threadMs(): number | undefined {
  const { threadCpuUsage } = process as { threadCpuUsage?: () => { user: number; system: number } };
  const used = threadCpuUsage?.call(process);
  return used === undefined ? undefined : (used.user + used.system) / 1000;
}

/** How long one hook keeps the gateway's thread from everything else: the longest turn of its event loop, and all of them. */
async function turns(tier: Tier): Promise<void> {
  console.log(
    `\n## ${tier}: the gateway's thread\n\nway | longest turn | in all (cpu ms) | answer\n--- | --- | --- | ---`,
  );
  const dir = mkdtempSync(join(tmpdir(), 'dg-hostile-'));
  const file = join(dir, 'hostile.ts');
  writeFileSync(file, plugin(tier));
  for (const how of Object.keys(WAYS)) {
    const [host] = await loadPlugins([{ use: file, tier, needs: ['*'] }], { baseDir: dir, log: silentLogger });
    const firstMs = threadMs() ?? 0;
    let [lastMs, longestMs] = [firstMs, 0];
    const timer = setInterval(() => {
      const nowMs = threadMs() ?? 0;
      longestMs = Math.max(longestMs, nowMs - lastMs);
      lastMs = nowMs;
    }, 0);
    const input = JSON.stringify({ body: { Labels: { how } }, query: {}, path: {}, resources: [] });
    const answer = await host?.ask('validate', input, 'mallory').then(
      ({ value }) => JSON.stringify(value),
      (error: Error) => error.message,
    );
    await new Promise((resolve) => setTimeout(resolve, 400));
    clearInterval(timer);
    console.log(
      [how, longestMs.toFixed(1), ((threadMs() ?? 0) - firstMs).toFixed(1), answer?.slice(0, 80)].join(' | '),
    );
    await host?.close();
  }
  rmSync(dir, { recursive: true, force: true });
}

const tiers: readonly Tier[] = ['sandboxed', 'process', 'trusted'];
if (threadMs() !== undefined) for (const tier of tiers) if ((process.argv[2] ?? tier) === tier) await turns(tier);
for (const tier of tiers) if ((process.argv[2] ?? tier) === tier) await play(tier);
process.exit(0);
