// Filters a JSON list while it streams by: each element is looked at as it becomes whole, kept, changed or left out, and no
// more than one element is held. Engine lists may have thousands of elements.
import { parseExact } from '../engine/exact-json.ts';
import { GatewayError } from '../errors.ts';

/** Largest element, in bytes: a container with thousands of labels is far below. */
const MAX_ITEM_BYTES = 8 * 1024 * 1024;

/** Given an element as `parseExact` reads it: keeps it as it came (`true`), leaves it out (`false`), or puts another value in its place. */
export type ItemFilter = (item: unknown) => boolean | object;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** One list on its way. `push` gives the bytes to pass on, `end` the rest; both throw `engine-answer-malformed` for no list. */
export class JsonItems {
  readonly #filter: ItemFilter;
  readonly #byId: ((id: string) => boolean) | undefined;
  /** Bytes of an element whose end is still to come. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #state: 'before' | 'items' | 'after' = 'before';
  #depth = 0;
  #inText = false;
  #escaped = false;
  #kept = 0;
  /** The whole text, when it is no list: `null`. */
  #whole: Buffer[] = [];

  /** @param byId leaves out elements that begin with their full id, as containers do, without reading the rest of them */
  constructor(filter: ItemFilter, byId?: (id: string) => boolean) {
    this.#filter = filter;
    this.#byId = byId;
  }

  push(chunk: Uint8Array): Buffer | undefined {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    let at = 0;
    const out: Buffer[] = [];
    if (this.#state === 'before') {
      while (at < bytes.length && isSpace(bytes[at] as number)) at++;
      if (at === bytes.length) return undefined;
      if (bytes[at] !== OPEN_LIST || this.#whole.length > 0) {
        this.#whole.push(Buffer.from(bytes.subarray(at)));
        if (this.#whole.length > 8) throw malformed();
        return undefined;
      }
      this.#state = 'items';
      out.push(OPENING);
      at++;
    }
    let start = at;
    /** The next backslash at or behind `at`, once it was looked for. */
    let slash = -1;
    for (; at < bytes.length && this.#state === 'items'; at++) {
      const byte = bytes[at] as number;
      if (this.#inText) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inText = false;
        else {
          // Most of a list is text without anything to see: skip to what ends it or escapes in it.
          if (slash < at) {
            const next = bytes.indexOf(BACKSLASH, at);
            slash = next < 0 ? bytes.length : next;
          }
          const quote = bytes.indexOf(QUOTE, at);
          at = Math.min(quote < 0 ? bytes.length : quote, slash) - 1;
        }
        continue;
      }
      if (byte === QUOTE) this.#inText = true;
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) this.#depth++;
      else if (byte === CLOSE_OBJECT) this.#depth--;
      else if (byte === COMMA && this.#depth === 0) {
        this.#item(bytes.subarray(start, at), out);
        start = at + 1;
      } else if (byte === CLOSE_LIST) {
        if (this.#depth > 0) this.#depth--;
        else {
          this.#item(bytes.subarray(start, at), out);
          this.#state = 'after';
          out.push(CLOSING);
        }
      }
    }
    if (this.#state === 'items' && start < bytes.length) {
      this.#pendingBytes += bytes.length - start;
      if (this.#pendingBytes > MAX_ITEM_BYTES) throw malformed();
      this.#pending.push(Buffer.from(bytes.subarray(start)));
    }
    return out.length === 0 ? undefined : out.length === 1 ? out[0] : Buffer.concat(out);
  }

  end(): Buffer | undefined {
    if (this.#state === 'after') return undefined;
    if (this.#state === 'before' && /^null\s*$/.test(Buffer.concat(this.#whole).toString('utf8'))) return NULL;
    throw malformed();
  }

  #item(tail: Buffer, out: Buffer[]): void {
    let bytes = tail;
    if (this.#pending.length > 0) {
      bytes = Buffer.concat([...this.#pending, tail]);
      this.#pending = [];
    }
    this.#pendingBytes = 0;
    if (this.#byId !== undefined) {
      const id = /^\{"Id":"([0-9a-f]{64})"$/.exec(bytes.toString('latin1', 0, 72))?.[1];
      if (id !== undefined) {
        if (!this.#byId(id)) return;
      }
    }
    const text = bytes.toString('utf8');
    if (text.trim() === '') return;
    let item: unknown;
    try {
      item = parseExact(text);
    } catch {
      throw malformed();
    }
    const kept = this.#filter(item);
    if (kept === false) return;
    if (this.#kept++ > 0) out.push(SEPARATOR);
    // The bytes are copied: the chunk they came in may be used again.
    out.push(kept === true ? Buffer.from(bytes) : Buffer.from(JSON.stringify(kept)));
  }
}

const OPENING = Buffer.from('[');
const CLOSING = Buffer.from(']\n');
const SEPARATOR = Buffer.from(',');
const NULL = Buffer.from('null\n');

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

const malformed = (): GatewayError =>
  new GatewayError('engine-answer-malformed', 'the engine gave a list that cannot be read, so nothing of it is shown');

/** A stream of JSON values, one a line: keeps a line, leaves it out, or puts another value in its place. */
export class JsonLines {
  readonly #filter: ItemFilter;
  #rest: Buffer = Buffer.alloc(0);

  constructor(filter: ItemFilter) {
    this.#filter = filter;
  }

  push(chunk: Uint8Array): Buffer | undefined {
    const bytes = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const out: Buffer[] = [];
    let start = 0;
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
      const line = bytes.subarray(start, end + 1);
      start = end + 1;
      const kept = this.#kept(line);
      if (kept !== undefined) out.push(kept);
    }
    this.#rest = Buffer.from(bytes.subarray(start));
    if (this.#rest.length > MAX_ITEM_BYTES) throw malformed();
    return out.length === 0 ? undefined : Buffer.concat(out);
  }

  end(): Buffer | undefined {
    const line = this.#rest;
    this.#rest = Buffer.alloc(0);
    return line.length > 0 ? this.#kept(line) : undefined;
  }

  #kept(line: Buffer): Buffer | undefined {
    const text = line.toString('utf8').trim();
    if (text === '') return undefined;
    let value: unknown;
    try {
      value = parseExact(text);
    } catch {
      // An unreadable line may be about another tenant's object.
      return undefined;
    }
    const kept = this.#filter(value);
    if (kept === false) return undefined;
    return kept === true ? line : Buffer.from(`${JSON.stringify(kept)}\n`);
  }
}
