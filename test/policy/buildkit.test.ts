// BuildKit's doors: they open to callers who may build, and requests that come through are read; build.opaque alone opens them unread,
// and alone grants the builder container of buildx.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { exceeds } from '../../src/policy/ceiling.ts';
import { explain } from '../../src/policy/explain.ts';
import { lintDocuments } from '../../src/policy/lint.ts';
import { parseDocuments } from '../../src/policy/policy.ts';
import type { DockerAuthorization } from '../../src/policy/types.ts';
import { callOf, decideFor, NOW, policyOf, principal, setOf } from './support.ts';

const DOORS = ['POST /session', 'POST /grpc'];
const PRIVILEGED = { Image: 'moby/buildkit', HostConfig: { Privileged: true } };
const EVERYTHING = '- { name: all, effect: allow, actions: ["*"] }';
const OPAQUE = '- { name: unread, effect: allow, actions: [build.opaque] }';

interface Row {
  readonly title: string;
  readonly rules: string;
  readonly scope?: readonly string[];
  readonly details?: readonly DockerAuthorization[];
  /** `allow`: unread. */
  readonly expect: 'allow' | 'read' | 'deny';
}
const rows: readonly Row[] = [
  { title: 'build.opaque by name', rules: OPAQUE, expect: 'allow' },
  { title: 'every action by a pattern', rules: EVERYTHING, expect: 'read' },
  { title: 'builds by name', rules: '- { name: a, effect: allow, actions: [build.run] }', expect: 'read' },
  {
    title: 'builds below a host preset',
    rules: '- { name: a, effect: allow, actions: [build.run], host: { preset: baseline } }',
    expect: 'read',
  },
  {
    title: 'builds with some names only, judged when their name is told',
    rules: '- { name: a, effect: allow, actions: [build.run], resources: ["image/docker.io/acme/*"] }',
    expect: 'read',
  },
  { title: 'other actions', rules: '- { name: a, effect: allow, actions: [image.pull] }', expect: 'deny' },
  {
    title: 'builds from elsewhere',
    rules: '- { name: a, effect: allow, actions: [build.run], source: [198.51.100.0/24] }',
    expect: 'deny',
  },
  {
    title: 'builds beneath a deny of a door',
    rules: `${EVERYTHING}\n- { name: d, effect: deny, actions: [build.session, build.control] }`,
    expect: 'deny',
  },
  { title: 'a scope of builds', rules: EVERYTHING, scope: ['build.run'], expect: 'read' },
  { title: 'a scope of other actions', rules: EVERYTHING, scope: ['image.*'], expect: 'deny' },
  {
    title: 'a scope that names build.opaque, with rules that do not',
    rules: EVERYTHING,
    scope: ['build.opaque', 'build.run'],
    expect: 'read',
  },
  {
    title: 'build actions by a pattern',
    rules: '- { name: a, effect: allow, actions: ["build.*"] }',
    expect: 'read',
  },
  {
    title: 'actions by their class',
    rules: '- { name: a, effect: allow, actions: ["class:admin", "class:write"] }',
    expect: 'read',
  },
  {
    title: 'the doors themselves, without builds',
    rules: '- { name: a, effect: allow, actions: [build.session, build.control] }',
    expect: 'deny',
  },
  {
    title: 'build.opaque beneath a deny of every build action',
    rules: `${OPAQUE}\n- { name: d, effect: deny, actions: ["build.*"] }`,
    expect: 'deny',
  },
  {
    title: 'build.opaque beneath a deny of build.opaque',
    rules: `${OPAQUE}\n- { name: d, effect: deny, actions: [build.opaque] }`,
    expect: 'deny',
  },
  {
    title: 'build.opaque beneath a deny of other builds',
    rules: `${OPAQUE}\n- { name: d, effect: deny, actions: [build.run] }`,
    expect: 'allow',
  },
  { title: 'a scope that names it', rules: OPAQUE, scope: ['build.opaque'], expect: 'allow' },
  { title: 'a scope of every action', rules: OPAQUE, scope: ['*'], expect: 'deny' },
  { title: 'a scope of the doors', rules: OPAQUE, scope: ['build.session', 'build.control'], expect: 'deny' },
  {
    title: 'authorization details that name it',
    rules: OPAQUE,
    details: [{ type: 'docker', actions: ['build.opaque'] }],
    expect: 'allow',
  },
  {
    title: 'authorization details of every action',
    rules: OPAQUE,
    details: [{ type: 'docker', actions: ['*'] }],
    expect: 'deny',
  },
  {
    title: 'authorization details that narrow the host alone',
    rules: OPAQUE,
    details: [{ type: 'docker', host: { preset: 'baseline' } }],
    expect: 'deny',
  },
  {
    title: 'build.opaque whose time is over',
    rules: '- { name: a, effect: allow, actions: [build.opaque], notAfter: 2025-01-01T00:00:00Z }',
    expect: 'deny',
  },
];

