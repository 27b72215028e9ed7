// Policy documents in SQLite, by revision of the whole set: what was in force when is never lost.
import { and, desc, eq, max, sql } from 'drizzle-orm';
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
  // A name has one document at a time, across kinds.
  const isNewest = sql`policy_document.revision = (SELECT max(o.revision) FROM policy_document AS o WHERE o.name = policy_document.name)`;
  const inForce = (name?: string): StoredDocument[] =>
    db
      .select()
      .from(policyDocument)
      .where(
        and(
          eq(policyDocument.deleted, false),
          isNewest,
          name === undefined ? undefined : eq(policyDocument.name, name),
        ),
      )
      .orderBy(policyDocument.name)
      .all();
  return {
    current: () => db.transaction(() => ({ revision: revision(), documents: inForce() })),
    apply: (documents, by, at) =>
      db.transaction((tx) => {
        // Without a change there is no new revision.
        if (documents.length === 0) return revision();
        const next = revision() + 1;
        for (const { kind, name, source } of documents) {
          const row = { kind, name, source, revision: next, deleted: false, at, by };
          if (tx.insert(policyDocument).values(row).onConflictDoNothing().run().changes === 0) {
            throw new GatewayError('conflict', `the policy document ${name} is given twice`);
          }
        }
        return next;
      }),
    remove: (name, by, at) =>
      db.transaction((tx) => {
        const [last] = inForce(name);
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
