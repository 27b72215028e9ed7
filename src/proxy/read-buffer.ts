// What one plain connection to the engine reads into: its own memory, used again as soon as no part still refers to what was read. A new
// buffer for each read, as streams make them, has the collector look through the whole heap every few dozen megabytes.
// The memory is never shared between connections: bytes of one caller cannot come to another.

/** First size, enough for most answers; memory that was never read into costs nothing. In bytes. */
const FIRST_BYTES = 16 * 1024;
/** A read that fills the buffer makes the next one larger, up to this. In bytes. */
const MAX_BYTES = 128 * 1024;

interface Lent {
  readonly buffer: Buffer;
  readonly isClear: () => boolean;
}

export class ReadBuffer {
  #current: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  /** Read into before, and perhaps still on its way to a caller. */
  #spare: Lent | undefined;

  /** The memory to read into next. */
  next(): Buffer {
    return this.#current;
  }

  /**
   * Hands on what was read, and finds memory for the next read.
   *
   * @param take is given a view of the memory, and must not keep it once `isClear` says true
   * @param isClear whether nothing refers to what `take` was given any more
   */
  read(bytes: number, take: (data: Buffer) => void, isClear: () => boolean): void {
    const buffer = this.#current;
    const spare = this.#spare;
    // Asked before more is handed on: the same caller's end then refers to this read.
    const isSpareFree = spare?.isClear() ?? false;
    take(buffer.subarray(0, bytes));
    const isFull = bytes === buffer.length && bytes < MAX_BYTES;
    if (isClear()) {
      if (isFull) this.#current = Buffer.allocUnsafeSlow(Math.min(MAX_BYTES, buffer.length * 4));
      return;
    }
    this.#spare = { buffer, isClear };
    const isUsable = !isFull && isSpareFree && spare?.buffer.length === buffer.length;
    this.#current = isUsable
      ? spare.buffer
      : Buffer.allocUnsafeSlow(isFull ? Math.min(MAX_BYTES, buffer.length * 4) : buffer.length);
  }
}
