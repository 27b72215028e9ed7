// One process per data folder: several must never write one audit log. The lock is SQLite's own on a tiny file, held by
// an open transaction: the kernel lets go of it when the process dies, however it dies.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { GatewayError } from '../errors.ts';
import { makeDataDir } from './database.ts';

/** Held locks: a connection without a reference would be garbage-collected, and its lock with it. */
const locks = new Set<Database.Database>();

/**
 * Holds the data folder until released or until the process ends.
 *
 * @throws {GatewayError} `store-locked` naming the process that holds the folder, `config-invalid` when the folder
 *   cannot be used
 */
export function lockDataDir(dataDir: string): { release(): void } {
  makeDataDir(dataDir);
  const holder = join(dataDir, 'lock.pid');
  let sqlite: Database.Database | undefined;
  try {
    sqlite = new Database(join(dataDir, 'lock.db'), { timeout: 0 });
    sqlite.exec('BEGIN EXCLUSIVE');
    writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 });
  } catch (cause) {
    sqlite?.close();
    if (String((cause as { code?: string }).code).startsWith('SQLITE_BUSY')) {
      throw new GatewayError(
        'store-locked',
        `${whoHolds(holder)} already runs a gateway on the data folder ${dataDir}: stop it first, or use another folder`,
        { cause },
      );
    }
    throw new GatewayError(
      'config-invalid',
      `the data folder ${dataDir} cannot be locked (${cause instanceof Error ? cause.message : String(cause)})`,
      { cause },
    );
  }
  const held = sqlite;
  locks.add(held);
  return {
    release() {
      locks.delete(held);
      if (!held.open) return;
      held.exec('ROLLBACK');
      held.close();
    },
  };
}

function whoHolds(holder: string): string {
  try {
    const pid = readFileSync(holder, 'utf8').trim();
    if (/^\d+$/.test(pid)) return `process ${pid}`;
  } catch {
    // it did not come to writing its number
  }
  return 'another process';
}
