// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policies hold places of this form
// The semantics of a decision: default deny, deny beats allow, doubt closes, every object of a call counts.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { callOf, decideFor, type Known, policyOf, principal, setOf } from './support.ts';

interface Row {
  title: string;
  rules: string;
  line: string;
  body?: unknown;
  known?: Known;
  who?: Parameters<typeof principal>[0];
  at?: number;
  source?: string;
  expect: 'allow' | string;
  message?: RegExp;
}

const RUN =
  '- { name: run, effect: allow, actions: [container.create], resources: ["container/ci-*", "image/docker.io/library/*"] }';
const OWN = '- { name: own, effect: allow, actions: ["container.*"], labels: { owner: "${principal.subject}" } }';
const CREATE = { Image: 'busybox:test', HostConfig: { NetworkMode: 'none' } };
const A_DAY = 86_400_000;

const rows: Row[] = [
  // default deny
  {
    title: 'an action no rule names is denied',
    rules: RUN,
    line: 'GET /info',
    expect: 'operation-not-allowed',
    message: /no policy of "alice" allows system\.info \(bound: p\)/,
  },
  {
    title: 'an action a rule names is allowed',
    rules: '- { name: a, effect: allow, actions: [system.info] }',
    line: 'GET /info',
    expect: 'allow',
  },
  {
    title: 'a pattern covers an action',
    rules: '- { name: a, effect: allow, actions: ["container.*"] }',
    line: 'GET /containers/json',
    expect: 'allow',
  },
  {
    title: 'a class covers its actions',
    rules: '- { name: a, effect: allow, actions: ["class:read"] }',
    line: 'GET /containers/json',
    expect: 'allow',
  },
  {
    title: 'a class covers no others',
    rules: '- { name: a, effect: allow, actions: ["class:read"] }',
    line: 'POST /containers/x/stop',
    expect: 'operation-not-allowed',
  },
  // deny beats allow, wherever it stands
  {
    title: 'a deny before the allow wins',
    rules: '- { name: d, effect: deny, actions: [system.info] }\n- { name: a, effect: allow, actions: ["*"] }',
    line: 'GET /info',
    expect: 'denied-by-policy',
  },
  {
    title: 'a deny after the allow wins',
    rules: '- { name: a, effect: allow, actions: ["*"] }\n- { name: d, effect: deny, actions: [system.info] }',
    line: 'GET /info',
    expect: 'denied-by-policy',
    message: /denied by policy p: rule d denies system\.info/,
  },
  {
    title: 'a deny of another action does not matter',
    rules: '- { name: a, effect: allow, actions: ["*"] }\n- { name: d, effect: deny, actions: [system.info] }',
    line: 'GET /version',
    expect: 'allow',
  },
  // resources
  {
    title: 'every object of a call must be covered',
    rules: RUN,
    line: 'POST /containers/create?name=ci-1',
    body: CREATE,
    expect: 'allow',
  },
  {
    title: 'a name outside the pattern is denied with field and what is allowed',
    rules: RUN,
    line: 'POST /containers/create?name=web',
    body: CREATE,
    expect: 'operation-not-allowed',
    message: /query\.name names container "web" \(allowed: container\/ci-\*\)/,
  },
  {
    title: 'an image outside the pattern is denied',
    rules: RUN,
    line: 'POST /containers/create?name=ci-1',
    body: { ...CREATE, Image: 'quay.io/x/y' },
    expect: 'operation-not-allowed',
    message: /Image names image "quay\.io\/x\/y/,
  },
  {
    title: 'a volume no pattern speaks of is denied',
    rules: RUN,
    line: 'POST /containers/create?name=ci-1',
    body: { ...CREATE, HostConfig: { Binds: ['data:/d'] } },
    expect: 'operation-not-allowed',
    message: /HostConfig\.Binds\[0\] names volume "data" \(allowed: no volume\)/,
  },
  {
    title: 'a new container without a name is not covered by a name pattern',
    rules: RUN,
    line: 'POST /containers/create',
    body: CREATE,
    expect: 'operation-not-allowed',
    message: /has no name/,
  },
  {
    title: 'a container asked for by id is judged by its real name',
    rules: '- { name: a, effect: allow, actions: [container.stop], resources: ["container/ci-*"] }',
    line: 'POST /containers/abc123/stop',
    known: { 'container/abc123': { name: 'ci-9' } },
    expect: 'allow',
  },
  {
    title: 'a container whose words match but whose real name does not is denied',
    rules: '- { name: a, effect: allow, actions: [container.stop], resources: ["container/ab*"] }',
    line: 'POST /containers/abc123/stop',
    known: { 'container/abc123': { name: 'web', id: `abc123${'0'.repeat(58)}` } },
    expect: 'operation-not-allowed',
  },
  {
    title: 'an exec is judged as its container',
    rules: '- { name: a, effect: allow, actions: ["container.exec.*"], resources: ["container/ci-*"] }',
    line: 'GET /exec/e1/json',
    known: { 'exec/e1': { name: 'ci-1' } },
    expect: 'allow',
  },
  {
    title: 'an exec whose container is not known is denied',
    rules: '- { name: a, effect: allow, actions: ["container.exec.*"], resources: ["container/ci-*"] }',
    line: 'GET /exec/ci-1/json',
    expect: 'operation-not-allowed',
  },
  {
    title: 'both ends of a connect must be covered',
    rules: '- { name: a, effect: allow, actions: [network.connect], resources: ["network/red"] }',
    line: 'POST /networks/red/connect',
    body: { Container: 'blue' },
    expect: 'operation-not-allowed',
    message: /Container names container "blue" \(allowed: no container\)/,
  },
  {
    title: 'a connect of both covered ends is allowed',
    rules: '- { name: a, effect: allow, actions: [network.connect], resources: ["network/red", "container/red-*"] }',
    line: 'POST /networks/red/connect',
    body: { Container: 'red-1' },
    expect: 'allow',
  },
  {
    title: 'a deny on one object denies the call',
    rules:
      '- { name: a, effect: allow, actions: ["*"] }\n- { name: d, effect: deny, actions: ["*"], resources: ["container/blue"] }',
    line: 'POST /networks/red/connect',
    body: { Container: 'blue' },
    expect: 'denied-by-policy',
    message: /rule d denies network\.connect on container "blue"/,
  },
  {
    title: 'a deny on an object reaches it by its id',
    rules:
      '- { name: a, effect: allow, actions: ["*"] }\n- { name: d, effect: deny, actions: ["container.*"], resources: ["container/prod-*"] }',
    line: 'POST /containers/abc/stop',
    known: { 'container/abc': { name: 'prod-1' } },
    expect: 'denied-by-policy',
  },
  {
    title: 'a deny on names reaches a prune of all',
    rules:
      '- { name: a, effect: allow, actions: ["*"] }\n- { name: d, effect: deny, actions: ["container.*"], resources: ["container/prod-*"] }',
    line: 'POST /containers/prune',
    expect: 'denied-by-policy',
  },
  {
    title: 'a deny on names leaves the list',
    rules:
      '- { name: a, effect: allow, actions: ["*"] }\n- { name: d, effect: deny, actions: ["container.*"], resources: ["container/prod-*"] }',
    line: 'GET /containers/json',
    expect: 'allow',
  },
  // images
  {
    title: 'a pattern without a tag stands for every tag',
    rules: '- { name: a, effect: allow, actions: [image.inspect], resources: ["image/docker.io/library/busybox"] }',
    line: 'GET /images/busybox:test/json',
    expect: 'allow',
  },
  {
    title: 'a pattern without a tag stands for no longer name',
    rules: '- { name: a, effect: allow, actions: [image.inspect], resources: ["image/docker.io/library/busybox"] }',
    line: 'GET /images/busybox2:test/json',
    expect: 'operation-not-allowed',
  },
  {
    title: 'a pattern with a tag stands for that tag',
    rules: '- { name: a, effect: allow, actions: [image.inspect], resources: ["image/docker.io/library/busybox:1"] }',
    line: 'GET /images/busybox:2/json',
    expect: 'operation-not-allowed',
  },
  {
    title: 'an image named by the start of its id is not taken for a library image',
    rules: '- { name: a, effect: allow, actions: [image.inspect], resources: ["image/docker.io/library/*"] }',
    line: 'GET /images/deadbeef/json',
    known: { 'image/docker.io/library/deadbeef:latest': { id: `sha256:deadbeef${'0'.repeat(56)}` } },
    expect: 'operation-not-allowed',
  },
  {
    title: 'an image of the library is',
    rules: '- { name: a, effect: allow, actions: [image.inspect], resources: ["image/docker.io/library/*"] }',
    line: 'GET /images/alpine/json',
    known: { 'image/docker.io/library/alpine:latest': { id: `sha256:deadbeef${'0'.repeat(56)}` } },
    expect: 'allow',
  },
  // labels
  {
    title: 'an object with the labels is allowed',
    rules: OWN,
    line: 'POST /containers/x/stop',
    known: { 'container/x': { labels: { owner: 'alice' } } },
    expect: 'allow',
  },
  {
    title: 'an object with other labels answers as if it were not there',
    rules: OWN,
    line: 'POST /containers/x/stop',
    known: { 'container/x': { labels: { owner: 'bob' } } },
    expect: 'object-not-found',
    message: /^No such container: x$/,
  },
  {
    title: 'an object that is not there answers the same',
    rules: OWN,
    line: 'POST /containers/x/stop',
    expect: 'object-not-found',
    message: /^No such container: x$/,
  },
  {
    title: 'labels do not let a new object pass',
    rules: OWN,
    line: 'POST /containers/create?name=x',
    body: CREATE,
    expect: 'operation-not-allowed',
  },
  {
    title: 'labels a body claims do not count',
    rules: OWN,
    line: 'POST /containers/create?name=x',
    body: { ...CREATE, Labels: { owner: 'alice' } },
    expect: 'operation-not-allowed',
  },
  { title: 'labels do not let a list pass', rules: OWN, line: 'GET /containers/json', expect: 'operation-not-allowed' },
  {
    title: 'a deny by label spares other objects',
    rules:
      '- { name: a, effect: allow, actions: ["*"] }\n- { name: d, effect: deny, actions: [container.stop], labels: { keep: "yes" } }',
    line: 'POST /containers/x/stop',
    known: { 'container/x': { labels: {} } },
    expect: 'allow',
  },
  {
    title: 'a deny by label closes when the labels are not known',
    rules:
      '- { name: a, effect: allow, actions: ["*"] }\n- { name: d, effect: deny, actions: [container.stop], labels: { keep: "yes" } }',
    line: 'POST /containers/x/stop',
    expect: 'denied-by-policy',
  },
  {
    title: 'a label that every object inherits is not one',
    rules: '- { name: a, effect: allow, actions: [container.stop], labels: { constructor: x } }',
    line: 'POST /containers/x/stop',
    known: { 'container/x': { labels: {} } },
    expect: 'object-not-found',
  },
  // templates
  {
    title: 'a place is filled from the principal',
    rules: '- { name: a, effect: allow, actions: [container.stop], resources: ["container/${principal.tenant}-*"] }',
    who: { tenant: 'red' },
    line: 'POST /containers/red-1/stop',
    expect: 'allow',
  },
  {
    title: 'another tenant does not match',
    rules: '- { name: a, effect: allow, actions: [container.stop], resources: ["container/${principal.tenant}-*"] }',
    who: { tenant: 'red' },
    line: 'POST /containers/blue-1/stop',
    expect: 'operation-not-allowed',
  },
  {
    title: 'a tenant called * is an error',
    rules: '- { name: a, effect: allow, actions: [container.stop], resources: ["container/${principal.tenant}-*"] }',
    who: { tenant: '*' },
    line: 'POST /containers/blue-1/stop',
    expect: 'rule-error',
    message: /character that may not fill/,
  },
  {
    title: 'a missing tenant is an error',
    rules: '- { name: a, effect: allow, actions: [container.stop], resources: ["container/${principal.tenant}-*"] }',
    line: 'POST /containers/-1/stop',
    expect: 'rule-error',
    message: /the caller has no tenant/,
  },
  {
    title: 'an error in one rule is not made good by another',
    rules:
      '- { name: b, effect: allow, actions: [container.stop] }\n- { name: a, effect: allow, actions: [container.stop], labels: { t: "${principal.tenant}" } }',
    line: 'POST /containers/x/stop',
    expect: 'rule-error',
  },
  {
    title: 'an error in a rule for other actions does not matter',
    rules:
      '- { name: b, effect: allow, actions: [container.stop] }\n- { name: a, effect: allow, actions: [container.start], labels: { t: "${principal.tenant}" } }',
    line: 'POST /containers/x/stop',
    expect: 'allow',
  },
  {
    title: 'a claim fills a place',
    rules:
      '- { name: a, effect: allow, actions: [container.stop], resources: ["container/${principal.claims.run}-*"] }',
    who: { claims: { run: 7 } },
    line: 'POST /containers/7-x/stop',
    expect: 'allow',
  },
  {
    title: 'a claim that is a list does not',
    rules:
      '- { name: a, effect: allow, actions: [container.stop], resources: ["container/${principal.claims.run}-*"] }',
    who: { claims: { run: ['7'] } },
    line: 'POST /containers/7-x/stop',
    expect: 'rule-error',
  },
  // scope
  {
    title: 'a scope that covers the action lets it pass',
    rules: '- { name: a, effect: allow, actions: ["*"] }',
    who: { scope: ['container.*'] },
    line: 'GET /containers/json',
    expect: 'allow',
  },
  {
    title: 'a scope is a ceiling',
    rules: '- { name: a, effect: allow, actions: ["*"] }',
    who: { scope: ['container.*'] },
    line: 'GET /info',
    expect: 'scope-exceeded',
    message: /it covers container\.\*, not system\.info/,
  },
  {
    title: 'a scope grants nothing',
    rules: RUN,
    who: { scope: ['*'] },
    line: 'GET /info',
    expect: 'operation-not-allowed',
  },
  {
    title: 'an empty scope covers nothing',
    rules: '- { name: a, effect: allow, actions: ["*"] }',
    who: { scope: [] },
    line: 'GET /info',
    expect: 'scope-exceeded',
  },
  {
    title: 'a scope by class covers its actions',
    rules: '- { name: a, effect: allow, actions: ["*"] }',
    who: { scope: ['class:read'] },
    line: 'GET /info',
    expect: 'allow',
  },
  {
    title: 'a bound policy that does not exist denies everything',
    rules: '- { name: a, effect: allow, actions: ["*"] }',
    who: { policies: ['gone'] },
    line: 'GET /info',
    expect: 'rule-error',
    message: /policy gone, bound by the identity itself, does not exist/,
  },
  // time and place
  {
    title: 'before notBefore a rule does not hold',
    rules: '- { name: a, effect: allow, actions: ["*"], notBefore: 2026-01-06T00:00:00Z }',
    line: 'GET /info',
    expect: 'operation-not-allowed',
    message: /holds from 2026-01-06/,
  },
  {
    title: 'after notBefore it does',
    rules: '- { name: a, effect: allow, actions: ["*"], notBefore: 2026-01-05T00:00:00Z }',
    line: 'GET /info',
    expect: 'allow',
  },
  {
    title: 'at notAfter a rule has ended',
    rules: '- { name: a, effect: allow, actions: ["*"], notAfter: 2026-01-05T12:00:00Z }',
    line: 'GET /info',
    expect: 'operation-not-allowed',
  },
  {
    title: 'before notAfter it holds',
    rules: '- { name: a, effect: allow, actions: ["*"], notAfter: 2026-01-05T12:00:01Z }',
    line: 'GET /info',
    expect: 'allow',
  },
  {
    title: 'hours are judged in their zone',
    rules:
      '- { name: a, effect: allow, actions: ["*"], hours: { from: "13:00", to: "14:00", zone: Europe/Berlin, days: [mon] } }',
    line: 'GET /info',
    expect: 'allow',
  },
  {
    title: 'the next day is outside',
    rules:
      '- { name: a, effect: allow, actions: ["*"], hours: { from: "13:00", to: "14:00", zone: Europe/Berlin, days: [mon] } }',
    line: 'GET /info',
    at: Date.UTC(2026, 0, 5, 12) + A_DAY,
    expect: 'operation-not-allowed',
  },
  {
    title: 'a window past midnight belongs to the day it began on',
    rules: '- { name: a, effect: allow, actions: ["*"], hours: { from: "22:00", to: "06:00", days: [mon] } }',
    line: 'GET /info',
    at: Date.UTC(2026, 0, 6, 3),
    expect: 'allow',
  },
  {
    title: 'and not to the one it ends on',
    rules: '- { name: a, effect: allow, actions: ["*"], hours: { from: "22:00", to: "06:00", days: [mon] } }',
    line: 'GET /info',
    at: Date.UTC(2026, 0, 5, 3),
    expect: 'operation-not-allowed',
  },
  {
    title: 'a source inside the range is allowed',
    rules: '- { name: a, effect: allow, actions: ["*"], source: [192.0.2.0/24] }',
    line: 'GET /info',
    expect: 'allow',
  },
  {
    title: 'the same address as IPv6 is',
    rules: '- { name: a, effect: allow, actions: ["*"], source: [192.0.2.0/24] }',
    source: '::ffff:192.0.2.9',
    line: 'GET /info',
    expect: 'allow',
  },
  {
    title: 'a source beside the range is not',
    rules: '- { name: a, effect: allow, actions: ["*"], source: [192.0.2.0/24] }',
    source: '192.0.3.1',
    line: 'GET /info',
    expect: 'operation-not-allowed',
  },
  {
    title: 'a unix socket is not in a range',
    rules: '- { name: a, effect: allow, actions: ["*"], source: [0.0.0.0/0] }',
    source: 'unix',
    line: 'GET /info',
    expect: 'operation-not-allowed',
  },
  {
    title: 'a unix socket is named as such',
    rules: '- { name: a, effect: allow, actions: ["*"], source: [unix] }',
    source: 'unix',
    line: 'GET /info',
    expect: 'allow',
  },
  {
    title: 'an unreadable source is inside a denied range',
    rules:
      '- { name: a, effect: allow, actions: ["*"] }\n- { name: d, effect: deny, actions: ["*"], source: [10.0.0.0/8] }',
    source: 'nonsense',
    line: 'GET /info',
    expect: 'denied-by-policy',
  },
];

