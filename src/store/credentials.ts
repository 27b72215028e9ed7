// Refresh credentials in SQLite: the hash of each secret, never the secret.
import { and, desc, eq, gt, isNotNull, isNull, lt, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { GatewayError } from '../errors.ts';
import type { CredentialRecord, CredentialStore } from '../identity/stores.ts';
import { credential } from './schema.ts';
import { withoutNulls } from './without-nulls.ts';

const recordOf = (row: typeof credential.$inferSelect): CredentialRecord => withoutNulls(row);

/** @throws {GatewayError} as CredentialStore says */
export function credentialStore(db: BetterSQLite3Database): CredentialStore {
  const get = (id: string) => {
    const row = db.select().from(credential).where(eq(credential.id, id)).get();
    return row === undefined ? undefined : recordOf(row);
  };
  return {
    insert(record) {
      db.insert(credential)
        .values({ ...record, scope: record.scope === undefined ? null : [...record.scope] })
        .run();
    },
    get,
    byHash(hash) {
      const row = db.select().from(credential).where(eq(credential.hash, hash)).get();
      return row === undefined ? undefined : recordOf(row);
    },
    list(filter = {}) {
      const query = db.select().from(credential);
      const rows = filter.identity === undefined ? query : query.where(eq(credential.identity, filter.identity));
      return rows.orderBy(desc(credential.createdAt), desc(credential.id)).all().map(recordOf);
    },
    revoke(id, at) {
      const open = and(eq(credential.id, id), isNull(credential.revokedAt));
      const { changes } = db.update(credential).set({ revokedAt: at }).where(open).run();
      if (changes === 0 && get(id) === undefined) throw new GatewayError('not-found', `there is no credential ${id}`);
    },
    revokeIssuedBefore: (identity, before, at) =>
      db
        .update(credential)
        .set({ revokedAt: at })
        .where(and(eq(credential.identity, identity), lt(credential.createdAt, before), isNull(credential.revokedAt)))
        .run().changes,
    revoked: (now) =>
      db
        .select({ id: credential.id })
        .from(credential)
        .where(and(isNotNull(credential.revokedAt), gt(credential.expiresAt, now)))
        .all()
        .map((row) => row.id),
    forget(before) {
      db.delete(credential).where(lt(credential.expiresAt, before)).run();
    },
    used(id, at) {
      db.update(credential)
        .set({ lastUsedAt: at, uses: sql`${credential.uses} + 1` })
        .where(eq(credential.id, id))
        .run();
    },
  };
}
