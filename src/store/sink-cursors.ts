// How far each sink has come, kept in one small file of the data folder, which backups take with them. Written at most once a second: a
// crash sends again what was delivered since, and never skips. Each cursor remembers hashes of rows it passed: in a log that was put back to
// an earlier state it goes back to the newest row that is still the same.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** In the data folder. */
export const CURSORS_FILE = 'sinks.json';

/** A row by its number and its hash in hexadecimal. */
export type Mark = readonly [seq: number, hash: string];

export interface Cursor {
  readonly logId: string;
  /** Rows that were passed, newest first; the first one is where the cursor stands. Empty: before the first row. */
  readonly marks: readonly Mark[];
}

const FORMAT = 1;

export const seqOf = (cursor: Cursor): number => cursor.marks[0]?.[0] ?? 0;

/**
 * The cursor after a further row. Of older marks the newest and the oldest stay at each doubling of the distance, so that some are near and
 * some reach far back: two for each bit of the log's length.
 */
export function advanced(cursor: Cursor, mark: Mark): Cursor {
  const marks: Mark[] = [mark];
  let bucket = -1;
  let inBucket = 0;
  for (const older of cursor.marks) {
    if (older[0] >= mark[0]) continue;
    const at = Math.floor(Math.log2(mark[0] - older[0]));
    inBucket = at === bucket ? inBucket + 1 : 1;
    bucket = at;
    if (inBucket > 2) marks[marks.length - 1] = older;
    else marks.push(older);
  }
  return { logId: cursor.logId, marks };
}

/**
 * Where a cursor stands in the log that is there now.
 *
 * @param hashAt the hash of a row in hexadecimal, undefined where there is none
 * @param firstSeq the oldest row that is kept: older marks are trusted
 */
export function settled(
  cursor: Cursor | undefined,
  logId: string,
  firstSeq: number,
  hashAt: (seq: number) => string | undefined,
): { readonly cursor: Cursor; readonly wentBack: boolean } {
  if (cursor === undefined) return { cursor: { logId, marks: [] }, wentBack: false };
  if (cursor.logId !== logId) return { cursor: { logId, marks: [] }, wentBack: true };
  const at = cursor.marks.findIndex(([seq, hash]) => seq < firstSeq || hashAt(seq) === hash);
  if (at <= 0) return { cursor: at === 0 ? cursor : { logId, marks: [] }, wentBack: at < 0 && cursor.marks.length > 0 };
  return { cursor: { logId, marks: cursor.marks.slice(at) }, wentBack: true };
}

export class SinkCursors {
  readonly #file: string;
  readonly #cursors = new Map<string, Cursor>();
  #isChanged = false;

  /** @param dataDir where the file is; one that cannot be read counts as none, so that sinks begin anew rather than not at all */
  constructor(dataDir: string) {
    this.#file = join(dataDir, CURSORS_FILE);
    for (const [name, cursor] of Object.entries(readCursors(this.#file))) this.#cursors.set(name, cursor);
  }

  get(name: string): Cursor | undefined {
    return this.#cursors.get(name);
  }

  set(name: string, cursor: Cursor): void {
    this.#cursors.set(name, cursor);
    this.#isChanged = true;
  }

  /** Writes what changed. @throws when the disk does not take it */
  save(): void {
    if (!this.#isChanged) return;
    const part = `${this.#file}.part`;
    const fd = openSync(part, 'w', 0o600);
    try {
      writeSync(fd, `${JSON.stringify({ format: FORMAT, sinks: Object.fromEntries(this.#cursors) })}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(part, this.#file);
    const folder = openSync(dirname(this.#file), 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
    this.#isChanged = false;
  }
}

/** The cursors of a data folder, also while a gateway runs on it. */
export function readCursors(file: string): Readonly<Record<string, Cursor>> {
  try {
    const read = JSON.parse(readFileSync(file, 'utf8')) as { format?: unknown; sinks?: Record<string, Cursor> };
    if (read.format !== FORMAT || typeof read.sinks !== 'object' || read.sinks === null) return {};
    return Object.fromEntries(Object.entries(read.sinks).filter(([, cursor]) => isCursor(cursor)));
  } catch {
    return {};
  }
}

const isCursor = (value: Cursor): boolean =>
  typeof value?.logId === 'string' &&
  Array.isArray(value.marks) &&
  value.marks.every((mark) => Array.isArray(mark) && Number.isSafeInteger(mark[0]) && typeof mark[1] === 'string');
