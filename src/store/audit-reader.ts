// Reads the audit log for review, over a connection of its own that cannot write.
import Database from 'better-sqlite3';
import { and, desc, eq, gt, gte, lt, type SQL, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { AuditDecision, AuditReader, AuditRow, AuditStage } from '../audit/event.ts';
import { COLUMNS, type ColumnValue, chainHash, genesis } from './audit-row.ts';
import { auditEvent } from './audit-schema.ts';

const rowOf = (row: typeof auditEvent.$inferSelect): AuditRow => {
  const { prev, hash, detail, stage, decision, ...rest } = row;
  const known = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null)) as unknown as Omit<
    AuditRow,
    'prev' | 'hash' | 'detail' | 'stage' | 'decision'
  >;
  return {
    ...known,
    stage: stage as AuditStage,
    decision: decision as AuditDecision,
    ...(detail === '{}' ? {} : { detail: JSON.parse(detail) as Record<string, unknown> }),
    prev: prev.toString('hex'),
    hash: hash.toString('hex'),
  };
};

/** A row may wait this many rows for its group: twice the recorder's queue, and what an outcome waits for room. */
const OUT_OF_ORDER = 50_000;

/** @param file an audit.db that was migrated */
export function openAuditReader(file: string): AuditReader {
  const sqlite = new Database(file, { readonly: true });
  sqlite.pragma('busy_timeout = 5000');
  const db = drizzle(sqlite);
  return {
    list(filter) {
      const conditions: SQL[] = [];
      if (filter.subject !== undefined) conditions.push(eq(auditEvent.subject, filter.subject));
      if (filter.tenant !== undefined) conditions.push(eq(auditEvent.tenant, filter.tenant));
      if (filter.decision !== undefined) {
        conditions.push(eq(auditEvent.decision, filter.decision));
        // Says what SQLite does not conclude by itself: the index of denials holds all there is to find.
        if (filter.decision !== 'allow') conditions.push(sql`${auditEvent.decision} <> 'allow'`);
      }
      if (filter.since !== undefined) {
        conditions.push(gte(auditEvent.at, filter.since));
        // Rows are written about in the order of their times: by the index of times it is known where to stop.
        conditions.push(
          sql`${auditEvent.seq} >= coalesce((SELECT seq FROM audit_event WHERE at >= ${filter.since} ORDER BY at, seq LIMIT 1), 0) - ${OUT_OF_ORDER}`,
        );
      }
      if (filter.afterSeq !== undefined) conditions.push(gt(auditEvent.seq, filter.afterSeq));
      if (filter.action?.endsWith('.*')) {
        // `container.` and all that begins with it: the character after the dot is the slash.
        const family = filter.action.slice(0, -2);
        conditions.push(gte(auditEvent.action, `${family}.`), lt(auditEvent.action, `${family}/`));
      } else if (filter.action !== undefined && filter.action !== '*') {
        conditions.push(eq(auditEvent.action, filter.action));
      }
      return db
        .select()
        .from(auditEvent)
        .where(and(...conditions))
        .orderBy(desc(auditEvent.seq))
        .limit(filter.limit)
        .all()
        .map(rowOf);
    },
    byAuditId: (auditId) =>
      db.select().from(auditEvent).where(eq(auditEvent.auditId, auditId)).orderBy(auditEvent.seq).all().map(rowOf),
    close() {
      sqlite.close();
    },
  };
}

export interface ChainReport {
  readonly ok: boolean;
  readonly rows: number;
  /** First row whose place, content or link is not as it was written. */
  readonly firstBadSeq?: number;
  readonly reason?: string;
}

/** Follows the chain from the first row to the last and names the first row that was touched. */
export function verifyChain(file: string): ChainReport {
  const sqlite = new Database(file, { readonly: true });
  try {
    const logId = (
      sqlite.prepare("SELECT value FROM audit_meta WHERE key = 'log-id'").get() as { value: string } | undefined
    )?.value;
    let prev: Buffer = genesis(logId ?? '');
    let rows = 0;
    const statement = sqlite.prepare(`SELECT seq, ${COLUMNS.join(', ')}, prev, hash FROM audit_event ORDER BY seq`);
    for (const row of statement.iterate() as IterableIterator<Record<string, ColumnValue | Buffer>>) {
      rows++;
      const bad = (reason: string): ChainReport => ({ ok: false, rows, firstBadSeq: Number(row.seq), reason });
      if (row.seq !== rows) return bad(`row ${rows} is missing`);
      if (!prev.equals(row.prev as Buffer)) return bad('it does not follow the row before it');
      const line = JSON.stringify(COLUMNS.map((column) => row[column]));
      const hash = chainHash(prev, rows, line);
      if (!hash.equals(row.hash as Buffer)) return bad('its content was changed');
      prev = hash;
    }
    return { ok: true, rows };
  } finally {
    sqlite.close();
  }
}
