// Issued client certificates in SQLite: their records, never a key.
import { and, desc, eq, gt, isNotNull, isNull, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { GatewayError } from '../errors.ts';
import type { CertificateRecord, CertificateStore } from '../identity/stores.ts';
import { certificate } from './schema.ts';

const recordOf = ({ revokedAt, ...row }: typeof certificate.$inferSelect): CertificateRecord => ({
  ...row,
  ...(revokedAt === null ? {} : { revokedAt }),
});

/** @throws {GatewayError} as CertificateStore says */
export function certificateStore(db: BetterSQLite3Database): CertificateStore {
  const bySerial = db
    .select()
    .from(certificate)
    .where(eq(certificate.serial, sql.placeholder('serial')))
    .prepare();
  return {
    insert(record) {
      const values = { ...record, revokedAt: record.revokedAt ?? null };
      const { changes } = db.insert(certificate).values(values).onConflictDoNothing().run();
      if (changes === 0) throw new GatewayError('conflict', `the certificate ${record.serial} already exists`);
    },
    get(serial) {
      const row = bySerial.get({ serial });
      return row === undefined ? undefined : recordOf(row);
    },
    list(filter = {}) {
      const query = db.select().from(certificate);
      const rows = filter.identity === undefined ? query : query.where(eq(certificate.identity, filter.identity));
      return rows.orderBy(desc(certificate.issuedAt), desc(certificate.serial)).all().map(recordOf);
    },
    revoke(serial, at) {
      // The first revocation is the one that counts.
      const open = and(eq(certificate.serial, serial), isNull(certificate.revokedAt));
      const { changes } = db.update(certificate).set({ revokedAt: at }).where(open).run();
      if (changes === 0 && bySerial.get({ serial }) === undefined) {
        throw new GatewayError('not-found', `there is no certificate ${serial}`);
      }
    },
    revoked: (now) =>
      db
        .select({ serial: certificate.serial })
        .from(certificate)
        .where(and(isNotNull(certificate.revokedAt), gt(certificate.expiresAt, now)))
        .all()
        .map((row) => row.serial),
  };
}
