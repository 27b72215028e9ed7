// The audit's writer signs what it wrote: when, with which key, and what it does not let itself be told.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import Database from 'better-sqlite3';
import {
  readAnchor,
  readCheckpoint,
  readProofs,
  signatureOf,
  signCheckpoint,
  signKeyHistory,
  verifyProof,
} from '../../../src/audit/seal/checkpoint.ts';
import { GrowingTree, leafHash } from '../../../src/audit/seal/merkle.ts';
import { decodeKey, encodeKey, type NoteKey, noteKeyOf } from '../../../src/audit/seal/note.ts';
import { AuditLog } from '../../../src/store/audit-log.ts';
import { keysOf, proofsOf } from '../../../src/store/audit-proof.ts';
import { COLUMNS, type ColumnValue, canonicalLine, encodeEvent } from '../../../src/store/audit-row.ts';
import type { SealedCheckpoint } from '../../../src/store/audit-sealer.ts';
import { verifyAudit } from '../../../src/store/audit-verify.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { openRecorder } from '../../../src/store/recorder.ts';
import { fullEvent, inFolder } from '../events.ts';

const append = async (
  file: string,
  rows: number,
  seen: SealedCheckpoint[] = [],
  failed: string[] = [],
): Promise<void> => {
  const seals = { checkpoint: (one: SealedCheckpoint) => seen.push(one), failed: (why: string) => failed.push(why) };
  const recorder = await openRecorder(file, { seals });
  // By its answer the thread has its key and its tree.
  await recorder.checkpoint().catch(() => undefined);
  for (let i = 0; i < rows; i++) recorder.append(fullEvent({ stage: 'complete' }));
  await recorder.close();
};

const sql = (file: string, text: string): void => {
  const raw = new Database(file);
  raw.exec(`DROP TRIGGER IF EXISTS audit_event_no_update; DROP TRIGGER IF EXISTS audit_event_no_delete; ${text}`);
  raw.close();
};

function rootOfRows(file: string, size: number): Buffer {
  const raw = new Database(file, { readonly: true });
  const rows = raw
    .prepare(`SELECT ${COLUMNS.join(', ')} FROM audit_event WHERE seq <= ? ORDER BY seq`)
    .raw()
    .all(size);
  raw.close();
  const tree = new GrowingTree();
  for (const row of rows) tree.add(leafHash(canonicalLine(row as ColumnValue[])));
  return tree.root();
}

