// One process per data folder: several must never write one audit log. The lock is SQLite's own on a tiny file, held by
// an open transaction: the kernel lets go of it when the process dies, however it dies.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { GatewayError } from '../errors.ts';

/** @throws {GatewayError} `store-locked` naming the process that holds the folder */
export function lockDataDir(dataDir: string): { release(): void } {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  chmodSync(dataDir, 0o700);
  const holder = join(dataDir, 'lock.pid');
  const sqlite = new Database(join(dataDir, 'lock.db'), { timeout: 0 });
  try {
    sqlite.pragma('journal_mode = DELETE');
    sqlite.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    sqlite.close();
    let who = 'another process';
    try {
      who = `process ${readFileSync(holder, 'utf8').trim()}`;
    } catch {
      // it did not come to writing its number
    }
    throw new GatewayError(
      'store-locked',
      `${who} already runs a gateway on this data folder: stop it first, or use another folder`,
      { cause },
    );
  }
  writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 });
  return {
    release() {
      if (!sqlite.open) return;
      sqlite.exec('ROLLBACK');
      sqlite.close();
    },
  };
}
