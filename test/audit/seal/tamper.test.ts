// Every way to alter a log, made on a copy with plain SQLite: found, named and located. Each is made twice, as it comes and by an attacker
// who computes all hashes again but has no key.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import Database from 'better-sqlite3';
import { originOf } from '../../../src/audit/seal/checkpoint.ts';
import type { FaultKind } from '../../../src/audit/seal/faults.ts';
import { type NoteKey, noteKeyOf } from '../../../src/audit/seal/note.ts';
import { readAuditKey } from '../../../src/store/audit-key.ts';
import { AuditLog } from '../../../src/store/audit-log.ts';
import {
  COLUMNS,
  type ColumnValue,
  canonicalLine,
  chainHash,
  encodeEvent,
  genesis,
} from '../../../src/store/audit-row.ts';
import { verifyAudit } from '../../../src/store/audit-verify.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { eventOf, fullEvent } from '../events.ts';

const folder = mkdtempSync(join(tmpdir(), 'dg-tamper-'));
const whole = join(folder, 'audit.db');
/** The same log when it had 200 rows. */
const early = join(folder, 'early.db');
let key: NoteKey;
let logId = '';
let checkpoint = '';
const START = encodeEvent(eventOf({ stage: 'gateway', action: 'gateway.start', at: 1 }));

/** Rows of ten calls, ten intents and ten outcomes. */
const twenty = (from: number): string[] =>
  Array.from({ length: 20 }, (_, i) =>
    encodeEvent(
      fullEvent({
        stage: i % 2 === 0 ? 'intent' : 'complete',
        auditId: `call-${from + (i >> 1)}`,
        at: 1_893_456_000_000_000 + (from * 2 + i) * 1000,
        durationUs: 10,
      }),
    ),
  );

before(() => {
  openDatabase(whole, 'audit').sqlite.close();
  let log = new AuditLog(whole);
  for (let i = 0; i < 17; i++) {
    log.write(twenty(i * 10));
    // At 100, 200 and 300 rows, and at the end.
    if (i % 5 === 4) log.signNow(Date.now());
    if (i === 9) {
      log.close();
      copyFileSync(whole, early);
      log = new AuditLog(whole);
    }
  }
  checkpoint = log.signNow(Date.now()) ?? '';
  log.close();
  const raw = new Database(whole, { readonly: true });
  logId = raw.prepare("SELECT value FROM audit_meta WHERE key = 'log-id'").pluck().get() as string;
  raw.close();
  const privateKey = readAuditKey(whole);
  assert.ok(privateKey);
  key = noteKeyOf(originOf(logId), privateKey);
});
after(() => rmSync(folder, { recursive: true, force: true }));

let copies = 0;

/** A copy of the log, altered. @param recomputed all hashes are made to fit again */
function altered(sql: string, recomputed: boolean, from = whole): string {
  const file = join(folder, `copy-${copies++}.db`);
  copyFileSync(from, file);
  const raw = new Database(file);
  raw.exec('DROP TRIGGER audit_event_no_update; DROP TRIGGER audit_event_no_delete');
  if (sql !== '') raw.exec(sql);
  if (recomputed) {
    const update = raw.prepare('UPDATE audit_event SET prev = ?, hash = ? WHERE seq = ?');
    const rows = raw
      .prepare(`SELECT seq, ${COLUMNS.join(', ')} FROM audit_event ORDER BY seq`)
      .raw()
      .all();
    let prev: Buffer = genesis(
      raw.prepare("SELECT value FROM audit_meta WHERE key = 'log-id'").pluck().get() as string,
    );
    for (const [seq, ...values] of rows as ColumnValue[][]) {
      const hash = chainHash(prev, Number(seq), canonicalLine(values));
      update.run(prev, hash, seq);
      prev = hash;
    }
  }
  raw.close();
  return file;
}

