// Signing keys in SQLite. The private part comes here as the identity room gives it: sealed.
import { inArray } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import type { KeyStore } from '../identity/stores.ts';
import { signingKey } from './schema.ts';

export function keyStore(db: BetterSQLite3Database): KeyStore {
  return {
    list: () =>
      db
        .select()
        .from(signingKey)
        .orderBy(signingKey.createdAt)
        .all()
        .map((row) => ({ ...row, algorithm: 'Ed25519' as const })),
    apply({ put = [], remove = [] }) {
      db.transaction((tx) => {
        if (remove.length > 0)
          tx.delete(signingKey)
            .where(inArray(signingKey.kid, [...remove]))
            .run();
        for (const record of put) {
          const { kid: _kid, ...set } = record;
          tx.insert(signingKey).values(record).onConflictDoUpdate({ target: signingKey.kid, set }).run();
        }
      });
    },
  };
}