describe('decide()', () => {
  for (const row of rows) {
    it(row.title, () => {
      const decision = decideFor(
        setOf(policyOf(row.rules)),
        principal(row.who),
        callOf(row.line, row.body, row.known),
        {
          ...(row.at === undefined ? {} : { at: row.at }),
          ...(row.source === undefined ? {} : { source: row.source }),
        },
      );
      const outcome = decision.effect === 'allow' ? 'allow' : decision.reasons[0]?.code;
      assert.equal(outcome, row.expect, decision.reasons[0]?.message);
      if (row.message !== undefined) assert.match(decision.reasons[0]?.message ?? '', row.message);
      for (const { message } of decision.reasons) assert.doesNotMatch(message, /\.$|\n/);
    });
  }

  it('an allow names its rule and stamps its labels', () => {
    const set = setOf(
      policyOf(
        '- { name: mk, effect: allow, actions: [volume.create], set: { labels: { owner: "${principal.subject}" } } }',
      ),
    );
    const decision = decideFor(set, principal(), callOf('POST /volumes/create', { Name: 'v' }));
    assert.equal(decision.rule, 'p/mk');
    assert.deepEqual({ ...decision.obligations.labels }, { owner: 'alice' });
  });

  it('labels of every rule that matches are stamped, and a contradiction denies', () => {
    const rule = (name: string, labels: string) =>
      `- { name: ${name}, effect: allow, actions: [volume.create], set: { labels: ${labels} } }`;
    const call = callOf('POST /volumes/create', { Name: 'v' });
    const both = decideFor(
      setOf(policyOf(`${rule('a', '{ x: "1" }')}\n${rule('b', '{ y: "2" }')}`)),
      principal(),
      call,
    );
    assert.deepEqual({ ...both.obligations.labels }, { x: '1', y: '2' });
    const clash = decideFor(
      setOf(policyOf(`${rule('a', '{ x: "1" }')}\n${rule('b', '{ x: "2" }')}`)),
      principal(),
      call,
    );
    assert.equal(clash.reasons[0]?.code, 'rule-error');
  });

  it('a denial without any policy says so', () => {
    const decision = decideFor(setOf(''), principal(), callOf('GET /info'));
    assert.match(decision.reasons[0]?.message ?? '', /none is bound/);
  });
});

