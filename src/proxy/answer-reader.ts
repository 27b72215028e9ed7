// Reads one HTTP/1.1 answer of the engine from the bytes as they come: head, then a body by Content-Length, by chunks or
// until the end of the connection. The engine is trusted, but a broken answer must never look like a whole one.
// RFC 9112 sections 4, 6 and 7.
import { GatewayError } from '../errors.ts';

/** Largest head of an answer, in bytes. */
const MAX_HEAD_BYTES = 256 * 1024;
/** Longest line of chunk size with extensions, or of a trailer, in bytes. */
const MAX_LINE_BYTES = 8 * 1024;

export interface AnswerHead {
  readonly status: number;
  readonly reason: string;
  /** Flat list as sent. */
  readonly headers: readonly string[];
  /** Whether the connection may carry another request afterwards. */
  readonly keepAlive: boolean;
  /** The body has no end but that of the connection. */
  readonly untilClose: boolean;
}

export interface AnswerEvents {
  /** An answer before the answer, 100 to 199 but not 101; without this it is passed over. */
  onInterim?(status: number): void;
  onHead(head: AnswerHead): void;
  onBody(chunk: Buffer): void;
  /** `rest` are bytes behind the answer: after 101 the upgraded stream, otherwise a fault. */
  onEnd(rest: Buffer): void;
}

type State = 'head' | 'length' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailer' | 'until-close' | 'done';

const NONE: Buffer = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');

const broken = (what: string) => new GatewayError('engine-answer-malformed', `the engine sent ${what}`);

export class AnswerReader {
  readonly #events: AnswerEvents;
  #method = 'GET';
  #state: State = 'done';
  #left = 0;
  #pending: Buffer = NONE;

  constructor(events: AnswerEvents) {
    this.#events = events;
  }

  /** Begins a new answer; `method` decides whether it can have a body. */
  begin(method: string): void {
    this.#method = method;
    this.#state = 'head';
    this.#pending = NONE;
  }

  /** True once the answer is complete. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** True when no byte of the answer has come yet. */
  get untouched(): boolean {
    return this.#state === 'head' && this.#pending.length === 0;
  }

  /** @throws {GatewayError} `engine-answer-malformed` */
  push(data: Buffer): void {
    let rest = this.#pending.length === 0 ? data : Buffer.concat([this.#pending, data]);
    this.#pending = NONE;
    while (this.#state !== 'done') {
      const used = this.#step(rest);
      if (used < 0) {
        // A copy: what it stands in may be read into again.
        this.#pending = Buffer.from(rest);
        return;
      }
      rest = rest.subarray(used);
      if (rest.length === 0 && !this.#canStepEmpty()) return;
    }
  }

  /** The connection ended. @returns whether the answer is whole */
  end(): boolean {
    if (this.#state === 'until-close') {
      this.#state = 'done';
      this.#events.onEnd(NONE);
      return true;
    }
    return this.#state === 'done';
  }

  #canStepEmpty(): boolean {
    return this.#state === 'length' && this.#left === 0;
  }

