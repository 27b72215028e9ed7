// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policies hold places of this form
// Explain, lint, policy tests, differences and the import of a socket proxy's switches.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compilePolicies } from '../../src/policy/compile.ts';
import { diffPolicies, renderDiff } from '../../src/policy/diff.ts';
import { explain, renderExplanation } from '../../src/policy/explain.ts';
import { importSocketProxyEnv } from '../../src/policy/import-socket-proxy.ts';
import { lintDocuments } from '../../src/policy/lint.ts';
import { parseDocuments } from '../../src/policy/policy.ts';
import { runPolicyTests } from '../../src/policy/run-tests.ts';
import type { Principal } from '../../src/policy/types.ts';
import { callOf, decideFor, type Known, NOW, policyOf, principal, setOf } from './support.ts';

const explainFor = (rules: string, line: string, body?: unknown, who: Partial<Principal> = {}, known: Known = {}) => {
  const caller = principal(who);
  const call = callOf(line, body, known);
  return explain(setOf(policyOf(rules)).forPrincipal(caller), { principal: caller, call, source: 'unix', at: NOW });
};

describe('explain()', () => {
  const RULES =
    '- { name: run, effect: allow, actions: [container.create], resources: ["container/ci-*", "image/*"], host: { preset: baseline } }\n- { name: look, effect: allow, actions: [container.list] }\n- { name: never, effect: deny, actions: [container.create], source: [10.0.0.0/8] }';
  const body = { Image: 'x', HostConfig: { Privileged: true } };

  it('explain() gives each rule and why it did not match', () => {
    const { steps, decision } = explainFor(RULES, 'POST /containers/create?name=ci-1', body);
    assert.equal(decision.effect, 'deny');
    assert.deepEqual(
      steps.map(({ rule, outcome, stage }) => [rule, outcome, stage]),
      [
        ['never', 'not-matched', 'source'],
        ['run', 'not-matched', 'host'],
        ['look', 'not-matched', 'action'],
      ],
    );
    assert.equal(steps[1]?.field, 'HostConfig.Privileged');
  });
  it('offers the nearest change', () => {
    assert.match(
      explainFor(RULES, 'POST /containers/create?name=web', { Image: 'x' }).nearest[0] ?? '',
      /p\/run: add container\/web to the rule's resources/,
    );
    assert.match(
      explainFor(RULES, 'GET /info').nearest[0] ?? '',
      /add system\.info to an allow rule of a bound policy, or bind a built-in one that does: operator, reader, baseline/,
    );
    assert.match(
      explainFor(RULES, 'GET /containers/json', undefined, { scope: [] }).nearest[0] ?? '',
      /a token whose scope holds container\.list/,
    );
    assert.match(
      explainFor(
        '- { name: d, effect: deny, actions: ["*"] }\n- { name: a, effect: allow, actions: ["*"] }',
        'GET /info',
      ).nearest[0] ?? '',
      /take system\.info out of the deny rule p\/d/,
    );
    assert.match(
      explainFor(RULES, 'GET /info', undefined, { policies: ['gone'] }).nearest[0] ?? '',
      /policy gone.*apply a policy of that name/,
    );
  });
  it('a change offered makes the call pass', () => {
    const fixed = RULES.replace('"container/ci-*"', '"container/ci-*", "container/web"');
    assert.equal(explainFor(fixed, 'POST /containers/create?name=web', { Image: 'x' }).decision.effect, 'allow');
  });
  it('explain() tells an operator what the caller is not told', () => {
    const { decision, steps } = explainFor(
      '- { name: own, effect: allow, actions: [container.stop], labels: { o: "${principal.subject}" } }',
      'POST /containers/x/stop',
    );
    assert.equal(decision.reasons[0]?.message, 'No such container: x');
    assert.match(steps[0]?.message ?? '', /does not carry its labels.*o=alice/);
  });
  it('explain() reads as text without control characters', () => {
    const text = renderExplanation(explainFor(RULES, 'POST /containers/create?name=web', { Image: 'x' }));
    assert.match(text, /^DENY {2}alice {2}container\.create \(ContainerCreate\)\n/);
    assert.match(text, /no {2}allow p\/run {2}resources: query\.name names container "web"/);
    assert.match(text, /to allow {2}for rule p\/run/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f]/);
  });
});

const lint = (yaml: string) => {
  const { documents, problems } = parseDocuments(yaml, 'ci.yaml');
  assert.deepEqual(problems, []);
  return lintDocuments(documents).map(({ code, rule, message }) => `${code} ${rule ?? ''} ${message}`);
};
const BINDING = 'apiVersion: dockgate/v1\nkind: Binding\nmetadata: { name: b }\nsubjects: [{ group: g }]\n';

