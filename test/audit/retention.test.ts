// Retention: rows that are due leave as segments and are removed behind a signed anchor; what must stay stays, and the chain goes on.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import type { AuditEvent } from '../../src/audit/event.ts';
import type { RetentionSetting } from '../../src/audit/retention.ts';
import { readAnchor, readCheckpoint } from '../../src/audit/seal/checkpoint.ts';
import type { SegmentFoot, SegmentHead, SegmentRow } from '../../src/audit/segment.ts';
import { createConfig } from '../../src/config/config.ts';
import { COLUMNS, type ColumnValue, canonicalLine, chainHash, genesis } from '../../src/store/audit-row.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { type RemovedSegment, segmentsIn } from '../../src/store/retention.ts';
import { SinksThread } from '../../src/store/sinks-thread.ts';
import { until } from '../support/until.ts';
import { eventOf, inFolder } from './events.ts';
import { httpReceiver, sinksOf } from './sink-receivers.ts';

const settingOf = (folder: string, retention: Record<string, unknown>): RetentionSetting => {
  const { audit } = createConfig(
    {
      engine: 'unix:///x.sock',
      data: join(folder, 'data'),
      audit: { retention: { archive: './archive', ...retention } },
    },
    { baseDir: folder },
  );
  assert.ok(audit.retention);
  return audit.retention;
};

async function open(file: string) {
  const recorder = await openRecorder(file);
  const removed: RemovedSegment[] = [];
  const told: string[] = [];
  const tell = (data: object, message: string): void => void told.push(`${message} ${JSON.stringify(data)}`);
  const thread = new SinksThread(
    { auditFile: file, version: '1.2.3' },
    { info: tell, warn: tell, error: tell },
    {
      anchor: (seq) => recorder.anchor(seq),
      async remove(segment) {
        removed.push(segment);
        await recorder.remove(segment.last);
      },
    },
  );
  let made = 0;
  return {
    recorder,
    thread,
    removed,
    told,
    /** Calls with an outcome, made so long ago. */
    async record(count: number, agoMs: number, more: Partial<AuditEvent> = {}) {
      const at = (Date.now() - agoMs) * 1000;
      await Promise.all(
        Array.from({ length: count }, () => recorder.record(eventOf({ stage: 'complete', at: at + made++, ...more }))),
      );
    },
    async close() {
      await thread.close();
      await recorder.close();
    },
  };
}

const inDatabase = <T>(file: string, ask: (sqlite: Database.Database) => T): T => {
  const sqlite = new Database(file);
  try {
    return ask(sqlite);
  } finally {
    sqlite.close();
  }
};
const seqs = (file: string): number[] =>
  inDatabase(file, (sqlite) => sqlite.prepare('SELECT seq FROM audit_event ORDER BY seq').pluck().all() as number[]);
const span = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Reads a segment as a third party does: along its chain, and what it ends with. */
function readSegment(path: string): { head: SegmentHead; rows: SegmentRow[]; foot: SegmentFoot } {
  const lines = gunzipSync(readFileSync(path)).toString('utf8').trimEnd().split('\n');
  const [head, ...rest] = lines.map((line) => JSON.parse(line) as unknown);
  const foot = rest.pop() as SegmentFoot;
  const segment = { head: head as SegmentHead, rows: rest as SegmentRow[], foot };
  let prev: Buffer = Buffer.from(segment.head.prev, 'hex');
  if (segment.head.first === 1) assert.deepEqual(prev, genesis(segment.head.logId));
  for (const row of segment.rows) {
    prev = chainHash(prev, row.seq, canonicalLine(COLUMNS.map((column) => (row[column] ?? null) as ColumnValue)));
    assert.equal(prev.toString('hex'), row.hash);
  }
  assert.equal(foot.hash, prev.toString('hex'));
  assert.equal(foot.last, segment.rows.at(-1)?.seq);
  assert.equal(foot.rows, segment.rows.length);
  return segment;
}

const DAY = 86_400_000;

