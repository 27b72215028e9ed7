// Reads a tar archive entry by entry: ustar, POSIX.1-2001 pax and the GNU names in use. Each entry is written anew before the
// engine has it, so this reader need not agree with the engine's; what it cannot read for certain it refuses.
import { GatewayError } from '../errors.ts';
import { Pieces } from './pieces.ts';

const BLOCK = 512;
/** Largest extended header, in bytes. */
const MAX_EXTENDED_BYTES = 64 * 1024;
/** Largest file, in bytes: what a pax size may say. */
const MAX_FILE_BYTES = Number.MAX_SAFE_INTEGER;
/** The capabilities of a file, which `docker build` sends and images keep. */
const CAPABILITY = 'SCHILY.xattr.security.capability';

export interface TarEntry {
  readonly type: 'file' | 'folder' | 'link' | 'hard-link';
  /** Cleaned: no leading slash, no empty part, no dots. Empty for the folder all is in. */
  readonly path: string;
  /** What a link points to: as written for a symbolic one, cleaned for a hard one. */
  readonly target: string;
  /** Bytes of content. */
  readonly size: number;
  /** Permissions, twelve bits. */
  readonly mode: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  readonly capability: Buffer | undefined;
}

/** The refusal of an archive that cannot be read for certain, or that has no end. */
export const refuseArchive = (why: string): GatewayError =>
  new GatewayError('archive-unreadable', `the archive cannot be judged: ${why}`);

/** What an extended header says of the entry behind it. */
interface Extended {
  readonly path?: string | undefined;
  readonly target?: string | undefined;
  readonly size?: number | undefined;
  readonly mtime?: number | undefined;
  readonly capability?: Buffer | undefined;
}

export class TarReader {
  readonly #bytes: Pieces;
  /** Unread bytes of the entry at hand: its content and padding. */
  #left = 0;
  #padding = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#bytes = new Pieces(source);
  }

  close(): Promise<void> {
    return this.#bytes.close();
  }

  /** @returns undefined at the end of the archive. @throws {GatewayError} `archive-unreadable` */
  async next(): Promise<TarEntry | undefined> {
    for await (const _ of this.content());
    let extended: Extended | undefined;
    for (;;) {
      const header = await this.#header();
      if (header === undefined) {
        if (extended !== undefined) throw refuseArchive('a name belongs to no entry');
        return undefined;
      }
      if (header.every((byte) => byte === 0)) {
        if (extended !== undefined) throw refuseArchive('a name belongs to no entry');
        return undefined;
      }
      const fields = readHeader(header);
      const { type } = fields;
      if (type !== 'x' && type !== 'g' && type !== 'L' && type !== 'K') return this.#entry(fields, extended ?? {});
      const content = await this.#extended(fields.size);
      if (type === 'g') {
        // `git archive` says there which commit it is of. Anything more would hold for all entries, or for none.
        const keys = [...readPax(content).keys()].filter((key) => key !== 'comment');
        if (keys.length > 0) throw refuseArchive(`a header for all entries sets ${keys[0]?.slice(0, 40)}`);
        continue;
      }
      const more = type === 'x' ? readExtended(content) : readLongName(type, content);
      for (const key of ['path', 'target', 'size'] as const)
        if (extended?.[key] !== undefined && more[key] !== undefined) throw refuseArchive('an entry has two names');
      if (extended !== undefined && type === 'x') throw refuseArchive('an entry has two extended headers');
      extended = { ...extended, ...more };
    }
  }

  /** A header, or undefined where the archive ends, with or without the empty blocks that say so. */
  async #header(): Promise<Buffer | undefined> {
    const pieces: Buffer[] = [];
    for (let left = BLOCK; left > 0; ) {
      const piece = await this.#bytes.upTo(left);
      if (piece === undefined && pieces.length === 0) return undefined;
      if (piece === undefined) throw refuseArchive('it ends in the middle of a header: it was cut off');
      pieces.push(Buffer.from(piece));
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  /** The content of the entry read last, piece by piece. */
  async *content(): AsyncGenerator<Buffer> {
    while (this.#left > 0) {
      const piece = await this.#bytes.upTo(this.#left);
      if (piece === undefined) throw refuseArchive('it ends in the middle of an entry: it was cut off');
      this.#left -= piece.length;
      yield piece;
    }
    const padding = this.#padding;
    this.#padding = 0;
    if (padding > 0 && (await this.#bytes.exactly(padding)) === undefined)
      throw refuseArchive('it ends in the middle of an entry: it was cut off');
  }

  async #extended(size: number): Promise<Buffer> {
    const content = size > MAX_EXTENDED_BYTES ? undefined : await this.#bytes.exactly(Math.ceil(size / BLOCK) * BLOCK);
    if (content === undefined) throw refuseArchive('an extended header is too long');
    return content.subarray(0, size);
  }

  #entry(fields: HeaderFields, extended: Extended): TarEntry {
    const name = extended.path ?? fields.name;
    const path = cleanPath(name);
    const size = extended.size ?? fields.size;
    const type = typeOf(fields.type, name);
    if (type === undefined)
      throw refuseArchive(`the entry ${path} is of a kind that is not read: ${kindOf(fields.type)}`);
    if (type !== 'file' && size > 0) throw refuseArchive(`the entry ${path} has a size and no content`);
    if (path === '' && type !== 'folder') throw refuseArchive('an entry has no name');
    const target = extended.target ?? fields.target;
    if ((type === 'link' || type === 'hard-link') && target === '')
      throw refuseArchive(`the link ${path} leads nowhere`);
    this.#left = size;
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK;
    return {
      type,
      path,
      target: type === 'hard-link' ? cleanPath(target) : type === 'link' ? target : '',
      size,
      mode: fields.mode & 0o7777,
      mtime: extended.mtime ?? fields.mtime,
      capability: type === 'file' ? extended.capability : undefined,
    };
  }
}

