// Who reads how much of the audit, over the program's own listener with real tokens; and that reading is recorded without a flood.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Database from 'better-sqlite3';
import { LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';

let engine: ScriptedEngine;
let at: EmbeddedTestGateway;
const tokens = new Map<string, string>();
const context = () => ({ by: LOCAL_OPERATOR, auditId: at.gateway.admin.newAuditId() });

before(async () => {
  engine = await startScriptedEngine((r) => r.answer(200, '[]', ['Content-Type: application/json']));
  at = await openEmbedded(engine.url);
  for (const [name, policies, tenant] of [
    ['op2', ['operator'], undefined],
    ['eyes', ['reviewer'], undefined],
    ['red-admin', ['baseline', 'reviewer'], 'red'],
    ['red-ci', ['baseline'], 'red'],
    ['blue-ci', ['baseline'], 'blue'],
    ['ann', ['reader'], undefined],
  ] as const) {
    await at.gateway.admin.createIdentity(
      { name, groups: [], policies: [...policies], ...(tenant === undefined ? {} : { tenant }) },
      context(),
    );
    tokens.set(name, (await at.gateway.admin.createToken({ identity: name, ttlMs: 600_000 }, context())).token);
  }
  const narrow = await at.gateway.admin.createToken(
    { identity: 'eyes', ttlMs: 600_000, scope: ['class:read'] },
    context(),
  );
  tokens.set('eyes-narrow', narrow.token);
  for (const name of ['red-ci', 'blue-ci', 'ann', 'red-admin']) await get(name, '/containers/json');
});
after(async () => {
  await at.close();
  await engine.close();
});

async function get(who: string, path: string, method = 'GET') {
  const response = await fetch(`http://127.0.0.1:${at.port}${path}`, {
    method,
    headers: { authorization: `Bearer ${tokens.get(who)}` },
  });
  const text = await response.text();
  return { status: response.status, text, json: JSON.parse(text || '{}') as Record<string, unknown> };
}
interface Event {
  readonly subject?: string;
  readonly tenant?: string;
  readonly auditId: string;
  readonly hash?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}
const events = async (who: string, query = ''): Promise<readonly Event[]> => {
  const { status, json, text } = await get(who, `/dockgate/v1/audit?limit=500${query}`);
  assert.equal(status, 200, text);
  return json.events as readonly Event[];
};
const subjects = (all: readonly Event[]): string[] => [...new Set(all.map(({ subject }) => subject ?? ''))].sort();

test('operators and reviewers read all of the audit, a tenant’s reviewers their tenant’s part, others their own calls', async () => {
  for (const who of ['op2', 'eyes']) {
    const seen = subjects(await events(who));
    for (const other of ['red-ci', 'blue-ci', 'ann', 'local'])
      assert.ok(seen.includes(other), `${who}: ${seen.join()}`);
  }
  assert.deepEqual(subjects(await events('red-admin')), ['red-admin', 'red-ci']);
  for (const who of ['red-ci', 'blue-ci', 'ann']) assert.deepEqual(subjects(await events(who)), [who]);
  assert.deepEqual(subjects(await events('eyes', '&mine=true')), ['eyes']);
});

test('a filter widens no scope', async () => {
  assert.deepEqual(await events('red-ci', '&subject=blue-ci'), []);
  assert.deepEqual(await events('red-admin', '&tenant=blue'), []);
  assert.deepEqual(await events('red-admin', '&text=blue'), []);
  assert.equal((await get('red-ci', '/dockgate/v1/audit?after=0')).status, 403);
});

test('a token for less than its identity may sees the calls made with it', async () => {
  const seen = await events('eyes-narrow');
  assert.deepEqual(
    subjects(seen).filter((one) => one !== 'eyes'),
    [],
  );
  assert.ok(seen.length < (await events('eyes', '&mine=true')).length);
});

test('one call is shown to those who may list it, and is unknown to the rest', async () => {
  const [call] = await events('eyes', '&subject=red-ci&action=container.list');
  assert.ok(call);
  for (const [who, status] of [
    ['eyes', 200],
    ['red-admin', 200],
    ['red-ci', 200],
    ['blue-ci', 404],
    ['ann', 404],
  ] as const) {
    assert.equal((await get(who, `/dockgate/v1/audit/${call.auditId}`)).status, status, who);
    assert.equal(
      (await get(who, `/dockgate/v1/audit/${call.auditId.slice(0, 30)}`)).status,
      status,
      `${who}, its beginning`,
    );
  }
  const own = await get('red-ci', `/dockgate/v1/audit/${call.auditId}`);
  assert.doesNotMatch(own.text, /"(hash|prev|policyRev|issuer|origin)"/);
  assert.match((await get('eyes', `/dockgate/v1/audit/${call.auditId}`)).text, /"hash"/);
});

test('a reviewer changes nothing, and reads nothing but the audit', async () => {
  for (const [method, path] of [
    ['GET', '/identities'],
    ['GET', '/status'],
    ['GET', '/metrics'],
    ['GET', '/tokens'],
    ['POST', '/reload'],
    ['POST', '/audit'],
    ['DELETE', '/audit/0199f2c4'],
    ['GET', '/audit/0199f2c4/x'],
    ['GET', '/audit/..%2fidentities'],
  ] as const) {
    for (const who of ['eyes', 'red-admin', 'ann']) {
      const { status, json } = await get(who, `/dockgate/v1${path}`, method);
      assert.deepEqual([status, json.code], [403, 'admin-forbidden'], `${who} ${method} ${path}`);
    }
  }
  // What is about the log as a whole is for those who may read all of it.
  for (const path of ['/audit/export', '/audit/verify', '/audit/integrity', '/audit/checkpoint', '/audit/public-key'])
    for (const [who, status] of [
      ['eyes', 200],
      ['red-admin', 403],
      ['ann', 403],
    ] as const) {
      const response = await fetch(`http://127.0.0.1:${at.port}/dockgate/v1${path}`, {
        headers: { authorization: `Bearer ${tokens.get(who)}` },
      });
      assert.equal(response.status, status, `${who} ${path}: ${await response.text()}`);
    }
  assert.equal((await get('eyes', '/containers/json')).status, 403);
  assert.equal((await get('eyes', '/version')).status, 200);
});

test('reading is recorded: a new question at once, the same again with how often', async () => {
  const reads = async () =>
    (await at.rows()).filter(({ action, subject }) => action === 'audit.read' && subject === 'blue-ci');
  const before = (await reads()).length;
  for (let i = 0; i < 20; i++) await events('blue-ci', '&code=plugin-denied');
  await events('blue-ci', '&code=host-field-denied');
  await at.gateway.admin.settleAudit();
  const now = await reads();
  assert.deepEqual(
    now.slice(before).map(({ detail }) => [detail?.read, detail?.code]),
    [
      ['list', 'plugin-denied'],
      ['list', 'host-field-denied'],
    ],
  );
});

test('what was asked again in the last minute is told at a stop', async () => {
  const other = await openEmbedded(engine.url);
  const token = await other.token('often');
  for (let i = 0; i < 5; i++) {
    const answer = await fetch(`http://127.0.0.1:${other.port}/dockgate/v1/audit?code=plugin-denied`, {
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(answer.status, 200, await answer.text());
  }
  await other.stop();
  const log = new Database(join(other.data, 'audit.db'), { readonly: true });
  const details = log.prepare("SELECT detail FROM audit_event WHERE action = 'audit.read'").pluck().all() as string[];
  log.close();
  assert.deepEqual(
    details.map((detail) => (JSON.parse(detail) as { again?: number }).again),
    [undefined, 4],
  );
  await other.close();
});
