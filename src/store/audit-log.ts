// The audit log's one writer: groups of rows in one durable transaction, chained by hash. Synchronous; runs in the
// recorder's worker thread, where waiting for the disk stops nobody.
import { randomUUID } from 'node:crypto';
import Database from 'better-sqlite3';
import { chainHash, COLUMNS, type ColumnValue, genesis } from './audit-row.ts';
import { applyPragmas } from './database-pragmas.ts';

const CLOSED_THROUGH = 'closed-through';

export class AuditLog {
  readonly #sqlite: Database.Database;
  readonly #insert: Database.Statement;
  readonly #begin: Database.Statement;
  readonly #commit: Database.Statement;
  #seq: number;
  #prev: Buffer;

  /** @param file an audit.db that was migrated */
  constructor(file: string) {
    this.#sqlite = new Database(file);
    applyPragmas(this.#sqlite);
    this.#insert = this.#sqlite.prepare(
      `INSERT INTO audit_event (seq, ${COLUMNS.join(', ')}, prev, hash) VALUES (?${', ?'.repeat(COLUMNS.length + 2)})`,
    );
    this.#begin = this.#sqlite.prepare('BEGIN IMMEDIATE');
    this.#commit = this.#sqlite.prepare('COMMIT');
    const last = this.#sqlite.prepare('SELECT seq, hash FROM audit_event ORDER BY seq DESC LIMIT 1').get() as
      | { seq: number; hash: Buffer }
      | undefined;
    this.#seq = last?.seq ?? 0;
    this.#prev = last?.hash ?? genesis(this.#logId());
  }

  #logId(): string {
    this.#sqlite.prepare("INSERT OR IGNORE INTO audit_meta (key, value) VALUES ('log-id', ?)").run(randomUUID());
    return (this.#sqlite.prepare("SELECT value FROM audit_meta WHERE key = 'log-id'").get() as { value: string }).value;
  }

  /** Writes lines from `encodeEvent` in one transaction. Throws, with nothing written, when the disk does not take it. */
  write(lines: readonly string[]): void {
    let seq = this.#seq;
    let prev = this.#prev;
    this.#begin.run();
    try {
      for (const line of lines) {
        const values = JSON.parse(line) as ColumnValue[];
        seq++;
        const hash = chainHash(prev, seq, line);
        this.#insert.run(seq, ...values, prev, hash);
        prev = hash;
      }
      this.#commit.run();
    } catch (error) {
      if (this.#sqlite.inTransaction) this.#sqlite.exec('ROLLBACK');
      throw error;
    }
    this.#seq = seq;
    this.#prev = prev;
  }

  /**
   * Closes calls an earlier process left open: an intent without an outcome gets one that says it is not known.
   *
   * @param at microseconds since the epoch
   * @returns how many there were
   */
  closeOrphans(at: number): number {
    const from = Number(
      (
        this.#sqlite.prepare('SELECT value FROM audit_meta WHERE key = ?').get(CLOSED_THROUGH) as
          | { value: string }
          | undefined
      )?.value ?? 0,
    );
    const orphans = this.#sqlite
      .prepare(
        `SELECT ${COLUMNS.join(', ')} FROM audit_event AS i WHERE i.seq > ? AND i.stage = 'intent' AND NOT EXISTS
         (SELECT 1 FROM audit_event AS c WHERE c.audit_id = i.audit_id AND c.stage = 'complete') ORDER BY i.seq`,
      )
      .all(from) as Record<(typeof COLUMNS)[number], ColumnValue>[];
    for (let i = 0; i < orphans.length; i += 500) {
      this.write(
        orphans.slice(i, i + 500).map((row) =>
          JSON.stringify(
            COLUMNS.map((column) => {
              if (column === 'at') return at;
              if (column === 'stage') return 'complete';
              if (column === 'code') return 'outcome-unknown';
              if (column === 'detail') return '{"message":"the gateway ended before the outcome was known"}';
              return row[column];
            }),
          ),
        ),
      );
    }
    this.#markClosed();
    return orphans.length;
  }

  #markClosed(): void {
    this.#sqlite
      .prepare('INSERT OR REPLACE INTO audit_meta (key, value) VALUES (?, ?)')
      .run(CLOSED_THROUGH, String(this.#seq));
  }

  close(): void {
    this.#sqlite.close();
  }
}