const RENUMBER_DOWN = 'UPDATE audit_event SET seq = seq - 1 WHERE seq > 150';
/** Away and back, as two rows never have one number. */
const renumberUp = (by: number, from: number) =>
  `UPDATE audit_event SET seq = -seq WHERE seq > ${from}; UPDATE audit_event SET seq = ${by} - seq WHERE seq < 0`;
const copyRow = (from: number, to: number) =>
  `CREATE TEMP TABLE t AS SELECT * FROM audit_event WHERE seq = ${from};
   UPDATE t SET seq = ${to}, subject = 'forged'; INSERT OR REPLACE INTO audit_event SELECT * FROM t`;
const swap = (a: number, b: number) =>
  `UPDATE audit_event SET seq = -1 WHERE seq = ${a}; UPDATE audit_event SET seq = ${a} WHERE seq = ${b};
   UPDATE audit_event SET seq = ${b} WHERE seq = -1`;

const classes: readonly [string, FaultKind, string, number][] = [
  ['a changed value', 'edited', "UPDATE audit_event SET subject = 'x' WHERE seq = 150", 150],
  ['a value taken out', 'edited', 'UPDATE audit_event SET subject = NULL WHERE seq = 150', 150],
  ['a time changed by a microsecond', 'edited', 'UPDATE audit_event SET at = at + 1 WHERE seq = 150', 150],
  ['a change of the very first row', 'edited', "UPDATE audit_event SET detail = '{}' WHERE seq = 1", 1],
  ['a change of the very last row', 'edited', "UPDATE audit_event SET detail = '{}' WHERE seq = 340", 340],
  ['a deleted row', 'deleted', 'DELETE FROM audit_event WHERE seq = 150', 150],
  ['deleted rows', 'deleted', 'DELETE FROM audit_event WHERE seq BETWEEN 150 AND 170', 150],
  [
    'a deleted row with the others moved up',
    'deleted',
    `DELETE FROM audit_event WHERE seq = 150; ${RENUMBER_DOWN}`,
    150,
  ],
  ['the first rows deleted', 'deleted', 'DELETE FROM audit_event WHERE seq <= 20', 1],
  ['an inserted row', 'inserted', `${renumberUp(1, 149)}; ${copyRow(140, 150)}`, 150],
  ['two rows that changed places', 'reordered', swap(150, 151), 150],
  ['two distant rows that changed places', 'reordered', swap(150, 190), 150],
  ['numbers left out', 'gap', renumberUp(10, 149), 150],
];

