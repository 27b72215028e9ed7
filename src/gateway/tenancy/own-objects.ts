// A tenant's own objects as the engine has them now: for counts and for prunes.
import type { Counts } from '../../ledger/views.ts';
import { imageView, isOwn } from '../../ledger/views.ts';
import { ask, type Fields, filtersQuery, items, MAX_LIST_BYTES } from './engine-state.ts';
import type { TenantCall } from './tenant-call.ts';

/** Ids given to the engine as a filter; above, it lists all and the gateway picks. */
const MAX_FILTER_IDS = 200;

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
