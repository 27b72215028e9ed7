// Bytes of a stream by number, for readers of formats that count them.

export class Pieces {
  readonly #reader: AsyncIterator<Uint8Array>;
  #left: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#reader = source[Symbol.asyncIterator]();
  }

  async close(): Promise<void> {
    await this.#reader.return?.(undefined);
  }

  /** The next bytes, at most so many; undefined at the end. They are the stream's own: not to be kept. */
  async upTo(most: number): Promise<Buffer | undefined> {
    while (this.#left.length === 0) {
      const { value, done } = await this.#reader.next();
      if (done === true) return undefined;
      this.#left = Buffer.from(value.buffer, value.byteOffset, value.length);
    }
    const piece = this.#left.subarray(0, most);
    this.#left = this.#left.subarray(piece.length);
    return piece;
  }

  /** So many bytes in one piece; undefined when the stream ends before. */
  async exactly(length: number): Promise<Buffer | undefined> {
    const pieces: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const piece = await this.upTo(left);
      if (piece === undefined) return undefined;
      pieces.push(Buffer.from(piece));
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }
}
