// Judges numbers and short texts by what the engine and the kernel make of them: an amount that rounds to none, wraps around or says
// "no limit" in other words is no limit, and one text may hold several values.
import type { Json } from '../../engine/types.ts';
import type { Check, Report } from './report.ts';
import { entry, listOf, objectOf, quote, show } from './report.ts';
import type { NameSet } from './rules.ts';
import { isNamed } from './rules.ts';

/**
 * Least share of a processor that is one, in billionths: the engine divides by 10000 to get microseconds of 100000, and the kernel
 * takes no quota below 1000. What rounds to 0 is no limit.
 */
export const MIN_NANO_CPUS = 10_000_000;
/** From here on an amount of memory is no limit: more than any machine has. The kernel's own word for none is near 2^63. */
export const MAX_MEMORY = 2 ** 50;
/** The kernel's most processes on one machine; a limit above it is none. */
export const MAX_PIDS = 4_194_304;

const amountOf = (value: Json): bigint | undefined =>
  typeof value === 'bigint' ? value : typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : undefined;

/** NanoCpus and NanoCPUs. */
export const nanoCpus: Check = (value, at, report) => {
  const amount = amountOf(value);
  if (amount === undefined || amount < MIN_NANO_CPUS) {
    report.deny(
      at,
      value,
      `is ${show(value)}, which engines round to no limit (allowed: 0, or from ${MIN_NANO_CPUS} on, 0.01 CPUs)`,
    );
  }
};

/** Limits that raise what a process may ask of the whole machine: its priority before others'. */
const PRIORITIES: ReadonlySet<string> = new Set(['rtprio', 'rttime', 'nice']);

/** Ulimits of a container and of a service. */
export const ulimits: Check = (value, at, report) => {
  const list = listOf(value, at, report);
  for (let i = 0; i < list.length; i += 1) {
    const item = objectOf(list[i], `${at}[${i}]`, report) ?? {};
    for (const key in item) {
      if (key !== 'Name' && key !== 'Soft' && key !== 'Hard') report.unknown(`${at}[${i}].${key}`, item[key]);
    }
    const name = String(item.Name ?? '')
      .toLowerCase()
      .replace(/^rlimit_/, '');
    if (PRIORITIES.has(name)) {
      report.deny(
        `${at}[${i}].Name`,
        item.Name,
        `is ${quote(item.Name)}, the priority before other processes of the host (allowed: other limits)`,
      );
    }
  }
};

const DEVICE = /^\/dev\/(?!.*(?:^|\/)\.{1,2}(?:\/|$))[A-Za-z0-9_./-]{1,128}$/;

/** Block devices of BlkioWeightDevice and its like: the engine looks the path up on the host, as root. */
export const blockDevices =
  (amount: 'Rate' | 'Weight'): Check =>
  (value, at, report) => {
    const list = listOf(value, at, report);
    for (let i = 0; i < list.length; i += 1) {
      const item = objectOf(list[i], `${at}[${i}]`, report) ?? {};
      for (const key in item) {
        if (key !== 'Path' && key !== amount) report.unknown(`${at}[${i}].${key}`, item[key]);
      }
      if (typeof item.Path !== 'string' || !DEVICE.test(item.Path)) {
        report.deny(`${at}[${i}].Path`, item.Path ?? '', `is ${quote(item.Path ?? '')} (allowed: a device below /dev)`);
      }
    }
  };

const NUMBER = /^[+-]?\d{1,19}$/;
const TWO_NUMBERS = /^\d{1,10}[ \t]+\d{1,10}$/;
/** Ports, ranges of them, and lists of both; `""` takes the list away. */
const PORTS = /^(?:\d{1,5}(?:-\d{1,5})?(?:,\d{1,5}(?:-\d{1,5})?)*)?$/;
/** What the safe settings hold. */
const SYSCTL_VALUES: Readonly<Record<string, RegExp>> = {
  'kernel.shm_rmid_forced': /^[01]$/,
  'net.ipv4.ip_local_port_range': TWO_NUMBERS,
  'net.ipv4.ip_local_reserved_ports': PORTS,
  'net.ipv4.ping_group_range': TWO_NUMBERS,
  'net.ipv4.tcp_syncookies': /^[0-2]$/,
};
/** Numbers, words and what separates them. A comma would start the next setting where the engine makes options of an end point of them. */
const LISTED_VALUE = /^[A-Za-z0-9 \t_.:+-]{0,256}$/;

