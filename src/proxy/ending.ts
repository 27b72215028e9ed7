// That a call must end before its answer is over. An AbortSignal would say the same, and costs as much as many a whole call.

export interface Ending {
  readonly ended: boolean;
  /** One listener at a time, for an end that is still to come; undefined takes it away. */
  onEnd(listener: (() => void) | undefined): void;
}

/** An ending its maker decides on. */
export class Ender implements Ending {
  #ended = false;
  #listener: (() => void) | undefined;

  get ended(): boolean {
    return this.#ended;
  }
  onEnd(listener: (() => void) | undefined): void {
    this.#listener = listener;
  }
  /** Doing so again changes nothing. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#listener?.();
  }
}
