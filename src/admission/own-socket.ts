// The change `own-socket`: a plugin points at a bind, and the gateway puts a socket of the caller's own in as its source. The plugin
// neither learns the path before nor chooses it.
import { parseBind } from '../engine/mounts.ts';
import type { Json, JsonObject } from '../engine/types.ts';
import type { Admissible } from './chain.ts';
import { valueAt } from './changes.ts';
import type { Change } from './plugin.ts';

const PLACE = /^\/body\/HostConfig\/(Binds|Mounts)\/(0|[1-9]\d{0,4})$/;

/** What examples and `plugin try` show in the place of a path that would be made. */
export const EXAMPLE_SOCKET = '/run/dockgate/own-sockets/example.sock';

/**
 * The same change as a patch.
 *
 * @throws {Error} in words that follow the plugin's name, for a place that is no bind; and what `path` throws
 */
export function socketChange({ path: at }: Change, seen: Admissible, path: () => string): Change {
  const place = PLACE.exec(at);
  const value = place === null ? undefined : valueAt(seen, at);
  if (place?.[1] === 'Binds' && typeof value === 'string' && isBind(value)) {
    return { op: 'replace', path: at, value: [path(), ...value.split(':').slice(1)].join(':') };
  }
  if (place?.[1] === 'Mounts' && isMount(value)) return { op: 'replace', path: `${at}/Source`, value: path() };
  throw new Error(`its change of ${at} is no bind of a container, and own-socket takes the place of one`);
}

const isMount = (value: Json | undefined): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && (value as JsonObject).Type === 'bind';

function isBind(value: string): boolean {
  try {
    return parseBind(value).kind === 'bind';
  } catch {
    return false;
  }
}
