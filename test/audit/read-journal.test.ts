// Rows of calls that only read: acknowledged once the kernel has them, on disk soon after, lost by no kill.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import Database from 'better-sqlite3';
import type { AuditEvent } from '../../src/audit/event.ts';
import { openAuditReader, verifyChain } from '../../src/store/audit-reader.ts';
import { beginBackup } from '../../src/store/backup.ts';
import { openDatabase } from '../../src/store/database.ts';
import { leftBehind, ReadJournal, waitingReads } from '../../src/store/read-journal.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { until } from '../support/until.ts';
import { eventOf, inFolder } from './events.ts';

const read = (more: Partial<AuditEvent> = {}): AuditEvent =>
  eventOf({ action: 'container.list', class: 'read', ...more });
const idsIn = (file: string): string[] => {
  const reader = openAuditReader(file);
  try {
    return [...reader.list({ limit: 1_000_000 })].reverse().map((row) => `${row.stage} ${row.auditId}`);
  } finally {
    reader.close();
  }
};
const journalsOf = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('audit.db-reads'));
/** What a kill of the process would leave, as a folder of its own. */
function asKilled(folder: string, to = join(folder, 'killed')): string {
  mkdirSync(to);
  for (const name of readdirSync(folder)) {
    if (statSync(join(folder, name)).isFile()) copyFileSync(join(folder, name), join(to, name));
  }
  return join(to, 'audit.db');
}
/** Whether a promise is resolved before anything else happens. */
const isNow = (promise: Promise<unknown>): Promise<boolean> =>
  Promise.race([promise.then(() => true), new Promise<boolean>((resolve) => setImmediate(() => resolve(false)))]);

