// Reads segments back into a database of their own, for review: each row is followed along the chain, and the whole compared with what the
// segment's last line has signed. Nothing of a segment that does not hold is kept.
import { createReadStream, existsSync, rmSync } from 'node:fs';
import { createGunzip } from 'node:zlib';
import type Database from 'better-sqlite3';
import { originOf, readAnchor, readCheckpoint, signatureOf } from '../audit/seal/checkpoint.ts';
import { GrowingTree, leafHash } from '../audit/seal/merkle.ts';
import { decodeKey, type NoteKey } from '../audit/seal/note.ts';
import { SEGMENT_FORMAT, type SegmentFoot, type SegmentHead, type SegmentRow } from '../audit/segment.ts';
import { GatewayError } from '../errors.ts';
import { AuditIndex } from './audit-index.ts';
import { COLUMNS, type ColumnValue, canonicalLine, chainHash, genesis } from './audit-row.ts';
import { KEYS_META } from './audit-sealer.ts';
import { openDatabase } from './database.ts';

/** Longest line read, in characters: rows stay far below. */
const MAX_LINE = 4 * 1024 * 1024;
const ROWS_AT_ONCE = 1000;

export interface ImportedSegment {
  readonly file: string;
  readonly logId: string;
  readonly first: number;
  readonly last: number;
  /** Rows that were new. */
  readonly rows: number;
  /**
   * `signed`: its end is signed by a key that was given. `signed-by-its-own`: by a key that it brings along itself.
   * `none`: nothing signed covers its end; its rows follow one another and no more is known.
   */
  readonly proof: 'signed' | 'signed-by-its-own' | 'none';
}

/**
 * Reads segments, in the order they are given, into a new database.
 *
 * @param keys to believe; without any those in the segments
 * @throws {GatewayError} `input-invalid` for a file that is no whole segment: nothing is left behind then
 */
export async function importSegments(
  files: readonly string[],
  into: string,
  keys: readonly string[] = [],
): Promise<readonly ImportedSegment[]> {
  if (existsSync(into)) throw new GatewayError('conflict', `${into} is there already: name a file that is not`);
  const believed = keys.map((line) => {
    const key = decodeKey(line);
    if (key === undefined) throw new GatewayError('input-invalid', 'the public key is no key of a signed note');
    return key;
  });
  const { sqlite } = openDatabase(into, 'audit');
  try {
    const done: ImportedSegment[] = [];
    for (const file of files) done.push(await new SegmentReader(file, sqlite, believed).read());
    sqlite.pragma('journal_mode = DELETE');
    sqlite.close();
    return done;
  } catch (error) {
    sqlite.close();
    for (const end of ['', '-wal', '-shm']) rmSync(`${into}${end}`, { force: true });
    throw error;
  }
}

class SegmentReader {
  readonly #file: string;
  readonly #sqlite: Database.Database;
  readonly #keys: readonly NoteKey[];
  readonly #insert: Database.Statement;
  readonly #index: AuditIndex;
  #head: SegmentHead | undefined;
  #foot: SegmentFoot | undefined;
  #tree: GrowingTree | undefined;
  #prev: Buffer = Buffer.alloc(0);
  #seq = 0;
  #added = 0;

