// Many rules of one principal are judged by an index. It must never change an answer: whatever the rules and the call, the
// decision with it is the decision without it, reasons and their order included.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { EngineCall } from '../../src/engine/types.ts';
import { decide } from '../../src/policy/evaluate.ts';
import { judgeRule } from '../../src/policy/judge-rule.ts';
import { callOf, NOW, policyOf, principal, setOf } from './support.ts';

const NAMES = ['a', 'ab', 'abc', 'web', 'web-1', 'prod', 'prod-db', 'red-web'];
const ID = 'a'.repeat(64);
const IMAGES = ['docker.io/library/app', 'docker.io/library/app:1', 'docker.io/red/web:2', 'registry.test:5000/abc/x'];
const name = fc.oneof(
  fc.constantFrom(...NAMES),
  fc.constantFrom(...NAMES).map((n) => `${n}*`),
  fc.constantFrom(...NAMES).map((n) => `*${n}`),
  fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...NAMES)).map(([a, b]) => `${a}*${b}`),
  fc.constantFrom('*', ID, `$\{principal.subject}*`),
);
const image = fc.oneof(
  fc.constantFrom(...IMAGES, `${IMAGES[0]}@sha256:${ID}`),
  fc.constantFrom(...IMAGES).map((n) => `${n}*`),
  fc.constantFrom('*', 'docker.io/*', '*/app', 'docker.io/*/web:2', '*:1'),
);
const resource = fc.oneof(
  { weight: 6, arbitrary: name.map((n) => `container/${n}`) },
  { weight: 3, arbitrary: image.map((n) => `image/${n}`) },
  { weight: 2, arbitrary: name.map((n) => `volume/${n}`) },
  { weight: 1, arbitrary: name.map((n) => `network/${n}`) },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.constant('*'),
      name.map((n) => `*/${n}`),
    ),
  },
);
const ACTIONS = [
  'container.inspect',
  'container.create',
  'container.list',
  'container.prune',
  'container.exec.*',
  'image.*',
  'volume.*',
  '*',
];
const rule = fc
  .record({
    effect: fc.oneof({ weight: 20, arbitrary: fc.constant('allow') }, { weight: 1, arbitrary: fc.constant('deny') }),
    actions: fc.uniqueArray(fc.constantFrom(...ACTIONS), { minLength: 1, maxLength: 4 }),
    resources: fc.option(fc.array(resource, { minLength: 1, maxLength: 3 }), { nil: undefined, freq: 12 }),
    labels: fc.option(fc.constantFrom({ team: 'red' }, { team: 'blue' }), { nil: undefined, freq: 5 }),
    source: fc.option(fc.constantFrom(['192.0.2.0/24'], ['10.0.0.0/8']), { nil: undefined }),
    set: fc.option(fc.constantFrom({ labels: { owner: 'x' } }, { labels: { owner: 'y' } }), { nil: undefined }),
  })
  .map(({ set, ...one }) =>
    set !== undefined && one.effect === 'allow' ? { ...one, actions: ['container.create'], set } : one,
  );

const known = { id: 'b'.repeat(64), name: 'web-1', labels: { team: 'red' } };
const CALLS: readonly EngineCall[] = [
  ...NAMES.map((n) => callOf(`GET /containers/${n}/json`)),
  callOf(`GET /containers/${ID}/json`),
  callOf('GET /containers/ab/json', undefined, { 'container/ab': known }),
  callOf('GET /containers/aaaa/json', undefined, { 'container/aaaa': { id: ID, name: 'prod-db' } }),
  callOf('GET /containers/json'),
  callOf('POST /containers/prune'),
  callOf('POST /containers/create?name=web-1', { Image: 'app:1', HostConfig: { Binds: ['abc:/data'] } }),
  callOf('POST /containers/create', { Image: 'app' }),
  callOf(`POST /containers/create?name=red-web`, { Image: ID.slice(0, 12) }),
  callOf('POST /containers/web/exec', { Cmd: ['x'] }),
  callOf(`GET /exec/${ID}/json`),
  callOf(`GET /exec/${ID}/json`, undefined, { [`exec/${ID}`]: { id: ID, name: 'web' } }),
  callOf('GET /images/app/json'),
  callOf('GET /images/registry.test:5000/abc/x:3/json'),
  callOf(`GET /images/app@sha256:${ID}/json`),
  callOf('GET /images/aaaa/json', undefined, { 'image/docker.io/library/aaaa:latest': { id: `sha256:${ID}` } }),
  callOf('POST /images/create?fromImage=red/web'),
  callOf('POST /images/create?fromImage=app&tag=1'),
  callOf('GET /volumes/ab'),
  callOf('DELETE /volumes/prod'),
];

