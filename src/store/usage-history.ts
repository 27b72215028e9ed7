// The ledger's rows of a span of time, for what a tenant had in use then. Objects removed more than 90 days ago are forgotten.
import Database from 'better-sqlite3';
import type { LedgerEntry } from '../ledger/entry.ts';
import { type Usage, usageOverTime } from '../ledger/usage.ts';

/** What was in use at a time, in milliseconds since the epoch. */
export interface UsagePoint {
  readonly at: number;
  readonly usage: Usage;
}

export interface UsageHistory {
  /** What a tenant had in use at `fromMs`, and every `stepMs` until `toMs`. */
  read(tenant: string, fromMs: number, toMs: number, stepMs: number): readonly UsagePoint[];
  close(): void;
}

interface Row {
  kind: LedgerEntry['kind'];
  share: string | null;
  parent: string | null;
  created_at: number;
  removed_at: number | null;
}

/** @param file a ledger.db that was migrated */
export function openUsageHistory(file: string): UsageHistory {
  const sqlite = new Database(file, { readonly: true });
  sqlite.pragma('busy_timeout = 5000');
  const rows = sqlite.prepare(
    `SELECT kind, share, parent, created_at, removed_at FROM ledger_object
       WHERE tenant = ? AND created_at <= ? AND (removed_at IS NULL OR removed_at > ?)`,
  );
  return {
    read(tenant, fromMs, toMs, stepMs) {
      const objects = (rows.all(tenant, toMs, fromMs) as Row[]).map((row) => ({
        kind: row.kind,
        share: row.share === null ? undefined : (JSON.parse(row.share) as LedgerEntry['share']),
        parent: row.parent ?? undefined,
        createdAt: row.created_at,
        removedAt: row.removed_at ?? undefined,
      }));
      return usageOverTime(objects, fromMs, toMs, stepMs);
    },
    close() {
      sqlite.close();
    },
  };
}
