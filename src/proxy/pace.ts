// Large answers take turns: in one turn of the event loop so many bytes of them are carried, identity by identity, and a caller that asks
// for little meanwhile waits for no more than that. One answer alone is hardly slowed: its turn comes again at once.
import type { CallerEnd } from './types.ts';

/** Bytes of large answers in one turn of the event loop: a millisecond or two of copying. */
const TURN_BYTES = 1024 * 1024;
/** An answer is large beyond this, in bytes; smaller ones are never held up. */
const LARGE_BYTES = 256 * 1024;

interface Held {
  readonly bytes: number;
  readonly go: () => void;
}

export class Pace {
  #left = TURN_BYTES;
  #isTurning = false;
  /** By holder; the one whose turn it is stands first. */
  readonly #held = new Map<string, Held[]>();

  /**
   * Counts a piece of a large answer.
   *
   * @param go called once the next piece may be read, where that is not at once
   * @returns whether the next piece may be read at once
   */
  take(holder: string, bytes: number, go: () => void): boolean {
    this.#left -= bytes;
    if (!this.#isTurning) {
      this.#isTurning = true;
      setImmediate(this.#turn);
    }
    if (this.#left > 0) return true;
    const queue = this.#held.get(holder);
    if (queue === undefined) this.#held.set(holder, [{ bytes, go }]);
    else queue.push({ bytes, go });
    return false;
  }

  readonly #turn = (): void => {
    this.#left = TURN_BYTES;
    if (this.#held.size === 0) {
      this.#isTurning = false;
      return;
    }
    // What they read next is about what they read last: as many go on as fit, and count when they have read.
    for (let room = TURN_BYTES; room > 0 && this.#held.size > 0; ) {
      for (const [holder, queue] of this.#held) {
        const next = queue.shift();
        // Behind the others: the next turn is another's.
        this.#held.delete(holder);
        if (queue.length > 0) this.#held.set(holder, queue);
        room -= next?.bytes ?? 0;
        next?.go();
        break;
      }
    }
    setImmediate(this.#turn);
  };
}

/** Reads one answer no faster than its caller takes it, and than others let it. */
export class Flow {
  readonly #pace: Pace;
  readonly #holder: string;
  readonly #caller: Pick<CallerEnd, 'onDrain'>;
  readonly #source: { pause(): void; resume(): void };
  #bytes = 0;
  /** Why the source is not read: the caller takes no more, or it is others' turn. */
  #isFull = false;
  #isOthersTurn = false;

  /** @param source of the answer; told to resume when neither stands in its way any more */
  constructor(
    pace: Pace,
    holder: string,
    caller: Pick<CallerEnd, 'onDrain'>,
    source: { pause(): void; resume(): void },
  ) {
    this.#pace = pace;
    this.#holder = holder;
    this.#caller = caller;
    this.#source = source;
  }

  /** @param takesMore what `write` of the caller's end said */
  carried(bytes: number, takesMore: boolean): void {
    this.#bytes += bytes;
    const wasHeld = this.#isFull || this.#isOthersTurn;
    if (!takesMore && !this.#isFull) {
      this.#isFull = true;
      this.#caller.onDrain(() => {
        this.#isFull = false;
        this.#goOn();
      });
    }
    if (this.#bytes > LARGE_BYTES && !this.#isOthersTurn) {
      this.#isOthersTurn = !this.#pace.take(this.#holder, bytes, () => {
        this.#isOthersTurn = false;
        this.#goOn();
      });
    }
    if (!wasHeld && (this.#isFull || this.#isOthersTurn)) this.#source.pause();
  }

  #goOn(): void {
    if (!this.#isFull && !this.#isOthersTurn) this.#source.resume();
  }
}
