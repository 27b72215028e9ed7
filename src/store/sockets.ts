// Sockets made while the gateway ran, in SQLite, so that the next start opens them again.
import { eq } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { GatewayError } from '../errors.ts';
import type { SocketRecord, SocketStore } from '../identity/stores.ts';
import type { Sqlite } from './database.ts';
import { socket } from './schema.ts';

const recordOf = ({ group, ...row }: typeof socket.$inferSelect): SocketRecord => ({
  ...row,
  ...(group === null ? {} : { group }),
});

/** @throws {GatewayError} as SocketStore says */
export function socketStore(db: BetterSQLite3Database, sqlite: Sqlite): SocketStore {
  /** Rows this connection ever changed: the file has no other writer while a gateway runs. */
  const changes = sqlite.prepare('SELECT total_changes()').pluck();
  /** Asked for with each call. */
  let listed: { readonly at: unknown; readonly records: readonly SocketRecord[] } | undefined;
  return {
    insert(record) {
      const values = { ...record, group: record.group ?? null };
      const { changes } = db.insert(socket).values(values).onConflictDoNothing().run();
      if (changes === 0) throw new GatewayError('conflict', `there already is a socket ${record.path}`);
    },
    get(path) {
      const row = db.select().from(socket).where(eq(socket.path, path)).get();
      return row === undefined ? undefined : recordOf(row);
    },
    list() {
      const at = changes.get();
      if (listed === undefined || listed.at !== at)
        listed = { at, records: Object.freeze(db.select().from(socket).orderBy(socket.path).all().map(recordOf)) };
      return listed.records;
    },
    remove(path) {
      if (db.delete(socket).where(eq(socket.path, path)).run().changes === 0) {
        throw new GatewayError('not-found', `there is no socket ${path}`);
      }
    },
  };
}
