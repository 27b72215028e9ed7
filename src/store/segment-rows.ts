// Rows as segments hold them, read from the database and followed along the chain on the way: what was altered is not exported as whole.
import Database from 'better-sqlite3';
import { readAnchor } from '../audit/seal/checkpoint.ts';
import type { SegmentHead, SegmentRow } from '../audit/segment.ts';
import { SEGMENT_FORMAT } from '../audit/segment.ts';
import { REMOVING } from './audit-removal.ts';
import { COLUMNS, type ColumnValue, canonicalLine, chainHash, genesis } from './audit-row.ts';
import { KEYS_META } from './audit-sealer.ts';
import { tileReader, treeFromTiles } from './audit-tiles.ts';

/** A row with its place in the chain. */
export interface RawRow {
  readonly seq: number;
  /** By COLUMNS. */
  readonly values: readonly ColumnValue[];
  readonly hash: Buffer;
}

export class ChainBroken extends Error {
  readonly seq: number;
  constructor(seq: number) {
    super(`row ${seq} is not as it was written`);
    this.seq = seq;
  }
}

export class SegmentSource {
  readonly #sqlite: Database.Database;
  readonly #rows: Database.Statement;
  readonly logId: string;

  /** @param file an audit.db that was migrated */
  constructor(file: string) {
    this.#sqlite = new Database(file, { readonly: true, fileMustExist: true });
    this.#sqlite.pragma('busy_timeout = 5000');
    this.logId = this.#one("SELECT value FROM audit_meta WHERE key = 'log-id'") as string;
    this.#rows = this.#sqlite
      .prepare(
        `SELECT seq, hash, prev, ${COLUMNS.join(', ')} FROM audit_event WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`,
      )
      .raw();
  }

  #one(sql: string, ...values: (string | number)[]): unknown {
    return this.#sqlite
      .prepare(sql)
      .pluck()
      .get(...values);
  }

  first(): number {
    return this.#one('SELECT coalesce(min(seq), 0) FROM audit_event') as number;
  }

  last(): number {
    return this.#one('SELECT coalesce(max(seq), 0) FROM audit_event') as number;
  }

  /** The last row a signed checkpoint covers, and the checkpoint. */
  checkpoint(): { readonly seq: number; readonly note: string } | undefined {
    return this.#sqlite.prepare('SELECT seq, note FROM audit_checkpoint ORDER BY seq DESC LIMIT 1').get() as
      | { seq: number; note: string }
      | undefined;
  }

  /** The last row of those that were exported and are being removed; 0 for none. */
  removing(): number {
    return Number(this.#one('SELECT value FROM audit_meta WHERE key = ?', REMOVING) ?? 0);
  }

  /** The first checkpoint that covers a row, and the last row it covers. */
  checkpointFrom(seq: number): { readonly seq: number; readonly note: string } | undefined {
    return this.#sqlite
      .prepare('SELECT seq, note FROM audit_checkpoint WHERE seq >= ? ORDER BY seq LIMIT 1')
      .get(seq) as { seq: number; note: string } | undefined;
  }

  /** Bytes the database uses, pages that are free left out. */
  usedBytes(): number {
    const of = (pragma: string): number => this.#sqlite.pragma(pragma, { simple: true }) as number;
    return (of('page_count') - of('freelist_count')) * of('page_size');
  }

  /** About the first row made at a time or later: exact where the clock was never set back. The row behind the last when there is none. */
  firstSince(at: number): number {
    let [low, high] = [this.first(), this.last() + 1];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const made = this.#one('SELECT at FROM audit_event WHERE seq >= ? ORDER BY seq LIMIT 1', middle) as number;
      if (made >= at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  isOpen(auditId: string): boolean {
    return this.#one("SELECT 1 FROM audit_event WHERE audit_id = ? AND stage = 'complete'", auditId) === undefined;
  }

  headBefore(first: number): SegmentHead {
    const anchor = this.#one('SELECT note FROM audit_anchor WHERE seq = ?', first - 1);
    const keys = this.#one('SELECT value FROM audit_meta WHERE key = ?', KEYS_META);
    return {
      dockgateAuditSegment: SEGMENT_FORMAT,
      logId: this.logId,
      first,
      prev: this.#prevOf(first).toString('hex'),
      anchor: typeof anchor === 'string' ? anchor : null,
      before: this.#treeBefore(first),
      keys: typeof keys === 'string' ? keys.split('\n') : [],
    };
  }

  #treeBefore(first: number): readonly string[] | null {
    try {
      return treeFromTiles(tileReader(this.#sqlite), first - 1).roots.map((root) => root.toString('base64'));
    } catch {
      // Its tiles are not there: only the chain is left.
      return null;
    }
  }

  #prevOf(first: number): Buffer {
    if (first === 1) return genesis(this.logId);
    const before = this.#one('SELECT hash FROM audit_event WHERE seq = ?', first - 1);
    if (Buffer.isBuffer(before)) return before;
    const note = this.#one('SELECT note FROM audit_anchor WHERE seq = ?', first - 1);
    const anchor = typeof note === 'string' ? readAnchor(note) : undefined;
    return anchor?.hash ?? Buffer.alloc(0);
  }

  /**
   * Rows after one, up to another.
   *
   * @throws {ChainBroken} at a row that is missing or not as it was written
   */
  after(seq: number, until: number, limit: number): readonly RawRow[] {
    let [at, prev] = [seq, this.#prevOf(seq + 1)];
    return (this.#rows.all(seq, until, limit) as [number, Buffer, Buffer, ...ColumnValue[]][]).map(
      ([rowSeq, hash, rowPrev, ...values]) => {
        at++;
        const isWhole =
          rowSeq === at && prev.equals(rowPrev) && chainHash(prev, at, canonicalLine(values)).equals(hash);
        if (!isWhole) throw new ChainBroken(at);
        prev = hash;
        return { seq: at, values, hash };
      },
    );
  }

  close(): void {
    this.#sqlite.close();
  }
}

export function segmentRow({ seq, values, hash }: RawRow): SegmentRow {
  const row: Record<string, string | number> = {};
  COLUMNS.forEach((column, index) => {
    const value = values[index];
    if (value !== null && value !== undefined) row[column] = value;
  });
  return { seq, ...row, hash: hash.toString('hex') };
}
