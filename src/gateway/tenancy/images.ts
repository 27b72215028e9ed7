// Images are content, and content is shared: what belongs to a tenant is a reference it made, and what it may use is what it
// made, what it pulled, and what belongs to nobody and is shared.
import type { ResourceRef } from '../../engine/types.ts';
import { inUse, missing, taken } from '../../ledger/missing.ts';
import { canonicalOf, seesImage, seesReference } from '../../ledger/views.ts';
import { ask, type FoundImage, findImage, items } from './engine-state.ts';
import type { TenantCall } from './tenant-call.ts';

const isId = (reference: string): boolean => reference.startsWith('sha256:');

/** No image has this name: asking for it costs the engine what asking for a missing one costs. */
const nobodys = (reference: string): string => `docker.io/library/dockgate-none:${reference.length}`;

/**
 * Judges an image a call uses. Its name stays in the call where it is a name, and is held until the call is over; part of an id
 * becomes the whole id.
 *
 * @throws {GatewayError} `object-not-found`
 */
export async function useImage(
  reference: ResourceRef,
  tenantCall: TenantCall,
): Promise<{ id?: string; resolvedName?: string; write?: string } | undefined> {
  const { engine } = tenantCall.state;
  const { name } = reference;
  if (isId(name)) {
    const digits = name.slice('sha256:'.length);
    // The engine takes a name before part of an id: `cafe` is an image of that name if there is one.
    const asName = digits.length < 64 ? `docker.io/library/${digits}:latest` : undefined;
    if (asName !== undefined && (await findImage(engine, asName)) !== undefined) {
      if (!seesReference(tenantCall, asName)) throw missing('image', asName);
      tenantCall.hold('image', asName);
      return { write: asName };
    }
    const found = await findImage(engine, name);
    if (
      found === undefined ||
      !found.id.startsWith(name) ||
      !seesImage(tenantCall, found.id, [...found.tags, ...found.digests])
    ) {
      throw missing('image', name);
    }
    return { id: found.id, write: found.id };
  }
  tenantCall.hold('image', name);
  if (!/[:@]/.test(name.slice(name.lastIndexOf('/') + 1))) {
    // A push without a tag takes every tag of the repository.
    await useRepository(name, tenantCall);
    return undefined;
  }
  if (tenantCall.ledger.owned(tenantCall.tenant, 'image', name) !== undefined) return undefined;
  const sees = seesReference(tenantCall, name);
  const found = await findImage(engine, sees || name.includes('@') ? name : nobodys(name));
  if (found === undefined) throw missing('image', name);
  if (sees && !name.includes('@')) return undefined;
  if (!seesImage(tenantCall, found.id, [...found.tags, ...found.digests])) throw missing('image', name);
  return undefined;
}

async function useRepository(repository: string, tenantCall: TenantCall): Promise<void> {
  const tags = await tagsOf(repository, tenantCall);
  if (tags.length === 0 || !tags.every((tag) => seesReference(tenantCall, tag))) throw missing('image', repository);
}

/** Canonical references the engine has of a repository. */
export async function tagsOf(repository: string, { state }: TenantCall): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ reference: [familiarRepository(repository)] }));
  const list = await ask(state.engine, `/images/json?filters=${filters}`);
  return items(list)
    .flatMap((image) => (Array.isArray(image.RepoTags) ? image.RepoTags : []))
    .map((tag) => canonicalOf(String(tag)))
    .filter((tag): tag is string => tag?.startsWith(`${repository}:`) === true);
}

const familiarRepository = (repository: string): string => repository.replace(/^docker\.io\/(library\/)?/, '');

/**
 * Whether a tenant may give an image this name: nobody else has it, in the ledger or in the engine.
 *
 * @throws {GatewayError} `conflict`
 */
export async function takeReference(reference: string, tenantCall: TenantCall): Promise<void> {
  const { ledger, tenant, state } = tenantCall;
  const check = (): void => {
    const others = ledger.holders('image', reference).some((entry) => entry.tenant !== tenant);
    if (others || state.holds.isHeldByOthers('image', reference, tenant)) throw taken('image', reference);
  };
  check();
  const isOwn = ledger.holders('image', reference).length > 0;
  if (!isOwn && (await findImage(state.engine, reference)) !== undefined) throw taken('image', reference);
  check();
}

/**
 * Whether a tenant may remove an image: every name that would go is its own alone.
 *
 * @throws {GatewayError} `conflict`
 */
export async function removable(reference: string, tenantCall: TenantCall): Promise<void> {
  const { ledger, tenant, state } = tenantCall;
  const isMineAlone = (name: string): boolean => {
    const entries = ledger.holders('image', name);
    return entries.length > 0 && entries.every((entry) => entry.tenant === tenant);
  };
  let names = [reference];
  if (isId(reference)) {
    const found = await findImage(state.engine, reference);
    const tags = (found?.tags ?? []).map(canonicalOf).filter((tag) => tag !== undefined);
    names = tags.length > 0 ? tags : [reference];
  }
  if (!names.every(isMineAlone) || names.some((name) => state.holds.isHeldByOthers('image', name, tenant))) {
    throw inUse(reference);
  }
}

/**
 * Whether a tenant may pull a name, and whether it has a claim to it afterwards. A name that somebody made here is not replaced
 * by what a registry has under it.
 *
 * @throws {GatewayError} `conflict`
 */
export async function takePull(reference: string, tenantCall: TenantCall): Promise<boolean> {
  const { ledger, tenant, state } = tenantCall;
  const isRepository = !/[:@]/.test(reference.slice(reference.lastIndexOf('/') + 1));
  const names = isRepository ? await tagsOf(reference, tenantCall) : [reference];
  let claims = true;
  for (const name of names) {
    const entries = ledger.holders('image', name);
    if (entries.some((entry) => entry.tenant !== tenant && entry.isPulled !== true)) throw taken('image', name);
    if (entries.length > 0) continue;
    const found = await findImage(state.engine, name);
    if (found === undefined) continue;
    if (!isFromRegistry(found, name)) throw taken('image', name);
    if (seesReference(tenantCall, name)) claims = false;
  }
  return claims;
}

/** Whether an image came from the registry its name points to. */
function isFromRegistry(image: FoundImage, reference: string): boolean {
  const repository = repositoryOf(reference);
  return image.digests.some((digest) => {
    const canonical = canonicalOf(digest);
    return canonical !== undefined && repositoryOf(canonical) === repository;
  });
}

function repositoryOf(reference: string): string {
  const at = reference.indexOf('@');
  const named = at < 0 ? reference : reference.slice(0, at);
  const colon = named.lastIndexOf(':');
  return colon > named.lastIndexOf('/') ? named.slice(0, colon) : named;
}
