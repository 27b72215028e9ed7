// Whether one address range lies within another, for the subnets of new networks.

export interface Subnet {
  readonly version: 4 | 6;
  readonly address: bigint;
  /** Prefix length. */
  readonly bits: number;
}

/** Reads `10.0.0.0/8` or `fd00::/8` strictly; undefined for anything else. Host bits may be set. */
export function parseSubnet(text: string): Subnet | undefined {
  const match = /^([0-9a-fA-F:.]+)\/(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const [, address = '', length = ''] = match;
  const bits = Number(length);
  if (!address.includes(':')) {
    const value = parseIpv4(address);
    return value === undefined || bits > 32 ? undefined : { version: 4, address: value, bits };
  }
  const value = parseIpv6(address);
  return value === undefined || bits > 128 ? undefined : { version: 6, address: value, bits };
}

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

/** Without embedded IPv4: such a range would be judged as something it is not. */
function parseIpv6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2 || text.includes('.')) return undefined;
  const groups = (half: string | undefined): string[] => (half === undefined || half === '' ? [] : half.split(':'));
  const head = groups(halves[0]);
  const tail = groups(halves[1]);
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  let value = 0n;
  for (const group of [...head, ...Array<string>(missing).fill('0'), ...tail]) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
    value = (value << 16n) | BigInt(`0x${group}`);
  }
  return value;
}

/** `10.0.0.0/8`, `fd00:0:0:0:0:0:0:0/8`: as `parseSubnet` reads it. */
export function subnetText({ version, address, bits }: Subnet): string {
  const [count, width] = version === 4 ? [4, 8n] : [8, 16n];
  const parts = Array.from(
    { length: count },
    (_, i) => (address >> (width * BigInt(count - 1 - i))) & ((1n << width) - 1n),
  );
  return `${parts.map((part) => part.toString(version === 4 ? 10 : 16)).join(version === 4 ? '.' : ':')}/${bits}`;
}

export const isOverlapping = (a: Subnet, b: Subnet): boolean => isWithin(a, b) || isWithin(b, a);

export function isWithin(inner: Subnet, outer: Subnet): boolean {
  if (inner.version !== outer.version || inner.bits < outer.bits) return false;
  const shift = BigInt((inner.version === 4 ? 32 : 128) - outer.bits);
  return inner.address >> shift === outer.address >> shift;
}
