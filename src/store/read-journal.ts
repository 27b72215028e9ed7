// What was acknowledged before the disk had it: rows of calls that only read, written to a file (the kernel has them then) until
// audit.db holds them on disk, some milliseconds later. A process that is killed loses none of them: the next start takes them over.
// Two files in turn: while the rows of one go into audit.db, new ones go into the other. It holds nothing else; what changes
// anything waits for the disk. Synchronous, on the main thread: a write of some hundred bytes to the page cache.
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { crc32 } from 'node:zlib';

/** Beside audit.db: `audit.db-reads0`, `audit.db-reads1`. */
const SUFFIXES = ['-reads0', '-reads1'] as const;
/** One file at most; beyond, calls wait for the disk. Backups copy files of up to this size. In bytes. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Longest row kept, in bytes; longer ones wait for the disk. */
const MAX_ROW_BYTES = 64 * 1024;
/** `DGR1`, CRC-32 of what follows it, bytes of text, number within the file, generation of the file (ms since the epoch, and a random part). */
const HEAD_BYTES = 24;
const MAGIC = 0x31524744;

/** One of the two files, as the rows in it know it. */
export interface JournalFile {
  readonly path: string;
  readonly fd: number;
  readonly inode: number;
  generation: number;
  frames: number;
  size: number;
  /** Rows in it that audit.db does not hold yet. */
  rows: number;
}

export class ReadJournal {
  readonly #auditFile: string;
  readonly #logId: string;
  #inode: number;
  #isReplaced = false;
  /** The path named the log's file since the last turn. */
  #isSeen = false;
  readonly #files: (JournalFile | undefined)[] = [undefined, undefined];
  #active = 0;
  #generation = 0;
  readonly #frame = Buffer.allocUnsafeSlow(2 * HEAD_BYTES + 256 + MAX_ROW_BYTES);

  /** @param auditFile an audit.db that is there, and whose journal was taken over @param logId the id the log has in it */
  constructor(auditFile: string, logId: string) {
    this.#auditFile = auditFile;
    this.#logId = logId;
    this.#inode = statSync(auditFile).ino;
  }