describe('BuildKit’s own protocol', () => {
  for (const { title, rules, scope, details, expect } of rows) {
    for (const line of DOORS) {
      it(`${title}: ${line} is ${expect === 'deny' ? 'denied' : expect === 'read' ? 'open, read' : 'open unread'}`, () => {
        const who = principal({
          ...(scope === undefined ? {} : { scope }),
          ...(details === undefined ? {} : { authorizationDetails: details }),
        });
        const decision = decideFor(setOf(policyOf(rules)), who, callOf(line));
        assert.equal(decision.effect, expect === 'deny' ? 'deny' : 'allow', decision.reasons[0]?.message);
        if (expect !== 'deny') assert.equal(decision.isUnread, expect === 'allow');
      });
    }
  }

  it('a refusal says what to do, and so does the explanation', () => {
    const set = setOf(policyOf('- { name: look, effect: allow, actions: [image.list] }'));
    const who = principal();
    const decision = decideFor(set, who, callOf('POST /grpc'));
    assert.equal(decision.reasons[0]?.code, 'operation-not-allowed');
    assert.match(decision.reasons[0]?.message ?? '', /no policy of .* allows build\.run, which BuildKit needs/);
    const told = explain(set.forPrincipal(who), {
      principal: who,
      call: callOf('POST /grpc'),
      source: 'unix',
      at: NOW,
    });
    assert.match(told.nearest.join(), /^add build\.run to an allow rule of a bound policy/);
  });

  it('POST /build?version=2, which BuildKit would build unread, needs build.opaque; its neighbour version=1 does not', () => {
    const set = setOf(policyOf(EVERYTHING));
    const refused = decideFor(set, principal(), callOf('POST /build?version=2&t=x'));
    assert.equal(refused.reasons[0]?.code, 'build-opaque-needed');
    assert.match(refused.reasons[0]?.message ?? '', /query\.version is "2".*DOCKER_BUILDKIT=0/);
    assert.equal(decideFor(set, principal(), callOf('POST /build?version=1&t=x')).effect, 'allow');
    const opaque = setOf(policyOf(`${EVERYTHING}\n${OPAQUE}`));
    assert.equal(decideFor(opaque, principal(), callOf('POST /build?version=2&t=x')).effect, 'allow');
  });
});

describe('BuildKit behind POST /build', () => {
  const build = 'POST /build?t=x&version=2';
  const remote = `${build}&remote=upload-request`;
  for (const [title, rules, line, expect] of [
    ['every action by a pattern', EVERYTHING, build, 'deny'],
    ['build.run by name', '- { name: b, effect: allow, actions: [build.run] }', build, 'deny'],
    ['a context that comes in a second call', EVERYTHING, remote, 'deny'],
    ['an address the engine fetches', EVERYTHING, `${build}&remote=http%3A%2F%2F10.0.0.1%2Fx`, 'deny'],
    ['every action beside build.opaque', `${EVERYTHING}\n${OPAQUE}`, build, 'allow'],
    ['build.opaque alone', OPAQUE, build, 'deny'],
    [
      'build.opaque beneath a deny of it',
      `${EVERYTHING}\n${OPAQUE}\n- { name: d, effect: deny, actions: [build.opaque] }`,
      build,
      'deny',
    ],
    ['the classic builder', EVERYTHING, 'POST /build?t=x&version=1', 'allow'],
    ['no version, which is the classic builder', EVERYTHING, 'POST /build?t=x', 'allow'],
    [
      'a preset beside build.opaque',
      `- { name: b, effect: allow, actions: [build.run], host: { preset: baseline } }\n${OPAQUE}`,
      `${build}&session=abc`,
      'allow',
    ],
  ] as const) {
    it(`${title}: ${line} is ${expect === 'allow' ? 'allowed' : 'denied'}`, () => {
      const decision = decideFor(setOf(policyOf(rules)), principal(), callOf(line));
      assert.equal(decision.effect, expect, decision.reasons[0]?.message);
      if (expect === 'deny' && rules === EVERYTHING) {
        assert.equal(decision.reasons[0]?.code, 'build-opaque-needed');
        assert.match(decision.reasons[0]?.message ?? '', /query\.version is "2".*DOCKER_BUILDKIT=0.*build\.opaque/);
      }
    });
  }
});