  constructor(file: string, sqlite: Database.Database, keys: readonly NoteKey[]) {
    this.#file = file;
    this.#sqlite = sqlite;
    this.#keys = keys;
    this.#index = new AuditIndex(sqlite);
    this.#insert = sqlite.prepare(
      `INSERT OR IGNORE INTO audit_event (seq, ${COLUMNS.join(', ')}, prev, hash) VALUES (?${', ?'.repeat(COLUMNS.length + 2)})`,
    );
  }

  async read(): Promise<ImportedSegment> {
    let batch: SegmentRow[] = [];
    const store = this.#sqlite.transaction((rows: readonly SegmentRow[]) => {
      for (const row of rows) this.#row(row);
    });
    for await (const line of this.#lines()) {
      const value = this.#parsed(line);
      if (this.#foot !== undefined) throw this.#refuse('something stands behind its last line');
      if (this.#head === undefined) this.#begin(value as unknown as SegmentHead);
      else if (value.end === true) this.#foot = value as unknown as SegmentFoot;
      else batch.push(value as unknown as SegmentRow);
      if (batch.length < ROWS_AT_ONCE && this.#foot === undefined) continue;
      store(batch);
      batch = [];
    }
    const head = this.#head as SegmentHead | undefined;
    const foot = this.#foot as SegmentFoot | undefined;
    if (head === undefined || foot === undefined) throw this.#refuse('it is cut off');
    if (foot.last !== this.#seq || foot.rows !== this.#seq - head.first + 1 || foot.hash !== this.#prev.toString('hex'))
      throw this.#refuse('it does not end with the row its last line names');
    const proof = this.#proofOf(head, foot);
    this.#keep(head, foot);
    return { file: this.#file, logId: head.logId, first: head.first, last: foot.last, rows: this.#added, proof };
  }

  async *#lines(): AsyncGenerator<string> {
    const source = createReadStream(this.#file);
    const stream = this.#file.endsWith('.gz') ? source.pipe(createGunzip()) : source;
    source.on('error', (error) => stream.destroy(error));
    try {
      const decoder = new TextDecoder('utf-8', { fatal: true });
      let rest = '';
      for await (const piece of stream as AsyncIterable<Uint8Array>) {
        const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        if (rest.length > MAX_LINE) throw this.#refuse('a line is too long');
        for (const line of lines) if (line !== '') yield line;
      }
      if (rest !== '') yield rest;
    } catch (cause) {
      if (cause instanceof GatewayError) throw cause;
      throw this.#refuse(`it cannot be read (${(cause as { code?: string }).code ?? 'unknown error'})`, cause);
    }
  }

  #parsed(line: string): Record<string, unknown> {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw this.#refuse('a line is no JSON', cause);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.#refuse('a line is no object');
    return value as Record<string, unknown>;
  }

  #begin(head: SegmentHead): void {
    const isHead =
      head.dockgateAuditSegment === SEGMENT_FORMAT &&
      typeof head.logId === 'string' &&
      Number.isSafeInteger(head.first) &&
      head.first > 0 &&
      /^[0-9a-f]{64}$/.test(head.prev) &&
      (head.anchor === null || typeof head.anchor === 'string') &&
      Array.isArray(head.keys) &&
      (head.before === null || Array.isArray(head.before));
    if (!isHead) throw this.#refuse('its first line is not that of a segment this program knows');
    const known = this.#sqlite.prepare("SELECT value FROM audit_meta WHERE key = 'log-id'").pluck().get();
    if (known !== undefined && known !== head.logId) throw this.#refuse('it is of another log than the one before');
    if (head.first === 1 && genesis(head.logId).toString('hex') !== head.prev)
      throw this.#refuse('it does not begin as its log does');
    if (known === undefined)
      this.#sqlite.prepare("INSERT INTO audit_meta (key, value) VALUES ('log-id', ?)").run(head.logId);
    this.#sqlite.prepare("INSERT OR REPLACE INTO audit_meta (key, value) VALUES ('indexed-after', '0')").run();
    this.#head = head;
    this.#seq = head.first - 1;
    this.#prev = Buffer.from(head.prev, 'hex');
    this.#tree = this.#treeBefore(head);
  }

  #treeBefore({ first, before }: SegmentHead): GrowingTree | undefined {
    if (before === null) return undefined;
    try {
      return new GrowingTree(
        first - 1,
        before.map((root) => Buffer.from(root, 'base64')),
      );
    } catch {
      throw this.#refuse('its first line does not fit the rows before it');
    }
  }

  #row(row: SegmentRow): void {
    const values = COLUMNS.map((column) => (row[column] ?? null) as ColumnValue);
    this.#seq++;
    let line: string;
    try {
      line = canonicalLine(values);
    } catch (cause) {
      throw this.#refuse(`row ${this.#seq} cannot be read`, cause);
    }
    const hash = chainHash(this.#prev, this.#seq, line);
    if (row.seq !== this.#seq || row.hash !== hash.toString('hex'))
      throw this.#refuse(`row ${this.#seq} is not as it was written`);
    if (this.#insert.run([this.#seq, ...values, this.#prev, hash]).changes > 0) {
      this.#added++;
      this.#index.add(this.#seq, values);
    }
    this.#tree?.add(leafHash(line));
    this.#prev = hash;
  }

  /** Whether what is signed about the segment's end is about these rows. @throws when it is about others, or forged */
  #proofOf(head: SegmentHead, foot: SegmentFoot): ImportedSegment['proof'] {
    const tree = this.#tree;
    const notes: string[] = [];
    const anchor = foot.anchor === null ? undefined : readAnchor(foot.anchor);
    if (foot.anchor !== null) {
      const isOfThese =
        anchor?.origin === originOf(head.logId) && anchor.seq === foot.last && anchor.hash.equals(this.#prev);
      if (!isOfThese || (tree !== undefined && !sameRoots(anchor.roots, tree.roots)))
        throw this.#refuse('its signed anchor is about other rows');
      notes.push(foot.anchor);
    }
    const checkpoint = foot.checkpoint === null ? undefined : readCheckpoint(foot.checkpoint);
    if (foot.checkpoint !== null && checkpoint === undefined) throw this.#refuse('its checkpoint cannot be read');
    if (foot.checkpoint !== null && checkpoint?.size === foot.last && tree !== undefined) {
      if (checkpoint.origin !== originOf(head.logId) || !checkpoint.root.equals(tree.root()))
        throw this.#refuse('its signed checkpoint is about other rows');
      notes.push(foot.checkpoint);
    }
    if (notes.length === 0) return 'none';
    const own = head.keys.flatMap((line) => decodeKey(String(line)) ?? []);
    const keys = this.#keys.length > 0 ? this.#keys : own;
    for (const note of notes) {
      const state = signatureOf(note, keys);
      if (state === 'forged') throw this.#refuse('the signature at its end is forged');
      if (state === 'unknown-key') throw this.#refuse('another key than those given signed it');
    }
    return this.#keys.length > 0 ? 'signed' : 'signed-by-its-own';
  }

  /** What verification of the new database rests on. */
  #keep(head: SegmentHead, foot: SegmentFoot): void {
    const put = (table: string, columns: string, ...values: (string | number)[]): void => {
      const marks = values.map(() => '?').join(', ');
      this.#sqlite.prepare(`INSERT OR REPLACE INTO ${table} (${columns}) VALUES (${marks})`).run(...values);
    };
    const isFirst = (this.#sqlite.prepare('SELECT min(seq) FROM audit_event').pluck().get() as number) === head.first;
    if (head.anchor !== null && isFirst) put('audit_anchor', 'seq, at, note', head.first - 1, 0, head.anchor);
    const checkpoint = foot.checkpoint === null ? undefined : readCheckpoint(foot.checkpoint);
    if (foot.checkpoint !== null && checkpoint?.size === foot.last)
      put('audit_checkpoint', 'seq, at, key_id, note', foot.last, 0, '', foot.checkpoint);
    if (head.keys.length > 0) put('audit_meta', 'key, value', KEYS_META, head.keys.join('\n'));
  }

  #refuse(why: string, cause?: unknown): GatewayError {
    return new GatewayError('input-invalid', `${this.#file} is no whole segment of an audit log: ${why}`, { cause });
  }
}

const sameRoots = (a: readonly Buffer[], b: readonly Buffer[]): boolean =>
  a.length === b.length && a.every((root, index) => root.equals(b[index] ?? Buffer.alloc(0)));
