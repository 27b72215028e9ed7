// Compares the ledger with the engine: what is gone is removed, what was renamed takes its name, and what was being made when the
// gateway ended is found by its label or forgotten. What looks gone is asked for by itself before it is believed.
import { derivedKey, type LedgerEntry, type OwnedKind } from '../../ledger/entry.ts';
import { AUDIT_LABEL } from '../../ledger/labels.ts';
import { isSameShare } from '../../ledger/share.ts';
import { canonicalOf, isFreeImage, PREDEFINED_NETWORKS, type ShownImage, shownImage } from '../../ledger/views.ts';
import { withheldEntry } from '../../ledger/withheld.ts';
import {
  ask,
  askSwarm,
  type Fields,
  type FoundImage,
  filtersQuery,
  findContainer,
  findImage,
  findVolume,
  inner,
  items,
  MAX_LIST_BYTES,
  shareOfBytes,
  text,
} from './engine-state.ts';
import { isOthersAlone, isProved, keptImage, ofImage } from './images.ts';
import { leftUnseen } from './leftovers.ts';
import { isUpdating } from './take-share.ts';
import type { TenancyState } from './tenant-call.ts';

type Learn = (changes: readonly LedgerEntry[], why: string) => void;

/** Containers looked at at once. */
const LOOKS_AT_ONCE = 8;
/** Entries compared before others have their turn: a few ms. */
const LOOKS_AT_A_STRETCH = 2000;

/**
 * @param isFirst the shares of containers may have changed while the gateway did not follow the engine: each is looked at
 * @throws {GatewayError} `engine-unreachable`: nothing was learned then
 */
export async function reconcile(state: TenancyState, learn: Learn, isFirst = false): Promise<void> {
  await learnSharedNetworks(state);
  if (state.ledger.size === 0 && state.builders.size === 0) return;
  // What comes to life while the lists are on their way is not compared with them.
  const before = [...state.ledger.entries()];
  const present = await presentObjects(state, new Set(before.map(({ kind }) => kind)));
  const isCurrent = (entry: LedgerEntry): boolean => state.ledger.byKey(entry.key) === entry;
  let looked = 0;
  for (const entry of before) {
    // Other calls have their turn, however much there is to compare.
    if (++looked % LOOKS_AT_A_STRETCH === 0) await new Promise((resolve) => setImmediate(resolve));
    if (!isCurrent(entry)) continue;
    if (entry.state === 'pending') {
      if (state.underWay.has(entry.auditId)) continue;
      const changes = await settle(entry, state);
      if (isCurrent(entry)) learn(changes, 'the gateway ended before the outcome was known');
      continue;
    }
    const known = present.get(entry.kind);
    if (known === undefined) continue;
    const found = known.get(entry.id);
    if (found !== undefined && isSame(entry, found)) {
      const name = text(found.name);
      if (name !== '' && name !== entry.name) learn([{ ...entry, name }], 'it was renamed');
      else if (entry.kind === 'image') learnBytes(entry, found, state, learn);
      else if (entry.kind === 'container') learnRunning(entry, found.isRunning === true, state, learn);
      continue;
    }
    // A name of an image moves: the list may be older than the ledger.
    if (found === undefined || entry.kind === 'image') await learnEnding(entry, state, learn);
    else learn(state.ledger.ending(entry.kind, entry.id, Date.now()), GONE);
  }
  learn(await leftUnseen(state, Date.now()), 'a step of a build left it');
  await learnShares(state, learn, isFirst);
}

const GONE = 'it is gone from the engine';

/** Asks the engine whether an object is there, and believes what it says unless more was learned meanwhile. */
export async function learnEnding(entry: LedgerEntry, state: TenancyState, learn: Learn): Promise<void> {
  // A call that gives the name to another image takes the old one over itself.
  const isTaken = (): boolean =>
    state.ledger.holders(entry.kind, entry.id).some(({ state: other }) => other === 'pending');
  const isThere = isTaken() || (await exists(entry, state)) || isTaken();
  if (isThere || state.ledger.byKey(entry.key) !== entry) return;
  learn(state.ledger.ending(entry.kind, entry.id, Date.now()), GONE);
}

