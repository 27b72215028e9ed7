// Signs what the audit's writer wrote: grows the Merkle tree by the lines as they were committed, and every so often signs its root.
// Runs in the writer's thread while the writer has nothing to do; what is to be stored goes with the next group of rows.
//
// The tree grows from memory, not from the file: a row that was changed after it was written does not get into what is signed. Only
// rows an earlier process wrote and did not sign are read again.
import type { KeyObject } from 'node:crypto';
import type Database from 'better-sqlite3';
import {
  type Checkpoint,
  originOf,
  readAnchor,
  readCheckpoint,
  signAnchor,
  signatureOf,
  signCheckpoint,
  signKeyHistory,
} from '../audit/seal/checkpoint.ts';
import { GrowingTree, leafHash } from '../audit/seal/merkle.ts';
import { encodeKey, type NoteKey, noteKeyOf } from '../audit/seal/note.ts';
import { ensureAuditKey } from './audit-key.ts';
import { COLUMNS, type ColumnValue, canonicalLine } from './audit-row.ts';
import { TileEdge, tileReader, treeFromTiles } from './audit-tiles.ts';

/** Rows between two checkpoints. */
const ROWS = 1000;
/** Longest time between a row and the checkpoint that covers it, in ms. */
const EVERY_MS = 60_000;
/** Lines that wait for their place in the tree: beyond, the writer is given no pause and hashes them, in some two milliseconds. */
const MAX_WAITING = 1024;
/** Leaves hashed at a time, while the next group may be waiting: some tenths of a millisecond. */
const AT_ONCE = 64;
/** Rows read again while a caller waits for a checkpoint: about half a second. */
const MAX_AT_ONCE = 50_000;
/** Rows read in one go by then. */
const PORTION = 4096;
/** A key or file that cannot be had is tried again after this long, in ms. */
const RETRY_MS = 10_000;

/** Under these names the public keys that signed, one a line, stand in `audit_meta`: for a first look, not for proof. */
export const KEYS_META = 'checkpoint-keys';

/** And under this one, with the id of the key that signed it, the history each later key vouches for. */
export const VOUCHED_META = 'checkpoint-keys-by-';

export interface SealedCheckpoint extends Checkpoint {
  /** The checkpoint as it was signed. */
  readonly note: string;
  /** The public key, as one line. */
  readonly publicKey: string;
}

export interface SealerEvents {
  /** A checkpoint is on disk. */
  checkpoint?(sealed: SealedCheckpoint): void;
  /** A key was made: at the first start, or because the last one is gone. */
  keyMade?(publicKey: string, isFirst: boolean): void;
  /** Nothing can be signed, and why. Told once for each reason. */
  failed?(why: string): void;
}

interface Prepared extends SealedCheckpoint {
  readonly atUs: number;
  readonly keyId: string;
  readonly tiles: readonly { readonly id: number; readonly hashes: Buffer }[];
}

interface Tree {
  readonly key: KeyObject;
  readonly noteKey: NoteKey;
  readonly tree: GrowingTree;
  readonly edge: TileEdge;
  /** Covered by the newest checkpoint. */
  signedSize: number;
  /** The newest checkpoint, while the tree is grown from rows again because its tiles are damaged. */
  awaited: Checkpoint | undefined;
}

export class Sealer {
  readonly #file: string;
  readonly #events: SealerEvents;
  readonly #origin: string;
  #state: Tree | undefined;
  #waiting: string[] = [];
  #next = 0;
  /** Row of the first line that waits. */
  #waitingFrom = 0;
  #lastSeq: number;
  #prepared: Prepared | undefined;
  #storing: Prepared | undefined;
  #signedAtMs = Date.now();
  #why: string | undefined;
  #retryAtMs = 0;

  /** @param lastSeq of the log as it is now */
  constructor(file: string, logId: string, lastSeq: number, events: SealerEvents = {}) {
    this.#file = file;
    this.#events = events;
    this.#origin = originOf(logId);
    this.#lastSeq = lastSeq;
    this.#waitingFrom = lastSeq + 1;
  }

