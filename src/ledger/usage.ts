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
});

const KINDS = { container: 'containers', volume: 'volumes', network: 'networks', image: 'images' } as const;

/** What one entry adds. */
export function usageOf(entry: Pick<LedgerEntry, 'kind' | 'share' | 'isRunning'>): Usage {
  const counted = KINDS[entry.kind as keyof typeof KINDS];
  if (counted === undefined) return NO_USAGE;
  if (entry.kind !== 'container') return { ...NO_USAGE, [counted]: 1 };
  // A part that was not kept when the entry was written is none.
  const { memory, swap, nanoCpus, pids, ports } = { ...NO_SHARE, ...entry.share };
  const running = entry.isRunning === true ? 1 : 0;
  return { ...NO_USAGE, containers: 1, running, memory, swap: Math.max(0, swap), cpus: nanoCpus, pids, ports };
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
});

export class Usages {
  readonly #tenants = new Map<string, Usage>();
  readonly #owners = new Map<string, Usage>();

  add(entry: LedgerEntry): void {
    this.#change(entry, 1);
  }

  remove(entry: LedgerEntry): void {
    this.#change(entry, -1);
  }

  of(tenant: string): Usage {
    return this.#tenants.get(tenant) ?? NO_USAGE;
  }

  ofOwner(tenant: string, owner: string): Usage {
    return this.#owners.get(`${tenant}\n${owner}`) ?? NO_USAGE;
  }

  #change(entry: LedgerEntry, sign: 1 | -1): void {
    const change = usageOf(entry);
    if (change === NO_USAGE) return;
    for (const [map, key] of [
      [this.#tenants, entry.tenant],
      [this.#owners, `${entry.tenant}\n${entry.owner}`],
    ] as const) {
      const next = sumOf(map.get(key) ?? NO_USAGE, change, sign);
      if (next.containers + next.volumes + next.networks + next.images === 0) map.delete(key);
      else map.set(key, next);
    }
  }
}

/** An object that is or was there. Times in milliseconds since the epoch. */
export type PastObject = Pick<LedgerEntry, 'kind' | 'share' | 'createdAt' | 'removedAt'>;

/** What was in use at `fromMs`, and every `stepMs` until `toMs`. When a container ran is not kept, so `running` is 0. */
export function usageOverTime(
  objects: readonly PastObject[],
  fromMs: number,
  toMs: number,
  stepMs: number,
): { readonly at: number; readonly usage: Usage }[] {
  const changes: { readonly at: number; readonly usage: Usage; readonly sign: 1 | -1 }[] = [];
  for (const { kind, share, createdAt, removedAt } of objects) {
    const usage = usageOf({ kind, share });
    if (usage === NO_USAGE) continue;
    changes.push({ at: createdAt, usage, sign: 1 });
    if (removedAt !== undefined) changes.push({ at: removedAt, usage, sign: -1 });
  }
  changes.sort((a, b) => a.at - b.at);
  const points: { at: number; usage: Usage }[] = [];
  let now = NO_USAGE;
  let next = 0;
  for (let at = fromMs; at <= toMs; at += stepMs) {
    for (let change = changes[next]; change !== undefined && change.at <= at; change = changes[++next]) {
      now = sumOf(now, change.usage, change.sign);
    }
    points.push({ at, usage: now });
  }
  return points;
}
