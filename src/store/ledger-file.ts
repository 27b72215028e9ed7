// ledger.db as a file of its own: opened once at the start, compared with what state.db remembers of it, and written by the audit's
// one writer. A ledger that is not the one state.db knows, or an older copy of it, is told as a doubt: objects made since are missing
// in it, and until they were looked for no tenant is served.
import { randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { GatewayError } from '../errors.ts';
import type { LedgerEntry } from '../ledger/entry.ts';
import { openDatabase } from './database.ts';
import { applyPragmas } from './database-pragmas.ts';
import { copyLedger, hasLedgerTable, readLedger, writeLedger } from './ledger-table.ts';

/** Beside audit.db and state.db. */
export const LEDGER_FILE = 'ledger.db';

/** Settings in state.db, and in ledger.db's own table. */
const ID = 'ledger-id';
const OPENED = 'ledger-opened';
/** Set in ledger.db alone until what it lacks was looked for. */
const DOUBT = 'doubt';

/** The part of state.db the ledger is compared with. */
export interface LedgerPairing {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
  /** There is an identity already: this is no new installation. */
  readonly isUsed: boolean;
}

export interface OpenedLedger {
  readonly entries: readonly LedgerEntry[];
  /** Why objects may be missing in it; undefined for a whole ledger. */
  readonly doubt: string | undefined;
  /** Missing entries have been looked for: the doubt is over, also for the next start. */
  settled(): void;
}

/**
 * Opens, migrates and reads the ledger. A ledger kept in audit.db by an earlier version is taken over.
 *
 * @param nowMs milliseconds since the epoch
 * @throws {GatewayError} `store-corrupt`, `store-newer`, `store-locked`, `config-invalid`
 */
export function openLedger(file: string, auditFile: string, pairing: LedgerPairing, nowMs: number): OpenedLedger {
  const isThere = existsSync(file) && statSync(file).size > 0;
  const older = isThere ? [] : ledgerOfAudit(auditFile);
  const { sqlite } = openDatabase(file, 'ledger');
  try {
    const meta = metaOf(sqlite);
    const known = { id: pairing.get(ID), opened: Number(pairing.get(OPENED) ?? 0) };
    const doubt = meta.get(DOUBT) ?? doubtOf({ isThere, older, meta, known, pairing });
    const opened = Math.max(known.opened, Number(meta.get(OPENED) ?? 0)) + 1;
    const id = known.id ?? meta.get(ID) ?? randomUUID();
    sqlite.transaction(() => {
      if (older !== undefined && older.length > 0) copyLedger(sqlite, older);
      meta.set(ID, id);
      meta.set(OPENED, String(opened));
      if (doubt !== undefined) meta.set(DOUBT, doubt);
    })();
    // The ledger comes first: one that was opened more often than state.db knows lacks nothing.
    pairing.set(ID, id);
    pairing.set(OPENED, String(opened));
    return {
      entries: readLedger(sqlite, nowMs),
      doubt,
      settled() {
        const again = new Database(file, { fileMustExist: true });
        try {
          applyPragmas(again);
          again.prepare('DELETE FROM ledger_meta WHERE key = ?').run(DOUBT);
        } finally {
          again.close();
        }
      },
    };
  } finally {
    sqlite.close();
  }
}

interface Found {
  readonly isThere: boolean;
  readonly older: readonly LedgerEntry[] | undefined;
  readonly meta: { get(key: string): string | undefined };
  readonly known: { readonly id: string | undefined; readonly opened: number };
  readonly pairing: LedgerPairing;
}

function doubtOf({ isThere, older, meta, known, pairing }: Found): string | undefined {
  if (!isThere) {
    if (known.id !== undefined) return 'ledger.db was lost';
    // An audit.db of an earlier version holds the ledger itself.
    return older === undefined && pairing.isUsed ? 'the ledger was lost with audit.db' : undefined;
  }
  if (known.id === undefined) return undefined;
  if (meta.get(ID) !== known.id) return 'ledger.db belongs to another state.db';
  return Number(meta.get(OPENED) ?? 0) < known.opened ? 'ledger.db is an older copy' : undefined;
}

/** What an audit.db of an earlier version holds of the ledger; undefined where it holds none. */
function ledgerOfAudit(auditFile: string): readonly LedgerEntry[] | undefined {
  if (!existsSync(auditFile) || statSync(auditFile).size === 0) return undefined;
  try {
    const sqlite = new Database(auditFile, { readonly: true });
    try {
      return hasLedgerTable(sqlite) ? readLedger(sqlite, 0) : undefined;
    } finally {
      sqlite.close();
    }
  } catch (cause) {
    throw new GatewayError(
      'store-corrupt',
      `the audit log ${auditFile} is damaged, and it holds the ledger of an earlier version: restore it from a backup; ` +
        'or move audit.db* to another place, then a new log begins, and images without a known owner stay closed to tenants',
      { cause },
    );
  }
}

function metaOf(sqlite: Database.Database) {
  const get = sqlite.prepare('SELECT value FROM ledger_meta WHERE key = ?').pluck();
  const set = sqlite.prepare('INSERT OR REPLACE INTO ledger_meta (key, value) VALUES (?, ?)');
  return {
    get: (key: string): string | undefined => get.get(key) as string | undefined,
    set: (key: string, value: string): void => void set.run(key, value),
  };
}

/**
 * Makes state.db remember one opening of the ledger more than there was: the ledger beside it is then an older copy to the next start.
 *
 * @param stateFile a state.db no gateway has open
 */
export function markOlder(stateFile: string): void {
  const sqlite = new Database(stateFile, { fileMustExist: true });
  try {
    const known = sqlite.prepare('SELECT value FROM setting WHERE key = ?').pluck().get(OPENED) as string | undefined;
    sqlite
      .prepare('INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)')
      .run(OPENED, String(Number(known ?? 0) + 1));
  } finally {
    sqlite.close();
  }
}

/** The writer's end: changes of the ledger, durable when `write` returns. */
export class LedgerWriter {
  readonly #file: string;
  #open: { readonly sqlite: Database.Database; readonly inode: number } | undefined;
  #isDirty = false;

  /** @param file a ledger.db that was migrated */
  constructor(file: string) {
    this.#file = file;
  }

  /**
   * Writes lines from `encodeLedger` in one transaction. Writing them twice is writing them once.
   *
   * @throws with nothing written, when the disk does not take it; the next call opens the file anew
   */
  write(lines: readonly string[]): void {
    try {
      this.#open ??= this.#connect();
      const { sqlite, inode } = this.#open;
      sqlite.transaction(() => {
        for (const line of lines) writeLedger(sqlite, line);
        // SQLite goes on writing into a file that was deleted, and what it then calls written is lost.
        if (statSync(this.#file).ino !== inode) throw new Error('the file of the ledger was replaced');
      })();
      this.#isDirty = true;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #connect() {
    const sqlite = new Database(this.#file, { fileMustExist: true });
    try {
      applyPragmas(sqlite);
      return { sqlite, inode: statSync(this.#file).ino };
    } catch (error) {
      sqlite.close();
      throw error;
    }
  }

  /** Moves the write-ahead log into the database while no row waits: the file alone is then whole. */
  checkpoint(): void {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    try {
      this.#open?.sqlite.pragma('wal_checkpoint(PASSIVE)');
    } catch {
      // what is in the write-ahead log is as durable; a later commit moves it
    }
  }

  close(): void {
    const open = this.#open;
    this.#open = undefined;
    try {
      open?.sqlite.close();
    } catch {
      // the process lets go of it in the end
    }
  }
}
