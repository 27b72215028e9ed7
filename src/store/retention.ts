// Keeps the audit as long as the settings say: exports the rows that are due into segments, has an anchor signed behind each, and then has
// the rows removed by the log's own writer. Runs in the thread of the sinks, over a connection that cannot write.
//
// Rows go in the order of the log, and only a whole prefix of them: the first row that must stay stops the rest, and status and metrics
// say so. What must stay: a row under a hold, a call without an outcome, a row a sink does not have, a row no checkpoint covers yet.
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { jsonLine } from '../audit/formats/json-line.ts';
import type { AuditHold, RetentionSetting } from '../audit/retention.ts';
import type { SegmentFoot } from '../audit/segment.ts';
import { namedBy } from './audit-index.ts';
import { AUDIT_ID, COLUMNS, STAGE } from './audit-row.ts';
import { type RawRow, SegmentSource, segmentRow } from './segment-rows.ts';

/** Rows read, compressed and written at a time. */
const PORTION = 500;
/** Rows of one segment at most. */
const SEGMENT_ROWS = 200_000;
/** Pause between two portions, in ms: the rest of the program has work too. */
const PAUSE_MS = 10;
/** Longest and shortest time between two looks, in ms. In between it is a hundredth of the age rows are kept for. */
const MAX_EVERY_MS = 3_600_000;
const MIN_EVERY_MS = 1000;
/** Of a database that is too large, so much more is removed than must be, so that it does not happen with each row. */
const SLACK = 0.05;

const SUBJECT = COLUMNS.indexOf('subject');

export interface RetentionState {
  /** Rows that are due and still there. */
  readonly dueRows: number;
  /** Why the oldest of them stays; undefined while none has to. */
  readonly heldBy: string | undefined;
  /** The row that has to stay. */
  readonly heldSeq: number | undefined;
  /** Why nothing could be exported or removed. */
  readonly fault: string | undefined;
  readonly removedRows: number;
}

/** A segment that was written and whose rows are being removed. */
export interface RemovedSegment {
  readonly first: number;
  readonly last: number;
  readonly file: string;
  /** Of the file, in hex. */
  readonly sha256: string;
}

export interface RetentionParts {
  readonly auditFile: string;
  /** The last row each sink has, by the sink's name. */
  sinks(): readonly { readonly name: string; readonly seq: number }[];
  /** Has the writer sign an anchor. */
  anchor(seq: number): Promise<string>;
  /** Has the writer remove the rows of a segment. */
  remove(segment: RemovedSegment): Promise<void>;
}

interface Stop {
  readonly why: string;
  readonly seq: number;
}

