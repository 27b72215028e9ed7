// The admin API over in-memory stores: who gets in, what each route does, what the audit holds before an answer goes out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADMIN_PREFIX, createAdminApp } from '../../src/admin/app.ts';
import { type AdminCaller, LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { GatewayError } from '../../src/errors.ts';
import { createFakes, type Fakes, NOW, POLICY } from './fakes.ts';

const setUp = (overrides: Parameters<typeof createFakes>[0] = {}) => {
  const fakes = createFakes(overrides);
  const app = createAdminApp(fakes.services);
  const call = async (
    method: string,
    path: string,
    body?: unknown,
    caller: AdminCaller | undefined = LOCAL_OPERATOR,
    headers: Record<string, string> = {},
  ) => {
    const response = await app.request(
      ADMIN_PREFIX + path,
      {
        method,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      },
      caller ? { caller } : {},
    );
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: text.startsWith('{') ? (JSON.parse(text) as Record<string, never>) : undefined,
    };
  };
  return { ...fakes, app, call };
};

const last = (fakes: Fakes) => fakes.audit.rows.at(-1);

test('an unknown caller of the admin API is refused, and learns nothing of routes', async () => {
  const { app, audit } = setUp();
  for (const path of ['/identities', '/no-such-route']) {
    const response = await app.request(ADMIN_PREFIX + path, {}, {});
    assert.equal(response.status, 401);
    assert.equal(response.headers.get('content-type'), 'application/problem+json');
    assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer/);
  }
  assert.deepEqual(
    audit.rows.map((row) => [row.action, row.code, row.status]),
    Array(2).fill(['admin.request', 'token-missing', 401]),
  );
});

test('an identity that is no operator is refused and audited; an operator beside it gets in', async () => {
  const { call, audit } = setUp();
  const refused = await call('GET', '/identities', undefined, { subject: 'ci', operator: false, source: '10.0.0.1' });
  assert.equal(refused.status, 403);
  assert.deepEqual(refused.json, {
    type: 'urn:dockgate:problem:admin-forbidden',
    title: 'Only an operator may do this',
    status: 403,
    detail: 'ci is no operator; the admin API needs one',
    instance: '/dockgate/v1/identities',
    code: 'admin-forbidden',
    auditId: refused.headers.get('dockgate-audit-id'),
  });
  assert.equal(audit.rows[0]?.subject, 'ci');
  assert.equal(audit.rows[0]?.decision, 'deny');
  assert.equal((await call('GET', '/identities', undefined, { subject: 'alice', operator: true })).status, 200);
});

