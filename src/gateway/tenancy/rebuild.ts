// Makes a ledger whole that was lost or is an older copy: what the labels of the engine's objects prove is given back to its tenant,
// and images nobody is known to own are withheld from all until an operator decides. Objects of other kinds that prove nothing are
// out of every tenant's reach as it is.
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
  await write(withheld, 'ledger.withhold', `${why}: nobody is known to own it`);
  return { returned: proved.length, withheld: withheld.length };
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
    if (state.ledger.holders(kind, id).length > 0) continue;
    const key = `${sealed.auditId}/0`;
    // A call whose outcome is not known yet finds its object by itself.
    if (state.ledger.byKey(key) !== undefined) continue;
    if (kind === 'container' && (await isOfImage(labels, item, state))) continue;
    const { tenant, subject: owner, auditId } = sealed;
    const entry: LedgerEntry = { key, kind, id, name, tenant, owner, auditId, state: 'live', createdAt: atMs };
    if (kind === 'container') entries.push(...(await withItsVolumes(entry, state)));
    else if (kind === 'volume') entries.push({ ...entry, engineCreatedAt: text(item.CreatedAt) });
    else entries.push(entry);
  }
  return entries;
}

/** A container inherits the labels of its image, which may be an image of another's container. */
async function isOfImage(labels: Fields, { ImageID }: Fields, { engine }: TenancyState): Promise<boolean> {
  const image = await ask(engine, `/images/${encodeURIComponent(text(ImageID))}/json`);
  const inherited = inner(inner(inner(image, 'Config'), 'Labels'), SEAL_LABEL);
  return image === undefined || inherited === labels[SEAL_LABEL];
}

/** A container with what it takes, and the volumes without a name that came with it. */
async function withItsVolumes(entry: LedgerEntry, { engine, ledger }: TenancyState): Promise<LedgerEntry[]> {
  const found = await findContainer(engine, entry.id);
  if (found === undefined) return [];
  const entries: LedgerEntry[] = [{ ...entry, share: found.share, isRunning: found.isRunning }];
  for (const name of found.volumes) {
    if (!/^[0-9a-f]{64}$/.test(name) || ledger.holders('volume', name).length > 0) continue;
    const volume = await findVolume(engine, name);
    if (volume === undefined) continue;
    const { createdAt: engineCreatedAt } = volume;
    entries.push({
      ...entry,
      key: derivedKey(entry.key, 'volume', name),
      kind: 'volume',
      id: name,
      name,
      engineCreatedAt,
    });
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

/** Every name of every image, and its id, that is nobody's in the ledger. */
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
    // Another name of an image that somebody has is no way to it, and nobody's image to give away.
    if (isKnown) continue;
    for (const name of [id, ...names]) entries.push(withheldEntry(auditId, entries.length, name, id, atMs));
  }
  return entries;
}
