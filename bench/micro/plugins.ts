// Cost of plugins, in microseconds of processor time a call: of one hook that is asked in each tier, of plugins that do not match, of
// twenty at once and of two. Rounds alternate, the figure is the least of a case's rounds beside the same calls without any plugin.
// The time of a process of its own (tier process) is not the gateway's and not in it; what its round trip takes is.
// Run: node bench/micro/plugins.ts
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPluginChain, type PluginChain } from '../../src/admission/chain.ts';
import type { Tier } from '../../src/admission/hosts/host.ts';
import { loadPlugins, type PluginSetting } from '../../src/admission/load.ts';
import { toCall } from '../../src/engine/call.ts';
import { classify } from '../../src/engine/classify.ts';
import { decodeBody } from '../../src/engine/decode.ts';
import { silentLogger } from '../../src/log.ts';

const CALLS = 100;
const ROUNDS = 5;

const dir = mkdtempSync(join(tmpdir(), 'dg-bench-'));
const file = join(dir, 'owner.ts');
writeFileSync(
  file,
  `import { definePlugin } from 'dockgate/plugin';
export default definePlugin({
  meta: { name: 'owner', version: '1.0.0', apiVersion: 1, description: 'a rule of the usual size' },
  match: { actions: ['container.create'] },
  validate: ({ body }) => (body.Labels?.owner ? { kind: 'pass' } : { kind: 'deny', code: 'owner', message: 'no owner' }),
});
`,
);
const body = {
  ...{
    Image: 'busybox',
    Cmd: ['sleep', '1'],
    Labels: { owner: 'red' },
    Env: Array.from({ length: 40 }, (_, i) => `V${i}=${'x'.repeat(30)}`),
  },
  HostConfig: { Memory: 1 << 26, NetworkMode: 'none', Binds: ['data:/data'] },
};
const create = classify('POST', '/v1.44/containers/create?name=web');
const matched = toCall(create, decodeBody(create, ['application/json'], Buffer.from(JSON.stringify(body))));
const unmatched = toCall(classify('GET', '/v1.44/containers/json'), undefined);
const context = {
  auditId: '00000000-0000-7000-8000-000000000000',
  principal: { subject: 'bench', issuer: 'bench', groups: [], policies: [], channel: 'bearer', claims: {} } as const,
  source: '127.0.0.1',
  at: Date.now(),
};

const settings = (count: number, tier: Tier): PluginSetting[] =>
  Array.from({ length: count }, (_, i) => ({ use: file, name: `owner-${i}`, tier }));
const chainOf = async (all: readonly PluginSetting[]): Promise<PluginChain> =>
  createPluginChain(
    await loadPlugins(all, { baseDir: dir, log: silentLogger, times: { cpuMs: 50, wallMs: 5000 } }),
    silentLogger,
  );

const CASES: readonly [name: string, plugins: readonly PluginSetting[], call: typeof matched][] = [
  ['no plugin', [], matched],
  ['one that does not match', settings(1, 'sandboxed'), unmatched],
  ['20 that do not match', settings(20, 'sandboxed'), unmatched],
  ['one sandboxed', settings(1, 'sandboxed'), matched],
  ['two sandboxed', settings(2, 'sandboxed'), matched],
  ['20 sandboxed', settings(20, 'sandboxed'), matched],
  ['one of tier process', settings(1, 'process'), matched],
  ['one trusted, in a process', settings(1, 'trusted'), matched],
  ['one trusted, shipped', [{ use: 'no-privileged' }], matched],
];

async function round(chain: PluginChain, call: typeof matched): Promise<{ cpuUs: number; wallUs: number }> {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  for (let i = 0; i < CALLS; i++) if (chain.concerns(call.action)) await chain.validate(call, context);
  const { user, system } = process.cpuUsage(cpu);
  return { cpuUs: (user + system) / CALLS, wallUs: ((performance.now() - startedMs) * 1000) / CALLS };
}

const open = await Promise.all(
  CASES.map(async ([name, plugins, call]) => ({ name, call, chain: await chainOf(plugins) })),
);
const least = new Map<string, { cpuUs: number; wallUs: number }>();
for (let i = 0; i <= ROUNDS; i++) {
  for (const { name, call, chain } of open) {
    const { cpuUs, wallUs } = await round(chain, call);
    // The first round warms up.
    if (i === 0) continue;
    const known = least.get(name) ?? { cpuUs, wallUs };
    least.set(name, { cpuUs: Math.min(known.cpuUs, cpuUs), wallUs: Math.min(known.wallUs, wallUs) });
  }
}
console.log('case | cpu us/call | wall us/call\n--- | --- | ---');
for (const [name, { cpuUs, wallUs }] of least) console.log([name, cpuUs.toFixed(2), wallUs.toFixed(2)].join(' | '));
await Promise.all(open.map(({ chain }) => chain.close()));
rmSync(dir, { recursive: true, force: true });
process.exit(0);