function learnRunning(entry: LedgerEntry, isRunning: boolean, state: TenancyState, learn: Learn): void {
  if (isRunning === (entry.isRunning ?? false) || state.ledger.byKey(entry.key) !== entry) return;
  learn([{ ...entry, isRunning }], 'it was looked at');
}

/** How large an image is that was made elsewhere, and what a name that was pulled means by now. */
function learnBytes(entry: LedgerEntry, found: Fields, state: TenancyState, learn: Learn): void {
  const isKnown = entry.share !== undefined && (entry.isPulled !== true || found.id === entry.parent);
  if (isKnown || state.ledger.byKey(entry.key) !== entry) return;
  const id = text(found.id);
  const kept = keptImage(entry, id, state.ledger);
  if (entry.isPulled === true && isOthersAlone(entry.id, id, entry.tenant, state.ledger)) {
    const voided: LedgerEntry = { ...entry, state: 'void' };
    learn(kept === undefined ? [voided] : [voided, kept], 'its name means an image of others');
    return;
  }
  const isCommon = entry.parent === id ? entry.isCommon : isFreeImage(state, found.shown as ShownImage);
  const changed = { ...entry, parent: id, share: shareOfBytes(found.bytes), isCommon };
  learn(kept === undefined ? [changed] : [changed, kept], 'its size was looked at');
}

/** Shares that are not known for sure: of a container made elsewhere, or after a change of unknown outcome. */
async function learnShares(state: TenancyState, learn: Learn, isFirst: boolean): Promise<void> {
  const open = [...state.ledger.entries()].filter(
    ({ kind, state: now, share, tenant }) =>
      kind === 'container' &&
      now === 'live' &&
      (share === undefined || share.isOpen === true || (isFirst && state.limitsOf(tenant) !== undefined)),
  );
  for (let at = 0; at < open.length; at += LOOKS_AT_ONCE) {
    await Promise.all(open.slice(at, at + LOOKS_AT_ONCE).map((entry) => learnShare(entry, state, learn)));
  }
}

/** Takes over what the engine says a container takes, unless a call is about to change it. */
export async function learnShare(entry: LedgerEntry, state: TenancyState, learn: Learn): Promise<void> {
  const isCurrent = (): boolean => state.ledger.byKey(entry.key) === entry && !isUpdating(entry, state.holds);
  if (!isCurrent()) return;
  const found = (await findContainer(state.engine, entry.id))?.share;
  // How much it wrote is measured apart.
  const share = found === undefined ? undefined : { ...found, bytes: entry.share?.bytes ?? 0 };
  if (share === undefined || (entry.share !== undefined && isSameShare(share, entry.share)) || !isCurrent()) return;
  learn([{ ...entry, share }], 'what it takes was looked at');
}

async function learnSharedNetworks({ engine, ledger }: TenancyState): Promise<void> {
  const list = items(await ask(engine, `/networks?${filtersQuery({ type: ['builtin'] })}`, MAX_LIST_BYTES));
  const names = list
    .filter((network) => PREDEFINED_NETWORKS.has(text(network.Name)) && network.Scope !== 'swarm')
    .map((network) => [text(network.Id), text(network.Name)] as const);
  ledger.setSharedNetworks(new Map(names));
}

