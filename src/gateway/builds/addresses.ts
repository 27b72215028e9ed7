// Addresses a Dockerfile has the engine fetch (ADD). The engine's own machine, its neighbours on the link and this gateway are
// never among them, in any spelling and by any name that resolves to them here.
import { networkInterfaces } from 'node:os';
import { readAddress } from '../../engine/dockerfile/address.ts';
import { GatewayError } from '../../errors.ts';
import { addressesOf, isNear } from '../../proxy/near-address.ts';

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

function isOwn(ip: string, port: number, listeners: readonly string[]): boolean {
  const own = new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address)));
  return listeners.some((listener) => {
    const found = /^https?:\/\/\[?([^\]]+?)\]?:(\d+)$/.exec(listener);
    if (found === null || Number(found[2]) !== port) return false;
    const host = found[1] as string;
    return host === ip || ((host === '0.0.0.0' || host === '::') && own.has(ip));
  });
}
