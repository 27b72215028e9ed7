// `docker load` of a tenant's. The images' names are inside the archive, so it is kept on disk until it was read and judged; the
// engine then gets an archive written anew from what was read.
import { createHash, type Hash } from 'node:crypto';
import type { EngineCall, ResourceRef } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { type ArchivedImage, type ArchiveFile, imageArchiveTar, readImageArchive } from '../../ledger/image-archive.ts';
import { refuseReserved } from '../../ledger/labels.ts';
import { readTarFiles } from '../../ledger/tar-files.ts';
import type { TenantCall } from './tenant-call.ts';
import { uncompressed } from './upload.ts';

/** Room for uploads. */
export interface Spool {
  create(): Promise<SpoolFile>;
}
export interface SpoolFile {
  readonly size: number;
  /** @throws {GatewayError} `storage-full` */
  need(bytes: number): void;
  write(piece: Uint8Array): Promise<void>;
  read(offset: number, length: number): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** Archives on disk at once, of all tenants; each tenant has one. */
const MAX_AT_ONCE = 4;
const RETRY_S = 10;
/** Longest wait for the next piece of an upload, in ms. */
const IDLE_MS = 60_000;
/** Bytes between two looks at the space that is left. */
const LOOK_BYTES = 64 * 1024 * 1024;

export interface LoadedArchive {
  /** Names its images take, as objects the call makes. */
  readonly references: readonly ResourceRef[];
  /** The image that takes a name. */
  image(name: string): ArchivedImage | undefined;
  /** What the engine gets. */
  body(): AsyncIterable<Uint8Array>;
}

/**
 * Reads an upload of images; it is kept until the call is over.
 *
 * @throws {GatewayError} `archive-unreadable`, `body-too-large`, `storage-full`, `rate-limited`, `label-reserved`, `tenant-not-served`
 */
export async function keepArchive(upload: AsyncIterable<Uint8Array>, tenantCall: TenantCall): Promise<LoadedArchive> {
  const { state, tenant, owner } = tenantCall;
  const maxBytes = state.maxLoadBytes();
  if (maxBytes === 0)
    throw new GatewayError(
      'tenant-not-served',
      'denied: no image archives are loaded here (limits.loadBytes is 0); pull, import or build',
    );
  if (state.loading.has(tenant) || state.loading.size >= MAX_AT_ONCE)
    throw new GatewayError(
      'rate-limited',
      'another image archive is being loaded: one at a time, try again when it is done',
      {
        retryAfterS: RETRY_S,
      },
    );
  state.loading.add(tenant);
  tenantCall.onRelease(() => state.loading.delete(tenant));
  const spool = await state.spool.create();
  tenantCall.onRelease(() => void spool.close());
  const files = await keepFiles(uncompressed(arriving(upload)), spool, maxBytes);
  const archive = await readImageArchive(files, async ({ offset, size }) => {
    const pieces: Uint8Array[] = [];
    for await (const piece of spool.read(offset, size)) pieces.push(piece);
    return Buffer.concat(pieces);
  });
  for (const { names, labels } of archive.images) refuseReserved(labels, owner, `config.Labels of ${names[0]}`);
  const named = new Map(archive.images.flatMap((image) => image.names.map((name) => [name, image] as const)));
  return {
    references: [...named.keys()].map((name) =>
      Object.freeze({ kind: 'image', name, at: 'manifest.json', role: 'creates' }),
    ),
    image: (name) => named.get(name),
    body: () => imageArchiveTar(archive, ({ offset, size }) => spool.read(offset, size)),
  };
}

/** The upload as it comes, as long as it does. @throws {GatewayError} `request-timeout`, `request-malformed` */
async function* arriving(upload: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = upload[Symbol.asyncIterator]();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      const late = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new GatewayError('request-timeout', 'the archive stopped coming')), IDLE_MS);
      });
      const { value, done } = await Promise.race([reader.next(), late]);
      clearTimeout(timer);
      if (done === true) return;
      yield value;
    }
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    throw new GatewayError('request-malformed', 'the archive ended before its announced length', { cause });
  } finally {
    clearTimeout(timer);
    // The rest of the upload is dropped; one that hangs is not waited for.
    void reader.return?.(undefined);
  }
}

async function keepFiles(
  source: AsyncIterable<Uint8Array>,
  spool: SpoolFile,
  maxBytes: number,
): Promise<ReadonlyMap<string, ArchiveFile>> {
  const files = new Map<string, ArchiveFile>();
  let current:
    | { readonly path: string; readonly size: number; readonly offset: number; readonly hash: Hash }
    | undefined;
  let looked = 0;
  await readTarFiles(source, {
    begin(path, size) {
      if (spool.size + size > maxBytes)
        throw new GatewayError(
          'body-too-large',
          `the archive has more than ${maxBytes} bytes, the most that is loaded here`,
        );
      if (size > LOOK_BYTES || spool.size >= looked) {
        spool.need(size);
        looked = spool.size + LOOK_BYTES;
      }
      current = { path, size, offset: spool.size, hash: createHash('sha256') };
    },
    async write(piece) {
      current?.hash.update(piece);
      await spool.write(piece);
    },
    end() {
      if (current === undefined) return;
      const { path, size, offset, hash } = current;
      files.set(path, { size, offset, sha256: hash.digest('hex') });
    },
  });
  return files;
}

/** The call with the names it makes. */
export const withNames = (call: EngineCall, references: readonly ResourceRef[]): EngineCall =>
  Object.freeze({ ...call, resources: Object.freeze(references) });