describe('the signed log', () => {
  it(
    'has a checkpoint every thousand rows and at its end, with the root of the rows, by a key of mode 0600',
    inFolder(async (file, folder) => {
      const seen: SealedCheckpoint[] = [];
      await append(file, 2500, seen);
      await append(file, 3, seen);
      assert.ok(seen.length >= 3, `${seen.length}`);
      assert.deepEqual(
        seen.slice(-2).map(({ size }) => size),
        [2500, 2503],
      );
      for (const { size, root, note, publicKey } of seen) {
        assert.deepEqual(root, rootOfRows(file, size), `size ${size}`);
        const key = decodeKey(publicKey);
        assert.equal(signatureOf(note, key === undefined ? [] : [key]), 'signed');
        assert.equal(readCheckpoint(note)?.size, size);
      }
      assert.equal(statSync(join(folder, 'audit.key')).mode & 0o777, 0o600);
      assert.match(readFileSync(join(folder, 'audit.key'), 'utf8'), /BEGIN PRIVATE KEY/);
      assert.ok(!readFileSync(file).includes(readFileSync(join(folder, 'audit.key'))));
    }),
  );

  it(
    'is signed when asked for, and not twice at one size',
    inFolder(async (file) => {
      const seen: SealedCheckpoint[] = [];
      const recorder = await openRecorder(file, { seals: { checkpoint: (one) => seen.push(one) } });
      assert.equal(await recorder.checkpoint(), undefined, 'nothing to sign');
      const asked = [recorder.record(fullEvent()), recorder.record(fullEvent())];
      const notes = await Promise.all([recorder.checkpoint(), recorder.checkpoint(), recorder.checkpoint()]);
      await Promise.all(asked);
      assert.deepEqual(
        notes.map((note) => readCheckpoint(note ?? '')?.size),
        [2, 2, 2],
      );
      await recorder.close();
      assert.deepEqual(
        seen.map(({ size }) => size),
        [2],
      );
    }),
  );

  it(
    'begun before there were checkpoints, is signed from its first row on',
    inFolder(async (file) => {
      await append(file, 700);
      sql(file, 'DELETE FROM audit_tile; DELETE FROM audit_checkpoint');
      const seen: SealedCheckpoint[] = [];
      await append(file, 1, seen);
      assert.deepEqual(seen.at(-1)?.root, rootOfRows(file, 701));
    }),
  );

  it(
    'grows its tree again from the rows where tiles are damaged, as long as they are what was signed',
    inFolder(async (file) => {
      await append(file, 700);
      sql(file, "UPDATE audit_tile SET hashes = x'00' WHERE id = 1");
      const seen: SealedCheckpoint[] = [];
      await append(file, 1, seen);
      assert.deepEqual(seen.at(-1)?.root, rootOfRows(file, 701));
      const failed: string[] = [];
      sql(file, "DELETE FROM audit_tile; UPDATE audit_event SET subject = 'x' WHERE seq = 5");
      await append(file, 1, seen, failed);
      assert.equal(seen.at(-1)?.size, 701, 'altered rows are not signed');
      assert.match(failed.join(), /neither its tiles nor its rows/);
    }),
  );

  it(
    'signs what was written, not what the file says by then',
    inFolder(async (file) => {
      openDatabase(file, 'audit').sqlite.close();
      const seen: SealedCheckpoint[] = [];
      const log = new AuditLog(file, { checkpoint: (one) => seen.push(one) });
      log.write([encodeEvent(fullEvent()), encodeEvent(fullEvent())]);
      const asWritten = rootOfRows(file, 2);
      sql(file, "UPDATE audit_event SET subject = 'x' WHERE seq = 1");
      log.close();
      assert.deepEqual(seen.at(-1)?.root, asWritten);
      assert.notDeepEqual(rootOfRows(file, 2), asWritten);
    }),
  );

  const refusals: readonly [string, (file: string, folder: string) => void, RegExp][] = [
    [
      'rows are gone that its checkpoint covers',
      (file) => sql(file, 'DELETE FROM audit_event WHERE seq > 7'),
      /ends at row 8.*covers 10/,
    ],
    [
      'its newest checkpoint is forged',
      (file) => sql(file, "UPDATE audit_checkpoint SET note = replace(note, 'dockgate', 'docker')"),
      /not of this log/,
    ],
    ['its key is none', (_file, folder) => writeFileSync(join(folder, 'audit.key'), 'x'), /./],
  ];
  for (const [what, alter, why] of refusals) {
    it(
      `is not signed on and says why when ${what}; rows are written all the same`,
      inFolder(async (file, folder) => {
        await append(file, 10);
        alter(file, folder);
        const seen: SealedCheckpoint[] = [];
        const failed: string[] = [];
        await append(file, 1, seen, failed);
        assert.deepEqual(seen, []);
        assert.match(failed.join('\n'), why);
      }),
    );
  }

  it(
    'gets an anchor at a row that is signed: chain and tree go on from there',
    inFolder(async (file) => {
      await append(file, 700);
      const log = new AuditLog(file);
      assert.throws(() => log.anchorAt(701, Date.now()), /no checkpoint/);
      const anchor = readAnchor(log.anchorAt(600, Date.now()));
      log.close();
      assert.deepEqual(new GrowingTree(600, anchor?.roots).root(), rootOfRows(file, 600));
      const raw = new Database(file, { readonly: true });
      assert.deepEqual(raw.prepare('SELECT prev FROM audit_event WHERE seq = 601').pluck().get(), anchor?.hash);
      raw.close();
    }),
  );

  it(
    'goes on being signed, verified and proved after its beginning was removed',
    inFolder(async (file) => {
      await append(file, 1000);
      const log = new AuditLog(file);
      log.anchorAt(600, Date.now());
      log.remove(600);
      while (log.isRemoving) assert.ok(log.removeSome());
      log.close();
      await append(file, 500);
      const raw = new Database(file, { readonly: true });
      assert.equal(raw.prepare('SELECT min(seq) FROM audit_event').pluck().get(), 601);
      const ids = raw
        .prepare('SELECT audit_id FROM audit_event WHERE seq IN (601, 769, 1000, 1500) ORDER BY seq')
        .pluck()
        .all();
      raw.close();
      const { keys } = keysOf(file);
      const verdict = verifyAudit({ file, keys });
      assert.deepEqual([verdict.faults, verdict.anchor, verdict.last, verdict.signedThrough], [[], 600, 1500, 1500]);
      for (const id of ids as string[]) {
        const [proof] = readProofs(proofsOf(file, id)) ?? [];
        assert.ok(proof !== undefined && verifyProof(proof, keys).holds, id);
      }
      assert.throws(() => proofsOf(file, 'none'), { code: 'not-found' });
    }),
  );

  it(
    'tells a key that was lost: what the earlier one signed is vouched for by the new one, and by no other',
    inFolder(async (file, folder) => {
      const seen: SealedCheckpoint[] = [];
      await append(file, 100, seen);
      const [first] = keysOf(file).keys;
      rmSync(join(folder, 'audit.key'));
      await append(file, 50, seen);
      await append(file, 10, seen);
      const [second] = keysOf(file).keys;
      assert.ok(first && second && first.id !== second.id);
      const told = (...keys: NoteKey[]) => {
        const { whole, faults, vouchedThrough, vouchedKeys } = verifyAudit({ file, keys });
        return { whole, kinds: faults.map(({ kind, seq }) => [kind, seq]), vouchedThrough, vouchedKeys };
      };
      assert.deepEqual(told(second), { whole: true, kinds: [], vouchedThrough: 100, vouchedKeys: [first.id] });
      assert.deepEqual(told(first, second), {
        ...{ whole: true, kinds: [] },
        ...{ vouchedThrough: undefined, vouchedKeys: undefined },
      });
      // The earlier key alone proves nothing of what came later.
      assert.deepEqual(told(first).kinds, [['other-key', 101]]);
      // A third key that an attacker signs with has no voucher.
      const { privateKey } = generateKeyPairSync('ed25519');
      const raw = new Database(file);
      const note = raw.prepare('SELECT note FROM audit_checkpoint WHERE seq = 100').pluck().get() as string;
      const read = readCheckpoint(note);
      assert.ok(read);
      const forged = signCheckpoint(read, privateKey);
      raw.prepare('UPDATE audit_checkpoint SET note = ? WHERE seq = 100').run(forged);
      assert.deepEqual(told(second).kinds, [['other-key', 1]]);
      // Nor where he also writes the history.
      const own = noteKeyOf(read.origin, privateKey);
      raw
        .prepare('UPDATE audit_meta SET value = ? WHERE key = ?')
        .run(signKeyHistory(read.origin, [encodeKey(own)], privateKey), `checkpoint-keys-by-${second.id}`);
      assert.deepEqual(told(second).kinds, [['other-key', 1]]);
      raw.close();
    }),
  );
});
