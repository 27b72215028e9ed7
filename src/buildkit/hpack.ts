// Header blocks of HTTP/2, read with the table their writer keeps and written without one: a head that is passed on is written anew,
// so that both ends see the same fields. RFC 7541.
import type { OutgoingHttpHeaders } from 'node:http2';

/** Appendix A, in its order; a name without a value has an empty one. */
const STATIC: readonly (readonly [name: string, value: string])[] = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`
  .split('\n')
  .map((line) => {
    const cut = line.indexOf(' ');
    return cut < 0 ? [line, ''] : [line.slice(0, cut), line.slice(cut + 1)];
  });

/** Appendix B: bits of each symbol's code, `a` for 5; the last is the end of text. Codes of one length follow their symbols' order. */
const CODE_BITS =
  'isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhfibccccccccccccccccccccccdcdioijbkabababbbaccbbbabcbaabccccckgjix' +
  'prpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrsvvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwvz';
const LONGEST_CODE = 30;
const END_OF_TEXT = 256;

/** Symbols by length of code and code. */
const SYMBOLS: readonly ReadonlyMap<number, number>[] = (() => {
  const byLength = Array.from({ length: LONGEST_CODE + 1 }, () => new Map<number, number>());
  let code = 0;
  for (let bits = 5; bits <= LONGEST_CODE; bits++) {
    for (let symbol = 0; symbol <= END_OF_TEXT; symbol++) {
      if (CODE_BITS.charCodeAt(symbol) - 92 === bits) byLength[bits]?.set(code++, symbol);
    }
    code *= 2;
  }
  return byLength;
})();

/** Size of the writer's table until it is told another: 4096 bytes. None is told here. */
const MAX_TABLE_BYTES = 4096;
const ENTRY_OVERHEAD = 32;
/** Bounds of one head. */
const MAX_PAIRS = 400;
const MAX_LIST_BYTES = 64 * 1024;

/** A block that is not one. The connection cannot go on: the table is lost. */
export class HpackError extends Error {}

/** Reads the heads of one direction of a connection, in their order. */
export class HeadReader {
  #table: [name: string, value: string][] = [];
  #tableBytes = 0;
  #maxBytes = MAX_TABLE_BYTES;
  #block: Uint8Array = new Uint8Array(0);
  #at = 0;

  /**
   * @returns names and values in turn, as they came
   * @throws {HpackError}
   */
  read(block: Uint8Array): string[] {
    this.#block = block;
    this.#at = 0;
    const list: string[] = [];
    let bytes = 0;
    while (this.#at < block.length) {
      const [name, value] = this.#field(list.length === 0) ?? [];
      if (name === undefined || value === undefined) continue;
      bytes += name.length + value.length + ENTRY_OVERHEAD;
      list.push(name, value);
      if (list.length > 2 * MAX_PAIRS || bytes > MAX_LIST_BYTES) throw new HpackError('the head is too long');
    }
    return list;
  }

  #field(isFirst: boolean): readonly [string, string] | undefined {
    const first = this.#block[this.#at] as number;
    if (first >= 0x80) return this.#entry(this.#integer(7));
    if (first >= 0x40) {
      const field = this.#literal(6);
      this.#remember(field);
      return field;
    }
    if (first < 0x20) return this.#literal(4);
    const size = this.#integer(5);
    if (!isFirst || size > MAX_TABLE_BYTES) throw new HpackError('the table may not be that large');
    this.#maxBytes = size;
    this.#evict();
    return undefined;
  }

  #literal(bits: number): [string, string] {
    const index = this.#integer(bits);
    const name = index === 0 ? this.#text() : this.#entry(index)[0];
    return [name, this.#text()];
  }

  #entry(index: number): readonly [string, string] {
    const found = index <= STATIC.length ? STATIC[index - 1] : this.#table[index - STATIC.length - 1];
    if (found === undefined) throw new HpackError('the head names no entry of the table');
    return found;
  }

  #remember(field: [string, string]): void {
    this.#table.unshift(field);
    this.#tableBytes += field[0].length + field[1].length + ENTRY_OVERHEAD;
    this.#evict();
  }

  #evict(): void {
    while (this.#tableBytes > this.#maxBytes) {
      const [name, value] = this.#table.pop() as [string, string];
      this.#tableBytes -= name.length + value.length + ENTRY_OVERHEAD;
    }
  }

  #byte(): number {
    const byte = this.#block[this.#at++];
    if (byte === undefined) throw new HpackError('the head ends early');
    return byte;
  }

  #integer(bits: number): number {
    const most = 2 ** bits - 1;
    let value = this.#byte() & most;
    if (value < most) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new HpackError('a number is too large');
  }

  #text(): string {
    const isPacked = ((this.#block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const end = this.#at + length;
    if (end > this.#block.length) throw new HpackError('the head ends early');
    const bytes = this.#block.subarray(this.#at, end);
    this.#at = end;
    return isPacked ? unpacked(bytes) : Buffer.from(bytes).toString('latin1');
  }
}

function unpacked(bytes: Uint8Array): string {
  const symbols: number[] = [];
  let code = 0;
  let bits = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1);
      bits++;
      const symbol = bits < 5 ? undefined : SYMBOLS[bits]?.get(code);
      if (symbol === undefined) {
        if (bits >= LONGEST_CODE) throw new HpackError('a text cannot be unpacked');
        continue;
      }
      if (symbol === END_OF_TEXT) throw new HpackError('a text has its end inside');
      symbols.push(symbol);
      code = 0;
      bits = 0;
    }
  }
  // The rest fills the last byte: fewer than eight bits, all ones.
  if (bits > 7 || code !== 2 ** bits - 1) throw new HpackError('a text ends in no padding');
  return Buffer.from(symbols).toString('latin1');
}

/** Writes a head of literals; the reader's table stays empty. */
export function writeHead(fields: OutgoingHttpHeaders): Buffer {
  const parts: Buffer[] = [];
  for (const [name, values] of Object.entries(fields)) {
    for (const value of Array.isArray(values) ? values : [values]) {
      parts.push(Buffer.from([0]), ...textBytes(name), ...textBytes(String(value)));
    }
  }
  return Buffer.concat(parts);
}

function textBytes(text: string): [length: Buffer, bytes: Buffer] {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return [Buffer.from([bytes.length]), bytes];
  const length = [127];
  let left = bytes.length - 127;
  for (; left >= 128; left = Math.floor(left / 128)) length.push((left % 128) + 128);
  length.push(left);
  return [Buffer.from(length), bytes];
}
