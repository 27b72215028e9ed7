// Group commit in front of the audit's writer: what is recorded while one group is being written forms the next one.
// No timer, no fixed delay. A call is told of success when its row is on disk; one that only reads may be told once its row is in
// the read journal, from where it gets to the disk within milliseconds. Where its outcome comes before that, both become one row.
import { randomUUID } from 'node:crypto';
import type { AuditEvent, Kept, SealingRecorder } from '../audit/event.ts';
import { GatewayError } from '../errors.ts';
import { AuditLog } from './audit-log.ts';
import { encodeEvent, type Place, wholeCall } from './audit-row.ts';
import type { SealerEvents } from './audit-sealer.ts';
import { type Answer, AuditThread, auditThreadFor, MAX_TEXT_BYTES } from './audit-thread.ts';
import { openDatabase } from './database.ts';
import { encodeLedger } from './ledger-table.ts';
import { type JournalFile, leftBehind, ReadJournal } from './read-journal.ts';

export interface RecorderOptions {
  /** Calls that may wait for their row. Beyond, calls are refused. Default 10 000; outcomes may fill as much again. */
  readonly maxQueue?: number;
  /**
   * `worker` (default) waits for the disk in a thread of its own. `inline` waits in the caller's: it is a little quicker
   * for one caller at a time and stops everything else meanwhile; for short programs and comparison.
   */
  readonly thread?: 'worker' | 'inline';
  /** What every first row and every row of the gateway's own says of where it was made. */
  readonly place?: Place;
  /** Takes secrets out of a row of the stage `gateway`; rows of calls come without any. */
  readonly maskRow?: (event: AuditEvent) => AuditEvent;
  /** Told how many calls of an earlier process were closed as unknown. */
  readonly onOrphans?: (count: number) => void;
  /** `durable`: every row is on disk before its call goes on, those of calls that only read too. Default `written`. */
  readonly reads?: 'written' | 'durable';
  /** Told of files with rows that belong to another log, and where they are now. */
  readonly onForeign?: (files: readonly string[]) => void;
  /** Told of checkpoints once they are on disk, of a new key, and of what keeps the log from being signed. */
  readonly seals?: SealerEvents;
}

const DEFAULT_MAX_QUEUE = 10_000;
/** Rows in one transaction: more make the wait of the first one longer without making rows cheaper. */
const MAX_GROUP = 512;
/**
 * Rows without a waiting call leave with the next group that has one, or after this long, in ms: a commit costs a wait for
 * the disk, and a caller's next intent must not queue behind the outcome of the call before. A crash in between leaves the
 * call without an outcome, which the next start tells.
 */
const LAZY_MS = 10;
/** So many of them leave at once. */
const LAZY_ROWS = 384;
/**
 * What a power cut may take of reads, in ms: while the oldest row of the read journal is not on disk for longer than this, further
 * reads wait for the disk like all other calls.
 */
const MAX_LAG_MS = 50;
/**
 * A read's row waits for the outcome of its call for so long, in ms; then it goes without. Together with LAZY_MS and a slow commit it
 * stays below MAX_LAG_MS.
 */
const HOLD_MS = 10;
/** Outcomes that could not be written are tried again after this long, in ms, if no call comes earlier. */
const RETRY_MS = 1000;
/** A disk that has not answered for this long counts as one that does not: waiting calls are refused. */
const STUCK_MS = 15_000;
const LOOK_MS = 1000;

interface Waiting {
  readonly line: string;
  /** Both undefined for rows without a waiting call. */
  readonly resolve?: () => void;
  readonly reject?: (error: GatewayError) => void;
  /** Acknowledged already: where it is until it is on disk. */
  readonly kept?: { readonly file: JournalFile; readonly since: number };
}

/** The first row of a read, in the journal, whose outcome is not known yet. */
interface Held {
  readonly event: AuditEvent;
  readonly line: string;
  readonly kept: NonNullable<Waiting['kept']>;
}

