// Opens one SQLite file as this program wants it: WAL, durable, private, migrated, and not newer than the program.
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { GatewayError } from '../errors.ts';
import { applyPragmas } from './database-pragmas.ts';

export type Sqlite = Database.Database;

/** A database in memory, for tests and embedders that keep nothing. */
export const IN_MEMORY = ':memory:';

/** The databases of the data folder. */
export type Which = 'state' | 'audit' | 'ledger';

/** Beside the sources in a checkout, beside the bundle in a package. */
function migrationsFolder(which: Which): string {
  for (const base of ['../../migrations', './migrations']) {
    const folder = fileURLToPath(new URL(`${base}/${which}`, import.meta.url));
    if (existsSync(join(folder, 'meta', '_journal.json'))) return folder;
  }
  throw new GatewayError('internal', 'the migrations of this program are missing: install it again');
}

/**
 * Makes the data folder, readable by its owner alone.
 *
 * @throws {GatewayError} `config-invalid` when it cannot be made or used
 */
export function makeDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    if ((statSync(dataDir).mode & 0o077) !== 0) chmodSync(dataDir, 0o700);
  } catch (cause) {
    throw new GatewayError('config-invalid', `the data folder ${dataDir} cannot be used (${messageOf(cause)})`, {
      cause,
    });
  }
}

/**
 * Opens and migrates a database.
 *
 * @throws {GatewayError} `store-corrupt` when it is damaged, `store-newer` when a newer program wrote it,
 *   `store-locked` when another program holds it, `config-invalid` when the folder or the disk does not allow it
 */
export function openDatabase(file: string, which: Which): { sqlite: Sqlite; db: BetterSQLite3Database } {
  let sqlite: Sqlite | undefined;
  try {
    if (file !== IN_MEMORY) {
      makeDataDir(dirname(file));
      // Made by us before SQLite does, so that it never exists with more rights; its -wal and -shm take them over.
      closeSync(openSync(file, 'a', 0o600));
      if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
    }
    sqlite = new Database(file);
    applyPragmas(sqlite);
    if (which !== 'audit') {
      const check = sqlite.pragma('quick_check(1)', { simple: true });
      if (check !== 'ok') throw new GatewayError('store-corrupt', damaged(file, which, oneLine(String(check))));
    }
    const folder = migrationsFolder(which);
    refuseNewer(sqlite, folder, file);
    const db = drizzle(sqlite);
    migrate(db, { migrationsFolder: folder });
    // A copy of the file alone is then no empty database.
    if (file !== IN_MEMORY) sqlite.pragma('wal_checkpoint(PASSIVE)');
    return { sqlite, db };
  } catch (error) {
    sqlite?.close();
    throw error instanceof GatewayError ? error : openFault(file, which, error);
  }
}

/** What keeps a file from being opened, in words that say what to do. */
function openFault(file: string, which: Which, cause: unknown): GatewayError {
  const sqliteCause = innermost(cause);
  const code = (sqliteCause as { code?: string }).code ?? '';
  const reason = oneLine(messageOf(sqliteCause));
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new GatewayError('store-locked', `another program holds ${file}: end it first`, { cause });
  }
  if (/^(SQLITE_(FULL|IOERR|READONLY|CANTOPEN|PERM|AUTH)|E[A-Z]+$)/.test(code)) {
    return new GatewayError('config-invalid', `the database ${file} cannot be opened (${reason})`, { cause });
  }
  return new GatewayError('store-corrupt', damaged(file, which, reason), { cause });
}

function damaged(file: string, which: Which, reason: string): string {
  const name = basename(file);
  switch (which) {
    case 'state':
      return `the database ${file} is damaged (${reason}): restore it from a backup (dockgate restore); without one move ${name}* to another place, and the gateway begins without identities, tokens and policies`;
    case 'ledger':
      return `the ledger ${file} is damaged (${reason}): restore it from a backup (dockgate restore); without one move ${name}* to another place, and the next start gives objects with a proved owner back to their tenants, while images without a known owner stay closed to all of them`;
    case 'audit':
      return `the audit log ${file} is damaged (${reason}): keep ${name}* as they are in another place, and a new log begins; who owns what stands in ledger.db and does not change`;
  }
}

function refuseNewer(sqlite: Sqlite, folder: string, file: string): void {
  const known = sqlite
    .prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '__drizzle_migrations'")
    .get();
  if (known === undefined) return;
  const applied = sqlite.prepare('SELECT created_at AS at FROM __drizzle_migrations').all() as { at: number }[];
  const journal = JSON.parse(readFileSync(join(folder, 'meta', '_journal.json'), 'utf8')) as {
    entries: { when: number }[];
  };
  const ours = new Set(journal.entries.map((entry) => entry.when));
  if (applied.some(({ at }) => !ours.has(Number(at)))) {
    throw new GatewayError(
      'store-newer',
      `the database ${file} was written by a newer dockgate (its schema is ${applied.length}, this program knows ${journal.entries.length}): run that version`,
    );
  }
}

/** Drizzle puts SQLite's error into one of its own. */
function innermost(error: unknown): unknown {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  return inner;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const oneLine = (text: string): string => text.replace(/[*\s]+/g, ' ').trim();
