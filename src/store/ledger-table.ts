// The ledger's table: how a change is written as a line and a row, and how rows are read. See ledger-schema.ts.
import type Database from 'better-sqlite3';
import type { LedgerEntry } from '../ledger/entry.ts';

/** How long an object is kept after its removal, in ms: 90 days. */
const KEEP_REMOVED_MS = 90 * 24 * 60 * 60 * 1000;
/** Most removed objects read back, newest first: their late events may still come. */
const MAX_REMOVED = 20_000;
/** First character of a line that holds changes of the ledger; those of events begin with a bracket. */
const MARK = 'L';

/** The line handed to the writer beside the event's own. */
export const encodeLedger = (changes: readonly LedgerEntry[]): string => `${MARK}${JSON.stringify(changes)}`;

export const isLedgerLine = (line: string): boolean => line.startsWith(MARK);

/** Writes the changes of one line; to be called within a transaction. Writing them twice is writing them once. */
export const writeLedger = (sqlite: Database.Database, line: string): void =>
  copyLedger(sqlite, JSON.parse(line.slice(MARK.length)) as LedgerEntry[]);

/** Writes entries; to be called within a transaction. */
export function copyLedger(sqlite: Database.Database, entries: readonly LedgerEntry[]): void {
  const put = sqlite.prepare(
    `INSERT OR REPLACE INTO ledger_object (key, kind, id, name, tenant, owner, token_id, audit_id, state, created_at, removed_at,
       replaced_by, parent, engine_created_at, is_pulled, share, is_running, lease_until, is_common)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const remove = sqlite.prepare('DELETE FROM ledger_object WHERE key = ?');
  for (const e of entries) {
    if (e.state === 'void') remove.run(e.key);
    else {
      put.run(
        ...[e.key, e.kind, e.id, e.name, e.tenant, e.owner, e.tokenId ?? null, e.auditId, e.state, e.createdAt],
        ...[e.removedAt ?? null, e.replacedBy ?? null, e.parent ?? null, e.engineCreatedAt ?? null, e.isPulled ? 1 : 0],
        ...[
          e.share === undefined ? null : JSON.stringify(e.share),
          e.isRunning ? 1 : 0,
          e.leaseUntil ?? null,
          e.isCommon ? 1 : 0,
        ],
      );
    }
  }
}

interface Row {
  key: string;
  kind: LedgerEntry['kind'];
  id: string;
  name: string;
  tenant: string;
  owner: string;
  token_id: string | null;
  audit_id: string;
  state: LedgerEntry['state'];
  created_at: number;
  removed_at: number | null;
  replaced_by: string | null;
  parent: string | null;
  engine_created_at: string | null;
  is_pulled: number;
  share: string | null;
  is_running: number;
  lease_until: number | null;
  /** Absent in an audit.db of an earlier version. */
  is_common?: number;
}

/** Whether a database holds the table: an audit.db of an earlier version does. */
export const hasLedgerTable = (sqlite: Database.Database): boolean =>
  sqlite.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'ledger_object'").get() !== undefined;

/**
 * Everything live or pending, and the objects removed last. Objects removed long ago are left out.
 *
 * @param nowMs milliseconds since the epoch
 */
export function readLedger(sqlite: Database.Database, nowMs: number): LedgerEntry[] {
  if (!sqlite.readonly) {
    sqlite.prepare("DELETE FROM ledger_object WHERE state = 'removed' AND removed_at < ?").run(nowMs - KEEP_REMOVED_MS);
  }
  const removed = sqlite
    .prepare(`SELECT * FROM ledger_object WHERE state = 'removed' ORDER BY removed_at DESC LIMIT ${MAX_REMOVED}`)
    .all() as Row[];
  const present = sqlite
    .prepare("SELECT * FROM ledger_object WHERE state <> 'removed' ORDER BY created_at")
    .all() as Row[];
  return [...removed.reverse(), ...present].map(entryOf);
}

const entryOf = (row: Row): LedgerEntry => ({
  key: row.key,
  kind: row.kind,
  id: row.id,
  name: row.name,
  tenant: row.tenant,
  owner: row.owner,
  tokenId: row.token_id ?? undefined,
  auditId: row.audit_id,
  state: row.state,
  createdAt: row.created_at,
  removedAt: row.removed_at ?? undefined,
  replacedBy: row.replaced_by ?? undefined,
  parent: row.parent ?? undefined,
  engineCreatedAt: row.engine_created_at ?? undefined,
  isPulled: row.is_pulled === 1,
  share: row.share === null ? undefined : (JSON.parse(row.share) as LedgerEntry['share']),
  isRunning: row.is_running === 1,
  leaseUntil: row.lease_until ?? undefined,
  isCommon: row.is_common === 1,
});