describe('the retention of the audit', () => {
  it(
    'exports what is older than it is kept, with a signed anchor, and removes it while the chain goes on',
    inFolder(async (file, folder) => {
      const at = await open(file);
      try {
        await at.record(1200, 3 * DAY, { detail: { text: 'Größe\u2028"' } });
        await at.record(50, 1000);
        await at.recorder.checkpoint();
        await at.thread.apply([], settingOf(folder, { age: '1d' }));
        await until('they are removed', () => seqs(file).length === 50);
        assert.deepEqual(seqs(file), span(1201, 1250));
        const archive = join(folder, 'archive');
        assert.deepEqual(segmentsIn(archive), ['audit-000000000001-000000001200.ndjson.gz']);
        const path = join(archive, segmentsIn(archive)[0] ?? '');
        const { head, foot } = readSegment(path);
        assert.equal(head.anchor, null);
        const anchor = readAnchor(foot.anchor ?? '');
        assert.equal(anchor?.seq, 1200);
        assert.equal(anchor?.hash.toString('hex'), foot.hash);
        assert.equal(readCheckpoint(foot.checkpoint ?? '')?.size, 1250);
        assert.equal(at.removed[0]?.sha256, createHash('sha256').update(readFileSync(path)).digest('hex'));
        // The rows behind the anchor follow it, and new ones follow them.
        await at.record(1, 0);
        inDatabase(file, (sqlite) => {
          const prev = sqlite.prepare('SELECT prev FROM audit_event WHERE seq = 1201').pluck().get() as Buffer;
          assert.equal(prev.toString('hex'), foot.hash);
          assert.equal(sqlite.prepare('SELECT max(seq) FROM audit_event').pluck().get(), 1251);
        });
        await until('nothing is due', () => at.thread.retention()?.dueRows === 0);
        await until('it is counted', () => at.thread.retention()?.removedRows === 1200);
        // The second segment begins where the first ended.
        await at.thread.apply([], settingOf(folder, { age: '1s' }));
        await at.recorder.checkpoint();
        await until('there is a second segment', () => segmentsIn(archive).length > 1);
        const second = readSegment(join(archive, segmentsIn(archive)[1] ?? ''));
        assert.equal(second.head.prev, foot.hash);
        assert.equal(second.head.anchor, foot.anchor);
        // The last row stays: the log goes on from it.
        assert.ok(seqs(file).length >= 1);
      } finally {
        await at.close();
      }
      const again = await openRecorder(file);
      assert.ok(await again.checkpoint(), 'the tree is there without its first rows');
      await again.close();
    }),
  );

  it(
    'keeps the first row that is held, open or not shipped yet, and all behind it, and says why',
    inFolder(async (file, folder) => {
      const receiver = await httpReceiver((answer) => {
        answer.writeHead(503).end();
        return true;
      });
      const at = await open(file);
      const isHeld = (why: RegExp, seq: number) => async () =>
        until(`${why}`, () => {
          const state = at.thread.retention();
          return why.test(state?.heldBy ?? '') && state?.heldSeq === seq;
        });
      try {
        await at.record(100, 3 * DAY);
        await at.record(1, 3 * DAY, { subject: 'mallory' });
        await at.record(100, 3 * DAY);
        await at.record(1, 3 * DAY, { resource: 'container/web', resourceId: 'c0ffee'.repeat(10) });
        await at.record(100, 3 * DAY);
        await at.record(1, 3 * DAY, { stage: 'intent' });
        await at.record(100, 3 * DAY);
        await at.recorder.checkpoint();
        const holds = [{ subject: 'mallory' }, { resource: 'container/c0ffeec0ffee' }];
        const hook = sinksOf(folder, { name: 'hook', webhook: receiver.url });
        await at.thread.apply(hook, settingOf(folder, { age: '1d', holds }));
        await isHeld(/^sink hook/, 1)();
        assert.equal(at.thread.retention()?.dueRows, 402);
        await at.thread.apply(hook, settingOf(folder, { age: '1d', holds, waitForSinks: false }));
        await isHeld(/^the hold on subject mallory$/, 101)();
        await until('they are removed', () => seqs(file)[0] === 101);
        await at.thread.apply([], settingOf(folder, { age: '1d', holds: holds.slice(1) }));
        await isHeld(/^the hold on resource container\/c0ffeec0ffee$/, 202)();
        await at.thread.apply([], settingOf(folder, { age: '1d' }));
        await isHeld(/^a call that is still open$/, 303)();
        await until('they are removed', () => seqs(file)[0] === 303);
        assert.deepEqual(seqs(file), span(303, 403));
        assert.deepEqual(
          at.removed.map(({ first, last }) => [first, last]),
          [
            [1, 100],
            [101, 201],
            [202, 302],
          ],
        );
      } finally {
        await at.close();
        await receiver.close();
      }
    }),
  );

  it(
    'removes the oldest rows of a database that is too large',
    inFolder(async (file, folder) => {
      const at = await open(file);
      try {
        for (let i = 0; i < 10; i++) await at.record(200, 1000, { detail: { text: 'x'.repeat(9000) } });
        await at.recorder.checkpoint();
        await at.thread.apply([], settingOf(folder, { size: '16MiB' }));
        await until('some are removed', () => (seqs(file)[0] ?? 0) > 1);
        await until('it is small enough', () => at.thread.retention()?.dueRows === 0 && seqs(file).length < 2000);
        assert.ok(seqs(file).length > 1000, `${seqs(file).length} are left`);
        assert.deepEqual(seqs(file).at(-1), 2000);
      } finally {
        await at.close();
      }
    }),
  );

  it(
    'exports and removes nothing that was altered, and nothing where it cannot write',
    inFolder(async (file, folder) => {
      const at = await open(file);
      try {
        await at.record(700, 3 * DAY);
        await at.recorder.checkpoint();
        inDatabase(file, (sqlite) => {
          sqlite.exec('DROP TRIGGER audit_event_no_update');
          sqlite.prepare("UPDATE audit_event SET subject = 'other' WHERE seq = 600").run();
        });
        writeFileSync(join(folder, 'file'), '');
        await at.thread.apply([], settingOf(folder, { age: '1d', archive: './file/archive' }));
        await until('it is told', () => /ENOTDIR/.test(at.thread.retention()?.fault ?? ''));
        rmSync(join(folder, 'file'));
        await at.thread.apply([], settingOf(folder, { age: '1d' }));
        await until('it is told', () => at.thread.retention()?.fault === 'row 600 is not as it was written');
        assert.equal(seqs(file).length, 700);
        assert.deepEqual(segmentsIn(join(folder, 'archive')), []);
        assert.ok(at.told.some((line) => /cannot be exported/.test(line) && /row 600/.test(line)));
      } finally {
        await at.close();
      }
    }),
  );

  it(
    'the recorder alone removes rows, up to the anchor, and a start goes on with a removal that was begun',
    inFolder(async (file) => {
      const recorder = await openRecorder(file);
      for (let i = 0; i < 300; i++) recorder.append(eventOf({ stage: 'complete' }));
      await recorder.settle();
      await recorder.checkpoint();
      const refused = (sql: string) =>
        inDatabase(file, (sqlite) => assert.throws(() => sqlite.exec(sql), /append only/));
      refused('DELETE FROM audit_event WHERE seq = 1');
      await assert.rejects(recorder.remove(200), /may not be removed/);
      await recorder.anchor(200);
      refused('DELETE FROM audit_event');
      refused('DELETE FROM audit_event WHERE seq = 201');
      refused('UPDATE audit_event SET subject = 1 WHERE seq = 1');
      await assert.rejects(recorder.remove(201), /may not be removed/);
      await assert.rejects(recorder.anchor(301), /covered by no checkpoint/);
      await recorder.remove(200);
      await recorder.close();
      const next = await openRecorder(file);
      try {
        await until('all are removed', () => seqs(file)[0] === 201);
        await next.record(eventOf());
        assert.deepEqual(seqs(file), span(201, 302).slice(0, seqs(file).length));
        await until('it is over', () =>
          inDatabase(
            file,
            (sqlite) =>
              sqlite.prepare("SELECT count(*) FROM audit_meta WHERE key = 'removing-through'").pluck().get() === 0,
          ),
        );
        assert.equal(
          inDatabase(file, (sqlite) =>
            sqlite.prepare('SELECT count(*) FROM audit_resource WHERE seq <= 200').pluck().get(),
          ),
          0,
        );
      } finally {
        await next.close();
      }
    }),
  );
});
