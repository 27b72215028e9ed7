// Opens one SQLite file as this program wants it: WAL, durable, private, migrated, and not newer than the program.
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { GatewayError } from '../errors.ts';
import { applyPragmas } from './database-pragmas.ts';

export type Sqlite = Database.Database;

/** Beside the sources in a checkout, beside the bundle in a package. */
function migrationsFolder(which: 'state' | 'audit'): string {
  for (const base of ['../../migrations', './migrations']) {
    const folder = fileURLToPath(new URL(`${base}/${which}`, import.meta.url));
    if (existsSync(join(folder, 'meta', '_journal.json'))) return folder;
  }
  throw new GatewayError('internal', 'the migrations of this program are missing: install it again');
}

/**
 * Opens and migrates a database.
 *
 * @throws {GatewayError} `store-corrupt` when it is damaged, `store-newer` when a newer program wrote it
 */
export function openDatabase(file: string, which: 'state' | 'audit'): { sqlite: Sqlite; db: BetterSQLite3Database } {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // Made by us before SQLite does, so that it never exists with more rights.
  if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600));
  let sqlite: Sqlite | undefined;
  try {
    sqlite = new Database(file);
    applyPragmas(sqlite);
    if (which === 'state') {
      const check = sqlite.pragma('quick_check(1)', { simple: true });
      if (check !== 'ok') throw new GatewayError('store-corrupt', `quick_check says ${String(check)}`);
    }
    const folder = migrationsFolder(which);
    refuseNewer(sqlite, folder, file);
    const db = drizzle(sqlite);
    migrate(db, { migrationsFolder: folder });
    chmodSync(file, 0o600);
    return { sqlite, db };
  } catch (error) {
    sqlite?.close();
    if (error instanceof GatewayError && error.code !== 'store-corrupt') throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new GatewayError(
      'store-corrupt',
      `${basename(file)} in the data folder cannot be used (${reason}): restore it from a backup, or move it away to begin anew`,
      { cause: error },
    );
  }
}

function refuseNewer(sqlite: Sqlite, folder: string, file: string): void {
  const known = sqlite
    .prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '__drizzle_migrations'")
    .get();
  if (known === undefined) return;
  const applied = sqlite
    .prepare('SELECT count(*) AS count, max(created_at) AS newest FROM __drizzle_migrations')
    .get() as {
    count: number;
    newest: number | null;
  };
  const journal = JSON.parse(readFileSync(join(folder, 'meta', '_journal.json'), 'utf8')) as {
    entries: { when: number }[];
  };
  const newest = journal.entries.at(-1)?.when ?? 0;
  if (applied.count > journal.entries.length || (applied.newest ?? 0) > newest) {
    throw new GatewayError(
      'store-newer',
      `${basename(file)} was written by a newer dockgate (schema ${applied.count}, this program knows ${journal.entries.length}): install that version again`,
    );
  }
}
