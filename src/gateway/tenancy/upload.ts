// What a tenant uploads, on its way to the engine, and uploads that clients compressed.
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { GatewayError } from '../../errors.ts';
import type { TenantCall } from './tenant-call.ts';

/** An upload of a tenant's that is noticed when it breaks: the engine did nothing with it then. */
export async function* noticed(stream: AsyncIterable<Uint8Array>, tenantCall: TenantCall): AsyncGenerator<Uint8Array> {
  // Until the last of it is on its way: a caller may leave, and the call end, before the break itself is heard of.
  tenantCall.isUploadBroken = true;
  yield* stream;
  tenantCall.isUploadBroken = false;
}

/** Bytes that tell how an upload is compressed. */
const MAGIC_BYTES = 6;

/** @throws {GatewayError} `archive-unreadable` for what the engine could read and we cannot */
function formatOf(first: Buffer): 'gzip' | 'zstd' | undefined {
  const magic = first.toString('hex', 0, MAGIC_BYTES);
  if (magic.startsWith('1f8b')) return 'gzip';
  if (magic.startsWith('28b52ffd')) return 'zstd';
  const other = magic.startsWith('425a68') ? 'bzip2' : magic.startsWith('fd377a585a00') ? 'xz' : undefined;
  if (other === undefined) return undefined;
  throw new GatewayError(
    'archive-unreadable',
    `the archive cannot be judged: it is compressed with ${other}; send it plain, or as gzip or zstd`,
  );
}

/** Clients may compress what they send; the engine receives what was judged. */
export async function* uncompressed(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream[Symbol.asyncIterator]();
  try {
    let first: Buffer = Buffer.alloc(0);
    while (first.length < MAGIC_BYTES) {
      const { value, done } = await reader.next();
      if (done === true) break;
      first = Buffer.concat([first, value]);
    }
    async function* all(): AsyncGenerator<Uint8Array> {
      if (first.length > 0) yield first;
      for (;;) {
        const { value, done } = await reader.next();
        if (done === true) return;
        yield value;
      }
    }
    const format = formatOf(first);
    if (format !== undefined) yield* unpacked(all(), format);
    else yield* all();
  } finally {
    // An upload that was refused is read past.
    void reader.return?.(undefined);
  }
}

async function* unpacked(stream: AsyncIterable<Uint8Array>, format: 'gzip' | 'zstd'): AsyncGenerator<Uint8Array> {
  const gunzip = format === 'gzip' ? createGunzip() : createZstdDecompress();
  void (async () => {
    try {
      for await (const chunk of stream) {
        if (gunzip.destroyed) return;
        if (!gunzip.write(chunk))
          await new Promise<void>((resolve) => gunzip.once('drain', resolve).once('close', resolve));
      }
      gunzip.end();
    } catch (error) {
      gunzip.destroy(error as Error);
    }
  })();
  try {
    for await (const chunk of gunzip) yield chunk as Buffer;
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    throw new GatewayError('archive-unreadable', 'the archive cannot be judged: its compression is broken', { cause });
  } finally {
    gunzip.destroy();
  }
}
