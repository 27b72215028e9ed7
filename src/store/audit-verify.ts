// Verifies a log from its file alone: the chain row by row, the tree at each checkpoint, outcomes and times. In steps, so that a
// thread may do other things in between, and in short reads, so that no writer waits for it.
import { hash } from 'node:crypto';
import Database from 'better-sqlite3';
import {
  originOf,
  readAnchor,
  readCheckpoint,
  readKeyHistory,
  signatureOf,
  signersNamed,
} from '../audit/seal/checkpoint.ts';

import { type AuditVerdict, brokenLink, type Fault, firstDifference, type Link } from '../audit/seal/faults.ts';
import { GrowingTree, HASH_BYTES, leafHash } from '../audit/seal/merkle.ts';
import type { NoteKey } from '../audit/seal/note.ts';
import { GatewayError } from '../errors.ts';
import { COLUMNS, type ColumnValue, canonicalLine, chainHash, genesis } from './audit-row.ts';
import { VOUCHED_META } from './audit-sealer.ts';
import { tileReader, treeFromTiles } from './audit-tiles.ts';

export interface VerifyOptions {
  readonly file: string;
  /** Keys to believe. Without any, checkpoints count by their content alone. */
  readonly keys: readonly NoteKey[];
  /** Checkpoints kept outside of the file, as they were signed. */
  readonly outside?: readonly string[];
  /** Begin at the newest checkpoint before this row. Default: the first row there is. */
  readonly from?: number;
  /** A log without any checkpoint is at fault. */
  readonly mustBeSigned?: boolean;
}

/** Rows read at a time. */
const PORTION = 1000;
/** Rows without a checkpoint that a gateway under load may leave: it signs every 1,000. */
const MAX_UNSIGNED = 10_000;
/** Times may go back so far, in microseconds: rows are queued in the order their calls end in. */
const CLOCK_TOLERANCE_US = 5_000_000;
/** Calls that took longer say when they ended by a clock that may have been set since, in microseconds. */
const SHORT_US = 10_000_000;
/** Rows compared one by one to say what happened to them. */
const MAX_COMPARED = 100_000;
/** Rows looked at behind a broken link. */
const LATER = 5000;

/** What the gateway records when its clock was set. */
export const CLOCK_SET = 'clock.set';

/** Columns every line has. */
const FIRST_COLUMNS = COLUMNS.indexOf('detail') + 1;
const ACTION = COLUMNS.indexOf('action');
const DURATION = COLUMNS.indexOf('duration_us');

interface Mark {
  readonly size: number;
  readonly root: Buffer;
  readonly isOwn: boolean;
}

interface Row extends Link {
  readonly line: string;
}

/** A row as SQLite makes its line: links in hexadecimal. */
type QuickRow = readonly [seq: number, prev: string, hash: string, line: string];

/** Room for the line and the bytes before it in the two hashes over it. */
let room = Buffer.alloc(64 * 1024);
const BEFORE = 64;

/** Hashes of the chain and of the leaf in hexadecimal, with the line written once. @param prev in hexadecimal */
function hashesOf(prev: string, seq: number, line: string): { chain: string; leaf: string } {
  if (room.length < BEFORE + line.length * 3) room = Buffer.alloc(BEFORE + line.length * 3);
  const end = BEFORE + room.write(line, BEFORE);
  const number = `${seq}\n`;
  const begin = BEFORE - number.length - prev.length / 2;
  room.write(prev, begin, 'hex');
  room.write(number, BEFORE - number.length, 'latin1');
  const chain = hash('sha256', room.subarray(begin, end), 'hex');
  room[BEFORE - 1] = 0;
  return { chain, leaf: hash('sha256', room.subarray(BEFORE - 1, end), 'hex') };
}

/**
 * @throws {GatewayError} `input-invalid` for a file that is no audit log, and for a checkpoint that cannot be read or is not signed with
 *   a key that is believed
 */
export function* verifying(options: VerifyOptions): Generator<undefined, AuditVerdict> {
  let sqlite: Database.Database;
  try {
    sqlite = new Database(options.file, { readonly: true, fileMustExist: true });
  } catch (cause) {
    throw new GatewayError('input-invalid', `${options.file} cannot be opened`, { cause });
  }
  try {
    return yield* new Verification(sqlite, options).run();
  } finally {
    sqlite.close();
  }
}

