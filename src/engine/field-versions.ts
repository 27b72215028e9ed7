// Fields an engine drops below an API version although a policy may rest on them: one row each, from the version gates of
// container_routes.go, swarm/helpers.go and cluster_routes.go of 28.5.2 and API 1.56. A field without a row is read at every
// version served, or limits nothing.
import { isEmptyValue } from './json.ts';
import type { EngineCall, Json, JsonObject } from './types.ts';

/** Below it defaults of one and the same body change (IpcMode, CgroupnsMode): what changes something is not sent at less. */
export const WRITES_MINOR = 41;
/** First version in which a read-only bind is read-only below mounts in it too, as far as the kernel can. */
export const RECURSIVE_READ_ONLY_MINOR = 44;

const CONTAINER_SPEC = 'TaskTemplate.ContainerSpec';
const SERVICE: readonly (readonly [path: string, minor: number])[] = [
  [`${CONTAINER_SPEC}.CapabilityAdd`, 41],
  [`${CONTAINER_SPEC}.CapabilityDrop`, 41],
  [`${CONTAINER_SPEC}.Ulimits`, 41],
  ['TaskTemplate.Resources.Limits.Pids', 41],
  ['Mode.ReplicatedJob', 41],
  ['Mode.GlobalJob', 41],
  [`${CONTAINER_SPEC}.Privileges.NoNewPrivileges`, 44],
  [`${CONTAINER_SPEC}.Privileges.Seccomp`, 44],
  [`${CONTAINER_SPEC}.Privileges.AppArmor`, 44],
  [`${CONTAINER_SPEC}.OomScoreAdj`, 46],
  [`${CONTAINER_SPEC}.Mounts.*.TmpfsOptions.Options`, 46],
  ['TaskTemplate.Resources.SwapBytes', 52],
  ['TaskTemplate.Resources.MemorySwappiness', 52],
];

/** By operation id. */
const FIRST_MINOR: Readonly<Record<string, readonly (readonly [path: string, minor: number])[]>> = {
  ContainerCreate: [
    ['HostConfig.Mounts.*.BindOptions.ReadOnlyForceRecursive', RECURSIVE_READ_ONLY_MINOR],
    ['HostConfig.Mounts.*.VolumeOptions.Subpath', 45],
    ['HostConfig.Umask', 56],
  ],
  ContainerUpdate: [
    ['BlkioWeightDevice', 55],
    ['BlkioDeviceReadBps', 55],
    ['BlkioDeviceWriteBps', 55],
    ['BlkioDeviceReadIOps', 55],
    ['BlkioDeviceWriteIOps', 55],
  ],
  ServiceCreate: SERVICE,
  ServiceUpdate: SERVICE,
};

/** No version reads it: a swarm takes the field and forgets it. */
const NEVER = Number.POSITIVE_INFINITY;

/**
 * Fields an engine reads from a version on and ignores below, which no policy demands: below, they are left out before a call is judged,
 * so that a call that is raised to a newer version does not come to mean more. By operation id; `*` is every member of a list or map.
 */
const IGNORED_BELOW: Readonly<Record<string, readonly (readonly [path: string, minor: number])[]>> = {
  ContainerCreate: [
    ['HostConfig.ConsoleSize', 42],
    ['HostConfig.Mounts.*.BindOptions.CreateMountpoint', 42],
    ['HostConfig.Annotations', 43],
    ['Healthcheck.StartInterval', 44],
    ['NetworkingConfig.EndpointsConfig.*.MacAddress', 44],
    ['NetworkingConfig.EndpointsConfig.*.GwPriority', 48],
  ],
  ServiceCreate: [[`${CONTAINER_SPEC}.Mounts.*.BindOptions.ReadOnlyForceRecursive`, NEVER]],
  ServiceUpdate: [[`${CONTAINER_SPEC}.Mounts.*.BindOptions.ReadOnlyForceRecursive`, NEVER]],
  NetworkCreate: [['EnableIPv4', 48]],
  NetworkConnect: [
    ['EndpointConfig.MacAddress', 44],
    ['EndpointConfig.GwPriority', 48],
  ],
};

/** Sent by docker's own client with every call, of any version: no warning says that an old engine does not read them. */
const UNTOLD: ReadonlySet<string> = new Set(['HostConfig.ConsoleSize']);

