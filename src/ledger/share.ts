// How much of the host a container may take: memory, swap, CPU, processes, published ports. Read from the judged body of a create
// or an update as the engine would apply it. Engine API: HostConfig, Resources.
import type { Json, JsonObject } from '../engine/types.ts';

/** What one container, or one image, takes of its tenant's share. */
export interface Share {
  /** Bytes; 0 where the container has no limit. */
  readonly memory: number;
  /** Bytes of swap beyond the memory; 0 where there is none, or where memory has no limit either; -1 for no limit. */
  readonly swap: number;
  /** Billionths of a CPU; 0 where the container has no limit. */
  readonly nanoCpus: number;
  /** The halves the engine keeps apart, in microseconds; 0 where they were not said. */
  readonly cpuQuota: number;
  readonly cpuPeriod: number;
  /** 0 where the container has no limit. */
  readonly pids: number;
  /** Published ports of the host. */
  readonly ports: number;
  /** Bytes on disk: of an image, or of what a container wrote, when it was last measured. */
  readonly bytes: number;
  /** A change of it is under way, or its outcome is unknown: to be compared with the engine. */
  readonly isOpen?: true;
}

export const NO_SHARE: Share = Object.freeze({
  memory: 0,
  swap: 0,
  nanoCpus: 0,
  cpuQuota: 0,
  cpuPeriod: 0,
  pids: 0,
  ports: 0,
  bytes: 0,
});

/** The engine's own period where a body has a quota alone, in microseconds. */
export const DEFAULT_PERIOD_US = 100_000;

const fields = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
export const numberOf = (value: Json | undefined): number =>
  typeof value === 'number' || typeof value === 'bigint' ? Number(value) : 0;
const positive = (value: Json | undefined): number => Math.max(0, numberOf(value));

/** Billionths of a CPU the engine rounds to no limit at all: below 10000 to a quota of 0, below 0.01 to one no kernel takes. */
const MIN_NANO_CPUS = 10_000_000;
const limitOf = (value: Json | undefined): number => {
  const nanoCpus = positive(value);
  return nanoCpus < MIN_NANO_CPUS ? 0 : nanoCpus;
};

const cpusOf = (quota: number, period: number): number => Math.floor((quota / (period || DEFAULT_PERIOD_US)) * 1e9);

/** `MemorySwap` is memory and swap together. The engine reads 0 as twice the memory, and less as no limit. */
function swapOf(memory: number, memorySwap: number): number {
  if (memory === 0) return 0;
  if (memorySwap < 0) return -1;
  return memorySwap === 0 ? memory : Math.max(0, memorySwap - memory);
}

/** An entry without bindings is one port as well: engines before API 1.53 may publish it. */
function portsOf(host: JsonObject): number {
  let count = 0;
  for (const bindings of Object.values(fields(host.PortBindings))) {
    count += Array.isArray(bindings) ? Math.max(1, bindings.length) : 1;
  }
  return count;
}

/** The share a create body asks for. */
export function shareOfCreate(body: Json | undefined): Share {
  const host = fields(fields(body).HostConfig);
  const memory = positive(host.Memory);
  const [cpuQuota, cpuPeriod] = [positive(host.CpuQuota), positive(host.CpuPeriod)];
  return {
    memory,
    swap: swapOf(memory, numberOf(host.MemorySwap)),
    nanoCpus: limitOf(host.NanoCpus) || cpusOf(cpuQuota, cpuPeriod),
    cpuQuota,
    cpuPeriod,
    pids: positive(host.PidsLimit),
    ports: portsOf(host),
    bytes: 0,
  };
}

/**
 * The share after an update. Zero and absent leave a limit as it is, but for `PidsLimit`, where the engine reads zero and
 * less as no limit; so it does with a negative `CpuQuota`. Halves that are not said stay: a new period alone makes the same
 * quota more CPUs, a new amount of memory alone leaves `MemorySwap` what it was.
 */
export function shareAfterUpdate(before: Share, body: Json | undefined): Share {
  const resources = fields(body);
  const setsPids = resources.PidsLimit !== undefined && resources.PidsLimit !== null;
  const memory = positive(resources.Memory) || before.memory;
  const memorySwap = numberOf(resources.MemorySwap) || (before.swap < 0 ? -1 : before.memory + before.swap);
  const cpuQuota = numberOf(resources.CpuQuota) === 0 ? before.cpuQuota : positive(resources.CpuQuota);
  const cpuPeriod = positive(resources.CpuPeriod) || before.cpuPeriod;
  const halves = cpuQuota > 0 ? cpusOf(cpuQuota, cpuPeriod) : numberOf(resources.CpuQuota) < 0 ? 0 : before.nanoCpus;
  return {
    memory,
    swap: swapOf(memory, memorySwap),
    nanoCpus: numberOf(resources.NanoCpus) === 0 ? halves : limitOf(resources.NanoCpus),
    cpuQuota,
    cpuPeriod,
    pids: setsPids ? positive(resources.PidsLimit) : before.pids,
    ports: before.ports,
    bytes: before.bytes,
  };
}

/** The larger of both in every part: what is reserved while the engine has not answered. */
export function largerShare(a: Share, b: Share): Share {
  const { cpuQuota, cpuPeriod } = a.nanoCpus > b.nanoCpus ? a : b;
  return {
    memory: Math.max(a.memory, b.memory),
    swap: a.swap < 0 || b.swap < 0 ? -1 : Math.max(a.swap, b.swap),
    nanoCpus: Math.max(a.nanoCpus, b.nanoCpus),
    cpuQuota,
    cpuPeriod,
    pids: Math.max(a.pids, b.pids),
    ports: Math.max(a.ports, b.ports),
    bytes: Math.max(a.bytes, b.bytes),
    isOpen: true,
  };
}

export const isSameShare = (a: Share, b: Share): boolean =>
  (Object.keys(NO_SHARE) as (keyof typeof NO_SHARE)[]).every((part) => a[part] === b[part]) && a.isOpen === b.isOpen;
