// Changes in the engine without a call of the gateway's: through the engine's own socket, or by the engine itself. They are read from
// the engine's event stream and compared with the calls the gateway records. Each has a row, up to a rate; beyond it they are counted.
import type { AuditEvent, Recorder } from '../audit/event.ts';
import type { EngineEvent } from '../ledger/events.ts';

/** The outcome of a call names what it made; an event waits so long for it, in ms. */
const HOLD_MS = 3000;
/** Events may come so long after the call that made them, in ms. */
const GRACE_MS = 5000;
/** A container that ended is removed or started again by the engine itself within this time, in ms. */
const BY_ITSELF_MS = 10_000;
const MAX_HELD = 2000;
const MAX_CALLS = 10_000;
const MAX_ENDED = 4096;
const ROWS_PER_MINUTE = 120;
const MINUTE_MS = 60_000;

const WATCHED: Readonly<Record<string, ReadonlySet<string>>> = {
  container: new Set([
    ...['create', 'start', 'stop', 'kill', 'restart', 'pause', 'unpause', 'rename', 'update', 'destroy'],
    ...['exec_start', 'extract-to-dir', 'commit'],
  ]),
  volume: new Set(['create', 'destroy']),
  network: new Set(['create', 'destroy']),
};
/** What these touch is not named beforehand. */
const WIDE = /^(?:[a-z]+\.prune|build\.|image\.build|swarm\.|service\.|node\.|plugin\.)/;

interface Call {
  readonly ids: Set<string>;
  readonly action: string;
  /** Infinite while it is under way, in ms since the epoch. */
  untilMs: number;
}

export interface OutsideParts {
  readonly recorder: Pick<Recorder, 'append'>;
  /** Milliseconds since the epoch. */
  now(): number;
  newAuditId(): string;
  /** Whose object it is. */
  tenantOf?(kind: string, id: string): string | undefined;
}

export class OutsideEvents {
  readonly #parts: OutsideParts;
  readonly #calls = new Map<string, Call>();
  readonly #held: { readonly event: EngineEvent; readonly seenMs: number }[] = [];
  /** Containers that ended, when, and whether they were told to. */
  readonly #ended = new Map<string, { readonly atMs: number; readonly isOutside: boolean }>();
  #forgotMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #rows = { left: ROWS_PER_MINUTE, sinceMs: 0 };
  #counted = new Map<string, number>();

  constructor(parts: OutsideParts) {
    this.#parts = parts;
  }

  /** The same recorder, which also tells here what the gateway itself does. */
  noting(recorder: Recorder): Recorder {
    return {
      record: (event, kept) => {
        this.#note(event);
        return recorder.record(event, kept);
      },
      append: (event) => {
        this.#note(event);
        recorder.append(event);
      },
      atRest: (work) => recorder.atRest(work),
      settle: () => recorder.settle(),
      get healthy() {
        return recorder.healthy;
      },
      close: () => recorder.close(),
    };
  }

