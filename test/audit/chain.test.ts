// The chain of hashes: altered rows are named. And the table's own refusals of changes.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import Database from 'better-sqlite3';
import { verifyChain } from '../../src/store/audit-reader.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { eventOf, fullEvent, inFolder } from './events.ts';

async function logOf(file: string, rows = 10): Promise<void> {
  const recorder = await openRecorder(file);
  for (let i = 0; i < rows; i++) recorder.append(fullEvent({ stage: 'complete' }));
  await recorder.close();
}

/** An attacker with the file and the right to write it. */
function tamper(file: string, sql: string): void {
  const raw = new Database(file);
  raw.exec('DROP TRIGGER audit_event_no_update; DROP TRIGGER audit_event_no_delete');
  raw.exec(sql);
  raw.close();
}

describe('the audit table', () => {
  const refused: readonly [string, string][] = [
    ['an UPDATE', "UPDATE audit_event SET decision = 'allow' WHERE seq = 3"],
    ['an UPDATE that changes nothing', 'UPDATE audit_event SET seq = seq'],
    ['a DELETE', 'DELETE FROM audit_event WHERE seq = 10'],
    ['a DELETE of everything', 'DELETE FROM audit_event'],
    [
      'a row without an action',
      "INSERT INTO audit_event (at, stage, audit_id, decision, detail, prev, hash) VALUES (1, 'x', 'x', 'x', '{}', x'', x'')",
    ],
  ];
  for (const [what, sql] of refused) {
    it(
      `refuses ${what}`,
      inFolder(async (file) => {
        await logOf(file);
        const raw = new Database(file);
        assert.throws(() => raw.exec(sql), /append only|NOT NULL/);
        raw.close();
        assert.deepEqual(verifyChain(file), { ok: true, rows: 10 });
      }),
    );
  }
});

describe('verifyChain()', () => {
  it(
    'finds nothing wrong with an empty log, one row, and many',
    inFolder(async (file) => {
      for (const rows of [0, 1, 2000]) {
        await logOf(file, rows);
        assert.equal(verifyChain(file).ok, true);
      }
      assert.equal(verifyChain(file).rows, 2001);
    }),
  );
  const copyRow = (from: number, to: number) =>
    `CREATE TEMP TABLE t AS SELECT * FROM audit_event WHERE seq = ${from}; UPDATE t SET seq = ${to}; INSERT OR REPLACE INTO audit_event SELECT * FROM t`;
  const touched: readonly [string, string, number, RegExp][] = [
    ['a changed decision', "UPDATE audit_event SET decision = 'deny' WHERE seq = 4", 4, /content/],
    ['a number changed by one', 'UPDATE audit_event SET at = at + 1 WHERE seq = 4', 4, /content/],
    ['a value taken out', 'UPDATE audit_event SET subject = NULL WHERE seq = 4', 4, /content/],
    [
      'a value moved to another column',
      'UPDATE audit_event SET tenant = subject, subject = tenant WHERE seq = 4',
      4,
      /content/,
    ],
    [
      'a number turned into the same text',
      "UPDATE audit_event SET rule = '7', policy_rev = CAST(7 AS BLOB) WHERE seq = 4",
      4,
      /content/,
    ],
    ['the first row changed', "UPDATE audit_event SET detail = '{}' WHERE seq = 1", 1, /content/],
    ['a row taken out of the middle', 'DELETE FROM audit_event WHERE seq = 5', 6, /row 5 is missing/],
    ['the first row taken out', 'DELETE FROM audit_event WHERE seq = 1', 2, /row 1 is missing/],
    [
      'a gap closed by renumbering',
      'DELETE FROM audit_event WHERE seq = 5; UPDATE audit_event SET seq = seq - 1 WHERE seq > 5',
      5,
      /follow/,
    ],
    ['a row put twice', copyRow(4, 5), 5, /follow|content/],
    [
      'two rows changing places',
      'UPDATE audit_event SET seq = 99 WHERE seq = 4; UPDATE audit_event SET seq = 4 WHERE seq = 5; UPDATE audit_event SET seq = 5 WHERE seq = 99',
      4,
      /follow/,
    ],
    ['a row added with a made-up hash', copyRow(10, 11), 11, /follow/],
    ['another log id', "UPDATE audit_meta SET value = 'x' WHERE key = 'log-id'", 1, /follow/],
    ['no log id', "DELETE FROM audit_meta WHERE key = 'log-id'", 1, /follow/],
  ];
  for (const [what, sql, firstBadSeq, reason] of touched) {
    it(
      `finds ${what}`,
      inFolder(async (file) => {
        await logOf(file);
        tamper(file, sql);
        const report = verifyChain(file);
        assert.equal(report.ok, false);
        assert.equal(report.firstBadSeq, firstBadSeq);
        assert.match(report.reason ?? '', reason);
      }),
    );
  }
  it(
    'cannot find a tail that was cut off: that takes a checkpoint kept elsewhere',
    inFolder(async (file) => {
      await logOf(file);
      tamper(file, 'DELETE FROM audit_event WHERE seq > 7');
      assert.deepEqual(verifyChain(file), { ok: true, rows: 7 });
    }),
  );
  it(
    'two logs with the same events have different chains',
    inFolder(async (file, folder) => {
      const event = eventOf();
      const hashes: string[] = [];
      for (const name of [file, `${folder}/other.db`]) {
        const recorder = await openRecorder(name);
        await recorder.record(event);
        await recorder.close();
        const raw = new Database(name);
        hashes.push(raw.prepare('SELECT hex(hash) FROM audit_event').pluck().get() as string);
        raw.close();
      }
      assert.notEqual(hashes[0], hashes[1]);
    }),
  );
});
