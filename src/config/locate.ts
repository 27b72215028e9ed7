// Finds the engine of this machine for the quick start; `dockgate serve` never guesses.
import { join } from 'node:path';

export interface LocatedEngine {
  /** As `engine` in the settings: `unix:///...` or `tcp://...`. */
  readonly address: string;
  /** Where it was found, for people. */
  readonly how: string;
}

/**
 * Looks in this order: `DOCKER_HOST`, `/var/run/docker.sock`, the rootless Docker socket, Podman's sockets.
 *
 * @param env environment; `DOCKER_HOST` and `XDG_RUNTIME_DIR` are read
 * @param exists whether a socket file is there
 */
export const locateEngine = (
  env: Readonly<Record<string, string | undefined>>,
  exists: (path: string) => boolean,
): LocatedEngine | undefined => {
  const asked = env.DOCKER_HOST?.trim();
  // A path given by name is taken as it is, so that a wrong one is seen rather than passed over.
  if (asked) return { address: asked, how: 'DOCKER_HOST' };
  const runtimeDir = env.XDG_RUNTIME_DIR;
  const places: [string, string][] = [['/var/run/docker.sock', 'Docker socket']];
  if (runtimeDir) places.push([join(runtimeDir, 'docker.sock'), 'rootless Docker socket']);
  places.push(['/run/podman/podman.sock', 'Podman socket']);
  if (runtimeDir) places.push([join(runtimeDir, 'podman', 'podman.sock'), 'rootless Podman socket']);
  const found = places.find(([path]) => exists(path));
  return found && { address: `unix://${found[0]}`, how: `${found[1]} ${found[0]}` };
};