test('an identity lives from create to delete', async () => {
  const fakes = setUp();
  const { call, calls, audit } = fakes;
  const made = await call('POST', '/identities', {
    name: 'ci',
    tenant: 'red',
    groups: ['bots'],
    policies: ['baseline'],
  });
  assert.equal(made.status, 201);
  assert.deepEqual(made.json, {
    name: 'ci',
    tenant: 'red',
    groups: ['bots'],
    policies: ['baseline'],
    disabled: false,
    createdAt: '2030-01-31T12:00:00.000Z',
    maxTtl: null,
  });
  assert.deepEqual(
    [last(fakes)?.action, last(fakes)?.resource, last(fakes)?.decision, last(fakes)?.subject, last(fakes)?.auditId],
    ['identity.create', 'identity/ci', 'allow', 'local', made.headers.get('dockgate-audit-id')],
  );
  assert.match((await call('GET', '/identities')).text, /\[\{"name":"ci"/);
  assert.equal((await call('POST', '/identities/ci/disable', {})).json?.disabled, true);
  assert.equal((await call('POST', '/tokens', { identity: 'ci' })).status, 409);
  assert.equal((await call('POST', '/identities/ci/enable', {})).json?.disabled, false);
  const token = (await call('POST', '/tokens', { identity: 'ci' })).json;
  assert.equal((await call('DELETE', '/identities/ci')).status, 204);
  assert.ok(calls.includes(`revoke ${token?.id}`));
  assert.equal(calls.filter((one) => one === 'identity-changed ci').length, 4);
  assert.equal((await call('GET', '/identities/ci')).status, 404);
  assert.ok(audit.rows.every((row) => row.stage === 'gateway'));
});

test('a token is shown once, its record without it; the audit names its id', async () => {
  const fakes = setUp();
  const { call, audit, calls } = fakes;
  await call('POST', '/identities', { name: 'ci' });
  const made = await call('POST', '/tokens', { identity: 'ci', ttl: '15m', scope: ['class:read'] });
  assert.equal(made.status, 201);
  assert.equal(made.headers.get('cache-control'), 'no-store');
  assert.equal(made.json?.token, 'head.ci.sign');
  assert.equal(made.json?.expiresAt, '2030-01-31T12:15:00.000Z');
  assert.equal(last(fakes)?.resourceId, made.json?.id);
  const listed = await call('GET', '/tokens?identity=ci');
  assert.doesNotMatch(listed.text, /head\.ci/);
  assert.doesNotMatch(JSON.stringify(audit.rows), /head\.ci/);
  const revoked = await call('DELETE', `/tokens/${made.json?.id}`);
  assert.equal(revoked.json?.state, 'revoked');
  assert.ok(calls.includes(`revoke ${made.json?.id}`));
});

test('policies are applied together, with comments kept, and come back as given', async () => {
  const { call, calls } = setUp();
  const text = `# for CI\n${POLICY('ci')}---\n${POLICY('web')}# end\n`;
  const applied = await call('POST', '/policies', {
    sources: [{ name: 'a.yaml', text }, { text: JSON.stringify({ kind: 'Binding', metadata: { name: 'b' } }) }],
  });
  assert.deepEqual(applied.json, {
    revision: 1,
    documents: [
      { kind: 'Policy', name: 'ci', change: 'created' },
      { kind: 'Policy', name: 'web', change: 'created' },
      { kind: 'Binding', name: 'b', change: 'created' },
    ],
  });
  assert.deepEqual(calls, ['policies-changed']);
  assert.equal((await call('GET', '/policies/ci')).json?.source, `# for CI\n${POLICY('ci')}`);
  const again = await call('POST', '/policies', { sources: [{ text: `# for CI\n${POLICY('ci')}` }] });
  assert.deepEqual(
    [again.json?.revision, again.json?.documents],
    [1, [{ kind: 'Policy', name: 'ci', change: 'unchanged' }]],
  );
  assert.equal((await call('DELETE', '/policies/ci')).json?.revision, 2);
  const history = (await call('GET', '/policies/ci/history')).json?.history as unknown as {
    deleted: boolean;
    revision: number;
  }[];
  assert.deepEqual(
    history.map((one) => [one.revision, one.deleted]),
    [
      [2, true],
      [1, false],
    ],
  );
  const listed = (await call('GET', '/policies')).json?.documents as unknown as { name: string }[];
  assert.deepEqual(
    listed.map((one) => one.name),
    ['operator', 'baseline', 'web', 'b'],
  );
});

test('one faulty document keeps the whole apply out', async () => {
  const fakes = setUp();
  const { call, policies, calls, audit } = fakes;
  const refused = await call('POST', '/policies', {
    sources: [{ text: POLICY('good') }, { text: POLICY('bad', 'broken: 1\n') }],
  });
  assert.equal(refused.status, 422);
  assert.equal(refused.json?.detail, 'bad: rules[0]: unknown key');
  assert.deepEqual([policies.current().documents, calls], [[], []]);
  assert.deepEqual(
    audit.rows.map((row) => [row.action, row.decision, row.code]),
    [['policy.apply', 'error', 'input-invalid']],
  );
});

test('faults found by the policy room are told in the lines of the file', async () => {
  const { call } = setUp({
    compile() {
      throw new GatewayError('input-invalid', 'a:2:7: first\nb:4:1: second\nthe set: third');
    },
  });
  const text = `# head\n\n${POLICY('a')}---\n\n\n${POLICY('b')}`;
  const refused = await call('POST', '/policies', { sources: [{ name: 'p.yaml', text }] });
  assert.deepEqual(refused.json?.problems, [
    { path: 'p.yaml:2:7', message: 'first' },
    { path: 'p.yaml:13:1', message: 'second' },
    { path: '', message: 'the set: third' },
  ]);
});

test('every fault in what is applied is told with its file and line', async () => {
  const { call, audit } = setUp();
  const text = `kind: Polcy\nmetadata: { name: x }\n---\nkind: Policy\nmetadata: {}\n---\n${POLICY('a')}---\n${POLICY('a')}---\na: [\n`;
  const refused = await call('POST', '/policies', { sources: [{ name: 'p.yaml', text }] });
  assert.equal(refused.status, 422);
  const problems = refused.json?.problems as unknown as { path: string; message: string }[];
  assert.deepEqual(problems.slice(0, 3), [
    { path: 'p.yaml:1:1', message: 'needs kind: Policy or kind: Binding' },
    { path: 'p.yaml:4:1', message: 'needs metadata.name: 1 to 63 of a-z, 0-9, dot, underscore and hyphen' },
    { path: 'p.yaml:12:1', message: 'a was already given at p.yaml:7:1' },
  ]);
  assert.equal(audit.rows.at(-1)?.code, 'input-invalid');
});

test('a policy in use and a built-in one cannot be deleted or replaced', async () => {
  const { call } = setUp();
  await call('POST', '/policies', { sources: [{ text: POLICY('ci') }] });
  await call('POST', '/identities', { name: 'bot', policies: ['ci'] });
  assert.deepEqual((await call('DELETE', '/policies/ci')).json?.detail, 'ci is bound to bot; change them first');
  assert.equal((await call('DELETE', '/policies/operator')).status, 409);
  assert.equal(
    (await call('POST', '/policies', { sources: [{ text: POLICY('operator') }] })).json?.detail,
    'operator is a built-in policy; give yours another name',
  );
  assert.equal(
    (await call('POST', '/policies', { sources: [{ text: 'kind: Binding\nmetadata: { name: ci }\n' }] })).status,
    409,
  );
  await call('DELETE', '/identities/bot');
  assert.equal((await call('DELETE', '/policies/ci')).status, 200);
});

test('nothing but the end of credentials is acknowledged while the audit cannot be written', async () => {
  const { call, audit, identities, tokens, policies } = setUp();
  await call('POST', '/identities', { name: 'ci' });
  audit.broken = true;
  const attempts: [string, string, unknown?][] = [
    ['POST', '/identities', { name: 'new' }],
    ['POST', '/identities/ci/enable', {}],
    ['DELETE', '/identities/ci'],
    ['POST', '/tokens', { identity: 'ci' }],
    ['POST', '/policies', { sources: [{ text: POLICY('p') }] }],
    ['POST', '/reload', {}],
  ];
  for (const [method, path, body] of attempts) {
    const answer = await call(method, path, body);
    assert.deepEqual([answer.status, answer.json?.code], [503, 'audit-unwritable'], path);
  }
  assert.deepEqual(
    [identities.list().map((one) => [one.name, one.disabled]), tokens.list().length, policies.current().revision],
    [[['ci', false]], 0, 0],
  );
  // A full disk must not keep credentials alive: the row is kept until it can be written.
  const answer = await call('POST', '/identities/ci/disable', {});
  assert.deepEqual([answer.status, identities.get('ci')?.disabled], [200, true]);
  assert.ok(audit.appended.some(({ action }) => action === 'identity.disable'));
});

test('a change that fails after it was recorded leaves a second row that says so', async () => {
  const { call, audit } = setUp({
    onPoliciesChanged() {
      throw new Error('boom /secret/path');
    },
  });
  const answer = await call('POST', '/policies', { sources: [{ text: POLICY('p') }] });
  assert.equal(answer.status, 500);
  assert.doesNotMatch(answer.text, /secret/);
  assert.deepEqual(
    audit.rows.map((row) => [row.action, row.decision, row.code]),
    [
      ['policy.apply', 'allow', undefined],
      ['policy.apply', 'error', 'internal'],
    ],
  );
});

test('two changes at once to one name: one is made, the other told of the conflict', async () => {
  const { call } = setUp();
  const answers = await Promise.all([
    call('POST', '/identities', { name: 'x' }),
    call('POST', '/identities', { name: 'x' }),
  ]);
  assert.deepEqual(answers.map((one) => one.status).sort(), [201, 409]);
});

const BAD_INPUT: [
  name: string,
  method: string,
  path: string,
  body: unknown,
  status: number,
  detail: RegExp,
  headers?: Record<string, string>,
][] = [
  ['an unknown route', 'GET', '/nothing', undefined, 404, /there is no GET \/dockgate\/v1\/nothing here/],
  ['a route with another method', 'PUT', '/identities', {}, 404, /there is no PUT/],
  ['a name in capitals', 'POST', '/identities', { name: 'CI' }, 422, /^name: is no identity name/],
  ['a name with a slash', 'POST', '/identities', { name: 'a/b' }, 422, /^name:/],
  ['a name too long', 'POST', '/identities', { name: 'a'.repeat(64) }, 422, /^name:/],
  ['no name', 'POST', '/identities', {}, 422, /^name: must be an identity name/],
  ['an unknown key', 'POST', '/identities', { name: 'a', admin: true }, 422, /^unknown key admin$/],
  ['a tenant with a wildcard', 'POST', '/identities', { name: 'a', tenant: '*' }, 422, /^tenant:/],
  ['groups that are text', 'POST', '/identities', { name: 'a', groups: 'b' }, 422, /^groups: must be a list/],
  [
    'an unknown policy',
    'POST',
    '/identities',
    { name: 'a', policies: ['basline'] },
    422,
    /no policy basline; did you mean baseline\?/,
  ],
  ['two faults at once', 'POST', '/identities', { name: 'A', tenant: '' }, 422, /^name: .*; tenant: /],
  ['an unknown identity', 'GET', '/identities/oprator', undefined, 404, /^there is no identity oprator$/],
  ['a token for nobody', 'POST', '/tokens', { identity: 'nobody' }, 404, /no identity nobody/],
  [
    'a ttl in words',
    'POST',
    '/tokens',
    { identity: 'op', ttl: 'long' },
    422,
    /^ttl: write a whole number and s, m, h or d/,
  ],
  ['a ttl of zero', 'POST', '/tokens', { identity: 'op', ttl: '0s' }, 422, /^ttl:/],
  ['a ttl as number', 'POST', '/tokens', { identity: 'op', ttl: 60 }, 422, /^ttl:/],
  ['a ttl of a year', 'POST', '/tokens', { identity: 'op', ttl: '365d' }, 422, /longest allowed, 168h/],
  ['an empty scope', 'POST', '/tokens', { identity: 'op', scope: [] }, 422, /^scope: an empty scope allows nothing/],
  ['a scope with a space', 'POST', '/tokens', { identity: 'op', scope: ['a b'] }, 422, /^scope\[0\]: is no scope/],
  ['an unknown token id', 'DELETE', '/tokens/x', undefined, 404, /no token x/],
  ['a body that is no JSON', 'POST', '/tokens', '{', 400, /not JSON/],
  [
    'a body of another type',
    'POST',
    '/tokens',
    '{"identity":"op"}',
    415,
    /application\/json/,
    { 'content-type': 'text/plain' },
  ],
  [
    'a form',
    'POST',
    '/reload',
    'a=b',
    415,
    /application\/json/,
    { 'content-type': 'application/x-www-form-urlencoded' },
  ],
  ['a body too large', 'POST', '/tokens', `"${'a'.repeat(4 * 1024 * 1024)}"`, 413, /larger than/],
  ['no documents', 'POST', '/policies', { sources: [{ text: '# nothing\n' }] }, 422, /no policy document/],
  ['no sources', 'POST', '/policies', { sources: [] }, 422, /at least one/],
  ['an unknown policy', 'GET', '/policies/oper', undefined, 404, /no policy oper/],
  ['history of nothing', 'GET', '/policies/x1/history', undefined, 404, /no policy x1/],
  ['deleting nothing', 'DELETE', '/policies/x1', undefined, 404, /no policy x1/],
  [
    'explaining as an unknown identity',
    'POST',
    '/explain',
    { as: 'nobody', request: { method: 'GET', target: '/_ping' } },
    404,
    /no identity nobody/,
  ],
  [
    'explaining a target that is none',
    'POST',
    '/explain',
    { as: 'op', request: { method: 'GET', target: 'x' } },
    422,
    /request.target: must be a path/,
  ],
  ['an unknown filter', 'GET', '/audit?who=me', undefined, 422, /unknown key who/],
  ['a filter twice', 'GET', '/audit?subject=a&subject=b', undefined, 400, /subject was given twice/],
  ['a decision that is none', 'GET', '/audit?decision=no', undefined, 422, /^decision: must be one of/],
  ['a moment that is none', 'GET', '/audit?since=soon', undefined, 422, /^since: write a span/],
  ['a limit beyond all', 'GET', '/audit?limit=100000', undefined, 422, /^limit: must be a whole number/],
  ['an action that is none', 'GET', '/audit?action=%25', undefined, 422, /^action:/],
  ['an unknown audit id', 'GET', '/audit/x', undefined, 404, /no call x/],
];
for (const [name, method, path, body, status, detail, headers] of BAD_INPUT) {
  test(`${name} is refused with a problem`, async () => {
    const { call, identities } = setUp();
    identities.insert({ name: 'op', groups: [], policies: [], disabled: false, createdAt: NOW });
    const answer = await call(method, path, body, LOCAL_OPERATOR, headers);
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.headers.get('content-type'), 'application/problem+json');
    assert.match(String(answer.json?.detail), detail);
    assert.doesNotMatch(String(answer.json?.detail), /\.$/);
    assert.equal(answer.json?.auditId, answer.headers.get('dockgate-audit-id'));
  });
}

test('the audit is listed, folded into calls, shown by id - and reading it is audited', async () => {
  const { call, audit } = setUp();
  const base = {
    at: NOW * 1000 + 123,
    auditId: 'a1',
    subject: 'ci',
    action: 'container.create',
    decision: 'allow' as const,
  };
  audit.append({ ...base, stage: 'intent', resource: 'container/x', rule: 'ci/run' });
  audit.append({ ...base, auditId: 'a2', stage: 'complete', decision: 'deny', code: 'host-field-denied', status: 403 });
  audit.append({ ...base, stage: 'complete', status: 201 });
  const rows = (await call('GET', '/audit')).json?.events as unknown as Record<string, unknown>[];
  assert.deepEqual(
    rows.map((row) => row.seq),
    [3, 2, 1],
  );
  assert.equal(rows[0]?.at, '2030-01-31T12:00:00.000123Z');
  const folded = (await call('GET', '/audit?fold=true&subject=ci')).json?.events as unknown as Record<
    string,
    unknown
  >[];
  assert.deepEqual(
    folded.map((row) => [row.auditId, row.status, row.resource, row.rule]),
    [
      ['a1', 201, 'container/x', 'ci/run'],
      ['a2', 403, undefined, undefined],
    ],
  );
  const denied = (await call('GET', '/audit?decision=deny&action=container.*&since=1h')).json
    ?.events as unknown as unknown[];
  assert.equal(denied.length, 1);
  assert.equal((await call('GET', '/audit?since=2030-01-31T13:00:00Z')).text, '{"events":[],"next":null}');
  const shown = (await call('GET', '/audit/a1')).json?.events as unknown as unknown[];
  assert.equal(shown.length, 2);
  assert.equal(audit.rows.filter((row) => row.action === 'audit.read').length, 5);
});

test('explain, plugins, status, metrics and reload answer', async () => {
  const { call, identities, audit } = setUp();
  identities.insert({ name: 'ci', groups: [], policies: [], disabled: false, createdAt: NOW });
  assert.equal(
    (await call('POST', '/explain', { as: 'ci', request: { method: 'GET', target: '/_ping' } })).json?.text,
    'ci may not GET /_ping',
  );
  assert.match((await call('GET', '/plugins')).text, /\[\{"name":"no-privileged"/);
  const status = (await call('GET', '/status')).json;
  assert.deepEqual(
    [status?.version, status?.policyRevision, status?.identities, status?.auditHealthy],
    ['0.0.0', 0, 1, true],
  );
  const metrics = await call('GET', '/metrics');
  assert.deepEqual(
    [metrics.text, metrics.headers.get('content-type')],
    ['dockgate_up 1\n', 'text/plain; version=0.0.4; charset=utf-8'],
  );
  assert.deepEqual((await call('POST', '/reload', {})).json, { reloaded: ['config'] });
  assert.equal(audit.rows.at(-1)?.action, 'gateway.reload');
});

test('a gateway without an explainer says so', async () => {
  const fakes = createFakes();
  assert.equal(
    await fakes.services.explain('x', { method: 'GET', target: '/' }).catch((error: { code: string }) => error.code),
    'not-found',
  );
});
