// What the gateway knows of the place it runs in and no policy says: its own files, and the networks of its host where the engine is on
// the same one.
import type { Config } from '../config/types.ts';
import { type HostSite, parseSubnet } from '../policy/host/index.ts';
import { hostNetworks } from '../runtime/host-networks.ts';

/** @param sockets paths of the sockets the gateway listens on now, each for the calls of one identity */
export function hostSite(config: Pick<Config, 'data' | 'engine'>, sockets: () => readonly string[]) {
  const isLocal = config.engine.kind === 'unix';
  const { engine } = config;
  const protectedPaths = engine.path === undefined || !isLocal ? [config.data] : [config.data, engine.path];
  return (action: string): HostSite => ({
    protectedPaths,
    sockets: sockets(),
    // Asked anew each time: networks come and go, and few calls make one.
    networks:
      isLocal && action === 'network.create'
        ? hostNetworks().flatMap((range) => {
            const known = parseSubnet(range);
            return known === undefined ? [] : [known];
          })
        : [],
  });
}