describe('a log that was altered', () => {
  it('a log is whole before it is altered', () => {
    for (const file of [whole, altered('', true)]) {
      const verdict = verifyAudit({ file, keys: [key], outside: [checkpoint] });
      assert.deepEqual(verdict.faults, []);
      assert.equal(verdict.last, 340);
      assert.equal(verdict.signedThrough, 340);
      assert.equal(verdict.open, 0);
    }
    assert.equal(verifyAudit({ file: early, keys: [key] }).whole, true);
  });

  for (const [what, kind, sql, seq] of classes) {
    for (const recomputed of [false, true]) {
      it(`a log that was altered shows ${what}${recomputed ? ', with all hashes computed again' : ''}`, () => {
        const [fault] = verifyAudit({ file: altered(sql, recomputed), keys: [key] }).faults;
        assert.deepEqual([fault?.kind, fault?.seq], [kind, seq], fault?.message);
      });
    }
    it(`a log that was altered shows ${what} in an unsigned log`, () => {
      const file = altered(`DELETE FROM audit_checkpoint; DELETE FROM audit_tile; ${sql}`, false);
      const [fault] = verifyAudit({ file, keys: [key] }).faults;
      assert.equal(fault?.seq, seq, fault?.message);
    });
    it(`a log that was altered shows ${what} between two checkpoints when the tiles were taken away too`, () => {
      const file = altered(`DELETE FROM audit_tile; ${sql}`, true);
      const [fault] = verifyAudit({ file, keys: [key] }).faults;
      assert.ok(fault !== undefined && fault.seq <= seq && (fault.through ?? fault.seq) >= seq, JSON.stringify(fault));
      assert.ok(kind === 'gap' || (fault.through ?? seq) - fault.seq < 100);
    });
  }

  const tails: readonly [string, FaultKind, string, number][] = [
    ['rows cut off its end', 'truncated', 'DELETE FROM audit_event WHERE seq > 325', 326],
    [
      'rows cut off its end with their checkpoint',
      'truncated',
      'DELETE FROM audit_event WHERE seq > 325; DELETE FROM audit_checkpoint WHERE seq > 325',
      326,
    ],
    [
      'all its rows cut off',
      'truncated',
      'DELETE FROM audit_event; DELETE FROM audit_checkpoint; DELETE FROM audit_tile',
      1,
    ],
  ];
  for (const [what, kind, sql, seq] of tails) {
    it(`a log that was altered shows ${what} to a checkpoint kept elsewhere`, () => {
      const [fault] = verifyAudit({ file: altered(sql, true), keys: [key], outside: [checkpoint] }).faults;
      assert.deepEqual([fault?.kind, fault?.seq, fault?.through], [kind, seq, seq === 340 ? undefined : 340]);
    });
  }

  it('a log that was altered shows an earlier state put in its place, and one that was written on', () => {
    const [fault] = verifyAudit({ file: early, keys: [key], outside: [checkpoint] }).faults;
    assert.deepEqual([fault?.kind, fault?.seq, fault?.through], ['rolled-back', 201, 340]);
    const dir = mkdtempSync(join(folder, 'on-'));
    const file = join(dir, 'audit.db');
    copyFileSync(early, file);
    copyFileSync(join(folder, 'audit.key'), join(dir, 'audit.key'));
    openDatabase(file, 'audit').sqlite.close();
    const log = new AuditLog(file);
    for (let i = 0; i < 10; i++) log.write(twenty(1000 + i * 10));
    log.close();
    assert.equal(verifyAudit({ file, keys: [key] }).whole, true, 'by itself it looks whole');
    const [forked] = verifyAudit({ file, keys: [key], outside: [checkpoint] }).faults;
    assert.deepEqual([forked?.kind, forked?.seq, forked?.through], ['rolled-back', 201, 340]);
  });

  it('a log that was altered shows that it is another log', () => {
    const other = join(folder, 'other.db');
    openDatabase(other, 'audit').sqlite.close();
    const log = new AuditLog(other);
    log.write(twenty(0));
    log.close();
    const [byKey] = verifyAudit({ file: other, keys: [key] }).faults;
    assert.equal(byKey?.kind, 'wrong-log');
    const [byCheckpoint] = verifyAudit({ file: other, keys: [], outside: [checkpoint] }).faults;
    assert.equal(byCheckpoint?.kind, 'wrong-log');
    const renamed = altered(`UPDATE audit_meta SET value = 'x' WHERE key = 'log-id'`, false);
    assert.equal(verifyAudit({ file: renamed, keys: [] }).faults[0]?.kind, 'wrong-log');
    assert.equal(verifyAudit({ file: renamed, keys: [key] }).faults[0]?.kind, 'wrong-log');
  });

  it('a log that was altered shows checkpoints of another key, and those that were edited', () => {
    const forged = altered(
      `UPDATE audit_event SET subject = 'x' WHERE seq = 150; DELETE FROM audit_tile;
       UPDATE audit_checkpoint SET note = replace(note, char(10) || '200' || char(10), char(10) || '201' || char(10)) WHERE seq = 200`,
      true,
    );
    const [fault] = verifyAudit({ file: forged, keys: [key] }).faults;
    assert.deepEqual([fault?.kind, fault?.seq, fault?.through], ['edited', 101, 200]);
  });

  const rowAt = (seq: number, line: string) => {
    const marks = `(seq, ${COLUMNS.join(', ')}, prev, hash)`;
    const values = JSON.parse(line) as ColumnValue[];
    while (values.length < COLUMNS.length) values.push(null);
    const texts = values.map((v) => (v === null ? 'NULL' : typeof v === 'number' ? v : `'${v.replaceAll("'", "''")}'`));
    return `INSERT INTO audit_event ${marks} VALUES (${seq}, ${texts.join(', ')}, x'', x'');`;
  };
  it('a log that was altered shows a call without its outcome, once a later start had closed all of them', () => {
    const intent = encodeEvent(eventOf({ stage: 'intent', at: 1_893_456_001_000_000 }));
    const open = altered(rowAt(341, intent), true);
    assert.deepEqual(verifyAudit({ file: open, keys: [key] }).faults, [], 'a call may be under way');
    assert.equal(verifyAudit({ file: open, keys: [key] }).open, 1);
    const closed = altered(rowAt(341, intent) + rowAt(342, START.replace('[1,', '[1893456002000000,')), true);
    const [fault] = verifyAudit({ file: closed, keys: [key] }).faults;
    assert.deepEqual([fault?.kind, fault?.seq], ['missing-outcome', 341]);
  });

  it('a log that was altered shows a clock that went back, unless the gateway recorded that it was set', () => {
    const back = encodeEvent(
      eventOf({ stage: 'gateway', action: 'token.create', at: 1_893_456_000_000_000 - 3_600_000_000 }),
    );
    const [fault] = verifyAudit({ file: altered(rowAt(341, back), true), keys: [key] }).faults;
    assert.deepEqual([fault?.kind, fault?.seq], ['clock-backwards', 341]);
    const set = back.replace('token.create', 'clock.set');
    assert.deepEqual(verifyAudit({ file: altered(rowAt(341, back) + rowAt(342, set), true), keys: [key] }).faults, []);
  });

  it('a log that was altered is verified from a row on, and from an anchor after its beginning was removed', () => {
    const from = verifyAudit({ file: whole, keys: [key], from: 250 });
    assert.deepEqual([from.whole, from.first, from.last], [true, 201, 340]);
    const before = altered("UPDATE audit_event SET subject = 'x' WHERE seq = 150", true);
    assert.equal(verifyAudit({ file: before, keys: [key] }).whole, false);
    const dir = mkdtempSync(join(folder, 'anchored-'));
    const file = join(dir, 'audit.db');
    copyFileSync(whole, file);
    copyFileSync(join(folder, 'audit.key'), join(dir, 'audit.key'));
    openDatabase(file, 'audit').sqlite.close();
    const log = new AuditLog(file);
    log.anchorAt(200, Date.now());
    log.close();
    const remove = 'DELETE FROM audit_event WHERE seq <= 120';
    for (const sql of [
      '',
      remove,
      'DELETE FROM audit_event WHERE seq <= 200; DELETE FROM audit_checkpoint WHERE seq < 200',
    ]) {
      const verdict = verifyAudit({ file: altered(sql, false, file), keys: [key], outside: [checkpoint] });
      assert.deepEqual([verdict.faults, verdict.anchor, verdict.first, verdict.last], [[], 200, 201, 340]);
    }
    const forged = altered(`${remove}; UPDATE audit_anchor SET note = replace(note, 'anchor', 'Anchor')`, false, file);
    assert.deepEqual(verifyAudit({ file: forged, keys: [key] }).faults[0]?.kind, 'deleted');
  });

  it('a log that was altered is told apart from a file that is no log', () => {
    const none = join(folder, 'none.db');
    writeFileSync(none, 'x'.repeat(5000));
    const empty = join(folder, 'empty.db');
    new Database(empty).exec('CREATE TABLE t (x)').close();
    for (const file of [none, empty, join(folder, 'missing.db')])
      assert.throws(() => verifyAudit({ file, keys: [] }), { code: 'input-invalid' });
    assert.throws(() => verifyAudit({ file: whole, keys: [key], outside: ['x'] }), { code: 'input-invalid' });
  });
});
