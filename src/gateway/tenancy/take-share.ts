// Whether what a call will make or start fits the shares of its tenant and its identity, and taking it: in one step without a
// wait, so that two calls at once never take the same room. What a container takes without saying so is filled in before.
import type { EngineCall, JsonObject } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import type { Holds } from '../../ledger/holds.ts';
import { amountText, fullQuota, LIMITED_PARTS, overQuota, type Quota } from '../../ledger/quota.ts';
import { largerShare, NO_SHARE, type Share, shareAfterUpdate, shareOfCreate } from '../../ledger/share.ts';
import { NO_USAGE, sumOf, type Usage, usageOf } from '../../ledger/usage.ts';
import { isHostNetwork } from '../../policy/host/isolation.ts';
import type { TenantCall } from './tenant-call.ts';

/** A change to an existing container: the reserved entry, the entry if the engine does it, and the entry if it does not. */
export interface ShareChange {
  readonly reserved: LedgerEntry;
  readonly done: LedgerEntry;
  readonly undone: LedgerEntry;
}

/**
 * Checks the shares and gives the entries with what they take; nothing is applied.
 *
 * @throws {GatewayError} `quota-exceeded`
 */
export function takeShare(
  call: EngineCall,
  pending: readonly LedgerEntry[],
  tenantCall: TenantCall,
): { readonly pending: readonly LedgerEntry[]; readonly change: ShareChange | undefined } {
  const { ledger, tenant } = tenantCall;
  const container = (): LedgerEntry | undefined => ledger.owned(tenant, 'container', call.path.id ?? '');
  switch (call.action) {
    case 'container.create': {
      const share = shareOfCreate(call.body);
      const entries = pending.map((entry) => (entry.kind === 'container' ? { ...entry, share } : entry));
      needParts(share, tenantCall, 'HostConfig.');
      needSwapLimit(share, tenantCall, 'HostConfig.');
      needNamedPorts(call, tenantCall);
      needRoom('write-layer-bytes', tenantCall);
      fit(usageOfAll(entries), tenantCall);
      return { pending: entries, change: undefined };
    }
    case 'container.start':
    case 'container.restart': {
      const entry = container();
      if (entry === undefined || entry.isRunning === true) return { pending, change: undefined };
      fit({ running: 1 }, tenantCall, entry.owner);
      needRoom('write-layer-bytes', tenantCall, entry.owner);
      const running: LedgerEntry = { ...entry, isRunning: true };
      return { pending, change: { reserved: running, done: running, undone: entry } };
    }
    case 'container.update': {
      const entry = container();
      if (entry === undefined) return { pending, change: undefined };
      const before = { ...NO_SHARE, ...entry.share };
      const after = shareAfterUpdate(before, call.body);
      // Only what the call takes away is its fault: a container may be older than the quota.
      needParts(after, tenantCall, '', entry.owner, before);
      needSwapLimit(after, tenantCall, '', entry.owner, before);
      fit(
        {
          memory: after.memory - before.memory,
          swap: Math.max(0, after.swap) - Math.max(0, before.swap),
          cpus: after.nanoCpus - before.nanoCpus,
          pids: after.pids - before.pids,
        },
        tenantCall,
        entry.owner,
      );
      const reserved: LedgerEntry = { ...entry, share: largerShare(before, after) };
      // With another update on its way it is unknown which one the engine does last: the larger share stays then.
      const { holds } = tenantCall.state;
      const isAlone = !isUpdating(entry, holds);
      tenantCall.hold(UPDATE, entry.key);
      const change = isAlone
        ? { reserved, done: { ...entry, share: after }, undone: entry }
        : { reserved, done: reserved, undone: reserved };
      return { pending, change };
    }
    case 'service.create':
    case 'service.update':
      refuseServices(tenantCall);
      return { pending, change: undefined };
    case 'image.tag':
    case 'image.load':
      fitImages(pending, tenantCall);
      return { pending, change: undefined };
    case 'image.pull':
    case 'image.commit':
    case 'image.import':
    case 'build.run':
      needRoom('image-bytes', tenantCall);
      fit(usageOfAll(pending), tenantCall);
      return { pending, change: undefined };
    default:
      if (pending.length > 0) fit(usageOfAll(pending), tenantCall);
      return { pending, change: undefined };
  }
}

const usageOfAll = (entries: readonly LedgerEntry[]): Usage =>
  entries.map(usageOf).reduce((sum, one) => sumOf(sum, one), NO_USAGE);

/** How many ports an image exposes is not in the call, nor which of the host's own a container opens. */
function needNamedPorts({ body, resources }: EngineCall, tenantCall: TenantCall): void {
  const host = ((body ?? {}) as JsonObject).HostConfig as JsonObject | undefined | null;
  const onHost =
    isHostNetwork(host?.NetworkMode) ||
    resources.some(({ kind, name, resolvedName: known }) => kind === 'network' && isHostNetwork(known ?? name));
  if (host?.PublishAllPorts !== true && !onHost) return;
  for (const { quota, whose } of quotasOf(tenantCall)) {
    if (quota.ports === undefined) continue;
    throw new GatewayError(
      'quota-exceeded',
      onHost
        ? `denied: the quota of ${whose} counts ports, and on the network of the host a container takes any: ` +
            'use another network and name each port (docker --publish)'
        : `denied: the quota of ${whose} counts ports, and HostConfig.PublishAllPorts does not say how many: ` +
            'name each (docker --publish)',
    );
  }
}

/** Under this word the ledger's key of a container is held while an update of it is on its way. */
const UPDATE = 'update';

