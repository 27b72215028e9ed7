// Networks this machine reaches by itself: of its interfaces, and of its routes but the default one. A route less than a whole network
// is one too. Linux tells routes; elsewhere only the interfaces are known.
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

/** Ranges as text, `192.168.1.0/24` or `fd00::/64`: host bits may be set. Loopback and link-local ones are left out. */
export function hostNetworks(): readonly string[] {
  const ranges = new Set<string>();
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { cidr, internal } of addresses ?? []) if (!internal && name !== 'lo' && cidr !== null) ranges.add(cidr);
  }
  for (const range of [...routes4(read('/proc/net/route')), ...routes6(read('/proc/net/ipv6_route'))])
    ranges.add(range);
  return [...ranges].filter((range) => !/^(?:127\.|169\.254\.|fe[89ab]|ff|::1\/)/i.test(range));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** Interface, destination, gateway, flags, ..., mask; addresses as bytes in the order of the machine. */
export function routes4(table: string): readonly string[] {
  const ranges: string[] = [];
  for (const line of table.split('\n').slice(1)) {
    const [, destination = '', , , , , , mask = ''] = line.trim().split(/\s+/);
    if (!/^[0-9A-F]{8}$/i.test(destination) || !/^[0-9A-F]{8}$/i.test(mask)) continue;
    const bits = Number.parseInt(mask, 16).toString(2).replaceAll('0', '').length;
    const bytes = (destination.match(/../g) as string[]).map((byte) => Number.parseInt(byte, 16)).reverse();
    if (bits > 0) ranges.push(`${bytes.join('.')}/${bits}`);
  }
  return ranges;
}

/** Destination, its prefix length, source, ..., interface. */
export function routes6(table: string): readonly string[] {
  const ranges: string[] = [];
  for (const line of table.split('\n')) {
    const parts = line.trim().split(/\s+/);
    const [destination = '', length = ''] = parts;
    if (!/^[0-9a-f]{32}$/i.test(destination) || !/^[0-9a-f]{2}$/i.test(length) || parts.at(-1) === 'lo') continue;
    const bits = Number.parseInt(length, 16);
    if (bits > 0) ranges.push(`${(destination.match(/.{4}/g) as string[]).join(':')}/${bits}`);
  }
  return ranges;
}
