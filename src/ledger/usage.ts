// What every tenant, and every identity of a tenant, has in use: counted as entries of the ledger come and go, so that a
// question costs a look-up. What is being made counts as made.
import type { LedgerEntry } from './entry.ts';
import { NO_SHARE } from './share.ts';

export interface Usage {
  readonly containers: number;
  readonly running: number;
  readonly volumes: number;
  readonly networks: number;
  readonly images: number;
  /** Bytes. */
  readonly memory: number;
  /** Bytes of swap beyond the memory, as far as it has a limit. */
  readonly swap: number;
  /** Billionths of a CPU. */
  readonly cpus: number;
  readonly pids: number;
  readonly ports: number;
  /** Bytes of images, each counted once however many names it has; parts that images have in common count in each. */
  readonly 'image-bytes': number;
  /** Bytes containers wrote into their own layer, when it was last measured. */
  readonly 'write-layer-bytes': number;
}

export const NO_USAGE: Usage = Object.freeze({
  containers: 0,
  running: 0,
  volumes: 0,
  networks: 0,
  images: 0,
  memory: 0,
  swap: 0,
  cpus: 0,
  pids: 0,
  ports: 0,
  'image-bytes': 0,
  'write-layer-bytes': 0,
});

const KINDS = { container: 'containers', volume: 'volumes', network: 'networks', image: 'images' } as const;

/** What one entry adds. The bytes of an image are added by `Usages`, which knows whether another name has them already. */
export function usageOf(entry: Pick<LedgerEntry, 'kind' | 'share' | 'isRunning'>): Usage {
  const counted = KINDS[entry.kind as keyof typeof KINDS];
  if (counted === undefined) return NO_USAGE;
  if (entry.kind !== 'container') return { ...NO_USAGE, [counted]: 1 };
  // A part that was not kept when the entry was written is none.
  const { memory, swap, nanoCpus, pids, ports, bytes } = { ...NO_SHARE, ...entry.share };
  const running = entry.isRunning === true ? 1 : 0;
  return {
    ...NO_USAGE,
    containers: 1,
    running,
    memory,
    swap: Math.max(0, swap),
    cpus: nanoCpus,
    pids,
    ports,
    'write-layer-bytes': bytes,
  };
}

export const sumOf = (a: Usage, b: Usage, sign: 1 | -1 = 1): Usage => ({
  containers: a.containers + sign * b.containers,
  running: a.running + sign * b.running,
  volumes: a.volumes + sign * b.volumes,
  networks: a.networks + sign * b.networks,
  images: a.images + sign * b.images,
  memory: a.memory + sign * b.memory,
  swap: a.swap + sign * b.swap,
  cpus: a.cpus + sign * b.cpus,
  pids: a.pids + sign * b.pids,
  ports: a.ports + sign * b.ports,
  'image-bytes': a['image-bytes'] + sign * b['image-bytes'],
  'write-layer-bytes': a['write-layer-bytes'] + sign * b['write-layer-bytes'],
});

type Counted = Pick<LedgerEntry, 'kind' | 'share' | 'isRunning' | 'parent'>;

/** What one tenant or identity has. */
class Account {
  usage = NO_USAGE;
  /** Images by id: under how many names, and how large. */
  readonly #images = new Map<string, { names: number; bytes: number }>();

  change(entry: Counted, sign: 1 | -1): void {
    const change = usageOf(entry);
    if (change === NO_USAGE) return;
    this.usage = sumOf(this.usage, change, sign);
    if (entry.kind !== 'image' || entry.parent === undefined) return;
    const bytes = this.#imageBytes(entry.parent, entry.share?.bytes ?? 0, sign);
    if (bytes !== 0) this.usage = sumOf(this.usage, { ...NO_USAGE, 'image-bytes': bytes });
  }

  get isEmpty(): boolean {
    const { containers, volumes, networks, images } = this.usage;
    return containers + volumes + networks + images === 0;
  }

  hasImage(id: string): boolean {
    return this.#images.has(id);
  }

  /** How many more bytes there are with a name more or less. */
  #imageBytes(id: string, bytes: number, sign: 1 | -1): number {
    const known = this.#images.get(id) ?? { names: 0, bytes: 0 };
    known.names += sign;
    if (known.names <= 0) {
      this.#images.delete(id);
      return -known.bytes;
    }
    const more = Math.max(0, bytes - known.bytes);
    this.#images.set(id, { names: known.names, bytes: known.bytes + more });
    return more;
  }
}

export class Usages {
  readonly #tenants = new Map<string, Account>();
  readonly #owners = new Map<string, Account>();

  add(entry: LedgerEntry): void {
    this.#change(entry, 1);
  }

  remove(entry: LedgerEntry): void {
    this.#change(entry, -1);
  }

  of(tenant: string): Usage {
    return this.#tenants.get(tenant)?.usage ?? NO_USAGE;
  }

  ofOwner(tenant: string, owner: string): Usage {
    return this.#owners.get(`${tenant}\n${owner}`)?.usage ?? NO_USAGE;
  }

  /** Whether an image is counted already, under any name; of one identity where an owner is named. */
  hasImage(id: string, tenant: string, owner?: string): boolean {
    const account = owner === undefined ? this.#tenants.get(tenant) : this.#owners.get(`${tenant}\n${owner}`);
    return account?.hasImage(id) ?? false;
  }

  #change(entry: LedgerEntry, sign: 1 | -1): void {
    for (const [map, key] of [
      [this.#tenants, entry.tenant],
      [this.#owners, `${entry.tenant}\n${entry.owner}`],
    ] as const) {
      const account = map.get(key) ?? new Account();
      account.change(entry, sign);
      if (account.isEmpty) map.delete(key);
      else map.set(key, account);
    }
  }
}

/** An object that is or was there. Times in milliseconds since the epoch. */
export type PastObject = Pick<LedgerEntry, 'kind' | 'share' | 'parent' | 'createdAt' | 'removedAt'>;

/**
 * What was in use at `fromMs`, and every `stepMs` until `toMs`. When a container ran is not kept, so `running` is 0; what it
 * wrote counts as it was last measured.
 */
export function usageOverTime(
  objects: readonly PastObject[],
  fromMs: number,
  toMs: number,
  stepMs: number,
): { readonly at: number; readonly usage: Usage }[] {
  const changes: { readonly at: number; readonly object: PastObject; readonly sign: 1 | -1 }[] = [];
  for (const object of objects) {
    changes.push({ at: object.createdAt, object, sign: 1 });
    if (object.removedAt !== undefined) changes.push({ at: object.removedAt, object, sign: -1 });
  }
  changes.sort((a, b) => a.at - b.at);
  const points: { at: number; usage: Usage }[] = [];
  const account = new Account();
  let next = 0;
  for (let at = fromMs; at <= toMs; at += stepMs) {
    for (let change = changes[next]; change !== undefined && change.at <= at; change = changes[++next]) {
      const { kind, share, parent } = change.object;
      account.change({ kind, share, parent }, change.sign);
    }
    points.push({ at, usage: account.usage });
  }
  return points;
}
