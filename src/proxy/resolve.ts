// Asks the engine what a name stands for: full id, real name and labels of the objects a call touches.
// Policy says which references it must know; this only looks them up. Engine API: the inspect operation of each kind.

import { isUsedAsMade } from '../engine/container-use.ts';
import type { EngineCall, ResourceRef } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { EngineClient } from './engine-client.ts';
import {
  type Answer,
  type Ask,
  inspectContainer,
  madeContainer,
  madeExec,
  member,
  text,
  textsOf,
} from './made-container.ts';

/** Most objects looked up for one call. A call that names more is refused: each costs the engine a request. */
const MAX_LOOKUPS = 64;
/** Longest wait for one lookup, in ms, and its largest answer, in bytes. */
const LOOKUP_TIMEOUT_MS = 10_000;
const LOOKUP_MAX_BYTES = 4 * 1024 * 1024;

type Found = Required<Pick<ResourceRef, 'id' | 'resolvedName' | 'labels'>> &
  Pick<ResourceRef, 'driver' | 'networkDriver' | 'made'>;

/**
 * Fills id, name and labels of the open references, and puts the full id of the call's own object into its path,
 * so that the object judged is the object reached even if its name changes hands in between.
 * A reference that names nothing stays as it is.
 *
 * @throws {GatewayError} `engine-unreachable` when a lookup gets no clear answer, `query-ambiguous` for too many names
 */
export async function resolveReferences(
  call: EngineCall,
  open: readonly ResourceRef[],
  engine: EngineClient,
): Promise<EngineCall> {
  if (open.length > MAX_LOOKUPS) {
    throw new GatewayError(
      'query-ambiguous',
      `the call names ${open.length} objects, at most ${MAX_LOOKUPS} can be judged at once`,
    );
  }
  const found = new Map<ResourceRef, Found>();
  await Promise.all(
    open.map(async (reference) => {
      const result = await lookUp(reference, engine, isUsedAsMade(call, reference));
      if (result !== undefined) found.set(reference, result);
    }),
  );
  if (found.size === 0) return call;
  const resources = call.resources.map((reference) => {
    const known = found.get(reference);
    return known === undefined ? reference : Object.freeze({ ...reference, ...known });
  });
  const main = resources.find((r) => r.at === 'path.id' && (r.kind === 'container' || r.kind === 'network'));
  const path = main?.id === undefined ? call.path : Object.freeze({ ...call.path, id: main.id });
  return Object.freeze({ ...call, path, resources: Object.freeze(resources) });
}

/** @param asMade for a container: also how it was made */
async function lookUp(reference: ResourceRef, engine: EngineClient, asMade: boolean): Promise<Found | undefined> {
  const { kind, name } = reference;
  if (name === '') return undefined;
  const ask: Ask = (target) => inspect(engine, target);
  switch (kind) {
    case 'container': {
      const o = await inspectContainer(ask, name);
      if (o === undefined) return undefined;
      return { ...foundContainer(o), ...(asMade ? { made: await madeContainer(o, ask) } : {}) };
    }
    case 'exec': {
      const exec = await ask(`/exec/${encodeURIComponent(name)}/json`);
      if (exec === undefined) return undefined;
      const o = await inspectContainer(ask, text(exec.ContainerID));
      if (o === undefined) return undefined;
      return { ...foundContainer(o), ...(asMade ? { made: await madeExec(exec, o, ask) } : {}) };
    }
    case 'image': {
      const o = await inspect(engine, `/images/${name.split('/').map(encodeURIComponent).join('/')}/json`);
      return o && found(o.Id, name, member(o.Config, 'Labels'));
    }
    case 'volume': {
      const o = await inspect(engine, `/volumes/${encodeURIComponent(name)}`);
      return (
        o && {
          ...found(o.Name, text(o.Name), o.Labels),
          driver: { name: text(o.Driver), options: textsOf(o.Options) },
        }
      );
    }
    case 'network': {
      const o = await inspect(engine, `/networks/${encodeURIComponent(name)}`);
      return o && { ...found(o.Id, text(o.Name), o.Labels), networkDriver: text(o.Driver) };
    }
    case 'service':
    case 'secret':
    case 'config':
    case 'node': {
      const o = await inspect(engine, `/${kind}s/${encodeURIComponent(name)}`);
      return o && found(o.ID, text(member(o.Spec, 'Name')), member(o.Spec, 'Labels'));
    }
    default:
      return undefined;
  }
}

const foundContainer = (o: Answer): Found => found(o.Id, text(o.Name).replace(/^\//, ''), member(o.Config, 'Labels'));

async function inspect(engine: EngineClient, target: string): Promise<Answer | undefined> {
  const answer = await engine.fetchJson(
    { method: 'GET', target, headers: [], body: undefined },
    { timeoutMs: LOOKUP_TIMEOUT_MS, maxBytes: LOOKUP_MAX_BYTES },
  );
  // 400 is for what can name nothing. 503 is how an engine outside a swarm answers for services, nodes, secrets and
  // configs: there is no such object.
  if (answer.status === 400 || answer.status === 404 || answer.status === 503) return undefined;
  if (answer.status !== 200) {
    throw new GatewayError('engine-unreachable', `the engine did not say what ${target} is (status ${answer.status})`);
  }
  try {
    const value: unknown = JSON.parse(Buffer.from(answer.body).toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Answer;
  } catch {
    // falls through: an answer that cannot be read is no answer
  }
  throw new GatewayError('engine-answer-malformed', `the engine's answer about ${target} could not be read`);
}

function found(id: unknown, resolvedName: string, labels: unknown): Found {
  return { id: text(id), resolvedName, labels: textsOf(labels) };
}
