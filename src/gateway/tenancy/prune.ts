// A tenant's prune: the engine's own would remove objects of others, so the gateway removes the tenant's objects one by one.
// Filters are read here; one that cannot be read refuses the prune.
import type { EngineCall } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import { canonicalOf } from '../../ledger/views.ts';
import type { CallerEnd } from '../../proxy/types.ts';
import type { GatewayParts } from '../parts.ts';
import { deliver, jsonBody } from './deliver.ts';
import { ask, type Fields, findImage, inner, items, MAX_LIST_BYTES, text } from './engine-state.ts';
import { removable } from './images.ts';
import { learnImageRemoval } from './learn.ts';
import { ownContainers } from './own-objects.ts';
import type { TenantAnswer } from './respond.ts';
import type { TenantCall } from './tenant-call.ts';

const REMOVE_MS = 60_000;
/** Most changes written with one event. */
const MAX_CHANGES = 100;

type Filters = Readonly<Record<string, readonly string[]>>;

/** @throws {GatewayError} `query-unknown` for a filter that is not read */
export async function prune(
  call: EngineCall,
  caller: CallerEnd,
  tenantCall: TenantCall,
  parts: GatewayParts,
): Promise<TenantAnswer> {
  const filters = readFilters(call);
  const done = await pruned(call, filters, tenantCall, parts);
  const headers = ['Content-Type', 'application/json'];
  return {
    outcome: deliver(caller, { status: 200, reason: 'OK', headers, body: jsonBody(done.answer) }),
    changes: done.changes,
  };
}

interface Pruned {
  readonly answer: Fields;
  readonly changes: LedgerEntry[];
}

async function pruned(
  call: EngineCall,
  filters: Filters,
  tenantCall: TenantCall,
  parts: GatewayParts,
): Promise<Pruned> {
  const changes: LedgerEntry[] = [];
  const remove = async (target: string): Promise<Uint8Array | undefined> => {
    const answer = await tenantCall.state.engine.fetchJson(
      { method: 'DELETE', target, headers: [], body: undefined, lane: 'stream' },
      { timeoutMs: REMOVE_MS, maxBytes: MAX_LIST_BYTES },
    );
    return answer.status === 200 || answer.status === 204 ? answer.body : undefined;
  };
  const end = (kind: 'container' | 'volume' | 'network', id: string): void => {
    for (const entry of tenantCall.ledger.ending(kind, id, parts.now())) {
      tenantCall.ledger.apply(entry);
      changes.push(entry);
    }
  };
  const isDue = dueTest(filters, parts.now());
  // Further ones are left for the next prune: each is a call to the engine.
  const isFull = (): boolean => changes.length >= MAX_CHANGES;
  switch (call.action) {
    case 'container.prune': {
      const removed: string[] = [];
      let space = 0;
      const stopped = { status: ['created', 'exited', 'dead'] };
      for (const container of await ownContainers(tenantCall, stopped, true)) {
        if (isFull() || !isDue(container.Labels, Number(container.Created) * 1000)) continue;
        if ((await remove(`/containers/${text(container.Id)}`)) === undefined) continue;
        removed.push(text(container.Id));
        space += Number(container.SizeRw ?? 0);
        end('container', text(container.Id));
      }
      return { answer: { ContainersDeleted: orNull(removed), SpaceReclaimed: space }, changes };
    }
    case 'volume.prune': {
      const removed: string[] = [];
      const list = inner(
        await ask(parts.engine, '/volumes?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D', MAX_LIST_BYTES),
        'Volumes',
      );
      const takesNamed = filters.all?.some((word) => /^(1|t|true)$/i.test(word)) === true || minorOf(call) < 42;
      for (const volume of items(list)) {
        const name = text(volume.Name);
        if (isFull() || tenantCall.ledger.owned(tenantCall.tenant, 'volume', name) === undefined) continue;
        const isAnonymous = inner(volume.Labels, 'com.docker.volume.anonymous') !== undefined;
        if ((!takesNamed && !isAnonymous) || !isDue(volume.Labels, 0)) continue;
        if ((await remove(`/volumes/${encodeURIComponent(name)}`)) === undefined) continue;
        removed.push(name);
        end('volume', name);
      }
      return { answer: { VolumesDeleted: orNull(removed), SpaceReclaimed: 0 }, changes };
    }
    case 'network.prune': {
      const removed: string[] = [];
      const list = await ask(parts.engine, '/networks?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D', MAX_LIST_BYTES);
      for (const network of items(list)) {
        const id = text(network.Id);
        if (isFull() || tenantCall.ledger.owned(tenantCall.tenant, 'network', id) === undefined) continue;
        if (!isDue(network.Labels, Date.parse(text(network.Created)))) continue;
        if ((await remove(`/networks/${id}`)) === undefined) continue;
        removed.push(text(network.Name));
        end('network', id);
      }
      return { answer: { NetworksDeleted: orNull(removed) }, changes };
    }
    default: {
      // Images without a name that are the tenant's; named ones stay, as they may be in use beyond this engine.
      const deleted: Fields[] = [];
      const own = [...tenantCall.ledger.objects(tenantCall.tenant, 'image')].filter(({ id }) =>
        id.startsWith('sha256:'),
      );
      for (const { id } of own) {
        if (isFull()) break;
        if (!(await isPrunable(id, tenantCall))) continue;
        // Parents are not the tenant's to remove along with it: those that are have a turn of their own.
        const body = await remove(`/images/${encodeURIComponent(id)}?noprune=1`);
        if (body === undefined) continue;
        const answer = JSON.parse(Buffer.from(body).toString('utf8')) as unknown;
        deleted.push(...items(answer));
        for (const entry of learnImageRemoval(answer, tenantCall, parts.now())) {
          tenantCall.ledger.apply(entry);
          changes.push(entry);
        }
      }
      return { answer: { ImagesDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: 0 }, changes };
    }
  }
}

