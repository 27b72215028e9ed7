// What the engine fills in for a container that asks for nothing, learned from the engine itself: it makes one, looks at it and
// removes it, without starting it. Lists of masked paths, the default runtime, the log driver and the cgroup name space differ
// from engine to engine and from machine to machine, so no table of ours could know them.
import { randomBytes } from 'node:crypto';
import { toCall } from '../engine/call.ts';
import { classify } from '../engine/classify.ts';
import { decodeBody } from '../engine/decode.ts';
import { PODMAN_NETWORK_MODES } from '../engine/evaluated.ts';
import { RECURSIVE_READ_ONLY_MINOR } from '../engine/field-versions.ts';
import { isEmptyValue } from '../engine/json.ts';
import { deepRuntimes, NO_DEPTH } from '../engine/read-only-depth.ts';
import type { EngineCall, JsonObject, ReadOnlyDepth } from '../engine/types.ts';
import { minorOf } from '../engine/versions.ts';
import { GatewayError } from '../errors.ts';
import type { EngineClient } from './engine-client.ts';

/** How long what was learned is used without asking whether the engine is still the same one, in ms. */
const FRESH_MS = 2_000;
/** How long what was learned, or that it could not be, is believed of one and the same engine, in ms. */
const LEARNED_MS = 10 * 60_000;
const FAILED_MS = 30_000;
/** How long an engine's kind is believed: another one may come to answer on the same address. */
const KIND_MS = 30_000;
const TIMEOUT_MS = 20_000;
const MAX_BYTES = 4 * 1024 * 1024;
/** Largest list of images, in bytes. */
const MAX_LIST_BYTES = 64 * 1024 * 1024;
/** Images tried: one may be damaged, or on its way out. */
const MAX_IMAGES = 8;
/** A container of this name that is older than this, in seconds, was left by a gateway that ended half-way. */
const LEFT_BEHIND_S = 120;
const NAME = 'dockgate-defaults-';
const LABEL = 'dockgate.defaults';
const NEVER = 'never started';

/** Facts of /info on which the defaults rest: another value means asking anew. */
const FACTS = [
  ...['ID', 'ServerVersion', 'DefaultRuntime', 'LoggingDriver', 'SecurityOptions', 'CgroupVersion', 'CgroupDriver'],
  ...['NCPU', 'KernelVersion', 'DefaultAddressPools', 'Runtimes'],
];

export interface EngineDefaults {
  /**
   * HostConfig as the engine fills it in, in canonical form: learned of an image no caller chose, and kept while the engine is the
   * same one, so that one caller's images do not decide which calls of others pass.
   *
   * @returns undefined when the engine does not say: then nothing counts as its default
   */
  of(): Promise<JsonObject | undefined>;
  /** Whose engine it is. @throws {GatewayError} when it does not say */
  kind(): Promise<'docker' | 'podman'>;
  /** How far its read-only binds reach; no runtime where it does not say. */
  readOnlyDepth(): Promise<ReadOnlyDepth>;
  /** Minor numbers of the API versions it serves. @throws {GatewayError} when it does not say */
  versions(): Promise<{ readonly oldest: number; readonly newest: number } | undefined>;
}

export interface EngineDefaultsOptions {
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number;
  /** Whether a tenant has an image, by its id: it is asked last. Default: none is a tenant's. */
  readonly isTenants?: (imageId: string) => boolean;
  /** Told of every time it is learned. */
  readonly onLearned?: (outcome: { readonly learned: boolean; readonly why?: string }) => void;
}

interface Learned {
  readonly facts: string;
  readonly defaults: JsonObject | undefined;
  readonly until: number;
}