describe('PrincipalPolicies', () => {
  const needs = (rules: string, line: string, body?: unknown) =>
    setOf(policyOf(rules))
      .forPrincipal(principal())
      .needsResolution(callOf(line, body))
      .map((ref) => `${ref.kind}/${ref.name}`);

  it('PrincipalPolicies needs no look-up for rules without labels and names', () => {
    assert.deepEqual(needs('- { name: a, effect: allow, actions: ["*"] }', 'POST /containers/x/stop'), []);
    assert.deepEqual(
      needs('- { name: a, effect: allow, actions: ["*"], resources: ["container/*"] }', 'POST /containers/x/stop'),
      [],
    );
  });
  it('PrincipalPolicies needs one where names or labels are judged', () => {
    assert.deepEqual(
      needs('- { name: a, effect: allow, actions: ["*"], resources: ["container/a*"] }', 'POST /containers/x/stop'),
      ['container/x'],
    );
    assert.deepEqual(needs(OWN.replace('${principal.subject}', 'x'), 'POST /containers/x/stop'), ['container/x']);
    assert.deepEqual(
      needs(
        '- { name: a, effect: allow, actions: ["*"] }\n- { name: d, effect: deny, actions: ["*"], resources: ["container/a*"] }',
        'POST /networks/n/connect',
        { Container: 'c' },
      ),
      ['container/c'],
    );
  });
  it('PrincipalPolicies needs none for what a list or a create names', () => {
    assert.deepEqual(
      needs(
        '- { name: a, effect: allow, actions: ["*"], resources: ["container/a*", "image/*"] }',
        'POST /containers/create?name=x',
        CREATE,
      ),
      [],
    );
    assert.deepEqual(
      needs('- { name: a, effect: allow, actions: ["*"], resources: ["container/a*"] }', 'GET /containers/json'),
      [],
    );
  });
  it('mayAllow() knows from the action alone', () => {
    const policies = setOf(policyOf(RUN)).forPrincipal(principal());
    assert.equal(policies.mayAllow('container.create'), true);
    assert.equal(policies.mayAllow('container.stop'), false);
    assert.equal(
      setOf(policyOf(RUN))
        .forPrincipal(principal({ scope: ['system.*'] }))
        .mayAllow('container.create'),
      false,
    );
  });
  it('PrincipalPolicies is made once for a principal', () => {
    const set = setOf(policyOf(RUN));
    const who = principal();
    assert.equal(set.forPrincipal(who), set.forPrincipal(who));
  });
});