/** Whether an image has no name, and no other tenant has it under a digest or by its id. */
async function isPrunable(id: string, tenantCall: TenantCall): Promise<boolean> {
  const found = await findImage(tenantCall.state.engine, id);
  if (found === undefined || found.tags.some((tag) => canonicalOf(tag) !== undefined)) return false;
  try {
    await removable(id, tenantCall);
    return true;
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'conflict') return false;
    throw error;
  }
}

const orNull = (names: readonly string[]): readonly string[] | null => (names.length === 0 ? null : names);

const minorOf = (call: EngineCall): number =>
  call.apiVersion === undefined ? Number.POSITIVE_INFINITY : Number(call.apiVersion.split('.')[1]);

function readFilters(call: EngineCall): Filters {
  const given = call.query.filters?.[0];
  if (given === undefined || given === '') return {};
  const filters: Record<string, readonly string[]> = {};
  for (const [name, words] of Object.entries(JSON.parse(given) as Record<string, object>)) {
    const isRead = ['label', 'label!', 'until', 'all', 'dangling'].includes(name);
    if (!isRead) throw unread(name);
    filters[name] = Object.keys(words);
  }
  return filters;
}

const unread = (name: string): GatewayError =>
  new GatewayError(
    'query-unknown',
    `a tenant's prune reads the filters label, label!, until, all and dangling, not ${name.slice(0, 80)}`,
  );

/** Whether an object with these labels, made at this time, is one the filters ask for. */
function dueTest(filters: Filters, nowMs: number): (labels: unknown, createdMs: number) => boolean {
  const until = filters.until === undefined ? undefined : Math.min(...filters.until.map((word) => timeOf(word, nowMs)));
  const has = (labels: unknown, word: string): boolean => {
    const equals = word.indexOf('=');
    const value = inner(labels, equals < 0 ? word : word.slice(0, equals));
    return value !== undefined && (equals < 0 || value === word.slice(equals + 1));
  };
  return (labels, createdMs) =>
    (until === undefined || createdMs < until) &&
    (filters.label ?? []).every((word) => has(labels, word)) &&
    !(filters['label!'] ?? []).some((word) => has(labels, word));
}

/** `24h`, `1h30m`, seconds since the epoch, or RFC 3339. In ms since the epoch. */
function timeOf(word: string, nowMs: number): number {
  if (/^\d+(\.\d+)?$/.test(word)) return Number(word) * 1000;
  const units = { h: 3_600_000, m: 60_000, s: 1000 } as const;
  if (/^(\d+[hms])+$/.test(word)) {
    let span = 0;
    for (const [, count, unit] of word.matchAll(/(\d+)([hms])/g)) span += Number(count) * units[unit as 'h'];
    return nowMs - span;
  }
  const date = Date.parse(word);
  if (Number.isNaN(date))
    throw new GatewayError('query-unknown', `the filter until=${word.slice(0, 80)} is not a time that is read`);
  return date;
}
