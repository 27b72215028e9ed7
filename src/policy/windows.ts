// The typed limits of a rule in time and place: hours of the week in a time zone, and source addresses.
// Both are pure: the moment and the address are given.
import { BlockList, isIP } from 'node:net';

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Day = (typeof DAYS)[number];

/** Hours of the week. `to` is left out of the window; one that is not after `from` ends on the next day. */
export interface Hours {
  /** Empty means every day. */
  readonly days: readonly Day[];
  /** Minutes since midnight. */
  readonly from: number;
  readonly to: number;
  /** IANA time zone. */
  readonly zone: string;
}

/** `08:30` in minutes since midnight, `24:00` included; undefined for anything else. */
export function parseClock(text: string): number | undefined {
  const match = /^(\d{2}):(\d{2})$/.exec(text);
  if (match === null) return undefined;
  const minutes = Number(match[1]) * 60 + Number(match[2]);
  return Number(match[2]) < 60 && minutes <= 24 * 60 ? minutes : undefined;
}

/** Whether the running time knows a zone by this name. */
export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** @returns a test of moments in milliseconds since the epoch */
export function compileHours(hours: Hours): (at: number) => boolean {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: hours.zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const days = new Set<string>(hours.days.length === 0 ? DAYS : hours.days);
  const { from, to } = hours;
  return (at) => {
    let day = '';
    let minutes = 0;
    for (const { type, value } of format.formatToParts(at)) {
      if (type === 'weekday') day = value.toLowerCase().slice(0, 3);
      else if (type === 'hour') minutes += Number(value) * 60;
      else if (type === 'minute') minutes += Number(value);
    }
    if (from < to) return days.has(day) && minutes >= from && minutes < to;
    // Past midnight a window belongs to the day it began on.
    if (minutes >= from) return days.has(day);
    const yesterday = DAYS[(DAYS.indexOf(day as Day) + 6) % 7] as string;
    return minutes < to && days.has(yesterday);
  };
}

export type SourceVerdict = 'inside' | 'outside' | 'unknown';

/** The fault of a source pattern; undefined when it has none. */
export function faultOfSource(pattern: string): string | undefined {
  if (pattern === 'unix') return undefined;
  const [address = '', bits, more] = pattern.split('/');
  const version = isIP(address);
  const most = version === 4 ? 32 : 128;
  const right = 'write an address, a range such as 10.0.0.0/8, or unix for the unix sockets';
  if (version === 0 || more !== undefined) return `${JSON.stringify(pattern)} is no address; ${right}`;
  if (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > most)) {
    return `${JSON.stringify(pattern)} has no prefix length from 0 to ${most}; ${right}`;
  }
  return undefined;
}

/**
 * An address in its one form: an IPv4 caller of a listener for both families as IPv4, without the zone of a link-local address,
 * IPv6 short and in lower case. Other texts stay as they are.
 */
export function normalSource(source: string): string {
  const address = source.replace(/%.*$/s, '');
  if (isIP(address) !== 6) return isIP(address) === 4 ? address : source;
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (mapped === null) return short;
  const [high, low] = [Number.parseInt(mapped[1] ?? '', 16), Number.parseInt(mapped[2] ?? '', 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** @param patterns addresses, ranges, and `unix` */
export function compileSource(patterns: readonly string[]): (source: string) => SourceVerdict {
  const list = new BlockList();
  let unix = false;
  for (const pattern of patterns) {
    if (pattern === 'unix') {
      unix = true;
      continue;
    }
    const [address = '', bits] = pattern.split('/');
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (source) => {
    if (source === 'unix' || source.startsWith('unix:')) return unix ? 'inside' : 'outside';
    const address = normalSource(source);
    const version = isIP(address);
    if (version === 0) return 'unknown';
    return list.check(address, version === 4 ? 'ipv4' : 'ipv6') ? 'inside' : 'outside';
  };
}