function typeOf(type: string, name: string): TarEntry['type'] | undefined {
  const isFolderName = name.endsWith('/');
  switch (type) {
    case '0':
      if (isFolderName) throw refuseArchive(`the file ${name.slice(0, 80)} has the name of a folder`);
      return 'file';
    case '\0':
      return isFolderName ? 'folder' : 'file';
    case '1':
      return 'hard-link';
    case '2':
      return 'link';
    case '5':
      return 'folder';
    default:
      return undefined;
  }
}

const KINDS: Readonly<Record<string, string>> = {
  '3': 'a device',
  '4': 'a device',
  '6': 'a named pipe',
  S: 'a sparse file',
};
const kindOf = (type: string): string => KINDS[type] ?? `type ${JSON.stringify(type)}`;

/** `./a//b` is `a/b`. @throws {GatewayError} `archive-unreadable` for a name that leads out */
export function cleanPath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refuseArchive(`the name ${JSON.stringify(name.slice(0, 80))} leads out of a folder`);
  return parts.join('/');
}

interface HeaderFields {
  readonly type: string;
  readonly size: number;
  readonly name: string;
  readonly target: string;
  readonly mode: number;
  readonly mtime: number;
}

/** @throws {GatewayError} `archive-unreadable` */
export function readHeader(header: Buffer): HeaderFields {
  const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
  const isTar = /^[0-7 ]+$/.test(header.toString('latin1', 148, 154)) && octal(header, 148, 8) === sum;
  if (!isTar)
    throw refuseArchive(
      'it is no tar archive, or a compressed one that is not read: send it plain, or as gzip or zstd',
    );
  const isUstar = header.toString('latin1', 257, 263) === 'ustar\0';
  const isStar = isUstar && header.toString('latin1', 508, 512) === 'tar\0';
  const prefix = isUstar ? textAt(header, 345, isStar ? 131 : 155) : '';
  const name = textAt(header, 0, 100);
  return {
    type: String.fromCharCode(header[156] as number),
    size: numberAt(header, 124, 12),
    name: prefix === '' ? name : `${prefix}/${name}`,
    target: textAt(header, 157, 100),
    mode: octal(header, 100, 8),
    mtime: Math.max(0, timeAt(header)),
  };
}

