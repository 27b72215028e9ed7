// The gateway killed with kill -9 while callers are in mid-call, then started again: no call that was acknowledged, and none
// the engine saw, is without its intent row; what was open is closed as unknown. The engine is a scripted STAND-IN that
// remembers every call it received.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openAuditReader, verifyChain } from '../../src/store/audit-reader.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { HttpsCaller } from '../support/https-caller.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

describe('a gateway killed with kill -9 in mid-call', () => {
  let engine: ScriptedEngine;
  let gateway: TestGateway;
  let token: string;
  let held = 0;
  before(async () => {
    engine = await startScriptedEngine(async (r) => {
      if (!r.target.includes('/create')) {
        r.answer(200, 'OK');
        return;
      }
      await r.body.catch(() => {});
      // Every fourth call is never answered: it is open when the gateway dies.
      if (++held % 4 === 0) return;
      r.answer(201, '{"Id":"x","Warnings":[]}', ['Content-Type: application/json']);
    });
    gateway = await startGateway({ engine: engine.address.path as string });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    token = await gateway.must('token', 'create', 'op');
  });
  after(async () => {
    await gateway?.remove();
    await engine?.close();
  });

  it('lost no acknowledged call, and the next start closes what was open as unknown', async () => {
    const acknowledged: { name: string; auditId: string }[] = [];
    for (let round = 0; round < 1; round++) {
      const callers = Array.from({ length: 16 }, () => new HttpsCaller(gateway, token, 1));
      let stop = false;
      let n = 0;
      const work = callers.map(async (caller) => {
        while (!stop) {
          const name = `r${round}-${n++}`;
          try {
            const answer = await caller.call('POST', `/v1.47/containers/create?name=${name}`, { Image: 'busybox' });
            if (answer.status === 201) acknowledged.push({ name, auditId: answer.auditId });
          } catch {
            return;
          }
        }
      });
      const before = acknowledged.length;
      // Some are answered, and enough stand open.
      await until('work under way', () => acknowledged.length > before + 10 && held % 4 < 4);
      const ended = once(gateway.process, 'exit');
      gateway.process.kill('SIGKILL');
      await ended;
      stop = true;
      for (const caller of callers) caller.close();
      await Promise.all(work);

      const file = join(gateway.dir, 'data', 'audit.db');
      const reader = openAuditReader(file);
      const rows = reader.list({ limit: 100_000 });
      reader.close();
      const intents = new Set(rows.filter((r) => r.stage === 'intent').map((r) => r.auditId));
      assert.deepEqual(
        acknowledged.filter(({ auditId }) => !intents.has(auditId)),
        [],
        'a caller was told of a call that is not in the audit',
      );
      const recorded = new Set(
        rows.filter((r) => r.stage === 'intent').map((r) => String(JSON.stringify(r.detail?.query ?? {}))),
      );
      const unknown = engine.requests
        .filter((r) => r.target.includes('/create'))
        .map((r) => new URLSearchParams(r.target.split('?')[1]).get('name'))
        .filter((name) => ![...recorded].some((query) => query.includes(`"${name}"`)));
      assert.deepEqual(unknown, [], 'the engine received a call that is not in the audit');

      await gateway.restart();
      const again = openAuditReader(file);
      const after = again.list({ limit: 100_000 });
      again.close();
      const done = new Set(after.filter((r) => r.stage === 'complete').map((r) => r.auditId));
      assert.deepEqual(
        [...intents].filter((id) => !done.has(id)),
        [],
        'an intent is still open after the restart',
      );
      assert.ok(
        after.some((r) => r.code === 'outcome-unknown'),
        'nothing was open when it was killed',
      );
      assert.equal(verifyChain(file).ok, true);
      // It serves again, and the token is still good.
      const caller = new HttpsCaller(gateway, token);
      assert.equal((await caller.call('GET', '/_ping')).status, 200);
      caller.close();
    }
  });
});