/** The event's line, and behind it what changes in the ledger with it. */
const encodeLines = (given: AuditEvent, { place, maskRow }: RecorderOptions): string => {
  const event = given.stage === 'gateway' && maskRow !== undefined ? maskRow(given) : given;
  return event.ledger === undefined || event.ledger.length === 0
    ? encodeEvent(event, place)
    : `${encodeEvent(event, place)}\n${encodeLedger(event.ledger)}`;
};

/** What the recorder writes with: a thread, or the log itself. */
interface Writer {
  readonly dead: boolean;
  write(text: string, again: boolean, answer: (answer: Answer) => void): void;
  closeOrphans(at: number, answer: (answer: Answer) => void): void;
  sign(answer: (answer: Answer) => void): void;
  anchor(seq: number, answer: (answer: Answer) => void): void;
  remove(seq: number, answer: (answer: Answer) => void): void;
  close(): Promise<void>;
}

/**
 * Opens the audit log: migrates it, closes calls an earlier process left open, and starts its writer.
 *
 * @throws {GatewayError} `store-corrupt`, `store-newer`, `audit-unwritable`
 */
export async function openRecorder(file: string, options: RecorderOptions = {}): Promise<SealingRecorder> {
  const logId = openLog(file);
  const isInline = options.thread === 'inline';
  let ready: Writer | undefined = isInline ? undefined : await auditThreadFor(file);
  const open = (): Writer => {
    const writer = ready ?? (isInline ? new InlineWriter(file, options.seals) : new AuditThread(file));
    ready = undefined;
    if (writer instanceof AuditThread) writer.events = options.seals ?? {};
    return writer;
  };
  const journal = options.reads === 'durable' ? undefined : new ReadJournal(file, logId);
  const recorder = new GroupRecorder(open, options.maxQueue ?? DEFAULT_MAX_QUEUE, journal, options);
  try {
    const left = readLeftBehind(file, logId);
    // Before readers open the log, and before calls without an outcome are looked for: they may be among these.
    await recorder.takeOver(left.lines);
    left.taken();
    if (left.foreign.length > 0) options.onForeign?.(left.foreign);
    const count = await recorder.closeOrphans(Date.now() * 1000);
    options.onOrphans?.(count);
  } catch (error) {
    await recorder.close().catch(() => undefined);
    throw error;
  }
  return recorder;
}

/** Migrates the log and gives it its id where it has none. @returns the id */
function openLog(file: string): string {
  const { sqlite } = openDatabase(file, 'audit');
  try {
    sqlite.prepare("INSERT OR IGNORE INTO audit_meta (key, value) VALUES ('log-id', ?)").run(randomUUID());
    return sqlite.prepare("SELECT value FROM audit_meta WHERE key = 'log-id'").pluck().get() as string;
  } finally {
    sqlite.close();
  }
}

function readLeftBehind(file: string, logId: string) {
  try {
    return leftBehind(file, logId);
  } catch (cause) {
    throw new GatewayError(
      'audit-unwritable',
      `the rows that a killed gateway left in ${file}-reads0 and ${file}-reads1 cannot be read (${messageOf(cause)}): ` +
        'mend the disk, or move these files to another place, which loses the last reads of that gateway',
      { cause },
    );
  }
}

class GroupRecorder implements SealingRecorder {
  readonly #open: () => Writer;
  readonly #maxQueue: number;
  readonly #options: RecorderOptions;
  #queue: Waiting[] = [];
  #group: readonly Waiting[] | undefined;
  #writingSince = 0;
  #scheduled = false;
  /** A call waits for a row in the queue. */
  #urgent = false;
  #lazy: NodeJS.Timeout | undefined;
  /** The last group had one row that a call waited for. */
  #isAlone = true;
  #healthy = true;
  #closing: Promise<void> | undefined;
  /** Called once nothing is left to write, or nothing more can be written. */
  #onSettled: { readonly through: number; readonly resolve: () => void }[] = [];
  /** Called as soon as no group is with the writer. */
  #resting: (() => void)[] = [];
  #writer: Writer | undefined;
  /** The rows in front may be stored already: their writer died. */
  #again = false;
  /** Outcomes that found no place to wait. */
  #lost = 0;
  #retry: NodeJS.Timeout | undefined;
  readonly #look: NodeJS.Timeout;
  readonly #journal: ReadJournal | undefined;
  /** Since when the oldest row of the journal waits: in the queue, and with the writer. */
  #keptSince: number | undefined;
  #keptInGroup: number | undefined;
  /** Reads under way whose first row is in the journal alone, by audit id, oldest first. */
  readonly #held = new Map<string, Held>();
  /** Rows ever queued, and those of them that need not be waited for any more. */
  #queued = 0;
  #settledRows = 0;

