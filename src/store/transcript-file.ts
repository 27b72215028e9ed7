// The file of one transcript, sealed as it grows: a head in the clear, then pieces of AES-256-GCM with a key of the file's own, derived
// from the folder's. Each piece is bound to its place and to the head; the last says that it is the last.
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { GatewayError } from '../errors.ts';

const MAGIC = 'dockgate-transcript 1\n';
const TAG = 16;
const LENGTH = 4;
/** Largest head and largest piece, in bytes. */
const MAX_HEAD = 8192;
const MAX_PIECE = 4 * 1024 * 1024;

/** What stands in front of a transcript, in the clear and bound to it. */
export interface TranscriptHead {
  readonly auditId: string;
  readonly subject: string;
  readonly tenant?: string | undefined;
  readonly container: readonly string[];
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly salt: string;
}

const keyOf = (key: Uint8Array, head: TranscriptHead): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', key, Buffer.from(head.salt, 'base64url'), 'dockgate transcript', 32));

/** Of a piece: its number, and whether it is the last. No two pieces of a file have the same. */
function nonceOf(index: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce[0] = isLast ? 1 : 0;
  nonce.writeUInt32BE(index, 8);
  return nonce;
}

export class TranscriptWriter {
  readonly #file: FileHandle;
  readonly #key: Uint8Array;
  readonly #bound: Buffer;
  readonly #hash = createHash('sha256');
  #pieces: number;
  #bytes = 0;

  private constructor(file: FileHandle, key: Uint8Array, bound: Buffer, pieces: number) {
    this.#file = file;
    this.#key = key;
    this.#bound = bound;
    this.#pieces = pieces;
  }

