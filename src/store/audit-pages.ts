// The audit log page by page for sinks, exports and retention: over a connection of its own that cannot write, with no transaction left
// open between two pages, so that nothing keeps the write-ahead log from being moved.
import Database from 'better-sqlite3';
import { asc, gt } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { AuditRow } from '../audit/event.ts';
import { rowOf } from './audit-reader.ts';
import { auditEvent } from './audit-schema.ts';

/** Characters of details on one page: the longest page is this and one row. */
const PAGE_CHARACTERS = 1024 * 1024;

export interface AuditPages {
  readonly logId: string;
  /** Rows after one, oldest first and without a gap. */
  after(seq: number, rows: number): readonly AuditRow[];
  /** The newest and the oldest row; 0 for an empty log. */
  last(): number;
  first(): number;
  /** When the first row after one was made, in microseconds since the epoch. */
  atAfter(seq: number): number | undefined;
  hashAt(seq: number): string | undefined;
  close(): void;
}

/** @param file an audit.db that was migrated and has its log id */
export function openAuditPages(file: string): AuditPages {
  const sqlite = new Database(file, { readonly: true, fileMustExist: true });
  sqlite.pragma('busy_timeout = 5000');
  const db = drizzle(sqlite);
  const logId = sqlite.prepare("SELECT value FROM audit_meta WHERE key = 'log-id'").pluck().get() as string | undefined;
  if (logId === undefined) {
    sqlite.close();
    throw new Error('the audit log has no id yet');
  }
  const last = sqlite.prepare('SELECT coalesce(max(seq), 0) FROM audit_event').pluck();
  const first = sqlite.prepare('SELECT coalesce(min(seq), 0) FROM audit_event').pluck();
  const at = sqlite.prepare('SELECT at FROM audit_event WHERE seq > ? ORDER BY seq LIMIT 1').pluck();
  const hash = sqlite.prepare('SELECT hex(hash) FROM audit_event WHERE seq = ?').pluck();
  return {
    logId,
    after(seq, rows) {
      const page: AuditRow[] = [];
      let characters = 0;
      // Rows are few and short mostly; the longest ones would be many megabytes together.
      const found = db
        .select()
        .from(auditEvent)
        .where(gt(auditEvent.seq, seq))
        .orderBy(asc(auditEvent.seq))
        .limit(rows)
        .all();
      for (const row of found) {
        page.push(rowOf(row));
        characters += row.detail.length;
        if (characters > PAGE_CHARACTERS) break;
      }
      return page;
    },
    last: () => last.get() as number,
    first: () => first.get() as number,
    atAfter: (seq) => at.get(seq) as number | undefined,
    hashAt: (seq) => (hash.get(seq) as string | undefined)?.toLowerCase(),
    close: () => sqlite.close(),
  };
}
