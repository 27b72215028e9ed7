// The recorder against a real file: what is acknowledged is stored, whole, in order and chained; what cannot be stored
// is refused, alone, and recovers by itself.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { AuditEvent } from '../../src/audit/event.ts';
import { openAuditReader, verifyChain } from '../../src/store/audit-reader.ts';
import { warmAuditThread } from '../../src/store/audit-thread.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { IS_DENO } from '../support/runtime.ts';
import { eventOf, fullEvent, inFolder } from './events.ts';

const unwritable = (message: RegExp) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, 'audit-unwritable');
  assert.match((error as Error).message, message);
  return true;
};

const rowsOf = (file: string) => {
  const reader = openAuditReader(file);
  try {
    return [...reader.list({ limit: 10_000 })].reverse();
  } finally {
    reader.close();
  }
};

const until = async (condition: () => boolean, ms = 5000): Promise<void> => {
  const end = performance.now() + ms;
  while (!condition()) {
    assert.ok(performance.now() < end, 'it did not come to pass in time');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

for (const thread of ['worker', 'inline'] as const) {
  describe(`openRecorder() with its writer ${thread === 'worker' ? 'in a thread' : 'inline'}`, () => {
    it(
      'stores an event with every field and one with the fewest, and gives both back as they were',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        const [full, bare] = [fullEvent(), eventOf()];
        await recorder.record(full);
        await recorder.record(bare);
        const rows = rowsOf(file);
        await recorder.close();
        const [first, second] = rows.map(({ seq: _seq, prev: _prev, hash: _hash, ...event }) => event);
        assert.deepEqual(first, full);
        assert.deepEqual(second, bare);
        assert.equal(rows[1]?.prev, rows[0]?.hash);
        assert.match(rows[0]?.hash ?? '', /^[0-9a-f]{64}$/);
      }),
    );
    it(
      'an event can be read by the time its record() resolves',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        const reader = openAuditReader(file);
        for (let i = 0; i < 20; i++) {
          const event = eventOf();
          await recorder.record(event);
          assert.equal(reader.byAuditId(event.auditId).length, 1);
        }
        reader.close();
        await recorder.close();
      }),
    );
    it(
      'keeps the order of record() and append(), without gaps, whatever the groups',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        const asked: string[] = [];
        const waiting: Promise<void>[] = [];
        for (let i = 0; i < 3000; i++) {
          const event = eventOf({ detail: { text: 'x'.repeat(i % 700) } });
          asked.push(event.auditId);
          if (i % 3 === 0) recorder.append(event);
          else waiting.push(recorder.record(event));
          if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        await Promise.all(waiting);
        await recorder.close();
        const rows = rowsOf(file);
        assert.deepEqual(
          rows.map((row) => row.auditId),
          asked,
        );
        assert.deepEqual(
          rows.map((row) => row.seq),
          asked.map((_, i) => i + 1),
        );
        assert.deepEqual(verifyChain(file), { ok: true, rows: 3000 });
      }),
    );
    it(
      'close() writes what was appended, refuses what comes later, and may be called twice',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        recorder.append(eventOf());
        const last = recorder.record(eventOf());
        await Promise.all([recorder.close(), recorder.close()]);
        await last;
        await assert.rejects(recorder.record(eventOf()), unwritable(/it is closed/));
        recorder.append(eventOf());
        assert.equal(rowsOf(file).length, 2);
      }),
    );
    it(
      'goes on with the chain where an earlier process stopped',
      inFolder(async (file) => {
        for (let i = 0; i < 3; i++) {
          const recorder = await openRecorder(file, { thread });
          await recorder.record(eventOf({ stage: 'complete' }));
          await recorder.close();
        }
        assert.deepEqual(verifyChain(file), { ok: true, rows: 3 });
      }),
    );
    it(
      'whatever an event holds, it is stored, reads the same, and its hash stands',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        const odd: [Partial<AuditEvent>, Partial<AuditEvent>?][] = [
          [{ subject: 'a\0b' }],
          [{ subject: 'line\nfeed\r\u2028' }],
          [{ subject: '😀 é 漢' }],
          [{ subject: "'; DROP TABLE audit_event; --" }],
          [{ subject: 'lone \ud800 surrogate' }, { subject: 'lone \ufffd surrogate' }],
          [{ client: 'x'.repeat(5000) }, { client: `${'x'.repeat(1023)}…` }],
          [{ durationUs: 12.7 }, { durationUs: 12 }],
          [{ bytesIn: 2 ** 52 }],
          [
            { bytesIn: Number.NaN, bytesOut: 1e300, status: Number.POSITIVE_INFINITY },
            { bytesIn: undefined, bytesOut: undefined, status: undefined },
          ],
          [{ durationUs: -0 }, { durationUs: 0 }],
          [{ detail: { big: 12345678901234567890n } }, { detail: { big: '12345678901234567890' } }],
          [{ detail: { '\ud800': '\udfff', n: 'a\0b' } }],
          [{ detail: {} }, { detail: undefined }],
          [{ detail: { toJSON: () => undefined } }, { detail: undefined }],
          [{ resource: 7 as unknown as string }, { resource: '7' }],
          [{ resource: null as unknown as string }, { resource: undefined }],
        ];
        const events = odd.map(([given]) => eventOf(given));
        await Promise.all(events.map((event) => recorder.record(event)));
        await recorder.close();
        const rows = rowsOf(file);
        for (const [i, [given, stored]] of odd.entries()) {
          for (const [field, value] of Object.entries(stored ?? given)) {
            assert.deepEqual(rows[i]?.[field as keyof AuditEvent], value, `row ${i} ${field}`);
          }
        }
        assert.deepEqual(verifyChain(file), { ok: true, rows: odd.length });
      }),
    );
    it(
      'a detail that is too large, circular or throws is replaced, and the call is recorded',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        const circular: Record<string, unknown> = {};
        circular.self = circular;
        await recorder.record(eventOf({ detail: { message: 'why', body: 'x'.repeat(20_000) } }));
        await recorder.record(eventOf({ detail: circular }));
        await recorder.record(
          eventOf({
            detail: {
              toJSON() {
                throw new Error('no');
              },
            },
          }),
        );
        await recorder.record(eventOf({ detail: { body: 'x'.repeat(16_000) } }));
        await recorder.close();
        const [large, round, throwing, fitting] = rowsOf(file).map((row) => row.detail);
        assert.equal(large?.message, 'why');
        assert.match(JSON.stringify(large?.truncated), /^{"characters":200\d\d,"sha256":"[0-9a-f]{64}"}$/);
        assert.match(String(round?.unreadable), /circular/i);
        assert.equal(throwing?.unreadable, 'Error: no');
        assert.equal(String(fitting?.body).length, 16_000);
      }),
    );
    it(
      'the largest rows there can be are written, alone and many at once',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        const huge = () =>
          fullEvent(
            Object.fromEntries(
              ['subject', 'issuer', 'tenant', 'source', 'client', 'resource', 'code', 'rule']
                .map((key) => [key, '\0'.repeat(2000)] as [string, unknown])
                .concat([['detail', { text: '\u0001"漢'.repeat(1600) }]]),
            ) as Partial<AuditEvent>,
          );
        await Promise.all(Array.from({ length: 60 }, () => recorder.record(huge())));
        await recorder.close();
        assert.deepEqual(verifyChain(file), { ok: true, rows: 60 });
      }),
    );
    it(
      'an event without what every row has is refused and harms no other',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        const good = [recorder.record(eventOf()), recorder.record(eventOf())];
        for (const bad of [{ action: undefined }, { at: Number.NaN }, { auditId: '' }, { decision: null }]) {
          await assert.rejects(
            recorder.record(eventOf(bad as unknown as Partial<AuditEvent>)),
            unwritable(/the event has no/),
          );
        }
        await Promise.all([...good, recorder.record(eventOf())]);
        assert.equal(recorder.healthy, true);
        recorder.append(eventOf({ action: undefined as unknown as string }));
        assert.equal(recorder.healthy, false, 'an outcome that is lost is told');
        await recorder.close();
        assert.equal(rowsOf(file).length, 3);
      }),
    );
    it(
      'refuses calls beyond the queue, keeps room for outcomes, and serves again when it is shorter',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread, maxQueue: 10 });
        const first = recorder.record(eventOf());
        await Promise.resolve();
        // The first is with the writer; ten more may wait.
        const waiting = Array.from({ length: 10 }, () => recorder.record(eventOf()));
        await assert.rejects(recorder.record(eventOf()), unwritable(/too many rows wait/));
        for (let i = 0; i < 10; i++) recorder.append(eventOf({ stage: 'complete' }));
        assert.equal(recorder.healthy, true);
        recorder.append(eventOf({ stage: 'complete' }));
        assert.equal(recorder.healthy, false);
        await Promise.all([first, ...waiting]);
        await recorder.record(eventOf());
        assert.equal(recorder.healthy, true);
        await recorder.close();
        const rows = rowsOf(file);
        const lost = rows.find((row) => row.action === 'audit.lost');
        assert.equal(lost?.detail?.rows, 1);
        assert.equal(rows.length, 1 + 10 + 10 + 1 + 1);
      }),
    );
    it(
      'refuses when the file was deleted under it, and serves again when it is back',
      inFolder(async (file, folder) => {
        const recorder = await openRecorder(file, { thread });
        await recorder.record(eventOf());
        mkdirSync(join(folder, 'aside'));
        const parts = ['audit.db', 'audit.db-wal', 'audit.db-shm'];
        for (const part of parts) renameSync(join(folder, part), join(folder, 'aside', part));
        await assert.rejects(recorder.record(eventOf()), unwritable(/cannot be written/));
        recorder.append(eventOf({ stage: 'complete', code: 'kept' }));
        await assert.rejects(recorder.record(eventOf()), unwritable(/cannot be written/));
        assert.equal(recorder.healthy, false);
        for (const part of parts) {
          rmSync(join(folder, part), { force: true });
          try {
            renameSync(join(folder, 'aside', part), join(folder, part));
          } catch {
            // the log needed no write-ahead file any more
          }
        }
        await recorder.record(eventOf());
        assert.equal(recorder.healthy, true);
        await recorder.close();
        const rows = rowsOf(file);
        assert.ok(
          rows.some((row) => row.code === 'kept'),
          'the outcome waited',
        );
        assert.equal(verifyChain(file).ok, true);
      }),
    );
    it(
      'refuses to go on in another log that was put in its place',
      inFolder(async (file, folder) => {
        const other = join(folder, 'other.db');
        await (await openRecorder(other, { thread })).close();
        const recorder = await openRecorder(file, { thread });
        await recorder.record(eventOf());
        rmSync(`${file}-wal`, { force: true });
        rmSync(`${file}-shm`, { force: true });
        renameSync(other, file);
        await assert.rejects(recorder.record(eventOf()), unwritable(/replaced/));
        await assert.rejects(recorder.record(eventOf()), unwritable(/another log/));
        await recorder.close();
        assert.equal(rowsOf(file).length, 0);
      }),
    );
    it(
      'outcomes that could not be written are tried again without a further call',
      inFolder(async (file, folder) => {
        const recorder = await openRecorder(file, { thread });
        await recorder.record(eventOf());
        const blocker = new Database(file);
        // Another process makes the table refuse rows, as a full disk would.
        blocker.exec("CREATE TRIGGER full BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'no room'); END");
        recorder.append(eventOf({ stage: 'complete' }));
        await until(() => !recorder.healthy);
        blocker.exec('DROP TRIGGER full');
        blocker.close();
        await until(() => recorder.healthy);
        await recorder.close();
        assert.equal(rowsOf(file).length, 2);
        assert.ok(folder);
      }),
    );
    it(
      'close() says so when rows could not be written, and lets go of the file',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        const blocker = new Database(file);
        blocker.exec("CREATE TRIGGER full BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'no room'); END");
        recorder.append(eventOf({ stage: 'complete' }));
        await assert.rejects(recorder.close(), unwritable(/1 rows were still to be written/));
        blocker.close();
      }),
    );
    it(
      'closes calls that an earlier process left open, once each, as they were decided',
      inFolder(async (file) => {
        const first = await openRecorder(file, { thread });
        const [done, open, streaming, refused] = [
          fullEvent({ status: undefined, durationUs: undefined, code: undefined }),
          fullEvent({ subject: 'left', status: undefined, durationUs: undefined, code: undefined }),
          eventOf({ subject: 'streaming' }),
          eventOf({ decision: 'deny', subject: 'refused' }),
        ];
        await first.record(done);
        await first.record(open);
        await first.record({ ...open, at: open.at + 1 });
        await first.record(streaming);
        await first.record({ ...streaming, stage: 'stream-open' });
        await first.record({ ...done, stage: 'complete', status: 204 });
        await first.record({ ...refused, stage: 'complete' });
        await first.record(refused);
        await first.record(eventOf({ stage: 'gateway', action: 'gateway.start' }));
        await first.close();
        let orphans = -1;
        const second = await openRecorder(file, {
          thread,
          onOrphans: (count) => {
            orphans = count;
          },
        });
        assert.equal(orphans, 2);
        await second.close();
        const closed = rowsOf(file).filter((row) => row.code === 'outcome-unknown');
        assert.deepEqual(closed.map((row) => row.auditId).sort(), [open.auditId, streaming.auditId].sort());
        const [row] = closed.filter((one) => one.auditId === open.auditId);
        assert.equal(row?.stage, 'complete');
        assert.equal(row?.subject, 'left');
        assert.equal(row?.decision, 'allow');
        assert.equal(row?.resource, open.resource);
        assert.equal(row?.status, undefined);
        assert.ok((row?.at ?? 0) > 0);
        let again = -1;
        await (
          await openRecorder(file, {
            thread,
            onOrphans: (count) => {
              again = count;
            },
          })
        ).close();
        assert.equal(again, 0);
        assert.equal(verifyChain(file).ok, true);
      }),
    );
    it(
      'finds a call left open long ago among thousands that ended',
      inFolder(async (file) => {
        const first = await openRecorder(file, { thread });
        const old = eventOf({ subject: 'old' });
        await first.record(old);
        for (let i = 0; i < 12; i++) {
          const group: Promise<void>[] = [];
          for (let k = 0; k < 500; k++) {
            const event = eventOf();
            first.append(event);
            group.push(first.record({ ...event, stage: 'complete' }));
          }
          await Promise.all(group);
        }
        const late = eventOf({ subject: 'late' });
        await first.record(late);
        await first.close();
        let orphans = -1;
        await (
          await openRecorder(file, {
            thread,
            onOrphans: (count) => {
              orphans = count;
            },
          })
        ).close();
        assert.equal(orphans, 2);
        assert.deepEqual(
          rowsOf(file)
            .filter((row) => row.code === 'outcome-unknown')
            .map((row) => row.subject)
            .sort(),
          ['late', 'old'],
        );
      }),
    );
  });
}

