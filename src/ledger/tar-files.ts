// Reads a tar archive of plain files and folders, such as `docker save` writes, and gives the files one by one. Narrower than
// tar-reader.ts: nothing of the archive is passed on, so entries that are not needed are refused. POSIX.1-2001 pax, with GNU long names.
import { Pieces } from './pieces.ts';
import { cleanPath, readExtended, readHeader, refuseArchive as refuse } from './tar-reader.ts';

const BLOCK = 512;
/** Largest extended header, in bytes: it holds a name. */
const MAX_EXTENDED_BYTES = 64 * 1024;
/** Zeros behind the end, as tar fills its last record, in bytes. */
const MAX_PADDING = 1024 * 1024;
/** Most headers, of entries and of their names: an image has three files a layer. Entries without content cost the sender little. */
const MAX_HEADERS = 20_000;

export interface TarFileSink {
  /** A file begins. Throws to end the reading. */
  begin(path: string, size: number): void | Promise<void>;
  write(piece: Buffer): void | Promise<void>;
  end(): void | Promise<void>;
}

/** @throws {GatewayError} `archive-unreadable`, and what the sink throws */
export async function readTarFiles(source: AsyncIterable<Uint8Array>, sink: TarFileSink): Promise<void> {
  const bytes = new Pieces(source);
  try {
    await readEntries(bytes, sink);
  } finally {
    await bytes.close();
  }
}

async function readEntries(bytes: Pieces, sink: TarFileSink): Promise<void> {
  const seen = new Set<string>();
  let longName: string | undefined;
  for (let headers = 0; ; headers++) {
    if (headers > MAX_HEADERS) throw refuse(`it has more than ${MAX_HEADERS} entries`);
    const header = await bytes.exactly(BLOCK);
    if (header === undefined) throw refuse('it ends before its end: it was cut off');
    if (header.every((byte) => byte === 0)) {
      if (longName !== undefined) throw refuse('a name belongs to no entry');
      await readPadding(bytes);
      return;
    }
    // `docker save` writes no file too large for a plain header.
    if (((header[124] as number) & 0x80) !== 0) throw refuse('a header has a number that is not read');
    const { type, size, name } = readHeader(header);
    const padding = (BLOCK - (size % BLOCK)) % BLOCK;
    if (type === 'x' || type === 'L') {
      if (longName !== undefined) throw refuse('an entry has two names');
      const content = size > MAX_EXTENDED_BYTES ? undefined : await bytes.exactly(size + padding);
      if (content === undefined) throw refuse('an extended header is too long');
      // A pax header that holds no name leaves it to the entry.
      longName =
        type === 'L'
          ? content.toString('utf8', 0, size).replace(/\0+$/, '')
          : readExtended(content.subarray(0, size)).path;
      continue;
    }
    const path = pathOf(longName ?? name);
    longName = undefined;
    if (type === '5') {
      if (size > 0) throw refuse(`the folder ${path} has a size`);
      continue;
    }
    if (type === '1' || type === '2')
      throw refuse(`${path} is a link, as Docker before version 25 writes; load it there and save it again`);
    if (type !== '0' && type !== '\0') throw refuse(`the entry ${path} is of a kind that is not read`);
    if (path === '' || seen.has(path)) throw refuse(`it has ${JSON.stringify(path)} twice, or a file without a name`);
    seen.add(path);
    await sink.begin(path, size);
    for (let left = size; left > 0; ) {
      const piece = await bytes.upTo(left);
      if (piece === undefined) throw refuse('it ends in the middle of an entry: it was cut off');
      left -= piece.length;
      await sink.write(piece);
    }
    if (padding > 0 && (await bytes.exactly(padding)) === undefined)
      throw refuse('it ends in the middle of an entry: it was cut off');
    await sink.end();
  }
}

function pathOf(name: string): string {
  if (name.startsWith('/') || name.split('/').includes('..'))
    throw refuse(`the name ${JSON.stringify(name.slice(0, 80))} is not read`);
  return cleanPath(name);
}

async function readPadding(bytes: Pieces): Promise<void> {
  for (let read = 0; ; ) {
    const piece = await bytes.upTo(MAX_PADDING);
    if (piece === undefined) return;
    read += piece.length;
    if (read > MAX_PADDING || piece.some((byte) => byte !== 0)) throw refuse('it goes on behind its end');
  }
}