function textAt(header: Buffer, from: number, length: number): string {
  const field = header.subarray(from, from + length);
  const end = field.indexOf(0);
  return utf8(end < 0 ? field : field.subarray(0, end));
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw refuseArchive(`the name ${JSON.stringify(bytes.toString('latin1', 0, 80))} is not UTF-8`);
  }
}

function octal(header: Buffer, from: number, length: number): number {
  const digits = header
    .toString('latin1', from, from + length)
    .replace(/[\0 ]+$/g, '')
    .replace(/^ +/, '');
  if (!/^[0-7]*$/.test(digits)) throw refuseArchive('a header has a number that is not read');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** Octal, or where the first bit is set the big-endian number in the rest, as GNU writes large ones. */
function numberAt(header: Buffer, from: number, length: number): number {
  if (((header[from] as number) & 0x80) === 0) return octal(header, from, length);
  let value = (header[from] as number) & 0x7f;
  for (let i = from + 1; i < from + length; i++) value = value * 256 + (header[i] as number);
  if (value > MAX_FILE_BYTES) throw refuseArchive('a header has a number that is not read');
  return value;
}

/** When a file was changed decides nothing: a time that is not read is none. */
function timeAt(header: Buffer): number {
  try {
    return numberAt(header, 136, 12);
  } catch {
    return 0;
  }
}

function readLongName(type: string, content: Buffer): Extended {
  const end = content.indexOf(0);
  const text = utf8(end < 0 ? content : content.subarray(0, end));
  if (text === '') throw refuseArchive('a long name is empty');
  return type === 'L' ? { path: text } : { target: text };
}

/** Records of a pax header, `27 path=some/very/long/name\n`. */
function readPax(content: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const digits = space < 0 ? '' : content.toString('latin1', at, space);
    const end = at + Number(digits);
    const equals = content.indexOf(0x3d, space);
    if (
      !/^[1-9][0-9]{0,5}$/.test(digits) ||
      end > content.length ||
      equals < 0 ||
      equals >= end - 1 ||
      content[end - 1] !== 0x0a
    )
      throw refuseArchive('a pax header cannot be read');
    const key = content.toString('latin1', space + 1, equals);
    if (records.has(key)) throw refuseArchive(`a pax header sets ${key.slice(0, 40)} twice`);
    records.set(key, content.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** Keys without effect on the content that is sent, and those of other vendors but GNU's, which make a file sparse. */
const PAX_LEFT_OUT = /^(?:atime|ctime|uid|gid|uname|gname|comment|hdrcharset|(?!GNU\.)[A-Z]+\..*)$/;

/** @throws {GatewayError} `archive-unreadable` for a key that changes how an entry is read */
export function readExtended(content: Buffer): Extended {
  const found: { -readonly [K in keyof Extended]: Extended[K] } = {};
  for (const [key, value] of readPax(content)) {
    if (key === 'path') found.path = paxText(key, value);
    else if (key === 'linkpath') found.target = paxText(key, value);
    else if (key === 'mtime') found.mtime = Math.max(0, Math.floor(Number(value.toString('latin1')) || 0));
    else if (key === CAPABILITY) found.capability = Buffer.from(value);
    else if (key === 'size') {
      const digits = value.toString('latin1');
      // Where the plain header has room for it, two readers could take two sizes.
      if (!/^[1-9][0-9]{9,15}$/.test(digits) || Number(digits) > MAX_FILE_BYTES || Number(digits) < 0o100000000000)
        throw refuseArchive(`a pax header sets size ${digits.slice(0, 20)}`);
      found.size = Number(digits);
    } else if (!PAX_LEFT_OUT.test(key)) throw refuseArchive(`a pax header sets ${key.slice(0, 40)}`);
  }
  return found;
}

function paxText(key: string, value: Buffer): string {
  const text = utf8(value);
  if (text === '' || text.includes('\0')) throw refuseArchive(`a pax header sets ${key} to nothing that can be read`);
  return text;
}