for (const thread of ['worker', 'inline'] as const) {
  describe(`record() of a call that only reads, the writer ${thread === 'worker' ? 'in a thread' : 'inline'}`, () => {
    it(
      'resolves before the row is in audit.db, and the row is there within moments, without being asked for',
      inFolder(async (file, folder) => {
        const recorder = await openRecorder(file, { thread });
        const event = read();
        assert.equal(await isNow(recorder.record(event, 'by-kernel')), true);
        assert.equal(waitingReads(file), 1);
        await until('the row to be stored', () => idsIn(file).length === 1, 2000);
        await until('the journal to be empty', () => waitingReads(file) === 0, 2000);
        await recorder.close();
        assert.deepEqual(journalsOf(folder), [], 'a stop leaves none');
      }),
    );
    it(
      'is in the log after a kill, with those of calls that change something, once',
      inFolder(async (file, folder) => {
        const recorder = await openRecorder(file, { thread });
        const asked: string[] = [];
        for (let i = 0; i < 300; i++) {
          const event = i % 7 === 6 ? eventOf() : read({ detail: { text: 'é😀x'.repeat(i) } });
          await recorder.record(event, i % 7 === 6 ? 'on-disk' : 'by-kernel');
          asked.push(`intent ${event.auditId}`);
        }
        const killed = asKilled(folder);
        await recorder.close();
        let orphans = 0;
        await (
          await openRecorder(killed, {
            onOrphans: (count) => {
              orphans = count;
            },
          })
        ).close();
        assert.equal(orphans, 300, 'their outcomes are not known');
        assert.deepEqual(idsIn(killed).slice(0, 300).sort(), [...asked].sort(), 'before any of the unknown outcomes');
        assert.equal(idsIn(killed).length, 600);
        assert.equal(verifyChain(killed).ok, true);
        assert.deepEqual(journalsOf(join(folder, 'killed')), []);
        assert.deepEqual(idsIn(file).sort(), asked.sort());
      }),
    );
    it(
      'is one row with its outcome, where that comes soon, and is found by its object',
      inFolder(async (file) => {
        const place = { engine: 'ENGINE:ID', gateway: 'gate-1' };
        const recorder = await openRecorder(file, { thread, place });
        const asked = read({
          action: 'container.inspect',
          resource: 'container/web',
          actor: 'exchange',
          detail: { a: 1 },
        });
        const { detail: _asked, ...same } = asked;
        await recorder.record(asked, 'by-kernel');
        const journal = asKilled(join(file, '..'));
        recorder.append({ ...same, stage: 'complete', at: asked.at + 5, status: 200, durationUs: 5, outcome: 'ok' });
        await recorder.settle();
        const late = read();
        await recorder.record(late, 'by-kernel');
        await until('the row to be stored', () => idsIn(file).length === 2, 2000);
        recorder.append({ ...late, stage: 'complete' });
        const twice = read({ detail: { a: 1 } });
        await recorder.record(twice, 'by-kernel');
        recorder.append({ ...twice, stage: 'complete', detail: { end: 'caller-gone' } });
        const refused = read();
        await recorder.record(refused, 'by-kernel');
        await recorder.record({ ...refused, stage: 'complete', decision: 'deny', code: 'policy-denied' });
        await recorder.close();
        assert.deepEqual(
          idsIn(file).sort(),
          [
            `complete ${asked.auditId}`,
            ...[late, twice, refused].flatMap(({ auditId }) => [`complete ${auditId}`, `intent ${auditId}`]),
          ].sort(),
        );
        const reader = openAuditReader(file);
        const [row] = reader.byAuditId(asked.auditId);
        reader.close();
        assert.deepEqual(
          [row?.at, row?.status, row?.detail, row?.actor, row?.engine, row?.gateway],
          [asked.at + 5, 200, { a: 1 }, 'exchange', 'ENGINE:ID', 'gate-1'],
        );
        assert.equal(verifyChain(file).ok, true);
        const sqlite = new Database(file);
        const found = sqlite
          .prepare("SELECT seq FROM audit_resource NATURAL JOIN audit_name WHERE name = 'web' AND kind = 'container'")
          .all();
        assert.deepEqual(found, [{ seq: row?.seq }]);
        // The same log with the journal of before: the row of the call holds its first row.
        sqlite.pragma('wal_checkpoint(TRUNCATE)');
        sqlite.close();
        for (const name of journalsOf(join(journal, '..')))
          copyFileSync(join(journal, '..', name), join(file, '..', name));
        assert.equal(waitingReads(file), 1);
        await (await openRecorder(file, { thread })).close();
        assert.equal(idsIn(file).length, 7);
      }),
    );
    it(
      'waits for the disk where its event changes the ledger, where reads are durable, and where it is very long',
      inFolder(async (file) => {
        openDatabase(join(file, '..', 'ledger.db'), 'ledger').sqlite.close();
        const recorder = await openRecorder(file, { thread });
        const entry = { kind: 'container', tenant: 'red', id: 'c0ffee', state: 'reserved', atMs: 1 };
        const given = [read({ ledger: [entry] as never }), read({ detail: { text: 'x'.repeat(15_000) } })];
        await recorder.record(given[0] as AuditEvent, 'by-kernel').catch(() => {});
        assert.equal(waitingReads(file), 0);
        await recorder.close();
        const durable = await openRecorder(file, { thread, reads: 'durable' });
        const event = read();
        await durable.record(event, 'by-kernel');
        assert.ok(idsIn(file).includes(`intent ${event.auditId}`));
        await durable.close();
      }),
    );
    it(
      'is in the log when atRest() runs its work',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        const event = read();
        await recorder.record(event, 'by-kernel');
        assert.deepEqual(await recorder.atRest(() => idsIn(file)), [`intent ${event.auditId}`]);
        await recorder.close();
      }),
    );
    it(
      'settle() ends under load that does not',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        let on = true;
        const load = (async () => {
          for (let i = 0; on && i < 200_000; i++) {
            await recorder.record(read(), 'by-kernel');
            if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
          }
        })();
        const event = read();
        await recorder.record(event, 'by-kernel');
        await recorder.settle();
        assert.ok(idsIn(file).includes(`intent ${event.auditId}`));
        on = false;
        await load;
        await recorder.close();
        assert.equal(verifyChain(file).ok, true);
      }),
    );
  });
}

