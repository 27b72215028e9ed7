// Signing keys in SQLite. The file is readable by its owner alone; sealing the private part is a later step.
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import type { KeyStore } from '../identity/stores.ts';
import { signingKey } from './schema.ts';

export function keyStore(db: BetterSQLite3Database): KeyStore {
  return {
    insert(record) {
      db.insert(signingKey).values(record).run();
    },
    list: () =>
      db
        .select()
        .from(signingKey)
        .orderBy(signingKey.createdAt)
        .all()
        .map((row) => ({ ...row, algorithm: 'Ed25519' as const })),
  };
}