describe('lintDocuments()', () => {
  const rows: [title: string, yaml: string, found: RegExp | undefined][] = [
    [
      'an escalating action without host',
      policyOf('- { name: a, effect: allow, actions: [container.create] }'),
      /^escalates-without-host a .*container\.create.*host: \{preset: baseline\}/,
    ],
    [
      'nothing with host',
      policyOf('- { name: a, effect: allow, actions: [container.create], host: { preset: baseline } }'),
      undefined,
    ],
    ['everything allowed', policyOf('- { name: a, effect: allow, actions: ["*"] }'), /^everything-allowed/],
    [
      'nothing when it is acknowledged',
      policyOf('- { name: a, effect: allow, actions: ["*"] }').replace(
        '{ name: p }',
        '{ name: p, acknowledges: [host-access] }',
      ),
      undefined,
    ],
    [
      'an upload allowed by a pattern',
      policyOf('- { name: a, effect: allow, actions: ["container.*"], host: { preset: baseline } }'),
      /^opaque-by-wildcard.*container\.archive\.write/,
    ],
    [
      'a rule a deny covers',
      policyOf(
        '- { name: a, effect: allow, actions: [container.list] }\n- { name: d, effect: deny, actions: ["container.*"] }',
      ),
      /^covered-by-deny a .*rule d denies/,
    ],
    [
      'nothing when the deny has conditions',
      policyOf(
        '- { name: a, effect: allow, actions: [container.list] }\n- { name: d, effect: deny, actions: ["container.*"], source: [unix] }',
      ),
      undefined,
    ],
    [
      'a rule another one covers',
      policyOf(
        '- { name: a, effect: allow, actions: ["class:read"] }\n- { name: b, effect: allow, actions: [container.list] }',
      ).replace('{ name: p }', '{ name: p, acknowledges: [host-access] }'),
      /^redundant b .*rule a/,
    ],
    [
      'a create without a pattern for its image',
      policyOf(
        '- { name: a, effect: allow, actions: [container.create], resources: ["container/ci-*"], host: { preset: baseline } }',
      ),
      /^never-matches a .*image.*add image\/\*/,
    ],
    [
      'nothing with one',
      policyOf(
        '- { name: a, effect: allow, actions: [container.create], resources: ["container/ci-*", "image/*"], host: { preset: baseline } }',
      ),
      undefined,
    ],
    [
      'a connect with one end',
      policyOf(
        '- { name: a, effect: allow, actions: [network.connect], resources: ["network/*"], host: { preset: baseline } }',
      ),
      /^never-matches a .*container/,
    ],
    [
      'a resource no action touches',
      policyOf('- { name: a, effect: allow, actions: [container.list], resources: ["image/*"] }'),
      /^never-matches/,
    ],
    [
      'labels on a create',
      policyOf('- { name: a, effect: allow, actions: [volume.create], labels: { a: b }, host: { preset: baseline } }'),
      /^never-matches a .*volume\.create/,
    ],
    [
      'labels on a list',
      policyOf('- { name: a, effect: allow, actions: [container.list], labels: { a: b } }'),
      /^never-matches a .*container\.list/,
    ],
    [
      'a deny that takes the prune with it',
      policyOf(
        '- { name: a, effect: allow, actions: [container.list] }\n- { name: d, effect: deny, actions: [container.prune], resources: ["container/prod-*"] }',
      ),
      /^labels-of-many d /,
    ],
    ['a binding to nothing', `${BINDING}policies: [basline]\n`, /^policy-unknown .*did you mean baseline\?/],
    ['nothing for a binding to a built-in policy', `${BINDING}policies: [baseline]\n`, undefined],
    [
      'a name taken by a built-in policy',
      policyOf('- { name: a, effect: allow, actions: [container.list] }', 'reader'),
      /^name-taken/,
    ],
  ];
  for (const [title, yaml, found] of rows) {
    it(`lintDocuments() finds ${title}`, () => {
      const findings = lint(yaml);
      if (found === undefined) assert.deepEqual(findings, []);
      else
        assert.ok(
          findings.some((finding) => found.test(finding)),
          findings.join('\n') || 'nothing',
        );
    });
  }
});