/** Whether an update of a container is on its way. */
export const isUpdating = (entry: LedgerEntry, holds: Holds): boolean => holds.isHeld(UPDATE, entry.key);

/**
 * @param subject whose use it adds to: an object counts for the identity that made it, also when another starts or changes it
 * @throws {GatewayError} `quota-exceeded`
 */
function fit(wanted: Partial<Usage>, tenantCall: TenantCall, subject?: string): void {
  for (const { quota, used, whose } of quotasOf(tenantCall, subject)) {
    const over = overQuota(quota, used, wanted, whose);
    if (over !== undefined) throw new GatewayError('quota-exceeded', over);
  }
}

/**
 * A new object may be of any size: there is room for it while the quota is not used up.
 *
 * @throws {GatewayError} `quota-exceeded`
 */
function needRoom(key: 'image-bytes' | 'write-layer-bytes', tenantCall: TenantCall, subject?: string): void {
  for (const { quota, used, whose } of quotasOf(tenantCall, subject)) {
    const full = fullQuota(quota, used, [key], whose);
    if (full !== undefined) throw new GatewayError('quota-exceeded', full);
  }
}

/** Names for images whose size is known. @throws {GatewayError} `quota-exceeded` */
function fitImages(pending: readonly LedgerEntry[], tenantCall: TenantCall): void {
  for (const { quota, used, whose, hasImage } of quotasOf(tenantCall)) {
    const isNew = ({ parent }: LedgerEntry): boolean => parent !== undefined && !hasImage(parent);
    const sizes = new Map(pending.filter(isNew).map(({ parent, share }) => [parent, share?.bytes ?? 0] as const));
    const bytes = [...sizes.values()].reduce((sum, one) => sum + one, 0);
    const over = overQuota(quota, used, { images: pending.length, 'image-bytes': bytes }, whose);
    if (over !== undefined) throw new GatewayError('quota-exceeded', over);
  }
}

const FIELD_OF = { memory: 'Memory', cpus: 'NanoCpus', pids: 'PidsLimit' } as const;
const OPTION_OF = { memory: '--memory', cpus: '--cpus', pids: '--pids-limit' } as const;

/** A container without a limit takes all there is: where a part is limited it must say how much. */
function needParts(share: Share, tenantCall: TenantCall, at: string, subject?: string, before?: Share): void {
  for (const { quota, whose } of quotasOf(tenantCall, subject)) {
    for (const part of LIMITED_PARTS) {
      const of = (s: Share): number => (part === 'cpus' ? s.nanoCpus : s[part]);
      if (quota[part] === undefined || of(share) > 0 || (before !== undefined && of(before) === 0)) continue;
      throw new GatewayError(
        'quota-exceeded',
        `denied: the quota of ${whose} counts ${part}, so a container must say how much it takes: ` +
          `${at}${FIELD_OF[part]} has no limit (docker ${OPTION_OF[part]})`,
      );
    }
  }
}

/** Swap is memory in another place: where memory counts, swap must have a limit. */
function needSwapLimit(share: Share, tenantCall: TenantCall, at: string, subject?: string, before?: Share): void {
  if (share.swap >= 0 || (before !== undefined && before.swap < 0)) return;
  for (const { quota, whose } of quotasOf(tenantCall, subject)) {
    if (quota.swap === undefined) continue;
    throw new GatewayError(
      'quota-exceeded',
      `denied: the quota of ${whose} is ${amountText('swap', quota.swap)}, and ${at}MemorySwap below 0 is no limit: ` +
        `send ${at}Memory and the swap together, or leave it out (docker --memory-swap)`,
    );
  }
}

/** The engine makes containers of a service by itself, past the ledger. */
function refuseServices(tenantCall: TenantCall): void {
  for (const { quota, whose } of quotasOf(tenantCall)) {
    const counted =
      // Swap after memory: with memory alone it is counted without having been named.
      (['containers', 'running', ...LIMITED_PARTS, 'swap', 'ports', 'volumes', 'write-layer-bytes'] as const).find(
        (key) => quota[key] !== undefined,
      );
    if (counted === undefined) continue;
    throw new GatewayError(
      'quota-exceeded',
      `denied: the quota of ${whose} counts ${counted}, and what a service starts cannot be counted; run containers, or ask an operator`,
    );
  }
}

interface Limited {
  readonly quota: Quota;
  readonly used: Usage;
  /** Whose quota it is, in words. */
  readonly whose: string;
  /** Whether an image is counted already. */
  hasImage(id: string): boolean;
}

function quotasOf({ limits, ledger, owner }: TenantCall, subject = owner.subject): readonly Limited[] {
  if (limits === undefined) return [];
  const { tenant } = owner;
  const { usages } = ledger;
  // Where memory has a quota and swap has none, no swap is allowed.
  const isSwapSaid = limits.quota.swap !== undefined || limits.identityQuota.swap !== undefined;
  const withSwap = (quota: Quota): Quota => (quota.memory === undefined || isSwapSaid ? quota : { ...quota, swap: 0 });
  return [
    {
      quota: withSwap(limits.quota),
      used: usages.of(tenant),
      whose: `tenant ${tenant}`,
      hasImage: (id) => usages.hasImage(id, tenant),
    },
    {
      quota: withSwap(limits.identityQuota),
      used: usages.ofOwner(tenant, subject),
      whose: `identity ${subject} of tenant ${tenant}`,
      hasImage: (id) => usages.hasImage(id, tenant, subject),
    },
  ];
}
