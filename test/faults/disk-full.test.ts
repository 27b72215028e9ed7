// No room for the audit: the whole program answers 503 and sends nothing to the engine, what was acknowledged before is
// kept, and it serves again when there is room. A file size limit stands for the full disk: that needs no rights.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openAuditReader, verifyChain } from '../../src/store/audit-reader.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { HttpsCaller } from '../support/https-caller.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

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

  it('a gateway whose audit finds no room answers 503 with a reason, and the engine sees only what is recorded', async () => {
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

describe('a gateway on a full disk', () => {
  it('a gateway on a full disk ends credentials all the same, is not ready, says why, and goes on when there is room', async (t) => {
    const disk = mkdtempSync(join(tmpdir(), 'dg-full-'));
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', disk]).status !== 0) {
      rmSync(disk, { recursive: true });
      t.skip('needs the right to mount a small file system');
      return;
    }
    const engine = await startScriptedEngine((r) => {
      if (r.target.includes('/events'))
        r.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n');
      else r.answer(200, '[]', ['Content-Type: application/json']);
    });
    const gateway = await startGateway({ engine: engine.address.path as string, dir: disk });
    const callers: HttpsCaller[] = [];
    const callerOf = (token: string) => {
      const caller = new HttpsCaller(gateway, token);
      callers.push(caller);
      return caller;
    };
    const ballast = join(disk, 'ballast');
    try {
      await gateway.must('identity', 'create', 'op', '--policy', 'operator');
      await gateway.must('identity', 'create', 'late', '--policy', 'operator');
      const op = callerOf(await gateway.must('token', 'create', 'op'));
      const other = callerOf(await gateway.must('token', 'create', 'op'));
      const late = callerOf(await gateway.must('token', 'create', 'late'));
      const list = (caller: HttpsCaller) => caller.call('GET', '/containers/json');
      for (const caller of [op, other, late]) assert.equal((await list(caller)).status, 200);
      const streams = [op, other, late].map(async (caller) => {
        const answer = await caller.open('GET', '/events');
        const ended = new Promise<string>((resolve) =>
          answer.on('close', () => resolve('ended')).on('error', () => {}),
        );
        answer.resume();
        return { ended };
      });
      const ends = (await Promise.all(streams)).map(({ ended }) => ended);
      const [token] = JSON.parse(await gateway.must('token', 'list', '--identity', 'op', '--json')) as { id: string }[];

      fill(ballast);
      const refused = await until('a refusal', async () => {
        fill(ballast);
        const answer = await list(op);
        return answer.status === 503 ? answer : undefined;
      });
      assert.match(refused.message, /the disk is full/);
      const stranger = callerOf('');
      assert.equal((await stranger.call('GET', '/readyz')).status, 503);
      assert.equal((await stranger.call('GET', '/healthz')).status, 200);
      assert.match(gateway.log(), /"reason":"the audit log cannot be written[^"]*the disk is full/);
      assert.equal(
        gateway.log().match(/calls are refused: the audit log cannot be written/g)?.length,
        1,
        'not at each call',
      );

      await gateway.must('token', 'revoke', token?.id ?? '');
      fill(ballast);
      await gateway.must('identity', 'disable', 'late');
      await ends[2];
      await Promise.race([ends[0], ends[1]]);
      // What was set aside has been given up and is room for a while: until it is gone.
      await until('what gives rights to be refused', async () => {
        fill(ballast);
        return (await gateway.dockgate('token', 'create', 'op')).code !== 0;
      });

      truncateSync(ballast, 0);
      await until('it to be ready', async () => (await stranger.call('GET', '/readyz')).status === 200);
      const after = await Promise.all([op, other, late].map(list));
      assert.deepEqual(after.map(({ status }) => status).sort(), [200, 401, 401], 'the token, and the identity');
      await until('the log to say so', () => /the audit log can be written again/.test(gateway.log()));
      await gateway.stop('SIGKILL');
      await gateway.restart();
      for (const caller of callers.splice(0)) caller.close();
      const rows = JSON.parse(await gateway.must('audit', 'ls', '--json', '--limit', '200')) as { action: string }[];
      const count = (action: string) => rows.filter((row) => row.action === action).length;
      assert.deepEqual([count('token.revoke'), count('identity.disable')], [1, 1]);
      // The room that was set aside may have ended the outage for a moment.
      assert.ok(count('audit.resumed') >= 1);
      assert.equal((await list(callerOf(''))).status, 401);
    } finally {
      for (const caller of callers) caller.close();
      await gateway.stop('SIGKILL');
      await engine.close();
      spawnSync('umount', [disk]);
      rmSync(disk, { recursive: true, force: true });
    }
  });
});

/** Takes all the room there is. */
function fill(file: string): void {
  for (let size = 1 << 20; size >= 512; size >>= 1) {
    for (;;) {
      const before = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
      try {
        appendFileSync(file, Buffer.alloc(size));
      } catch {
        break;
      }
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) === before) break;
    }
  }
}