/** Policies of which nothing is known in advance; the one without an index judges every rule. */
function bothWays(rules: readonly unknown[], subject: string) {
  const text = rules.map((one, i) => `- ${JSON.stringify({ name: `r${i}`, ...(one as object) })}`).join('\n');
  const who = principal({ subject });
  const indexed = setOf(policyOf(text)).forPrincipal(who);
  const plain = setOf(policyOf(text)).forPrincipal(who);
  const rulesFor = plain.rulesFor.bind(plain);
  plain.rulesFor = (action) => ({ ...rulesFor(action), allowIndex: undefined, denyIndex: undefined });
  const input = (call: EngineCall) => ({ principal: who, call, source: '192.0.2.7', at: NOW });
  return { indexed, plain, input };
}

describe('the index of rules', () => {
  it('decides as without it, reasons included, whatever the rules and the call', () => {
    let allowed = 0;
    let denied = 0;
    let narrowed = 0;
    fc.assert(
      fc.property(
        fc.array(rule, { minLength: 9, maxLength: 40 }),
        fc.constantFrom('alice', 'web', 'prod'),
        (rules, subject) => {
          const { indexed, plain, input } = bothWays(rules, subject);
          for (const call of CALLS) {
            const wanted = decide(plain, input(call));
            assert.deepEqual(decide(indexed, input(call)), wanted);
            if (wanted.effect === 'allow') allowed++;
            else if (wanted.reasons[0]?.code === 'denied-by-policy') denied++;
            const { allows, allowIndex, denies, denyIndex } = indexed.rulesFor(call.action);
            const left = new Set([...(allowIndex?.allowing(call) ?? allows), ...(denyIndex?.denying(call) ?? denies)]);
            for (const one of [...allows, ...denies]) {
              if (left.has(one)) continue;
              narrowed++;
              assert.equal(judgeRule(one, input(call)).kind, 'miss', `${one.id} was left out of ${call.action}`);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
    assert.ok(allowed > 200 && denied > 200 && narrowed > 2000, `${allowed} ${denied} ${narrowed}`);
  });

  it('the index of rules asks of objects what each rule asks, also of a second object', () => {
    const rules = [
      ...Array.from({ length: 12 }, (_, i) => ({
        effect: 'allow',
        actions: ['volume.*'],
        resources: [`volume/v${i}`],
      })),
      { effect: 'allow', actions: ['container.inspect'], resources: ['container/*'] },
    ];
    const { indexed } = bothWays(rules, 'alice');
    for (let i = 0; i < 2; i++) {
      assert.equal(indexed.needsResolution(callOf('GET /volumes/v1')).length, 1);
      assert.equal(indexed.needsResolution(callOf('GET /containers/v1/json')).length, 0);
    }
  });

  it('judges a few of hundreds of rules, and as many whatever there are', () => {
    const rules = Array.from({ length: 200 }, (_, i) => ({
      effect: i % 2 === 0 ? 'allow' : 'deny',
      actions: ['container.inspect'],
      resources: [`container/${i % 2 === 0 ? 'team' : 'prod'}-${i}-*`],
    }));
    const { indexed, input } = bothWays(rules, 'alice');
    const call = callOf('GET /containers/team-198-x/json');
    const { allowIndex, denyIndex } = indexed.rulesFor(call.action);
    assert.deepEqual(
      allowIndex?.allowing(call).map(({ name: found }) => found),
      ['r198'],
    );
    assert.deepEqual(denyIndex?.denying(call), []);
    assert.equal(decide(indexed, input(call)).rule, 'p/r198');
  });
});
