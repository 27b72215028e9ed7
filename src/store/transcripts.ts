// The folder of transcripts: sessions that are recorded, how much they may take, how long they are kept, and what a killed gateway left.
// A byte goes on to the caller or into the container once it is in the transcript, in the kernel at least.
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditHold } from '../audit/retention.ts';
import { NO_TERMINAL, SessionEvents, TERMINAL } from '../audit/transcript/events.ts';
import type {
  Recording,
  TranscriptFacts,
  TranscriptOf,
  TranscriptReader,
  Transcripts,
} from '../audit/transcript/transcript.ts';
import { GatewayError } from '../errors.ts';
import { isTranscriptWhole, readTranscript, TranscriptWriter, transcriptHead } from './transcript-file.ts';

export const TRANSCRIPTS = 'transcripts';
const ENDING = '.transcript';
/** Written pieces are on disk after this long at most, in ms, while more come. */
const SYNC_MS = 1000;
/** One identity has at most this part of the room. */
const SHARE = 4;
/** To make room for an identity its own transcripts are removed once they are this old, in ms. */
const OWN_MS = 7 * 86_400_000;
const LOOK_MS = 3_600_000;
/** So far over their size transcripts that are being written may be together, while others are removed. */
const OVERDRAWN = 1.25;

export interface TranscriptSetting {
  /** Transcripts older than this are removed, in ms. */
  readonly ageMs: number;
  /** The oldest are removed while all together are larger, in bytes. */
  readonly bytes: number;
  /** A session whose transcript grows larger is ended, in bytes. */
  readonly sessionBytes: number;
  readonly holds: readonly AuditHold[];
}

export interface TranscriptParts {
  readonly folder: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly setting: TranscriptSetting;
  /** Takes secrets out of a line. */
  hide(text: string): string;
  /** Milliseconds since the epoch. */
  now(): number;
  onRemoved(auditIds: readonly string[], why: 'age' | 'size'): void;
  /** A transcript that a killed gateway left was brought to its end. */
  onMended(auditId: string, facts: Pick<TranscriptFacts, 'sha256' | 'bytes'>): void;
  onFault(error: unknown, what: string): void;
}

interface Kept {
  readonly auditId: string;
  readonly subject: string;
  readonly container: readonly string[];
  readonly at: number;
  bytes: number;
  isOpen: boolean;
}

const unwritable = (why: string, cause?: unknown): GatewayError =>
  new GatewayError('transcript-unwritable', `a rule has this session recorded, and ${why}`, { cause });

export class TranscriptFolder implements Transcripts, TranscriptReader {
  readonly #parts: TranscriptParts;
  #setting: TranscriptSetting;
  readonly #kept = new Map<string, Kept>();
  /** Bytes of all, and of each identity's. */
  #total = 0;
  readonly #own = new Map<string, number>();
  readonly #live = new Set<LiveRecording>();
  #timer: ReturnType<typeof setInterval> | undefined;
  readonly #ready: Promise<void>;

  constructor(parts: TranscriptParts) {
    this.#parts = parts;
    this.#setting = parts.setting;
    this.#ready = this.#scan().catch((error: unknown) => parts.onFault(error, 'transcripts could not be looked at'));
    this.#timer = setInterval(() => void this.#lookAtAge(), LOOK_MS);
    this.#timer.unref();
  }

  apply(setting: TranscriptSetting): void {
    this.#setting = setting;
    void this.#ready.then(() => this.#lookAtAge());
  }

