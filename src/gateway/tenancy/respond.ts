// Step 8 and 9 for a tenant's call: sends it, lets the ledger learn from the answer, and shows the tenant its part of it.
import { parseExact } from '../../engine/exact-json.ts';
import { renderTarget } from '../../engine/render-target.ts';
import type { EngineCall } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import { seesEvent } from '../../ledger/events.ts';
import { type ItemFilter, JsonItems, JsonLines } from '../../ledger/json-items.ts';
import { taken } from '../../ledger/missing.ts';
import { onlyShown, type ShownKind } from '../../ledger/shown-fields.ts';
import {
  dfView,
  historyView,
  imageView,
  infoView,
  isOwn,
  networkView,
  pushView,
  versionView,
  volumesView,
} from '../../ledger/views.ts';
import type { Ending } from '../../proxy/ending.ts';
import type { CallerEnd, EngineRequest, Outcome } from '../../proxy/types.ts';
import type { GatewayParts } from '../parts.ts';
import { respondVersion } from '../respond.ts';
import { deliver, forwardFiltered, jsonBody } from './deliver.ts';
import { type Fields, inner, MAX_LIST_BYTES, parsed, parsedInTurn, text } from './engine-state.ts';
import {
  learnBrought,
  learnContainer,
  learnId,
  learnImageRemoval,
  learnImages,
  learnPull,
  learnRefusal,
  learnVolume,
} from './learn.ts';
import { learnLeft } from './leftovers.ts';
import { countOwn, withOwnIds } from './own-objects.ts';
import { progressCaller } from './progress-caller.ts';
import { prune } from './prune.ts';
import { observeStream, type StreamWords } from './stream-words.ts';
import type { TenantCall } from './tenant-call.ts';

/** A create may copy an image's files into a volume, a removal may delete many layers: longest wait, in ms. */
const LONG_MS = 10 * 60_000;

export interface TenantAnswer {
  readonly outcome: Outcome;
  /** What the ledger learned: applied already, to be written with the outcome. */
  readonly changes: readonly LedgerEntry[];
}

export interface RespondOptions {
  readonly ending: Ending;
  onHead?(status: number): void;
}

/** Serves a judged call of a tenant's. @throws {GatewayError} `engine-unreachable`, `engine-answer-malformed`, `conflict` */
export async function respondToTenant(
  call: EngineCall,
  request: EngineRequest,
  caller: CallerEnd,
  tenantCall: TenantCall,
  parts: GatewayParts,
  options: RespondOptions,
): Promise<TenantAnswer> {
  const { engine } = tenantCall.state;
  switch (tenantCall.serving) {
    case 'plain':
      return respondPlain(request, caller, tenantCall, options);
    case 'list': {
      const keeps = itemFilter(call, tenantCall);
      const byId = call.action === 'container.list' ? (id: string) => isOwn(tenantCall, 'container', id) : undefined;
      const filter = new JsonItems(keeps, byId);
      const asked = byId === undefined ? request : { ...request, target: renderTarget(withOwnIds(call, tenantCall)) };
      return unchanged(await forwardFiltered(engine, asked, caller, filter, { ...options, waits: true }));
    }
    case 'events': {
      const filter = new JsonLines((event) => seesEvent(tenantCall, event));
      const onHead = options.onHead?.bind(options);
      return unchanged(
        await forwardFiltered(engine, request, caller, filter, { ending: options.ending, onHead, waits: false }),
      );
    }
    case 'push': {
      const filter = new JsonLines(pushView);
      const onHead = options.onHead?.bind(options);
      return unchanged(
        await forwardFiltered(engine, request, progressCaller(caller, call, tenantCall), filter, {
          ending: options.ending,
          onHead,
          waits: false,
        }),
      );
    }
    case 'object':
      if (call.action === 'system.version')
        return unchanged(await respondVersion(request, caller, engine, parts.apiVersions, versionView));
      return unchanged(await respondObject(call, request, caller, tenantCall));
    case 'create':
    case 'remove':
    case 'rename':
      return respondChange(call, request, caller, tenantCall, parts);
    case 'image-stream':
      return respondImageStream(call, request, caller, tenantCall, options);
    case 'prune':
      return prune(call, caller, tenantCall, parts);
    case 'nothing': {
      const body = jsonBody(call.action === 'build.prune' ? { CachesDeleted: null, SpaceReclaimed: 0 } : []);
      return unchanged(deliver(caller, { status: 200, reason: 'OK', headers: JSON_HEADERS, body }));
    }
  }
}

