// Tenants are served only after one comparison of the ledger with the engine succeeded, at the start and after the event stream was
// lost: a right that is stale must not be used. The engine is a scripted STAND-IN whose lists can be made to fail.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { startTwoTenants, type TwoTenants } from '../support/tenants.ts';
import { until } from '../support/until.ts';

describe('a gateway that cannot compare its ledger with the engine', () => {
  let engine: ScriptedEngine;
  let two: TwoTenants;
  let listsFail = true;
  let streams: { end(): void }[] = [];
  before(async () => {
    engine = await startScriptedEngine((r) => {
      if (r.target.includes('/events')) {
        r.socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n');
        streams.push({ end: () => r.socket.write('0\r\n\r\n') });
        return;
      }
      if (listsFail && /^\/networks\?/.test(r.target)) r.answer(500, '{"message":"not yet"}');
      else r.answer(200, r.target.includes('/volumes') ? '{"Volumes":[]}' : '[]', ['Content-Type: application/json']);
    });
    two = await startTwoTenants('operator', { engine: engine.address.path as string });
  });
  after(async () => {
    await two?.gateway.remove();
    await engine?.close();
  });
  const list = async (api: TwoTenants['alice']): Promise<number> => (await api('GET', '/v1.44/containers/json')).status;

  it('a gateway that cannot compare its ledger with the engine refuses tenants, not others, and serves them after the first that succeeded', async () => {
    for (let i = 0; i < 3; i++) assert.ok((await list(two.alice)) >= 500, `call ${i}`);
    assert.equal(await list(two.operator), 200);
    listsFail = false;
    assert.equal(await list(two.alice), 200);
    listsFail = true;
    assert.equal(await list(two.alice), 200, 'and goes on while the events are followed');
  });

  it('a gateway that cannot compare its ledger with the engine refuses them again when the event stream was lost, until the next that succeeded', async () => {
    const old = streams;
    streams = [];
    for (const stream of old) stream.end();
    await until('tenants are refused', async () => (await list(two.alice)) >= 500);
    assert.equal(await list(two.operator), 200);
    listsFail = false;
    assert.equal(await list(two.alice), 200);
  });
});