/** All of it at once. */
export function verifyAudit(options: VerifyOptions): AuditVerdict {
  const steps = verifying(options);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

class Verification {
  readonly #sqlite: Database.Database;
  readonly #options: VerifyOptions;
  readonly #rows: Database.Statement;
  readonly #quickRows: Database.Statement;
  /** Columns of the log beyond those every line has. */
  readonly #later: number;
  readonly #origin: string;
  readonly #logId: string;
  readonly #faults: Fault[] = [];
  readonly #marks: Mark[] = [];
  #ownSizes: number[] = [];
  readonly #hasSeals: boolean;
  /** Keys to believe, with those they vouch for. */
  #believed: readonly NoteKey[] = [];
  #vouchedThrough = 0;
  readonly #vouchedKeys = new Set<string>();
  #first: number;
  #last = 0;
  #end = 0;
  #prev: Buffer;
  #tree = new GrowingTree();
  /** The tree at the last checkpoint that holds, and how many do. */
  #good = { size: 0, roots: [] as readonly Buffer[] };
  #checkpoints = 0;
  #anchor: number | undefined;
  /** A checkpoint from outside that does not hold, while those of the log do. */
  #fork: Mark | undefined;
  readonly #open = new Map<string, number>();
  #latest = 0;
  #wentBack: { readonly seq: number; readonly byUs: number } | undefined;

  constructor(sqlite: Database.Database, options: VerifyOptions) {
    this.#sqlite = sqlite;
    this.#options = options;
    let tables: string[];
    try {
      sqlite.pragma('busy_timeout = 5000');
      tables = sqlite.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all() as string[];
    } catch (cause) {
      throw new GatewayError('input-invalid', `${options.file} is no audit log: it is no database`, { cause });
    }
    if (!tables.includes('audit_event') || !tables.includes('audit_meta'))
      throw new GatewayError('input-invalid', `${options.file} is no audit log: it has no table audit_event`);
    this.#hasSeals = ['audit_checkpoint', 'audit_tile', 'audit_anchor'].every((name) => tables.includes(name));
    // A log of an earlier version lacks the columns that came later; in their lines they are left out.
    const there = sqlite.prepare("SELECT name FROM pragma_table_info('audit_event')").pluck().all() as string[];
    const columns = COLUMNS.filter((name) => there.includes(name));
    this.#later = Math.max(0, columns.length - FIRST_COLUMNS);
    const rows = (what: string) =>
      sqlite.prepare(`SELECT seq, ${what} FROM audit_event WHERE seq > ? ORDER BY seq LIMIT ?`).raw();
    this.#rows = rows(`prev, hash, ${columns.join(', ')}`);
    this.#quickRows = rows(`lower(hex(prev)), lower(hex(hash)), json_array(${columns.join(', ')})`);
    this.#logId = String(sqlite.prepare("SELECT value FROM audit_meta WHERE key = 'log-id'").pluck().get() ?? '');
    this.#origin = originOf(this.#logId);
    this.#prev = genesis(this.#logId);
    this.#first = 1;
  }

  *run(): Generator<undefined, AuditVerdict> {
    this.#sqlite.transaction(() => {
      this.#end = Number(this.#sqlite.prepare('SELECT coalesce(max(seq), 0) FROM audit_event').pluck().get());
      this.#readMarks();
      this.#begin();
    })();
    try {
      if (!this.#isWrongLog) yield* this.#pass();
    } catch (error) {
      if (!/^SQLITE_(CORRUPT|NOTADB|FORMAT)/.test(String((error as { code?: string }).code))) throw error;
      this.#fault({ kind: 'edited', seq: this.#last + 1, message: `the file is damaged behind row ${this.#last}` });
    }
    const faults = [...this.#faults].sort((a, b) => a.seq - b.seq);
    return {
      whole: faults.length === 0,
      origin: this.#origin,
      first: this.#first,
      last: this.#last,
      signedThrough: this.#checkpoints === 0 ? 0 : this.#good.size,
      checkpoints: this.#checkpoints,
      ...(this.#anchor === undefined ? {} : { anchor: this.#anchor }),
      open: this.#open.size,
      keys: this.#options.keys.map(({ name, id }) => `${name}+${id}`),
      ...(this.#vouchedThrough === 0
        ? {}
        : { vouchedThrough: this.#vouchedThrough, vouchedKeys: [...this.#vouchedKeys] }),
      faults,
    };
  }

  get #isWrongLog(): boolean {
    return this.#faults.some(({ kind }) => kind === 'wrong-log');
  }

  #fault(fault: Fault): void {
    if (this.#faults.every(({ kind }) => kind !== fault.kind)) this.#faults.push(fault);
  }

  #readMarks(): void {
    const { keys, outside = [] } = this.#options;
    if (keys.length > 0 && keys.every(({ name }) => name !== this.#origin)) {
      this.#fault({ kind: 'wrong-log', seq: 1, message: `the key is of ${keys[0]?.name}, the log is ${this.#origin}` });
      return;
    }
    const own = this.#hasSeals
      ? (this.#sqlite.prepare('SELECT seq, note FROM audit_checkpoint ORDER BY seq').all() as {
          seq: number;
          note: unknown;
        }[])
      : [];
    this.#believed = this.#withVouched(keys);
    let before = 0;
    for (const { seq, note } of own) {
      const read = typeof note === 'string' ? readCheckpoint(note) : undefined;
      const isSigned = keys.length === 0 || (typeof note === 'string' && this.#isSigned(note, seq));
      if (read === undefined || read.size !== seq || read.origin !== this.#origin || !isSigned) {
        const message = `the checkpoint at row ${seq} is none that the key signed for this log`;
        if (read !== undefined && read.origin !== this.#origin)
          this.#fault({ kind: 'wrong-log', seq: 1, message: `the checkpoint at row ${seq} is of ${read.origin}` });
        else if (typeof note === 'string' && read?.size === seq && signatureOf(note, this.#believed) === 'unknown-key')
          this.#otherKey(before + 1, seq, note);
        else if (this.#faults.length === 0)
          this.#fault({ kind: 'edited', seq: before + 1, ...(seq > before + 1 ? { through: seq } : {}), message });
        continue;
      }
      before = seq;
      this.#marks.push({ size: read.size, root: read.root, isOwn: true });
    }
    this.#ownSizes = this.#marks.map(({ size }) => size);
    for (const note of outside) {
      const read = readCheckpoint(note);
      if (read === undefined) throw new GatewayError('input-invalid', 'the checkpoint given cannot be read');
      if (read.origin !== this.#origin) {
        this.#fault({
          kind: 'wrong-log',
          seq: 1,
          message: `the checkpoint is of ${read.origin}, the log is ${this.#origin}`,
        });
        continue;
      }
      if (keys.length > 0 && signatureOf(note, this.#believed) !== 'signed')
        throw new GatewayError('input-invalid', 'the checkpoint given is not signed with the public key');
      this.#marks.push({ size: read.size, root: read.root, isOwn: false });
    }
    this.#marks.sort((a, b) => a.size - b.size);
  }

  /** With the keys that were in use before one of these, where it vouches for them. */
  #withVouched(keys: readonly NoteKey[]): readonly NoteKey[] {
    const believed = [...keys];
    // A key may vouch for one that vouches for another: they are looked at as they are found.
    for (const { id } of believed) {
      const note = this.#sqlite
        .prepare('SELECT value FROM audit_meta WHERE key = ?')
        .pluck()
        .get(`${VOUCHED_META}${id}`);
      if (typeof note !== 'string') continue;
      const earlier = readKeyHistory(note, this.#origin, believed);
      believed.push(...earlier.filter((one) => believed.every((known) => known.id !== one.id)));
    }
    return believed;
  }

  #isSigned(note: string, seq: number): boolean {
    if (signatureOf(note, this.#options.keys) === 'signed') return true;
    if (signatureOf(note, this.#believed) !== 'signed') return false;
    this.#vouchedThrough = seq;
    for (const id of signersNamed(note)) this.#vouchedKeys.add(id);
    return true;
  }

  #otherKey(from: number, through: number, note: string): void {
    const ids = signersNamed(note).join(', ');
    this.#fault({
      kind: 'other-key',
      seq: from,
      ...(through > from ? { through } : {}),
      message: `the checkpoint at row ${through} is signed with another key (${ids}): give its public key too, --public-key may be repeated`,
    });
  }

  /** Where the pass begins: at the first row, behind what was removed, or at a checkpoint before the row asked for. */
  #begin(): void {
    this.#toAnchor(1);
    const { from = 1 } = this.#options;
    const marks = this.#marks.filter(
      ({ size, isOwn }) => isOwn && size < from && size >= this.#first && size <= this.#end,
    );
    const mark = marks.at(-1);
    if (mark === undefined) return;
    try {
      const tree = treeFromTiles(tileReader(this.#sqlite), mark.size);
      const link = this.#sqlite.prepare('SELECT hash FROM audit_event WHERE seq = ?').pluck().get(mark.size);
      if (!tree.root().equals(mark.root) || !Buffer.isBuffer(link)) return;
      this.#startAt(mark.size, link, tree);
      this.#checkpoints = 1;
    } catch {
      // tiles that are damaged tell nothing: from the first row, then
    }
  }

  /** Goes on behind the newest anchor, if that is at this row or later. */
  #toAnchor(seq: number): boolean {
    if (!this.#hasSeals) return false;
    const note = this.#sqlite.prepare('SELECT note FROM audit_anchor ORDER BY seq DESC LIMIT 1').pluck().get();
    const anchor = typeof note === 'string' ? readAnchor(note) : undefined;
    if (typeof note !== 'string' || anchor === undefined || anchor.seq < seq || anchor.origin !== this.#origin)
      return false;
    if (this.#options.keys.length > 0 && signatureOf(note, this.#believed) !== 'signed') return false;
    this.#anchor = anchor.seq;
    this.#startAt(anchor.seq, anchor.hash, new GrowingTree(anchor.seq, anchor.roots));
    return true;
  }

  #startAt(seq: number, prev: Buffer, tree: GrowingTree): void {
    this.#first = seq + 1;
    this.#last = seq;
    this.#prev = prev;
    this.#tree = tree;
    this.#good = { size: seq, roots: [...tree.roots] };
  }

  #read(after: number, limit: number): Row[] {
    return (this.#rows.all(after, limit) as (ColumnValue | Buffer)[][]).map(([seq, prev, itsHash, ...values]) => ({
      seq: Number(seq),
      prev: bufferOf(prev),
      hash: bufferOf(itsHash),
      line: lineOf(values as ColumnValue[]),
    }));
  }

  /** Rows with their lines as SQLite writes them, in a fraction of the time. A line that does not fit is made again from its values. */
  #readQuickly(after: number, limit: number): readonly QuickRow[] {
    let rows: QuickRow[];
    try {
      rows = this.#quickRows.all(after, limit) as QuickRow[];
    } catch (error) {
      if (/^SQLITE_(CORRUPT|NOTADB|FORMAT)/.test(String((error as { code?: string }).code))) throw error;
      // A value that has no place in JSON: no gateway wrote it.
      return this.#read(after, limit).map((row) => [
        row.seq,
        row.prev.toString('hex'),
        row.hash.toString('hex'),
        row.line,
      ]);
    }
    if (this.#later === 0) return rows;
    return rows.map(([seq, prev, itsHash, line]) => [seq, prev, itsHash, withoutNulls(line, this.#later)]);
  }

  *#pass(): Generator<undefined, void> {
    let next = this.#marks.findIndex(({ size }) => size > this.#last);
    this.#checkFirst();
    let prev = this.#prev.toString('hex');
    while (this.#last < this.#end) {
      const rows = this.#readQuickly(this.#last, Math.min(PORTION, this.#end - this.#last));
      if (rows.length === 0) break;
      for (const [seq, itsPrev, itsHash, line] of rows) {
        const expected = this.#last + 1;
        let hashes = hashesOf(prev, expected, line);
        if (seq !== expected || itsPrev !== prev || hashes.chain !== itsHash) {
          const [row] = this.#read(seq - 1, 1);
          if (row === undefined) break;
          hashes = hashesOf(prev, expected, row.line);
          if (row.seq !== expected || itsPrev !== prev || hashes.chain !== itsHash) {
            this.#prev = Buffer.from(prev, 'hex');
            // Retention removes rows while they are read: then verification goes on behind its anchor.
            if (row.seq !== expected && this.#toAnchor(expected)) {
              prev = this.#prev.toString('hex');
              break;
            }
            this.#fault(this.#locate(row));
            return;
          }
        }
        this.#last = expected;
        prev = hashes.chain;
        this.#tree.add(hashes.leaf);
        this.#look(expected, line);
        while (next >= 0 && this.#marks[next]?.size === expected) {
          if (!this.#holds(this.#marks[next] as Mark)) return;
          next = next + 1 < this.#marks.length ? next + 1 : -1;
        }
      }
      yield;
    }
    this.#prev = Buffer.from(prev, 'hex');
    this.#atEnd();
  }

  /** A log that begins with another id than its own says. */
  #checkFirst(): void {
    if (this.#last > 0) return;
    const [row] = this.#read(0, 1);
    if (row?.seq !== 1 || row.prev.equals(this.#prev) || !chainHash(row.prev, 1, row.line).equals(row.hash)) return;
    this.#fault({ kind: 'wrong-log', seq: 1, message: `the first row begins another log than ${this.#origin}` });
    this.#prev = row.prev;
  }

  /** @returns false when there is no use in going on */
  #holds(mark: Mark): boolean {
    if (this.#tree.root().equals(mark.root)) {
      this.#checkpoints++;
      if (this.#fork !== undefined && mark.isOwn) this.#tellFork(this.#fork);
      if (this.#fork === undefined || mark.isOwn) this.#good = { size: mark.size, roots: [...this.#tree.roots] };
      return true;
    }
    if (!mark.isOwn) {
      this.#fork ??= mark;
      return true;
    }
    this.#fault(this.#locate(undefined));
    return false;
  }

  #tellFork({ size }: Mark): void {
    this.#fork = undefined;
    const seq = this.#good.size + 1;
    this.#fault({
      kind: 'rolled-back',
      seq,
      ...(size > seq ? { through: size } : {}),
      message: `the log was put back to an earlier state and written on: row ${size} is not the one the checkpoint covers`,
    });
  }

  /** The faults behind the last checkpoint that holds. @param row where the chain breaks; undefined when only the tree differs */
  #locate(row: Row | undefined): Fault {
    const seq = this.#last + 1;
    const signed = this.#signedLeaves(row === undefined ? this.#last : seq);
    if (signed !== undefined) {
      const there = this.#leavesThere(signed.length);
      const found = firstDifference(there, signed, this.#good.size);
      // A break of the chain before the first difference of content is one of numbers or links.
      if (found !== undefined && (row === undefined || found.seq <= seq)) return found;
      if (row !== undefined && row.seq === seq)
        return { kind: 'edited', seq, message: `the hashes of row ${seq} were changed` };
    }
    if (row === undefined) {
      const from = this.#good.size + 1;
      return {
        kind: 'edited',
        seq: from,
        ...(this.#last > from ? { through: this.#last } : {}),
        message: `a row from ${from} to ${this.#last} was edited, deleted or inserted, and the hashes were computed again`,
      };
    }
    const later = this.#read(row.seq, LATER);
    const sound = {
      withOwn: chainHash(row.prev, row.seq, row.line).equals(row.hash),
      withLink: chainHash(this.#prev, row.seq, row.line).equals(row.hash),
    };
    return brokenLink({ seq, prev: this.#prev }, row, sound, later);
  }

  /** Hashes of the lines from the last checkpoint that holds to the next one, as they were signed. Undefined where nothing tells. */
  #signedLeaves(seq: number): string[] | undefined {
    const from = this.#good.size;
    const covering = this.#marks.filter(({ size }) => size >= seq && size <= from + MAX_COMPARED);
    // The furthest tells most: where a row stands that should be here.
    for (const mark of new Set([covering.at(-1), covering[0]])) {
      if (mark === undefined) return undefined;
      try {
        const leaves = tileReader(this.#sqlite)(0, from, mark.size);
        const tree = new GrowingTree(from, this.#good.roots);
        for (const leaf of leaves) tree.add(Buffer.from(leaf));
        if (tree.root().equals(mark.root)) return leaves.map((leaf) => Buffer.from(leaf).toString('latin1'));
      } catch {
        // no tiles, or damaged ones
      }
    }
    return undefined;
  }

  /** The same of the rows that are there, some more of them. */
  #leavesThere(count: number): string[] {
    const found: string[] = [];
    let after = this.#good.size;
    while (found.length < count + LATER) {
      const rows = this.#read(after, PORTION);
      if (rows.length === 0) break;
      for (const { line } of rows) found.push(leafHash(line).toString('latin1'));
      after = rows.at(-1)?.seq ?? after;
    }
    return found;
  }

  /** Outcomes and times, read from the begin of a line: its time, stage and audit id. */
  #look(seq: number, line: string): void {
    const [, time, stage, auditId = ''] = /^\[(-?\d+),"([^"]*)","((?:[^"\\]|\\.)*)"/.exec(line) ?? [];
    const at = Number(time);
    if (stage === 'intent') {
      if (!this.#open.has(auditId)) this.#open.set(auditId, seq);
      return;
    }
    if (stage === 'complete') this.#open.delete(auditId);
    if (stage !== 'complete' && stage !== 'gateway') return;
    const action = stage === 'gateway' ? valuesOf(line)[ACTION] : undefined;
    if (action === 'gateway.start') this.#closed(seq);
    if (action === CLOCK_SET) {
      this.#wentBack = undefined;
      this.#latest = at;
      return;
    }
    const byUs = this.#latest - at;
    if (byUs >= 0 && byUs <= CLOCK_TOLERANCE_US) return;
    // Calls that took long say when they ended by a clock that may have been set since.
    if (stage === 'complete' && Number(valuesOf(line)[DURATION] ?? 0) >= SHORT_US) return;
    if (byUs > 0) this.#wentBack ??= { seq, byUs };
    else this.#latest = at;
  }

  /** A start closes what earlier processes left open, before it records itself. */
  #closed(start: number): void {
    const [first] = this.#open.values();
    if (first === undefined) return;
    const count = this.#open.size;
    this.#open.clear();
    if (this.#faults.some(({ kind }) => kind === 'missing-outcome')) return;
    const message = `the call of row ${first} has no outcome, though the gateway started again at row ${start}`;
    this.#fault({
      kind: 'missing-outcome',
      seq: first,
      message: count === 1 ? message : `${message}; ${count - 1} more have none`,
    });
  }

  #atEnd(): void {
    if (this.#wentBack !== undefined) {
      const { seq, byUs } = this.#wentBack;
      const message = `row ${seq} is ${Math.round(byUs / 1e6)} s before one that precedes it, and no set clock was recorded`;
      this.#fault({ kind: 'clock-backwards', seq, message });
    }
    if (this.#fork !== undefined) {
      const { size } = this.#fork;
      if (this.#ownSizes.some((own) => own >= size)) this.#tellFork(this.#fork);
      else {
        const seq = this.#good.size + 1;
        const message = `a row from ${seq} to ${size} is not the one the checkpoint covers, and the hashes were computed again`;
        this.#fault({ kind: 'edited', seq, ...(size > seq ? { through: size } : {}), message });
      }
    }
    this.#checkEnd();
    const unsigned = this.#last - Math.max(this.#good.size, this.#first - 1);
    const isExpected = this.#options.mustBeSigned === true || this.#marks.length > 0;
    if (this.#options.keys.length > 0 && isExpected && unsigned > MAX_UNSIGNED && this.#faults.length === 0) {
      const seq = this.#last - unsigned + 1;
      const message = `rows ${seq} to ${this.#last} are covered by no checkpoint`;
      this.#fault({ kind: 'unsigned', seq, through: this.#last, message });
    }
  }

  /** Rows a checkpoint covers and that are not there. */
  #checkEnd(): void {
    const beyond = this.#marks.filter(({ size }) => size > this.#last);
    const furthest = beyond.at(-1);
    if (furthest === undefined) return;
    const seq = this.#last + 1;
    // An earlier state as a whole ends where one of its own checkpoints ends; rows cut off leave others behind it, or rows beyond one.
    const isEarlierState = beyond.every(({ isOwn }) => !isOwn) && this.#ownSizes.at(-1) === this.#last;
    this.#fault({
      kind: isEarlierState ? 'rolled-back' : 'truncated',
      seq,
      ...(furthest.size > seq ? { through: furthest.size } : {}),
      message: isEarlierState
        ? `the log ends at row ${this.#last}, a state before the checkpoint of row ${furthest.size}`
        : `the log ends at row ${this.#last}, and a checkpoint covers ${furthest.size}`,
    });
  }
}

const EMPTY = Buffer.alloc(HASH_BYTES);

/** A link that is none of SQLite's blobs was not written by the gateway. */
const bufferOf = (value: ColumnValue | Buffer | undefined): Buffer => (Buffer.isBuffer(value) ? value : EMPTY);

/** A line of all columns without those at its end that are null. @param most how many may be left out */
function withoutNulls(line: string, most: number): string {
  let end = line.length - 1;
  for (let left = 0; left < most && line.endsWith(',null', end); left++) end -= 5;
  return end === line.length - 1 ? line : `${line.slice(0, end)}]`;
}

function valuesOf(line: string): readonly unknown[] {
  try {
    return JSON.parse(line) as unknown[];
  } catch {
    return [];
  }
}

/** Values no gateway writes make a line that no row had. */
function lineOf(values: readonly ColumnValue[]): string {
  try {
    return canonicalLine(values);
  } catch {
    return '';
  }
}