/** Calls that pass as they are; the ledger learns whether a container was started or changed. */
async function respondPlain(
  request: EngineRequest,
  caller: CallerEnd,
  tenantCall: TenantCall,
  options: RespondOptions,
): Promise<TenantAnswer> {
  try {
    const outcome = await tenantCall.state.engine.forward(request, caller, options);
    // A caller who left before the answer leaves it open what the engine did.
    const end = outcome.status === 0 ? 'unknown' : outcome.status < 400 ? 'done' : 'undone';
    return { outcome, changes: tenantCall.settleShare(end) };
  } catch (error) {
    // The answer may have been lost, not the call.
    tenantCall.settleShare('unknown');
    throw error;
  }
}

const JSON_HEADERS = ['Content-Type', 'application/json'] as const;
const unchanged = (outcome: Outcome): TenantAnswer => ({ outcome, changes: [] });

/** An element of a list as it may be shown: as it came where nothing new is in it. */
function shownAs(kind: ShownKind, item: unknown): true | object {
  const shown = onlyShown(kind, item);
  return shown === item ? true : shown;
}

function itemFilter(call: EngineCall, tenantCall: TenantCall): ItemFilter {
  const own = (kind: 'container' | 'service' | 'secret' | 'config', key: string): ItemFilter => {
    let left = tenantCall.limit ?? Number.POSITIVE_INFINITY;
    return (item) => isOwn(tenantCall, kind, inner(item, key)) && left-- > 0 && shownAs(kinds[kind], item);
  };
  const kinds = { container: 'container.list', service: 'service', secret: 'secret', config: 'config' } as const;
  switch (call.action) {
    case 'container.list':
      return own('container', 'Id');
    case 'image.list':
      return (image) => imageView(tenantCall, image) ?? false;
    case 'network.list':
      return (network) => networkView(tenantCall, network) ?? false;
    case 'service.list':
      return own('service', 'ID');
    case 'secret.list':
      return own('secret', 'ID');
    case 'config.list':
      return own('config', 'ID');
    case 'task.list':
      return (task) => isOwn(tenantCall, 'service', inner(task, 'ServiceID')) && shownAs('task', task);
    default:
      return () => false;
  }
}

/** Objects of a tenant's own, by the action that shows one. */
const SHOWN_AS: ReadonlyMap<string, ShownKind> = new Map<string, ShownKind>([
  ['container.inspect', 'container.inspect'],
  ['container.exec.inspect', 'container.exec.inspect'],
  ['volume.inspect', 'volume'],
  ['service.inspect', 'service'],
  ['secret.inspect', 'secret'],
  ['config.inspect', 'config'],
  ['task.inspect', 'task'],
]);

async function respondObject(
  call: EngineCall,
  request: EngineRequest,
  caller: CallerEnd,
  tenantCall: TenantCall,
): Promise<Outcome> {
  const { engine } = tenantCall.state;
  const answer = await engine.fetchJson(request, { maxBytes: MAX_LIST_BYTES, timeoutMs: LONG_MS });
  if (answer.status !== 200) return deliver(caller, { ...answer, reason: '' });
  const value = await parsedInTurn(answer.body, parseExact);
  const view = async (): Promise<unknown> => {
    switch (call.action) {
      case 'system.info':
        return infoView(value, await countOwn(tenantCall));
      case 'system.df':
        return dfView(tenantCall, value, tenantCall.isVerbose);
      case 'volume.list':
        return volumesView(tenantCall, value);
      case 'image.inspect':
        return imageView(tenantCall, value) ?? { ...(value as Fields), RepoTags: [], RepoDigests: [] };
      case 'image.history':
        return historyView(tenantCall, value);
      case 'network.inspect':
        return networkView(tenantCall, value);
      default: {
        const kind = SHOWN_AS.get(call.action);
        return kind === undefined ? undefined : onlyShown(kind, value);
      }
    }
  };
  const shown = await view();
  if (shown === undefined)
    throw new GatewayError('engine-answer-malformed', `the answer to ${call.action} cannot be shown`);
  return deliver(caller, {
    status: 200,
    reason: 'OK',
    headers: answer.headers,
    body: shown === value ? answer.body : jsonBody(shown),
  });
}