  constructor(open: () => Writer, maxQueue: number, journal: ReadJournal | undefined, options: RecorderOptions) {
    this.#options = options;
    this.#open = open;
    this.#maxQueue = maxQueue;
    this.#journal = journal;
    this.#look = setInterval(() => this.#refuseIfStuck(), LOOK_MS);
    this.#look.unref();
  }

  get healthy(): boolean {
    return this.#healthy;
  }

  record(event: AuditEvent, kept: Kept = 'on-disk'): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(unwritable('it is closed'));
    if (this.#queue.length + this.#held.size >= this.#maxQueue)
      return Promise.reject(unwritable('too many rows wait to be written'));
    this.#letGo(event.auditId);
    let line: string;
    try {
      line = encodeLines(event, this.#options);
    } catch (error) {
      return Promise.reject(unwritable(messageOf(error), error));
    }
    if (kept === 'by-kernel' && this.#keep(line, event)) return KEPT;
    return new Promise((resolve, reject) => {
      this.#push({ line, resolve, reject });
      this.#urgent = true;
      this.#schedule();
    });
  }

  /** @returns false where the row has to be on disk first */
  #keep(line: string, event: AuditEvent): boolean {
    if (this.#journal === undefined || !this.#healthy || this.#again || (event.ledger?.length ?? 0) > 0) return false;
    const now = performance.now();
    const oldest = this.#keptInGroup ?? this.#keptSince;
    if (oldest !== undefined && now - oldest > MAX_LAG_MS) return false;
    const file = this.#journal.keep(line);
    if (file === undefined) return false;
    this.#keptSince ??= now;
    const kept = { file, since: now };
    if (event.stage === 'intent') this.#held.set(event.auditId, { event, line, kept });
    else this.#push({ line, kept });
    this.#scheduleLazily();
    return true;
  }

  /** The first row of a call goes on its own. */
  #letGo(auditId: string): void {
    const held = this.#held.get(auditId);
    if (held === undefined) return;
    this.#held.delete(auditId);
    this.#push({ line: held.line, kept: held.kept });
  }

  /** So do those kept before a time. */
  #letGoBefore(time: number): void {
    for (const [auditId, { kept }] of this.#held) {
      if (kept.since > time) return;
      this.#letGo(auditId);
    }
  }

  /** @returns false where the outcome is a row of its own */
  #joins(outcome: AuditEvent): boolean {
    const held = this.#held.get(outcome.auditId);
    if (held === undefined) return false;
    const whole = wholeCall(held.event, outcome, this.#options.place);
    if (whole === undefined) return false;
    const line = encodeLines(whole, this.#options);
    this.#held.delete(outcome.auditId);
    this.#push({ line, kept: held.kept });
    return true;
  }

  #push(waiting: Waiting): void {
    this.#queue.push(waiting);
    this.#queued++;
  }

  append(event: AuditEvent): void {
    let line: string;
    try {
      if (this.#joins(event)) {
        this.#scheduleLazily();
        return;
      }
      this.#letGo(event.auditId);
      line = encodeLines(event, this.#options);
    } catch {
      this.#healthy = false;
      return;
    }
    if (this.#closing !== undefined || this.#queue.length >= 2 * this.#maxQueue) {
      // The call's intent is on disk; its outcome is lost, and the next start says so.
      this.#healthy = false;
      this.#lost++;
      return;
    }
    this.#push({ line });
    this.#scheduleLazily();
  }

  async atRest<T>(work: () => T): Promise<T> {
    // All acknowledged rows are in the log then.
    if (this.#keptSince !== undefined) await this.settle();
    return await new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      };
      if (this.#group === undefined) run();
      else this.#resting.push(run);
    });
  }

