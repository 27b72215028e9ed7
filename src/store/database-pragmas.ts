// What every connection that writes is set to. Apart from database.ts, so that the audit writer's thread loads no more.
import type Database from 'better-sqlite3';

/** How long a statement waits for another connection's lock, in ms. Only readers of our own share these files. */
const BUSY_MS = 5000;

/** `FULL`: a commit is on disk when it returns, also in WAL mode. */
export function applyPragmas(sqlite: Database.Database): void {
  sqlite.pragma(`busy_timeout = ${BUSY_MS}`);
  sqlite.pragma('journal_mode = WAL');
  sqlite.pragma('synchronous = FULL');
  sqlite.pragma('foreign_keys = ON');
  sqlite.pragma('trusted_schema = OFF');
}
