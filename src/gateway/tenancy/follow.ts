// Keeps the ledger in step with what happens behind the gateway's back: the engine's event stream at once, and a look at
// everything at the start and every minute. An object that is gone leaves no right, and one that was being made when the gateway
// ended finds its maker.
import type { Recorder } from '../../audit/event.ts';
import { GatewayError } from '../../errors.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import { type EngineEvent, readEvent } from '../../ledger/events.ts';
import { JsonLines } from '../../ledger/json-items.ts';
import { AUDIT_LABEL } from '../../ledger/labels.ts';
import { canonicalOf } from '../../ledger/views.ts';
import type { Logger } from '../../log.ts';
import { Ender } from '../../proxy/ending.ts';
import type { CallerEnd } from '../../proxy/types.ts';
import { filtersQuery, findContainer, findImage } from './engine-state.ts';
import { isProved, ofImage } from './images.ts';
import { createMeasurer } from './measure.ts';
import { rebuild } from './rebuild.ts';
import { learnEnding, learnShare, reconcile } from './reconcile.ts';
import type { TenancyState } from './tenant-call.ts';

/** Between two looks at everything. */
const RECONCILE_MS = 60_000;
/** Between the end of an event stream and the next. */
const RETRY_MS = 1_000;
/** An engine whose caller left goes on for a moment. */
const SOON_MS = 3_000;
/** Calls remembered that seemed to have made nothing, and for how long, in ms: the engine may be slow. */
const MAX_VOIDED = 1000;
const VOIDED_MS = 10 * 60_000;
/** Most changes written with one event. */
const MAX_CHANGES = 100;

export interface Follower {
  /** Looks at everything now. A failure is told to the log; what was known stays. */
  reconcile(): Promise<void>;
  /** Whether the ledger was compared with the engine, and its events were followed since. */
  readonly isCurrent: boolean;
  /**
   * Compares the ledger with the engine unless it is current: a right that is stale must not be used.
   * @throws {GatewayError} `ledger-unsettled`, `engine-unreachable` when it could not be compared
   */
  becomeCurrent(): Promise<void>;
  /** Looks at everything in a moment, once for all that ask meanwhile. */
  lookSoon(): void;
  /** Begins to follow, if it does not yet. */
  start(): void;
  stop(): void;
}

export interface FollowParts {
  readonly recorder: Recorder;
  readonly log: Logger;
  now(): number;
  newAuditId(): string;
  /** Is shown what happens. */
  onEngineEvent?(event: EngineEvent): void;
  /** Why objects may be missing in the ledger as it was stored. */
  readonly doubt?: string | undefined;
  /** They were looked for. */
  onSettled?(): void;
}

