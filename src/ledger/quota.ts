// How much a tenant and each of its identities may have, and the sentence that tells them so. Pure.
import { sizeText } from '../policy/host/sizes.ts';
import type { Usage } from './usage.ts';

/** Things that are counted; each may be limited. */
export const QUOTA_KEYS = [
  'containers',
  'running',
  'memory',
  'swap',
  'cpus',
  'pids',
  'ports',
  'volumes',
  'networks',
  'images',
  'image-bytes',
  'write-layer-bytes',
  'builds',
  'streams',
  'rate',
] as const;
export type QuotaKey = (typeof QUOTA_KEYS)[number];

/**
 * An amount that is left out is not limited, except for swap where memory is: then no swap is allowed. Memory, swap and disk in bytes,
 * cpus in billionths, rate in cost per second.
 */
export type Quota = { readonly [K in QuotaKey]?: number };

/** What a container gets that asks for no limit of its own. */
export interface Defaults {
  /** Bytes. */
  readonly memory?: number;
  /** Billionths of a CPU. */
  readonly cpus?: number;
  readonly pids?: number;
}

export interface TenantLimits {
  readonly quota: Quota;
  /** Of each identity of the tenant by itself. */
  readonly identityQuota: Quota;
  readonly defaults: Defaults;
}

export interface TenantRecord extends TenantLimits {
  readonly name: string;
  readonly description?: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

export interface TenantStore {
  /** @throws {GatewayError} `conflict` when the name is taken */
  insert(record: TenantRecord): void;
  /** @throws {GatewayError} `not-found` */
  update(record: TenantRecord): void;
  get(name: string): TenantRecord | undefined;
  list(): readonly TenantRecord[];
  /** @throws {GatewayError} `not-found` */
  delete(name: string): void;
}

/** Parts of a share a container must say, where they are limited: one without a limit takes all there is. */
export const LIMITED_PARTS = ['memory', 'cpus', 'pids'] as const;

const WORDS: Readonly<Record<QuotaKey, (amount: number) => string>> = {
  containers: (n) => `${n} container${n === 1 ? '' : 's'}`,
  running: (n) => `${n} running container${n === 1 ? '' : 's'}`,
  memory: (n) => `${sizeText(n)} of memory`,
  swap: (n) => `${sizeText(n)} of swap`,
  cpus: (n) => `${n / 1e9} CPUs`,
  pids: (n) => `${n} processes`,
  ports: (n) => `${n} published port${n === 1 ? '' : 's'}`,
  volumes: (n) => `${n} volume${n === 1 ? '' : 's'}`,
  networks: (n) => `${n} network${n === 1 ? '' : 's'}`,
  images: (n) => `${n} image${n === 1 ? '' : 's'}`,
  'image-bytes': (n) => `${sizeText(n)} of images`,
  'write-layer-bytes': (n) => `${sizeText(n)} of write layers`,
  builds: (n) => `${n} build${n === 1 ? '' : 's'} at once`,
  streams: (n) => `${n} stream${n === 1 ? '' : 's'} at once`,
  rate: (n) => `${n} requests a second`,
};

const BYTES = ['memory', 'swap', 'image-bytes', 'write-layer-bytes'] as const;
/** Amounts in bytes. */
export const isBytes = (key: QuotaKey): key is (typeof BYTES)[number] => (BYTES as readonly QuotaKey[]).includes(key);

/** An amount as people read it. */
export const amountText = (key: QuotaKey, amount: number): string => WORDS[key](amount);

/**
 * The first thing of which there would be more than the quota allows; undefined when all fits.
 *
 * @param whose `tenant red`, `identity ci of tenant red`
 */
export function overQuota(quota: Quota, used: Usage, wanted: Partial<Usage>, whose: string): string | undefined {
  for (const key in wanted) {
    const name = key as keyof Usage;
    const asked = wanted[name] ?? 0;
    const limit = quota[name];
    if (limit === undefined || asked <= 0 || used[name] + asked <= limit) continue;
    return (
      `denied: the quota of ${whose} is ${amountText(name, limit)}, ${inUse(name, used[name])} and ${inUse(name, asked, '')} more asked for; ` +
      'remove what is not needed, or ask an operator for a larger share'
    );
  }
  return undefined;
}

/**
 * The first amount of the quota that is used up; undefined when there is room in each. For objects whose size is not known before
 * they are made.
 */
export function fullQuota(
  quota: Quota,
  used: Usage,
  keys: readonly (keyof Usage)[],
  whose: string,
): string | undefined {
  const name = keys.find((key) => used[key] >= (quota[key] ?? Number.POSITIVE_INFINITY));
  if (name === undefined) return undefined;
  return (
    `denied: the quota of ${whose} is ${amountText(name, quota[name] ?? 0)}, and ${inUse(name, used[name])}; ` +
    'remove what is not needed, or ask an operator for a larger share'
  );
}

function inUse(key: keyof Usage, amount: number, words = ' in use'): string {
  if (isBytes(key)) return `${sizeText(amount)}${words}`;
  return `${key === 'cpus' ? amount / 1e9 : amount}${words}`;
}
