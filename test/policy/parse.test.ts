// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policies hold places of this form
// Reading documents: every fault at once, each with its place and what would be right.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import { compilePolicies } from '../../src/policy/compile.ts';
import { parseDocuments } from '../../src/policy/policy.ts';

const HEAD = 'apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: p }\n';
const RULE = '{ name: a, effect: allow, actions: [container.list] }';
const withRule = (more: string) =>
  `${HEAD}rules:\n  - { name: a, effect: allow, actions: [container.create], ${more} }\n`;

const faults: [title: string, source: string, token: string, message: RegExp][] = [
  [
    'a misspelt key',
    `${HEAD}rules:\n  - { name: a, efect: allow, actions: [container.list] }\n`,
    'efect: allow, ac',
    /rules\[0\] has an unknown key "efect"; did you mean effect\?/,
  ],
  [
    'a misspelt action',
    `${HEAD}rules:\n  - name: a\n    effect: allow\n    actions: [container.lst]\n`,
    'container.lst]',
    /unknown action container\.lst; did you mean container\.list\?/,
  ],
  [
    'a pattern that stands for nothing',
    `${HEAD}rules:\n  - { name: a, effect: allow, actions: ["contaner.*"] }\n`,
    '"contaner.*"] }',
    /unknown action contaner/,
  ],
  [
    'an action that is never served',
    `${HEAD}rules:\n  - { name: a, effect: allow, actions: [debug.pprof] }\n`,
    'debug.pprof] }',
    /debug\.pprof is never served/,
  ],
  [
    'a pattern over actions that are never served',
    `${HEAD}rules:\n  - { name: a, effect: deny, actions: ["podman.*"] }\n`,
    '"podman.*"] }',
    /podman\.\* is never served/,
  ],
  [
    'an unknown class',
    `${HEAD}rules:\n  - { name: a, effect: allow, actions: ["class:reads"] }\n`,
    '"class:reads"] }',
    /write class:read, class:write or class:admin/,
  ],
  [
    'an effect in another case',
    `${HEAD}rules:\n  - { name: a, effect: Allow, actions: [container.list] }\n`,
    'Allow, actions:',
    /is "Allow"; write allow or deny; did you mean allow\?/,
  ],
  [
    'a rule without actions',
    `${HEAD}rules:\n  - { name: a, effect: allow }\n`,
    '{ name: a, effec',
    /rules\[0\] has no actions; write actions: \[container\.list\]/,
  ],
  [
    'two rules of one name',
    `${HEAD}rules:\n  - ${RULE}\n  - ${RULE}\n`,
    '  - { name: a, e',
    /already a rule a on line 5/,
  ],
  ['no rules', HEAD, 'apiVersion: dock', /needs rules/],
  ['no kind', 'metadata: { name: p }\n', 'metadata: { name', /has no kind/],
  ['another kind', 'kind: Polcy\n', 'Polcy', /did you mean Policy\?/],
  [
    'another version',
    `${HEAD.replace('v1', 'v2')}rules: [${RULE}]\n`,
    'dockgate/v2',
    /apiVersion is "dockgate\/v2"; write dockgate\/v1/,
  ],
  [
    'a name with capitals',
    `${HEAD.replace('name: p', 'name: My Policy')}rules: [${RULE}]\n`,
    'My Policy }',
    /write 1 to 63 of a-z/,
  ],
  [
    'a key that comes later',
    withRule('redact: [envs]'),
    'envs',
    /redact\[0\]: unknown part "envs"; known: env, mounts.source, health.log, networks, command, swarm.tokens, configs.data, labels:PATTERN/,
  ],
  ['a filter', withRule('filter: { labels: { a: b } }'), 'filter: { labels', /filter: not supported yet/],
  [
    'limits beside the preset',
    withRule('limits: { memory: 1GiB }'),
    'limits: { memory',
    /write host: \{preset: baseline, limits/,
  ],
  [
    'rules in a binding',
    'apiVersion: dockgate/v1\nkind: Binding\nmetadata: { name: b }\nsubjects: [{ subject: "*" }]\npolicies: [p]\nrules: []\n',
    'rules: []',
    /rules belong to a Policy/,
  ],
  [
    'a binding without a subject',
    'apiVersion: dockgate/v1\nkind: Binding\nmetadata: { name: b }\npolicies: [p]\n',
    'apiVersion: dock',
    /needs subjects/,
  ],
  ['a subject without anything', `${HEAD}subjects: [{}]\nrules: [${RULE}]\n`, '{}]', /names no principal/],
  [
    'a star in a tenant',
    `${HEAD}subjects: [{ tenant: "*" }]\nrules: [${RULE}]\n`,
    '"*" }]',
    /only subject may hold \*/,
  ],
  [
    'an unknown kind of resource',
    withRule('resources: ["contaner/x"]'),
    '"contaner/x"] }',
    /unknown kind "contaner"; did you mean container\?/,
  ],
  ['an exec as a resource', withRule('resources: ["exec/x"]'), '"exec/x"] }', /write container\/NAME/],
  [
    'a resource without a name',
    withRule('resources: [container]'),
    'container] }',
    /write container\/\* or container\/NAME/,
  ],
  [
    'a short image name',
    withRule('resources: ["image/busybox"]'),
    '"image/busybox"]',
    /write image\/docker\.io\/library\/busybox/,
  ],
  [
    'a short image name with a user',
    withRule('resources: ["image/me/app"]'),
    '"image/me/app"]',
    /write image\/docker\.io\/me\/app/,
  ],
  ['a container with a slash', withRule('resources: ["container//x"]'), '"container//x"]', /without the leading slash/],
  ['no resources at all', withRule('resources: []'), '[] }', /could never match/],
  [
    'an unknown place',
    withRule('resources: ["container/${principal.tennant}"]'),
    '"container/${pri',
    /is not known.*did you mean tenant\?/,
  ],
  [
    'a place without principal',
    withRule('resources: ["container/${tenant}"]'),
    '"container/${ten',
    /write \$\{principal\.tenant\}/,
  ],
  ['a dollar alone', withRule('resources: ["container/$x"]'), '"container/$x"]', /a \$ stands alone/],
  ['a star as a label', withRule('labels: { a: "*" }'), '{ a: "*" } }', /\* stands for itself/],
  ['a label that is a number', withRule('labels: { a: 1 }'), '1 } }', /must be text; write "1" in quotes/],
  [
    'a moment without a zone',
    withRule('notAfter: 2026-01-01T00:00:00'),
    '2026-01-01T00:00',
    /write a moment with its zone/,
  ],
  [
    'a day no month has',
    withRule('notAfter: "2026-02-30T00:00:00Z"'),
    '"2026-02-30T00:0',
    /write a moment with its zone/,
  ],
  [
    'an end before the beginning',
    withRule('notBefore: 2026-02-01T00:00:00Z, notAfter: 2026-01-01T00:00:00Z'),
    '{ name: a, effec',
    /never matches/,
  ],
  [
    'an unknown zone',
    withRule('hours: { from: "08:00", to: "18:00", zone: Mars/Base }'),
    'Mars/Base } }',
    /Mars\/Base.*write UTC/,
  ],
  [
    'a time that is none',
    withRule('hours: { from: "8", to: "18:00" }'),
    '"8", to: "18:00"',
    /write a time such as "08:00"/,
  ],
  ['a source that is no address', withRule('source: [10.0.0.0/33]'), '[10.0.0.0/33] }', /prefix length from 0 to 32/],
  ['an unknown preset', withRule('host: { preset: basline }'), 'preset: basline', /baseline/],
  ['an unknown override', withRule('host: { preset: baseline, bind: [/srv] }'), 'bind: [/srv] } }', /binds/],
  [
    'host in a deny rule',
    `${HEAD}rules:\n  - { name: a, effect: deny, actions: [container.create], host: { preset: baseline } }\n`,
    '{ preset: baseli',
    /a deny rule takes none/,
  ],
  [
    'labels stamped on a stop',
    `${HEAD}rules:\n  - { name: a, effect: allow, actions: [container.stop], set: { labels: { a: b } } }\n`,
    '{ labels: { a: b',
    /not on container\.stop/,
  ],
  ['a condition with a typo', withRule('when: ["!host.Priviledged"]'), '"!host.Priviledg', /No such key: Priviledged/],
  ['a duplicate key', `${HEAD}rules: [${RULE}]\nrules: [${RULE}]\n`, 'rules: [{ name:', /unique/],
  ['text that is no YAML', 'a: [b\n', '', /YAML/],
  ['a list as a document', '- a\n', '- a', /must be a map/],
  [
    'a test without a request',
    `${HEAD}rules: [${RULE}]\ntests: [{ name: t, expect: allow }]\n`,
    '{ name: t, expec',
    /has no request/,
  ],
];

describe('parseDocuments()', () => {
  for (const [title, source, token, message] of faults) {
    it(`parseDocuments() tells of ${title}`, () => {
      const { problems, documents } = parseDocuments(source, 'ci.yaml');
      const found = problems.find((problem) => message.test(problem.message));
      assert.ok(found !== undefined, JSON.stringify(problems, null, 1));
      const there = source.split('\n')[found.line - 1]?.slice(found.column - 1);
      assert.ok(there?.startsWith(token), `${found.message}, told at ${there}`);
      assert.equal(found.file, 'ci.yaml');
      assert.doesNotMatch(found.message, /\.$/);
      assert.equal(documents.length, 0);
    });
  }

  it('parseDocuments() tells of every fault at once', () => {
    const { problems } = parseDocuments(
      `${HEAD}rules:\n  - { nam: a, effect: alow, actions: [x.y, container.lst] }\n---\nkind: Bindng\n`,
    );
    assert.equal(problems.length, 6);
  });

  it('parseDocuments() reads several documents and keeps the text of each', () => {
    const { documents, problems } = parseDocuments(
      `# first\n${HEAD}rules: [${RULE}]\n---\n# second\napiVersion: dockgate/v1\nkind: Binding\nmetadata: { name: b }\nsubjects: [{ group: g }]\npolicies: [p]\n`,
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(
      documents.map(({ kind, name }) => `${kind}/${name}`),
      ['Policy/p', 'Binding/b'],
    );
    assert.match(documents[0]?.source ?? '', /^# first\napiVersion/);
    assert.match(documents[1]?.source ?? '', /^# second\napiVersion/);
    assert.doesNotMatch(documents[0]?.source ?? '', /Binding/);
  });

  it('parseDocuments() reads JSON', () => {
    const source = JSON.stringify({
      apiVersion: 'dockgate/v1',
      kind: 'Policy',
      metadata: { name: 'p' },
      rules: [{ name: 'a', effect: 'allow', actions: ['*'] }],
    });
    assert.deepEqual(parseDocuments(source).problems, []);
  });

  it('parseDocuments() reads nothing from nothing', () => {
    for (const source of ['', '\n', '---\n', '# only a comment\n'])
      assert.deepEqual(parseDocuments(source), { documents: [], problems: [] });
  });

  it('stops aliases that grow without end and text that nests without end', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
      .split('')
      .map((k, i) => `${k}: &${k} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`)
      .join('\n')}\n`;
    const started = performance.now();
    assert.ok(parseDocuments(bomb).problems.length > 0);
    assert.ok(parseDocuments('['.repeat(100_000)).problems.length > 0);
    assert.ok(parseDocuments('{a: '.repeat(2000)).problems.length > 0);
    // Seconds on a quiet machine, where an expanded bomb would take for ever.
    assert.ok(performance.now() - started < 60_000);
  });

  it('parseDocuments() takes __proto__ for a key like any other', () => {
    const { problems } = parseDocuments(`${HEAD}__proto__: { rules: [] }\nrules: [${RULE}]\n`);
    assert.match(problems[0]?.message ?? '', /unknown key "__proto__"/);
  });
});

describe('compilePolicies()', () => {
  const source = `${HEAD}rules: [${RULE}]\n`;
  const refuse = (documents: { kind: string; name: string; source: string }[], message: RegExp) =>
    assert.throws(
      () => compilePolicies(documents, 1),
      (error: unknown) =>
        error instanceof GatewayError && error.code === 'input-invalid' && message.test(error.message),
    );

  it('compilePolicies() names its revision and lists built-in policies first', () => {
    const set = compilePolicies([{ kind: 'Policy', name: 'p', source }], 12);
    assert.equal(set.revision, 'r12');
    assert.deepEqual(
      set
        .policies()
        .map(({ name }) => name)
        .slice(0, 5),
      ['operator', 'reader', 'reviewer', 'baseline', 'restricted'],
    );
    assert.equal(set.policies().at(-1)?.name, 'p');
    assert.equal(set.policies().at(-1)?.builtIn, false);
  });
  it('compilePolicies() tells every problem of every document', () => {
    refuse(
      [
        { kind: 'Policy', name: 'p', source: source.replace('list', 'lst') },
        { kind: 'Policy', name: 'q', source: 'kind: x' },
      ],
      /^p:4:.*\nq:1:7/s,
    );
  });
  it('compilePolicies() refuses the name of a built-in policy', () =>
    refuse([{ kind: 'Policy', name: 'baseline', source: source.replace('name: p', 'name: baseline') }], /built-in/));
  it('compilePolicies() refuses a name given twice', () =>
    refuse(
      [
        { kind: 'Policy', name: 'p', source },
        { kind: 'Policy', name: 'p', source },
      ],
      /twice/,
    ));
  it('compilePolicies() refuses a text of another name or kind', () => {
    refuse([{ kind: 'Policy', name: 'q', source }], /not of Policy q/);
    refuse([{ kind: 'Binding', name: 'p', source }], /not of Binding p/);
  });
  it('compilePolicies() refuses two documents in one', () =>
    refuse(
      [{ kind: 'Policy', name: 'p', source: `${source}---\n${source.replace('name: p', 'name: q')}` }],
      /2 were found/,
    ));
});
