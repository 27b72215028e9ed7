// What the steps of a classic build leave behind: containers of a build that failed, was given up or keeps them (`rm=0`), and the
// last image of one that failed. No call names them, and labels alone prove nothing, as a container has those of its image. What
// is taken for a tenant's has the shape only the builder gives a container, and stands on an image without a name.
import { derivedKey, type LedgerEntry } from '../../ledger/entry.ts';
import { SEAL_LABEL, TENANT_LABEL } from '../../ledger/labels.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import { ask, filtersQuery, findContainer, findImage, inner, items, MAX_LIST_BYTES, text } from './engine-state.ts';
import type { StreamWords } from './stream-words.ts';
import type { TenancyState, TenantCall } from './tenant-call.ts';

/** Clocks of the engine and of the gateway may differ by this much, in ms. */
const SKEW_MS = 2_000;

/** A container of a step, as the engine has it. */
export interface LeftContainer {
  readonly id: string;
  readonly tenant: string;
}

/** Containers of build steps that have no owner, of one tenant or of all. */
export async function leftContainers(
  { engine, ledger }: Pick<TenancyState, 'engine' | 'ledger'>,
  tenant?: string,
): Promise<readonly LeftContainer[]> {
  const label = tenant === undefined ? TENANT_LABEL : `${TENANT_LABEL}=${tenant}`;
  const list = await ask(engine, `/containers/json?all=1&${filtersQuery({ label: [label] })}`, MAX_LIST_BYTES);
  const left: LeftContainer[] = [];
  for (const one of items(list)) {
    const id = text(one.Id);
    const whose = text(inner(one.Labels, TENANT_LABEL));
    // One a call made bears a seal, and its entry may not know it yet.
    const isSealed = text(inner(one.Labels, SEAL_LABEL)) !== '';
    if (whose === '' || isSealed || ledger.holders('container', id).length > 0) continue;
    if (await isOfStep(engine, id)) left.push({ id, tenant: whose });
  }
  return left;
}

/** The builder alone makes containers without a log, on an image it names by its id, which has no name since a step made it. */
async function isOfStep(engine: EngineClient, id: string): Promise<boolean> {
  const found = await ask(engine, `/containers/${id}/json`);
  const log = text(inner(inner(inner(found, 'HostConfig'), 'LogConfig'), 'Type'));
  const image = text(inner(inner(found, 'Config'), 'Image'));
  if (log !== 'none' || !/^sha256:[0-9a-f]{64}$/.test(image)) return false;
  // Gone already is the image of a step whose build was cleaned up.
  return ((await findImage(engine, image))?.tags ?? []).length === 0;
}

/** What a build that has ended left, as entries of its maker's: live, to be applied. */
export async function learnLeft(words: StreamWords, tenantCall: TenantCall): Promise<LedgerEntry[]> {
  const { state, tenant } = tenantCall;
  const isOnlyOne = (state.building.get(tenant) ?? 0) <= 1;
  const changes: LedgerEntry[] = [];
  for (const { id } of await leftContainers(state, tenant)) {
    // Of two builds at once each takes its own; a quiet one does not say which they are.
    const isNamed = [...words.steps].some((step) => id.startsWith(step));
    if (!isNamed && !isOnlyOne) continue;
    const entry = await containerEntry(id, tenantCall);
    if (entry !== undefined) changes.push(entry);
  }
  const image = words.lastImage === undefined ? undefined : await leftImage(words.lastImage, tenantCall);
  return image === undefined ? changes : [...changes, image];
}

async function containerEntry(id: string, tenantCall: TenantCall): Promise<LedgerEntry | undefined> {
  const found = await findContainer(tenantCall.state.engine, id);
  if (found === undefined || tenantCall.ledger.holders('container', id).length > 0) return undefined;
  const { name, share, isRunning } = found;
  return tenantCall.make({ kind: 'container', id, name, state: 'live', share, isRunning });
}

/** The image the last step made, where no name leads to it and it is as young as the build. */
async function leftImage(start: string, tenantCall: TenantCall): Promise<LedgerEntry | undefined> {
  const { ledger, state, tenant, owner } = tenantCall;
  const found = await ask(state.engine, `/images/sha256:${start}/json`);
  const id = text(inner(found, 'Id'));
  if (id === '' || ledger.imageHolders(id).length > 0) return undefined;
  const isNew = Date.parse(text(inner(found, 'Created'))) >= owner.atMs - SKEW_MS;
  const isOwn = text(inner(inner(inner(found, 'Config'), 'Labels'), TENANT_LABEL)) === tenant;
  const tags = inner(found, 'RepoTags');
  if (!isNew || !isOwn || (Array.isArray(tags) && tags.length > 0)) return undefined;
  const image = await findImage(state.engine, id);
  return tenantCall.make({ kind: 'image', id, name: id, state: 'live', parent: id, share: image?.share });
}

/** Entries for what builds of unknown outcome left: owned by the identity that built last in the tenant, where it is known. */
export async function leftUnseen(state: TenancyState, nowMs: number): Promise<LedgerEntry[]> {
  const changes: LedgerEntry[] = [];
  for (const { id, tenant } of await leftContainers(state)) {
    if ((state.building.get(tenant) ?? 0) > 0) continue;
    const found = await findContainer(state.engine, id);
    if (found === undefined || state.ledger.holders('container', id).length > 0) continue;
    const builder = state.builders.get(tenant);
    const auditId = builder?.auditId ?? '';
    changes.push({
      ...{ key: derivedKey(auditId, 'container', id), kind: 'container', id, name: found.name, tenant, auditId },
      ...{ owner: builder?.subject ?? '', tokenId: builder?.tokenId, state: 'live', createdAt: builder?.atMs ?? nowMs },
      ...{ leaseUntil: builder?.leaseUntil, share: found.share, isRunning: found.isRunning },
    });
  }
  return changes;
}
