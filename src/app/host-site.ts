// What the gateway knows of the place it runs in and no policy says: its own files, and the networks of its host where the engine is on
// the same one.
import type { Config } from '../config/types.ts';
import type { OwnSockets } from '../gateway/own-sockets.ts';
import { type HostSite, parseSubnet } from '../policy/host/index.ts';
import type { Principal } from '../policy/types.ts';
import { hostNetworks } from '../runtime/host-networks.ts';

/**
 * @param sockets paths of the sockets the gateway listens on now, each for the calls of one identity
 * @param ownSockets those that containers hold
 */
export function hostSite(
  config: Pick<Config, 'data' | 'engine' | 'ownSockets'>,
  sockets: () => readonly string[],
  ownSockets?: OwnSockets,
) {
  const isLocal = config.engine.kind === 'unix';
  const { engine } = config;
  const own = [config.data, config.ownSockets.folder];
  const protectedPaths = engine.path === undefined || !isLocal ? own : [...own, engine.path];
  return (action: string, principal: Principal, source: string): HostSite => ({
    protectedPaths,
    sockets: sockets(),
    ...(ownSockets === undefined || ownSockets.size === 0
      ? {}
      : { isWithinReach: (socket: string) => ownSockets.mayUse(socket, principal, source) }),
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
