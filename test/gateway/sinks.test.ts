// Sinks of a whole gateway: named in the settings, fed while it serves, seen in metrics and status, changed by a reload, and gone on with
// after kill -9. The engine is a scripted STAND-IN.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { openAuditReader } from '../../src/store/audit-reader.ts';
import { httpReceiver, linesOf } from '../audit/sink-receivers.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { HttpsCaller } from '../support/https-caller.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

describe('a gateway with sinks', () => {
  let engine: ScriptedEngine;
  let gateway: TestGateway;
  let receiver: Awaited<ReturnType<typeof httpReceiver>>;
  let isUp = true;
  let token: string;
  before(async () => {
    engine = await startScriptedEngine((r) => r.answer(200, '[]', ['Content-Type: application/json']));
    receiver = await httpReceiver((answer) => {
      if (isUp) return false;
      answer.writeHead(503).end();
      return true;
    });
    gateway = await startGateway({
      engine: engine.address.path as string,
      settings: { audit: { sinks: [{ name: 'hook', webhook: receiver.url, batchRows: 50 }] } },
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    token = await gateway.must('token', 'create', 'op');
  });
  after(async () => {
    await gateway?.remove();
    await engine?.close();
    await receiver?.close();
  });

  const calls = async (count: number): Promise<void> => {
    const caller = new HttpsCaller(gateway, token, 1);
    for (let i = 0; i < count; i++) assert.equal((await caller.call('GET', '/v1.47/containers/json')).status, 200);
    caller.close();
  };
  const stored = () => {
    const reader = openAuditReader(join(gateway.dir, 'data', 'audit.db'));
    try {
      return reader.list({ limit: 100_000, oldestFirst: true });
    } finally {
      reader.close();
    }
  };
  const status = async () =>
    (
      JSON.parse(await gateway.must('status', '--json')) as {
        sinks: { name: string; lagRows: number; failures: number }[];
      }
    ).sinks;

  it('a receiver that is down costs calls nothing and loses nothing, also over kill -9', async () => {
    isUp = false;
    await calls(20);
    const failing = await until('it is told', async () => (await status()).find(({ failures }) => failures > 0));
    assert.ok(failing.lagRows > 0);
    assert.match(await gateway.must('status'), /hook \(webhook\), [0-9]+ rows behind: the receiver answered 503/);
    isUp = true;
    await until('some arrived', () => receiver.taken.length > 0);
    const working = calls(200).catch(() => undefined);
    await until('more arrived', () => receiver.taken.length > 2);
    const ended = once(gateway.process, 'exit');
    gateway.process.kill('SIGKILL');
    await ended;
    await working;
    await gateway.restart();
    await calls(5);
    await until('all arrived', async () => {
      const rows = stored();
      return new Set(receiver.seqs()).size >= rows.length;
    });
    // In order but for what is sent again from a row on, and each as it is stored.
    const seqs = receiver.seqs();
    let most = 0;
    for (const [index, seq] of seqs.entries()) {
      assert.ok(seq === (seqs[index - 1] ?? 0) + 1 || seq <= most, `row ${seq} came after ${seqs[index - 1]}`);
      most = Math.max(most, seq);
    }
    const sent = new Map(
      receiver.taken.flatMap(({ body }) =>
        body
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as { seq: number; hash: string })
          .map(({ seq, hash }) => [seq, hash] as const),
      ),
    );
    for (const { seq, hash } of stored()) if (seq <= most) assert.equal(sent.get(seq), hash);
  });

  it('a reload adds and removes sinks', async () => {
    const out = join(gateway.dir, 'out.ndjson');
    const settings = parse(readFileSync(gateway.configFile, 'utf8')) as Record<string, unknown>;
    const write = (sinks: object[]) => writeFileSync(gateway.configFile, stringify({ ...settings, audit: { sinks } }));
    write([{ name: 'disk', file: out, format: 'native' }]);
    await gateway.must('reload');
    await until('disk is the only sink', async () => (await status()).map(({ name }) => name).join() === 'disk');
    await until('the file has all', () => {
      const rows = stored();
      return linesOf(out).length >= rows.length;
    });
    assert.deepEqual(
      linesOf(out)
        .slice(0, 10)
        .map(({ seq }) => seq),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    write([{ name: 'disk', file: out, batchRows: 0 }]);
    const refused = await gateway.dockgate('reload');
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /audit\.sinks\[0\]\.batchRows: must be a whole number of rows from 1 to 2000/);
    write([]);
    await gateway.must('reload');
    assert.deepEqual(await status(), []);
  });
});
