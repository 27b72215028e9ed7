// NDJSON in a file: appended, on disk before it counts, rotated by size. The file is opened for each batch, so that one that was moved
// away by another program is begun anew. A line that was cut off by a full disk or a crash is taken back before the next one is written.
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { formatted } from '../formats/formats.ts';
import { jsonLine } from '../formats/json-line.ts';
import type { FileSinkSetting } from './setting.ts';
import { type Batch, codeOf, type Origin, type Sink, SinkFault } from './sink.ts';

/** Bytes read at a time from the end of a file, in search of the end of its last whole line. */
const LOOK_BYTES = 64 * 1024;

export function fileSink(setting: FileSinkSetting, origin: Origin): Sink {
  return {
    async deliver({ logId, rows }: Batch) {
      try {
        write(setting, rows, logId, origin);
      } catch (error) {
        if (error instanceof SinkFault) throw error;
        throw new SinkFault(`the file cannot be written (${codeOf(error)})`);
      }
      return { refused: 0 };
    },
    close() {},
  };
}

function write(setting: FileSinkSetting, rows: Batch['rows'], logId: string, origin: Origin): void {
  mkdirSync(dirname(setting.path), { recursive: true, mode: 0o700 });
  let file = openWhole(setting.path);
  try {
    let text = '';
    const flush = (): void => {
      if (text === '') return;
      append(file.fd, file.size, text);
      file.size += Buffer.byteLength(text);
      text = '';
    };
    let pending = 0;
    for (const row of rows) {
      const line = `${jsonLine(formatted(setting.format, row, logId, origin))}\n`;
      const bytes = Buffer.byteLength(line);
      if (file.size + pending > 0 && file.size + pending + bytes > setting.maxBytes) {
        flush();
        fdatasyncSync(file.fd);
        closeSync(file.fd);
        file = { fd: -1, size: 0 };
        putAside(setting, row.seq - 1);
        file = openWhole(setting.path);
        pending = 0;
      }
      text += line;
      pending += bytes;
    }
    flush();
    fdatasyncSync(file.fd);
  } finally {
    if (file.fd >= 0) closeSync(file.fd);
  }
}

/** Opens the file at its end, which is the end of a line. */
function openWhole(path: string): { fd: number; size: number } {
  const fd = openSync(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    const found = fstatSync(fd);
    if (!found.isFile()) throw new SinkFault('the path names no ordinary file');
    let end = found.size;
    const piece = Buffer.alloc(Math.min(LOOK_BYTES, end));
    while (end > 0) {
      const length = Math.min(piece.length, end);
      readSync(fd, piece, 0, length, end - length);
      const newline = piece.subarray(0, length).lastIndexOf(0x0a);
      end += newline + 1 - length;
      if (newline >= 0) break;
    }
    if (end !== found.size) ftruncateSync(fd, end);
    return { fd, size: end };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** All of it or, where the disk is full, nothing: half a line would be read by a program that follows the file. */
function append(fd: number, size: number, text: string): void {
  const bytes = Buffer.from(text);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  } catch (error) {
    try {
      ftruncateSync(fd, size);
    } catch {
      // the next batch takes the cut line back
    }
    throw error;
  }
}

/** `audit.ndjson` becomes `audit.ndjson.000000001234`, by the last row in it; of those the newest are kept. */
function putAside({ path, keep }: FileSinkSetting, lastSeq: number): void {
  if (keep === 0) {
    rmSync(path, { force: true });
    return;
  }
  renameSync(path, `${path}.${String(lastSeq).padStart(12, '0')}`);
  const folder = dirname(path);
  const prefix = `${basename(path)}.`;
  const aside = readdirSync(folder)
    .filter((name) => name.startsWith(prefix) && /^[0-9]{12,16}$/.test(name.slice(prefix.length)))
    .sort((a, b) => Number(a.slice(prefix.length)) - Number(b.slice(prefix.length)));
  for (const name of aside.slice(0, Math.max(0, aside.length - keep))) rmSync(join(folder, name), { force: true });
}
