// Replaces every reference of a tenant's call by the full id of an object of its own. Another tenant's object is answered like a
// missing one: both take the same way and ask the engine nothing, or the same.
import { toCall } from '../../engine/call.ts';
import { canonicalImage } from '../../engine/canonical-names.ts';
import { processListFault } from '../../engine/process-list.ts';
import type { EngineCall, Json, JsonObject, ResourceRef } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import type { LedgerEntry, OwnedKind } from '../../ledger/entry.ts';
import { labelsOfTasks, refuseReserved } from '../../ledger/labels.ts';
import { familiarImage, missing } from '../../ledger/missing.ts';
import { type Named, withId } from '../../ledger/rewrite.ts';
import { PREDEFINED_NETWORKS } from '../../ledger/views.ts';
import { findImage } from './engine-state.ts';
import { useImage } from './images.ts';
import { isServiceSpec, ownTask, refuseVolume, withOwnTaskFilters } from './swarm.ts';
import type { TenantCall } from './tenant-call.ts';

type Known = Pick<ResourceRef, 'id' | 'resolvedName'>;

/** @throws {GatewayError} `object-not-found`, `label-reserved`, `input-invalid`-like refusals as described in TenantCall.resolve */
export async function resolveOwn(call: EngineCall, tenantCall: TenantCall): Promise<EngineCall> {
  refuseLabels(call, tenantCall);
  refuseHostProcesses(call);
  let named: Named = await withOwnFilters(call, tenantCall);
  const known = new Map<string, Known>();
  for (const reference of call.resources) {
    if (reference.name === '' || reference.role === 'creates') continue;
    const found = await own(reference, call, tenantCall);
    if (found === undefined) continue;
    const { id, resolvedName, write } = found;
    if (write !== undefined) named = withIdEverywhere(named, reference, write);
    known.set(reference.at, {
      ...(id === undefined ? {} : { id }),
      ...(resolvedName === undefined ? {} : { resolvedName }),
    });
    if (write !== undefined)
      known.set(`${reference.kind}/${write}`, { id: id ?? write, resolvedName: resolvedName ?? '' });
  }
  const isSame = named.path === call.path && named.query === call.query && named.body === call.body;
  const rewritten = isSame ? call : toCall({ ...call, path: named.path, query: named.query }, named.body);
  if (known.size === 0) return rewritten;
  const resources = rewritten.resources.map((reference) => {
    const what = known.get(reference.at) ?? known.get(`${reference.kind}/${reference.name}`);
    return what === undefined ? reference : Object.freeze({ ...reference, ...what });
  });
  return Object.freeze({ ...rewritten, resources: Object.freeze(resources) });
}

interface Own extends Known {
  /** What to send in place of the name; undefined to leave the name as it is. */
  readonly write?: string;
}

async function own(reference: ResourceRef, call: EngineCall, tenantCall: TenantCall): Promise<Own | undefined> {
  const { kind, name } = reference;
  switch (kind) {
    case 'container':
    case 'service':
    case 'secret':
    case 'config': {
      const entry = found(tenantCall, kind, reference);
      // Beside the id, which decides, a service carries the name of a secret for people.
      const isCarried = /\.(Secret|Config)Name$/.test(reference.at);
      return { id: entry.id, resolvedName: entry.name, ...(isCarried ? {} : { write: entry.id }) };
    }
    case 'exec': {
      const entry = found(tenantCall, 'exec', reference);
      const container = tenantCall.ledger.owned(tenantCall.tenant, 'container', entry.parent ?? '');
      // An exec instance is judged as its container.
      if (container === undefined) throw missing('exec', name);
      return { id: container.id, resolvedName: container.name };
    }
    case 'network': {
      if (PREDEFINED_NETWORKS.has(name)) return undefined;
      const shared = tenantCall.state.ledger.sharedNetworkName(name);
      if (shared !== undefined) return { id: name, resolvedName: shared };
      const entry = found(tenantCall, 'network', reference);
      // In a container's configuration the name stays what people see; it cannot change hands while the call is under way.
      if (entry.name === name && isInBody(reference)) {
        tenantCall.hold('network', name);
        return { id: entry.id, resolvedName: entry.name };
      }
      return { id: entry.id, resolvedName: entry.name, write: entry.id };
    }
    case 'volume': {
      if (isServiceSpec(call)) throw refuseVolume(reference);
      if (reference.role === 'uses' && tenantCall.ledger.find(tenantCall.tenant, 'volume', name) === undefined) {
        // A volume that is not there is made by the engine: see reserve.ts.
        return undefined;
      }
      const entry = found(tenantCall, 'volume', reference);
      tenantCall.hold('volume', name);
      return { id: entry.id, resolvedName: entry.name };
    }
    case 'image':
      // A search names a registry, and a pull brings what may not be there yet.
      if (call.action === 'image.search' || call.action === 'image.pull') return undefined;
      if (call.action === 'image.push') refuseAlias(reference, tenantCall);
      return useImage(reference, tenantCall);
    case 'task': {
      const id = await ownTask(name, tenantCall);
      return { id, write: id };
    }
    case 'build':
      // The engine says yes to every build id, known or not; another's is sent as one that is not known.
      return call.action === 'build.cancel' && tenantCall.state.builds.get(name) !== tenantCall.tenant
        ? { write: tenantCall.owner.auditId }
        : undefined;
    case 'system':
    case 'distribution':
      return undefined;
    default:
      throw missing(kind, name);
  }
}

