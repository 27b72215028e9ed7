// What the gateway asks the engine for itself when it serves a tenant: whether an image or a volume is there, and what a new
// container brought with it.
import { parseInSteps } from '../../engine/sliced-json.ts';
import type { JsonObject } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { NO_SHARE, type Share, shareOfCreate } from '../../ledger/share.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';

export type Fields = Record<string, unknown>;

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 4 * 1024 * 1024;
/** Largest list the gateway reads as a whole, in bytes: some 30 000 containers. */
export const MAX_LIST_BYTES = 64 * 1024 * 1024;

export const text = (value: unknown): string => (typeof value === 'string' ? value : '');
export const items = (value: unknown): readonly Fields[] =>
  (Array.isArray(value) ? value : []).filter((item): item is Fields => typeof item === 'object' && item !== null);
export const inner = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Fields)[key] : undefined;

/** The engine's parsed answer to a GET, undefined for a 404. @throws {GatewayError} `engine-unreachable`, `engine-answer-malformed` */
export async function ask(engine: EngineClient, target: string, maxBytes = MAX_BYTES): Promise<unknown> {
  return answered(await get(engine, target, maxBytes));
}

const get = (engine: EngineClient, target: string, maxBytes = MAX_BYTES) =>
  engine.fetchJson({ method: 'GET', target, headers: [], body: undefined }, { timeoutMs: TIMEOUT_MS, maxBytes });

async function answered(answer: { readonly status: number; readonly body: Uint8Array }): Promise<unknown> {
  if (answer.status === 404) return undefined;
  if (answer.status !== 200) {
    throw new GatewayError(
      'engine-unreachable',
      `the engine did not answer a question of the gateway's (${answer.status})`,
    );
  }
  return parsedInTurn(answer.body);
}

/** Longest a large answer is read at a stretch, in ms: then other calls have their turn. */
const STRETCH_MS = 4;

/**
 * As `parsed`, without keeping others waiting while a large answer is read.
 *
 * @throws {GatewayError} `engine-answer-malformed`
 */
export async function parsedInTurn(body: Uint8Array, parse?: (text: string) => unknown): Promise<unknown> {
  const steps = parseInSteps(body, parse);
  let from = performance.now();
  try {
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done) return step.value;
      if (performance.now() - from < STRETCH_MS) continue;
      await new Promise((resolve) => setImmediate(resolve));
      from = performance.now();
    }
  } catch (cause) {
    throw new GatewayError('engine-answer-malformed', 'the engine gave an answer that cannot be read', { cause });
  }
}

/**
 * @param parse `parseExact` where it is written again
 * @throws {GatewayError} `engine-answer-malformed`
 */
export function parsed(body: Uint8Array, parse: (text: string) => unknown = JSON.parse): unknown {
  try {
    return parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'));
  } catch (cause) {
    throw new GatewayError('engine-answer-malformed', 'the engine gave an answer that cannot be read', { cause });
  }
}

const count = (value: unknown): number => (typeof value === 'number' && value > 0 ? value : 0);

/** Bytes on disk of an image or a container's own layer, as the part of a share they are. */
export const shareOfBytes = (value: unknown): Share => ({ ...NO_SHARE, bytes: count(value) });

export interface FoundImage {
  readonly id: string;
  readonly share: Share;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  /** Of its configuration. */
  readonly labels: unknown;
  /** Places its containers have volumes at. */
  readonly volumes: readonly string[];
}

/** @param reference canonical reference, or an id or part of one with `sha256:` */
export async function findImage(engine: EngineClient, reference: string): Promise<FoundImage | undefined> {
  const found = await ask(engine, `/images/${reference.split('/').map(encodeURIComponent).join('/')}/json`);
  if (found === undefined) return undefined;
  const strings = (value: unknown): string[] => (Array.isArray(value) ? value.map(text) : []);
  return {
    id: text(inner(found, 'Id')),
    share: shareOfBytes(inner(found, 'Size')),
    tags: strings(inner(found, 'RepoTags')),
    digests: strings(inner(found, 'RepoDigests')),
    labels: inner(inner(found, 'Config'), 'Labels'),
    volumes: Object.keys(inner(inner(found, 'Config'), 'Volumes') ?? {}),
  };
}

export interface FoundVolume {
  readonly createdAt: string;
  readonly labels: Fields;
}

export async function findVolume(engine: EngineClient, name: string): Promise<FoundVolume | undefined> {
  const found = await ask(engine, `/volumes/${encodeURIComponent(name)}`);
  if (found === undefined) return undefined;
  return { createdAt: text(inner(found, 'CreatedAt')), labels: (inner(found, 'Labels') ?? {}) as Fields };
}

export interface FoundContainer {
  readonly id: string;
  readonly name: string;
  readonly volumes: readonly string[];
  readonly share: Share;
  /** It runs, is paused, or the engine is about to start it again. */
  readonly isRunning: boolean;
}

export async function findContainer(engine: EngineClient, id: string): Promise<FoundContainer | undefined> {
  const found = await ask(engine, `/containers/${encodeURIComponent(id)}/json`);
  if (found === undefined) return undefined;
  return {
    id: text(inner(found, 'Id')),
    name: text(inner(found, 'Name')).replace(/^\//, ''),
    volumes: items(inner(found, 'Mounts'))
      .filter((mount) => mount.Type === 'volume')
      // Of a volume that a bind without a source made, the engine tells no name, but its folder bears it.
      .map((mount) => text(mount.Name) || (/\/([0-9a-f]{64})\/_data$/.exec(text(mount.Source))?.[1] ?? ''))
      .filter((name) => name !== ''),
    share: shareOfCreate({ HostConfig: inner(found, 'HostConfig') } as JsonObject),
    // True as well while a restart policy waits.
    isRunning: inner(inner(found, 'State'), 'Running') === true,
  };
}

/** As `ask`, of what a swarm has: undefined as well where there is no swarm. */
export async function askSwarm(engine: EngineClient, target: string): Promise<unknown> {
  const answer = await get(engine, target, MAX_LIST_BYTES);
  return answer.status === 503 ? undefined : answered(answer);
}

/** Whether an object answers to this: it is its name, its id or the start of its id, also of several. */
export async function isAnsweredTo(
  engine: EngineClient,
  kind: 'container' | 'network' | 'service' | 'secret' | 'config',
  name: string,
): Promise<boolean> {
  const { status } = await get(engine, kind === 'container' ? `/containers/${name}/json` : `/${kind}s/${name}`);
  // An engine outside a swarm has no services.
  return status !== 404 && status !== 503;
}

/** Bytes a container wrote into its own layer. The engine walks through all of them to tell. */
export async function measureLayer(engine: EngineClient, id: string): Promise<number | undefined> {
  const found = await ask(engine, `/containers/${encodeURIComponent(id)}/json?size=1`);
  return found === undefined ? undefined : count(inner(found, 'SizeRw'));
}

/** Query text of a filters parameter. */
export const filtersQuery = (filters: Readonly<Record<string, readonly string[]>>): string =>
  `filters=${encodeURIComponent(JSON.stringify(filters))}`;
