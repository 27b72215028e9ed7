// Who owns what: every entry that matters, in memory, by full id and by name. Pure: no I/O and no clock; changes come in as
// entries, questions are answered at once. How long an entry is kept after its removal is bounded by number.
import type { LedgerEntry, OwnedKind } from './entry.ts';
import { Usages } from './usage.ts';
import { isWithheld } from './withheld.ts';

/** Removed objects remembered, so that their late events still find their owner. */
const MAX_REMOVED = 20_000;

const isGone = (entry: LedgerEntry): boolean => entry.state === 'removed' || entry.state === 'void';

/** Objects of one tenant and kind. */
interface Shelf {
  readonly byId: Map<string, LedgerEntry>;
  readonly byName: Map<string, LedgerEntry>;
}

export class Ledger {
  readonly #byKey = new Map<string, LedgerEntry>();
  /** Live entries of a kind by id. An image reference that was pulled may have several. */
  readonly #holders = new Map<string, LedgerEntry[]>();
  /** Live and pending entries by name, over all tenants. */
  readonly #names = new Map<string, LedgerEntry[]>();
  /** Live entries of images by the image's own id, one for each name. */
  readonly #images = new Map<string, LedgerEntry[]>();
  /** As `#images`, with names given to images that all tenants could use. */
  readonly #namesOf = new Map<string, LedgerEntry[]>();
  readonly #shelves = new Map<string, Shelf>();
  readonly #removed = new Map<string, LedgerEntry[]>();
  #removedOrder: string[] = [];
  /** The amounts in use, pending entries included. */
  readonly usages = new Usages();
  /** Exec instances of a container: they end with it. */
  readonly #execs = new Map<string, Set<string>>();

  /** The entry removed last under each name, for the object that takes the name next. */
  readonly #lastOf = new Map<string, LedgerEntry>();
  /** Networks every engine has, by id: they have other ids on each engine. */
  #sharedNetworks: ReadonlyMap<string, string> = new Map();

  constructor(entries: Iterable<LedgerEntry> = []) {
    for (const entry of entries) this.apply(entry);
  }