export class Retention {
  readonly setting: RetentionSetting;
  readonly #parts: RetentionParts;
  readonly #source: SegmentSource;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #state: RetentionState = {
    dueRows: 0,
    heldBy: undefined,
    heldSeq: undefined,
    fault: undefined,
    removedRows: 0,
  };
  /** Last row that was exported: its rows may still be there. */
  #through: number;

  /** @param removedRows so far */
  constructor(setting: RetentionSetting, parts: RetentionParts, removedRows = 0) {
    this.setting = setting;
    this.#parts = parts;
    this.#source = new SegmentSource(parts.auditFile);
    this.#through = this.#source.removing();
    this.#state = { ...this.#state, removedRows };
    this.#schedule(MIN_EVERY_MS);
  }

  state(): RetentionState {
    return this.#state;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#running;
    this.#source.close();
  }

  #schedule(ms: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#running = this.#look().finally(() => {
        this.#running = undefined;
        const age = this.setting.ageMs ?? Number.POSITIVE_INFINITY;
        const everyMs = this.setting.bytes === undefined ? MAX_EVERY_MS : MAX_EVERY_MS / 60;
        this.#schedule(Math.max(MIN_EVERY_MS, Math.min(everyMs, age / 100)));
      });
    }, ms);
  }

  async #look(): Promise<void> {
    try {
      let stop: Stop | undefined;
      do stop = await this.#segment(Date.now());
      while (stop === undefined && !this.#isStopped);
      this.#tell(stop, undefined);
    } catch (error) {
      this.#tell(undefined, error instanceof Error ? error.message : String(error));
    }
  }

  #tell(stop: Stop | undefined, fault: string | undefined): void {
    const heldSeq = stop?.why === '' ? undefined : stop?.seq;
    this.#state = {
      ...this.#state,
      dueRows: Math.max(0, this.#dueThrough(Date.now()) - Math.max(this.#through, this.#source.first() - 1)),
      heldBy: heldSeq === undefined ? undefined : stop?.why,
      heldSeq,
      fault,
    };
  }

  /** The last row that is due. */
  #dueThrough(nowMs: number): number {
    const { ageMs, bytes } = this.setting;
    const [first, last] = [Math.max(this.#source.first(), this.#through + 1), this.#source.last()];
    let through = 0;
    if (ageMs !== undefined) {
      through = this.#source.firstSince((nowMs - ageMs) * 1000) - 1;
    }
    const used = bytes === undefined ? 0 : this.#source.usedBytes();
    // While rows are being removed their pages still count.
    if (bytes !== undefined && used > bytes && this.#source.first() > this.#through) {
      const share = Math.min(1, 1 - (bytes * (1 - SLACK)) / used);
      through = Math.max(through, first + Math.ceil((last - first + 1) * share) - 1);
    }
    return Math.min(through, last - 1);
  }

  /**
   * Exports and removes one segment.
   *
   * @returns where it had to stop, with an empty reason where nothing more is due; undefined where there may be more
   */
  async #segment(nowMs: number): Promise<Stop | undefined> {
    const first = Math.max(this.#source.first(), this.#through + 1);
    const through = Math.min(this.#dueThrough(nowMs), first + SEGMENT_ROWS - 1);
    if (first === 0 || through < first) return { why: '', seq: first };
    const covered = this.#source.checkpoint();
    const limit = this.#limit(through, covered?.seq ?? 0);
    mkdirSync(this.setting.archive, { recursive: true, mode: 0o700 });
    const part = join(this.setting.archive, `.${this.#source.logId}.part`);
    const out = new SegmentFile(part);
    try {
      let last = first - 1;
      let stop: Stop | undefined;
      while (stop === undefined && last < limit.seq) {
        if (this.#isStopped) throw new Error('the gateway is stopping');
        const rows = this.#source.after(last, limit.seq, PORTION);
        const staying = rows.find((row) => this.#whyItStays(row) !== undefined);
        const going = staying === undefined ? rows : rows.filter(({ seq }) => seq < staying.seq);
        if (last < first && going.length > 0) out.lines([this.#source.headBefore(first)]);
        out.lines(going.map(segmentRow));
        last += going.length;
        if (staying !== undefined) stop = { why: this.#whyItStays(staying) ?? '', seq: staying.seq };
        else if (rows.length === 0) break;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
      if (last >= first) await this.#finish(out, part, first, last, covered?.note ?? null);
      if (stop !== undefined) return stop;
      return limit.seq < through ? { why: limit.why, seq: Math.max(first, limit.seq + 1) } : undefined;
    } finally {
      out.close();
      rmSync(part, { force: true });
    }
  }

  /** How far rows may go at most, and why no further. */
  #limit(through: number, covered: number): Stop {
    let limit: Stop = { why: '', seq: through };
    if (covered < limit.seq) limit = { why: 'rows that no checkpoint covers yet', seq: covered };
    if (this.setting.waitForSinks) {
      for (const { name, seq } of this.#parts.sinks()) {
        if (seq < limit.seq) limit = { why: `sink ${name}, which does not have them yet`, seq };
      }
    }
    return limit;
  }

  #whyItStays({ values }: RawRow): string | undefined {
    for (const hold of this.setting.holds) {
      if (hold.by === 'subject' ? values[SUBJECT] === hold.value : isAbout(values, hold))
        return `the hold on ${hold.by} ${hold.value}`;
    }
    const auditId = values[AUDIT_ID];
    if (values[STAGE] === 'intent' && typeof auditId === 'string' && this.#source.isOpen(auditId))
      return 'a call that is still open';
    return undefined;
  }

  async #finish(out: SegmentFile, part: string, first: number, last: number, checkpoint: string | null): Promise<void> {
    const anchor = await this.#parts.anchor(last);
    const hash = this.#source.headBefore(last + 1).prev;
    out.lines([{ end: true, last, rows: last - first + 1, hash, anchor, checkpoint } satisfies SegmentFoot]);
    const sha256 = out.finish();
    const name = `audit-${pad(first)}-${pad(last)}.ndjson.gz`;
    renameSync(part, join(this.setting.archive, name));
    syncFolder(this.setting.archive);
    await this.#parts.remove({ first, last, file: name, sha256 });
    this.#through = last;
    this.#state = { ...this.#state, removedRows: this.#state.removedRows + last - first + 1 };
  }
}

const pad = (seq: number): string => String(seq).padStart(12, '0');

/** Whether a row is about an object, by any of its names or ids. */
function isAbout(values: RawRow['values'], { value }: AuditHold): boolean {
  const slash = value.indexOf('/');
  const [kind, name] = [value.slice(0, slash), value.slice(slash + 1)];
  // The main object of a call stands in all of its rows, and only its first one is indexed by it.
  const first = [...values];
  first[STAGE] = 'intent';
  return namedBy(first).some(
    (one) =>
      one.kind === kind &&
      (one.name === name ||
        one.id === name ||
        (name.length >= 12 && /^[0-9a-f]+$/.test(name) && one.id.startsWith(name))),
  );
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A file of compressed pieces: gzip takes them one behind the other as one. */
class SegmentFile {
  readonly #fd: number;
  readonly #digest = createHash('sha256');
  #isClosed = false;

  constructor(path: string) {
    rmSync(path, { force: true });
    this.#fd = openSync(path, 'wx', 0o600);
  }

  lines(values: readonly object[]): void {
    if (values.length === 0) return;
    const bytes = gzipSync(values.map((value) => `${jsonLine(value)}\n`).join(''));
    this.#digest.update(bytes);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  /** On disk. @returns SHA-256 in hex */
  finish(): string {
    fsyncSync(this.#fd);
    this.close();
    return this.#digest.digest('hex');
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#fd);
  }
}

/** Segments of a folder, oldest first. */
export const segmentsIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => /^audit-[0-9]{12,}-[0-9]{12,}\.ndjson\.gz$/.test(name))
    .sort();