describe('runPolicyTests()', () => {
  const report = (yaml: string) => {
    const { documents, problems } = parseDocuments(yaml);
    assert.deepEqual(problems, []);
    return runPolicyTests(compilePolicies(documents, 1), documents);
  };
  const LIST = policyOf('- { name: a, effect: allow, actions: [container.list] }');
  it('runPolicyTests() passes what is as expected', () => {
    const { ok, results } = report(
      `${LIST}tests:\n  - { name: lists, request: { method: GET, path: /v1.43/containers/json }, expect: allow }\n  - { name: no info, request: { method: GET, path: /info }, expect: deny, code: operation-not-allowed }\n`,
    );
    assert.ok(ok);
    assert.deepEqual(
      results.map(({ passed }) => passed),
      [true, true],
    );
  });
  it('fails what is not, and says what came', () => {
    const { ok, results } = report(
      `${LIST}tests:\n  - { name: t, request: { method: GET, path: /info }, expect: allow }\n`,
    );
    assert.ok(!ok);
    assert.match(results[0]?.message ?? '', /expected allow, got deny: denied: no policy/);
  });
  it('fails another code', () => {
    const { results } = report(
      `${LIST}tests:\n  - { name: t, request: { method: GET, path: /info }, expect: deny, code: host-field-denied }\n`,
    );
    assert.match(results[0]?.message ?? '', /expected the code host-field-denied, got operation-not-allowed/);
  });
  it('runPolicyTests() takes an unknown call for a denial', () => {
    const { results } = report(
      `${LIST}tests:\n  - { name: t, request: { method: GET, path: /nothing }, expect: deny, code: operation-unknown }\n`,
    );
    assert.ok(results[0]?.passed, results[0]?.message);
  });
  it('runPolicyTests() knows the objects of a test and no others', () => {
    const own = policyOf(
      '- { name: own, effect: allow, actions: [container.stop], labels: { o: "${principal.tenant}" } }',
    );
    const test = (labels: string, expect: string) =>
      `${own}tests:\n  - name: t\n    principal: { tenant: red }\n    request: { method: POST, path: /containers/web/stop }\n    objects: [{ resource: container/web, labels: ${labels} }]\n    expect: ${expect}\n`;
    assert.ok(report(test('{ o: red }', 'allow')).ok);
    assert.ok(report(test('{ o: blue }', 'deny')).ok);
  });

  const HOSTILE: [title: string, rules: string, loses: RegExp | undefined][] = [
    [
      'a create without host',
      '- { name: a, effect: allow, actions: [container.create] }',
      /rule a lets pass a privileged container/,
    ],
    [
      'a create without host under names of its own',
      '- { name: a, effect: allow, actions: [container.create], resources: ["container/ci-*", "image/*"], hours: { from: "02:00", to: "03:00" } }',
      /privileged container/,
    ],
    [
      'a create with a place that cannot be filled',
      '- { name: a, effect: allow, actions: [container.create], labels: { x: "${principal.claims.rare}" } }',
      /privileged container/,
    ],
    [
      'a create by the preset privileged',
      '- { name: a, effect: allow, actions: [container.create], host: { preset: privileged } }',
      /privileged container/,
    ],
    ['a volume create without host', '- { name: a, effect: allow, actions: [volume.create] }', /a volume of the root/],
    [
      'the swarm',
      '- { name: a, effect: allow, actions: ["swarm.*"] }',
      /lets pass swarm\.init \(POST \/swarm\/init\); take swarm\.init out/,
    ],
    [
      'nothing by the preset baseline',
      '- { name: a, effect: allow, actions: [container.create, volume.create, network.create, container.exec.create, build.run], host: { preset: baseline } }',
      undefined,
    ],
    [
      'nothing when a deny stands before it',
      '- { name: a, effect: allow, actions: [volume.create] }\n- { name: d, effect: deny, actions: [volume.create], when: ["size(body.DriverOpts) > 0"] }',
      undefined,
    ],
    [
      'a deny that hours limit',
      '- { name: a, effect: allow, actions: [volume.create] }\n- { name: d, effect: deny, actions: [volume.create], hours: { from: "02:00", to: "03:00" } }',
      /a volume of the root/,
    ],
  ];
  for (const [title, rules, loses] of HOSTILE) {
    it(`the hostile set gets past ${title}`, () => {
      const { hostile, ok } = report(policyOf(rules));
      if (loses === undefined)
        assert.deepEqual(
          hostile.map(({ message }) => message),
          [],
        );
      else {
        assert.ok(!ok);
        assert.ok(
          hostile.some(({ message }) => loses.test(message)),
          hostile.map(({ message }) => message).join('\n') || 'nothing',
        );
      }
    });
  }
  it('a policy that acknowledges host access comes into force', () => {
    const yaml = policyOf('- { name: a, effect: allow, actions: ["*"] }').replace(
      '{ name: p }',
      '{ name: p, acknowledges: [host-access] }',
    );
    assert.ok(report(yaml).ok);
  });
});

