// Rules of a tenant's services alone: tasks belong to their service, and the objects a service names are looked up by the swarm
// whenever it starts a task, long after the call was judged. So images are sent by id, and volumes with a name are refused.
import { toCall } from '../../engine/call.ts';
import type { EngineCall, Json, JsonObject, ResourceRef } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { labelsOfTasks } from '../../ledger/labels.ts';
import { missing } from '../../ledger/missing.ts';
import { type Named, withId } from '../../ledger/rewrite.ts';
import { askSwarm, findImage, inner, text } from './engine-state.ts';
import type { TenantCall } from './tenant-call.ts';

export const isServiceSpec = ({ action }: Pick<EngineCall, 'action'>): boolean =>
  action === 'service.create' || action === 'service.update';

/** Full id of a task of one of the tenant's services. @throws {GatewayError} `object-not-found` */
export async function ownTask(name: string, { ledger, tenant, state }: TenantCall): Promise<string> {
  const task = await askSwarm(state.engine, `/tasks/${encodeURIComponent(name)}`);
  if (ledger.owned(tenant, 'service', text(inner(task, 'ServiceID'))) === undefined) throw missing('task', name);
  return text(inner(task, 'ID'));
}

/** A list of tasks may be of some services: only of the tenant's. Nodes are not its to know. */
export function withOwnTaskFilters(call: EngineCall, { ledger, tenant }: TenantCall): Named {
  const filters = call.query.filters?.[0];
  if (filters === undefined || filters === '') return call;
  const parsed = JSON.parse(filters) as Record<string, Record<string, true>>;
  for (const node of Object.keys(parsed.node ?? {})) throw missing('node', node);
  if (parsed.service === undefined) return call;
  const ids = Object.keys(parsed.service).map((name) => {
    const entry = ledger.find(tenant, 'service', name);
    if (entry === undefined) throw missing('service', name);
    return [entry.id, true] as const;
  });
  parsed.service = Object.fromEntries(ids);
  return { path: call.path, query: { ...call.query, filters: [JSON.stringify(parsed)] }, body: call.body };
}

/** A volume by this name may be another tenant's by the time a task starts. */
export const refuseVolume = (reference: ResourceRef): GatewayError =>
  new GatewayError(
    'tenant-not-served',
    `denied: ${reference.at}.Source: a service looks the volume ${reference.name.slice(0, 256)} up by its name whenever it starts ` +
      'a task, and another tenant may have the name then; leave Source out for a volume of each task, or run a container',
  );

/** The spec with images by id and the labels of tasks: neither changes when the same spec comes again, so no task is restarted. */
export async function pinned(call: EngineCall, tenantCall: TenantCall): Promise<EngineCall> {
  let named: Named = call;
  for (const reference of call.resources) {
    if (reference.kind !== 'image' || /^sha256:|@/.test(reference.name)) continue;
    const found = await findImage(tenantCall.state.engine, reference.name);
    if (found === undefined) throw missing('image', reference.name);
    named = withId(named, reference, found.id);
  }
  const body = withTaskLabels(named.body, tenantCall.tenant);
  return Object.freeze({ ...toCall(call, body), resources: call.resources });
}

function withTaskLabels(body: Json | undefined, tenant: string): JsonObject {
  const copy = (value: Json | undefined): Record<string, Json | undefined> =>
    Object.assign(Object.create(null), value) as Record<string, Json | undefined>;
  const spec = copy(body);
  const task = copy(spec.TaskTemplate);
  const container = copy(task.ContainerSpec);
  // What the image says under these names stands behind what the spec says.
  container.Labels = Object.assign(copy(container.Labels), labelsOfTasks(tenant)) as JsonObject;
  task.ContainerSpec = container as JsonObject;
  spec.TaskTemplate = task as JsonObject;
  return spec as JsonObject;
}
