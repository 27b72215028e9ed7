// A caller's end whose bytes wait for work that takes its time, in order and bounded: the engine's side is paused while they do.
import type { CallerEnd } from '../proxy/types.ts';

/** Bytes that may wait before the engine's side is paused. */
const MAX_WAITING = 128 * 1024;

export interface Work {
  /** Gives the bytes to pass on, if any. Throws: nothing more is passed on and the caller sees a torn answer. */
  onChunk(chunk: Buffer): Promise<Uint8Array | undefined>;
  onEnd(): Promise<Uint8Array | undefined>;
}

export class QueuedCaller implements CallerEnd {
  readonly #caller: CallerEnd;
  readonly #work: Work;
  readonly #waiting: Buffer[] = [];
  #bytes = 0;
  #isBusy = false;
  #isEnded = false;
  #isOver = false;
  #failure: unknown;
  #resume: (() => void) | undefined;
  #gone: (() => void) | undefined;
  #drained: (() => void) | undefined;
  readonly #done: Promise<void>;
  #finish!: () => void;

  constructor(caller: CallerEnd, work: Work) {
    this.#caller = caller;
    this.#work = work;
    this.#done = new Promise((resolve) => {
      this.#finish = resolve;
    });
    caller.onGone(() => {
      this.#over();
      this.#gone?.();
    });
  }

  head(status: number, reason: string, headers: readonly string[]): void {
    this.#caller.head(status, reason, headers);
  }
  write(chunk: Uint8Array): boolean {
    if (this.#isOver) return true;
    // The engine client may use the chunk again.
    this.#waiting.push(Buffer.from(chunk));
    this.#bytes += chunk.length;
    void this.#pump();
    return this.#bytes <= MAX_WAITING;
  }
  onDrain(resume: () => void): void {
    if (this.#bytes <= MAX_WAITING || this.#isOver) resume();
    else this.#resume = resume;
  }
  end(): void {
    this.#isEnded = true;
    void this.#pump();
  }
  abort(): void {
    this.#over();
    this.#caller.abort();
  }
  onGone(gone: () => void): void {
    this.#gone = gone;
    if (this.#isOver) gone();
  }

  /** Resolves when all has been passed on, or nothing will be any more: with what the work threw, if it did. */
  async finished(): Promise<unknown> {
    await this.#done;
    return this.#failure;
  }

  async #pump(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      while (!this.#isOver) {
        const chunk = this.#waiting.shift();
        if (chunk === undefined && !this.#isEnded) return;
        const out = await (chunk === undefined ? this.#work.onEnd() : this.#work.onChunk(chunk));
        if (this.#isOver) return;
        if (out !== undefined && out.length > 0 && !this.#caller.write(out)) await this.#drain();
        if (this.#isOver) return;
        if (chunk === undefined) {
          this.#over();
          this.#caller.end();
          return;
        }
        this.#bytes -= chunk.length;
        if (this.#bytes <= MAX_WAITING / 2) this.#goOn();
      }
    } catch (error) {
      if (this.#isOver) return;
      this.#failure = error;
      this.#over();
      this.#caller.abort();
      // The engine's side ends as if the caller had left.
      this.#gone?.();
    } finally {
      this.#isBusy = false;
    }
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#caller.onDrain(resolve);
    });
  }

  #goOn(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting.length = 0;
    this.#drained?.();
    this.#goOn();
    this.#finish();
  }
}