/** Calls with a short answer the ledger learns from: the engine's answer is read before the caller gets it. */
async function respondChange(
  call: EngineCall,
  request: EngineRequest,
  caller: CallerEnd,
  tenantCall: TenantCall,
  parts: GatewayParts,
): Promise<TenantAnswer> {
  const answer = await tenantCall.state.engine.fetchJson(request, { maxBytes: MAX_LIST_BYTES, timeoutMs: LONG_MS });
  const isDone = answer.status >= 200 && answer.status < 300;
  let conflict: GatewayError | undefined;
  let changes: LedgerEntry[] | undefined;
  if (isDone) {
    changes = await learn(call, answer.body, tenantCall, parts.now());
    if (changes === undefined) {
      // The engine gave a volume that another call had made a moment before.
      conflict = taken('volume', call.resources[0]?.name ?? '');
      changes = tenantCall.pending.map((entry) => ({ ...entry, state: 'void' }));
    }
  } else {
    changes = await learnRefusal(tenantCall);
    if (answer.status === 404 && tenantCall.serving === 'remove') changes.push(...ended(call, tenantCall, parts.now()));
  }
  changes = [...changes, ...changes.flatMap((entry) => tenantCall.ledger.succession(entry))];
  for (const entry of changes) tenantCall.ledger.apply(entry);
  if (conflict !== undefined) throw conflict;
  return {
    outcome: deliver(caller, { status: answer.status, reason: '', headers: answer.headers, body: answer.body }),
    changes,
  };
}

async function learn(
  call: EngineCall,
  body: Uint8Array,
  tenantCall: TenantCall,
  nowMs: number,
): Promise<LedgerEntry[] | undefined> {
  switch (call.action) {
    case 'container.create':
      return learnContainer(text(inner(parsed(body), 'Id')), tenantCall);
    case 'volume.create':
      return learnVolume(parsed(body), tenantCall);
    case 'image.commit':
      return learnImages(text(inner(parsed(body), 'Id')), tenantCall);
    case 'image.tag':
      return learnImages(undefined, tenantCall);
    case 'image.remove':
      return learnImageRemoval(parsed(body), tenantCall, nowMs);
    case 'container.rename': {
      const entry = tenantCall.ledger.owned(tenantCall.tenant, 'container', call.path.id ?? '');
      const name = call.resources.find(({ role }) => role === 'creates')?.name;
      return entry === undefined || name === undefined ? [] : [{ ...entry, name }];
    }
    default:
      return tenantCall.serving === 'remove' ? ended(call, tenantCall, nowMs) : learnId(parsed(body), tenantCall);
  }
}

function ended(call: EngineCall, { ledger }: TenantCall, nowMs: number): LedgerEntry[] {
  const [target] = call.resources;
  const id = call.path.id ?? call.path.name ?? '';
  if (target === undefined || target.kind === 'image') return [];
  return ledger.ending(target.kind as 'container' | 'volume' | 'network', id, nowMs);
}

/** Pull, import and build tell their result in a stream; the ledger learns once it has ended. */
async function respondImageStream(
  call: EngineCall,
  request: EngineRequest,
  caller: CallerEnd,
  tenantCall: TenantCall,
  options: RespondOptions,
): Promise<TenantAnswer> {
  const { builds, building } = tenantCall.state;
  const { tenant } = tenantCall;
  const isBuild = call.action === 'build.run';
  if (isBuild) {
    building.set(tenant, (building.get(tenant) ?? 0) + 1);
    tenantCall.state.builders.set(tenant, tenantCall.owner);
  }
  const buildId = call.action === 'build.run' ? call.query.buildid?.[0] : undefined;
  if (buildId !== undefined) builds.set(buildId, tenantCall.tenant);
  const words = observeStream(progressCaller(caller, call, tenantCall));
  try {
    const outcome = await tenantCall.state.engine.forward(request, words.caller, options);
    // With half an upload the engine made nothing.
    const undone = outcome.end === 'complete' ? undefined : tenantCall.withdraw();
    if (undone !== undefined) return { outcome, changes: undone };
    // Where the gateway did not see the end, the reservation stays until the engine is looked at.
    const isSeen = outcome.end === 'complete';
    if (!isSeen) tenantCall.onRelease(() => tenantCall.state.lookSoon());
    const changes = isSeen ? await learnStream(call, words, tenantCall) : [];
    for (const entry of changes) tenantCall.ledger.apply(entry);
    return { outcome, changes };
  } finally {
    words.finish();
    if (isBuild) building.set(tenant, (building.get(tenant) ?? 1) - 1);
    if (buildId !== undefined) builds.delete(buildId);
  }
}

async function learnStream(call: EngineCall, words: StreamWords, tenantCall: TenantCall): Promise<LedgerEntry[]> {
  if (call.action === 'image.pull') {
    if (words.pulled) return learnPull(call.resources[0]?.name ?? '', tenantCall, words.tags);
    return tenantCall.pending.map((entry) => ({ ...entry, state: 'void' }));
  }
  const changes = [...(await learnImages(words.imageId, tenantCall, call.action)), ...(await learnBrought(tenantCall))];
  if (call.action !== 'build.run') return changes;
  // What a build made is told from what it left once its names are known.
  for (const entry of changes) tenantCall.ledger.apply(entry);
  return [...changes, ...(await learnLeft(words, tenantCall))];
}