/** What the engine has, by kind and id. Kinds it cannot list are left out. */
async function presentObjects(
  { engine }: TenancyState,
  kinds: ReadonlySet<OwnedKind>,
): Promise<Map<OwnedKind, Map<string, Fields>>> {
  const present = new Map<OwnedKind, Map<string, Fields>>();
  if (kinds.has('container')) {
    const list = items(await ask(engine, '/containers/json?all=1', MAX_LIST_BYTES));
    const named = list.map((one) => {
      const names = Array.isArray(one.Names) ? one.Names.map(text) : [];
      // Names of links hold a second slash.
      const own = names.find((name) => name.lastIndexOf('/') === 0);
      const isRunning = ['running', 'paused', 'restarting'].includes(text(one.State));
      return [text(one.Id), { name: own?.slice(1) ?? '', isRunning }] as const;
    });
    present.set('container', new Map(named));
  }
  if (kinds.has('volume')) {
    const list = items(inner(await ask(engine, '/volumes', MAX_LIST_BYTES), 'Volumes'));
    present.set('volume', new Map(list.map((one) => [text(one.Name), one])));
  }
  if (kinds.has('network')) {
    const list = items(await ask(engine, '/networks', MAX_LIST_BYTES));
    present.set('network', new Map(list.map((one) => [text(one.Id), {}])));
  }
  for (const kind of ['service', 'secret', 'config'] as const) {
    const list = kinds.has(kind) ? await askSwarm(engine, `/${kind}s`) : undefined;
    // Without a swarm nothing can be said of what it had.
    if (list !== undefined) present.set(kind, new Map(items(list).map((one) => [text(one.ID), {}])));
  }
  if (kinds.has('image')) {
    const found = new Map<string, Fields>();
    for (const one of items(await ask(engine, '/images/json', MAX_LIST_BYTES))) {
      const { Id, RepoTags, RepoDigests, Size } = one;
      const image = { id: text(Id), bytes: Size, shown: shownImage(one) };
      found.set(image.id, image);
      for (const name of [RepoTags, RepoDigests].flatMap((names) => (Array.isArray(names) ? names : []))) {
        const reference = canonicalOf(text(name));
        if (reference !== undefined) found.set(reference, image);
      }
    }
    present.set('image', found);
  }
  return present;
}

/**
 * Volumes go by name: one made at another time is another one, unless it carries the label of the call that made this one. A name
 * of an image that was made here means that image.
 */
function isSame(entry: LedgerEntry, found: Fields): boolean {
  if (entry.kind === 'image') return entry.parent === undefined || entry.isPulled === true || found.id === entry.parent;
  if (entry.kind !== 'volume') return true;
  if (inner(found.Labels, AUDIT_LABEL) === entry.auditId) return true;
  return entry.engineCreatedAt === undefined || entry.engineCreatedAt === found.CreatedAt;
}

async function exists(entry: LedgerEntry, { engine, ledger }: TenancyState): Promise<boolean> {
  switch (entry.kind) {
    case 'container':
      return (await findContainer(engine, entry.id)) !== undefined;
    case 'volume':
      return (await findVolume(engine, entry.id)) !== undefined;
    case 'network':
      return (await ask(engine, `/networks/${entry.id}`)) !== undefined;
    case 'image': {
      const found = await findImage(engine, entry.id);
      return (
        found !== undefined && (entry.parent === undefined || entry.isPulled === true || found.id === entry.parent)
      );
    }
    case 'exec':
      // Ends with its container.
      return ledger.holders('container', entry.parent ?? '').length > 0;
    default:
      return (await askSwarm(engine, `/${entry.kind}s/${entry.id}`)) !== undefined;
  }
}