  /**
   * Takes an entry over, in place of what was known under its key.
   *
   * @throws {Error} when the key is another object's: one of the two would be lost
   */
  apply(entry: LedgerEntry): void {
    const before = this.#byKey.get(entry.key);
    if (before !== undefined) {
      if (before.kind !== entry.kind || before.tenant !== entry.tenant) {
        throw new Error(`the ledger's key ${entry.key} is that of ${before.kind} ${before.id} already`);
      }
      this.#drop(before);
    }
    if (entry.state === 'void') return;
    if (entry.state === 'removed') {
      this.#bury(entry);
      return;
    }
    this.#byKey.set(entry.key, entry);
    this.usages.add(entry);
    if (entry.id !== '') add(this.#holders, `${entry.kind}/${entry.id}`, entry);
    if (entry.name !== '') add(this.#names, `${entry.kind}/${entry.name}`, entry);
    const image = imageOf(entry);
    if (image !== undefined) add(this.#images, image, entry);
    const named = imageBehind(entry);
    if (named !== undefined) add(this.#namesOf, named, entry);
    const shelf = this.#shelf(entry.tenant, entry.kind);
    if (entry.id !== '' && entry.state === 'live') shelf.byId.set(entry.id, entry);
    if (entry.name !== '' && entry.state === 'live') shelf.byName.set(entry.name, entry);
    if (entry.kind === 'exec' && entry.parent !== undefined) {
      const keys = this.#execs.get(entry.parent) ?? new Set();
      keys.add(entry.key);
      this.#execs.set(entry.parent, keys);
    }
  }

  #drop(entry: LedgerEntry): void {
    this.#byKey.delete(entry.key);
    this.usages.remove(entry);
    take(this.#holders, `${entry.kind}/${entry.id}`, entry);
    take(this.#names, `${entry.kind}/${entry.name}`, entry);
    const image = imageOf(entry);
    if (image !== undefined) take(this.#images, image, entry);
    const named = imageBehind(entry);
    if (named !== undefined) take(this.#namesOf, named, entry);
    const shelf = this.#shelves.get(`${entry.tenant}/${entry.kind}`);
    if (shelf?.byId.get(entry.id) === entry) shelf.byId.delete(entry.id);
    if (shelf?.byName.get(entry.name) === entry) shelf.byName.delete(entry.name);
    if (entry.kind === 'exec' && entry.parent !== undefined) {
      const keys = this.#execs.get(entry.parent);
      keys?.delete(entry.key);
      if (keys?.size === 0) this.#execs.delete(entry.parent);
    }
  }

  #bury(entry: LedgerEntry): void {
    // An exec instance has no events of its own.
    if (entry.id === '' || entry.kind === 'exec') return;
    if (entry.name !== '' && entry.replacedBy === undefined) this.#lastOf.set(nameKey(entry), entry);
    const key = `${entry.kind}/${entry.id}`;
    const graves = this.#removed.get(key);
    if (graves?.some((other) => other.key === entry.key)) return;
    if (graves === undefined) this.#removed.set(key, [entry]);
    else graves.push(entry);
    this.#removedOrder.push(key);
    if (this.#removedOrder.length > MAX_REMOVED) {
      for (const old of this.#removedOrder.slice(0, MAX_REMOVED / 10)) {
        for (const gone of this.#removed.get(old) ?? NONE) {
          if (this.#lastOf.get(nameKey(gone)) === gone) this.#lastOf.delete(nameKey(gone));
        }
        this.#removed.delete(old);
      }
      this.#removedOrder = this.#removedOrder.slice(MAX_REMOVED / 10);
    }
  }

  #shelf(tenant: string, kind: OwnedKind): Shelf {
    const key = `${tenant}/${kind}`;
    let shelf = this.#shelves.get(key);
    if (shelf === undefined) {
      shelf = { byId: new Map(), byName: new Map() };
      this.#shelves.set(key, shelf);
    }
    return shelf;
  }

  /**
   * The tenant's own object a reference means, by the engine's rules among the tenant's objects: full id, then name, then a
   * part of one id alone. Volumes, images and exec instances are named in full.
   */
  find(tenant: string, kind: OwnedKind, reference: string): LedgerEntry | undefined {
    if (reference === '') return undefined;
    const shelf = this.#shelves.get(`${tenant}/${kind}`);
    if (shelf === undefined) return undefined;
    const exact = shelf.byId.get(reference);
    if (exact !== undefined || kind === 'volume' || kind === 'image' || kind === 'exec') return exact;
    const named = shelf.byName.get(reference);
    if (named !== undefined) return named;
    if (!/^[0-9a-z]{1,63}$/.test(reference)) return undefined;
    let only: LedgerEntry | undefined;
    for (const [id, entry] of shelf.byId) {
      if (!id.startsWith(reference)) continue;
      if (only !== undefined) return undefined;
      only = entry;
    }
    return only;
  }

  /** Ids of the networks every engine has, with their names. */
  setSharedNetworks(names: ReadonlyMap<string, string>): void {
    this.#sharedNetworks = names;
  }

  /** Name of a network every engine has, by its full id. */
  sharedNetworkName(id: string): string | undefined {
    return this.#sharedNetworks.get(id);
  }

  /** Live entry of the tenant's for a full id. */
  owned(tenant: string, kind: OwnedKind, id: string): LedgerEntry | undefined {
    return this.#shelves.get(`${tenant}/${kind}`)?.byId.get(id);
  }

  /** What a tenant pulled under an image name that means another image to others: known by its digest, sent as the digest. */
  aliased(tenant: string, name: string): LedgerEntry | undefined {
    const entry = this.#shelves.get(`${tenant}/image`)?.byName.get(name);
    return entry !== undefined && entry.id !== name && entry.id.includes('@') ? entry : undefined;
  }

  /** Live and pending entries of all tenants for a full id. */
  holders(kind: OwnedKind, id: string): readonly LedgerEntry[] {
    return this.#holders.get(`${kind}/${id}`) ?? NONE;
  }

  /**
   * Live entries of all tenants for an image, by its id: of every name, and those that withhold it. Names given to an image that
   * all tenants could use are left out: they still can.
   */
  imageHolders(imageId: string): readonly LedgerEntry[] {
    return this.#images.get(imageId) ?? NONE;
  }

  /** Live entries of all tenants for an image, by its id, of every name: also names given to an image that all could use. */
  namesOfImage(imageId: string): readonly LedgerEntry[] {
    return this.#namesOf.get(imageId) ?? NONE;
  }

  /** Live and pending entries of all tenants for a name. */
  named(kind: OwnedKind, name: string): readonly LedgerEntry[] {
    return this.#names.get(`${kind}/${name}`) ?? NONE;
  }

  byKey(key: string): LedgerEntry | undefined {
    return this.#byKey.get(key);
  }

  /**
   * Whether an object was the tenant's at a time: for events, which come late and speak of removed objects.
   *
   * @param atMs milliseconds since the epoch
   */
  wasOwned(tenant: string, kind: OwnedKind, id: string, atMs: number): boolean {
    for (const entry of this.holders(kind, id)) {
      if (entry.tenant === tenant && (!isReused(kind) || entry.createdAt <= atMs)) return true;
    }
    for (const entry of this.#removed.get(`${kind}/${id}`) ?? NONE) {
      if (entry.tenant !== tenant) continue;
      if (!isReused(kind) || (entry.createdAt <= atMs && atMs <= (entry.removedAt ?? 0))) return true;
    }
    return false;
  }

  /** Live entries of a tenant's. */
  *objects(tenant: string, kind?: OwnedKind): Generator<LedgerEntry> {
    if (kind !== undefined) {
      yield* this.#shelves.get(`${tenant}/${kind}`)?.byId.values() ?? [];
      return;
    }
    for (const [key, shelf] of this.#shelves) if (key.startsWith(`${tenant}/`)) yield* shelf.byId.values();
  }

  /** How many live objects of a kind a tenant has. */
  count(tenant: string, kind: OwnedKind): number {
    return this.#shelves.get(`${tenant}/${kind}`)?.byId.size ?? 0;
  }

  /** Exec instances known of a container. */
  *execsOf(containerId: string): Generator<LedgerEntry> {
    for (const key of this.#execs.get(containerId) ?? []) {
      const entry = this.#byKey.get(key);
      if (entry !== undefined) yield entry;
    }
  }

  /** All live and pending entries. */
  entries(): IterableIterator<LedgerEntry> {
    return this.#byKey.values();
  }

  /** Live and pending entries. */
  get size(): number {
    return this.#byKey.size;
  }

  /** Tenants with a live or pending object. */
  tenants(): readonly string[] {
    const names = new Set<string>();
    for (const entry of this.#byKey.values()) if (!isWithheld(entry)) names.add(entry.tenant);
    return [...names].sort();
  }

  /** The change that notes of what had an object's name before, in the same tenant, that this object replaced it. */
  succession(entry: LedgerEntry): LedgerEntry[] {
    if (entry.state !== 'live' || entry.name === '') return [];
    const before = this.#lastOf.get(nameKey(entry));
    if (before === undefined || before.key === entry.key) return [];
    this.#lastOf.delete(nameKey(entry));
    return [{ ...before, replacedBy: entry.key }];
  }

  /**
   * The changes that follow from an object's end: its entries are removed, and the exec instances of a container with it.
   * Nothing is applied.
   */
  ending(kind: OwnedKind, id: string, atMs: number): LedgerEntry[] {
    const changes: LedgerEntry[] = [];
    for (const entry of this.holders(kind, id)) {
      if (!isGone(entry)) changes.push({ ...entry, state: 'removed', removedAt: atMs });
    }
    if (kind === 'container') {
      for (const exec of this.execsOf(id)) changes.push({ ...exec, state: 'removed', removedAt: atMs });
    }
    return changes;
  }
}

const nameKey = ({ tenant, kind, name }: LedgerEntry): string => `${tenant}/${kind}/${name}`;

/** The image an entry says something of. */
function imageOf(entry: LedgerEntry): string | undefined {
  return entry.isCommon === true ? undefined : imageBehind(entry);
}

function imageBehind(entry: LedgerEntry): string | undefined {
  if (entry.kind !== 'image' || entry.state !== 'live') return undefined;
  return entry.parent ?? (entry.id.startsWith('sha256:') ? entry.id : undefined);
}

const NONE: readonly LedgerEntry[] = Object.freeze([]);

/** Kinds whose id is a name that can be taken again. */
const isReused = (kind: OwnedKind): boolean => kind === 'volume' || kind === 'image';

function add(map: Map<string, LedgerEntry[]>, key: string, entry: LedgerEntry): void {
  const there = map.get(key);
  if (there === undefined) map.set(key, [entry]);
  else there.push(entry);
}

function take(map: Map<string, LedgerEntry[]>, key: string, entry: LedgerEntry): void {
  const there = map.get(key);
  if (there === undefined) return;
  const at = there.indexOf(entry);
  if (at >= 0) there.splice(at, 1);
  if (there.length === 0) map.delete(key);
}
