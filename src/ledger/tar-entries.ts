// Reads a tar archive as it streams by, and holds back the entries somebody wants to judge until they are whole: what is passed on
// is what came, and nothing of a held entry is passed on before it was judged. What two readers could read differently is refused.
// POSIX.1-2001 pax interchange format, with the GNU names in use.
import { GatewayError } from '../errors.ts';

const BLOCK = 512;
/** Largest entry that is held back, in bytes. */
const MAX_HELD_BYTES = 1024 * 1024;
/** Largest extended header, in bytes. */
const MAX_EXTENDED_BYTES = 64 * 1024;
const PAX_READ =
  /^(path|linkpath|mtime|atime|ctime|uid|gid|uname|gname|comment|hdrcharset|SCHILY\.|LIBARCHIVE\.|RHT\.)/;

export interface TarJudge {
  /** Whether an entry of this cleaned path is to be held back and judged. */
  wants(path: string): boolean;
  /** Whether an entry of this path leads to one that is judged: then it must be a folder. */
  leadsTo(path: string): boolean;
  /** A held entry, whole. Throws to end the upload. */
  judge(path: string, content: Buffer): void | Promise<void>;
}

/** `./a//b/../c` is `a/c`, as the engine cleans it. */
export function cleanEntryPath(path: string): string {
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') kept.pop();
    else kept.push(part);
  }
  return kept.join('/');
}

/** The refusal of an archive two readers could read in two ways, or that has no end. */
export const refuseArchive = (why: string): GatewayError =>
  new GatewayError('archive-unreadable', `the archive cannot be judged: ${why}`);

/** @throws {GatewayError} `archive-unreadable`, and what `judge` throws, before anything of the entry was passed on */
export async function* judgedTar(source: AsyncIterable<Uint8Array>, judge: TarJudge): AsyncGenerator<Uint8Array> {
  let buffer: Buffer = Buffer.alloc(0);
  const reader = source[Symbol.asyncIterator]();
  /** At least this many bytes in the buffer, or false at the end of the archive. */
  const fill = async (bytes: number): Promise<boolean> => {
    const parts = [buffer];
    let length = buffer.length;
    while (length < bytes) {
      const { value, done } = await reader.next();
      if (done === true) break;
      parts.push(Buffer.from(value.buffer, value.byteOffset, value.length));
      length += value.length;
    }
    if (parts.length > 1) buffer = Buffer.concat(parts);
    return buffer.length >= bytes;
  };
  const take = (bytes: number): Buffer => {
    const taken = buffer.subarray(0, bytes);
    buffer = buffer.subarray(bytes);
    return taken;
  };
  let longName: string | undefined;
  let held: Buffer[] = [];
  try {
    for (;;) {
      if (!(await fill(BLOCK))) {
        if (buffer.length > 0) throw refuseArchive('it ends in the middle of a header');
        return;
      }
      const header = Buffer.from(take(BLOCK));
      if (header.every((byte) => byte === 0)) {
        // The end of the archive; the engine reads nothing behind it, so nothing behind it is sent.
        yield Buffer.concat([header, Buffer.alloc(BLOCK)]);
        return;
      }
      const { type, size, name } = readHeader(header);
      const padded = Math.ceil(size / BLOCK) * BLOCK;
      if (type === 'x' || type === 'L' || type === 'K' || type === 'g') {
        if (type === 'g') throw refuseArchive('it has a header for all entries');
        if (size > MAX_EXTENDED_BYTES || !(await fill(padded))) throw refuseArchive('an extended header is too long');
        const content = Buffer.from(take(padded));
        held.push(header, content);
        if (type === 'L') longName = content.toString('utf8', 0, size).replace(/\0.*$/s, '');
        if (type === 'x') longName = paxPath(content.subarray(0, size)) ?? longName;
        continue;
      }
      const path = cleanEntryPath(longName ?? name);
      longName = undefined;
      const isLink = type === '1' || type === '2';
      const isFile = type === '0' || type === '\0' || type === '7';
      if (!isFile && !isLink && !'3456'.includes(type))
        throw refuseArchive(`the entry ${path} is of a kind that is not read`);
      if (!isFile && type !== '5' && judge.leadsTo(path)) throw refuseArchive(`${path} is no folder`);
      if (judge.wants(path)) {
        if (!isFile) throw refuseArchive(`${path} is no plain file`);
        if (size > MAX_HELD_BYTES) throw refuseArchive(`${path} is larger than ${MAX_HELD_BYTES} bytes`);
        if (!(await fill(padded))) throw refuseArchive('it ends in the middle of an entry');
        const content = Buffer.from(take(padded));
        await judge.judge(path, content.subarray(0, size));
        yield Buffer.concat([...held, header, content]);
        held = [];
        continue;
      }
      yield Buffer.concat([...held, header]);
      held = [];
      // Links and folders have no content whatever their size says.
      let left = isFile ? padded : 0;
      if (!isFile && size > 0 && type !== '5') throw refuseArchive(`the entry ${path} has a size and no content`);
      while (left > 0) {
        if (buffer.length === 0 && !(await fill(1))) throw refuseArchive('it ends in the middle of an entry');
        const piece = take(Math.min(left, buffer.length));
        left -= piece.length;
        yield Buffer.from(piece);
      }
    }
  } finally {
    await reader.return?.(undefined);
  }
}

/** Type, size and name of a header block. @throws {GatewayError} `archive-unreadable` */
export function readHeader(header: Buffer): { type: string; size: number; name: string } {
  const text = (from: number, length: number): string => {
    const end = header.indexOf(0, from);
    return header.toString('utf8', from, end < 0 || end > from + length ? from + length : end);
  };
  const octal = (from: number, length: number): number => {
    const digits = header
      .toString('latin1', from, from + length)
      .replace(/[\0 ]+$/g, '')
      .replace(/^ +/, '');
    if (!/^[0-7]*$/.test(digits)) throw refuseArchive('a header has a number that is not read');
    return digits === '' ? 0 : Number.parseInt(digits, 8);
  };
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] as number;
  if (!/^[0-7 ]+$/.test(header.toString('latin1', 148, 154)) || octal(148, 8) !== sum)
    throw refuseArchive('it is no tar archive, or a compressed one: send it without compression');
  const magic = header.toString('latin1', 257, 263);
  const prefix = magic === 'ustar\0' ? text(345, 155) : '';
  const name = text(0, 100);
  return {
    type: String.fromCharCode(header[156] as number),
    size: octal(124, 12),
    name: prefix === '' ? name : `${prefix}/${name}`,
  };
}

/** The path of a pax header, `27 path=some/very/long/name\n`; keys that change how an entry is read are refused. */
export function paxPath(content: Buffer): string | undefined {
  let at = 0;
  let path: string | undefined;
  while (at < content.length) {
    const space = content.indexOf(0x20, at);
    const length = Number(content.toString('latin1', at, space));
    if (space < 0 || !Number.isSafeInteger(length) || length < 5 || at + length > content.length)
      throw refuseArchive('a pax header cannot be read');
    const record = content.toString('utf8', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    const key = record.slice(0, equals);
    if (equals < 1 || !PAX_READ.test(key)) throw refuseArchive(`a pax header sets ${key.slice(0, 40)}`);
    if (key === 'path') path = record.slice(equals + 1);
    at += length;
  }
  return path;
}