/** The outcome of a call that was under way when the gateway ended. */
async function settle(entry: LedgerEntry, state: TenancyState): Promise<LedgerEntry[]> {
  const { engine, ledger } = state;
  const voided: LedgerEntry[] = [{ ...entry, state: 'void' }];
  const byLabel = filtersQuery({ label: [`${AUDIT_LABEL}=${entry.auditId}`] });
  switch (entry.kind) {
    case 'container': {
      const [made] = items(await ask(engine, `/containers/json?all=1&${byLabel}`, MAX_LIST_BYTES));
      if (made === undefined) return voided;
      const found = await findContainer(engine, text(made.Id));
      if (found === undefined) return voided;
      const live: LedgerEntry = { ...entry, id: found.id, name: found.name, state: 'live' };
      const volumes = found.volumes.filter((name) => ledger.holders('volume', name).length === 0);
      return [
        live,
        ...volumes.map(
          (name): LedgerEntry => ({
            ...live,
            key: derivedKey(entry.key, 'volume', name),
            kind: 'volume',
            id: name,
            name,
          }),
        ),
      ];
    }
    case 'network': {
      const [made] = items(await ask(engine, `/networks?${byLabel}`, MAX_LIST_BYTES));
      return made === undefined ? voided : [{ ...entry, id: text(made.Id), state: 'live' }];
    }
    case 'volume': {
      const list = inner(await ask(engine, `/volumes?${byLabel}`, MAX_LIST_BYTES), 'Volumes');
      const [labelled] = items(list);
      if (labelled !== undefined) {
        const name = text(labelled.Name);
        return [{ ...entry, id: name, name, state: 'live', engineCreatedAt: text(labelled.CreatedAt) }];
      }
      // One that was to come with a container has no label: it is the tenant's if the container is there and has it.
      const [container] = items(await ask(engine, `/containers/json?all=1&${byLabel}`, MAX_LIST_BYTES));
      const found = container === undefined ? undefined : await findContainer(engine, text(container.Id));
      return found?.volumes.includes(entry.id) === true ? [{ ...entry, state: 'live' }] : voided;
    }
    case 'image': {
      if (entry.id === '') return settleNameless(entry, byLabel, state);
      const found = await findImage(engine, entry.id);
      if (found === undefined) return voided;
      if (entry.isPulled === true) return settlePull(entry, found, state);
      if (isProved(entry, found)) return [ofImage(entry, found, state)];
      // A name that had an owner before keeps it.
      const isHeld = ledger
        .holders('image', entry.id)
        .some(({ key, state: now }) => key !== entry.key && now === 'live');
      return isHeld ? voided : [...voided, withheld(entry, found, state)];
    }
    case 'service':
    case 'secret':
    case 'config': {
      const [made] = items(await askSwarm(engine, `/${entry.kind}s?${byLabel}`));
      return made === undefined ? voided : [{ ...entry, id: text(made.ID), state: 'live' }];
    }
    case 'exec':
      // No caller was told its id.
      return voided;
  }
}

/**
 * A pull of unknown outcome: the registry may have refused the tenant the image. Where the name meant the same image before, the
 * pull is no claim; otherwise no tenant has a claim until it pulls again.
 */
function settlePull(entry: LedgerEntry, found: FoundImage, state: TenancyState): LedgerEntry[] {
  const voided: LedgerEntry = { ...entry, state: 'void' };
  const others = state.ledger.holders('image', entry.id).filter(({ key }) => key !== entry.key);
  const isUnchanged = entry.parent === found.id;
  if (isUnchanged || others.some(({ state: now }) => now === 'live')) return [voided];
  return [voided, { ...withheld(entry, found, state), isPulled: true }];
}

/** A name that is closed to all tenants: an image that all could use stays so under its other names. */
const withheld = (entry: LedgerEntry, found: FoundImage, state: TenancyState): LedgerEntry => ({
  ...withheldEntry(entry.auditId, 0, entry.id, found.id, entry.createdAt),
  isCommon: isFreeImage(state, found),
  key: derivedKey(entry.key, 'image', entry.id),
});

/** An image without a name, found by the label of the call that made it: images inherit labels, and only those without names are it. */
async function settleNameless(entry: LedgerEntry, byLabel: string, { engine }: TenancyState): Promise<LedgerEntry[]> {
  const made = items(await ask(engine, `/images/json?${byLabel}`, MAX_LIST_BYTES)).filter(
    ({ RepoTags }) => !Array.isArray(RepoTags) || RepoTags.every((tag) => canonicalOf(text(tag)) === undefined),
  );
  const [one] = made;
  if (one === undefined || made.length > 1) return [{ ...entry, state: 'void' }];
  const id = text(one.Id);
  return [{ ...entry, id, name: id, parent: id, share: shareOfBytes(one.Size), state: 'live' }];
}
