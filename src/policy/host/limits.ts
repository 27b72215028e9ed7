// Checks ceilings of memory, processors and processes: at creation each must be set, afterwards none may be lifted.
import type { Json, JsonObject } from '../../engine/types.ts';
import { MAX_MEMORY, MAX_PIDS, MIN_NANO_CPUS } from './amounts.ts';
import type { PresetValues } from './presets.ts';
import type { Report } from './report.ts';
import { show } from './report.ts';
import type { LimitRules } from './rules.ts';
import { sizeText } from './sizes.ts';

/** The engine's period where a quota comes without one, in microseconds. */
const DEFAULT_PERIOD = 100_000;
/** Least quota the kernel takes, in microseconds. */
const MIN_QUOTA = 1000;

type Amount = number | bigint;
const amount = (value: Json | undefined): Amount =>
  typeof value === 'number' || typeof value === 'bigint' ? value : 0;

const cpusText = (nanoCpus: number): string => `${nanoCpus / 1e9} CPUs`;

interface Ceilings {
  readonly limits: LimitRules;
  /** Memory and PidsLimit must be set although nothing says how high. */
  readonly needed: boolean;
}

export const ceilingsOf = (limits: LimitRules, values: PresetValues | undefined): Ceilings | undefined => {
  const needed = values?.needsMemoryAndPids ?? false;
  const any = needed || limits.memory !== undefined || limits.nanoCpus !== undefined || limits.pids !== undefined;
  return any ? { limits, needed } : undefined;
};

/** HostConfig of a new container. */
export function checkCreated({ limits, needed }: Ceilings, host: JsonObject, at: string, report: Report): void {
  if (needed || limits.memory !== undefined) {
    checkAmount(host.Memory, limits.memory, sizeText, MAX_MEMORY, `${at}Memory`, report);
    checkSwap(host.MemorySwap, limits.memory, `${at}MemorySwap`, report);
  }
  if (needed || limits.pids !== undefined)
    checkAmount(host.PidsLimit, limits.pids, String, MAX_PIDS, `${at}PidsLimit`, report);
  if (limits.nanoCpus !== undefined) checkCpus(host, limits.nanoCpus, at, report);
}

function checkAmount(
  value: Json | undefined,
  most: number | undefined,
  text: (amount: number) => string,
  unlimited: number,
  at: string,
  report: Report,
): void {
  const given = amount(value);
  if (given > 0 && given <= (most ?? unlimited)) return;
  const allowed = most === undefined ? 'any limit, but one is needed' : `1 to ${text(most)}`;
  const isAmount = given > 0 && given <= unlimited;
  report.deny(at, value ?? 0, `${isAmount ? `is ${show(value)}` : 'sets no limit'} (allowed: ${allowed})`);
}

/** Memory and swap together; 0 means twice the memory, -1 no limit. */
function checkSwap(value: Json | undefined, memory: number | undefined, at: string, report: Report): void {
  const given = amount(value);
  if (memory === undefined) {
    if (given >= 0 && given <= MAX_MEMORY) return;
    report.deny(at, value, `is ${show(value)}, which is no limit (allowed: up to any limit, memory included)`);
    return;
  }
  if (given < 0 || given > memory * 2) {
    report.deny(at, value, `is ${show(value)} (allowed: up to ${sizeText(memory * 2)}, memory included)`);
  }
}

function checkCpus(host: JsonObject, most: number, at: string, report: Report): void {
  const nano = amount(host.NanoCpus);
  const quota = amount(host.CpuQuota);
  if (nano >= MIN_NANO_CPUS && quota === 0) {
    if (nano > most)
      report.deny(
        `${at}NanoCpus`,
        host.NanoCpus,
        `is ${show(host.NanoCpus)} (allowed: up to ${most}, ${cpusText(most)})`,
      );
    return;
  }
  if (quota > 0 && nano === 0) {
    checkQuota(quota, amount(host.CpuPeriod) || DEFAULT_PERIOD, most, at, report);
    return;
  }
  report.deny(
    `${at}NanoCpus`,
    host.NanoCpus ?? 0,
    `sets no limit of processors (allowed: up to ${most}, ${cpusText(most)})`,
  );
}

function checkQuota(quota: Amount, period: Amount, most: number, at: string, report: Report): void {
  if (period > 0 && quota >= MIN_QUOTA && (Number(quota) / Number(period)) * 1e9 <= most) return;
  report.deny(`${at}CpuQuota`, quota, `is ${quota} in a period of ${period} (allowed: up to ${cpusText(most)})`);
}

/**
 * Resources of a container update. What is missing or 0 stays as it is, but for PidsLimit, where 0 and -1 lift the
 * limit. A quota means nothing without its period, so they must come together.
 */
export function checkUpdated({ limits, needed }: Ceilings, body: JsonObject, report: Report): void {
  if ((needed || limits.memory !== undefined) && amount(body.Memory) !== 0) {
    checkAmount(body.Memory, limits.memory, sizeText, MAX_MEMORY, 'Memory', report);
  }
  if (needed || limits.memory !== undefined) checkSwap(body.MemorySwap, limits.memory, 'MemorySwap', report);
  if ((needed || limits.pids !== undefined) && body.PidsLimit !== undefined && body.PidsLimit !== null) {
    checkAmount(body.PidsLimit, limits.pids, String, MAX_PIDS, 'PidsLimit', report);
  }
  if (limits.nanoCpus === undefined) return;
  const [nano, quota, period] = [amount(body.NanoCpus), amount(body.CpuQuota), amount(body.CpuPeriod)];
  if (nano !== 0 && quota === 0 && period === 0) {
    if (nano < MIN_NANO_CPUS || nano > limits.nanoCpus) {
      report.deny('NanoCpus', nano, `is ${nano} (allowed: up to ${limits.nanoCpus}, ${cpusText(limits.nanoCpus)})`);
    }
  } else if (quota > 0 && period > 0 && nano === 0) checkQuota(quota, period, limits.nanoCpus, '', report);
  else if (nano !== 0 || quota !== 0 || period !== 0) {
    report.deny('CpuQuota', quota, `is ${quota} with CpuPeriod ${period} (allowed: NanoCpus, or both together)`);
  }
}

/** TaskTemplate.Resources.Limits of a service. */
export function checkTaskLimits({ limits, needed }: Ceilings, values: JsonObject, at: string, report: Report): void {
  if (needed || limits.memory !== undefined)
    checkAmount(values.MemoryBytes, limits.memory, sizeText, MAX_MEMORY, `${at}.MemoryBytes`, report);
  if (needed || limits.pids !== undefined)
    checkAmount(values.Pids, limits.pids, String, MAX_PIDS, `${at}.Pids`, report);
  if (limits.nanoCpus !== undefined)
    checkAmount(values.NanoCPUs, limits.nanoCpus, String, Number.MAX_SAFE_INTEGER, `${at}.NanoCPUs`, report);
}