  /** Lines that are on disk now, from row `from` on. */
  committed(from: number, lines: readonly string[]): void {
    this.#stored();
    // The rows before are others than those that were counted: a commit came through that had seemed to fail.
    if (from !== this.#lastSeq + 1) this.#forgetWaiting(from);
    for (const line of lines) this.#waiting.push(line);
    this.#lastSeq = from + lines.length - 1;
    if (this.#waiting.length - this.#next <= MAX_WAITING) return;
    const state = this.#state;
    // A tree that is behind reads the rows again when there is time.
    if (state === undefined || state.tree.size + 1 < this.#waitingFrom) this.#forgetWaiting(this.#lastSeq + 1);
    else {
      this.#hashWaiting(state, this.#waiting.length);
      if (this.#isTimeToSign(state, Date.now())) this.#prepare(state, Date.now());
    }
  }

  #forgetWaiting(from: number): void {
    this.#waiting = [];
    this.#next = 0;
    this.#waitingFrom = from;
  }

  /** Whether there is something to do for `work`. */
  isDue(nowMs: number): boolean {
    if (this.#state === undefined) return nowMs >= this.#retryAtMs;
    return (
      this.#prepared === undefined && (this.#state.tree.size < this.#lastSeq || this.#isTimeToSign(this.#state, nowMs))
    );
  }

  /** Whether rows of an earlier process are still being read: work that can wait longer than that of new rows. */
  get isBehind(): boolean {
    return this.#state === undefined || this.#state.tree.size + 1 < this.#waitingFrom;
  }

  /** A piece of the work, well below a millisecond but for the first one. */
  work(sqlite: Database.Database, nowMs: number): void {
    const state = this.#opened(sqlite, nowMs);
    if (state === undefined) return;
    if (state.tree.size < this.#lastSeq) {
      if (state.tree.size + 1 >= this.#waitingFrom) this.#hashWaiting(state, AT_ONCE);
      else this.#readRows(sqlite, state, AT_ONCE);
      if (this.#state !== state) return;
    }
    if (this.#isTimeToSign(state, nowMs)) this.#prepare(state, nowMs);
  }

  #isTimeToSign({ tree, signedSize }: Tree, nowMs: number): boolean {
    if (this.#prepared !== undefined || tree.size === signedSize) return false;
    // A log that is being caught up with is signed at its end.
    if (tree.size < signedSize || tree.size + 1 < this.#waitingFrom) return false;
    return tree.size - signedSize >= ROWS || (nowMs - this.#signedAtMs >= EVERY_MS && tree.size === this.#lastSeq);
  }

  #hashWaiting(state: Tree, count: number): void {
    const skipped = state.tree.size + 1 - this.#waitingFrom;
    let at = Math.max(this.#next, skipped);
    const end = Math.min(this.#waiting.length, at + count);
    for (; at < end; at++) grow(state, leafHash(this.#waiting[at] as string));
    this.#next = at;
    if (this.#next >= this.#waiting.length) this.#forgetWaiting(this.#lastSeq + 1);
  }

  #readRows(sqlite: Database.Database, state: Tree, count: number): void {
    const { awaited } = state;
    const until = Math.min(state.tree.size + count, awaited?.size ?? this.#waitingFrom - 1);
    const rows = sqlite
      .prepare(`SELECT seq, ${COLUMNS.join(', ')} FROM audit_event WHERE seq > ? AND seq <= ? ORDER BY seq`)
      .raw()
      .all(state.tree.size, until) as ColumnValue[][];
    for (const [seq, ...values] of rows) {
      if (seq !== state.tree.size + 1) break;
      grow(state, leafHash(canonicalLine(values)));
    }
    if (state.tree.size < until) this.#fail(`row ${state.tree.size + 1} is missing`, Date.now());
    else if (awaited !== undefined && state.tree.size === awaited.size) {
      if (!state.tree.root().equals(awaited.root))
        this.#fail('neither its tiles nor its rows are what its newest checkpoint covers', Date.now());
      state.awaited = undefined;
    }
  }

  #prepare(state: Tree, nowMs: number): void {
    const { tree, edge, key, noteKey } = state;
    const checkpoint = { origin: this.#origin, size: tree.size, root: tree.root() };
    const note = signCheckpoint(checkpoint, key);
    this.#prepared = {
      ...checkpoint,
      note,
      publicKey: encodeKey(noteKey),
      keyId: noteKey.id,
      atUs: nowMs * 1000,
      tiles: edge.take(),
    };
    state.signedSize = tree.size;
    this.#signedAtMs = nowMs;
  }

  /** Whether a signed checkpoint waits for a transaction. */
  get isWaitingToStore(): boolean {
    return this.#prepared !== undefined;
  }

  /** Adds what was signed to the transaction under way. `committed` or `storedAlone` says that it ended well. */
  store(sqlite: Database.Database): void {
    const { seq, atUs, keyId, note, tiles } = { ...this.#prepared, seq: this.#prepared?.size };
    if (seq === undefined) return;
    const tile = sqlite.prepare('INSERT OR REPLACE INTO audit_tile (id, hashes) VALUES (?, ?)');
    for (const { id, hashes } of tiles ?? []) tile.run(id, hashes);
    sqlite
      .prepare('INSERT OR REPLACE INTO audit_checkpoint (seq, at, key_id, note) VALUES (?, ?, ?, ?)')
      .run(seq, atUs, keyId, note);
    this.#storing = this.#prepared;
  }

  /** The transaction with what `store` added is on disk. */
  #stored(): void {
    const stored = this.#storing;
    if (stored === undefined) return;
    this.#storing = undefined;
    this.#prepared = undefined;
    this.#events.checkpoint?.(stored);
  }

  /** Stores what is signed in a transaction of its own: when no rows come that it could go with. */
  storeAlone(sqlite: Database.Database): void {
    if (this.#prepared === undefined) return;
    sqlite.transaction(() => this.store(sqlite)).immediate();
    this.#stored();
  }

  /** The transaction failed: what was signed waits for the next one. */
  rolledBack(): void {
    this.#storing = undefined;
  }

  /**
   * Signs the log as it is now and stores that.
   *
   * @returns the newest checkpoint, undefined for an empty log
   * @throws {Error} why it cannot
   */
  signNow(sqlite: Database.Database, nowMs: number): string | undefined {
    if (this.#lastSeq === 0) return undefined;
    if (this.isBehind && this.behind > MAX_AT_ONCE)
      throw new Error(`its tree is being built, with ${this.behind} rows to go`);
    const state = this.#opened(sqlite, nowMs, true);
    if (state === undefined) throw new Error(this.#why ?? 'the log cannot be signed');
    this.storeAlone(sqlite);
    while (state.tree.size < this.#lastSeq) {
      const before = state.tree.size;
      if (before + 1 >= this.#waitingFrom) this.#hashWaiting(state, this.#waiting.length);
      else this.#readRows(sqlite, state, PORTION);
      if (this.#state !== state || state.tree.size === before) throw new Error(this.#why ?? 'the log cannot be signed');
    }
    if (state.signedSize < state.tree.size) {
      this.#prepare(state, nowMs);
      this.storeAlone(sqlite);
    }
    return sqlite.prepare('SELECT note FROM audit_checkpoint ORDER BY seq DESC LIMIT 1').pluck().get() as
      | string
      | undefined;
  }

  /** How far the tree is behind the log, in rows. */
  get behind(): number {
    return this.#lastSeq - (this.#state?.tree.size ?? 0);
  }

  #opened(sqlite: Database.Database, nowMs: number, atOnce = false): Tree | undefined {
    if (this.#state !== undefined) return this.#state;
    if (nowMs < this.#retryAtMs && !atOnce) return undefined;
    try {
      const { key, isNew } = ensureAuditKey(this.#file);
      const noteKey = noteKeyOf(this.#origin, key);
      const newest = this.#newest(sqlite, noteKey);
      this.#state = { key, noteKey, signedSize: newest?.size ?? 0, ...this.#treeAt(sqlite, newest) };
      this.#rememberKey(sqlite, encodeKey(noteKey), isNew);
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error), nowMs);
    }
    return this.#state;
  }

  /** The newest checkpoint the database has. @throws when it is not of this log and key */
  #newest(sqlite: Database.Database, noteKey: NoteKey): Checkpoint | undefined {
    const note = sqlite.prepare('SELECT note FROM audit_checkpoint ORDER BY seq DESC LIMIT 1').pluck().get();
    if (typeof note !== 'string') return undefined;
    const read = readCheckpoint(note);
    if (read === undefined || read.origin !== this.#origin) throw new Error('its newest checkpoint is not of this log');
    if (signatureOf(note, [noteKey]) === 'forged')
      throw new Error('the signature of its newest checkpoint is not valid');
    if (read.size > this.#lastSeq)
      throw new Error(`it ends at row ${this.#lastSeq}, and its own checkpoint covers ${read.size}`);
    return read;
  }

  /** The tree up to the newest checkpoint: from the tiles when they are what was signed, else to be grown from the rows. */
  #treeAt(sqlite: Database.Database, newest: Checkpoint | undefined): Pick<Tree, 'tree' | 'edge' | 'awaited'> {
    const read = tileReader(sqlite);
    if (newest !== undefined) {
      try {
        const tree = treeFromTiles(read, newest.size);
        if (tree.root().equals(newest.root)) return { tree, edge: new TileEdge(newest.size, read), awaited: undefined };
      } catch {
        // damaged: the rows say the same
      }
    }
    const anchor = sqlite.prepare('SELECT note FROM audit_anchor ORDER BY seq DESC LIMIT 1').pluck().get();
    const from = typeof anchor === 'string' ? readAnchor(anchor) : undefined;
    if (from === undefined) return { tree: new GrowingTree(), edge: new TileEdge(0, read), awaited: newest };
    return { tree: new GrowingTree(from.seq, from.roots), edge: new TileEdge(from.seq, read), awaited: newest };
  }

  #rememberKey(sqlite: Database.Database, line: string, isNew: boolean): void {
    const known = (sqlite.prepare('SELECT value FROM audit_meta WHERE key = ?').pluck().get(KEYS_META) ?? '') as string;
    const lines = known === '' ? [] : known.split('\n');
    if (!lines.includes(line)) {
      sqlite
        .prepare('INSERT OR REPLACE INTO audit_meta (key, value) VALUES (?, ?)')
        .run(KEYS_META, [...lines, line].join('\n'));
      if (lines.length > 0) this.#vouch(sqlite, lines);
      this.#events.keyMade?.(line, lines.length === 0);
    } else if (isNew) this.#events.keyMade?.(line, false);
  }

  /** The key that signed before is gone: the new one vouches for it once, as it is known now. */
  #vouch(sqlite: Database.Database, lines: readonly string[]): void {
    const key = this.#state?.key;
    if (key === undefined) return;
    sqlite
      .prepare('INSERT OR REPLACE INTO audit_meta (key, value) VALUES (?, ?)')
      .run(`${VOUCHED_META}${noteKeyOf(this.#origin, key).id}`, signKeyHistory(this.#origin, lines, key));
  }

  #fail(why: string, nowMs: number): void {
    this.#state = undefined;
    this.#retryAtMs = nowMs + RETRY_MS;
    if (why === this.#why) return;
    this.#why = why;
    this.#events.failed?.(why);
  }

  /**
   * Signs an anchor at a row: from then on verification begins behind it, whether the rows up to it are still there or not. Its rows
   * must be covered by a checkpoint. Written by the caller in the transaction it is given in.
   *
   * @throws {Error} when the row is not there or not signed yet
   */
  anchorAt(sqlite: Database.Database, seq: number): string {
    const state = this.#opened(sqlite, Date.now(), true);
    if (state === undefined || seq > state.signedSize || seq < 1)
      throw new Error(`row ${seq} is covered by no checkpoint yet`);
    const hash = sqlite.prepare('SELECT hash FROM audit_event WHERE seq = ?').pluck().get(seq);
    if (!Buffer.isBuffer(hash)) throw new Error(`row ${seq} is not there`);
    const { roots } = treeFromTiles(tileReader(sqlite), seq);
    return signAnchor({ origin: this.#origin, seq, hash, roots }, state.key);
  }
}

function grow({ tree, edge }: Tree, leaf: Buffer): void {
  tree.add(leaf);
  edge.add(leaf);
}