/** Sysctls, name and value. */
export const sysctlsCheck =
  (names: NameSet, allowed: string): Check =>
  (value, at, report) => {
    const settings = objectOf(value, at, report);
    for (const name in settings) {
      if (!isNamed(names, name)) {
        report.deny(at, name, `sets ${quote(name)} (allowed: ${allowed})`);
        continue;
      }
      const own = Object.hasOwn(SYSCTL_VALUES, name) ? SYSCTL_VALUES[name] : undefined;
      const form = own ?? (SAFE_NUMBERS.has(name) ? NUMBER : LISTED_VALUE);
      const setting = settings[name];
      if (typeof setting !== 'string' || !form.test(setting)) {
        report.deny(entry(at, name), setting, `is ${quote(setting)} (allowed: ${wordsFor(form)})`);
      }
    }
  };

/** Safe settings that hold one number. */
const SAFE_NUMBERS: ReadonlySet<string> = new Set([
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
]);

function wordsFor(form: RegExp): string {
  if (form === NUMBER) return 'a number';
  if (form === TWO_NUMBERS) return 'two numbers';
  if (form === PORTS) return 'ports and ranges of ports with commas between';
  return form === LISTED_VALUE ? 'numbers and words without commas' : 'a small number';
}

const SIZE = /^(\d{1,6})(?:\.\d{1,3})?\s?([kmg]?)(?:i?b)?$/i;
const UNIT: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const sizeOf = (value: Json | undefined): number | undefined => {
  const match = typeof value === 'string' ? SIZE.exec(value) : null;
  return match === null ? undefined : Number(match[1]) * (UNIT[(match[2] ?? '').toLowerCase()] as number);
};
/** Most the engine keeps of one container's log in its own memory, in bytes: four times its own default. */
const MAX_LOG_BUFFER = 4 * 1024 ** 2;
/** Most bytes and files of one log on disk. */
const MAX_LOG_SIZE = 10 * 1024 ** 3;
const MAX_LOG_FILES = 100;

const logSize =
  (most: number, text: string) =>
  (value: Json | undefined): string | undefined => {
    const size = sizeOf(value);
    return size !== undefined && size > 0 && size <= most ? undefined : text;
  };
const FLAG = (value: Json | undefined) => (/^(?:true|false|0|1)$/.test(String(value)) ? undefined : 'true or false');
const FILES = (value: Json | undefined) =>
  /^\d{1,3}$/.test(String(value)) && Number(value) >= 1 && Number(value) <= MAX_LOG_FILES ? undefined : '1 to 100';

/** Options of the local log drivers whose values are amounts: what would be right, undefined when the value is. */
const LOG_AMOUNTS: Readonly<Record<string, (value: Json | undefined) => string | undefined>> = {
  'max-buffer-size': logSize(MAX_LOG_BUFFER, 'a size up to 4m, for the engine keeps it in memory'),
  'max-size': logSize(MAX_LOG_SIZE, 'a size up to 10g'),
  'max-file': FILES,
  'cache-max-size': logSize(MAX_LOG_SIZE, 'a size up to 10g'),
  'cache-max-file': FILES,
  'cache-disabled': FLAG,
  'cache-compress': FLAG,
  compress: FLAG,
  mode: (value) => (value === 'blocking' || value === 'non-blocking' ? undefined : 'blocking or non-blocking'),
};

/** One option of a local log driver. */
export function checkLogAmount(name: string, value: Json | undefined, at: string, report: Report): void {
  const right = Object.hasOwn(LOG_AMOUNTS, name) ? LOG_AMOUNTS[name]?.(value) : undefined;
  if (right !== undefined) report.deny(entry(at, name), value, `is ${quote(value)} (allowed: ${right})`);
}

const TMPFS_AMOUNT = /^(\d{1,15})([kmgt]?)$/i;

/**
 * Whether an amount of a tmpfs limits it: the kernel takes 0 for no limit and lets large numbers wrap around to it; a percentage
 * is one of the machine's memory.
 */
export function isTmpfsAmount(value: string): boolean {
  const percent = /^(\d{1,3})%$/.exec(value);
  if (percent !== null) return Number(percent[1]) >= 1 && Number(percent[1]) <= 100;
  const match = TMPFS_AMOUNT.exec(value);
  if (match === null) return false;
  const unit = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }[(match[2] ?? '').toLowerCase()] ?? 1;
  const amount = Number(match[1]) * unit;
  return amount > 0 && amount <= MAX_MEMORY;
}

/** One graphics card: its number, `card:instance`, or its whole UUID. A list would be several, a part of a UUID any that begin so. */
const UUID = '[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}';
const CARD = new RegExp(`^(?:\\d{1,3}(?::\\d{1,3})?|GPU-${UUID}|MIG-(?:GPU-)?${UUID}(?:/\\d{1,3}/\\d{1,3})?)$`);

export const isOneCard = (name: Json | undefined): boolean => typeof name === 'string' && CARD.test(name);
