// Reads a large JSON text in steps, so that its caller can let other calls have their turn in between. Pure: a generator;
// the caller makes the pauses. The value is the one JSON.parse gives, or `parseExact` where numbers are to stay as written.

/** A part up to this size is read in one step, in bytes: some half a millisecond. */
const STEP_BYTES = 64 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Reads a text; yields after each step.
 *
 * @param parse reads a part
 * @throws {SyntaxError} as JSON.parse
 */
export function* parseInSteps(
  bytes: Uint8Array,
  parse: (text: string) => unknown = JSON.parse,
): Generator<undefined, unknown> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const reader = new Reader(text, parse);
  const value = yield* reader.value();
  reader.end();
  return value;
}

class Reader {
  readonly #bytes: Buffer;
  readonly #parse: (text: string) => unknown;
  #at = 0;
  /** Bytes read since the last pause. */
  #since = 0;

  constructor(bytes: Buffer, parse: (text: string) => unknown) {
    this.#bytes = bytes;
    this.#parse = parse;
  }

  *value(): Generator<undefined, unknown> {
    this.#skipSpace();
    const end = this.#endOf(this.#at);
    if (end !== undefined) {
      const slice = this.#bytes.toString('utf8', this.#at, end);
      this.#since += end - this.#at;
      this.#at = end;
      const value = this.#parse(slice);
      if (this.#since >= STEP_BYTES) {
        this.#since = 0;
        yield;
      }
      return value;
    }
    return this.#bytes[this.#at] === OPEN_LIST ? yield* this.#list() : yield* this.#object();
  }

  end(): void {
    this.#skipSpace();
    if (this.#at < this.#bytes.length) throw this.#malformed();
  }

  *#list(): Generator<undefined, unknown[]> {
    const items: unknown[] = [];
    this.#at++;
    this.#skipSpace();
    if (this.#bytes[this.#at] === CLOSE_LIST) {
      this.#at++;
      return items;
    }
    for (;;) {
      items.push(yield* this.value());
      if (this.#next(CLOSE_LIST)) return items;
    }
  }

  *#object(): Generator<undefined, Record<string, unknown>> {
    const value: Record<string, unknown> = {};
    this.#at++;
    this.#skipSpace();
    if (this.#bytes[this.#at] === CLOSE_OBJECT) {
      this.#at++;
      return value;
    }
    for (;;) {
      const key = yield* this.value();
      this.#skipSpace();
      if (typeof key !== 'string' || this.#bytes[this.#at] !== COLON) throw this.#malformed();
      this.#at++;
      const member = yield* this.value();
      // As JSON.parse does: also for a key that names the prototype.
      Object.defineProperty(value, key, { value: member, writable: true, enumerable: true, configurable: true });
      if (this.#next(CLOSE_OBJECT)) return value;
    }
  }

  /** Behind a comma there is more; behind what closes there is not. */
  #next(closing: number): boolean {
    this.#skipSpace();
    const byte = this.#bytes[this.#at++];
    if (byte === closing) return true;
    if (byte !== COMMA) throw this.#malformed();
    return false;
  }

  /** Where the value that begins here ends, if that is within one step; else undefined for a list or object to be read by parts. */
  #endOf(start: number): number | undefined {
    const bytes = this.#bytes;
    const first = bytes[start];
    if (first === QUOTE) return this.#endOfText(start);
    if (first !== OPEN_LIST && first !== OPEN_OBJECT) {
      let at = start;
      while (at < bytes.length && !isBoundary(bytes[at] as number)) at++;
      if (at === start) throw this.#malformed();
      return at;
    }
    let depth = 0;
    const limit = Math.min(bytes.length, start + STEP_BYTES);
    for (let at = start; at < limit; at++) {
      const byte = bytes[at] as number;
      if (byte === QUOTE) at = this.#endOfText(at) - 1;
      else if (byte === OPEN_LIST || byte === OPEN_OBJECT) depth++;
      else if ((byte === CLOSE_LIST || byte === CLOSE_OBJECT) && --depth === 0) return at + 1;
    }
    if (limit === bytes.length) throw this.#malformed();
    return undefined;
  }

  #endOfText(start: number): number {
    const bytes = this.#bytes;
    for (let at = bytes.indexOf(QUOTE, start + 1); at >= 0; at = bytes.indexOf(QUOTE, at + 1)) {
      let slashes = 0;
      while (bytes[at - 1 - slashes] === BACKSLASH) slashes++;
      if (slashes % 2 === 0) return at + 1;
    }
    throw this.#malformed();
  }

  #skipSpace(): void {
    while (isSpace(this.#bytes[this.#at])) this.#at++;
  }

  #malformed(): SyntaxError {
    return new SyntaxError(`unexpected token at byte ${this.#at} of the JSON text`);
  }
}

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
const isBoundary = (byte: number): boolean =>
  byte === COMMA || byte === CLOSE_LIST || byte === CLOSE_OBJECT || byte === COLON || isSpace(byte);
