// How many volumes without a name the engine makes for a new container: they count like others. Pure. Engine API: Volumes,
// HostConfig.Binds and Mounts.
import type { Json, JsonObject } from '../engine/types.ts';

const fields = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
const list = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : []);
const path = (value: Json | undefined): string => (typeof value === 'string' ? value.replace(/(?<=.)\/+$/, '') : '');

/**
 * A place that is written in another way than what covers it counts once more than it need.
 *
 * @param body of a create
 * @param ofImage places the image has volumes at
 */
export function countAnonymousVolumes(body: Json | undefined, ofImage: readonly string[]): number {
  const host = fields(fields(body).HostConfig);
  const covered = new Set<string>();
  const wanted = new Set<string>();
  for (const bind of list(host.Binds)) {
    if (typeof bind !== 'string') continue;
    const [source, target] = bind.split(':', 2);
    if (target === undefined) wanted.add(path(source));
    else covered.add(path(target));
  }
  for (const mount of list(host.Mounts).map(fields)) {
    const isNamed = mount.Type !== 'volume' || (typeof mount.Source === 'string' && mount.Source !== '');
    (isNamed ? covered : wanted).add(path(mount.Target));
  }
  for (const place of [...Object.keys(fields(fields(body).Volumes)), ...ofImage]) wanted.add(path(place));
  return [...wanted].filter((place) => !covered.has(place)).length;
}
