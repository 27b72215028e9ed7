// Issued tokens in SQLite: their records, never their text.
import { and, desc, eq, gt, isNotNull, isNull, lt, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { GatewayError } from '../errors.ts';
import type { TokenRecord, TokenStore } from '../identity/stores.ts';
import { token } from './schema.ts';
import { withoutNulls } from './without-nulls.ts';

const recordOf = (row: typeof token.$inferSelect): TokenRecord => withoutNulls(row);

/** @throws {GatewayError} as TokenStore says */
export function tokenStore(db: BetterSQLite3Database): TokenStore {
  const byId = db
    .select()
    .from(token)
    .where(eq(token.id, sql.placeholder('id')))
    .prepare();
  return {
    insert(record) {
      const { changes } = db
        .insert(token)
        .values({
          ...record,
          scope: record.scope === undefined ? null : [...record.scope],
          ancestors: record.ancestors === undefined ? null : [...record.ancestors],
        })
        .onConflictDoNothing()
        .run();
      if (changes === 0) throw new GatewayError('conflict', `the token ${record.id} already exists`);
    },
    get(id) {
      const row = byId.get({ id });
      return row === undefined ? undefined : recordOf(row);
    },
    list(filter = {}) {
      const query = db.select().from(token);
      const rows = filter.identity === undefined ? query : query.where(eq(token.identity, filter.identity));
      return rows.orderBy(desc(token.issuedAt), desc(token.id)).all().map(recordOf);
    },
    revoke(id, at) {
      // The first revocation is the one that counts.
      const open = and(eq(token.id, id), isNull(token.revokedAt));
      const { changes } = db.update(token).set({ revokedAt: at }).where(open).run();
      if (changes === 0 && byId.get({ id }) === undefined) {
        throw new GatewayError('not-found', `there is no token ${id}`);
      }
    },
    revokeIssuedBefore: (identity, before, at) =>
      db
        .update(token)
        .set({ revokedAt: at })
        .where(and(eq(token.identity, identity), lt(token.issuedAt, before), isNull(token.revokedAt)))
        .run().changes,
    revoked: (now) =>
      db
        .select({ id: token.id })
        .from(token)
        .where(and(isNotNull(token.revokedAt), gt(token.expiresAt, now)))
        .all()
        .map((row) => row.id),
    forget(before) {
      db.delete(token).where(lt(token.expiresAt, before)).run();
    },
  };
}
