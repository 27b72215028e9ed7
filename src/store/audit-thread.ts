// The main thread's end of the audit writer's thread. One question at a time; the answer comes back without the cost of
// a message event, and a thread that dies answers too.
import { Worker } from 'node:worker_threads';
import {
  ANCHOR,
  ANSWERED,
  ASKED,
  CLOSE,
  CLOSE_ORPHANS,
  FAILED,
  LENGTH,
  NUMBER,
  OPEN,
  QUESTION,
  REMOVE,
  type SealMessage,
  SIGN,
  TEXT,
  WRITE,
  WRITE_AGAIN,
  type WriterData,
} from './audit-memory.ts';
import type { SealerEvents } from './audit-sealer.ts';
import { workerProgram } from './worker-program.ts';

/** Bytes of text in one question: several hundred rows, or a few of the longest. */
export const MAX_TEXT_BYTES = 1024 * 1024;
/** How often a question under way is looked at, in ms, in case its wake-up was lost. */
const LOOK_MS = 1000;
/** The last messages of a closed thread are waited for so long, in ms. */
const LAST_WORDS_MS = 500;

/** Why the thread could not do what it was asked: the writer's own words, or undefined. */
export interface Answer {
  readonly failure: string | undefined;
  readonly number: number;
  /** The answer to the question, where it is a text. */
  readonly text: string;
  /** The thread is gone; whether it did what it was asked is unknown. */
  readonly died: boolean;
}

type OnAnswer = (answer: Answer) => void;

let warm: AuditThread | undefined;

/**
 * Starts a thread before it is known which file it will write: it gets ready while the rest of the program is being read.
 * The first `auditThreadFor` takes it; until then it keeps no process alive.
 */
export function warmAuditThread(): void {
  warm ??= new AuditThread(undefined);
}

/** The thread started in advance, if there is one, else a new one. @param file an audit.db that was migrated */
export async function auditThreadFor(file: string): Promise<AuditThread> {
  const ready = warm;
  warm = undefined;
  return ready !== undefined && (await ready.open(file)) ? ready : new AuditThread(file);
}

export class AuditThread {
  readonly #worker: Worker;
  readonly #cells: Int32Array;
  readonly #text: Buffer;
  readonly #ended: Promise<void>;
  #asked = 0;
  #waiting: OnAnswer | undefined;
  #dead = false;
  #look: NodeJS.Timeout | undefined;
  /** Told of what the thread signs. */
  events: SealerEvents = {};
  #said: (() => void) | undefined;

  /** @param file an audit.db that was migrated; undefined until `open` */
  constructor(file: string | undefined) {
    const shared = new SharedArrayBuffer(TEXT + MAX_TEXT_BYTES);
    this.#cells = new Int32Array(shared, 0, TEXT / 4);
    this.#text = Buffer.from(shared, TEXT);
    this.#worker = new Worker(workerProgram('audit-worker'), { workerData: { file, shared } satisfies WriterData });
    this.#ended = new Promise((resolve) => {
      const died = (): void => {
        this.#dead = true;
        resolve();
        // What it finished before it died was finished.
        this.#take();
        const waiting = this.#done();
        waiting?.({ failure: 'its writer died', number: 0, text: '', died: true });
      };
      this.#worker.on('message', (message: SealMessage) => this.#tell(message));
      this.#worker.on('error', died);
      this.#worker.on('exit', died);
    });
    // After the listeners: one for messages keeps the process alive again.
    if (file === undefined) this.#worker.unref();
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Names the file of a thread that was started without one. @returns false when the thread is dead */
  async open(file: string): Promise<boolean> {
    this.#worker.ref();
    const { failure } = await new Promise<Answer>((resolve) => this.#ask(OPEN, file, resolve));
    return failure === undefined;
  }

  /** @param text lines of rows; @param again they may already be stored */
  write(text: string, again: boolean, answer: OnAnswer): void {
    this.#ask(again ? WRITE_AGAIN : WRITE, text, answer);
  }

  closeOrphans(at: number, answer: OnAnswer): void {
    this.#ask(CLOSE_ORPHANS, String(at), answer);
  }

  /** Signs the log as it is; the answer's text is the checkpoint, empty for a log without rows. */
  sign(answer: OnAnswer): void {
    this.#ask(SIGN, '', answer);
  }

  /** Signs an anchor at a row; the answer's text is the anchor. */
  anchor(seq: number, answer: OnAnswer): void {
    this.#ask(ANCHOR, String(seq), answer);
  }

  /** Removes the rows up to one that has an anchor, from now on. */
  remove(seq: number, answer: OnAnswer): void {
    this.#ask(REMOVE, String(seq), answer);
  }

  #tell(message: SealMessage): void {
    if ('ended' in message) this.#said?.();
    else if ('checkpoint' in message) {
      const { root, ...rest } = message.checkpoint;
      this.events.checkpoint?.({ ...rest, root: Buffer.from(root) });
    } else if ('failure' in message) this.events.failed?.(message.failure);
    else this.events.keyMade?.(message.publicKey, message.isFirst);
  }

  /** Closes the file and ends the thread. */
  async close(): Promise<void> {
    if (!this.#dead) {
      const said = new Promise<void>((resolve) => {
        this.#said = resolve;
      });
      await new Promise<Answer>((resolve) => this.#ask(CLOSE, '', resolve));
      // What it signed at its end comes as a message, which a thread that is ended takes along.
      const timer = setTimeout(() => this.#said?.(), LAST_WORDS_MS);
      await Promise.race([said, this.#ended]);
      clearTimeout(timer);
    }
    await this.#worker.terminate();
    await this.#ended;
  }

  #ask(question: number, text: string, answer: OnAnswer): void {
    if (this.#waiting !== undefined) throw new Error('the audit writer was asked twice at once');
    if (this.#dead) {
      answer({ failure: 'its writer died', number: 0, text: '', died: true });
      return;
    }
    this.#waiting = answer;
    this.#cells[QUESTION] = question;
    this.#cells[LENGTH] = this.#text.write(text);
    this.#asked++;
    Atomics.store(this.#cells, ASKED, this.#asked);
    Atomics.notify(this.#cells, ASKED);
    const woken = Atomics.waitAsync(this.#cells, ANSWERED, this.#asked - 1);
    if (woken.async) woken.value.then(() => this.#take());
    else queueMicrotask(() => this.#take());
    this.#look ??= setInterval(() => this.#take(), LOOK_MS);
    this.#look.unref();
  }

  /** Hands the answer on, once, when there is one. */
  #take(): void {
    if (this.#waiting === undefined || Atomics.load(this.#cells, ANSWERED) !== this.#asked) return;
    const failed = this.#cells[FAILED] === 1;
    const isText = failed || this.#cells[QUESTION] === SIGN || this.#cells[QUESTION] === ANCHOR;
    const text = isText ? this.#text.toString('utf8', 0, this.#cells[LENGTH]) : '';
    const number = this.#cells[NUMBER] ?? 0;
    this.#done()?.(
      failed ? { failure: text, number, text: '', died: false } : { failure: undefined, number, text, died: false },
    );
  }

  #done(): OnAnswer | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (this.#dead) {
      clearInterval(this.#look);
      this.#look = undefined;
    }
    return waiting;
  }
}