export function createFollower(state: TenancyState, parts: FollowParts): Follower {
  const stopping = new Ender();
  let timer: ReturnType<typeof setInterval> | undefined;
  let soon: NodeJS.Timeout | undefined;
  let running: Promise<unknown> | undefined;
  let isFirst = true;
  /** Ends of event streams so far: a comparison begun before one says nothing of later changes. */
  let ends = 0;
  let isCurrent = false;
  let { doubt } = parts;

  const voided = new Voided(parts.now);

  /** Applies changes that no call of the gateway's made, and writes them down. */
  const learn = (changes: readonly LedgerEntry[], why: string): void => {
    for (const entry of changes) {
      state.ledger.apply(entry);
      if (entry.state === 'void' && (entry.kind === 'container' || entry.kind === 'image')) voided.add(entry);
    }
    for (let at = 0; at < changes.length; at += MAX_CHANGES) {
      const some = changes.slice(at, at + MAX_CHANGES);
      parts.recorder.append({
        at: parts.now() * 1000,
        stage: 'gateway',
        auditId: parts.newAuditId(),
        action: 'ledger.follow',
        decision: 'allow',
        resource: some.length === 1 ? `${some[0]?.kind}/${some[0]?.name}` : undefined,
        resourceId: some.length === 1 ? some[0]?.id : undefined,
        tenant: some.every(({ tenant }) => tenant === some[0]?.tenant) ? some[0]?.tenant : undefined,
        detail: { message: why, objects: some.map(({ kind, id, state: now }) => `${now} ${kind}/${id}`).slice(0, 20) },
        ledger: some,
      });
    }
  };

  const measurer = createMeasurer(state, { log: parts.log, now: parts.now, learn });

  const setRunning = (id: string, isRunning: boolean, why: string): void => {
    const changed = state.ledger
      .holders('container', id)
      .filter((entry) => entry.state === 'live' && (entry.isRunning ?? false) !== isRunning);
    learn(
      changed.map((entry) => ({ ...entry, isRunning })),
      why,
    );
  };

  /** A container has ended, or its restart policy starts it again in a moment: then it keeps its place. */
  async function learnEnd(id: string): Promise<void> {
    const before = state.ledger.holders('container', id).filter((entry) => entry.isRunning === true);
    if (before.length === 0) return;
    try {
      const found = await findContainer(state.engine, id);
      // An entry learned meanwhile is newer.
      const isOld = before.some((entry) => state.ledger.byKey(entry.key) !== entry);
      if (found?.isRunning !== true && !isOld) setRunning(id, false, 'it ended');
    } catch (error) {
      parts.log.warn({ err: error }, 'a container that ended could not be looked at');
    }
  }

  /** A call changed the share of a container. */
  async function learnUpdate(id: string): Promise<void> {
    try {
      for (const entry of state.ledger.holders('container', id)) await learnShare(entry, state, learn);
    } catch (error) {
      parts.log.warn({ err: error }, 'a container that was changed could not be looked at');
    }
  }

  /** A name of an image is gone, or means another one: engines tell which image it was, and some which name. */
  async function learnUntagged(id: string, name: string): Promise<void> {
    const { ledger } = state;
    const references = [id, canonicalOf(name), canonicalOf(id)].filter((one) => one !== undefined);
    const named = references.flatMap((one) => ledger.holders('image', one)).filter(({ state: now }) => now === 'live');
    const concerned = new Set([...named, ...ledger.namesOfImage(id)]);
    try {
      for (const entry of concerned) await learnEnding(entry, state, learn);
    } catch (error) {
      parts.log.warn({ err: error }, 'an image that lost a name could not be looked at');
    }
  }

  /** The engine made an image after all whose maker was thought to have failed: an upload that was whole goes on without its caller. */
  async function learnMade(shown: string): Promise<void> {
    const name = canonicalOf(shown);
    if (name === undefined) return;
    for (const entry of voided.takeImages(name)) await learnMadeBy(entry);
  }

  async function learnMadeBy(entry: LedgerEntry): Promise<void> {
    if (state.ledger.holders('image', entry.id).length > 0) return;
    const held: LedgerEntry = { ...entry, state: 'pending' };
    state.ledger.apply(held);
    try {
      const found = await findImage(state.engine, entry.id);
      // Another call, or an operator, may have made one of that name.
      const made = found !== undefined && isProved(held, found) ? ofImage(held, found, state) : entry;
      if (state.ledger.byKey(held.key) === held) learn([made], 'the engine made it after all');
    } catch (error) {
      parts.log.warn({ err: error }, 'an image that was made could not be looked at');
    }
  }

  const onEvent = (value: unknown): boolean => {
    const event = readEvent(value);
    if (event === undefined) return false;
    parts.onEngineEvent?.(event);
    const { ledger } = state;
    const { type, action, id, attributes } = event;
    if (action === 'destroy' && (type === 'container' || type === 'volume' || type === 'network')) {
      // A volume's name may be another one's by now: only entries older than the event end with it.
      learn(
        ledger
          .ending(type, id, event.atMs)
          .filter((entry) => entry.state !== 'pending' && entry.createdAt <= event.atMs),
        `the engine removed it (${type} ${action})`,
      );
    } else if (action === 'remove' && (type === 'service' || type === 'secret' || type === 'config')) {
      learn(ledger.ending(type, id, event.atMs), `the engine removed it (${type} ${action})`);
    } else if (type === 'container' && action === 'start') {
      setRunning(id, true, 'it runs');
    } else if (type === 'container' && action === 'die') {
      void learnEnd(id);
      measurer.ended(id);
    } else if (type === 'container' && action === 'update') {
      void learnUpdate(id);
    } else if (type === 'container' && action === 'rename') {
      const renamed = ledger.holders('container', id).filter((entry) => entry.name !== attributes.name);
      learn(
        renamed.map((entry) => ({ ...entry, name: attributes.name ?? entry.name })),
        'it was renamed',
      );
    } else if (type === 'container' && action === 'create') {
      const key = `${attributes[AUDIT_LABEL] ?? ''}/0`;
      const entry = ledger.byKey(key) ?? voided.take(key);
      const isOpen = entry?.state === 'pending' || entry?.state === 'void';
      if (entry?.kind === 'container' && isOpen && !state.underWay.has(entry.auditId)) {
        learn([{ ...entry, id, name: attributes.name ?? entry.name, state: 'live' }], 'the engine made it after all');
      }
    } else if (type === 'image' && ['untag', 'delete', 'tag', 'load', 'import'].includes(action)) {
      void learnUntagged(id, attributes.name ?? '');
    }
    if (type === 'image' && action !== 'untag' && action !== 'delete') {
      for (const name of [attributes.name ?? '', id]) void learnMade(name);
    }
    return false;
  };

  async function follow(): Promise<void> {
    let sinceMs = parts.now();
    while (!stopping.ended) {
      const filter = new JsonLines(onEvent);
      const sink: CallerEnd = {
        head() {},
        write(chunk) {
          filter.push(chunk);
          return true;
        },
        onDrain() {},
        end() {},
        abort() {},
        onGone() {},
      };
      const filters = filtersQuery({
        type: ['container', 'volume', 'network', 'image', 'service', 'secret', 'config'],
      });
      const target = `/events?since=${Math.floor(sinceMs / 1000)}&${filters}`;
      sinceMs = parts.now();
      try {
        await state.engine.forward({ method: 'GET', target, headers: [], body: undefined }, sink, {
          ending: stopping,
        });
      } catch (error) {
        parts.log.warn({ err: error }, 'the event stream of the engine ended');
      }
      if (stopping.ended) return;
      // Changes that went unheard have no trace in a list.
      isFirst = true;
      isCurrent = false;
      ends++;
      await new Promise<void>((resolve) => setTimeout(resolve, RETRY_MS).unref());
      await follower.reconcile();
    }
  }

  /** @returns why it could not be compared */
  async function compare(): Promise<unknown> {
    const before = ends;
    try {
      if (doubt !== undefined) await settle(doubt);
      await reconcile(state, learn, isFirst);
      isFirst = false;
      if (before === ends) isCurrent = true;
      void measurer.round();
      return undefined;
    } catch (error) {
      parts.log.warn({ err: error }, 'the ledger could not be compared with the engine');
      return error;
    } finally {
      running = undefined;
    }
  }

  async function settle(why: string): Promise<void> {
    const { returned, withheld } = await rebuild(state, parts, why);
    parts.onSettled?.();
    doubt = undefined;
    parts.log.warn(
      { reason: why, returned, withheld },
      "the ledger was rebuilt from the engine's objects: images without a known owner are closed to tenants until " +
        'dockgate tenant adopt gives them to one, or dockgate tenant release to all',
    );
  }

  const follower: Follower = {
    get isCurrent() {
      return isCurrent;
    },
    async reconcile() {
      running ??= compare();
      await running;
    },
    async becomeCurrent() {
      // One that runs may have begun before the stream ended.
      for (let tries = 0; tries < 2 && !isCurrent; tries++) {
        running ??= compare();
        const failure = await running;
        if (failure instanceof GatewayError) throw failure;
        if (failure !== undefined) throw unsettled(failure);
      }
      if (!isCurrent) throw unsettled(undefined);
    },
    lookSoon() {
      if (stopping.ended) return;
      soon ??= setTimeout(() => {
        soon = undefined;
        void follower.reconcile();
      }, SOON_MS).unref();
    },
    start() {
      if (timer !== undefined || stopping.ended) return;
      timer = setInterval(() => void follower.reconcile(), RECONCILE_MS);
      timer.unref();
      void follow();
    },
    stop() {
      stopping.end();
      clearInterval(timer);
      clearTimeout(soon);
    },
  };
  return follower;
}

