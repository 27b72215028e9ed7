// Gives a tenant what was made elsewhere: finds the objects at the engine and writes them into the ledger. What another tenant
// owns is never given away.
import type { Recorder } from '../../audit/event.ts';
import { canonicalImageReference } from '../../engine/image-reference.ts';
import { GatewayError } from '../../errors.ts';
import type { LedgerEntry, OwnedKind } from '../../ledger/entry.ts';
import { canonicalOf, PREDEFINED_NETWORKS } from '../../ledger/views.ts';
import { isWithheld } from '../../ledger/withheld.ts';
import {
  ask,
  filtersQuery,
  findContainer,
  findImage,
  findVolume,
  inner,
  items,
  MAX_LIST_BYTES,
  text,
} from './engine-state.ts';
import type { TenancyState } from './tenant-call.ts';

/** Most changes written with one event. */
const MAX_CHANGES = 100;

export interface Wanted {
  readonly label?: string | undefined;
  readonly composeProject?: string | undefined;
  readonly containers?: readonly string[] | undefined;
  readonly volumes?: readonly string[] | undefined;
  readonly networks?: readonly string[] | undefined;
  readonly images?: readonly string[] | undefined;
}

type Found = Pick<LedgerEntry, 'kind' | 'id' | 'name'> & Partial<LedgerEntry>;

/** @throws {GatewayError} `not-found`, `conflict` */
export async function findAdoptable(
  state: TenancyState,
  tenant: string,
  wanted: Wanted,
  nowMs: number,
): Promise<readonly LedgerEntry[]> {
  const found = new Map<string, Found>();
  const add = (one: Found) => found.set(`${one.kind}/${one.id}`, one);
  for (const label of [
    ...(wanted.label === undefined ? [] : [wanted.label]),
    ...(wanted.composeProject === undefined ? [] : [`com.docker.compose.project=${wanted.composeProject}`]),
  ]) {
    for (const one of await byLabel(state, label)) add(one);
  }
  for (const name of wanted.containers ?? []) for (const one of await container(state, name)) add(one);
  for (const name of wanted.volumes ?? []) {
    const volume = await findVolume(state.engine, name);
    if (volume === undefined) throw nothing('volume', name);
    add({ kind: 'volume', id: name, name, engineCreatedAt: volume.createdAt });
  }
  for (const name of wanted.networks ?? []) {
    const network = await ask(state.engine, `/networks/${encodeURIComponent(name)}`);
    const shown = text(inner(network, 'Name'));
    if (network === undefined || PREDEFINED_NETWORKS.has(shown)) throw nothing('network', name);
    add({ kind: 'network', id: text(inner(network, 'Id')), name: shown });
  }
  for (const name of wanted.images ?? []) {
    const reference = canonicalImageReference(name);
    const image = await findImage(state.engine, reference);
    if (image === undefined || canonicalOf(reference) === undefined) throw nothing('image', name);
    add({ kind: 'image', id: reference, name: reference, parent: image.id, share: image.share });
  }
  const entries: LedgerEntry[] = [];
  for (const one of found.values()) {
    const holders = state.ledger.holders(one.kind, one.id);
    const other = holders.find((entry) => entry.tenant !== tenant && !isWithheld(entry));
    if (other !== undefined) {
      throw new GatewayError('conflict', `${one.kind} ${one.name || one.id} belongs to tenant ${other.tenant}`);
    }
    if (holders.some((entry) => entry.tenant === tenant)) continue;
    entries.push({ key: '', tenant, owner: '', auditId: '', state: 'live', createdAt: nowMs, ...one });
  }
  return entries;
}

const nothing = (kind: OwnedKind, name: string): GatewayError =>
  new GatewayError('not-found', `the engine has no ${kind} ${name} that could be adopted`);