  see(event: EngineEvent): void {
    const { type, action, id } = event;
    if (type === 'container' && action === 'die') {
      const before = this.#ended.get(id);
      this.#remember(event, before?.isOutside === true && event.atMs - before.atMs < BY_ITSELF_MS);
      return;
    }
    if (type === 'container' && (action === 'kill' || action === 'stop')) this.#remember(event, true);
    if (WATCHED[type]?.has(nameOf(action)) !== true) return;
    if (this.#held.length >= MAX_HELD) this.#count(event);
    else this.#held.push({ event, seenMs: this.#parts.now() });
    this.#timer ??= setTimeout(() => this.#judge(), HOLD_MS).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const { event } of this.#held.splice(0)) this.#judgeOne(event);
    this.#tellCounted();
  }

  #note({ auditId, stage, action, class: kind, resource, resourceId, resources, session }: AuditEvent): void {
    if (kind === undefined || kind === 'read' || stage === 'gateway') return;
    let call = this.#calls.get(auditId);
    if (call === undefined) {
      if (stage !== 'intent') return;
      call = { ids: new Set(), action, untilMs: Number.POSITIVE_INFINITY };
      this.#calls.set(auditId, call);
      // Also where no event comes for a long time.
      const now = this.#parts.now();
      if (now - this.#forgotMs > HOLD_MS) this.#forget(now);
      if (this.#calls.size > MAX_CALLS) for (const oldest of this.#calls.keys()) return void this.#calls.delete(oldest);
    }
    const [, ...name] = (resource ?? '').split('/');
    for (const id of [name.join('/'), resourceId, session]) if (id) call.ids.add(id);
    for (const one of resources ?? []) for (const id of [one.name, one.id]) if (id) call.ids.add(id);
    if (stage === 'complete') call.untilMs = this.#parts.now() + GRACE_MS;
  }

  /** Calls that were over before any event that is held. */
  #forget(now: number): void {
    this.#forgotMs = now;
    for (const [id, { untilMs }] of this.#calls) if (untilMs < now - HOLD_MS) this.#calls.delete(id);
  }

  #judge(): void {
    this.#timer = undefined;
    const now = this.#parts.now();
    this.#forget(now);
    while (this.#held[0] !== undefined && this.#held[0].seenMs <= now - HOLD_MS) {
      const next = this.#held.shift();
      if (next !== undefined) this.#judgeOne(next.event);
    }
    if (this.#rows.sinceMs < now - MINUTE_MS) this.#tellCounted();
    if (this.#held.length > 0 || this.#counted.size > 0)
      this.#timer = setTimeout(() => this.#judge(), HOLD_MS / 3).unref();
  }

  #judgeOne(event: EngineEvent): void {
    const { type, action, id, attributes } = event;
    if (this.#isOwn(event)) return;
    const ended = this.#ended.get(id);
    // Of a container that was started to be removed at its end, or to be started again.
    const isByItself =
      ended !== undefined && !ended.isOutside && event.atMs >= ended.atMs && event.atMs - ended.atMs < BY_ITSELF_MS;
    if (isByItself && (action === 'destroy' || action === 'start')) return;
    const now = this.#parts.now();
    if (this.#rows.sinceMs < now - MINUTE_MS) this.#rows = { left: ROWS_PER_MINUTE, sinceMs: now };
    if (this.#rows.left === 0) {
      this.#count(event);
      return;
    }
    this.#rows.left--;
    this.#parts.recorder.append({
      at: now * 1000,
      stage: 'gateway',
      auditId: this.#parts.newAuditId(),
      action: `engine.${type}.${nameOf(action).replaceAll(/[_-]/g, '.')}`,
      tenant: this.#parts.tenantOf?.(type, id),
      resource: `${type}/${attributes.name ?? id}`,
      resourceId: type === 'volume' ? undefined : id,
      decision: 'allow',
      outcome: 'ok',
      detail: {
        outside: true,
        message: 'no call of the gateway did this',
        happened: new Date(event.atMs).toISOString(),
      },
    });
  }

  #isOwn({ type, id, attributes }: EngineEvent): boolean {
    for (const { ids, action } of this.#calls.values()) {
      if (ids.has(id) || (attributes.name !== undefined && ids.has(attributes.name)) || WIDE.test(action)) return true;
      // Volumes and networks of a container come and go with it, unnamed.
      if (type === 'volume' && action.startsWith('container.')) return true;
    }
    return false;
  }

  #remember({ id, atMs }: EngineEvent, isOutside: boolean): void {
    this.#ended.delete(id);
    this.#ended.set(id, { atMs, isOutside });
    if (this.#ended.size > MAX_ENDED) for (const oldest of this.#ended.keys()) return void this.#ended.delete(oldest);
  }

  #count({ type, action }: EngineEvent): void {
    const key = `${type} ${nameOf(action)}`;
    this.#counted.set(key, (this.#counted.get(key) ?? 0) + 1);
  }

  #tellCounted(): void {
    if (this.#counted.size === 0) return;
    const events = Object.fromEntries(this.#counted);
    this.#counted = new Map();
    this.#parts.recorder.append({
      at: this.#parts.now() * 1000,
      stage: 'gateway',
      auditId: this.#parts.newAuditId(),
      action: 'engine.events',
      decision: 'allow',
      detail: { outside: true, message: 'more happened outside the gateway than has rows of its own', events },
    });
  }
}

/** `exec_start: sh -c ...` quotes the command, which may hold a secret. */
const nameOf = (action: string): string => action.split(':', 1)[0] ?? '';
