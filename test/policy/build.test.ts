// The `build:` block: what BuildKit builds may ask for, by rule, by preset and below the ceilings of tokens.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildCall, factsOf } from '../../src/engine/build-call.ts';
import type { BuildFacts } from '../../src/engine/types.ts';
import { parseDocuments } from '../../src/policy/policy.ts';
import type { DockerAuthorization } from '../../src/policy/types.ts';
import { decideFor, policyOf, principal, setOf } from './support.ts';

const BASELINE = '- { name: b, effect: allow, actions: [build.run], host: { preset: baseline } }';
const withBuild = (build: string): string =>
  `- { name: b, effect: allow, actions: [build.run], host: { preset: baseline }, build: ${build} }`;
const facts = (kind: keyof BuildFacts, ...values: string[]): BuildFacts =>
  factsOf({ [kind]: values.map((value, i) => ({ at: `${kind}[${i}]`, value })) });

type Row = readonly [title: string, rules: string, kind: keyof BuildFacts, value: string, expect: 'allow' | 'deny'];
const rows: readonly Row[] = [
  ['baseline', BASELINE, 'entitlements', 'network.host', 'deny'],
  ['baseline', BASELINE, 'entitlements', 'security.insecure', 'deny'],
  ['baseline', BASELINE, 'entitlements', 'device=a/b=c', 'deny'],
  ['baseline', BASELINE, 'networks', 'host', 'deny'],
  ['baseline', BASELINE, 'networks', 'none', 'allow'],
  ['baseline', BASELINE, 'networks', 'default', 'allow'],
  ['baseline', BASELINE, 'sources', 'docker-image://docker.io/library/busybox:test', 'allow'],
  ['baseline', BASELINE, 'sources', 'docker-image://docker.io.evil.test/library/busybox:test', 'deny'],
  ['baseline', BASELINE, 'sources', 'docker-image://ghcr.io/acme/app:1', 'deny'],
  ['baseline', BASELINE, 'sources', 'http://169.254.169.254/latest', 'deny'],
  ['baseline', BASELINE, 'sources', 'git://github.com/moby/buildkit.git', 'deny'],
  ['baseline', BASELINE, 'frontends', 'dockerfile.v0', 'allow'],
  ['baseline', BASELINE, 'frontends', 'docker.io/docker/dockerfile:1', 'allow'],
  ['baseline', BASELINE, 'frontends', 'docker.io/docker/dockerfile-evil:1', 'deny'],
  ['baseline', BASELINE, 'frontends', 'docker.io/evil/frontend:1', 'deny'],
  ['baseline', BASELINE, 'exporters', 'image', 'allow'],
  ['baseline', BASELINE, 'exporters', 'newest', 'deny'],
  ['baseline', BASELINE, 'tags', 'ghcr.io/acme/app:1', 'allow'],
  ['baseline', BASELINE, 'cache', 'inline', 'allow'],
  ['baseline', BASELINE, 'cache', 'gha', 'deny'],
  ['baseline', BASELINE, 'cache', 'registry:docker.io/acme/cache:latest', 'allow'],
  ['baseline', BASELINE, 'cache', 'registry:ghcr.io/acme/cache:latest', 'deny'],
  ['baseline', BASELINE, 'contexts', 'context', 'allow'],
  ['baseline', BASELINE, 'secrets', 'token', 'allow'],
  [
    'registries of the host block',
    BASELINE.replace('baseline }', 'baseline, registries: [ghcr.io/acme] }'),
    'sources',
    'docker-image://ghcr.io/acme/app:1',
    'allow',
  ],
  [
    'registries of the host block',
    BASELINE.replace('baseline }', 'baseline, registries: [ghcr.io/acme] }'),
    'sources',
    'docker-image://ghcr.io/acme2/app:1',
    'deny',
  ],
  ['no host block', '- { name: b, effect: allow, actions: [build.run] }', 'entitlements', 'network.host', 'allow'],
  ['privileged', BASELINE.replace('baseline', 'privileged'), 'sources', 'http://192.0.2.1/', 'allow'],
  ['entitlements named', withBuild('{ entitlements: [network.host] }'), 'entitlements', 'network.host', 'allow'],
  ['entitlements named', withBuild('{ entitlements: [network.host] }'), 'entitlements', 'security.insecure', 'deny'],
  [
    'sources named',
    withBuild('{ sources: [docker.io/library/node, "https://github.com/*"] }'),
    'sources',
    'docker-image://docker.io/library/node:20',
    'allow',
  ],
  [
    'sources named',
    withBuild('{ sources: [docker.io/library/node] }'),
    'sources',
    `docker-image://docker.io/library/node@sha256:${'a'.repeat(64)}`,
    'allow',
  ],
  [
    'sources named',
    withBuild('{ sources: [docker.io/library/node] }'),
    'sources',
    'docker-image://docker.io/library/node2:20',
    'deny',
  ],
  ['sources named', withBuild('{ sources: ["https://github.com/*"] }'), 'sources', 'https://github.com/x', 'allow'],
  ['sources named', withBuild('{ sources: ["https://github.com/*"] }'), 'sources', 'http://github.com/x', 'deny'],
  [
    'an image named by its tag, as the engine names it once it looked it up',
    withBuild('{ sources: ["docker.io/library/node:20"] }'),
    'sources',
    `docker-image://docker.io/library/node:20@sha256:${'a'.repeat(64)}`,
    'allow',
  ],
  [
    'an image named by its tag',
    withBuild('{ sources: ["docker.io/library/node:20"] }'),
    'sources',
    'docker-image://docker.io/library/node:200',
    'deny',
  ],
  ['tags named', withBuild('{ tags: [docker.io/acme/*] }'), 'tags', 'docker.io/acme/app:1', 'allow'],
  ['tags named', withBuild('{ tags: [docker.io/acme/*] }'), 'tags', 'docker.io/acme2/app:1', 'deny'],
  ['secrets named', withBuild('{ secrets: [npm-*] }'), 'secrets', 'npm-token', 'allow'],
  ['secrets named', withBuild('{ secrets: [npm-*] }'), 'secrets', 'token', 'deny'],
  ['no SSH', withBuild('{ ssh: [] }'), 'ssh', 'default', 'deny'],
  [
    'a cache in one repository',
    withBuild('{ cache: ["registry:docker.io/acme/*"] }'),
    'cache',
    'registry:docker.io/acme/c:1',
    'allow',
  ],
  [
    'a cache in one repository',
    withBuild('{ cache: ["registry:docker.io/acme/*"] }'),
    'cache',
    'registry:docker.io/other/c:1',
    'deny',
  ],
  [
    'a deny rule',
    `${BASELINE}\n- { name: d, effect: deny, actions: [build.run] }`,
    'tags',
    'docker.io/library/x:1',
    'deny',
  ],
];