/** Calls that seemed to have made nothing, for a while. */
class Voided {
  readonly #entries = new Map<string, { readonly entry: LedgerEntry; readonly atMs: number }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  add(entry: LedgerEntry): void {
    this.#entries.delete(entry.key);
    this.#entries.set(entry.key, { entry, atMs: this.#now() });
    this.#forget();
  }

  /** The entry of a call, which is then forgotten. */
  take(key: string): LedgerEntry | undefined {
    this.#forget();
    const found = this.#entries.get(key)?.entry;
    this.#entries.delete(key);
    return found;
  }

  /** Those of images of a name, which are then forgotten. */
  takeImages(name: string): readonly LedgerEntry[] {
    this.#forget();
    const found = [...this.#entries.values()]
      .map(({ entry }) => entry)
      .filter(({ kind, id, isPulled }) => kind === 'image' && id === name && isPulled !== true);
    for (const { key } of found) this.#entries.delete(key);
    return found;
  }

  #forget(): void {
    for (const [key, { atMs }] of this.#entries) {
      if (this.#entries.size <= MAX_VOIDED && this.#now() - atMs < VOIDED_MS) return;
      this.#entries.delete(key);
    }
  }
}

const unsettled = (cause: unknown): GatewayError =>
  new GatewayError(
    'ledger-unsettled',
    'who owns what could not be compared with the engine yet, and no tenant is served before; try again in a moment',
    { cause, retryAfterS: 1 },
  );
