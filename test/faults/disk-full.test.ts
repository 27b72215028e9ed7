// No room for the audit: the whole program answers 503 and sends nothing to the engine, what was acknowledged before is
// kept, and it serves again when there is room. A file size limit stands for the full disk: that needs no rights.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openAuditReader, verifyChain } from '../../src/store/audit-reader.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { HttpsCaller } from '../support/https-caller.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';

describe('a gateway whose audit finds no room', () => {
  let engine: ScriptedEngine;
  let gateway: TestGateway;
  let caller: HttpsCaller;
  before(async () => {
    engine = await startScriptedEngine((r) =>
      r.answer(r.method === 'POST' ? 201 : 200, '{"Id":"x","Warnings":[]}', ['Content-Type: application/json']),
    );
    gateway = await startGateway({
      engine: engine.address.path as string,
      // 512-byte blocks or 1 KiB ones, by the shell: half a megabyte to one.
      wrap: "trap '' XFSZ; ulimit -f 1024",
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    caller = new HttpsCaller(gateway, await gateway.must('token', 'create', 'op'));
  });
  after(async () => {
    caller?.close();
    await gateway?.remove();
    await engine?.close();
  });

  it('answers 503 with a reason, and the engine sees only what is recorded', async () => {
    const body = { Image: 'busybox', Labels: { fill: 'x'.repeat(12_000) } };
    const acknowledged: string[] = [];
    let refused: Awaited<ReturnType<HttpsCaller['call']>> | undefined;
    for (let i = 0; i < 2000 && refused === undefined; i++) {
      const answer = await caller.call('POST', `/containers/create?name=n${i}`, body);
      if (answer.status === 201) acknowledged.push(answer.auditId);
      else refused = answer;
    }
    assert.equal(refused?.status, 503, refused?.body);
    assert.match(refused?.message ?? '', /^the audit log cannot be written, so the call is refused .*\[audit /);
    assert.doesNotMatch(refused?.message ?? '', /audit\.db/);
    const seen = engine.requests.filter((r) => r.method === 'POST').length;
    assert.equal(seen, acknowledged.length, 'the engine received a call that was refused');
    assert.equal(gateway.process.exitCode, null);
    const stranger = new HttpsCaller(gateway, '');
    assert.equal((await stranger.call('GET', '/healthz')).status, 200);
    stranger.close();
    await gateway.stop('SIGKILL');
    const file = join(gateway.dir, 'data', 'audit.db');
    const reader = openAuditReader(file);
    const stored = new Set(reader.list({ limit: 100_000 }).map((row) => row.auditId));
    reader.close();
    assert.deepEqual(
      acknowledged.filter((id) => !stored.has(id)),
      [],
    );
    assert.equal(verifyChain(file).ok, true);
  });
});