/** A name that means another image to its maker here is not the tenant's to send: the engine would send the maker's. */
function refuseAlias({ name }: ResourceRef, { ledger, tenant }: TenantCall): void {
  if (ledger.owned(tenant, 'image', name) !== undefined || ledger.aliased(tenant, name) === undefined) return;
  throw new GatewayError(
    'conflict',
    `conflict: ${familiarImage(name)} is the name of another image here; tag yours with a name of its own and push that`,
  );
}

function found(tenantCall: TenantCall, kind: OwnedKind, reference: ResourceRef): LedgerEntry {
  const entry = tenantCall.ledger.find(tenantCall.tenant, kind, reference.name);
  if (entry === undefined) throw missing(reference.kind, reference.name);
  return entry;
}

const isInBody = (reference: ResourceRef): boolean => !/^(path|query)\./.test(reference.at);

/** A network named by its id in NetworkMode has its settings under the same words. */
function withIdEverywhere(named: Named, reference: ResourceRef, id: string): Named {
  const changed = withId(named, reference, id);
  if (reference.kind !== 'network' || reference.at !== 'HostConfig.NetworkMode') return changed;
  const endpoints = member(member(changed.body, 'NetworkingConfig'), 'EndpointsConfig');
  if (endpoints === undefined || !(reference.name in endpoints)) return changed;
  return withId(
    changed,
    { ...reference, at: `NetworkingConfig.EndpointsConfig[${JSON.stringify(reference.name)}]` },
    id,
  );
}

const member = (value: Json | undefined, key: string): JsonObject | undefined => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const inner = (value as JsonObject)[key];
  return typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? (inner as JsonObject) : undefined;
};

/** What the gateway wrote into a service comes back with an update of it. */
function withoutTaskLabels(labels: Json | undefined): Json | undefined {
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels)) return labels;
  const written = Object.entries(labelsOfTasks(''));
  const left = Object.entries(labels).filter(([key, value]) => !written.some(([k, v]) => k === key && v === value));
  return Object.fromEntries(left) as JsonObject;
}

/** Whatever the policy says, a tenant has its own processes alone. */
function refuseHostProcesses({ action, query }: EngineCall): void {
  if (action !== 'container.top') return;
  for (const args of query.ps_args ?? []) {
    const fault = processListFault(args);
    if (fault !== undefined)
      throw new GatewayError('query-unknown', `query.ps_args is ${JSON.stringify(args.slice(0, 120))}, which ${fault}`);
  }
}

function refuseLabels(call: EngineCall, { owner }: TenantCall): void {
  const body = call.body;
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
    const fields = body as JsonObject;
    refuseReserved(fields.Labels, owner, 'Labels');
    const container = member(member(body, 'TaskTemplate'), 'ContainerSpec');
    refuseReserved(withoutTaskLabels(container?.Labels), owner, 'TaskTemplate.ContainerSpec.Labels', false);
    for (const [mounts, at] of [
      [member(body, 'HostConfig')?.Mounts, 'HostConfig.Mounts'],
      [container?.Mounts, 'TaskTemplate.ContainerSpec.Mounts'],
    ] as const) {
      for (const [i, mount] of (Array.isArray(mounts) ? (mounts as readonly Json[]) : []).entries()) {
        refuseReserved(member(mount, 'VolumeOptions')?.Labels, owner, `${at}[${i}].VolumeOptions.Labels`, false);
      }
    }
  }
  const labels = call.query.labels?.[0];
  if (call.action === 'build.run' && labels !== undefined && labels !== '') {
    refuseReserved(JSON.parse(labels) as Json, owner, 'query.labels');
  }
}

