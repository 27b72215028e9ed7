// Every way a path of the host comes into a container by a call, read as the engine reads it: Binds, Mounts, options of volumes (new
// ones and those that exist), and the mounts of containers the call uses. For conditions, which could not take the texts apart.
import type { ParsedBind } from '../engine/mounts.ts';
import { cleanPath, isAbsolutePath, parseBind } from '../engine/mounts.ts';
import type { EngineCall, Json, JsonObject } from '../engine/types.ts';

export interface HostPath {
  /** Path on the host in clean form; for other sources (a device, a share, a volume of a plugin) a text that describes them. */
  readonly source: string;
  /** Path in the container, empty where the call has none. */
  readonly target: string;
  readonly readOnly: boolean;
  /** Where the call says so: `HostConfig.Binds[0]`. */
  readonly at: string;
}

/** What makes two values of a text somewhere: colons of Binds, words of Podman's mounts, templates of the swarm. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const JOINTS = /[,=:"\\\x00-\x1f\x7f]|\{\{/;

/** Whether a text is an absolute path and nothing else to any engine. */
export const isOnePath = (text: string): boolean => text.startsWith('/') && !JOINTS.test(text);

const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : []);
const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
const cleaned = (path: string): string => (isAbsolutePath(path) ? cleanPath(path) : path);

/** Every host path of a call. Volumes and containers it uses must have been looked up. */
export function hostPathsOf(call: EngineCall): readonly HostPath[] {
  const body = objectOf(call.body);
  const host = objectOf(body.HostConfig);
  const found: HostPath[] = [];
  for (const [i, spec] of listOf(host.Binds).entries()) {
    const bind = parsed(textOf(spec));
    // What cannot be read is handed on as it is, and is no path.
    if (bind === undefined)
      found.push({ source: textOf(spec), target: '', readOnly: false, at: `HostConfig.Binds[${i}]` });
    else if (bind.kind === 'bind') found.push({ ...pick(bind), at: `HostConfig.Binds[${i}]` });
  }
  const task = objectOf(objectOf(body.TaskTemplate).ContainerSpec);
  addMounts(found, host.Mounts, 'HostConfig.Mounts');
  addMounts(found, task.Mounts, 'TaskTemplate.ContainerSpec.Mounts');
  if (call.action === 'volume.create')
    addVolume(found, textOf(body.Driver), objectOf(body.DriverOpts), '', 'DriverOpts');
  for (const { kind, role, at, driver, made } of call.resources) {
    if (kind === 'volume' && role === 'uses' && driver !== undefined) {
      addVolume(found, driver.name, driver.options, '', at);
    }
    for (const mount of made?.mounts ?? []) {
      const { type, source, target, readOnly } = mount;
      if (type === 'bind') found.push({ source: cleaned(source), target, readOnly, at });
      else if (type === 'volume' && mount.driver !== undefined) {
        addVolume(found, mount.driver.name, mount.driver.options, target, at);
      } else if (type !== 'tmpfs') found.push({ source: `${type}:${source}`, target, readOnly, at });
    }
  }
  return found;
}

function parsed(spec: string): ParsedBind | undefined {
  try {
    return parseBind(spec);
  } catch {
    return undefined;
  }
}

const pick = ({ source, target, readOnly }: ParsedBind) => ({ source, target, readOnly });

function addMounts(found: HostPath[], mounts: Json | undefined, where: string): void {
  for (const [i, item] of listOf(mounts).entries()) {
    const mount = objectOf(item);
    const [type, target, at] = [textOf(mount.Type), textOf(mount.Target), `${where}[${i}]`];
    if (type === 'tmpfs' && !JOINTS.test(target)) continue;
    if (type === 'volume' && JOINTS.test(`${target}${textOf(mount.Source)}`)) {
      found.push({ source: `volume:${textOf(mount.Source)}`, target, readOnly: false, at });
    } else if (type === 'volume') {
      const driver = objectOf(objectOf(mount.VolumeOptions).DriverConfig);
      addVolume(found, textOf(driver.Name), objectOf(driver.Options), target, at);
    } else if (type === 'bind') {
      // With such a target Podman may take another source.
      const source = JOINTS.test(target) ? `bind:${textOf(mount.Source)}` : cleaned(textOf(mount.Source));
      found.push({ source, target, readOnly: mount.ReadOnly === true, at });
    } else found.push({ source: `${type}:${textOf(mount.Source)}`, target, readOnly: mount.ReadOnly === true, at });
  }
}

/** Options of a local volume that name a place: the device, and the layers of an overlay. A tmpfs names none. */
function addVolume(
  found: HostPath[],
  driver: string,
  options: Readonly<Record<string, Json | undefined>>,
  target: string,
  at: string,
): void {
  if (driver !== '' && driver !== 'local') {
    found.push({ source: `${driver}:`, target, readOnly: false, at });
    return;
  }
  const [type, device, o] = [textOf(options.type), textOf(options.device), textOf(options.o).split(',')];
  const binds = o.some((option) => option === 'bind' || option === 'rbind');
  if ((type === '' && device === '' && !binds) || (type === 'tmpfs' && !binds)) return;
  const readOnly = o.includes('ro');
  const isFolder = binds && isAbsolutePath(device);
  found.push({ source: isFolder ? cleanPath(device) : `${type}:${device}`, target, readOnly, at });
}