  async settle(): Promise<void> {
    this.#letGoBefore(Number.POSITIVE_INFINITY);
    if (this.#queue.length === 0 && this.#group === undefined) return;
    const through = this.#queued;
    await new Promise<void>((resolve) => {
      this.#onSettled.push({ through, resolve });
      this.#schedule();
    });
  }

  /** Writes rows an earlier process left in its journal; those that are stored already are left out. */
  async takeOver(lines: readonly string[]): Promise<void> {
    let text = '';
    const write = (): Promise<void> =>
      new Promise((resolve, reject) => {
        this.#writerNow().write(text, true, ({ failure }) => {
          if (failure === undefined) resolve();
          else reject(unwritable(failure));
        });
      });
    for (const line of lines) {
      if (text !== '' && (text.length + line.length + 1) * 3 > MAX_TEXT_BYTES) {
        await write();
        text = '';
      }
      text = text === '' ? line : `${text}\n${line}`;
    }
    if (text !== '') await write();
  }

  closeOrphans(at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#writerNow().closeOrphans(at, ({ failure, number }) => {
        if (failure === undefined) resolve(number);
        else reject(unwritable(failure));
      });
    });
  }

  async checkpoint(): Promise<string | undefined> {
    await this.settle();
    const note = await this.#seal((writer, answer) => writer.sign(answer));
    return note === '' ? undefined : note;
  }

  anchor(seq: number): Promise<string> {
    return this.#seal((writer, answer) => writer.anchor(seq, answer));
  }

  async remove(seq: number): Promise<void> {
    await this.#seal((writer, answer) => writer.remove(seq, answer));
  }

  /** Asks the writer for something that is no group of rows, when it has no group. */
  #seal(work: (writer: Writer, answer: (answer: Answer) => void) => void): Promise<string> {
    return new Promise((resolve, reject) => {
      const ask = (): void => {
        if (this.#closing !== undefined) reject(new GatewayError('shutting-down', 'the gateway is stopping'));
        else if (this.#group !== undefined) this.#resting.push(ask);
        else this.#ask(work, resolve, reject);
      };
      ask();
    });
  }

  /** Rows wait meanwhile, as they do for a group. */
  #ask(
    work: (writer: Writer, answer: (answer: Answer) => void) => void,
    resolve: (text: string) => void,
    reject: (error: GatewayError) => void,
  ): void {
    this.#group = [];
    this.#writingSince = performance.now();
    const answered = ({ failure, text }: Answer): void => {
      this.#group = undefined;
      for (const run of this.#resting.splice(0)) run();
      if (this.#queue.length > 0) this.#schedule();
      else if (this.#group === undefined) this.#settled(this.#queued);
      if (failure === undefined) resolve(text);
      else reject(new GatewayError('conflict', `the audit log cannot be signed: ${failure.replace(/^Error: /, '')}`));
    };
    try {
      work(this.#writerNow(), answered);
    } catch (error) {
      answered({ failure: messageOf(error), number: 0, text: '', died: false });
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.settle();
    clearInterval(this.#look);
    clearTimeout(this.#lazy);
    clearTimeout(this.#retry);
    await this.#writer?.close();
    this.#journal?.close();
    const lost = this.#queue.filter(({ kept }) => kept === undefined).length;
    for (const { reject } of this.#queue.splice(0)) reject?.(unwritable('the gateway is stopping'));
    if (lost > 0) throw unwritable(`${lost} rows were still to be written when it was closed`);
  }

  /**
   * A call on its own does not wait. Among others, the group leaves once all requests of this turn of the event loop
   * have queued their rows: one wait for the disk instead of two.
   */
  #schedule(): void {
    if (this.#scheduled || this.#group !== undefined) return;
    this.#scheduled = true;
    const flush = (): void => {
      this.#scheduled = false;
      this.#flush();
    };
    if (this.#isAlone) queueMicrotask(flush);
    else setImmediate(flush);
  }

  #scheduleLazily(): void {
    if (this.#scheduled || this.#group !== undefined) return;
    if (this.#queue.length >= LAZY_ROWS) {
      this.#schedule();
      return;
    }
    this.#lazy ??= setTimeout(() => {
      this.#lazy = undefined;
      this.#flush();
    }, LAZY_MS);
  }

  /** @param through rows up to this one are written, or given up */
  #settled(through: number): void {
    while ((this.#onSettled[0]?.through ?? Number.POSITIVE_INFINITY) <= through) this.#onSettled.shift()?.resolve();
  }

  #writerNow(): Writer {
    if (this.#writer === undefined || this.#writer.dead) this.#writer = this.#open();
    return this.#writer;
  }

  #flush(): void {
    if (this.#group !== undefined) return;
    if (this.#held.size > 0) this.#letGoBefore(performance.now() - HOLD_MS);
    if (this.#queue.length === 0) {
      if (this.#held.size > 0) this.#scheduleLazily();
      return;
    }
    let text = '';
    let count = 0;
    for (const { line } of this.#queue) {
      // A character takes at most three bytes; the longest line fits alone.
      if (count > 0 && (count === MAX_GROUP || (text.length + line.length + 1) * 3 > MAX_TEXT_BYTES)) break;
      text = count === 0 ? line : `${text}\n${line}`;
      count++;
    }
    const group = count === this.#queue.length ? this.#queue : this.#queue.slice(0, count);
    this.#queue = count === this.#queue.length ? [] : this.#queue.slice(count);
    this.#urgent = this.#queue.some(isAwaited);
    this.#group = group;
    this.#keptInGroup = this.#keptSince;
    this.#keptSince = this.#oldestKept();
    this.#journal?.turn();
    this.#isAlone = count <= 2;
    this.#writingSince = performance.now();
    const answered = ({ failure, died }: Answer): void => {
      this.#group = undefined;
      for (const run of this.#resting.splice(0)) run();
      if (failure === undefined) this.#written(group);
      else this.#refused(group, failure, died);
    };
    try {
      this.#writerNow().write(text, this.#again, answered);
    } catch (error) {
      answered({ failure: messageOf(error), number: 0, text: '', died: false });
    }
  }

  #oldestKept(): number | undefined {
    // Held ones are in order; a row that waited for its outcome may stand behind younger ones.
    let oldest = this.#held.values().next().value?.kept.since ?? Number.POSITIVE_INFINITY;
    for (const { kept } of this.#queue) if (kept !== undefined && kept.since < oldest) oldest = kept.since;
    return oldest === Number.POSITIVE_INFINITY ? undefined : oldest;
  }

  #written(group: readonly Waiting[]): void {
    this.#healthy = true;
    this.#again = false;
    this.#settledRows += group.length;
    this.#keptInGroup = undefined;
    for (const { kept } of group) if (kept !== undefined) this.#journal?.stored(kept.file);
    this.#journal?.written();
    if (this.#lost > 0) this.#tellLost();
    // Scheduled before the callers of this group go on: a call on its own never waits for what they do next.
    this.#settled(this.#settledRows);
    if (this.#queue.length === 0) this.#settled(this.#queued);
    else if (this.#urgent || this.#onSettled.length > 0) this.#schedule();
    else this.#scheduleLazily();
    for (const { resolve } of group) resolve?.();
  }

  #refused(group: readonly Waiting[], failure: string, died: boolean): void {
    this.#healthy = false;
    this.#again ||= died;
    const error = unwritable(failure);
    for (const { reject } of group) reject?.(error);
    // Outcomes wait for a disk that works, in front of later rows.
    const kept = group.filter((w) => w.reject === undefined);
    if (kept.length > 0) this.#queue = [...kept, ...this.#queue];
    this.#settledRows += group.length - kept.length;
    this.#keptSince = this.#keptInGroup ?? this.#keptSince;
    this.#keptInGroup = undefined;
    this.#settled(this.#queued);
    if (this.#closing !== undefined) return;
    if (this.#queue.some(isAwaited)) this.#schedule();
    else if (this.#queue.length > 0 && this.#retry === undefined) {
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        this.#flush();
      }, RETRY_MS);
      this.#retry.unref();
    }
  }

  /** A hole in the log is itself worth a row. */
  #tellLost(): void {
    const rows = this.#lost;
    this.#lost = 0;
    this.#push({
      line: encodeEvent(
        {
          at: Date.now() * 1000,
          stage: 'gateway',
          auditId: randomUUID(),
          action: 'audit.lost',
          decision: 'error',
          code: 'audit-unwritable',
          detail: { message: 'outcomes were not written while the log could not be', rows },
        },
        this.#options.place,
      ),
    });
  }

  /** The writer waits for the disk and cannot be hurried: calls that wait for the writer are let go. */
  #refuseIfStuck(): void {
    if (this.#group === undefined || performance.now() - this.#writingSince < STUCK_MS) return;
    this.#healthy = false;
    const error = unwritable('the disk does not answer');
    for (const { reject } of this.#group) reject?.(error);
    for (const { reject } of this.#queue) reject?.(error);
    const left = this.#queue.filter((w) => w.reject === undefined);
    this.#settledRows += this.#queue.length - left.length;
    this.#queue = left;
  }
}

const KEPT = Promise.resolve();
const isAwaited = (waiting: Waiting): boolean => waiting.reject !== undefined;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What operators know a fault by, for the codes SQLite gives. */
function reasonOf(failure: string): string {
  if (failure.startsWith('SQLITE_FULL')) return 'the disk is full';
  if (failure.startsWith('SQLITE_CORRUPT') || failure.startsWith('SQLITE_NOTADB')) return 'the file is damaged';
  const code = /^SQLITE_[A-Z_]+/.exec(failure)?.[0];
  return code === undefined ? failure.slice(0, 200) : `the disk or its file gives an error, ${code}`;
}

const unwritable = (failure: string, cause?: unknown): GatewayError =>
  new GatewayError(
    'audit-unwritable',
    `the audit log cannot be written, so the call is refused (${reasonOf(failure)})`,
    {
      cause: cause ?? failure,
    },
  );

/** The log without a thread: the group is what was queued in one turn of the event loop. */
class InlineWriter implements Writer {
  readonly dead = false;
  readonly #file: string;
  readonly #events: SealerEvents | undefined;
  #log: AuditLog | undefined;

  constructor(file: string, events?: SealerEvents) {
    this.#file = file;
    this.#events = events;
  }

  write(text: string, again: boolean, answer: (answer: Answer) => void): void {
    setImmediate(() => {
      this.#answer(answer, (log) => {
        log.write(text.split('\n'), again);
        log.seal(Date.now());
        return 0;
      });
    });
  }

  closeOrphans(at: number, answer: (answer: Answer) => void): void {
    this.#answer(answer, (log) => log.closeOrphans(at));
  }

  sign(answer: (answer: Answer) => void): void {
    this.#answer(answer, (log) => log.signNow(Date.now()) ?? '');
  }

  anchor(seq: number, answer: (answer: Answer) => void): void {
    this.#answer(answer, (log) => log.anchorAt(seq, Date.now()));
  }

  /** All at once: a writer without a thread waits for itself. */
  remove(seq: number, answer: (answer: Answer) => void): void {
    this.#answer(answer, (log) => {
      log.remove(seq);
      while (log.isRemoving && log.removeSome());
      return 0;
    });
  }

  async close(): Promise<void> {
    this.#log?.close();
  }

  #answer(answer: (answer: Answer) => void, work: (log: AuditLog) => number | string): void {
    let given: Answer;
    try {
      this.#log ??= new AuditLog(this.#file, this.#events);
      const value = work(this.#log);
      given = {
        failure: undefined,
        number: typeof value === 'number' ? value : 0,
        text: typeof value === 'string' ? value : '',
        died: false,
      };
    } catch (error) {
      const code = (error as { code?: string }).code;
      given = {
        failure: code === undefined ? messageOf(error) : `${code}: ${messageOf(error)}`,
        number: 0,
        text: '',
        died: false,
      };
    }
    answer(given);
  }
}
