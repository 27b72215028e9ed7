// Writes tar archives in one form: ustar headers, and a pax header in front where a name or a size does not fit. Owners, groups
// and access times are not written. POSIX.1-2001, which every engine reads the same.
import type { TarEntry } from './tar-reader.ts';

const BLOCK = 512;
const TYPES: Readonly<Record<TarEntry['type'], string>> = { file: '0', 'hard-link': '1', link: '2', folder: '5' };
/** The largest size a plain header holds. */
const MAX_PLAIN_SIZE = 0o77777777777;
const MAX_PLAIN_TIME = 0o77777777777;

/** Two empty blocks. */
export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK);

/** Zeros behind a content of this size. */
export const tarPadding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);

/** The header of an entry, with what goes before it. */
export function tarHeader(entry: TarEntry): Buffer {
  const name = entry.type === 'folder' ? `${entry.path}/` : entry.path;
  const records: Buffer[] = [];
  if (!isPlain(name)) records.push(paxRecord('path', Buffer.from(name)));
  if (!isPlain(entry.target)) records.push(paxRecord('linkpath', Buffer.from(entry.target)));
  if (entry.size > MAX_PLAIN_SIZE) records.push(paxRecord('size', Buffer.from(String(entry.size))));
  if (entry.capability !== undefined) records.push(paxRecord('SCHILY.xattr.security.capability', entry.capability));
  const header = block(entry, isPlain(name) ? name : 'x', isPlain(entry.target) ? entry.target : '');
  if (records.length === 0) return header;
  const content = Buffer.concat(records);
  const extended = block({ ...entry, size: content.length, mode: 0o644 }, 'PaxHeaders/x', '', 'x');
  return Buffer.concat([extended, content, tarPadding(content.length), header]);
}

/** Whether a name fits into a plain header: its bytes are its characters there. */
const isPlain = (name: string): boolean => name.length <= 100 && /^[ -~]*$/.test(name);

function block(entry: TarEntry, name: string, target: string, type = TYPES[entry.type]): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number) =>
    header.write(value.toString(8).padStart(digits, '0'), at, 'latin1');
  header.write(name, 0, 'latin1');
  octal(entry.mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(entry.size > MAX_PLAIN_SIZE ? 0 : entry.size, 124, 11);
  octal(Math.min(entry.mtime, MAX_PLAIN_TIME), 136, 11);
  header.write('        ', 148, 'latin1');
  header.write(type, 156, 'latin1');
  header.write(target, 157, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  octal(
    header.reduce((total, byte) => total + byte, 0),
    148,
    6,
  );
  header[154] = 0;
  return header;
}

/** The length in front counts its own digits. */
function paxRecord(key: string, value: Buffer): Buffer {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
}
