// Policy documents in SQLite, by revision of the whole set: what was in force when is never lost.
import { desc, eq, max } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { GatewayError } from '../errors.ts';
import type { PolicyStore, StoredDocument } from '../policy/store.ts';
import { policyDocument } from './schema.ts';

/** @throws {GatewayError} as PolicyStore says */
export function policyStore(db: BetterSQLite3Database): PolicyStore {
  const revision = () =>
    db
      .select({ newest: max(policyDocument.revision) })
      .from(policyDocument)
      .get()?.newest ?? 0;
  const newest = (): StoredDocument[] => {
    const byName = new Map<string, StoredDocument>();
    for (const row of db.select().from(policyDocument).orderBy(policyDocument.revision).all())
      byName.set(row.name, row);
    return [...byName.values()];
  };
  return {
    current: () => ({
      revision: revision(),
      documents: newest()
        .filter((d) => !d.deleted)
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    }),
    apply: (documents, by, at) =>
      db.transaction((tx) => {
        const next = revision() + 1;
        for (const { kind, name, source } of documents) {
          tx.insert(policyDocument).values({ kind, name, source, revision: next, deleted: false, at, by }).run();
        }
        return next;
      }),
    remove: (name, by, at) =>
      db.transaction((tx) => {
        const last = newest().find((d) => d.name === name && !d.deleted);
        if (last === undefined) throw new GatewayError('not-found', `there is no policy document ${name}`);
        const next = revision() + 1;
        tx.insert(policyDocument)
          .values({ kind: last.kind, name, source: last.source, revision: next, deleted: true, at, by })
          .run();
        return next;
      }),
    history: (name) =>
      db
        .select()
        .from(policyDocument)
        .where(eq(policyDocument.name, name))
        .orderBy(desc(policyDocument.revision))
        .all(),
  };
}
