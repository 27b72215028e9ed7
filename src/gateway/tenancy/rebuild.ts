// Makes a ledger whole that was lost or is an older copy: objects whose labels prove their tenant are given back to it, and images
// without a known owner are withheld from all until an operator decides. Objects of other kinds without such labels are out of every
// tenant's reach anyway.
import type { Recorder } from '../../audit/event.ts';
import { derivedKey, type LedgerEntry } from '../../ledger/entry.ts';
import { SEAL_LABEL } from '../../ledger/labels.ts';
import type { SealedKind } from '../../ledger/seal.ts';
import { canonicalOf } from '../../ledger/views.ts';
import { withheldEntry } from '../../ledger/withheld.ts';
import {
  ask,
  askSwarm,
  type Fields,
  findContainer,
  findVolume,
  inner,
  items,
  MAX_LIST_BYTES,
  text,
} from './engine-state.ts';
import type { TenancyState } from './tenant-call.ts';

/** Most changes written with one event. */
const MAX_CHANGES = 100;

export interface RebuildParts {
  readonly recorder: Recorder;
  now(): number;
  newAuditId(): string;
}

export interface Rebuilt {
  readonly returned: number;
  readonly withheld: number;
}

/** @throws {GatewayError} `engine-unreachable`, `audit-unwritable`: to be tried again then */
export async function rebuild(state: TenancyState, parts: RebuildParts, why: string): Promise<Rebuilt> {
  const auditId = parts.newAuditId();
  const proved = await provedObjects(state, parts.now());
  const withheld = await unknownImages(state, auditId, parts.now());
  const write = async (entries: readonly LedgerEntry[], action: string, message: string): Promise<void> => {
    for (let at = 0; at < entries.length; at += MAX_CHANGES) {
      const some = entries.slice(at, at + MAX_CHANGES);
      await parts.recorder.record({
        at: parts.now() * 1000,
        stage: 'gateway',
        auditId,
        action,
        decision: 'allow',
        tenant: some.every(({ tenant }) => tenant === some[0]?.tenant) ? some[0]?.tenant : undefined,
        detail: { message, objects: some.map(({ kind, id, tenant }) => `${tenant}: ${kind}/${id}`) },
        ledger: some,
      });
      for (const entry of some) state.ledger.apply(entry);
    }
  };
  await write(proved, 'ledger.return', `${why}: its labels prove whose it is`);
  await write(withheld, 'ledger.withhold', `${why}: its owner is unknown`);
  return { returned: proved.filter(({ state: now }) => now === 'live').length, withheld: withheld.length };
}

interface Labelled {
  readonly kind: SealedKind;
  readonly id: string;
  readonly name: string;
  readonly labels: Fields;
  readonly item: Fields;
}

/** Objects whose labels carry a good seal that is theirs alone, as entries of their tenants. */
async function provedObjects(state: TenancyState, atMs: number): Promise<LedgerEntry[]> {
  const entries: LedgerEntry[] = [];
  const labelled = await labelledObjects(state);
  const uses = new Map<string, number>();
  for (const { kind, labels } of labelled) {
    const seal = `${kind}/${text(labels[SEAL_LABEL])}`;
    uses.set(seal, (uses.get(seal) ?? 0) + 1);
  }
  for (const { kind, id, name, labels, item } of labelled) {
    const sealed = state.seal.read(kind, labels);
    // Of two objects with the labels of one call at least one is a copy.
    if (sealed === undefined || uses.get(`${kind}/${text(labels[SEAL_LABEL])}`) !== 1) continue;
    const engineCreatedAt = text(item.CreatedAt);
    const earlier = kind === 'volume' ? earlierVolumes(id, engineCreatedAt, state, atMs, sealed.auditId) : undefined;
    if (earlier === undefined && state.ledger.holders(kind, id).length > 0) continue;
    const key = `${sealed.auditId}/0`;
    // A call whose outcome is not known yet finds its object by itself.
    if (state.ledger.byKey(key) !== undefined) continue;
    if (kind === 'container' && (await isOfImage(labels, item, state))) continue;
    const { tenant, subject: owner, auditId } = sealed;
    const entry: LedgerEntry = { key, kind, id, name, tenant, owner, auditId, state: 'live', createdAt: atMs };
    if (kind === 'volume') entries.push(...(earlier ?? []), { ...entry, engineCreatedAt });
    else entries.push(entry);
  }
  return withTheirVolumes(entries, state, atMs);
}

/**
 * What the ledger knows under a volume's name when that is another volume, as entries that end: an older copy of the ledger has the one
 * that had the name before. Undefined where it knows the volume itself, or a call is about to make it.
 */