  async begin(of: TranscriptOf): Promise<Recording> {
    await this.#ready;
    await this.#makeRoom(of.subject);
    const { auditId, subject, tenant, container, at } = of;
    let writer: TranscriptWriter;
    try {
      writer = await TranscriptWriter.create(this.#pathOf(auditId), this.#parts.key, {
        ...{ auditId, subject, tenant, container, at },
      });
      await syncFolder(this.#parts.folder);
    } catch (error) {
      await rm(this.#pathOf(auditId), { force: true }).catch(() => undefined);
      throw unwritable('its transcript cannot be written', error);
    }
    const kept: Kept = { auditId, subject, container, at, bytes: 0, isOpen: true };
    this.#kept.set(auditId, kept);
    this.#count(kept, writer.bytes);
    const recording = new LiveRecording(of, writer, this.#parts, {
      mayGrow: (bytes) => this.#mayGrow(kept, bytes),
      ended: async (isEmpty) => {
        this.#live.delete(recording);
        kept.isOpen = false;
        if (!isEmpty) return;
        this.#forget(kept);
        await rm(this.#pathOf(auditId), { force: true }).catch(() => undefined);
      },
    });
    this.#live.add(recording);
    return recording;
  }

  resized(session: readonly string[], columns: number, rows: number): void {
    for (const one of this.#live) if (one.session.some((id) => session.includes(id))) one.resized(columns, rows);
  }

  async cast(auditId: string): Promise<AsyncGenerator<string>> {
    await this.#ready;
    if (!this.#kept.has(auditId))
      throw new GatewayError(
        'not-found',
        `there is no transcript of ${auditId.slice(0, 64)}: no rule had it recorded, or it was removed since`,
      );
    const path = this.#pathOf(auditId);
    const { head } = await transcriptHead(path);
    // Looked at before anything is answered: what was altered from the start is told as an error.
    const pieces = readTranscript(path, this.#parts.key);
    const first = await pieces.next();
    return castOf(head.at, first, pieces);
  }

  /** Ends what is still open: its sessions ended before. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#ready;
    await Promise.all([...this.#live].map((one) => one.end().catch(() => undefined)));
  }

  readonly #pathOf = (auditId: string): string => join(this.#parts.folder, `${auditId}${ENDING}`);

  /** Finds the transcripts, and ends those a killed gateway left open. */
  async #scan(): Promise<void> {
    const { folder, key } = this.#parts;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder)) {
      if (!name.endsWith(ENDING)) continue;
      const path = join(folder, name);
      try {
        const { head, bytes } = await transcriptHead(path);
        const { auditId, subject, container, at } = head;
        if (`${auditId}${ENDING}` !== name) throw new TypeError('its name is not that of its head');
        const kept = { auditId, subject, container, at, bytes: 0, isOpen: false };
        this.#kept.set(auditId, kept);
        this.#count(kept, bytes);
        if (!(await isTranscriptWhole(path, key))) this.#count(kept, (await this.#mend(auditId, path)) - bytes);
      } catch (error) {
        this.#parts.onFault(error, `the transcript ${name} cannot be read`);
      }
    }
    await this.#lookAtAge();
  }

  async #mend(auditId: string, path: string): Promise<number> {
    const writer = await TranscriptWriter.resume(path, this.#parts.key);
    try {
      await writer.write(
        Buffer.from(`${JSON.stringify([null, 'm', 'the gateway ended before the session did'])}\n`),
        true,
      );
      await writer.sync();
      this.#parts.onMended(auditId, { sha256: writer.digest(), bytes: writer.bytes });
      return writer.bytes;
    } finally {
      await writer.close();
    }
  }

  #isHeld({ subject, container }: Kept): boolean {
    return this.#setting.holds.some(({ by, value }) =>
      by === 'subject'
        ? value === subject
        : container.some((name) => value === `container/${name}` || isIdOf(value, name)),
    );
  }

