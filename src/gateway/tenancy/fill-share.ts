// Fills in what a call leaves open about a container's share, before it is judged, so that what is judged and counted is what is
// sent: the tenant's defaults, no swap where memory counts, and the half the engine would keep where an update says the other.
import { toCall } from '../../engine/call.ts';
import type { EngineCall, Json, JsonObject } from '../../engine/types.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import type { TenantLimits } from '../../ledger/quota.ts';
import { DEFAULT_PERIOD_US, numberOf, shareOfCreate } from '../../ledger/share.ts';
import type { Usage } from '../../ledger/usage.ts';

type Filling = Record<string, Json>;

/** Whether the tenant's quota or that of its identities limits a part. */
export const counts = ({ quota, identityQuota }: TenantLimits, part: keyof Usage): boolean =>
  quota[part] !== undefined || identityQuota[part] !== undefined;

/** Where memory counts, so does what a container may swap out. */
export const countsSwap = (limits: TenantLimits): boolean => counts(limits, 'memory') || counts(limits, 'swap');

/** A create with the tenant's defaults where it says nothing. */
export function withDefaults(call: EngineCall, limits: TenantLimits | undefined): EngineCall {
  if (limits === undefined || call.action !== 'container.create') return call;
  const { defaults } = limits;
  const asked = shareOfCreate(call.body);
  const host = ((call.body as JsonObject | undefined)?.HostConfig ?? {}) as JsonObject;
  const filled: Filling = Object.create(null);
  if (asked.memory === 0 && defaults.memory !== undefined) filled.Memory = defaults.memory;
  if (asked.nanoCpus === 0 && defaults.cpus !== undefined) {
    // The engine takes a period with a quota alone.
    if (asked.cpuPeriod === 0) filled.NanoCpus = defaults.cpus;
    else filled.CpuQuota = Math.floor((defaults.cpus / 1e9) * asked.cpuPeriod);
  }
  if (asked.pids === 0 && defaults.pids !== undefined) filled.PidsLimit = defaults.pids;
  // Of itself the engine gives as much swap again as memory.
  const memory = filled.Memory ?? host.Memory;
  if (countsSwap(limits) && numberOf(memory) > 0 && numberOf(host.MemorySwap) === 0) filled.MemorySwap = memory as Json;
  if (Object.keys(filled).length === 0) return call;
  return withBody(call, { HostConfig: Object.assign(Object.create(null), host, filled) as JsonObject });
}

/**
 * An update with both halves of a pair of which it says one: two updates at once then leave one of the two pairs, which were both
 * counted, and no mixture.
 */
export function withPairs(
  call: EngineCall,
  limits: TenantLimits | undefined,
  entry: LedgerEntry | undefined,
): EngineCall {
  const share = entry?.share;
  if (limits === undefined || share === undefined || call.action !== 'container.update') return call;
  const body = (call.body ?? {}) as JsonObject;
  const filled: Filling = Object.create(null);
  const memory = numberOf(body.Memory);
  const memorySwap = numberOf(body.MemorySwap);
  if (countsSwap(limits)) {
    // What may be swapped out stays as much as it was; swap without a limit the engine asks to be named.
    if (memory > 0 && memorySwap === 0 && share.swap >= 0) filled.MemorySwap = memory + share.swap;
    if (memorySwap > 0 && memory === 0 && share.memory > 0) filled.Memory = share.memory;
  }
  const quota = numberOf(body.CpuQuota);
  const period = numberOf(body.CpuPeriod);
  // The engine refuses both of them where NanoCpus are set.
  if (counts(limits, 'cpus') && numberOf(body.NanoCpus) === 0 && (share.cpuQuota > 0 || share.nanoCpus === 0)) {
    if (quota > 0 && period === 0) filled.CpuPeriod = share.cpuPeriod || DEFAULT_PERIOD_US;
    if (period > 0 && quota === 0 && share.cpuQuota > 0) filled.CpuQuota = share.cpuQuota;
  }
  return Object.keys(filled).length === 0 ? call : withBody(call, filled);
}

function withBody(call: EngineCall, fields: JsonObject): EngineCall {
  const body = Object.assign(Object.create(null), call.body, fields) as JsonObject;
  return Object.freeze({ ...toCall(call, body), resources: call.resources });
}
