// Identities in SQLite.
import { and, eq, isNull, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { GatewayError } from '../errors.ts';
import type { IdentityRecord, IdentityStore } from '../identity/stores.ts';
import { certificate, credential, identity, socket, token } from './schema.ts';
import { withoutNulls } from './without-nulls.ts';

const recordOf = (row: typeof identity.$inferSelect): IdentityRecord => withoutNulls(row);

const missing = (name: string) => new GatewayError('not-found', `there is no identity ${name}`);

/**
 * @param now milliseconds since the epoch: when credentials of a deleted identity are revoked
 * @throws {GatewayError} as IdentityStore says
 */
export function identityStore(db: BetterSQLite3Database, now: () => number = Date.now): IdentityStore {
  let generation = 0;
  const byName = db
    .select()
    .from(identity)
    .where(eq(identity.name, sql.placeholder('name')))
    .prepare();
  return {
    get generation() {
      return generation;
    },
    insert(record) {
      const values = {
        ...record,
        tenant: record.tenant ?? null,
        groups: [...record.groups],
        policies: [...record.policies],
      };
      const { changes } = db.insert(identity).values(values).onConflictDoNothing().run();
      if (changes === 0) throw new GatewayError('conflict', `the identity ${record.name} already exists`);
      generation++;
    },
    get(name) {
      const row = byName.get({ name });
      return row === undefined ? undefined : recordOf(row);
    },
    list: () => db.select().from(identity).orderBy(identity.name).all().map(recordOf),
    setDisabled(name, disabled) {
      if (db.update(identity).set({ disabled }).where(eq(identity.name, name)).run().changes === 0) throw missing(name);
      generation++;
    },
    setMaxTtl(name, maxTtlMs) {
      const change = db.update(identity).set({ maxTtlMs: maxTtlMs ?? null });
      if (change.where(eq(identity.name, name)).run().changes === 0) throw missing(name);
      generation++;
    },
    update(name, { tenant, groups, policies }) {
      const values = {
        ...(tenant === undefined ? {} : { tenant }),
        ...(groups === undefined ? {} : { groups: [...groups] }),
        ...(policies === undefined ? {} : { policies: [...policies] }),
      };
      if (Object.keys(values).length === 0) return;
      if (db.update(identity).set(values).where(eq(identity.name, name)).run().changes === 0) throw missing(name);
      generation++;
    },
    delete(name) {
      db.transaction((tx) => {
        if (tx.delete(identity).where(eq(identity.name, name)).run().changes === 0) throw missing(name);
        // The name may be given to another identity: tokens of this one must not come back to life with it.
        tx.update(token)
          .set({ revokedAt: now() })
          .where(and(eq(token.identity, name), isNull(token.revokedAt)))
          .run();
        tx.update(certificate)
          .set({ revokedAt: now() })
          .where(and(eq(certificate.identity, name), isNull(certificate.revokedAt)))
          .run();
        tx.delete(socket).where(eq(socket.identity, name)).run();
        tx.update(credential)
          .set({ revokedAt: now() })
          .where(and(eq(credential.identity, name), isNull(credential.revokedAt)))
          .run();
      });
      generation++;
    },
  };
}
