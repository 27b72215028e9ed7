// Tenants in SQLite: what each may have. Objects of a tenant are in the ledger, its identities in theirs.
import { eq } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { GatewayError } from '../errors.ts';
import type { TenantRecord, TenantStore } from '../ledger/quota.ts';
import { tenant } from './schema.ts';
import { withoutNulls } from './without-nulls.ts';

const missing = (name: string) => new GatewayError('not-found', `there is no tenant ${name}`);
const recordOf = (row: typeof tenant.$inferSelect): TenantRecord => withoutNulls(row);
const valuesOf = ({ description, quota, identityQuota, defaults, ...rest }: TenantRecord) => ({
  ...rest,
  description: description ?? null,
  quota: { ...quota },
  identityQuota: { ...identityQuota },
  defaults: { ...defaults },
});

/** Reads everything once: limits are asked for on every call. @throws {GatewayError} as TenantStore says */
export function tenantStore(db: BetterSQLite3Database): TenantStore {
  const known = new Map(
    db
      .select()
      .from(tenant)
      .all()
      .map((row) => [row.name, recordOf(row)]),
  );
  return {
    insert(record) {
      const { changes } = db.insert(tenant).values(valuesOf(record)).onConflictDoNothing().run();
      if (changes === 0) throw new GatewayError('conflict', `the tenant ${record.name} already exists`);
      known.set(record.name, record);
    },
    update(record) {
      const { changes } = db.update(tenant).set(valuesOf(record)).where(eq(tenant.name, record.name)).run();
      if (changes === 0) throw missing(record.name);
      known.set(record.name, record);
    },
    get: (name) => known.get(name),
    list: () => [...known.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    delete(name) {
      if (db.delete(tenant).where(eq(tenant.name, name)).run().changes === 0) throw missing(name);
      known.delete(name);
    },
  };
}
