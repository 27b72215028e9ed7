// Identities in SQLite.
import { eq } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { GatewayError } from '../errors.ts';
import type { IdentityRecord, IdentityStore } from '../identity/stores.ts';
import { identity, token } from './schema.ts';

const recordOf = ({ tenant, ...row }: typeof identity.$inferSelect): IdentityRecord => ({
  ...row,
  ...(tenant === null ? {} : { tenant }),
});

const missing = (name: string) => new GatewayError('not-found', `there is no identity ${name}`);

/** @throws {GatewayError} as IdentityStore says */
export function identityStore(db: BetterSQLite3Database): IdentityStore {
  return {
    insert(record) {
      const values = {
        ...record,
        tenant: record.tenant ?? null,
        groups: [...record.groups],
        policies: [...record.policies],
      };
      const { changes } = db.insert(identity).values(values).onConflictDoNothing().run();
      if (changes === 0) throw new GatewayError('conflict', `the identity ${record.name} already exists`);
    },
    get(name) {
      const row = db.select().from(identity).where(eq(identity.name, name)).get();
      return row === undefined ? undefined : recordOf(row);
    },
    list: () => db.select().from(identity).orderBy(identity.name).all().map(recordOf),
    setDisabled(name, disabled) {
      if (db.update(identity).set({ disabled }).where(eq(identity.name, name)).run().changes === 0) throw missing(name);
    },
    delete(name) {
      db.transaction((tx) => {
        if (tx.delete(identity).where(eq(identity.name, name)).run().changes === 0) throw missing(name);
        // The name may be given to somebody else: what was issued to this one must not come back to life with it.
        tx.update(token).set({ revokedAt: Date.now() }).where(eq(token.identity, name)).run();
      });
    },
  };
}