describe('builds with BuildKit under policy', () => {
  for (const [title, rules, kind, value, expect] of rows) {
    it(`${title}: ${kind} ${value.slice(0, 80)} is ${expect === 'allow' ? 'allowed' : 'denied'}`, () => {
      const decision = decideFor(setOf(policyOf(rules)), principal(), buildCall(facts(kind, value)));
      assert.equal(decision.effect, expect, decision.reasons[0]?.message);
    });
  }

  it('a denial names the rule, the field, the value and what is allowed', () => {
    const call = buildCall(facts('entitlements', 'network.host'));
    const { reasons } = decideFor(setOf(policyOf(BASELINE)), principal(), call);
    assert.equal(reasons[0]?.code, 'build-denied');
    assert.equal(
      reasons[0]?.message,
      'denied by policy p, rule b: entitlements[0]: entitlement network.host is not among its build.entitlements (allowed: none)',
    );
  });

  it('what several rules let be fetched adds up', () => {
    const rules = `${BASELINE}\n- { name: c, effect: allow, actions: [build.run], build: { sources: ["https://github.com/*"] } }`;
    const { obligations } = decideFor(setOf(policyOf(rules)), principal(), buildCall(factsOf({})));
    assert.deepEqual(obligations.build?.sources, ['docker-image://docker.io/*', 'https://github.com/*']);
  });

  for (const [title, details, sources] of [
    [
      'a host preset',
      [{ type: 'docker', actions: ['build.run'], host: { preset: 'baseline' } }],
      ['docker-image://docker.io/*'],
    ],
    ['none', [{ type: 'docker', actions: ['build.run'] }], ['*']],
  ] as const satisfies readonly (readonly [string, readonly DockerAuthorization[], readonly string[]])[]) {
    it(`a token’s ceiling of ${title} narrows what may be fetched to ${sources.join()}`, () => {
      const set = setOf(policyOf('- { name: a, effect: allow, actions: ["*"] }'));
      const who = principal({ authorizationDetails: details });
      const { obligations, effect } = decideFor(set, who, buildCall(factsOf({})));
      assert.equal(effect, 'allow');
      assert.deepEqual(obligations.build?.sources, sources);
    });
  }

  for (const [title, build, message] of [
    ['an unknown key', '{ source: [] }', /unknown key "source".*sources/],
    ['a short image', '{ sources: [node] }', /write docker\.io\/library\/node/],
    ['a word that is none', '{ networks: [hots] }', /none of default, none, host.*host/],
    ['a template', '{ tags: ["docker.io/$tenant/*"] }', /holds a \$/],
  ] as const) {
    it(`${title} in the block is a fault that says what is right`, () => {
      const { problems } = parseDocuments(policyOf(withBuild(build)));
      assert.match(problems[0]?.message ?? '', message);
    });
  }
  it('the block in a rule that allows no builds is a fault', () => {
    const rules = '- { name: a, effect: allow, actions: [image.pull], build: { secrets: [] } }';
    assert.match(parseDocuments(policyOf(rules)).problems[0]?.message ?? '', /does not allow build\.run/);
  });
});