  /** A new file, its head on disk. @throws when there is no room, or the file is there already */
  static async create(path: string, key: Uint8Array, of: Omit<TranscriptHead, 'salt'>): Promise<TranscriptWriter> {
    const head: TranscriptHead = { ...of, salt: randomBytes(32).toString('base64url') };
    const text = Buffer.from(`${MAGIC}${JSON.stringify(head)}\n`);
    if (text.length > MAX_HEAD) throw new RangeError('the head of a transcript is too long');
    const file = await open(path, 'wx', 0o600);
    const writer = new TranscriptWriter(file, keyOf(key, head), createHash('sha256').update(text).digest(), 0);
    try {
      await writer.#put(text);
      await file.sync();
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
    return writer;
  }

  /** Goes on behind the whole pieces of a file that was left without its last one; what is behind them is cut off. */
  static async resume(path: string, key: Uint8Array): Promise<TranscriptWriter> {
    const file = await open(path, 'r+');
    try {
      const { head, bound, begin } = await readHead(file);
      const scan = await piecesOf(file, begin);
      await file.truncate(scan.end);
      const writer = new TranscriptWriter(file, keyOf(key, head), bound, scan.count);
      const room = Buffer.alloc(256 * 1024);
      for (;;) {
        const { bytesRead } = await file.read(room, 0, room.length, writer.#bytes);
        if (bytesRead === 0) return writer;
        writer.#hash.update(room.subarray(0, bytesRead));
        writer.#bytes += bytesRead;
      }
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** Of the file. */
  get bytes(): number {
    return this.#bytes;
  }

  /** In the kernel when this resolves: a kill of the process does not lose it. */
  async write(text: Uint8Array, isLast = false): Promise<void> {
    for (let at = 0; at < text.length || at === 0; at += MAX_PIECE / 2) {
      const part = text.subarray(at, at + MAX_PIECE / 2);
      const ends = isLast && at + MAX_PIECE / 2 >= text.length;
      const cipher = createCipheriv('aes-256-gcm', this.#key, nonceOf(this.#pieces, ends));
      cipher.setAAD(this.#bound);
      const sealed = [cipher.update(part), cipher.final()];
      const length = Buffer.alloc(LENGTH);
      length.writeUInt32BE(part.length + TAG);
      await this.#put(Buffer.concat([length, ...sealed, cipher.getAuthTag()]));
      this.#pieces++;
    }
  }

  /** On disk. */
  sync(): Promise<void> {
    return this.#file.datasync();
  }

  /** SHA-256 of the file so far, in hex. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #put(bytes: Buffer): Promise<void> {
    const at = this.#bytes;
    let done = 0;
    try {
      while (done < bytes.length) {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, at + done);
        done += bytesWritten;
      }
    } catch (error) {
      // Half a piece would be read as damage.
      await this.#file.truncate(at).catch(() => undefined);
      throw error;
    }
    this.#bytes += bytes.length;
    this.#hash.update(bytes);
  }
}

/** @throws {GatewayError} `store-corrupt` */
async function readHead(file: FileHandle): Promise<{ head: TranscriptHead; bound: Buffer; begin: number }> {
  const room = Buffer.alloc(MAX_HEAD);
  const { bytesRead } = await file.read(room, 0, MAX_HEAD, 0);
  const text = room.subarray(0, bytesRead);
  const end = text.indexOf('\n', MAGIC.length);
  if (end < 0 || text.toString('latin1', 0, MAGIC.length) !== MAGIC) throw altered('it is no transcript');
  try {
    const head = JSON.parse(text.toString('utf8', MAGIC.length, end)) as TranscriptHead;
    const bound = createHash('sha256')
      .update(text.subarray(0, end + 1))
      .digest();
    return { head, bound, begin: end + 1 };
  } catch {
    throw altered('its head cannot be read');
  }
}

/** How far whole pieces reach. */
async function piecesOf(file: FileHandle, begin: number): Promise<{ end: number; count: number; last: number }> {
  const { size } = await file.stat();
  const length = Buffer.alloc(LENGTH);
  let count = 0;
  let last = begin;
  for (let at = begin; ; count++) {
    const { bytesRead } = await file.read(length, 0, LENGTH, at);
    const next = at + LENGTH + length.readUInt32BE(0);
    if (bytesRead < LENGTH || next > size) return { end: at, count, last };
    last = at;
    at = next;
  }
}

const altered = (why: string): GatewayError =>
  new GatewayError('store-corrupt', `the transcript is not as it was written: ${why}`);

/** What a file says of itself in the clear, and its size. */
export async function transcriptHead(path: string): Promise<{ head: TranscriptHead; bytes: number }> {
  const file = await open(path, 'r');
  try {
    return { head: (await readHead(file)).head, bytes: (await file.stat()).size };
  } finally {
    await file.close();
  }
}

/** Whether it has its last piece. */
export async function isTranscriptWhole(path: string, key: Uint8Array): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const { head, bound, begin } = await readHead(file);
    const { end, count, last } = await piecesOf(file, begin);
    const { size } = await file.stat();
    if (count === 0 || end !== size || end - last > MAX_PIECE + TAG + LENGTH) return false;
    const sealed = Buffer.alloc(end - last - LENGTH);
    await file.read(sealed, 0, sealed.length, last + LENGTH);
    return opened(sealed, keyOf(key, head), bound, count - 1, true) !== undefined;
  } finally {
    await file.close();
  }
}

/**
 * The text of a transcript, piece by piece, and at the end whether it has its last piece: one that is being written has not.
 *
 * @throws {GatewayError} `store-corrupt` at the piece that was altered
 */
export async function* readTranscript(path: string, key: Uint8Array): AsyncGenerator<Buffer, boolean> {
  const file = await open(path, 'r');
  try {
    const { head, bound, begin } = await readHead(file);
    const fileKey = keyOf(key, head);
    const length = Buffer.alloc(LENGTH);
    for (let at = begin, index = 0; ; index++) {
      const { bytesRead } = await file.read(length, 0, LENGTH, at);
      if (bytesRead < LENGTH) return false;
      const size = length.readUInt32BE(0);
      if (size < TAG || size > MAX_PIECE + TAG) throw altered(`piece ${index + 1} has no right length`);
      const sealed = Buffer.alloc(size);
      // A missing piece is being written, or was when the gateway was killed.
      if ((await file.read(sealed, 0, size, at + LENGTH)).bytesRead < size) return false;
      const piece = opened(sealed, fileKey, bound, index, false) ?? opened(sealed, fileKey, bound, index, true);
      if (piece === undefined) throw altered(`piece ${index + 1} does not fit its seal`);
      yield piece.text;
      if (piece.isLast) return true;
      at += LENGTH + size;
    }
  } finally {
    await file.close();
  }
}

function opened(sealed: Buffer, key: Uint8Array, bound: Buffer, index: number, isLast: boolean) {
  const body = sealed.subarray(0, -TAG);
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(index, isLast), { authTagLength: TAG });
  decipher.setAAD(bound);
  decipher.setAuthTag(sealed.subarray(-TAG));
  try {
    return { text: Buffer.concat([decipher.update(body), decipher.final()]), isLast };
  } catch {
    return undefined;
  }
}
