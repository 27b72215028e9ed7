// The audit log's one writer: groups of rows in one durable transaction, chained by hash. Synchronous; runs in the
// recorder's worker thread, where waiting for the disk delays no call.
import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { AuditIndex } from './audit-index.ts';
import { AuditRemoval } from './audit-removal.ts';
import { AUDIT_ID, COLUMNS, type ColumnValue, canonicalLine, chainHash, genesis, STAGE } from './audit-row.ts';
import { Sealer, type SealerEvents } from './audit-sealer.ts';
import { applyPragmas } from './database-pragmas.ts';
import { LEDGER_FILE, LedgerWriter } from './ledger-file.ts';
import { isLedgerLine } from './ledger-table.ts';

/** Up to this row, every intent has its outcome: a start need not look before it. */
const CLOSED_THROUGH = 'closed-through';
/** Rows between two notes of it. */
const NOTE_EVERY = 5000;
/** Open calls that are followed; beyond, the note stays where it is and the next start looks further back. */
const MAX_OPEN = 100_000;
/** Orphans closed in one transaction. */
const ORPHANS_AT_ONCE = 500;

/**
 * Intents without an outcome from a row on, found by the number of the row: the planner would walk the index of audit ids from end
 * to end for the groups, which is all there ever was.
 */
export const ORPHANS = `SELECT min(i.seq), ${COLUMNS.join(', ')} FROM audit_event AS i NOT INDEXED
  WHERE i.seq > ? AND i.stage = 'intent' AND NOT EXISTS
    (SELECT 1 FROM audit_event AS c WHERE c.audit_id = i.audit_id AND c.stage = 'complete')
  GROUP BY +i.audit_id LIMIT ${ORPHANS_AT_ONCE}`;

const LOST_OUTCOME = '{"message":"the gateway ended before the outcome was known"}';

interface Connection {
  readonly sqlite: Database.Database;
  readonly insert: Database.Statement;
  readonly index: AuditIndex;
  readonly removal: AuditRemoval;
  readonly begin: Database.Statement;
  readonly commit: Database.Statement;
  /** Which file it is: a path may come to name another one. */
  readonly inode: number;
}

export class AuditLog {
  readonly #file: string;
  readonly #ledger: LedgerWriter;
  #connection: Connection | undefined;
  #logId: string | undefined;
  #seq = 0;
  #prev: Buffer = Buffer.alloc(0);
  /** Audit ids of calls without an outcome, oldest first, by the row of their intent. */
  readonly #open = new Map<string, number>();
  #sinceNote = 0;
  #sinceCheckpoint = 0;
  #sealer: Sealer | undefined;
  readonly #events: SealerEvents;

  /**
   * @param file an audit.db that was migrated, with its ledger.db beside it
   * @param events of signing what is written
   */
  constructor(file: string, events: SealerEvents = {}) {
    this.#file = file;
    this.#events = events;
    this.#ledger = new LedgerWriter(join(dirname(file), LEDGER_FILE));
    this.#connection = this.#connect();
  }

