// Removes the rows before an anchor: some at a time, in the writer's own thread and while no call waits for it, so that no writer ever waits
// for a lock. Its commits do not wait for the disk: what a power cut takes back is removed again. How far to remove stands in the database
// until it is done, so that a start goes on with it.
import type Database from 'better-sqlite3';
import { TILE } from '../audit/seal/merkle.ts';

/** In `audit_meta`: rows up to here were exported and are being removed. */
export const REMOVING = 'removing-through';
/** Rows in one transaction: about half a millisecond. */
const ROWS = 40;
/** Entries of the index of objects looked at in one transaction. */
const ENTRIES = 400;

export class AuditRemoval {
  #through: number;
  /** Where the walk through the index of objects stands; undefined before it. */
  #walk: { nameNo: number; seq: number } | undefined;

  constructor(sqlite: Database.Database) {
    const noted = sqlite.prepare('SELECT value FROM audit_meta WHERE key = ?').pluck().get(REMOVING);
    this.#through = noted === undefined ? 0 : Number(noted);
  }

  get isDue(): boolean {
    return this.#through > 0;
  }

  /** @param seq of a row an anchor stands at; the last row of the log always stays */
  begin(sqlite: Database.Database, seq: number): void {
    const anchor = sqlite.prepare('SELECT coalesce(max(seq), 0) FROM audit_anchor').pluck().get() as number;
    const last = sqlite.prepare('SELECT coalesce(max(seq), 0) FROM audit_event').pluck().get() as number;
    if (seq > anchor || seq >= last) throw new Error(`rows up to ${seq} may not be removed`);
    sqlite.prepare('INSERT OR REPLACE INTO audit_meta (key, value) VALUES (?, ?)').run(REMOVING, String(seq));
    this.#through = seq;
    this.#walk = undefined;
  }

  /** A piece of the work, well below a millisecond. @returns false when it failed, which is no fault: the next piece tries again */
  some(sqlite: Database.Database): boolean {
    try {
      sqlite.pragma('synchronous = NORMAL');
      sqlite.transaction(() => this.#piece(sqlite)).immediate();
      return true;
    } catch {
      // the disk is full or the file is gone: writing tells so
      this.#walk = undefined;
      return false;
    } finally {
      sqlite.pragma('synchronous = FULL');
    }
  }

  #piece(sqlite: Database.Database): void {
    const through = this.#through;
    const first = sqlite.prepare('SELECT min(seq) FROM audit_event').pluck().get() as number | null;
    if (first !== null && first <= through) {
      sqlite.prepare('DELETE FROM audit_event WHERE seq <= ?').run(Math.min(through, first + ROWS - 1));
      return;
    }
    // Tiles of rows that are gone: those above them still give the tree, and the last one may be in use.
    const tile = Math.floor((through - 1) / TILE);
    const tiles = sqlite
      .prepare('DELETE FROM audit_tile WHERE id IN (SELECT id FROM audit_tile WHERE id < ? LIMIT ?)')
      .run(tile, ROWS).changes;
    if (tiles > 0) return;
    this.#walk ??= { nameNo: -1, seq: 0 };
    const { nameNo, seq } = this.#walk;
    const end = sqlite
      .prepare(
        'SELECT name_no AS nameNo, seq FROM audit_resource WHERE (name_no, seq) > (?, ?) ORDER BY name_no, seq LIMIT 1 OFFSET ?',
      )
      .get(nameNo, seq, ENTRIES - 1) as { nameNo: number; seq: number } | undefined;
    const to = end ?? { nameNo: Number.MAX_SAFE_INTEGER, seq: 0 };
    sqlite
      .prepare('DELETE FROM audit_resource WHERE (name_no, seq) > (?, ?) AND (name_no, seq) <= (?, ?) AND seq <= ?')
      .run(nameNo, seq, to.nameNo, to.seq, through);
    this.#walk = end;
    if (end !== undefined) return;
    sqlite.prepare('DELETE FROM audit_meta WHERE key = ?').run(REMOVING);
    this.#through = 0;
  }
}
