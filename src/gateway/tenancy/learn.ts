// What the ledger learns from the engine's answer to a call that made or ended something. Each function gives the changes; they
// are applied before the caller hears the answer and written with the call's outcome.
import { isOne } from '../../engine/canonical-names.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import { AUDIT_LABEL } from '../../ledger/labels.ts';
import { canonicalOf } from '../../ledger/views.ts';
import { isWithheld } from '../../ledger/withheld.ts';
import { findContainer, findImage, findVolume, inner, items, text } from './engine-state.ts';
import { isOthersAlone, isProved, keptImage, ofImage } from './images.ts';
import type { TenantCall } from './tenant-call.ts';

/** Exec instances remembered of one container; beyond, the oldest are forgotten, so many at once. */
const MAX_EXECS = 1000;
const FORGET_EXECS = 50;

const voided = (entry: LedgerEntry): LedgerEntry => ({ ...entry, state: 'void' });

/** A new container, with the volumes that came with it. */
export async function learnContainer(id: string, tenantCall: TenantCall): Promise<LedgerEntry[]> {
  const [main, ...volumes] = tenantCall.pending;
  if (main === undefined) return [];
  const found = await findContainer(tenantCall.state.engine, id);
  const share = found?.share ?? main.share;
  const changes: LedgerEntry[] = [{ ...main, id, name: found?.name ?? main.name, share, state: 'live' }];
  const present = new Set(found?.volumes ?? []);
  for (const volume of volumes) {
    const isNews = present.has(volume.id) && !isOwned(volume, tenantCall);
    changes.push(isNews ? await liveVolume(volume, tenantCall) : voided(volume));
    present.delete(volume.id);
  }
  for (const name of present) {
    // Volumes without a name, of the image or of the call, and named ones a call beside this one was about to make.
    if (tenantCall.ledger.holders('volume', name).length > 0) continue;
    const entry = tenantCall.make({ kind: 'volume', id: name, name, state: 'live' });
    changes.push(await liveVolume(entry, tenantCall));
  }
  return changes;
}

/** Whether the tenant has it already, by another call of its own that made it meanwhile. */
const isOwned = ({ kind, id }: LedgerEntry, { ledger, tenant }: TenantCall): boolean =>
  ledger.owned(tenant, kind, id) !== undefined;

async function liveVolume(entry: LedgerEntry, tenantCall: TenantCall): Promise<LedgerEntry> {
  const found = await findVolume(tenantCall.state.engine, entry.id);
  return { ...entry, state: 'live', ...(found === undefined ? {} : { engineCreatedAt: found.createdAt }) };
}

/** Entries reserved by a call the engine refused. A volume may have been made before the refusal. */
export async function learnRefusal(tenantCall: TenantCall): Promise<LedgerEntry[]> {
  const changes: LedgerEntry[] = [];
  for (const entry of tenantCall.pending) {
    const isThere =
      entry.kind === 'volume' &&
      entry.id !== '' &&
      (await findVolume(tenantCall.state.engine, entry.id)) !== undefined &&
      !isOwned(entry, tenantCall);
    changes.push(isThere ? await liveVolume(entry, tenantCall) : voided(entry));
  }
  return changes;
}

/**
 * A volume as the engine answered it. The engine answers with a volume that is there already, also with another tenant's.
 *
 * @returns undefined when it is not the one this call made
 */
export function learnVolume(answer: unknown, tenantCall: TenantCall): LedgerEntry[] | undefined {
  const [entry] = tenantCall.pending;
  if (entry === undefined) return [];
  const name = text(inner(answer, 'Name'));
  if (inner(inner(answer, 'Labels'), AUDIT_LABEL) !== tenantCall.owner.auditId) {
    // Another call of the tenant's made it a moment before: the engine answers both alike, and so do we.
    const isMine = tenantCall.ledger
      .holders('volume', name)
      .some(({ tenant, key }) => tenant === tenantCall.tenant && key !== entry.key);
    return isMine ? [voided(entry)] : undefined;
  }
  return [{ ...entry, id: name, name, state: 'live', engineCreatedAt: text(inner(answer, 'CreatedAt')) }];
}

/** An object whose full id is in the answer: network, exec instance, service, secret, config. */
export function learnId(answer: unknown, tenantCall: TenantCall): LedgerEntry[] {
  const [entry] = tenantCall.pending;
  const id = text(inner(answer, 'Id')) || text(inner(answer, 'ID'));
  if (entry === undefined || id === '') return [];
  const live: LedgerEntry = { ...entry, id, state: 'live' };
  if (entry.kind !== 'exec') return [live];
  // The engine forgets instances minutes after they ended; a container that lives for months has had many.
  const known = [...tenantCall.ledger.execsOf(entry.parent ?? '')];
  const forgotten = known.length < MAX_EXECS ? [] : known.slice(0, FORGET_EXECS);
  return [live, ...forgotten.map((old): LedgerEntry => ({ ...old, state: 'void' }))];
}