  /**
   * Writes one row.
   *
   * @returns the file it is in, to be given to `stored`; undefined where it cannot be kept, and the call has to wait for the disk
   */
  keep(line: string): JournalFile | undefined {
    // Another file in its place: the writer says what that means.
    if (this.#isReplaced || line.length * 3 > MAX_ROW_BYTES) return undefined;
    try {
      if (!this.#isSeen && statSync(this.#auditFile).ino !== this.#inode) {
        this.#isReplaced = true;
        return undefined;
      }
      this.#isSeen = true;
      const file = this.#files[this.#active] ?? this.#open();
      let length = 0;
      if (file.frames === 0) {
        this.#generation = Math.max(Date.now(), this.#generation + 1);
        file.generation = this.#generation + Math.random() / 2;
        length = this.#encode(0, 0, file.generation, JSON.stringify({ log: this.#logId }));
      }
      const index = Math.max(1, file.frames);
      length += this.#encode(length, index, file.generation, line);
      if (file.size + length > MAX_FILE_BYTES) return undefined;
      if (writeSync(file.fd, this.#frame, 0, length, file.size) !== length) return undefined;
      file.size += length;
      file.frames = index + 1;
      file.rows++;
      return file;
    } catch {
      return undefined;
    }
  }

  /** The rows kept so far go to audit.db: new rows go to the other file, where that is free. */
  turn(): void {
    this.#isSeen = false;
    const other = this.#files[1 - this.#active];
    if ((this.#files[this.#active]?.rows ?? 0) > 0 && (other === undefined || other.rows === 0))
      this.#active = 1 - this.#active;
  }

  /** audit.db holds a row of a file on disk. */
  stored(file: JournalFile): void {
    file.rows--;
    if (file.rows > 0) return;
    file.size = 0;
    file.frames = 0;
    try {
      ftruncateSync(file.fd, 0);
      if (fileThere(file)) return;
    } catch {
      // a new one then
    }
    const at = this.#files.indexOf(file);
    if (at >= 0) this.#files[at] = undefined;
    closeQuietly(file.fd);
  }

  /** The writer took rows: the file at the log's path is the one it writes. */
  written(): void {
    if (!this.#isReplaced) return;
    try {
      this.#inode = statSync(this.#auditFile).ino;
      this.#isReplaced = false;
    } catch {
      // calls go on waiting for the disk
    }
  }

  /** Files without rows go; others are taken over by the next start. */
  close(): void {
    for (const file of this.#files) {
      if (file === undefined) continue;
      if (file.rows === 0 && fileThere(file)) rmSync(file.path, { force: true });
      closeQuietly(file.fd);
    }
    this.#files.fill(undefined);
  }

  #open(): JournalFile {
    const path = `${this.#auditFile}${SUFFIXES[this.#active]}`;
    const fd = openSync(path, 'w', 0o600);
    const file = { path, fd, inode: fstatSync(fd).ino, generation: 0, frames: 0, size: 0, rows: 0 };
    this.#files[this.#active] = file;
    return file;
  }

  #encode(at: number, index: number, generation: number, text: string): number {
    const frame = this.#frame;
    const length = frame.write(text, at + HEAD_BYTES);
    frame.writeUInt32LE(MAGIC, at);
    frame.writeUInt32LE(length, at + 8);
    frame.writeUInt32LE(index, at + 12);
    frame.writeDoubleLE(generation, at + 16);
    const end = at + HEAD_BYTES + length;
    frame.writeUInt32LE(crc32(frame.subarray(at + 8, end)), at + 4);
    return end - at;
  }
}

/** What a process that was killed had acknowledged. */
export interface LeftBehind {
  /** Rows, oldest first. */
  readonly lines: readonly string[];
  /** Files of another log, moved aside: its rows belong to that one. */
  readonly foreign: readonly string[];
  /** Removes the files: audit.db holds their rows on disk. */
  taken(): void;
}

/**
 * Reads the rows left in a journal: whole ones up to the first torn one.
 *
 * @param logId of the log beside it
 * @throws the system's error where a file is there and cannot be read
 */
export function leftBehind(auditFile: string, logId: string): LeftBehind {
  const found: { path: string; generation: number; lines: string[] }[] = [];
  const foreign: string[] = [];
  for (const suffix of SUFFIXES) {
    const path = `${auditFile}${suffix}`;
    const bytes = readIfThere(path);
    if (bytes === undefined) continue;
    const { log, generation, lines } = framesOf(bytes);
    if (log !== undefined && log !== logId && lines.length > 0) {
      const aside = `${path}.${log.replace(/[^0-9a-f-]/gi, '').slice(0, 36)}-${generation}`;
      renameSync(path, aside);
      foreign.push(aside);
      continue;
    }
    found.push({ path, generation, lines });
  }
  found.sort((a, b) => a.generation - b.generation);
  return {
    lines: found.flatMap(({ lines }) => lines),
    foreign,
    taken() {
      for (const { path } of found) rmSync(path, { force: true });
    },
  };
}

/** Rows a process that was killed acknowledged and audit.db may not hold yet, for readers of a log no gateway has open. */
export const waitingReads = (auditFile: string): number =>
  SUFFIXES.reduce((count, suffix) => {
    const bytes = readIfThere(`${auditFile}${suffix}`);
    return count + (bytes === undefined ? 0 : framesOf(bytes).lines.length);
  }, 0);

function framesOf(bytes: Buffer): { log: string | undefined; generation: number; lines: string[] } {
  const lines: string[] = [];
  let log: string | undefined;
  let generation = 0;
  let count = 0;
  for (let at = 0; at + HEAD_BYTES <= bytes.length; count++) {
    const end = at + HEAD_BYTES + bytes.readUInt32LE(at + 8);
    const isWhole =
      bytes.readUInt32LE(at) === MAGIC &&
      bytes.readUInt32LE(at + 12) === count &&
      (count === 0 || bytes.readDoubleLE(at + 16) === generation) &&
      end <= bytes.length &&
      crc32(bytes.subarray(at + 8, end)) === bytes.readUInt32LE(at + 4);
    if (!isWhole) break;
    generation = bytes.readDoubleLE(at + 16);
    const text = bytes.toString('utf8', at + HEAD_BYTES, end);
    if (count === 0) log = (JSON.parse(text) as { log: string }).log;
    else lines.push(text);
    at = end;
  }
  return { log, generation, lines };
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
}

function fileThere({ path, inode }: JournalFile): boolean {
  try {
    return statSync(path).ino === inode;
  } catch {
    return false;
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // the process lets go of it in the end
  }
}
