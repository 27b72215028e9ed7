// Room on disk for an upload that must be judged before the engine has any of it: a file without a name, so that it is gone with
// its call, or with the process.
import { chmodSync, mkdirSync, rmSync, statfsSync, unlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError } from '../errors.ts';

/** Space that is left to the databases beside it, in bytes. */
const KEPT_FREE_BYTES = 512 * 1024 * 1024;
const PIECE_BYTES = 256 * 1024;

/** @param folder of its own inside the data folder; its contents are removed */
export function createSpool(folder: string) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  chmodSync(folder, 0o700);
  let count = 0;
  return {
    /** An empty file. @throws {GatewayError} `storage-full` when none can be made */
    async create(): Promise<SpoolFile> {
      const path = join(folder, `${process.pid}-${count++}`);
      try {
        const handle = await open(path, 'wx+', 0o600);
        unlinkSync(path);
        return new SpoolFile(handle, folder);
      } catch (cause) {
        throw noSpace(cause);
      }
    },
  };
}

function noSpace(cause?: unknown): GatewayError {
  const why = cause === undefined ? '' : ` (${(cause as NodeJS.ErrnoException).code})`;
  const message = `the gateway has no space to judge this archive${why}, try again later or ask an operator`;
  return new GatewayError('storage-full', message, { cause });
}

class SpoolFile {
  readonly #handle: FileHandle;
  readonly #folder: string;
  #size = 0;
  #isClosed = false;

  constructor(handle: FileHandle, folder: string) {
    this.#handle = handle;
    this.#folder = folder;
  }

  /** Bytes written. */
  get size(): number {
    return this.#size;
  }

  /** @throws {GatewayError} `storage-full` when so many more bytes leave too little space */
  need(bytes: number): void {
    const { bavail, bsize } = statfsSync(this.#folder);
    if (bavail * bsize - bytes >= KEPT_FREE_BYTES) return;
    throw noSpace();
  }

  /** @throws {GatewayError} `storage-full` when the disk does not take it */
  async write(piece: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < piece.length; ) {
        const { bytesWritten } = await this.#handle.write(piece, at, piece.length - at, this.#size);
        at += bytesWritten;
        this.#size += bytesWritten;
      }
    } catch (cause) {
      throw noSpace(cause);
    }
  }

  /** A part of what was written, in pieces. */
  async *read(offset: number, length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0; ) {
      const piece = Buffer.alloc(Math.min(left, PIECE_BYTES));
      const { bytesRead } = await this.#handle.read(piece, 0, piece.length, offset + length - left);
      if (bytesRead === 0) throw new Error('a spool file is shorter than what was written');
      left -= bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  }

  /** Gives the space back; calling it again does nothing. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // The file has no name and no reader left: a failed close changes nothing.
    await this.#handle.close().catch(() => {});
  }
}
