// A tenant's own objects as the engine has them now: for counts and for prunes.
import type { EngineCall } from '../../engine/types.ts';
import type { Counts } from '../../ledger/views.ts';
import { imageView, isOwn } from '../../ledger/views.ts';
import { ask, type Fields, filtersQuery, items, MAX_LIST_BYTES } from './engine-state.ts';
import type { TenantCall } from './tenant-call.ts';

/** Ids given to the engine as a filter, some 75 bytes of a request line each; above, it lists all and the gateway picks. */
const MAX_FILTER_IDS = 2000;
/** No object has it: a tenant that owns nothing gets an empty list. */
const NO_ID = '0'.repeat(64);

/** Own containers, running or not, with the engine's filters applied. */
export async function ownContainers(
  tenantCall: TenantCall,
  filters: Readonly<Record<string, readonly string[]>> = {},
  withSize = false,
): Promise<readonly Fields[]> {
  const ids = [...tenantCall.ledger.objects(tenantCall.tenant, 'container')].map(({ id }) => id);
  if (ids.length === 0) return [];
  const narrowed = ids.length <= MAX_FILTER_IDS ? { ...filters, id: ids } : filters;
  const size = withSize ? '&size=1' : '';
  const list = await ask(
    tenantCall.state.engine,
    `/containers/json?all=1${size}&${filtersQuery(narrowed)}`,
    MAX_LIST_BYTES,
  );
  return items(list).filter((container) => isOwn(tenantCall, 'container', container.Id));
}

/**
 * A list of containers that asks the engine for the tenant's own alone: other tenants' objects cost nothing. A filter by ids of the
 * caller's is read among its own, where a prefix of several is none, as the engine reads it.
 */
export function withOwnIds(call: EngineCall, tenantCall: TenantCall): EngineCall {
  const { ledger, tenant } = tenantCall;
  if (ledger.count(tenant, 'container') > MAX_FILTER_IDS) return call;
  const own = [...ledger.objects(tenant, 'container')].map(({ id }) => id).filter((id) => id !== '');
  const given = call.query.filters?.[0];
  const filters = given === undefined || given === '' ? {} : (JSON.parse(given) as Record<string, unknown>);
  const asked = filters.id === undefined ? undefined : Object.keys(filters.id as object);
  const ids = asked === undefined ? own : [...new Set(asked.flatMap((prefix) => only(own, prefix)))];
  const narrowed = { ...filters, id: Object.fromEntries((ids.length === 0 ? [NO_ID] : ids).map((id) => [id, true])) };
  return { ...call, query: { ...call.query, filters: [JSON.stringify(narrowed)] } };
}

const only = (own: readonly string[], prefix: string): readonly string[] => {
  const found = own.filter((id) => id.startsWith(prefix));
  return found.length === 1 ? found : [];
};

export async function countOwn(tenantCall: TenantCall): Promise<Counts> {
  const [containers, images] = await Promise.all([
    ownContainers(tenantCall),
    ask(tenantCall.state.engine, '/images/json', MAX_LIST_BYTES),
  ]);
  const running = containers.filter(({ State }) => State === 'running' || State === 'restarting').length;
  const paused = containers.filter(({ State }) => State === 'paused').length;
  return {
    running,
    paused,
    stopped: containers.length - running - paused,
    images: items(images).filter((image) => imageView(tenantCall, image) !== undefined).length,
  };
}
