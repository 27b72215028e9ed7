// Reads the requests of a local client from its bytes: the head, to write it anew with a credential, and where the body
// ends, so that the next head is found. RFC 9112 sections 2.2, 3, 6 and 7. What can be read in two ways is refused.
import { GatewayError } from '../errors.ts';

/** Largest head of a request, in bytes: that of the gateway, with room for a whole create body in the query. */
export const MAX_HEAD_BYTES = 128 * 1024;
/** Longest line of chunk size with extensions, or of a trailer, in bytes. */
const MAX_LINE_BYTES = 8 * 1024;

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** Minor HTTP version: 0 or 1. */
  readonly minor: 0 | 1;
  /** Flat list as sent. */
  readonly headers: readonly string[];
  /** The protocol asked for with `Connection: Upgrade`. */
  readonly upgrade: string | undefined;
  /** Whether the client wants the connection closed after the answer. */
  readonly close: boolean;
  /** Body length in bytes, or that it comes in chunks. */
  readonly body: number | 'chunked';
}

const malformed = (what: string) => new GatewayError('request-malformed', what);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Reads one head. Line ends may be a bare LF (docker-java writes them so): the head is written anew, never passed on.
 *
 * @returns the head and the bytes it took, or undefined when more must come first
 * @throws {GatewayError} `request-malformed`, `header-too-large`
 */
export function readHead(data: Buffer): { readonly head: RequestHead; readonly used: number } | undefined {
  let start = 0;
  // Empty lines before a request are passed over: some clients send one behind a body.
  while (data[start] === 10 || (data[start] === 13 && data[start + 1] === 10)) start += data[start] === 10 ? 1 : 2;
  const lines: string[] = [];
  let at = start;
  for (;;) {
    const end = data.indexOf(10, at);
    if (end < 0 || end - start > MAX_HEAD_BYTES) {
      if (data.length - start > MAX_HEAD_BYTES)
        throw new GatewayError('header-too-large', `the request head is larger than ${MAX_HEAD_BYTES} bytes`);
      return undefined;
    }
    const text = data.toString('latin1', at, end > at && data[end - 1] === 13 ? end - 1 : end);
    at = end + 1;
    if (text === '') break;
    lines.push(text);
  }
  return { head: parse(lines), used: at };
}

function parse(lines: readonly string[]): RequestHead {
  const first = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.([01])$/.exec(lines[0] as string);
  if (first === null) throw malformed('the request line is not one of HTTP/1.1');
  const headers: string[] = [];
  let length: number | undefined;
  let chunked = false;
  let connection = '';
  let upgrade: string | undefined;
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0));
    const value = line.slice(colon + 1).trim();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    if (!TOKEN.test(name) || /[\x00-\x08\x0a-\x1f\x7f]/.test(value)) throw malformed('a header cannot be read');
    headers.push(name, value);
    switch (name.toLowerCase()) {
      case 'content-length':
        if (!/^\d{1,15}$/.test(value) || length !== undefined) throw malformed('the Content-Length cannot be read');
        length = Number(value);
        break;
      case 'transfer-encoding':
        if (value.toLowerCase() !== 'chunked' || chunked) throw malformed('the Transfer-Encoding is not chunked');
        chunked = true;
        break;
      case 'connection':
        connection += `,${value}`;
        break;
      case 'upgrade':
        upgrade = value;
        break;
      default:
    }
  }
  if (chunked && length !== undefined) throw malformed('both Content-Length and Transfer-Encoding were sent');
  const options = connection
    .toLowerCase()
    .split(',')
    .map((option) => option.trim());
  const minor = first[3] === '1' ? 1 : 0;
  return {
    method: first[1] as string,
    target: first[2] as string,
    minor,
    headers,
    upgrade: options.includes('upgrade') ? upgrade : undefined,
    close: options.includes('close') || minor === 0,
    body: chunked ? 'chunked' : (length ?? 0),
  };
}

type State = 'length' | 'size' | 'data' | 'data-end' | 'trailer' | 'done';

/** Finds the end of a body. The bytes themselves pass as they are. */
export class BodyReader {
  #state: State;
  #left: number;
  /** Bytes of the line begun, for the size of a chunk or a trailer. */
  #line = '';

  constructor(body: RequestHead['body']) {
    this.#state = body === 'chunked' ? 'size' : body === 0 ? 'done' : 'length';
    this.#left = body === 'chunked' ? 0 : body;
  }

  get done(): boolean {
    return this.#state === 'done';
  }

  /**
   * @returns how many bytes at the front of `data` belong to the body
   * @throws {GatewayError} `request-malformed`
   */
  take(data: Buffer): number {
    let at = 0;
    while (at < data.length && this.#state !== 'done') {
      switch (this.#state) {
        case 'length':
        case 'data': {
          const count = Math.min(this.#left, data.length - at);
          this.#left -= count;
          at += count;
          if (this.#left === 0) this.#state = this.#state === 'length' ? 'done' : 'data-end';
          break;
        }
        default: {
          const end = data.indexOf(10, at);
          this.#line += data.toString('latin1', at, end < 0 ? data.length : end + 1);
          at = end < 0 ? data.length : end + 1;
          if (this.#line.length > MAX_LINE_BYTES) throw malformed('a chunk line does not end');
          if (end >= 0) this.#endLine();
        }
      }
    }
    return at;
  }

  #endLine(): void {
    const text = this.#line;
    this.#line = '';
    // Here a bare LF stays refused: the body is passed on as it is, and others may read it otherwise.
    if (!text.endsWith('\r\n')) throw malformed('a chunk line has a bare line feed');
    if (this.#state === 'size') {
      const size = /^([0-9a-f]{1,12})[ \t]*(;|\r)/i.exec(text);
      if (size === null) throw malformed('a chunk has no size');
      this.#left = Number.parseInt(size[1] as string, 16);
      this.#state = this.#left === 0 ? 'trailer' : 'data';
    } else if (this.#state === 'data-end') {
      if (text !== '\r\n') throw malformed('a chunk is longer than its size');
      this.#state = 'size';
    } else if (text === '\r\n') this.#state = 'done';
  }
}
