// Reads the audit for the count of each token's use, over a connection of its own that cannot write.
import Database from 'better-sqlite3';
import type { TokenUse } from '../identity/stores.ts';

interface Counted {
  readonly tokenId: string;
  readonly calls: number;
  readonly denials: number;
  readonly at: number;
}

/** Uses in some rows, and the last row that was looked at. */
export interface TokenUses {
  readonly uses: ReadonlyMap<string, TokenUse>;
  readonly to: number;
}

export interface TokenUseFile {
  /** Uses in the rows after `afterSeq`, at most `limit` rows of them. */
  read(afterSeq: number, limit: number): TokenUses;
  close(): void;
}

/** @param file an audit.db that was migrated */
export function openTokenUseReader(file: string): TokenUseFile {
  const sqlite = new Database(file, { readonly: true });
  sqlite.pragma('busy_timeout = 5000');
  const newest = sqlite.prepare('SELECT coalesce(max(seq), 0) AS seq FROM audit_event');
  // Each call has one outcome. What the gateway itself records of a token, such as an exchange, is no call of it.
  const counted = sqlite.prepare(
    `SELECT token_id AS tokenId, count(*) AS calls, sum(decision = 'deny') AS denials, max(at) AS at FROM audit_event
      WHERE seq > ? AND seq <= ? AND stage = 'complete' AND token_id IS NOT NULL GROUP BY token_id`,
  );
  return {
    read(afterSeq, limit) {
      const to = Math.min((newest.get() as { seq: number }).seq, afterSeq + limit);
      const uses = new Map<string, TokenUse>();
      if (to <= afterSeq) return { uses, to: afterSeq };
      for (const { tokenId, calls, denials, at } of counted.all(afterSeq, to) as Counted[]) {
        uses.set(tokenId, { lastUsedAt: Math.floor(at / 1000), calls, denials });
      }
      return { uses, to };
    },
    close() {
      sqlite.close();
    },
  };
}