/** References that now name an image of the tenant's; an image without one is known by its id. */
export async function learnImages(
  imageId: string | undefined,
  tenantCall: TenantCall,
  action?: string,
): Promise<LedgerEntry[]> {
  const changes: LedgerEntry[] = [];
  const nameless = tenantCall.pending.find(({ kind, id }) => kind === 'image' && id === '');
  for (const entry of tenantCall.pending) {
    if (entry === nameless) continue;
    const found = await findImage(tenantCall.state.engine, entry.id);
    // A call that failed made nothing, even if the name exists by now. A loaded image bears no mark, and has another id in some stores.
    if (found === undefined || (action !== 'image.load' && !isProved(entry, found))) {
      changes.push(voided(entry));
      continue;
    }
    changes.push(...takingOver(ofImage(entry, found, tenantCall), tenantCall));
  }
  if (imageId !== undefined && tenantCall.ledger.owned(tenantCall.tenant, 'image', imageId) === undefined) {
    const found = await findImage(tenantCall.state.engine, imageId);
    // What a step of a build prints may read like the end of it: the image it made bears the label of this call.
    const isMade = action !== 'build.run' || inner(found?.labels, AUDIT_LABEL) === tenantCall.owner.auditId;
    if (found !== undefined && found.tags.length === 0 && isMade) {
      const what = { id: found.id, name: found.id, state: 'live', parent: found.id, share: found.share } as const;
      const entry = nameless ?? tenantCall.make({ kind: 'image', ...what });
      changes.push({ ...entry, ...what });
    }
  }
  if (nameless !== undefined && !changes.some(({ key }) => key === nameless.key)) changes.push(voided(nameless));
  return changes;
}

/** A reference that is taken over from an earlier image of the tenant's: the old entry ends, its image keeps an owner. */
function takingOver(entry: LedgerEntry, { ledger, tenant, owner }: TenantCall): LedgerEntry[] {
  const changes: LedgerEntry[] = [];
  for (const old of ledger.holders('image', entry.id)) {
    if (old.key === entry.key || old.tenant !== tenant || old.state !== 'live') continue;
    changes.push({ ...old, state: 'removed', removedAt: owner.atMs, replacedBy: entry.key });
    const kept = keptImage(old, entry.parent, ledger);
    if (kept !== undefined) changes.push(kept);
  }
  changes.push(entry);
  return changes;
}

/** A pull that ended well. An image that was shared before stays so. */
export async function learnPull(
  reference: string,
  tenantCall: TenantCall,
  /** Tags the engine says it pulled of a whole repository: others were made there meanwhile. */
  tags: ReadonlySet<string>,
): Promise<LedgerEntry[]> {
  const [pending] = tenantCall.pending;
  if (pending !== undefined) return [...outdated(pending, tenantCall), ...(await pulled(pending, tenantCall))];
  if (!tenantCall.claimsPull) return [];
  const names = isOne(reference) ? [reference] : [...tags].map((tag) => `${reference}:${tag}`);
  const changes: LedgerEntry[] = [];
  for (const name of names) {
    const entries = tenantCall.ledger.holders('image', name);
    if (entries.some((entry) => entry.isPulled !== true)) continue;
    const own = entries.find((entry) => entry.tenant === tenantCall.tenant);
    const entry = own ?? tenantCall.make({ kind: 'image', id: name, name, state: 'pending', isPulled: true });
    changes.push(...(await pulled(entry, tenantCall)));
  }
  return changes;
}

/** What a tenant knew under the name, or the digest, before: it keeps the image, and the name means the new one. */
function outdated(entry: LedgerEntry, { ledger, tenant }: TenantCall): LedgerEntry[] {
  if (entry.id === entry.name) return [];
  const before = ledger.aliased(tenant, entry.name);
  const twin = ledger.holders('image', entry.id).find((one) => one.tenant === tenant && one.key !== entry.key);
  return [
    ...(before === undefined || before === twin ? [] : [{ ...before, name: before.id }]),
    ...(twin === undefined ? [] : [voided(twin)]),
  ];
}

/** A claim to a name that was fetched, when there is an image under it; the image it meant before stays the tenant's. */
async function pulled(entry: LedgerEntry, { state, ledger }: TenantCall): Promise<LedgerEntry[]> {
  const found = await findImage(state.engine, entry.id);
  if (found === undefined) return entry.state === 'pending' ? [voided(entry)] : [];
  const isSame = entry.state === 'live' && entry.parent === found.id;
  const isForeign = isOthersAlone(entry.id, found.id, entry.tenant, ledger);
  const now = isForeign
    ? voided(entry)
    : isSame
      ? { ...entry, share: found.share }
      : ofImage(entry, found, { ledger, isShared: state.isShared });
  const kept = entry.state === 'live' ? keptImage(entry, found.id, ledger) : undefined;
  // Withheld because the outcome of an earlier pull was unknown: this pull settles it.
  const freed = ledger.holders('image', entry.id).filter(isWithheld).map(voided);
  return kept === undefined ? [now, ...freed] : [now, kept, ...freed];
}

/** What a build fetched for itself, with the tenant's credentials: a claim of the tenant's, as a pull would give. */
export async function learnBrought(tenantCall: TenantCall): Promise<LedgerEntry[]> {
  const changes: LedgerEntry[] = [];
  for (const entry of tenantCall.broughtByBuild.values()) {
    const found = await findImage(tenantCall.state.engine, entry.id);
    // With the same image as before nothing was fetched, or the image that was there already.
    const isOthers = tenantCall.ledger.holders('image', entry.id).some(({ tenant }) => tenant !== tenantCall.tenant);
    const isNews = found !== undefined && (found.id !== entry.parent || !isOthers);
    changes.push(...(isNews ? await pulled(entry, tenantCall) : [voided(entry)]));
  }
  return changes;
}

/** What `DELETE /images/{name}` says it untagged and deleted, as far as it is the tenant's. */
export function learnImageRemoval(answer: unknown, tenantCall: TenantCall, atMs: number): LedgerEntry[] {
  const changes: LedgerEntry[] = [];
  for (const item of items(answer)) {
    const id = canonicalOf(text(item.Untagged)) ?? text(item.Deleted);
    if (id !== '') changes.push(...tenantCall.ledger.ending('image', id, atMs));
  }
  return changes;
}
