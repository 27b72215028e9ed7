// What a tenant's list of containers asks of the engine: its own alone, whatever others have. Against a scripted STAND-IN, which
// shows what was asked.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';

const JSON_TYPE = ['Content-Type: application/json'];
const idOf = (n: number) => n.toString(16).padStart(2, '0').repeat(32);

describe("a tenant's list of containers", () => {
  let engine: ScriptedEngine;
  let at: EmbeddedTestGateway;
  let made = 0;
  const tokens = new Map<string, string>();
  before(async () => {
    engine = await startScriptedEngine((r) => {
      if (r.method === 'POST') r.answer(201, JSON.stringify({ Id: idOf(++made), Warnings: [] }), JSON_TYPE);
      else if (r.target.includes('/images/'))
        r.answer(200, '{"Id":"sha256:1","RepoTags":["busybox:latest"]}', JSON_TYPE);
      else if (/containers\/[0-9a-f]{64}\/json/.test(r.target)) r.answer(200, '{"Mounts":[]}', JSON_TYPE);
      else if (r.target.includes('/version'))
        r.answer(200, '{"ApiVersion":"1.51","MinAPIVersion":"1.24","Components":[{"Name":"Engine"}]}', JSON_TYPE);
      else r.answer(200, r.target.includes('/volumes') ? '{"Volumes":[]}' : '[]', JSON_TYPE);
    });
    at = await openEmbedded(engine.url);
    for (const name of ['red', 'blue']) {
      const context = { by: LOCAL_OPERATOR, auditId: at.gateway.admin.newAuditId() };
      await at.gateway.admin.createIdentity({ name, tenant: name, groups: [], policies: ['operator'] }, context);
      tokens.set(name, (await at.gateway.admin.createToken({ identity: name, ttlMs: 600_000 }, context)).token);
    }
  });
  after(async () => {
    await at?.close();
    await engine?.close();
  });

  const call = async (who: string, method: string, path: string, body = '') => {
    const caller = at.connect();
    const type = body === '' ? '' : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
    caller.send(
      `${method} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokens.get(who)}\r\n${type}\r\n${body}`,
    );
    const answer = await caller.answer();
    caller.destroy();
    return answer;
  };
  /** Ids the engine was asked for. */
  const asked = async (who: string, query = '') => {
    const from = engine.requests.length;
    assert.equal((await call(who, 'GET', `/containers/json${query}`)).status, 200);
    const list = engine.requests.slice(from).find(({ target }) => target.includes('/containers/json'));
    const filters = new URL(`http://x${list?.target}`).searchParams.get('filters');
    return JSON.parse(filters ?? '{}') as Record<string, Record<string, true>>;
  };

  it("a tenant's list of containers asks the engine for its own, and for none where it owns none", async () => {
    assert.deepEqual(await asked('red'), { id: { ['0'.repeat(64)]: true } });
    for (const who of ['red', 'blue', 'red']) {
      const answer = await call(who, 'POST', '/containers/create', '{"Image":"busybox"}');
      assert.equal(answer.status, 201, answer.body);
    }
    assert.deepEqual(Object.keys((await asked('red')).id ?? {}), [idOf(1), idOf(3)]);
    assert.deepEqual(Object.keys((await asked('blue')).id ?? {}), [idOf(2)]);
  });

  it("a tenant's list of containers keeps the caller's filters, and reads its ids among its own", async () => {
    const filters = (value: object) => `?all=1&filters=${encodeURIComponent(JSON.stringify(value))}`;
    assert.deepEqual(await asked('red', filters({ status: ['running'], label: { a: true } })), {
      status: { running: true },
      label: { a: true },
      id: { [idOf(1)]: true, [idOf(3)]: true },
    });
    for (const [ids, own] of [
      [['01'], [idOf(1)]],
      [['02'], ['0'.repeat(64)]],
      [['0'], ['0'.repeat(64)]],
      [[idOf(3), '0303'], [idOf(3)]],
      [
        ['01', '02', '03'],
        [idOf(1), idOf(3)],
      ],
    ] as const)
      assert.deepEqual(Object.keys((await asked('red', filters({ id: ids }))).id ?? {}), own, ids.join());
  });
});
