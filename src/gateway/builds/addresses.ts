// Addresses a Dockerfile has the engine fetch (ADD). The engine's own machine, its neighbours on the link and this gateway are
// never among them, however they are written or whatever name stands for them when it is looked up here.
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { readAddress } from '../../engine/dockerfile/address.ts';
import { GatewayError } from '../../errors.ts';

/** Longest wait for a name to be looked up, in ms. */
const LOOKUP_MS = 5_000;

const NEVER = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  NEVER.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of [
  ['::', 96],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
  ['fd00:ec2::', 32],
] as const)
  NEVER.addSubnet(network, prefix, 'ipv6');

/** Where this gateway listens: `https://0.0.0.0:2376`. */
export type OwnListeners = () => readonly string[];

/**
 * Refuses an address the engine must not call.
 *
 * @throws {GatewayError} `host-field-denied`
 */
export async function refuseNearAddress(url: string, at: string, listeners: OwnListeners): Promise<void> {
  const shown = JSON.stringify(url.slice(0, 200));
  const address = readAddress(url);
  if (address === undefined)
    throw denied(at, `fetches ${shown}, an address that is not read (allowed: http or https, a host, a port)`);
  for (const ip of await addressesOf(address.host)) {
    if (isNear(ip)) throw denied(at, `fetches ${shown} from the engine's own machine or link (allowed: other hosts)`);
    if (isOwn(ip, address.port, listeners()))
      throw denied(at, `fetches ${shown} from this gateway (allowed: other hosts)`);
  }
}

const denied = (at: string, why: string): GatewayError => new GatewayError('host-field-denied', `denied: ${at} ${why}`);

/** What a host is here and now; empty for a name nobody knows. */
async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  if (host === 'localhost' || host.endsWith('.localhost')) return ['127.0.0.1'];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('late')), LOOKUP_MS);
  });
  try {
    const found = await Promise.race([lookup(host, { all: true }), late]);
    return found.map(({ address }) => address);
  } catch {
    return [];
  } finally {
    clearTimeout(timer);
  }
}

function isNear(ip: string): boolean {
  const four = v4Of(ip);
  return NEVER.check(four ?? ip, four === undefined ? 'ipv6' : 'ipv4');
}

/** The IPv4 address an address is, or carries within it. */
function v4Of(ip: string): string | undefined {
  if (isIP(ip) === 4) return ip;
  const url = new URL(`http://[${ip}]`);
  const groups = url.hostname.slice(1, -1);
  // Mapped (::ffff:0:0/96) and the translations of NAT64 (64:ff9b::/96).
  const tail = /^(?:::ffff|64:ff9b:):([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(groups);
  if (tail === null) return undefined;
  const [high, low] = [Number.parseInt(tail[1] as string, 16), Number.parseInt(tail[2] as string, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

function isOwn(ip: string, port: number, listeners: readonly string[]): boolean {
  const own = new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address)));
  return listeners.some((listener) => {
    const found = /^https?:\/\/\[?([^\]]+?)\]?:(\d+)$/.exec(listener);
    if (found === null || Number(found[2]) !== port) return false;
    const host = found[1] as string;
    return host === ip || ((host === '0.0.0.0' || host === '::') && own.has(ip));
  });
}