/**
 * A list may be asked to start at an object, or for its descendants: of the tenant's own only; another tenant's counts as missing.
 * A limit is taken off, because it would count other tenants' objects; the list is cut after it was filtered.
 */
async function withOwnFilters(call: EngineCall, tenantCall: TenantCall): Promise<Named> {
  switch (call.action) {
    case 'task.list':
      return withOwnTaskFilters(call, tenantCall);
    case 'container.list':
      return withOwnContainers(call, tenantCall);
    case 'image.list':
      return withFilters(call, async (name, words) => {
        if (name !== 'before' && name !== 'since') return words;
        return Promise.all(words.map((word) => ownImage(word, tenantCall)));
      });
    case 'system.df':
      // Sums are of all; the objects are asked for, so that others' can be left out.
      tenantCall.isVerbose = /^(1|t|true)$/i.test(call.query.verbose?.[0] ?? '') || minorOf(call) < FIRST_MINOR_OF_SUMS;
      return minorOf(call) < FIRST_MINOR_OF_SUMS ? call : { ...call, query: { ...call.query, verbose: ['1'] } };
    default:
      return call;
  }
}

/** `GET /system/df` answers in sums from here on. */
const FIRST_MINOR_OF_SUMS = 52;

const minorOf = (call: EngineCall): number =>
  call.apiVersion === undefined ? Number.POSITIVE_INFINITY : Number(call.apiVersion.split('.')[1]);

/** The call with some of the words of its filters replaced. */
async function withFilters(
  call: EngineCall,
  replace: (name: string, words: readonly string[]) => Promise<readonly string[]>,
): Promise<Named> {
  const filters = call.query.filters?.[0];
  if (filters === undefined || filters === '') return call;
  const parsed = JSON.parse(filters) as Record<string, Record<string, true>>;
  for (const [name, given] of Object.entries(parsed)) {
    const words = await replace(name, Object.keys(given));
    parsed[name] = Object.fromEntries(words.map((word) => [word, true]));
  }
  return { path: call.path, query: { ...call.query, filters: [JSON.stringify(parsed)] }, body: call.body };
}

/** Full id of an image the tenant may use, by any spelling of it. @throws {GatewayError} `object-not-found` */
async function ownImage(word: string, tenantCall: TenantCall): Promise<string> {
  const name = canonicalImage(word);
  const used = await useImage({ kind: 'image', name, at: 'query.filters', role: 'uses' }, tenantCall);
  return used?.write ?? (await findImage(tenantCall.state.engine, name))?.id ?? name;
}

/** No image has this id. */
const NO_IMAGE = `sha256:${'0'.repeat(64)}`;

function noImageFor(error: unknown): string {
  if (error instanceof GatewayError && error.code === 'object-not-found') return NO_IMAGE;
  throw error;
}

async function withOwnContainers(call: EngineCall, tenantCall: TenantCall): Promise<Named> {
  const container = (reference: string): string => {
    const name = reference.startsWith('/') ? reference.slice(1) : reference;
    const entry = tenantCall.ledger.find(tenantCall.tenant, 'container', name);
    if (entry === undefined) throw missing('container', name);
    return entry.id;
  };
  const filtered = await withFilters(call, async (name, words) => {
    if (name === 'before' || name === 'since') return words.map(container);
    if (name !== 'ancestor') return words;
    // The engine lists nothing for an image that is not there.
    return Promise.all(words.map((word) => ownImage(word, tenantCall).catch(noImageFor)));
  });
  const query: Record<string, readonly string[]> = { ...filtered.query };
  for (const name of ['before', 'since']) {
    const value = query[name]?.[0];
    if (value !== undefined && value !== '') query[name] = [container(value)];
  }
  const limit = Number(query.limit?.[0] ?? 0);
  if (limit > 0) {
    delete query.limit;
    // A limit above zero shows stopped containers too.
    query.all = ['1'];
    tenantCall.limit = limit;
  }
  return { path: call.path, query, body: call.body };
}