/** A container, with the volumes without a name that came with it. */
async function container(state: TenancyState, name: string): Promise<readonly Found[]> {
  const found = await findContainer(state.engine, name.replace(/^\//, ''));
  if (found === undefined) throw nothing('container', name);
  const anonymous = found.volumes.filter((volume) => /^[0-9a-f]{64}$/.test(volume));
  return [
    { kind: 'container', id: found.id, name: found.name },
    ...anonymous.map((volume): Found => ({ kind: 'volume', id: volume, name: volume })),
  ];
}

async function byLabel(state: TenancyState, label: string): Promise<readonly Found[]> {
  const { engine } = state;
  const query = filtersQuery({ label: [label] });
  const found: Found[] = [];
  for (const one of items(await ask(engine, `/containers/json?all=1&${query}`, MAX_LIST_BYTES))) {
    found.push(...(await container(state, text(one.Id))));
  }
  for (const one of items(inner(await ask(engine, `/volumes?${query}`, MAX_LIST_BYTES), 'Volumes'))) {
    found.push({ kind: 'volume', id: text(one.Name), name: text(one.Name), engineCreatedAt: text(one.CreatedAt) });
  }
  for (const one of items(await ask(engine, `/networks?${query}`, MAX_LIST_BYTES))) {
    found.push({ kind: 'network', id: text(one.Id), name: text(one.Name) });
  }
  return found;
}

/** Writes entries from `findAdoptable` down. @throws {GatewayError} `audit-unwritable` with nothing adopted from there on */
export async function adopt(
  state: TenancyState,
  entries: readonly LedgerEntry[],
  owner: { readonly subject: string; readonly auditId: string },
  recorder: Recorder,
  nowMs: number,
): Promise<void> {
  const owned = entries.map((entry, i) => ({
    ...entry,
    key: `${owner.auditId}/${i}`,
    owner: owner.subject,
    auditId: owner.auditId,
  }));
  const changes = [...owned, ...owned.flatMap((entry) => noLongerWithheld(entry, state))];
  for (let at = 0; at < changes.length; at += MAX_CHANGES) {
    const some = changes.slice(at, at + MAX_CHANGES);
    await recorder.record({
      at: nowMs * 1000,
      stage: 'gateway',
      auditId: owner.auditId,
      subject: owner.subject,
      tenant: owned[0]?.tenant,
      action: 'ledger.adopt',
      decision: 'allow',
      detail: { objects: some.map(({ kind, id }) => `${kind}/${id}`) },
      ledger: some,
    });
    for (const entry of some) state.ledger.apply(entry);
  }
}

/** What withheld an adopted image: under its name, its id and its digests. Other tags of it stay withheld. */
function noLongerWithheld(entry: LedgerEntry, { ledger }: TenancyState): LedgerEntry[] {
  if (entry.kind !== 'image' || entry.parent === undefined) return [];
  return ledger
    .imageHolders(entry.parent)
    .filter((other) => isWithheld(other) && (other.id === entry.id || /^sha256:|@/.test(other.id)))
    .map((other): LedgerEntry => ({ ...other, state: 'void' }));
}

/** Images withheld from every tenant, by the names they have. */
export const withheldImages = ({ ledger }: TenancyState): readonly LedgerEntry[] =>
  [...ledger.entries()].filter(isWithheld);

/**
 * Gives withheld images to all, as if they had never had an owner: whole images, whichever of their names is given.
 *
 * @param images names or ids; undefined for all that are withheld
 * @throws {GatewayError} `not-found` for one that is not withheld, `audit-unwritable`
 */
export async function releaseImages(
  state: TenancyState,
  images: readonly string[] | undefined,
  by: { readonly subject: string; readonly auditId: string },
  recorder: Recorder,
  nowMs: number,
): Promise<readonly LedgerEntry[]> {
  const all = withheldImages(state);
  const wanted = new Set<string>();
  for (const name of images ?? []) {
    const id = /^sha256:[0-9a-f]{64}$/.test(name) ? name : canonicalImageReference(name);
    const found = all.filter((entry) => entry.id === id);
    if (found.length === 0) throw new GatewayError('not-found', `the image ${name.slice(0, 256)} is not withheld`);
    for (const { parent } of found) wanted.add(parent ?? id);
  }
  const freed = all.filter(({ parent, id }) => images === undefined || wanted.has(parent ?? id));
  for (let at = 0; at < freed.length; at += MAX_CHANGES) {
    const some = freed.slice(at, at + MAX_CHANGES).map((entry): LedgerEntry => ({ ...entry, state: 'void' }));
    await recorder.record({
      at: nowMs * 1000,
      stage: 'gateway',
      auditId: by.auditId,
      subject: by.subject,
      action: 'ledger.release',
      decision: 'allow',
      detail: { objects: some.map(({ id }) => `image/${id}`) },
      ledger: some,
    });
    for (const entry of some) state.ledger.apply(entry);
  }
  return freed;
}
