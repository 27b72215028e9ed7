// Asks the engine how a container is made, and reads the answer as the call that would make it again. What cannot be read so
// is not known, and a rule that needs to know it then denies.

import { dependsOnDepth } from '../engine/read-only-depth.ts';
import type { EngineCall, ResourceRef } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { PrincipalPolicies } from '../policy/compile.ts';
import { isJudgedAtUse } from '../policy/host/index.ts';
import type { EngineClient } from './engine-client.ts';
import { createCall, dependsOnKind, type EngineDefaults } from './engine-defaults.ts';
import { dependsOnRegistries, nearRegistries } from './near-address.ts';
import { resolveReferences } from './resolve.ts';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 4 * 1024 * 1024;

/** Everything the rules of a caller must know of the objects a call names. @throws {GatewayError} as its two steps */
export async function lookUp(
  call: EngineCall,
  policies: Pick<PrincipalPolicies, 'needsResolution' | 'needsRemake' | 'limitsImages'>,
  { engine, engineDefaults }: { readonly engine: EngineClient; readonly engineDefaults: EngineDefaults },
): Promise<EngineCall> {
  const open = policies.needsResolution(call);
  const named = open.length === 0 ? call : await resolveReferences(call, open, engine);
  // What a build may reach matters to rules that limit what it takes, or the host.
  const needsKind = dependsOnKind(named) && (named.action !== 'build.run' || policies.limitsImages(named.action));
  const known = needsKind ? Object.freeze({ ...named, engineKind: await engineDefaults.kind() }) : named;
  const remade = policies.needsRemake(known);
  const whole = remade.length === 0 ? known : await withRemakes(known, remade, engine, engineDefaults);
  if (dependsOnRegistries(whole) && policies.limitsImages(whole.action))
    return Object.freeze({ ...whole, nearRegistries: await nearRegistries(whole) });
  if (!dependsOnDepth(whole)) return whole;
  return Object.freeze({ ...whole, readOnlyDepth: await engineDefaults.readOnlyDepth() });
}

/**
 * Fills `remake` of the references, and puts the full id of the call's own container into its path: what is judged is what is
 * reached.
 *
 * @throws {GatewayError} `object-not-found` for a container that is not there, `engine-unreachable`
 */
async function withRemakes(
  call: EngineCall,
  wanted: readonly ResourceRef[],
  engine: EngineClient,
  defaults: EngineDefaults,
): Promise<EngineCall> {
  const found = new Map<ResourceRef, ResourceRef>();
  for (const ref of wanted) found.set(ref, await lookAt(ref, engine, defaults));
  const resources = call.resources.map((ref) => found.get(ref) ?? ref);
  const own = resources.find(({ at, kind }) => at === 'path.id' && kind === 'container');
  const path = own?.id === undefined ? call.path : Object.freeze({ ...call.path, id: own.id });
  return Object.freeze({ ...call, path, resources: Object.freeze(resources) });
}

async function lookAt(ref: ResourceRef, engine: EngineClient, defaults: EngineDefaults): Promise<ResourceRef> {
  const name = ref.id ?? ref.name;
  const answer = await engine.fetchJson(
    { method: 'GET', target: `/containers/${encodeURIComponent(name)}/json`, headers: [], body: undefined },
    { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES },
  );
  if (answer.status === 404) throw new GatewayError('object-not-found', `No such container: ${ref.name}`);
  if (answer.status !== 200) {
    throw new GatewayError('engine-unreachable', `the engine did not say how container ${ref.name} is made`);
  }
  try {
    const shown = JSON.parse(Buffer.from(answer.body).toString('utf8')) as Shown;
    const read = createCall(bodyOf(shown));
    const open = read.resources.filter((used) => used.name !== '' && isJudgedAtUse(read, used));
    const known = open.length === 0 ? read : await resolveReferences(read, open, engine);
    const filled = await defaults.of();
    return Object.freeze({
      ...ref,
      id: shown.Id,
      resolvedName: ref.resolvedName ?? shown.Name.replace(/^\//, ''),
      remake: filled === undefined ? known : Object.freeze({ ...known, defaults: filled }),
    });
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'engine-unreachable') throw error;
    return ref;
  }
}

interface Shown {
  readonly Id: string;
  readonly Name: string;
  readonly Config?: Readonly<Record<string, unknown>> & { readonly Image?: string };
  readonly HostConfig?: unknown;
  readonly NetworkSettings?: { readonly Networks?: unknown };
}

/** The body of a create that gives the container `inspect` shows. */
const bodyOf = ({ Config, HostConfig, NetworkSettings }: Shown): Readonly<Record<string, unknown>> => ({
  ...Config,
  HostConfig,
  NetworkingConfig: { EndpointsConfig: NetworkSettings?.Networks ?? {} },
});
