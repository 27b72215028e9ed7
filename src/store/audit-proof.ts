// Inclusion proofs of a call's rows, made from the file alone, and the newest checkpoint in it.
import Database from 'better-sqlite3';
import { type InclusionProof, originOf, readCheckpoint, writeProofs } from '../audit/seal/checkpoint.ts';
import { inclusionProof, leafHash, rootFromProof } from '../audit/seal/merkle.ts';
import { decodeKey, encodeKey, type NoteKey, noteKeyOf } from '../audit/seal/note.ts';
import { GatewayError } from '../errors.ts';
import { readAuditKey } from './audit-key.ts';
import { COLUMNS, type ColumnValue, canonicalLine } from './audit-row.ts';
import { KEYS_META } from './audit-sealer.ts';
import { tileReader } from './audit-tiles.ts';

function withLog<T>(file: string, read: (sqlite: Database.Database) => T): T {
  let sqlite: Database.Database | undefined;
  try {
    sqlite = new Database(file, { readonly: true, fileMustExist: true });
    sqlite.pragma('busy_timeout = 5000');
    return read(sqlite);
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw new GatewayError('input-invalid', `${file} is no signed audit log`, { cause: error });
  } finally {
    sqlite?.close();
  }
}

/** The newest checkpoint in a file; undefined where it has none. @throws {GatewayError} `input-invalid` */
export const newestCheckpoint = (file: string): string | undefined =>
  withLog(
    file,
    (sqlite) =>
      sqlite.prepare('SELECT note FROM audit_checkpoint ORDER BY seq DESC LIMIT 1').pluck().get() as string | undefined,
  );

/**
 * Proofs of all rows of a call under the newest checkpoint, as one text.
 *
 * @throws {GatewayError} `not-found`, `conflict` for a row no checkpoint covers yet or that was altered, `input-invalid`
 */
export const proofsOf = (file: string, auditId: string): string =>
  withLog(file, (sqlite) => {
    const note = sqlite.prepare('SELECT note FROM audit_checkpoint ORDER BY seq DESC LIMIT 1').pluck().get();
    const checkpoint = typeof note === 'string' ? readCheckpoint(note) : undefined;
    const rows = sqlite
      .prepare(`SELECT seq, ${COLUMNS.join(', ')} FROM audit_event WHERE audit_id = ? ORDER BY seq`)
      .raw()
      .all(auditId) as ColumnValue[][];
    if (rows.length === 0) throw new GatewayError('not-found', `the audit has no call ${auditId.slice(0, 64)}`);
    if (typeof note !== 'string' || checkpoint === undefined)
      throw new GatewayError('conflict', 'the log has no checkpoint yet');
    const read = tileReader(sqlite);
    const proofs = rows.map(([number, ...values]): InclusionProof => {
      const seq = Number(number);
      if (seq > checkpoint.size)
        throw new GatewayError('conflict', `row ${seq} of the call is covered by no checkpoint yet`);
      const line = canonicalLine(values);
      const path = inclusionProof(read, seq - 1, checkpoint.size);
      const root = rootFromProof(leafHash(line), seq - 1, checkpoint.size, path);
      if (root?.equals(checkpoint.root) !== true)
        throw new GatewayError('conflict', `row ${seq} is not what was signed: run dockgate audit verify`);
      return { line, seq, path, checkpoint: note };
    });
    return writeProofs(proofs);
  });

/** Where the keys of a log were found: the private key beside it, or, not to be believed alone, the log itself. */
export interface KnownKeys {
  readonly keys: readonly NoteKey[];
  readonly from: 'key-file' | 'log' | 'nowhere';
}

/** Keys that signed a log, as far as its folder tells. Earlier ones come from the log. */
export function keysOf(file: string): KnownKeys {
  return withLog(file, (sqlite) => {
    const meta = sqlite.prepare('SELECT value FROM audit_meta WHERE key = ?').pluck();
    const inLog = String(meta.get(KEYS_META) ?? '')
      .split('\n')
      .map(decodeKey)
      .filter((key) => key !== undefined);
    let own: NoteKey | undefined;
    try {
      const key = readAuditKey(file);
      own = key === undefined ? undefined : noteKeyOf(originOf(String(meta.get('log-id'))), key);
    } catch {
      // a key that cannot be read is none
    }
    if (own !== undefined) return { keys: [own], from: 'key-file' };
    return inLog.length > 0 ? { keys: inLog, from: 'log' } : { keys: [], from: 'nowhere' };
  });
}

/** Public keys a log was signed with, one a line, the newest last. */
export const publicKeysOf = (file: string): string =>
  withLog(file, (sqlite) => {
    const inLog = String(sqlite.prepare('SELECT value FROM audit_meta WHERE key = ?').pluck().get(KEYS_META) ?? '');
    const { keys } = keysOf(file);
    return [...new Set([...inLog.split('\n'), ...keys.map(encodeKey)])].filter((line) => line !== '').join('\n');
  });
