// Whether what a call will make or start fits the shares of its tenant and its identity, and taking it: in one step without a
// wait, so that two calls at once never take the same room. What a container takes without saying so is filled in before.
import { toCall } from '../../engine/call.ts';
import type { EngineCall, Json, JsonObject } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import { LIMITED_PARTS, overQuota, type Quota, type TenantLimits } from '../../ledger/quota.ts';
import { largerShare, NO_SHARE, type Share, shareAfterUpdate, shareOfCreate } from '../../ledger/share.ts';
import { NO_USAGE, sumOf, type Usage, usageOf } from '../../ledger/usage.ts';
import type { TenantCall } from './tenant-call.ts';

/** A change to a container that is there: what is reserved, what holds if the engine does it, what if it does not. */
export interface ShareChange {
  readonly reserved: LedgerEntry;
  readonly done: LedgerEntry;
  readonly undone: LedgerEntry;
}

/** The call with the tenant's defaults where a new container says nothing. */
export function withDefaults(call: EngineCall, limits: TenantLimits | undefined): EngineCall {
  if (limits === undefined || call.action !== 'container.create') return call;
  const { defaults } = limits;
  const asked = shareOfCreate(call.body);
  const filled: Record<string, Json> = Object.create(null);
  if (asked.memory === 0 && defaults.memory !== undefined) filled.Memory = defaults.memory;
  if (asked.nanoCpus === 0 && defaults.cpus !== undefined) filled.NanoCpus = defaults.cpus;
  if (asked.pids === 0 && defaults.pids !== undefined) filled.PidsLimit = defaults.pids;
  if (Object.keys(filled).length === 0) return call;
  const body: Record<string, Json | undefined> = Object.assign(Object.create(null), call.body);
  body.HostConfig = Object.assign(Object.create(null), body.HostConfig, filled) as JsonObject;
  const changed = toCall(call, body as JsonObject);
  return Object.freeze({ ...changed, resources: call.resources });
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
      needNamedPorts(call.body, tenantCall);
      fit(
        entries.map(usageOf).reduce((sum, one) => sumOf(sum, one), NO_USAGE),
        tenantCall,
      );
      return { pending: entries, change: undefined };
    }
    case 'container.start':
    case 'container.restart': {
      const entry = container();
      if (entry === undefined || entry.isRunning === true) return { pending, change: undefined };
      fit({ running: 1 }, tenantCall);
      const running: LedgerEntry = { ...entry, isRunning: true };
      return { pending, change: { reserved: running, done: running, undone: entry } };
    }
    case 'container.update': {
      const entry = container();
      if (entry === undefined) return { pending, change: undefined };
      const before = entry.share ?? NO_SHARE;
      const after = shareAfterUpdate(before, call.body);
      needPeriod(call.body, tenantCall);
      // Only what the call takes away is its fault: a container may be older than the quota.
      needParts(after, tenantCall, '', before);
      fit(
        {
          memory: after.memory - before.memory,
          cpus: after.nanoCpus - before.nanoCpus,
          pids: after.pids - before.pids,
        },
        tenantCall,
      );
      const reserved: LedgerEntry = { ...entry, share: largerShare(before, after) };
      // With another update on its way nobody knows which one the engine does last: the larger share stays then.
      const { holds } = tenantCall.state;
      const isAlone = !holds.isHeld(UPDATE, entry.key);
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
    default:
      if (pending.length > 0)
        fit(
          pending.map(usageOf).reduce((sum, one) => sumOf(sum, one), NO_USAGE),
          tenantCall,
        );
      return { pending, change: undefined };
  }
}

/** How many ports an image exposes is not in the call. */
function needNamedPorts(body: Json | undefined, tenantCall: TenantCall): void {
  const host = ((body ?? {}) as JsonObject).HostConfig as JsonObject | undefined | null;
  if (host?.PublishAllPorts !== true) return;
  for (const { quota, whose } of quotasOf(tenantCall)) {
    if (quota.ports === undefined) continue;
    throw new GatewayError(
      'quota-exceeded',
      `denied: the quota of ${whose} counts ports, and HostConfig.PublishAllPorts does not say how many: ` +
        'name each (docker --publish)',
    );
  }
}

/** Under this word the ledger's key of a container is held while an update of it is on its way. */
const UPDATE = 'update';

/** The engine keeps the half that is not said, and the ledger knows only what both came to. */
function needPeriod(body: Json | undefined, tenantCall: TenantCall): void {
  const { CpuQuota: quota, CpuPeriod: period } = (body ?? {}) as JsonObject;
  const isSaid = (value: Json | undefined): boolean =>
    (typeof value === 'number' || typeof value === 'bigint') && value > 0;
  // A quota below zero is no limit, which is told as such.
  if (isSaid(quota) === isSaid(period)) return;
  for (const { quota: limits, whose } of quotasOf(tenantCall)) {
    if (limits.cpus === undefined) continue;
    throw new GatewayError(
      'quota-exceeded',
      `denied: the quota of ${whose} counts cpus, and ${isSaid(quota) ? 'CpuQuota' : 'CpuPeriod'} alone does not say how many: ` +
        'send CpuQuota and CpuPeriod above 0 together, or NanoCpus (docker update --cpus)',
    );
  }
}

/** @throws {GatewayError} `quota-exceeded` */
function fit(wanted: Partial<Usage>, tenantCall: TenantCall): void {
  for (const { quota, used, whose } of quotasOf(tenantCall)) {
    const over = overQuota(quota, used, wanted, whose);
    if (over !== undefined) throw new GatewayError('quota-exceeded', over);
  }
}

const FIELD_OF = { memory: 'Memory', cpus: 'NanoCpus', pids: 'PidsLimit' } as const;
const OPTION_OF = { memory: '--memory', cpus: '--cpus', pids: '--pids-limit' } as const;

/** A container without a limit takes all there is: where a part is limited it must say how much. */
function needParts(share: Share, tenantCall: TenantCall, at: string, before?: Share): void {
  for (const { quota, whose } of quotasOf(tenantCall)) {
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

/** The engine makes containers of a service by itself, past the ledger. */
function refuseServices(tenantCall: TenantCall): void {
  for (const { quota, whose } of quotasOf(tenantCall)) {
    const counted = (['containers', 'running', ...LIMITED_PARTS] as const).find((key) => quota[key] !== undefined);
    if (counted === undefined) continue;
    throw new GatewayError(
      'quota-exceeded',
      `denied: the quota of ${whose} counts ${counted}, and what a service starts cannot be counted; run containers, or ask an operator`,
    );
  }
}

function quotasOf({ limits, ledger, owner }: TenantCall): { quota: Quota; used: Usage; whose: string }[] {
  if (limits === undefined) return [];
  const { tenant, subject } = owner;
  return [
    { quota: limits.quota, used: ledger.usages.of(tenant), whose: `tenant ${tenant}` },
    {
      quota: limits.identityQuota,
      used: ledger.usages.ofOwner(tenant, subject),
      whose: `identity ${subject} of tenant ${tenant}`,
    },
  ];
}
