// Images are content, and content is shared: a tenant owns the references it made, and it may use images it
// made, images it pulled, and shared images without an owner.
import { isOne } from '../../engine/canonical-names.ts';
import type { ResourceRef } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { derivedKey, type LedgerEntry } from '../../ledger/entry.ts';
import { AUDIT_LABEL, OWNER_LABEL, TENANT_LABEL } from '../../ledger/labels.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { familiarImage, inUse, missing, taken } from '../../ledger/missing.ts';
import { canonicalOf, isFreeImage, type ShownImage, seesImage, seesName, shownImage } from '../../ledger/views.ts';
import { isWithheld } from '../../ledger/withheld.ts';
import { ask, type FoundImage, findImage, inner, items, text } from './engine-state.ts';
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
    const named = asName === undefined ? undefined : await findImage(engine, asName);
    if (asName !== undefined && named !== undefined) {
      if (!seesName(tenantCall, asName, named)) throw missing('image', asName);
      tenantCall.hold('image', asName);
      return { write: asName };
    }
    const found = await findImage(engine, name);
    if (found === undefined || !found.id.startsWith(name) || !seesImage(tenantCall, found)) {
      throw missing('image', name);
    }
    return { id: found.id, write: found.id };
  }
  tenantCall.hold('image', name);
  if (!isOne(name)) {
    // A push without a tag takes every tag of the repository.
    await useRepository(name, tenantCall);
    return undefined;
  }
  if (tenantCall.ledger.owned(tenantCall.tenant, 'image', name) !== undefined) return undefined;
  const alias = tenantCall.ledger.aliased(tenantCall.tenant, name);
  if (alias !== undefined) return { ...(alias.parent === undefined ? {} : { id: alias.parent }), write: alias.id };
  // A name of others is not asked for: what it means must not show in the time an answer takes.
  const isOthers = tenantCall.ledger.holders('image', name).length > 0;
  const found = await findImage(engine, isOthers ? nobodys(name) : name);
  if (isOthers || found === undefined || !seesName(tenantCall, name, found)) throw missing('image', name);
  return undefined;
}

async function useRepository(repository: string, tenantCall: TenantCall): Promise<void> {
  const named = await imagesOf(repository, tenantCall);
  if (named.length === 0 || !named.every(({ tag, image }) => seesName(tenantCall, tag, image))) {
    throw missing('image', repository);
  }
}

/** Canonical references the engine has of a repository, with the image each is of. */
async function imagesOf(
  repository: string,
  { state }: TenantCall,
): Promise<{ readonly tag: string; readonly image: ShownImage }[]> {
  const filters = encodeURIComponent(JSON.stringify({ reference: [familiarRepository(repository)] }));
  const list = await ask(state.engine, `/images/json?filters=${filters}`);
  return items(list)
    .map(shownImage)
    .flatMap((image) => image.tags.map((tag) => ({ tag: canonicalOf(tag), image })))
    .filter((one): one is { tag: string; image: ShownImage } => one.tag?.startsWith(`${repository}:`) === true);
}

/** Canonical references the engine has of a repository. */
export const tagsOf = async (repository: string, tenantCall: TenantCall): Promise<string[]> =>
  (await imagesOf(repository, tenantCall)).map(({ tag }) => tag);

/** Those of them the tenant may know of. */
export const seenTagsOf = async (repository: string, tenantCall: TenantCall): Promise<string[]> =>
  (await imagesOf(repository, tenantCall))
    .filter(({ tag, image }) => seesName(tenantCall, tag, image))
    .map(({ tag }) => tag);

const familiarRepository = (repository: string): string => repository.replace(/^docker\.io\/(library\/)?/, '');

/**
 * Whether a tenant may give an image this name: no other tenant has it, in the ledger or in the engine.
 *
 * @throws {GatewayError} `conflict`, `tenant-not-served` for a name the settings keep from tenants
 */
export async function takeReference(reference: string, tenantCall: TenantCall): Promise<void> {
  const { ledger, tenant, state } = tenantCall;
  refuseName(reference, tenantCall);
  const check = (): void => {
    const others = ledger.holders('image', reference).some((entry) => entry.tenant !== tenant);
    if (others || isTakenByCalls(reference, tenantCall)) throw taken('image', reference);
  };
  check();
  const isOwn = ledger.holders('image', reference).length > 0;
  if (!isOwn && (await findImage(state.engine, reference)) !== undefined) throw taken('image', reference);
  check();
}