describe('a disk that lets the log wait', () => {
  it(
    'has at most 50 ms of reads let through: further ones wait, and all are stored afterwards',
    inFolder(async (file) => {
      const recorder = await openRecorder(file);
      const first = read();
      const other = new Database(file);
      other.exec('BEGIN IMMEDIATE');
      assert.equal(await isNow(recorder.record(first, 'by-kernel')), true);
      await new Promise((resolve) => setTimeout(resolve, 120));
      const waits = recorder.record(read(), 'by-kernel');
      assert.equal(await isNow(waits), false);
      other.exec('COMMIT');
      other.close();
      await waits;
      assert.equal(await isNow(recorder.record(read(), 'by-kernel')), true, 'and as before afterwards');
      await recorder.close();
      assert.equal(idsIn(file).length, 3);
    }),
  );
  it(
    'refuses reads while the log cannot be written, keeps what it let through, and lets them through again',
    inFolder(async (file) => {
      const recorder = await openRecorder(file);
      const kept = read();
      const sqlite = new Database(file);
      sqlite.exec("CREATE TRIGGER no BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'no'); END");
      await recorder.record(kept, 'by-kernel');
      await until('the fault to be known', () => !recorder.healthy, 3000);
      await assert.rejects(recorder.record(read(), 'by-kernel'), { code: 'audit-unwritable' });
      assert.equal(waitingReads(file), 1);
      sqlite.exec('DROP TRIGGER no');
      sqlite.close();
      await recorder.record(read(), 'by-kernel');
      assert.ok(idsIn(file).includes(`intent ${kept.auditId}`));
      await recorder.close();
      assert.equal(idsIn(file).length, 2);
    }),
  );
  it(
    'refuses reads as soon as another file is in the place of the log',
    inFolder(async (file) => {
      const recorder = await openRecorder(file);
      await recorder.record(read(), 'by-kernel');
      await recorder.settle();
      rmSync(file);
      await assert.rejects(recorder.record(read(), 'by-kernel'), { code: 'audit-unwritable' });
      await recorder.close().catch(() => {});
    }),
  );
  it('loses no read it let through when it is full (a small file system)', async (t) => {
    await inFolder(async (_file, folder) => {
      const disk = join(folder, 'disk');
      mkdirSync(disk);
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk]).status !== 0) {
        t.skip('needs the right to mount a small file system');
        return;
      }
      try {
        const file = join(disk, 'audit.db');
        const recorder = await openRecorder(file);
        const acknowledged: string[] = [];
        let refusal: { code?: string } | undefined;
        for (let i = 0; i < 5000 && refusal === undefined; i++) {
          const event = read({ detail: { text: 'x'.repeat(4000) } });
          await recorder.record(event, 'by-kernel').then(
            () => acknowledged.push(`intent ${event.auditId}`),
            (error: { code?: string }) => {
              refusal = error;
            },
          );
          if (i % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        }
        assert.equal(refusal?.code, 'audit-unwritable');
        const killed = asKilled(disk, join(folder, 'killed'));
        await recorder.close().catch(() => {});
        await (await openRecorder(killed)).close();
        const stored = new Set(idsIn(killed));
        assert.deepEqual(
          acknowledged.filter((id) => !stored.has(id)),
          [],
        );
        assert.equal(verifyChain(killed).ok, true);
      } finally {
        spawnSync('umount', [disk]);
      }
    })();
  });
});

