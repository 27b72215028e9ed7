// Facts of the installation, not of a policy: files of the gateway that no container gets, and networks its host has already.

import { cleanPath } from '../../engine/mounts.ts';
import { isBelow } from './bind-roots.ts';
import type { Subnet } from './subnets.ts';
import { isOverlapping, isWithin } from './subnets.ts';

export interface HostSite {
  /** Never mounted, nor the folders above and below them: the data folder and the engine's socket, absolute paths. */
  readonly protectedPaths: readonly string[];
  /** Sockets the gateway takes calls by: mounted only where a policy lists that very path, absolute paths. */
  readonly sockets: readonly string[];
  /** The socket that the gateway puts into the container of this very call, in the place of the engine's: no caller could name it. */
  readonly granted?: string;
  /** Whether the caller has all the power that a socket of the gateway's gives in a container; undefined for any other path. */
  readonly isWithinReach?: (socket: string) => boolean | undefined;
  /** Ranges the engine's host reaches by itself, as far as they are known; networks of the engine are among them. */
  readonly networks: readonly Subnet[];
}

/** Whether a mount would hand over what is the gateway's. @param isListed the policy lists this very path */
export function reachesGateway(path: string, site: HostSite | undefined, isListed: boolean): boolean {
  if (site === undefined) return false;
  const holds = (own: string): boolean => isBelow(cleanPath(own), path);
  if (site.sockets.some((socket) => cleanPath(socket) === path)) return !isListed;
  return site.sockets.some(holds) || site.protectedPaths.some((own) => holds(own) || isBelow(path, cleanPath(own)));
}

/**
 * Whether a range would draw the host's own traffic to it into a container. A policy that means it lists the range as one that lies
 * within the host's network: a larger one was not listed with that network in mind.
 */
export const shadowsHost = (range: Subnet, site: HostSite | undefined, listed: readonly Subnet[]): boolean =>
  (site?.networks ?? []).some(
    (network) => isOverlapping(range, network) && !listed.some((own) => isWithin(range, own) && isWithin(own, network)),
  );