  #connect(): Connection {
    const sqlite = new Database(this.#file, { fileMustExist: true });
    try {
      applyPragmas(sqlite);
      sqlite.prepare("INSERT OR IGNORE INTO audit_meta (key, value) VALUES ('log-id', ?)").run(randomUUID());
      const logId = (sqlite.prepare("SELECT value FROM audit_meta WHERE key = 'log-id'").get() as { value: string })
        .value;
      if (this.#logId !== undefined && this.#logId !== logId) throw new Error('another log was put in its place');
      this.#logId = logId;
      // Read again after every fault: whether the last commit came through is what the file says.
      const last = sqlite.prepare('SELECT seq, hash FROM audit_event ORDER BY seq DESC LIMIT 1').get() as
        | { seq: number; hash: Buffer }
        | undefined;
      this.#seq = last?.seq ?? 0;
      this.#prev = last?.hash ?? genesis(logId);
      this.#sealer ??= new Sealer(this.#file, logId, this.#seq, this.#events);
      return {
        sqlite,
        insert: sqlite.prepare(
          `INSERT INTO audit_event (seq, ${COLUMNS.join(', ')}, prev, hash) VALUES (?${', ?'.repeat(COLUMNS.length + 2)})`,
        ),
        index: new AuditIndex(sqlite),
        removal: new AuditRemoval(sqlite),
        begin: sqlite.prepare('BEGIN IMMEDIATE'),
        commit: sqlite.prepare('COMMIT'),
        inode: statSync(this.#file).ino,
      };
    } catch (error) {
      sqlite.close();
      throw error;
    }
  }

  /**
   * Writes lines from `encodeEvent` in one transaction, and those from `encodeLedger` into the ledger before it ends. What the
   * ledger holds beyond the log, because the machine stopped in between, is what the next comparison with the engine settles.
   *
   * @param again the lines may already be there: a writer before this one died while it wrote them
   * @throws with nothing written, when the disk does not take it; the next call opens the file anew
   */
  write(lines: readonly string[], again = false): void {
    this.#connection ??= this.#connect();
    const { sqlite, insert, index, begin, commit, inode } = this.#connection;
    let seq = this.#seq;
    let prev = this.#prev;
    const rows: ColumnValue[][] = [];
    const written: string[] = [];
    const owned: string[] = [];
    try {
      begin.run();
      for (const line of lines) {
        if (isLedgerLine(line)) {
          owned.push(line);
          continue;
        }
        const values = JSON.parse(line) as ColumnValue[];
        if (again && this.#isStored(sqlite, values)) continue;
        rows.push(values);
        written.push(line);
        seq++;
        const hash = chainHash(prev, seq, line);
        // A line ends with its last value; the columns behind it are null.
        while (values.length < COLUMNS.length) values.push(null);
        insert.run([seq, ...values, prev, hash]);
        index.add(seq, values);
        prev = hash;
      }
      this.#sinceNote += lines.length;
      // SQLite goes on writing into a file that was deleted, and what it then calls written is lost.
      if (statSync(this.#file).ino !== inode) throw new Error('the file was replaced');
      if (owned.length > 0) this.#ledger.write(owned);
      this.#sealer?.store(sqlite);
      commit.run();
    } catch (error) {
      this.#sealer?.rolledBack();
      this.#connection = undefined;
      closeQuietly(sqlite);
      throw error;
    }
    this.#follow(rows, this.#seq);
    this.#sealer?.committed(this.#seq + 1, written);
    this.#seq = seq;
    this.#prev = prev;
    this.#sinceCheckpoint += lines.length;
    if (this.#sinceNote >= NOTE_EVERY) this.#note(sqlite);
  }

  /** The first row of a read may be part of its outcome's. */
  #isStored(sqlite: Database.Database, values: readonly ColumnValue[]): boolean {
    const found = sqlite.prepare('SELECT stage, at FROM audit_event WHERE audit_id = ?').all(values[AUDIT_ID]) as {
      stage: string;
      at: number;
    }[];
    return found.some(
      ({ stage, at }) =>
        (stage === values[STAGE] && at === values[0]) || (stage === 'complete' && values[STAGE] === 'intent'),
    );
  }

  #follow(rows: readonly ColumnValue[][], before: number): void {
    let seq = before;
    for (const values of rows) {
      seq++;
      const auditId = values[AUDIT_ID] as string;
      if (values[STAGE] === 'intent') {
        if (this.#open.size < MAX_OPEN && !this.#open.has(auditId)) this.#open.set(auditId, seq);
      } else if (values[STAGE] === 'complete') this.#open.delete(auditId);
    }
  }

  /** Remembers up to where all is closed. Not needed for the log to be whole, so its failure is no failure. */
  #note(sqlite: Database.Database): void {
    this.#sinceNote = 0;
    if (this.#open.size >= MAX_OPEN) return;
    const oldest = this.#open.values().next().value;
    try {
      sqlite
        .prepare('INSERT OR REPLACE INTO audit_meta (key, value) VALUES (?, ?)')
        .run(CLOSED_THROUGH, String(oldest === undefined ? this.#seq : oldest - 1));
    } catch {
      // the next one will do
    }
  }

  /**
   * Closes calls an earlier process left open: an intent without an outcome gets one that says it is not known.
   *
   * @param at microseconds since the epoch
   * @returns how many there were
   */
  closeOrphans(at: number): number {
    this.#connection ??= this.#connect();
    const { sqlite } = this.#connection;
    const noted = sqlite.prepare('SELECT value FROM audit_meta WHERE key = ?').get(CLOSED_THROUGH) as
      | { value: string }
      | undefined;
    const orphans = sqlite.prepare(ORPHANS);
    let count = 0;
    for (;;) {
      const found = orphans.all(Number(noted?.value ?? 0)) as Record<(typeof COLUMNS)[number], ColumnValue>[];
      if (found.length > 0) this.write(found.map((row) => unknownOutcome(row, at)));
      count += found.length;
      if (found.length < ORPHANS_AT_ONCE) break;
    }
    this.#note(sqlite);
    return count;
  }

  /** Whether rows wait to be signed: `soon` with the next pause, `later` when nothing else is to be done. */
  seals(nowMs: number): 'soon' | 'later' | undefined {
    const sealer = this.#sealer;
    if (sealer === undefined || !sealer.isDue(nowMs)) return undefined;
    return sealer.isBehind ? 'later' : 'soon';
  }

  /** Does a piece of that, below a millisecond. What it signs is stored with the next rows. */
  seal(nowMs: number): void {
    if (this.#connection !== undefined) this.#sealer?.work(this.#connection.sqlite, nowMs);
  }

  /** Stores what is signed while no call waits. */
  storeSeals(): void {
    try {
      if (this.#connection !== undefined) this.#sealer?.storeAlone(this.#connection.sqlite);
    } catch {
      // it goes with the next rows
      this.#sealer?.rolledBack();
    }
  }

  /**
   * Signs the log as it is now.
   *
   * @returns the newest checkpoint, undefined for an empty log
   * @throws {Error} why it cannot be signed
   */
  signNow(nowMs: number): string | undefined {
    this.#connection ??= this.#connect();
    return this.#sealer?.signNow(this.#connection.sqlite, nowMs);
  }

  /**
   * Signs and stores an anchor: from then on the log is verified from the row behind it, and the rows up to it may be removed. The
   * checkpoint that covers the row, and the tiles from `tile of the row` on, stay; older ones may go with the rows.
   *
   * @param seq of a row a checkpoint covers; best one that a checkpoint ends with, so that what was exported ends there too
   * @returns the anchor as it was signed
   * @throws {Error} when the row is not there or not signed yet
   */
  anchorAt(seq: number, nowMs: number): string {
    this.#connection ??= this.#connect();
    const { sqlite } = this.#connection;
    if (this.#sealer === undefined) throw new Error('the log is closed');
    const note = this.#sealer.anchorAt(sqlite, seq);
    sqlite.prepare('INSERT OR REPLACE INTO audit_anchor (seq, at, note) VALUES (?, ?, ?)').run(seq, nowMs * 1000, note);
    return note;
  }

  /** Begins to remove the rows up to one that has an anchor. @throws {Error} when it has none, or is the last one */
  remove(seq: number): void {
    this.#connection ??= this.#connect();
    this.#connection.removal.begin(this.#connection.sqlite, seq);
  }

  /** Whether rows are being removed. */
  get isRemoving(): boolean {
    return this.#connection?.removal.isDue === true;
  }

  /** Removes a few of them. @returns false when it could not */
  removeSome(): boolean {
    const { sqlite, removal } = this.#connection ?? {};
    if (sqlite === undefined || removal === undefined) return false;
    this.#sinceCheckpoint++;
    return removal.some(sqlite);
  }

  /** Moves the write-ahead logs into the databases while no row waits: a copy of the file alone is then whole. */
  checkpoint(): void {
    this.#ledger.checkpoint();
    if (this.#sinceCheckpoint === 0) return;
    this.#sinceCheckpoint = 0;
    try {
      this.#connection?.sqlite.pragma('wal_checkpoint(PASSIVE)');
    } catch {
      // what is in the write-ahead log is as durable; a later commit moves it
    }
  }

  close(): void {
    this.#ledger.close();
    const connection = this.#connection;
    try {
      if (connection !== undefined) this.#sealer?.signNow(connection.sqlite, Date.now());
    } catch {
      // the next start signs it, and was told why it could not be
    }
    this.#connection = undefined;
    if (connection === undefined) return;
    this.#note(connection.sqlite);
    closeQuietly(connection.sqlite);
  }
}

const unknownOutcome = (intent: Readonly<Record<(typeof COLUMNS)[number], ColumnValue>>, at: number): string =>
  canonicalLine(
    COLUMNS.map((column) => {
      switch (column) {
        case 'at':
          return at;
        case 'stage':
          return 'complete';
        case 'code':
          return 'outcome-unknown';
        case 'detail':
          return LOST_OUTCOME;
        case 'outcome':
          return 'unknown';
        // What the call was about stands in its intent.
        case 'engine':
        case 'gateway':
        case 'body_sha256':
        case 'sent_sha256':
        case 'resources':
          return null;
        default:
          return intent[column];
      }
    }),
  );

function closeQuietly(sqlite: Database.Database): void {
  try {
    // A transaction left open is rolled back by closing.
    sqlite.close();
  } catch {
    // the process lets go of it in the end
  }
}