/** Names outside are those people know: an operator that runs one which is here runs what is here. */
function refuseName(reference: string, { tenant, state }: TenantCall): void {
  const names = state.names();
  if (names === undefined || names.may(tenant, reference)) return;
  const allowed = names.of(tenant).join(', ') || 'none';
  throw new GatewayError(
    'tenant-not-served',
    `denied: the image name ${familiarImage(reference)} is not one that tenant ${tenant} may give (allowed: ${allowed}; setting tenants.names)`,
  );
}

/** Whether another tenant's call under way was judged by a name, or pulls every tag of its repository and may give it. */
export const isTakenByCalls = (reference: string, { state, tenant }: Pick<TenantCall, 'state' | 'tenant'>): boolean =>
  state.holds.isHeldByOthers('image', reference, tenant) ||
  state.holds.isHeldByOthers('repository', repositoryOf(reference), tenant);

/** Whether another tenant made an image of this name here, or is making one: it was not only pulled, nor is it withheld. */
export const isMadeByOthers = (reference: string, tenant: string, ledger: Ledger): boolean =>
  ledger
    .holders('image', reference)
    .some((entry) => entry.tenant !== tenant && entry.isPulled !== true && !isWithheld(entry));

/** As `isMadeByOthers`, of what a pull gives: one name, or every tag of a repository. */
export function givesOthersName(pulled: string, tenant: string, ledger: Ledger): boolean {
  if (isOne(pulled)) return isMadeByOthers(pulled, tenant, ledger);
  return [...ledger.entries()].some(
    ({ kind, id }) => kind === 'image' && id.startsWith(`${pulled}:`) && isMadeByOthers(id, tenant, ledger),
  );
}

/**
 * Whether a tenant may remove an image: every name that would go is its own alone, and no other tenant has what goes with them. With the
 * last tag of a repository go its digests, and with the last name of all the image.
 *
 * @throws {GatewayError} `conflict`
 */
export async function removable(reference: string, tenantCall: TenantCall): Promise<void> {
  const { ledger, tenant, state } = tenantCall;
  const isMine = (entry: LedgerEntry): boolean => entry.tenant === tenant;
  const isMineAlone = (name: string): boolean => {
    const entries = ledger.holders('image', name);
    return entries.length > 0 && entries.every(isMine);
  };
  const found = await findImage(state.engine, reference);
  const tags = (found?.tags ?? []).map(canonicalOf).filter((tag) => tag !== undefined);
  const digests = (found?.digests ?? []).map(canonicalOf).filter((digest) => digest !== undefined);
  const names = isId(reference) && tags.length > 0 ? tags : [reference];
  const tagged = new Set(tags.filter((tag) => !names.includes(tag)).map(repositoryOf));
  const emptied = new Set(names.map(repositoryOf).filter((repository) => !tagged.has(repository)));
  const gone = isId(reference) ? digests : digests.filter((digest) => emptied.has(repositoryOf(digest)));
  const isLeft = [...tags, ...digests].some((name) => !names.includes(name) && !gone.includes(name));
  const ids = found === undefined || isLeft ? [] : [found.id];
  const isOthers =
    [...gone, ...ids].some((name) => !ledger.holders('image', name).every(isMine)) ||
    ids.some((id) => !ledger.imageHolders(id).every(isMine)) ||
    [...names, ...gone, ...ids].some((name) => state.holds.isHeldByOthers('image', name, tenant));
  if (isOthers || !names.every(isMineAlone)) throw inUse(reference);
}

/**
 * Whether the images without a name that the engine removes along with one are the tenant's alone: with its last name go those it was
 * built from, up to the next that has a name. A layer without the label of a call of this tenant may be another's.
 */