  /** Takes what it can from `data`; returns the bytes used, or -1 when more must come first. */
  #step(data: Buffer): number {
    switch (this.#state) {
      case 'head':
        return this.#head(data);
      case 'length': {
        if (this.#left === 0) {
          this.#finish(data);
          return data.length;
        }
        const take = Math.min(this.#left, data.length);
        this.#left -= take;
        this.#events.onBody(take === data.length ? data : data.subarray(0, take));
        if (this.#left === 0) {
          this.#finish(data.subarray(take));
          return data.length;
        }
        return take;
      }
      case 'until-close':
        this.#events.onBody(data);
        return data.length;
      case 'chunk-size': {
        const end = line(data);
        if (end < 0) return -1;
        const text = data.toString('latin1', 0, end);
        const size = /^([0-9a-f]{1,12})[ \t]*(;|$)/i.exec(text);
        if (size === null) throw broken('a chunk without a size');
        this.#left = Number.parseInt(size[1] as string, 16);
        this.#state = this.#left === 0 ? 'trailer' : 'chunk-data';
        return end + 2;
      }
      case 'chunk-data': {
        if (data.length === 0) return -1;
        const take = Math.min(this.#left, data.length);
        this.#left -= take;
        this.#events.onBody(take === data.length ? data : data.subarray(0, take));
        if (this.#left === 0) this.#state = 'chunk-end';
        return take;
      }
      case 'chunk-end':
        if (data.length < 2) return -1;
        if (data[0] !== 13 || data[1] !== 10) throw broken('a chunk longer than its size');
        this.#state = 'chunk-size';
        return 2;
      case 'trailer': {
        const end = line(data);
        if (end < 0) return -1;
        if (end === 0) {
          this.#finish(data.subarray(2));
          return data.length;
        }
        return end + 2;
      }
      case 'done':
        return data.length;
    }
  }

  #finish(rest: Buffer): void {
    this.#state = 'done';
    this.#events.onEnd(rest);
  }

  #head(data: Buffer): number {
    const end = data.indexOf(HEAD_END);
    if (end < 0) {
      if (data.length > MAX_HEAD_BYTES) throw broken('a head that does not end');
      return -1;
    }
    const text = data.toString('latin1', 0, end);
    let at = text.indexOf('\r\n');
    if (at < 0) at = text.length;
    const first = /^HTTP\/1\.([01]) (\d{3})(?: (.*))?$/.exec(text.slice(0, at));
    if (first === null) throw broken('something that is not HTTP/1.1');
    const status = Number(first[2]);
    if (status >= 100 && status < 200 && status !== 101) {
      this.#events.onInterim?.(status);
      return end + 4;
    }
    const headers: string[] = [];
    let length: number | undefined;
    let chunked = false;
    let keepAlive = first[1] === '1';
    while (at < text.length) {
      const from = at + 2;
      at = text.indexOf('\r\n', from);
      if (at < 0) at = text.length;
      const colon = text.indexOf(':', from);
      if (colon <= from || colon >= at) throw broken('a header without a name');
      const name = text.slice(from, colon);
      const value = text.slice(colon + 1, at).trim();
      headers.push(name, value);
      switch (name.length) {
        case 14:
          if (name.toLowerCase() === 'content-length') {
            if (!/^\d{1,15}$/.test(value) || (length !== undefined && length !== Number(value)))
              throw broken('a Content-Length that cannot be read');
            length = Number(value);
          }
          break;
        case 17:
          if (name.toLowerCase() === 'transfer-encoding') {
            if (value.toLowerCase() !== 'chunked' || chunked) throw broken('a Transfer-Encoding that is not chunked');
            chunked = true;
          }
          break;
        case 10:
          if (name.toLowerCase() === 'connection') {
            if (/\bclose\b/i.test(value)) keepAlive = false;
          }
          break;
        default:
      }
    }
    if (chunked && length !== undefined) throw broken('a body with two lengths');
    const bodiless = this.#method === 'HEAD' || status === 204 || status === 304 || status === 101;
    const untilClose = !bodiless && !chunked && length === undefined;
    if (untilClose) keepAlive = false;
    const rest = data.subarray(end + 4);
    this.#events.onHead({ status, reason: first[3] ?? '', headers, keepAlive, untilClose });
    if (bodiless) {
      this.#finish(rest);
      return data.length;
    }
    if (chunked) this.#state = 'chunk-size';
    else if (length !== undefined) {
      this.#state = 'length';
      this.#left = length;
    } else this.#state = 'until-close';
    return end + 4;
  }
}

/** Index of the line's end, or -1. */
function line(data: Buffer): number {
  const end = data.indexOf('\r\n');
  if (end < 0 && data.length > MAX_LINE_BYTES) throw broken('a chunk line that does not end');
  return end;
}
