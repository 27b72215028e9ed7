// Hosts that are the engine's own machine or its neighbours on the link, in any spelling and by any name that resolves to them
// when it is looked up here. Services there trust their neighbours, and engines speak to a registry at 127.0.0.0/8 in clear,
// by any name that leads to it.
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import type { EngineCall, JsonObject } from '../engine/types.ts';
import { addressHost, repositoryOf } from '../policy/host/index.ts';

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

/** The addresses a host has here and now; empty for an unknown name. */
export async function addressesOf(host: string): Promise<readonly string[]> {
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

export function isNear(ip: string): boolean {
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

/** Calls by which an engine goes to a registry on the caller's word. */
const FETCHES: ReadonlySet<string> = new Set([
  'image.pull',
  'image.distribution',
  'image.push',
  'system.auth',
  'build.run',
]);
const HUB = 'docker.io';

/** Registries a call names, as it names them: `registry.test:5000`. */
function registriesOf({ action, body, resources }: EngineCall): ReadonlySet<string> {
  const address = action === 'system.auth' ? (body as JsonObject | undefined)?.serveraddress : undefined;
  const login = typeof address === 'string' ? addressHost(address) : undefined;
  const images = resources.filter(
    ({ kind, name }) => (kind === 'image' || kind === 'distribution') && name !== '' && !name.startsWith('sha256:'),
  );
  const named = images.map(({ name }) => repositoryOf(name).registry);
  return new Set([...named, ...(login === undefined ? [] : [login])].filter((registry) => registry !== HUB));
}

/** Whether a call may take the engine to a registry no policy lists. */
export const dependsOnRegistries = (call: EngineCall): boolean =>
  FETCHES.has(call.action) &&
  (call.credentials === true || call.action === 'system.auth') &&
  registriesOf(call).size > 0;

/** Those of a call's registries whose host is near: by its address, or by one of those its name has here and now. */
export async function nearRegistries(call: EngineCall): Promise<readonly string[]> {
  const near = await Promise.all(
    [...registriesOf(call)].map(async (registry) => {
      const host = registry
        .replace(/:\d+$/, '')
        .replace(/^\[(.*)\]$/, '$1')
        .replace(/\.$/, '')
        .toLowerCase();
      return (await addressesOf(host)).some(isNear) ? [registry] : [];
    }),
  );
  return near.flat();
}