export async function prunesOwnAlone(reference: string, { ledger, tenant, state }: TenantCall): Promise<boolean> {
  const [, ...layers] = items(
    await ask(state.engine, `/images/${reference.split('/').map(encodeURIComponent).join('/')}/history`),
  );
  for (const { Id, Tags } of layers) {
    if (Array.isArray(Tags) && Tags.length > 0) return true;
    const id = text(Id);
    if (!isId(id)) continue;
    const parent = await findImage(state.engine, id);
    const isOwn = text(inner(parent?.labels, TENANT_LABEL)) === tenant;
    if (!isOwn || ledger.imageHolders(id).some((entry) => entry.tenant !== tenant)) return false;
  }
  return true;
}

/**
 * Whether a tenant may pull a name, and whether it has a claim to it afterwards. A name that a tenant made here is not replaced
 * by the registry's image of that name.
 *
 * @throws {GatewayError} `conflict`
 */
export async function takePull(reference: string, tenantCall: TenantCall): Promise<boolean> {
  const { ledger, tenant, state } = tenantCall;
  const names = isOne(reference) ? [reference] : await tagsOf(reference, tenantCall);
  let claims = true;
  for (const name of names) {
    const entries = ledger.holders('image', name);
    if (isMadeByOthers(name, tenant, ledger)) throw taken('image', name);
    if (entries.some((entry) => !isWithheld(entry) || entry.isPulled === true)) continue;
    const found = await findImage(state.engine, name);
    if (found === undefined) continue;
    if (!isFromRegistry(found, name)) throw taken('image', name);
    if (isFreeImage(tenantCall, found) && seesName(tenantCall, name, found)) claims = false;
  }
  return claims;
}

/**
 * Whether an image is the one that a call made which gave it this name: it bears the label of that call, it is the one the call was
 * about, or BuildKit, whose builds share what they made alike, made it for the same caller.
 */
export function isProved({ auditId, tenant, owner, parent }: LedgerEntry, { id, labels }: FoundImage): boolean {
  const label = (name: string): unknown => inner(labels, name);
  if (parent !== undefined) return parent === id;
  if (label(AUDIT_LABEL) !== undefined) return label(AUDIT_LABEL) === auditId;
  return label(TENANT_LABEL) === tenant && label(OWNER_LABEL) === owner;
}

/** Whether an image came from the registry its name points to. */
export function isFromRegistry(image: FoundImage, reference: string): boolean {
  const repository = repositoryOf(reference);
  return image.digests.some((digest) => {
    const canonical = canonicalOf(digest);
    return canonical !== undefined && repositoryOf(canonical) === repository;
  });
}

export function repositoryOf(reference: string): string {
  const at = reference.indexOf('@');
  const named = at < 0 ? reference : reference.slice(0, at);
  const colon = named.lastIndexOf(':');
  return colon > named.lastIndexOf('/') ? named.slice(0, colon) : named;
}

/**
 * Whether an image is of others, and none of them has it from this repository. A registry may answer with the digest of any tenant's
 * image, and the engine does not fetch content it has: such a pull proves nothing.
 */
export function isOthersAlone(reference: string, imageId: string, tenant: string, ledger: Ledger): boolean {
  const holders = ledger.imageHolders(imageId);
  const repository = repositoryOf(reference);
  return (
    holders.length > 0 && holders.every((entry) => entry.tenant !== tenant && repositoryOf(entry.id) !== repository)
  );
}

/** An entry for a name as it stands for an image that was found: an image that all tenants could use stays so. */
export const ofImage = (
  entry: LedgerEntry,
  found: FoundImage,
  view: Parameters<typeof isFreeImage>[0],
): LedgerEntry => ({
  ...entry,
  parent: found.id,
  share: found.share,
  state: 'live',
  isCommon: isFreeImage(view, found),
});

/**
 * The entry by which a tenant keeps an image that one of its names leaves: undefined when it has the image otherwise, or it was never
 * its own.
 */
export function keptImage(old: LedgerEntry, now: string | undefined, ledger: Ledger): LedgerEntry | undefined {
  const { parent } = old;
  if (parent === undefined || parent === now || old.id === parent || old.isCommon === true) return undefined;
  if (ledger.owned(old.tenant, 'image', parent) !== undefined) return undefined;
  return {
    ...old,
    key: derivedKey(old.key, 'image', parent),
    id: parent,
    name: parent,
    state: 'live',
    isPulled: undefined,
  };
}
