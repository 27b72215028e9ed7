// How much of the host a container may take: memory, CPU, processes, published ports. Read from the judged body of a create or
// an update as the engine would apply it. Engine API: HostConfig, Resources.
import type { Json, JsonObject } from '../engine/types.ts';

/** What one container takes of its tenant's share. */
export interface Share {
  /** Bytes; 0 where the container has no limit. */
  readonly memory: number;
  /** Billionths of a CPU; 0 where the container has no limit. */
  readonly nanoCpus: number;
  /** 0 where the container has no limit. */
  readonly pids: number;
  /** Published ports of the host. */
  readonly ports: number;
}

export const NO_SHARE: Share = Object.freeze({ memory: 0, nanoCpus: 0, pids: 0, ports: 0 });

/** The engine's own period where a body has a quota alone, in microseconds. */
const DEFAULT_PERIOD_US = 100_000;

const fields = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
const numberOf = (value: Json | undefined): number =>
  typeof value === 'number' || typeof value === 'bigint' ? Number(value) : 0;
const positive = (value: Json | undefined): number => Math.max(0, numberOf(value));

function nanoCpusOf(resources: JsonObject): number {
  const nano = positive(resources.NanoCpus);
  if (nano > 0) return nano;
  const quota = positive(resources.CpuQuota);
  return Math.floor((quota / (positive(resources.CpuPeriod) || DEFAULT_PERIOD_US)) * 1e9);
}

function portsOf(host: JsonObject): number {
  let count = 0;
  for (const bindings of Object.values(fields(host.PortBindings))) {
    if (Array.isArray(bindings)) count += bindings.length;
  }
  return count;
}

/** The share a create body asks for. */
export function shareOfCreate(body: Json | undefined): Share {
  const host = fields(fields(body).HostConfig);
  return {
    memory: positive(host.Memory),
    nanoCpus: nanoCpusOf(host),
    pids: positive(host.PidsLimit),
    ports: portsOf(host),
  };
}

/**
 * The share after an update. Zero and absent leave a limit as it is, but for `PidsLimit`, where the engine reads zero and
 * less as no limit; so it does with a negative `CpuQuota`.
 */
export function shareAfterUpdate(before: Share, body: Json | undefined): Share {
  const resources = fields(body);
  const setsPids = resources.PidsLimit !== undefined && resources.PidsLimit !== null;
  const cpus = nanoCpusOf(resources);
  return {
    memory: positive(resources.Memory) || before.memory,
    nanoCpus: numberOf(resources.CpuQuota) < 0 ? 0 : cpus || before.nanoCpus,
    pids: setsPids ? positive(resources.PidsLimit) : before.pids,
    ports: before.ports,
  };
}

/** The larger of both in every part: what is reserved while the engine has not answered. */
export const largerShare = (a: Share, b: Share): Share => ({
  memory: Math.max(a.memory, b.memory),
  nanoCpus: Math.max(a.nanoCpus, b.nanoCpus),
  pids: Math.max(a.pids, b.pids),
  ports: Math.max(a.ports, b.ports),
});