describe('diffPolicies()', () => {
  const A = policyOf(
    '- { name: a, effect: allow, actions: [container.list] }\n- { name: b, effect: allow, actions: [container.stop] }',
  );
  it('diffPolicies() tells rules added, removed and changed', () => {
    const B = policyOf(
      '- { name: a, effect: allow, actions: ["container.l*"] }\n- { name: c, effect: deny, actions: [container.kill] }',
    );
    const diff = diffPolicies(setOf(A), setOf(B));
    assert.deepEqual(diff.documents, [{ kind: 'Policy', name: 'p', change: 'changed' }]);
    assert.deepEqual(
      diff.rules.map(({ rule, change, gained, lost }) => [rule, change, gained, lost]),
      [
        ['a', 'changed', ['container.logs'], []],
        ['b', 'removed', [], ['container.stop']],
        ['c', 'added', ['container.kill'], []],
      ],
    );
    assert.equal(
      renderDiff(diff),
      '~ Policy/p\n  ~ allow a: actions\n      + container.logs\n  - allow b\n      - container.stop\n  + deny c\n      + container.kill\n',
    );
  });
  it('diffPolicies() finds nothing where only comments and places differ', () => {
    assert.ok(diffPolicies(setOf(A), setOf(`# a comment\n\n${A}`)).isSame);
  });
  it('diffPolicies() tells documents added and removed', () => {
    const other = policyOf('- { name: a, effect: allow, actions: [container.list] }', 'q');
    assert.deepEqual(
      diffPolicies(setOf(A), setOf(other)).documents.map(({ name, change }) => [name, change]),
      [
        ['p', 'removed'],
        ['q', 'added'],
      ],
    );
  });
  it('diffPolicies() tells a change of the host preset', () => {
    const with_ = (preset: string) =>
      policyOf(`- { name: a, effect: allow, actions: [container.create], host: { preset: ${preset} } }`);
    assert.deepEqual(diffPolicies(setOf(with_('baseline')), setOf(with_('restricted'))).rules[0]?.keys, ['host']);
  });
});

describe('importSocketProxyEnv()', () => {
  const decideAs = (env: string, line: string, body?: unknown) => {
    const { source } = importSocketProxyEnv(env);
    const { problems } = parseDocuments(source);
    assert.deepEqual(problems, []);
    return decideFor(setOf(source), principal({ policies: ['socket-proxy'] }), callOf(line, body)).effect;
  };
  const rows: [env: string, line: string, expect: 'allow' | 'deny', body?: unknown][] = [
    ['', 'GET /_ping', 'allow'],
    ['', 'GET /events', 'allow'],
    ['EVENTS=0', 'GET /events', 'deny'],
    ['', 'GET /containers/json', 'deny'],
    ['CONTAINERS=1', 'GET /containers/json', 'allow'],
    ['CONTAINERS=1', 'POST /containers/x/stop', 'deny'],
    ['CONTAINERS=1', 'GET /containers/x/archive?path=/etc/shadow', 'deny'],
    ['CONTAINERS=1', 'GET /containers/x/attach/ws', 'deny'],
    ['CONTAINERS=1\nPOST=1', 'POST /containers/x/stop', 'allow'],
    ['CONTAINERS=1\nPOST=1', 'DELETE /containers/x', 'allow'],
    ['CONTAINERS=1\nPOST=1', 'POST /containers/create', 'allow', { Image: 'x' }],
    ['CONTAINERS=1\nPOST=1', 'POST /containers/create', 'deny', { Image: 'x', HostConfig: { Privileged: true } }],
    ['CONTAINERS=1 POST=0 ALLOW_START=1', 'POST /containers/x/start', 'allow'],
    ['CONTAINERS=1 POST=0 ALLOW_START=1', 'POST /containers/x/stop', 'deny'],
    ['ALLOW_RESTARTS=1', 'POST /containers/x/kill', 'allow'],
    ['ALLOW_STOP=true', 'POST /containers/x/stop', 'allow'],
    ['IMAGES=1 POST=1', 'POST /images/create?fromImage=x&tag=1', 'allow'],
    ['IMAGES=1 POST=1', 'POST /images/create?fromSrc=-&repo=x', 'deny'],
    ['IMAGES=1 POST=1', 'POST /images/load', 'deny'],
    ['GRPC=1 SESSION=1 POST=1', 'POST /grpc', 'deny'],
    ['PLUGINS=1 POST=1', 'POST /plugins/pull?remote=x&name=x', 'deny'],
    ['      - CONTAINERS=1', 'GET /containers/json', 'allow'],
    ['environment:\n      CONTAINERS: 1', 'GET /containers/json', 'allow'],
    ['export CONTAINERS="1" # look', 'GET /containers/json', 'allow'],
    ['-e CONTAINERS=1', 'GET /containers/json', 'allow'],
  ];
  for (const [env, line, expect, body] of rows) {
    it(`${JSON.stringify(env)} ${expect === 'allow' ? 'opens' : 'leaves shut'} ${line}${body === undefined ? '' : ` ${JSON.stringify(body)}`}`, () => {
      assert.equal(decideAs(env, line, body), expect);
    });
  }
  it('importSocketProxyEnv() says what it tightened and what it did not know', () => {
    const { notes } = importSocketProxyEnv('CONTAINERS=1\nPOST=1\nGRPC=1\nCONTAINRES=1\nINFO=maybe\nnonsense\n');
    for (const about of [
      /container\.create.*baseline/,
      /build\.control; it is left out/,
      /CONTAINRES is not known/,
      /INFO has a value/,
      /line 6 is no switch/,
    ]) {
      assert.ok(
        notes.some((note) => about.test(note)),
        `${about}: ${notes.join('\n')}`,
      );
    }
  });
  it('importSocketProxyEnv() gives a policy that passes the hostile set with every switch on', () => {
    const all =
      'AUTH BUILD COMMIT CONFIGS CONTAINERS DISTRIBUTION EVENTS EXEC GRPC IMAGES INFO NETWORKS NODES PING PLUGINS SECRETS SERVICES SESSION SWARM SYSTEM TASKS VERSION VOLUMES POST';
    const { documents } = parseDocuments(
      importSocketProxyEnv(
        all
          .split(' ')
          .map((name) => `${name}=1`)
          .join('\n'),
      ).source,
    );
    assert.deepEqual(
      runPolicyTests(compilePolicies(documents, 1), documents).hostile.map(({ message }) => message),
      [],
    );
  });
});

