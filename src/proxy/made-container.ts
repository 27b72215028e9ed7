// Reads what the engine tells of an existing container into what policy judges of it at use: namespaces, mounts with the options
// of their volumes, capabilities, devices and users, and the same of the containers whose namespaces it shares.
import { cleanPath } from '../engine/mounts.ts';
import type { Json, JsonObject, MadeContainer, MadeMount } from '../engine/types.ts';

/** A JSON answer of the engine. */
export type Answer = Record<string, unknown>;
/** The answer to a GET, undefined where there is no such object. */
export type Ask = (target: string) => Promise<Answer | undefined>;

/** Containers looked at one after another through namespaces they share. Longer chains are taken for unknown. */
const MAX_JOINED = 4;
/** Most containers named in one VolumesFrom that are looked at; more are taken for unknown. */
const MAX_SOURCES = 16;
/** Most volumes looked up for one container; the options of any more stay unknown, and so does what they reach. */
const MAX_VOLUMES = 64;
/** Fields of HostConfig that may be `container:ID`. */
const MODES = ['NetworkMode', 'PidMode', 'IpcMode', 'UTSMode', 'UsernsMode', 'CgroupnsMode'] as const;

export const text = (value: unknown): string => (typeof value === 'string' ? value : '');
export const member = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Answer)[key] : undefined;

/** The texts of a map, in an object without prototype. */
export function textsOf(map: unknown): Readonly<Record<string, string>> {
  const own: Record<string, string> = Object.create(null);
  if (typeof map === 'object' && map !== null) {
    for (const [key, value] of Object.entries(map)) if (typeof value === 'string') own[key] = value;
  }
  return own;
}

/** @param name with or without the slash the engine's own names begin with */
export const inspectContainer = (ask: Ask, name: string): Promise<Answer | undefined> =>
  ask(`/containers/${encodeURIComponent(name.replace(/^\//, ''))}/json`);

/** @param answer inspect's of a container */
export function madeContainer(answer: Answer, ask: Ask): Promise<MadeContainer> {
  return made(answer, ask, MAX_JOINED);
}

/**
 * @param exec inspect's answer of an exec instance
 * @param answer inspect's of the container it runs in
 */
export async function madeExec(exec: Answer, answer: Answer, ask: Ask): Promise<MadeContainer> {
  const process = exec.ProcessConfig;
  return Object.freeze({
    ...(await made(answer, ask, MAX_JOINED)),
    // Whatever is not plainly false counts as true: doubt closes.
    exec: { privileged: (member(process, 'privileged') ?? false) !== false, user: text(member(process, 'user')) },
  });
}

async function made(answer: Answer, ask: Ask, depth: number): Promise<MadeContainer> {
  const host = (typeof answer.HostConfig === 'object' && answer.HostConfig !== null ? answer.HostConfig : {}) as Answer;
  const mounts = Array.isArray(answer.Mounts) ? (answer.Mounts as readonly unknown[]) : [];
  const networks = member(answer.NetworkSettings, 'Networks');
  const joins = MODES.filter((field) => text(host[field]).startsWith('container:'));
  const [judgedMounts, inherited, joined] = await Promise.all([
    Promise.all(mounts.map((mount, i) => madeMount(mount, host, i < MAX_VOLUMES ? ask : unknown))),
    inheritedMounts(host, ask, depth - 1),
    Promise.all(
      joins.map(async (field) => {
        const other =
          depth <= 1 ? undefined : await inspectContainer(ask, text(host[field]).slice('container:'.length));
        return { at: field, made: other === undefined ? undefined : await made(other, ask, depth - 1) };
      }),
    ),
  ]);
  return Object.freeze({
    user: text(member(answer.Config, 'User')),
    host: host as Record<string, Json> as JsonObject,
    mounts: [...judgedMounts, ...inherited],
    networks: typeof networks === 'object' && networks !== null ? Object.keys(networks) : [],
    joins: joined,
  });
}

/**
 * Mounts of the containers named in VolumesFrom. Docker lists them as the container's own and forgets where they came from once
 * that is removed; Podman lists them nowhere and removes nothing that is still used.
 */
async function inheritedMounts(host: Answer, ask: Ask, depth: number): Promise<readonly MadeMount[]> {
  const from = Array.isArray(host.VolumesFrom) ? (host.VolumesFrom as readonly unknown[]) : [];
  if (from.length > (depth < 1 ? 0 : MAX_SOURCES)) return [UNKNOWN_MOUNT];
  const lists = await Promise.all(
    from.map(async (entry) => {
      const other = await inspectContainer(ask, text(entry).split(':', 1)[0] ?? '');
      return other === undefined ? [] : (await made(other, ask, depth)).mounts;
    }),
  );
  return lists.flat();
}

/** Stands for a value that was not looked at. No rule allows it. */
const UNKNOWN_MOUNT: MadeMount = { type: 'unknown', source: '', target: '', readOnly: false, propagation: '' };

const unknown: Ask = async () => undefined;

/** Targets of the mounts that were asked for as read-only themselves and nothing below them. */
const shallowTargets = (host: Answer): readonly string[] =>
  (Array.isArray(host.Mounts) ? (host.Mounts as readonly unknown[]) : [])
    .filter((mount) => (member(member(mount, 'BindOptions'), 'ReadOnlyNonRecursive') ?? false) !== false)
    .map((mount) => cleanPath(text(member(mount, 'Target'))));

async function madeMount(mount: unknown, host: Answer, ask: Ask): Promise<MadeMount> {
  const type = text(member(mount, 'Type'));
  const target = text(member(mount, 'Destination'));
  const name = text(member(mount, 'Name'));
  const volume = type === 'volume' && name !== '' ? await ask(`/volumes/${encodeURIComponent(name)}`) : undefined;
  return {
    type,
    source: text(member(mount, 'Source')),
    target,
    readOnly: member(mount, 'RW') === false,
    ...(type === 'bind' && shallowTargets(host).includes(cleanPath(target)) ? { isShallow: true } : {}),
    propagation: text(member(mount, 'Propagation')),
    ...(volume === undefined ? {} : { driver: { name: text(volume.Driver), options: textsOf(volume.Options) } }),
  };
}