export function createEngineDefaults(engine: EngineClient, options: EngineDefaultsOptions = {}): EngineDefaults {
  const now = options.now ?? Date.now;
  let known: Learned | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let underWay: Promise<JsonObject | undefined> | undefined;

  async function ask(): Promise<JsonObject | undefined> {
    const facts = factsOf(await get(engine, '/info'));
    askedAt = now();
    if (facts === undefined) return undefined;
    if (known !== undefined && known.facts === facts && now() < known.until) return known.defaults;
    let defaults: JsonObject | undefined;
    let why = 'there is no image to make a container of';
    try {
      await removeLeftBehind(engine, now());
      for (const candidate of await imagesToTry(engine, options.isTenants ?? (() => false))) {
        const answer = await learn(engine, candidate);
        if (typeof answer !== 'string') {
          defaults = answer;
          break;
        }
        why = answer;
      }
    } catch (error) {
      why = error instanceof Error ? error.message : 'unknown fault';
    }
    // For the same engine the earlier finding holds, even if its images have changed.
    const before = known?.facts === facts ? known.defaults : undefined;
    known = { facts, defaults: defaults ?? before, until: now() + (defaults === undefined ? FAILED_MS : LEARNED_MS) };
    options.onLearned?.(known.defaults === undefined ? { learned: false, why } : { learned: true });
    return known.defaults;
  }

  let depth: { readonly is: ReadOnlyDepth; readonly until: number } | undefined;
  let told: { readonly is: Told; readonly until: number } | undefined;
  const tell = async (): Promise<Told> => {
    if (told !== undefined && now() < told.until) return told.is;
    const is = await whatEngineTells(engine);
    // What it did not tell is asked again.
    told = is.kind === undefined ? undefined : { is, until: now() + KIND_MS };
    return is;
  };

  return {
    async kind() {
      const { kind } = await tell();
      if (kind === undefined) throw new GatewayError('engine-unreachable', 'the engine did not say what it is');
      return kind;
    },
    async versions() {
      const { oldest, newest } = await tell();
      return newest === undefined ? undefined : { oldest: oldest ?? 0, newest };
    },
    async readOnlyDepth() {
      if (depth === undefined || now() >= depth.until) {
        const is = await tell()
          .then((about) => depthOf(about, engine))
          .catch(() => NO_DEPTH);
        depth = { is, until: now() + KIND_MS };
      }
      return depth.is;
    },
    async of() {
      if (known !== undefined && now() - askedAt < FRESH_MS && now() < known.until) return known.defaults;
      underWay ??= ask()
        .catch(() => undefined)
        .finally(() => {
          underWay = undefined;
        });
      return underWay;
    },
  };
}

interface Told {
  readonly kind: 'docker' | 'podman' | undefined;
  readonly oldest: number | undefined;
  readonly newest: number | undefined;
}

/** Podman names itself first among the components of its version. */
async function whatEngineTells(engine: EngineClient): Promise<Told> {
  const version = await get(engine, '/version');
  const told = (typeof version === 'object' && version !== null ? version : {}) as {
    readonly Components?: unknown;
    readonly ApiVersion?: unknown;
    readonly MinAPIVersion?: unknown;
  };
  const components: readonly unknown[] | undefined = Array.isArray(told.Components) ? told.Components : undefined;
  return {
    kind: components && (components.some((one) => /podman/i.test(textOf(one, 'Name'))) ? 'podman' : 'docker'),
    oldest: minorOf(told.MinAPIVersion),
    newest: minorOf(told.ApiVersion),
  };
}

/** Podman and engines before API 1.44 leave mounts below a read-only bind writable. */
const depthOf = async ({ kind, newest }: Told, engine: EngineClient): Promise<ReadOnlyDepth> =>
  kind === 'docker' && newest !== undefined && newest >= RECURSIVE_READ_ONLY_MINOR
    ? deepRuntimes(await get(engine, '/info'))
    : NO_DEPTH;

/** Whether a value of the call means something else on another kind of engine. */
export function dependsOnKind({ action, body }: EngineCall): boolean {
  // Podman's builds always have the network of the host.
  if (action === 'build.run') return true;
  if (action !== 'container.create' && action !== 'container.exec.create') return false;
  const { Env: env, HostConfig: host } = typeof body === 'object' && body !== null ? (body as JsonObject) : {};
  const mode = typeof host === 'object' && host !== null ? (host as JsonObject).NetworkMode : undefined;
  if (typeof mode === 'string' && PODMAN_NETWORK_MODES.has(mode)) return true;
  return Array.isArray(env) && env.some((item) => typeof item === 'string' && !/^[^=]+=/.test(item));
}

/** Whether a call names host settings that may be no more than what the engine fills in by itself. */
export function mayHoldDefaults({ action, body, defaults }: EngineCall): boolean {
  if (action !== 'container.create' || defaults !== undefined || typeof body !== 'object' || body === null)
    return false;
  const { HostConfig: hostConfig } = body as JsonObject;
  return (
    typeof hostConfig === 'object' && hostConfig !== null && Object.values(hostConfig).some((v) => !isEmptyValue(v))
  );
}