  async #lookAtAge(): Promise<void> {
    const before = this.#parts.now() - this.#setting.ageMs;
    await this.#remove(
      [...this.#kept.values()].filter(({ at }) => at < before),
      'age',
    );
  }

  /** @throws {GatewayError} `transcript-unwritable` where there is none */
  async #makeRoom(subject: string): Promise<void> {
    const { bytes } = this.#setting;
    const now = this.#parts.now();
    const over = (this.#own.get(subject) ?? 0) - bytes / SHARE;
    if (over >= 0) {
      const own = this.#oldest().filter((one) => one.subject === subject && one.at < now - OWN_MS);
      await this.#remove(upTo(own, over), 'size');
      if ((this.#own.get(subject) ?? 0) >= bytes / SHARE)
        throw unwritable(`transcripts of ${subject} take a quarter of audit.transcripts.size already`);
    }
    await this.#makeTotalRoom();
    if (this.#total >= bytes) throw unwritable('transcripts take all of audit.transcripts.size');
  }

  async #makeTotalRoom(): Promise<void> {
    const over = this.#total - this.#setting.bytes;
    if (over >= 0) await this.#remove(upTo(this.#oldest(), over), 'size');
  }

  readonly #oldest = (): Kept[] => [...this.#kept.values()].sort((a, b) => a.at - b.at);

  #mayGrow(kept: Kept, bytes: number): void {
    const { sessionBytes, bytes: all } = this.#setting;
    if (bytes > sessionBytes) throw unwritable('its transcript is larger than audit.transcripts.session allows');
    const more = bytes - kept.bytes;
    if ((this.#own.get(kept.subject) ?? 0) + more > all / SHARE)
      throw unwritable(`transcripts of ${kept.subject} take a quarter of audit.transcripts.size`);
    if (this.#total + more > all) {
      // Others are removed meanwhile; where none may be, it cannot go on for long.
      void this.#makeTotalRoom();
      if (this.#total + more > all * OVERDRAWN) throw unwritable('transcripts take more than audit.transcripts.size');
    }
    this.#count(kept, more);
  }

  /** @param bytes so many more, or fewer */
  #count(kept: Kept, bytes: number): void {
    kept.bytes += bytes;
    this.#total += bytes;
    const own = (this.#own.get(kept.subject) ?? 0) + bytes;
    if (own <= 0) this.#own.delete(kept.subject);
    else this.#own.set(kept.subject, own);
  }

  #forget(kept: Kept): void {
    if (this.#kept.delete(kept.auditId)) this.#count(kept, -kept.bytes);
  }

  async #remove(these: readonly Kept[], why: 'age' | 'size'): Promise<void> {
    const removed: string[] = [];
    for (const one of these) {
      if (one.isOpen || this.#isHeld(one)) continue;
      try {
        await rm(this.#pathOf(one.auditId), { force: true });
        this.#forget(one);
        removed.push(one.auditId);
      } catch (error) {
        this.#parts.onFault(error, 'a transcript could not be removed');
      }
    }
    for (let at = 0; at < removed.length; at += 100) this.#parts.onRemoved(removed.slice(at, at + 100), why);
  }
}

/** The first of them, until as much is given back as is over. */
function upTo(these: readonly Kept[], over: number): Kept[] {
  let left = over;
  return these.filter((one) => {
    if (left < 0) return false;
    left -= one.bytes;
    return true;
  });
}

const isIdOf = (value: string, id: string): boolean =>
  /^container\/[0-9a-f]{12,64}$/.test(value) && id.startsWith(value.slice('container/'.length));

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

type Piece = IteratorResult<Buffer, boolean>;

/** Lines of an asciicast v2: its head, then events. */
async function* castOf(at: number, first: Piece, pieces: AsyncGenerator<Buffer, boolean>): AsyncGenerator<string> {
  let size: readonly [number, number] = [80, 24];
  let isTerminal = true;
  let seconds = 0;
  let isBegun = false;
  for (let piece = first; ; piece = await pieces.next()) {
    const lines =
      piece.done === true
        ? []
        : piece.value
            .toString('utf8')
            .split('\n')
            .filter((line) => line !== '');
    let text = '';
    for (const line of lines) {
      const [when, kind, what] = JSON.parse(line) as [number | null, string, string];
      seconds = when ?? seconds;
      if (kind === 'm' && (what === TERMINAL || what === NO_TERMINAL)) {
        isTerminal = what === TERMINAL;
        continue;
      }
      if (!isBegun && kind === 'r') {
        const [columns = 80, rows = 24] = what.split('x').map(Number);
        size = [columns, rows];
      }
      if (!isBegun) {
        isBegun = true;
        yield headLine(size, at, isTerminal);
      }
      // Without a terminal there was nothing that made a line feed go back to the first column.
      const shown = isTerminal || kind === 'i' || kind === 'm' ? what : what.replace(/\r?\n/g, '\r\n');
      text += `${JSON.stringify([seconds, kind === 'e' ? 'o' : kind, shown])}\n`;
    }
    if (text !== '') yield text;
    if (piece.done !== true) continue;
    if (!isBegun) yield headLine(size, at, isTerminal);
    return;
  }
}

const headLine = ([width, height]: readonly [number, number], at: number, isTerminal: boolean): string =>
  `${JSON.stringify({ version: 2, width, height, timestamp: Math.floor(at / 1000), ...(isTerminal ? {} : { title: NO_TERMINAL }) })}\n`;

interface Room {
  /** @throws {GatewayError} */
  mayGrow(bytes: number): void;
  ended(isEmpty: boolean): Promise<void>;
}

class LiveRecording implements Recording {
  readonly session: readonly string[];
  readonly #writer: TranscriptWriter;
  readonly #events: SessionEvents;
  readonly #room: Room;
  #waiting = '';
  #isEmpty = true;
  #busy: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #fault: unknown;
  #end: Promise<TranscriptFacts | undefined> | undefined;
  #syncedAt = 0;

  constructor(of: TranscriptOf, writer: TranscriptWriter, parts: TranscriptParts, room: Room) {
    const begun = performance.now();
    this.session = of.session;
    this.#writer = writer;
    this.#room = room;
    this.#events = new SessionEvents({
      tty: of.tty,
      keepsInput: of.keeps === 'all',
      hide: (text) => parts.hide(text),
      seconds: () => (performance.now() - begun) / 1000,
    });
    if (of.tty !== undefined) this.began(of.tty);
  }

  began(tty: boolean | undefined): void {
    if (tty === undefined || !this.#isEmpty) return;
    this.#events.began(tty);
    this.#waiting = `${JSON.stringify([0, 'm', tty ? TERMINAL : NO_TERMINAL])}\n${this.#waiting}`;
  }

  see(direction: 'in' | 'out', bytes: Uint8Array): Promise<void> {
    if (this.#end !== undefined) return Promise.reject(unwritable('its transcript has ended'));
    this.#isEmpty = false;
    this.#waiting += direction === 'out' ? this.#events.output(bytes) : this.#events.input(bytes);
    return this.#flush();
  }

  resized(columns: number, rows: number): void {
    if (this.#end !== undefined) return;
    this.#waiting += this.#events.resize(columns, rows);
    void this.#flush().catch(() => undefined);
  }

  end(): Promise<TranscriptFacts | undefined> {
    this.#end ??= this.#finish();
    return this.#end;
  }

  /** What came while a piece was written goes out with the next one. */
  #flush(): Promise<void> {
    if (this.#busy === undefined) {
      this.#busy = this.#write().finally(() => {
        this.#busy = undefined;
      });
      return this.#busy;
    }
    this.#next ??= this.#busy
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#flush();
      });
    return this.#next;
  }

  async #write(): Promise<void> {
    if (this.#fault !== undefined) throw this.#fault;
    const text = this.#waiting;
    if (text === '') return;
    this.#waiting = '';
    try {
      const bytes = Buffer.from(text);
      this.#room.mayGrow(this.#writer.bytes + bytes.length);
      await this.#writer.write(bytes);
      const now = performance.now();
      if (now - this.#syncedAt < SYNC_MS) return;
      await this.#writer.sync();
      this.#syncedAt = performance.now();
    } catch (error) {
      this.#fault =
        error instanceof GatewayError ? error : unwritable('its transcript cannot be written further', error);
      throw this.#fault;
    }
  }

  async #finish(): Promise<TranscriptFacts | undefined> {
    await (this.#next ?? this.#busy)?.catch(() => undefined);
    await this.#busy?.catch(() => undefined);
    const { typed } = this.#events;
    try {
      if (this.#isEmpty) return undefined;
      // Pieces written so far are kept, also where no more could be written.
      const rest = this.#fault === undefined ? this.#waiting + this.#events.end() : '';
      await this.#writer.write(Buffer.from(rest), true);
      await this.#writer.sync();
      return { sha256: this.#writer.digest(), bytes: this.#writer.bytes, commands: typed.commands, more: typed.more };
    } catch (error) {
      if (this.#fault !== undefined)
        return { sha256: this.#writer.digest(), bytes: this.#writer.bytes, commands: typed.commands, more: typed.more };
      throw unwritable('its transcript cannot be brought to its end', error);
    } finally {
      await this.#writer.close().catch(() => undefined);
      await this.#room.ended(this.#isEmpty);
    }
  }
}

/** Whether there is a file of a transcript, and its SHA-256: for who verifies a log. */
export async function transcriptDigest(folder: string, auditId: string): Promise<string | undefined> {
  const { createHash } = await import('node:crypto');
  const { createReadStream } = await import('node:fs');
  const path = join(folder, `${auditId}${ENDING}`);
  const there = await stat(path).catch(() => undefined);
  if (there === undefined) return undefined;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
