// Signing keys in SQLite. The file is readable by its owner alone; sealing the private part is a later step.
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { GatewayError } from '../errors.ts';
import type { KeyStore } from '../identity/stores.ts';
import { signingKey } from './schema.ts';

/** @throws {GatewayError} `conflict` */
export function keyStore(db: BetterSQLite3Database): KeyStore {
  return {
    insert(record) {
      const { changes } = db.insert(signingKey).values(record).onConflictDoNothing().run();
      if (changes === 0) throw new GatewayError('conflict', `the signing key ${record.kid} already exists`);
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