function earlierVolumes(
  name: string,
  createdAt: string,
  { ledger }: TenancyState,
  atMs: number,
  auditId?: string,
): readonly LedgerEntry[] | undefined {
  const holders = ledger.holders('volume', name);
  const isEarlier = (entry: LedgerEntry): boolean =>
    entry.state === 'live' &&
    entry.engineCreatedAt !== undefined &&
    entry.engineCreatedAt !== createdAt &&
    entry.auditId !== auditId;
  return holders.every(isEarlier) ? ledger.ending('volume', name, atMs) : undefined;
}

/** A container inherits the labels of its image, which may be an image of another's container. */
async function isOfImage(labels: Fields, { ImageID }: Fields, { engine }: TenancyState): Promise<boolean> {
  const image = await ask(engine, `/images/${encodeURIComponent(text(ImageID))}/json`);
  const inherited = inner(inner(inner(image, 'Config'), 'Labels'), SEAL_LABEL);
  return image === undefined || inherited === labels[SEAL_LABEL];
}

/**
 * What containers take, and the volumes that came with them and bear no seal. A tenant's call mounts the tenant's own volumes and new ones
 * alone, and a volume in use keeps its name: those of a container that is proved are its tenant's.
 */
async function withTheirVolumes(
  proved: readonly LedgerEntry[],
  state: TenancyState,
  atMs: number,
): Promise<LedgerEntry[]> {
  const { engine } = state;
  const known = new Set(
    proved.filter(({ kind, state: now }) => kind === 'volume' && now === 'live').map(({ id }) => id),
  );
  const entries: LedgerEntry[] = [];
  for (const entry of proved) {
    if (entry.kind !== 'container') {
      entries.push(entry);
      continue;
    }
    const found = await findContainer(engine, entry.id);
    if (found === undefined) continue;
    entries.push({ ...entry, share: found.share, isRunning: found.isRunning });
    for (const name of found.volumes) {
      const volume = known.has(name) ? undefined : await findVolume(engine, name);
      if (volume === undefined || text(volume.labels[SEAL_LABEL]) !== '') continue;
      const { createdAt: engineCreatedAt } = volume;
      const earlier = earlierVolumes(name, engineCreatedAt, state, atMs);
      if (earlier === undefined) continue;
      known.add(name);
      const key = derivedKey(entry.key, 'volume', name);
      entries.push(...earlier, { ...entry, key, kind: 'volume', id: name, name, engineCreatedAt });
    }
  }
  return entries;
}

async function labelledObjects({ engine }: TenancyState): Promise<Labelled[]> {
  const all: Labelled[] = [];
  const add = (
    kind: SealedKind,
    list: unknown,
    read: (item: Fields) => Pick<Labelled, 'id' | 'name'> & { labels: unknown },
  ) => {
    for (const item of items(list)) {
      const { id, name, labels } = read(item);
      if (inner(labels, SEAL_LABEL) !== undefined) all.push({ kind, id, name, labels: labels as Fields, item });
    }
  };
  add('container', await ask(engine, '/containers/json?all=1', MAX_LIST_BYTES), (item) => {
    const names = Array.isArray(item.Names) ? item.Names.map(text) : [];
    const own = names.find((name) => name.lastIndexOf('/') === 0) ?? '';
    return { id: text(item.Id), name: own.slice(1), labels: item.Labels };
  });
  add('volume', inner(await ask(engine, '/volumes', MAX_LIST_BYTES), 'Volumes'), ({ Name, Labels }) => ({
    id: text(Name),
    name: text(Name),
    labels: Labels,
  }));
  add('network', await ask(engine, '/networks', MAX_LIST_BYTES), ({ Id, Name, Labels }) => ({
    id: text(Id),
    name: text(Name),
    labels: Labels,
  }));
  for (const kind of ['service', 'secret', 'config'] as const) {
    add(kind, await askSwarm(engine, `/${kind}s`), ({ ID, Spec }) => ({
      id: text(ID),
      name: text(inner(Spec, 'Name')),
      labels: inner(Spec, 'Labels'),
    }));
  }
  return all;
}

/** Every image without an owner in the ledger, under each of its names and its id. */
async function unknownImages({ engine, ledger }: TenancyState, auditId: string, atMs: number): Promise<LedgerEntry[]> {
  const entries: LedgerEntry[] = [];
  for (const { Id, RepoTags, RepoDigests } of items(await ask(engine, '/images/json', MAX_LIST_BYTES))) {
    const id = text(Id);
    const names = [RepoTags, RepoDigests]
      .flatMap((shown) => (Array.isArray(shown) ? shown : []))
      .map((shown) => canonicalOf(text(shown)))
      .filter((name) => name !== undefined);
    const isKnown =
      [id, ...names].some((name) => ledger.holders('image', name).length > 0) || ledger.imageHolders(id).length > 0;
    // An image with an owner stays that owner's under all its names: no other name of it is withheld or given away.
    if (isKnown) continue;
    for (const name of [id, ...names]) entries.push(withheldEntry(auditId, entries.length, name, id, atMs));
  }
  return entries;
}