describe('leftBehind()', () => {
  const LOG = '5d1e0000-0000-4000-8000-000000000001';
  const made = (file: string, lines: readonly string[]): Buffer => {
    writeFileSync(file, '');
    const journal = new ReadJournal(file, LOG);
    for (const line of lines) assert.notEqual(journal.keep(line), undefined);
    const bytes = readFileSync(`${file}-reads0`);
    journal.close();
    assert.equal(existsSync(`${file}-reads0`), true, 'a stop leaves rows that are not stored');
    return bytes;
  };
  const lines = ['["a"]', '["é😀"]', `["${'x'.repeat(200)}"]`];

  it(
    'gives the rows before a torn one, wherever the file was cut',
    inFolder((file) => {
      const bytes = made(file, lines);
      for (let length = 0; length <= bytes.length; length++) {
        writeFileSync(`${file}-reads0`, bytes.subarray(0, length));
        const got = leftBehind(file, LOG).lines;
        assert.deepEqual(got, lines.slice(0, got.length));
        if (length === bytes.length) assert.equal(got.length, 3);
      }
    }),
  );
  it(
    'gives no row with a bit in it that was turned, and none behind it',
    inFolder((file) => {
      const bytes = made(file, lines);
      for (let at = 0; at < bytes.length; at++) {
        const damaged = Buffer.from(bytes);
        damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
        writeFileSync(`${file}-reads0`, damaged);
        const got = leftBehind(file, LOG).lines;
        assert.deepEqual(got, lines.slice(0, got.length));
        assert.ok(got.length < 3);
      }
    }),
  );
  it(
    'gives no row of an earlier use of the file behind those of the last one',
    inFolder((file) => {
      const before = made(file, ['["old 1"]', '["old 2"]', '["old 3"]']);
      rmSync(`${file}-reads0`);
      const after = made(file, ['["new 1"]']);
      writeFileSync(`${file}-reads0`, Buffer.concat([after, before.subarray(after.length)]));
      assert.deepEqual(leftBehind(file, LOG).lines, ['["new 1"]']);
    }),
  );
  it(
    'gives the rows of both files, the older file first',
    inFolder((file) => {
      writeFileSync(file, '');
      const journal = new ReadJournal(file, LOG);
      const first = journal.keep('["1"]');
      journal.turn();
      journal.keep('["2"]');
      journal.turn();
      journal.keep('["3"]');
      assert.ok(first);
      assert.deepEqual(leftBehind(file, LOG).lines, ['["1"]', '["2"]', '["3"]']);
      journal.stored(first);
      journal.turn();
      journal.keep('["4"]');
      assert.deepEqual(leftBehind(file, LOG).lines, ['["2"]', '["3"]', '["4"]']);
      journal.close();
    }),
  );
  it(
    'moves rows of another log aside and tells so; the log beside them gets none of them',
    inFolder(async (file, folder) => {
      made(file, lines);
      rmSync(file);
      let foreign: readonly string[] = [];
      const recorder = await openRecorder(file, {
        onForeign: (files) => {
          foreign = files;
        },
      });
      await recorder.record(read(), 'by-kernel');
      await recorder.close();
      assert.equal(foreign.length, 1);
      assert.match(foreign[0] as string, /audit\.db-reads0\.5d1e0000-/);
      assert.equal(existsSync(foreign[0] as string), true);
      assert.equal(idsIn(file).length, 1);
      assert.deepEqual(
        journalsOf(folder).map((name) => join(folder, name)),
        foreign,
      );
    }),
  );
});

describe('a backup', () => {
  it(
    'of a folder whose gateway was killed holds the reads it let through',
    inFolder(async (file, folder) => {
      const recorder = await openRecorder(file);
      const event = read();
      await recorder.record(event, 'by-kernel');
      const killed = join(asKilled(folder), '..');
      await recorder.close();
      const made = { nowMs: Date.now(), version: '1' };
      const offline = join(folder, 'offline');
      await (await beginBackup(killed, offline, made)).finish();
      await (await openRecorder(join(offline, 'audit.db'))).close();
      assert.ok(idsIn(join(offline, 'audit.db')).includes(`intent ${event.auditId}`));
    }),
  );
  it(
    'of a running one has them in audit.db',
    inFolder(async (file, folder) => {
      const recorder = await openRecorder(file);
      const event = read();
      await recorder.record(event, 'by-kernel');
      const into = join(folder, 'online');
      const begun = await beginBackup(folder, into, { nowMs: Date.now(), version: '1' }, (work) =>
        recorder.atRest(work),
      );
      await begun.finish();
      await recorder.close();
      assert.deepEqual(idsIn(join(into, 'audit.db')), [`intent ${event.auditId}`]);
      assert.deepEqual(journalsOf(into), []);
    }),
  );
});
