// Reading a large body keeps the thread busy for as long as it is large. One is read at a time, in turn by identity, and after
// each the thread is free for other calls for as long as it took: a flood of them leaves half of the time to small calls.

/** Smaller bodies take a few ms at most; those of real clients are smaller. */
const LARGE_BYTES = 256 * 1024;

export class LargeBodies {
  /** By identity; the one whose turn it is stands first. */
  readonly #queues = new Map<string, (() => void)[]>();
  #isBusy = false;

  /** Reads a body, a large one in its turn. Those that wait are bounded by the calls an identity may have under way. */
  async read<T>(holder: string, bytes: number, read: () => T): Promise<T> {
    if (bytes <= LARGE_BYTES) return read();
    if (this.#isBusy) {
      await new Promise<void>((resolve) => {
        const queue = this.#queues.get(holder);
        if (queue === undefined) this.#queues.set(holder, [resolve]);
        else queue.push(resolve);
      });
    }
    this.#isBusy = true;
    const from = performance.now();
    try {
      return read();
    } finally {
      setTimeout(() => this.#next(), Math.ceil(performance.now() - from));
    }
  }

  #next(): void {
    const [first] = this.#queues;
    if (first === undefined) {
      this.#isBusy = false;
      return;
    }
    const [holder, queue] = first;
    // Behind the others: the next turn is another's.
    this.#queues.delete(holder);
    const begin = queue.shift();
    if (queue.length > 0) this.#queues.set(holder, queue);
    begin?.();
  }
}