/** Whether a call has a field that some version ignores. */
export const hasIgnorable = ({ operation, body }: Pick<EngineCall, 'operation' | 'body'>): boolean =>
  (IGNORED_BELOW[operation.id] ?? []).some(([path]) => isSet(body, path.split('.')));

/** The body without what this version ignores, with the places of that which a caller is told; the same body where there is none. */
export function withoutIgnored(
  { operation, body }: Pick<EngineCall, 'operation' | 'body'>,
  minor: number,
): { readonly body: Json | undefined; readonly places: readonly string[] } {
  const places: string[] = [];
  let changed = body;
  for (const [path, first] of IGNORED_BELOW[operation.id] ?? []) {
    if (minor < first) changed = without(changed, path.split('.'), '', places);
  }
  return { body: changed, places: places.filter((place) => !UNTOLD.has(place)) };
}

/** A copy of a value without a field, or the value itself where it is not set. */
function without(
  value: Json | undefined,
  [step, ...rest]: readonly string[],
  at: string,
  places: string[],
): Json | undefined {
  if (step === undefined || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    if (step !== '*') return value;
    const items = (value as readonly Json[]).map((item, i) => without(item, rest, `${at}[${i}]`, places) as Json);
    return items.every((item, i) => item === (value as readonly Json[])[i]) ? value : Object.freeze(items);
  }
  const from = value as JsonObject;
  let copy: Record<string, Json | undefined> | undefined;
  for (const key of step === '*' ? Object.keys(from) : Object.hasOwn(from, step) ? [step] : []) {
    const place = step === '*' ? `${at}[${JSON.stringify(key)}]` : at === '' ? key : `${at}.${key}`;
    const inner = rest.length === 0 ? undefined : without(from[key], rest, place, places);
    if (rest.length === 0 ? isEmptyValue(from[key]) : inner === from[key]) continue;
    copy ??= Object.assign(Object.create(null) as Record<string, Json | undefined>, from);
    if (rest.length > 0) copy[key] = inner;
    else {
      delete copy[key];
      places.push(place);
    }
  }
  return copy === undefined ? value : (Object.freeze(copy) as JsonObject);
}

/** Calls whose body means what their version says, so the version is always sent along. */
const VERSIONED: ReadonlySet<string> = new Set([
  'ContainerCreate',
  'ContainerUpdate',
  'ServiceCreate',
  'ServiceUpdate',
]);

export const isVersioned = ({ operation }: Pick<EngineCall, 'operation'>): boolean => VERSIONED.has(operation.id);

/** The field of a call that needs the newest API version, with that version as a minor number; undefined when none needs one. */
export function newestField(
  call: Pick<EngineCall, 'operation' | 'body'>,
): { readonly path: string; readonly minor: number } | undefined {
  let newest: { path: string; minor: number } | undefined;
  for (const [path, minor] of FIRST_MINOR[call.operation.id] ?? []) {
    if (minor > (newest?.minor ?? 0) && isSet(call.body, path.split('.'))) newest = { path, minor };
  }
  return newest;
}

function isSet(value: Json | undefined, steps: readonly string[]): boolean {
  const [step, ...rest] = steps;
  // A mode without settings is one all the same.
  if (step === undefined) return typeof value === 'object' && value !== null ? true : !isEmptyValue(value);
  if (typeof value !== 'object' || value === null) return false;
  if (step === '*') return Array.isArray(value) && value.some((item: Json) => isSet(item, rest));
  return isSet((value as JsonObject)[step], rest);
}

/** Up to 1.24 the client removes a container itself, and the engine does not look at AutoRemove. */
export function withoutAutoRemove(body: Json | undefined): Json | undefined {
  const hostConfig = typeof body === 'object' && body !== null ? (body as JsonObject).HostConfig : undefined;
  if (typeof hostConfig !== 'object' || hostConfig === null || (hostConfig as JsonObject).AutoRemove !== true)
    return body;
  const changed = Object.assign(Object.create(null), hostConfig, { AutoRemove: false });
  return Object.assign(Object.create(null), body, { HostConfig: Object.freeze(changed) }) as JsonObject;
}