describe('the builder container of buildx', () => {
  const opaque = `${EVERYTHING}\n${OPAQUE}`;
  for (const [line, body, withOpaque] of [
    ['GET /containers/buildx_buildkit_default/json', undefined, 'allow'],
    ['POST /containers/create?name=buildx_buildkit_default', PRIVILEGED, 'allow'],
    ['POST /containers/create?name=%2Fbuildx_buildkit_default', PRIVILEGED, 'allow'],
    ['POST /containers/buildx_buildkit_b0/start', undefined, 'allow'],
    ['POST /containers/buildx_buildkit_b0/exec', { Cmd: ['buildctl', 'dial-stdio'] }, 'allow'],
    ['PUT /containers/buildx_buildkit_b0/archive?path=/', undefined, 'allow'],
  ] as const) {
    it(`${line} needs build.opaque`, () => {
      const call = callOf(line, body);
      const refused = decideFor(setOf(policyOf(EVERYTHING)), principal(), call);
      assert.equal(refused.reasons[0]?.code, 'build-opaque-needed');
      assert.match(
        refused.reasons[0]?.message ?? '',
        /builder container buildx_buildkit_\w+ .*docker buildx use default.*DOCKER_BUILDKIT=0/,
      );
      assert.equal(decideFor(setOf(policyOf(opaque)), principal(), call).effect, withOpaque);
    });
  }
  for (const line of [
    'POST /containers/buildx_buildkit_b0/stop',
    'DELETE /containers/buildx_buildkit_b0?force=1',
    'GET /containers/my-buildx_buildkit_b0/json',
    'GET /containers/buildx/json',
  ]) {
    it(`${line} needs none`, () => {
      assert.equal(decideFor(setOf(policyOf(EVERYTHING)), principal(), callOf(line)).effect, 'allow');
    });
  }

  it('a builder container asked for by its id is known by its real name', () => {
    const rules = '- { name: a, effect: allow, actions: ["container.*"], resources: ["container/build*"] }';
    const call = callOf(
      'POST /containers/abc/exec',
      { Cmd: ['sh'] },
      { 'container/abc': { name: 'buildx_buildkit_b0' } },
    );
    assert.equal(decideFor(setOf(policyOf(rules)), principal(), call).reasons[0]?.code, 'build-opaque-needed');
  });

  it('build.opaque alone does not make one: the other rules are asked as well', () => {
    const call = callOf('POST /containers/create?name=buildx_buildkit_b0', PRIVILEGED);
    assert.equal(decideFor(setOf(policyOf(OPAQUE)), principal(), call).effect, 'deny');
  });
});

describe('lintDocuments() on build.opaque', () => {
  for (const [title, rules, acknowledged, found] of [
    ['tells that it is unread', OPAQUE, false, /build\.opaque.*acknowledges: \[host-access\]/],
    ['is silent when that is acknowledged', OPAQUE, true, undefined],
    [
      'tells that the doors alone open nothing',
      '- { name: a, effect: allow, actions: [build.control] }',
      true,
      /can never allow build\.control.*name build\.run.*name build\.opaque/,
    ],
  ] as const) {
    it(title, () => {
      const yaml = policyOf(rules);
      const source = acknowledged ? yaml.replace('{ name: p }', '{ name: p, acknowledges: [host-access] }') : yaml;
      const findings = lintDocuments(parseDocuments(source).documents);
      if (found === undefined) assert.deepEqual(findings, []);
      else assert.match(findings[0]?.message ?? '', found);
    });
  }
});

describe('exceeds() on build.opaque', () => {
  for (const [narrow, wide, isBeyond] of [
    ['build.opaque', '*', true],
    ['build.opaque', 'build.opaque', false],
    ['build.*', 'build.*', false],
    ['build.*', 'build.opaque', true],
  ] as const) {
    it(`a scope of ${narrow} ${isBeyond ? 'reaches beyond' : 'is within'} one of ${wide}`, () => {
      assert.equal(exceeds({ scope: [narrow] }, { scope: [wide] }) !== undefined, isBeyond);
      const details = (action: string) => ({ authorizationDetails: [{ type: 'docker' as const, actions: [action] }] });
      assert.equal(exceeds(details(narrow), details(wide)) !== undefined, isBeyond);
    });
  }
});