describe('openRecorder() whose thread dies', () => {
  it(
    'refuses who waits, keeps outcomes, and serves again with a new thread, each row once',
    inFolder(async (file) => {
      const workers: Worker[] = [];
      const on = Worker.prototype.on;
      Worker.prototype.on = function (this: Worker, ...args: Parameters<typeof on>) {
        if (!workers.includes(this)) workers.push(this);
        return on.apply(this, args);
      } as typeof on;
      try {
        const recorder = await openRecorder(file);
        await recorder.record(eventOf());
        const asked: AuditEvent[] = [];
        const settled: Promise<PromiseSettledResult<void>[]>[] = [];
        for (let round = 0; round < 5; round++) {
          const events = Array.from({ length: 50 }, () => eventOf());
          const waiting = Promise.allSettled(events.map((event) => recorder.record(event)));
          const outcomes = Array.from({ length: 20 }, () => eventOf({ stage: 'complete', subject: 'kept' }));
          for (const event of outcomes) recorder.append(event);
          asked.push(...outcomes);
          settled.push(waiting);
          await new Promise((resolve) => setTimeout(resolve, round));
          await workers.at(-1)?.terminate();
          await waiting;
        }
        await recorder.record(eventOf());
        assert.equal(recorder.healthy, true);
        await recorder.close();
        const kept = rowsOf(file)
          .filter((row) => row.subject === 'kept')
          .map((row) => row.auditId);
        assert.deepEqual(
          kept,
          asked.map((event) => event.auditId),
        );
        assert.equal(verifyChain(file).ok, true);
        const refusals = (await Promise.all(settled)).flat().filter((one) => one.status === 'rejected');
        for (const { reason } of refusals) unwritable(/its writer died/)(reason);
        assert.ok(workers.length > 1);
      } finally {
        Worker.prototype.on = on;
      }
    }),
  );
});

describe('a thread started in advance', () => {
  it(
    'writes the file it is given, and the next recorder has one of its own',
    inFolder(async (file) => {
      warmAuditThread();
      warmAuditThread();
      const first = await openRecorder(file);
      await first.record(eventOf());
      const other = `${file}-2`;
      const second = await openRecorder(other);
      await Promise.all([first.record(eventOf()), second.record(eventOf())]);
      assert.deepEqual([rowsOf(file).length, rowsOf(other).length], [2, 1]);
      await Promise.all([first.close(), second.close()]);
    }),
  );

  it('a thread started in advance keeps no process alive that has nothing else to do', () => {
    const source = new URL('../../src/store/audit-thread.ts', import.meta.url).href;
    const script = `import('${source}').then(({ warmAuditThread }) => warmAuditThread())`;
    const args = IS_DENO ? ['eval', script] : ['--input-type=module', '--eval', script];
    const ran = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
    assert.equal(ran.status, 0, ran.stderr);
  });
});
