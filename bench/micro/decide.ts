// Cost of one decision, in microseconds at the median, with 200 documents in force and for the commonest calls.
// Run: node bench/micro/decide.ts
import { toCall } from '../../src/engine/call.ts';
import { classify } from '../../src/engine/classify.ts';
import { decodeBody } from '../../src/engine/decode.ts';
import { compilePolicies } from '../../src/policy/compile.ts';
import { decide } from '../../src/policy/evaluate.ts';
import type { Principal } from '../../src/policy/types.ts';

const DOCUMENTS = 200;
const BATCH = 1000;
const BATCHES = 60;
/** What PERF asks of a decision, in microseconds. */
const TARGET_US = 5;

const documents = Array.from({ length: DOCUMENTS }, (_, i) => ({
  kind: 'Policy',
  name: `team-${i}`,
  source: `apiVersion: dockgate/v1
kind: Policy
metadata: { name: team-${i} }
subjects: [{ group: team-${i} }]
rules:
  - { name: meta, effect: allow, actions: [system.ping, system.version, system.info] }
  - name: run
    effect: allow
    actions: [container.create]
    resources: ["container/\${principal.tenant}-*", "image/docker.io/library/*", "volume/\${principal.tenant}-*"]
    host: { preset: baseline }
    set: { labels: { owner: "\${principal.subject}" } }
  - { name: own, effect: allow, actions: [container.start, container.stop, container.inspect], labels: { owner: "\${principal.subject}" } }
  - { name: list, effect: allow, actions: ["*.list"] }
  - { name: never, effect: deny, actions: ["*.prune", "swarm.*", "plugin.*"] }
  - { name: guard, effect: deny, actions: ["container.*"], resources: ["container/prod-*"] }
`,
}));
const principal: Principal = {
  subject: 'alice',
  issuer: 'https://issuer.test',
  tenant: 'red',
  groups: ['team-7', 'team-8'],
  policies: ['baseline'],
  channel: 'bearer',
  claims: {},
};

const callOf = (line: string, body?: unknown) => {
  const [method = '', target = ''] = line.split(' ');
  const at = classify(method, target);
  const bytes = new TextEncoder().encode(body === undefined ? '' : JSON.stringify(body));
  return toCall(at, decodeBody(at, body === undefined ? [] : ['application/json'], bytes));
};
const create = {
  Image: 'busybox:test',
  Cmd: ['sleep', '60'],
  Env: Array.from({ length: 30 }, (_, i) => `NAME_${i}=value-${i}`),
  HostConfig: {
    NetworkMode: 'none',
    Binds: ['red-data:/data'],
    Memory: 536870912,
    CapDrop: ['ALL'],
    RestartPolicy: { Name: 'no' },
  },
};
const stop = callOf('POST /containers/red-1/stop');
const cases = {
  list: callOf('GET /containers/json'),
  create: callOf('POST /containers/create?name=red-1', create),
  'stop by labels': {
    ...stop,
    resources: stop.resources.map((ref) => ({
      ...ref,
      id: 'f'.repeat(64),
      resolvedName: 'red-1',
      labels: { owner: 'alice' },
    })),
  },
  'create, denied': callOf('POST /containers/create?name=red-1', { ...create, HostConfig: { Privileged: true } }),
  'prune, denied': callOf('POST /containers/prune'),
};

const compileStart = performance.now();
const set = compilePolicies(documents, 1);
const compileMs = performance.now() - compileStart;
const bindStart = performance.now();
const policies = set.forPrincipal(principal);
const bindUs = (performance.now() - bindStart) * 1000;
console.log(
  `${DOCUMENTS} documents compiled in ${compileMs.toFixed(0)} ms, bound to a caller in ${bindUs.toFixed(0)} us`,
);

let slow = false;
for (const [name, call] of Object.entries(cases)) {
  const input = { principal, call, source: '192.0.2.1', at: 1_767_614_400_000 };
  const times: number[] = [];
  let effect = '';
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const start = performance.now();
    for (let i = 0; i < BATCH; i += 1) effect = decide(policies, input).effect;
    times.push(((performance.now() - start) * 1000) / BATCH);
  }
  times.sort((a, b) => a - b);
  const median = times[BATCHES >> 1] as number;
  slow ||= median > TARGET_US && effect === 'allow';
  console.log(
    `${name.padEnd(16)} ${effect.padEnd(5)} ${median.toFixed(2)} us at the median (best ${(times[0] as number).toFixed(2)})`,
  );
}
console.log(slow ? `slower than ${TARGET_US} us` : `within ${TARGET_US} us`);