/** The call with the engine's defaults beside it, where the engine tells them. */
export async function withDefaults(
  call: EngineCall,
  { engineDefaults }: { readonly engineDefaults: EngineDefaults },
): Promise<EngineCall> {
  const defaults = await engineDefaults.of();
  return defaults === undefined ? call : Object.freeze({ ...call, defaults });
}

function factsOf(info: unknown): string | undefined {
  if (typeof info !== 'object' || info === null) return undefined;
  return JSON.stringify(FACTS.map((name) => (info as Record<string, unknown>)[name] ?? null));
}

/** Images no tenant has first, and of those the oldest: a caller that makes many, or damaged ones, does not choose. */
async function imagesToTry(engine: EngineClient, isTenants: (imageId: string) => boolean): Promise<readonly string[]> {
  const list = await get(engine, '/images/json', MAX_LIST_BYTES);
  const images = (Array.isArray(list) ? list : []).map((one: unknown) => {
    const { Created: created, Labels: labels } = one as { readonly Created?: unknown; readonly Labels?: unknown };
    const id = textOf(one, 'Id');
    const isMade = textOf(labels, 'dockgate.tenant') !== '' || isTenants(id);
    return { id, rank: isMade ? 1 : 0, created: typeof created === 'number' ? created : Number.POSITIVE_INFINITY };
  });
  return images
    .filter(({ id }) => id !== '')
    .sort((a, b) => a.rank - b.rank || a.created - b.created)
    .map(({ id }) => id)
    .slice(0, MAX_IMAGES);
}

/** Makes a container, looks at it and removes it. @returns HostConfig, or why there is none */
async function learn(engine: EngineClient, image: string): Promise<JsonObject | string> {
  const name = `${NAME}${randomBytes(8).toString('hex')}`;
  const asked = { Image: image, Cmd: ['true'], Labels: { [LABEL]: NEVER }, HostConfig: {} };
  try {
    const made = await engine.fetchJson(
      {
        method: 'POST',
        target: `/containers/create?name=${name}`,
        headers: ['Content-Type', 'application/json'],
        body: Buffer.from(JSON.stringify(asked)),
      },
      { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES },
    );
    if (made.status !== 201) return `the engine made no container to look at (status ${made.status})`;
    const found = await get(engine, `/containers/${name}/json`);
    const hostConfig =
      typeof found === 'object' && found !== null ? (found as Record<string, unknown>).HostConfig : null;
    if (typeof hostConfig !== 'object' || hostConfig === null) return 'the engine shows no HostConfig';
    const call = createCall({ Image: image, HostConfig: hostConfig });
    return (call.body as { HostConfig: JsonObject }).HostConfig;
  } finally {
    // Also where the answer came late or never: the engine may have made it.
    await remove(engine, name);
  }
}

async function removeLeftBehind(engine: EngineClient, nowMs: number): Promise<void> {
  const filters = encodeURIComponent(
    JSON.stringify({ name: [`^/?${NAME}[0-9a-f]{16}$`], status: ['created'], label: [`${LABEL}=${NEVER}`] }),
  );
  const list = await get(engine, `/containers/json?all=1&filters=${filters}`);
  for (const one of Array.isArray(list) ? (list as readonly Record<string, unknown>[]) : []) {
    if (Number(one.Created) < nowMs / 1000 - LEFT_BEHIND_S) await remove(engine, textOf(one, 'Id'));
  }
}

const remove = async (engine: EngineClient, id: string): Promise<void> => {
  await engine
    .fetchJson({ method: 'DELETE', target: `/containers/${id}?force=1&v=1`, headers: [], body: undefined })
    .catch(() => undefined);
};

/** Reads the body of a container as a create call of the newest version, canonical and with the objects it names. */
export function createCall(body: Readonly<Record<string, unknown>>): EngineCall {
  const target = classify('POST', '/containers/create');
  return toCall(target, decodeBody(target, ['application/json'], Buffer.from(JSON.stringify(body))));
}

async function get(engine: EngineClient, target: string, maxBytes = MAX_BYTES): Promise<unknown> {
  const answer = await engine.fetchJson(
    { method: 'GET', target, headers: [], body: undefined },
    { timeoutMs: TIMEOUT_MS, maxBytes },
  );
  if (answer.status !== 200) return undefined;
  return JSON.parse(Buffer.from(answer.body).toString('utf8'));
}

const textOf = (value: unknown, key: string): string => {
  const found = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
  return typeof found === 'string' ? found : '';
};
