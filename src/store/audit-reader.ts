// Reads the audit log for review, over a connection of its own that cannot write.
import Database from 'better-sqlite3';
import { and, asc, desc, eq, gte, lte, type SQL, sql } from 'drizzle-orm';
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3';
import type { AuditDecision, AuditFilter, AuditOutcome, AuditResource, AuditRow, AuditStage } from '../audit/event.ts';
import { COLUMNS, type ColumnValue, canonicalLine, chainHash, genesis } from './audit-row.ts';
import { auditEvent } from './audit-schema.ts';
import { whereOf } from './review-where.ts';

export const rowOf = (row: typeof auditEvent.$inferSelect): AuditRow => {
  const { prev, hash, detail, stage, decision, outcome, resources, ...rest } = row;
  const known = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null)) as unknown as Omit<
    AuditRow,
    'prev' | 'hash' | 'detail' | 'stage' | 'decision' | 'outcome' | 'resources'
  >;
  return {
    ...known,
    stage: stage as AuditStage,
    decision: decision as AuditDecision,
    ...(outcome === null ? {} : { outcome: outcome as AuditOutcome }),
    ...(resources === null ? {} : resourcesOf(resources)),
    ...(detail === '{}' ? {} : { detail: JSON.parse(detail) as Record<string, unknown> }),
    prev: prev.toString('hex'),
    hash: hash.toString('hex'),
  };
};

function resourcesOf(stored: string): Pick<AuditRow, 'resources' | 'moreResources'> {
  const all = JSON.parse(stored) as (AuditResource | { readonly more: number })[];
  const last = all.at(-1);
  return last !== undefined && 'more' in last
    ? { resources: all.slice(0, -1) as AuditResource[], moreResources: last.more }
    : { resources: all as AuditResource[] };
}

/** Rows looked at in one step, without an index some tens of ms. */
const PORTION = 50_000;

export type AuditDatabase = BetterSQLite3Database;

/** The log as one connection reads it: every answer at once. */
export interface AuditFile {
  list(filter: AuditFilter): readonly AuditRow[];
  /** The same in steps: the reader of a large log may do something else in between. */
  listing(filter: AuditFilter): Generator<undefined, readonly AuditRow[]>;
  /** All rows of one call, in order. */
  byAuditId(auditId: string): readonly AuditRow[];
  /** Audit ids that begin so, at most a few. */
  startingWith(start: string): readonly string[];
  close(): void;
}

/** The rows of one step, from `low` to `high`, both inclusive. */
export function rowsWithin(db: AuditDatabase, filter: AuditFilter, low: number, high: number, limit: number) {
  const where = whereOf(filter);
  let given = 0;
  const conditions: SQL[] = [gte(auditEvent.seq, low), lte(auditEvent.seq, high)];
  for (const term of where.terms) {
    const [start = '', ...rest] = term.split('?');
    conditions.push(
      sql.join([sql.raw(start), ...rest.flatMap((part) => [sql`${where.params[given++]}`, sql.raw(part)])]),
    );
  }
  return db
    .select()
    .from(auditEvent)
    .where(and(...conditions))
    .orderBy(filter.oldestFirst === true ? asc(auditEvent.seq) : desc(auditEvent.seq))
    .limit(limit);
}

/**
 * The oldest row of a time or later. Clocks are set back, so it is not the first of that time. The sign keeps SQLite from
 * walking the rows until it meets one.
 */
export const FIRST_SINCE = 'SELECT min(+seq) AS seq FROM audit_event WHERE at >= ?';
/** Whether there is a row of a time or later. */
export const ANY_SINCE = 'SELECT 1 FROM audit_event WHERE at >= ? LIMIT 1';
/** Audit ids between two texts. */
export const STARTS_WITH =
  'SELECT DISTINCT audit_id AS id FROM audit_event WHERE audit_id >= ? AND audit_id < ? ORDER BY audit_id LIMIT 6';
/** What an index finds. The search for the oldest row of a time would cost more than these. */
const isIndexed = ({ subject, tenant, decision }: AuditFilter): boolean =>
  subject !== undefined || tenant !== undefined || (decision !== undefined && decision !== 'allow');

/** @param file an audit.db that was migrated */
export function openAuditReader(file: string): AuditFile {
  const sqlite = new Database(file, { readonly: true });
  sqlite.pragma('busy_timeout = 5000');
  const db = drizzle(sqlite);
  const ends = sqlite.prepare('SELECT coalesce(max(seq), 0) AS seq FROM audit_event');
  const anySince = sqlite.prepare(ANY_SINCE);
  const firstSince = sqlite.prepare(FIRST_SINCE);
  const startsWith = sqlite.prepare(STARTS_WITH);
  const ofCall = db
    .select()
    .from(auditEvent)
    .where(eq(auditEvent.auditId, sql.placeholder('auditId')))
    .orderBy(auditEvent.seq)
    .prepare();
  function* listing(filter: AuditFilter): Generator<undefined, readonly AuditRow[]> {
    const { since, oldestFirst = false } = filter;
    if (since !== undefined && anySince.get(since) === undefined) return [];
    let low = (filter.afterSeq ?? 0) + 1;
    let high = Math.min((ends.get() as { seq: number }).seq, (filter.beforeSeq ?? Number.POSITIVE_INFINITY) - 1);
    let isBounded = since === undefined || isIndexed(filter);
    const bound = (): void => {
      isBounded = true;
      low = Math.max(low, (firstSince.get(since) as { seq: number }).seq);
    };
    // Oldest first begins there. Newest first is mostly done before it matters.
    if (oldestFirst && !isBounded) bound();
    const rows: AuditRow[] = [];
    while (low <= high) {
      const [from, to] = oldestFirst
        ? [low, Math.min(high, low + PORTION - 1)]
        : [Math.max(low, high - PORTION + 1), high];
      rows.push(
        ...rowsWithin(db, filter, from, to, filter.limit - rows.length)
          .all()
          .map(rowOf),
      );
      if (rows.length >= filter.limit) break;
      if (oldestFirst) low = to + 1;
      else high = from - 1;
      yield;
      if (!isBounded) bound();
    }
    return rows;
  }
  return {
    listing,
    list(filter) {
      const steps = listing(filter);
      for (;;) {
        const { done, value } = steps.next();
        if (done === true) return value;
      }
    },
    byAuditId: (auditId) => ofCall.all({ auditId }).map(rowOf),
    startingWith(start) {
      const found = startsWith.all(start, `${start}\u{10ffff}`) as { id: string }[];
      return found.map(({ id }) => id);
    },
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
      const line = canonicalLine(COLUMNS.map((column) => row[column] as ColumnValue));
      const hash = chainHash(prev, rows, line);
      if (!hash.equals(row.hash as Buffer)) return bad('its content was changed');
      prev = hash;
    }
    return { ok: true, rows };
  } finally {
    sqlite.close();
  }
}
