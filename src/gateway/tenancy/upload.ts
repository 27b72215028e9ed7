// What a tenant uploads and the engine reads as more than files: the Dockerfile of a build names images, and they must be ones the
// tenant may use. The archive streams through; the Dockerfile is held back until it was judged.
import { createGunzip } from 'node:zlib';
import { canonicalImage } from '../../engine/references.ts';
import type { EngineCall } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { imagesOfDockerfile } from '../../ledger/dockerfile.ts';
import { familiarImage } from '../../ledger/missing.ts';
import { cleanEntryPath, judgedTar, type TarJudge } from '../../ledger/tar-entries.ts';
import { ask, type Fields, inner, text } from './engine-state.ts';
import { takePull, useImage } from './images.ts';
import type { TenantCall } from './tenant-call.ts';

/** The upload of a call as it may reach the engine. Reading it throws `archive-unreadable` or `object-not-found`. */
export function judgedUpload(
  call: EngineCall,
  stream: AsyncIterable<Uint8Array>,
  tenantCall: TenantCall,
): AsyncIterable<Uint8Array> {
  if (tenantCall.archive !== undefined) return noticed(tenantCall.archive.body(), tenantCall);
  return noticed(call.action === 'build.run' ? judgedContext(call, stream, tenantCall) : stream, tenantCall);
}

async function* noticed(stream: AsyncIterable<Uint8Array>, tenantCall: TenantCall): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
  } catch (error) {
    tenantCall.isUploadBroken = true;
    throw error;
  }
}

function judgedContext(
  call: EngineCall,
  stream: AsyncIterable<Uint8Array>,
  tenantCall: TenantCall,
): AsyncIterable<Uint8Array> {
  const given = call.query.dockerfile?.[0] ?? '';
  const path = cleanEntryPath(given === '' ? 'Dockerfile' : given);
  const names = new Set([path, ...(path === 'Dockerfile' ? ['dockerfile'] : [])]);
  const judge: TarJudge = {
    wants: (entry) => names.has(entry),
    leadsTo: (entry) => path.startsWith(`${entry}/`),
    judge: (_entry, content) => judgeDockerfile(content, call, tenantCall),
  };
  return judgedTar(uncompressed(stream), judge);
}

/** Clients may compress what they send; the engine receives what was judged. */
export async function* uncompressed(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream[Symbol.asyncIterator]();
  try {
    let first: Buffer = Buffer.alloc(0);
    while (first.length < 2) {
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
    if (first[0] === 0x1f && first[1] === 0x8b) yield* unzipped(all());
    else yield* all();
  } finally {
    // An upload that was refused is read past.
    void reader.return?.(undefined);
  }
}

async function* unzipped(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
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

async function judgeDockerfile(content: Buffer, call: EngineCall, tenantCall: TenantCall): Promise<void> {
  const given = call.query.buildargs?.[0];
  const buildArgs = given === undefined || given === '' ? {} : (JSON.parse(given) as Record<string, string | null>);
  const isPulled = /^(1|true)$/i.test(call.query.pull?.[0] ?? '');
  for (const written of imagesOfDockerfile(content.toString('utf8'), buildArgs)) {
    await judgeBase(canonicalImage(written), isPulled, tenantCall);
  }
}

/** An image a build starts from: the tenant's, a shared one, or one the engine is yet to fetch. */
async function judgeBase(name: string, isPulled: boolean, tenantCall: TenantCall): Promise<void> {
  const { ledger, state } = tenantCall;
  const others = ledger.holders('image', name).some((entry) => entry.tenant !== tenantCall.tenant);
  const isMine = ledger.owned(tenantCall.tenant, 'image', name) !== undefined;
  if (others && !isMine) throw notThere(name);
  const takesPull = isPulled && !name.startsWith('sha256:') && (await takePull(name, tenantCall));
  const image = await ask(state.engine, `/images/${name.split('/').map(encodeURIComponent).join('/')}/json`);
  if (image === undefined) {
    if (name.startsWith('sha256:')) throw notThere(name);
    tenantCall.bring(name, undefined);
    tenantCall.hold('image', name);
    return;
  }
  if (takesPull) tenantCall.bring(name, text(inner(image, 'Id')));
  await useImage({ kind: 'image', name, at: 'Dockerfile', role: 'uses' }, tenantCall);
  const triggers = inner(inner(image, 'Config') as Fields, 'OnBuild');
  if (Array.isArray(triggers) && triggers.some((trigger) => /from=/i.test(String(trigger)))) {
    throw new GatewayError(
      'archive-unreadable',
      `the image ${familiarImage(name)} has a trigger that takes files from another image; it cannot be judged`,
    );
  }
}

/** As the engine answers for a name its registry does not know. */
const notThere = (name: string): GatewayError =>
  new GatewayError(
    'object-not-found',
    `pull access denied for ${familiarImage(name)}, repository does not exist or may require 'docker login'`,
  );