describe('the seccomp profile unconfined', () => {
  const policy = (metadata: string) =>
    `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: debug${metadata} }\nrules:\n  - { name: run, effect: allow, actions: [container.create], host: { preset: baseline, seccompProfiles: [unconfined] } }\n`;

  it('the seccomp profile unconfined is listed only by a policy that acknowledges it', () => {
    assert.match(parseDocuments(policy('')).problems[0]?.message ?? '', /acknowledges: \[seccomp-unconfined\]/);
    assert.match(
      parseDocuments(policy(', acknowledges: [host-access]')).problems[0]?.message ?? '',
      /acknowledges: \[seccomp-unconfined\]/,
    );
    assert.deepEqual(parseDocuments(policy(', acknowledges: [seccomp-unconfined]')).problems, []);
  });

  it('acknowledged, opens nothing else of the hostile set', () => {
    const { documents } = parseDocuments(policy(', acknowledges: [seccomp-unconfined]'));
    assert.deepEqual(runPolicyTests(compilePolicies(documents, 1), documents).hostile, []);
    const wide = policy(', acknowledges: [seccomp-unconfined]').replace('preset: baseline', 'capabilities: [ALL]');
    const read = parseDocuments(wide).documents;
    assert.notEqual(runPolicyTests(compilePolicies(read, 1), read).hostile.length, 0);
  });
});

describe('lintDocuments() on writable folders', () => {
  const findings = (binds: string) =>
    lintDocuments(
      parseDocuments(
        policyOf(
          `- { name: r, effect: allow, actions: [container.create], host: { preset: baseline, binds: ${binds} } }`,
        ),
      ).documents,
    ).map(({ message }) => message);
  for (const [title, binds, found] of [
    [
      'warns of links where everything below is open',
      '[{ path: /srv/ci, subpaths: true }]',
      /link.*followed to any path/,
    ],
    ['is silent on a folder by itself', '[/srv/ci]', undefined],
    ['is silent on a read-only folder', '[{ path: /srv/ci, readOnly: true }]', undefined],
    [
      'tells of a folder inside a writable one',
      '[/srv, { path: /srv/ro, readOnly: true }]',
      /can never mount \/srv\/ro/,
    ],
  ] as const) {
    it(title, () => {
      if (found === undefined) assert.deepEqual(findings(binds), []);
      else assert.match(findings(binds)[0] ?? '', found);
    });
  }
});
