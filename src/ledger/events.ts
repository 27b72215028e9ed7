// Which lines of the engine's event stream a tenant sees: those of objects that are or were its own when they happened, labels
// or no labels, and also after the object is gone.
import { numberIn } from '../engine/exact-json.ts';
import { AUDIT_LABEL } from './labels.ts';
import { canonicalOf, type Fields, PREDEFINED_NETWORKS, type View } from './views.ts';

export interface EngineEvent {
  readonly type: string;
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** Reads one line of `GET /events`; undefined for other lines. */
export function readEvent(value: unknown): EngineEvent | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { Type, Action, Actor, timeNano, time } = value as Fields;
  if (typeof Type !== 'string' || typeof Action !== 'string') return undefined;
  const actor = (typeof Actor === 'object' && Actor !== null ? Actor : {}) as Fields;
  const attributes: Record<string, string> = {};
  for (const [key, inner] of Object.entries((actor.Attributes ?? {}) as Fields)) {
    if (typeof inner === 'string') attributes[key] = inner;
  }
  // Nanoseconds lose digits as a number; milliseconds stay exact enough.
  const nanos = numberIn(timeNano);
  const atMs = nanos === undefined ? (numberIn(time) ?? 0) * 1000 : nanos / 1e6;
  return { type: Type, action: Action, id: typeof actor.ID === 'string' ? actor.ID : '', attributes, atMs };
}

/** Whether the tenant may see an event. */
export function seesEvent(view: View, value: unknown): boolean {
  const event = readEvent(value);
  if (event === undefined) return false;
  const { tenant, ledger } = view;
  const was = (
    kind: 'container' | 'volume' | 'network' | 'image' | 'service' | 'secret' | 'config',
    id: string,
  ): boolean => ledger.wasOwned(tenant, kind, id, event.atMs);
  switch (event.type) {
    case 'container':
      return was('container', event.id) || isMaking(view, event.attributes[AUDIT_LABEL]);
    case 'network': {
      if (was('network', event.id)) return true;
      const { name, container } = event.attributes;
      if (name !== undefined && PREDEFINED_NETWORKS.has(name))
        return container !== undefined && was('container', container);
      return isBeingMade(view, event);
    }
    case 'volume':
      return was('volume', event.id);
    case 'image':
      return imageNamesOf(event).every((name) => was('image', name));
    case 'service':
    case 'secret':
    case 'config':
      return was(event.type, event.id) || isBeingMade(view, event);
    default:
      return false;
  }
}

const IMAGE_ID = /^(?:sha256:)?[0-9a-f]{64}$/;

/**
 * What an event of an image names, each of which must be the tenant's: others give an image it has names of their own. A pull and a
 * push tell the reference, and beside it the repository alone; all others the id, and beside it a reference or the id once more.
 */
function imageNamesOf({ id, attributes: { name = '' } }: EngineEvent): readonly string[] {
  if (!IMAGE_ID.test(id)) return [canonicalOf(id) ?? id];
  return name === '' || IMAGE_ID.test(name) ? [id] : [canonicalOf(name) ?? name];
}

/** The engine tells of a new object before it answers the call that made it. */
function isBeingMade({ tenant, ledger }: View, { type, action, attributes }: EngineEvent): boolean {
  if (action !== 'create' || attributes.name === undefined) return false;
  const made = ledger.named(type as 'network' | 'service' | 'secret' | 'config', attributes.name);
  return made.some(({ state }) => state === 'pending') && made.every((entry) => entry.tenant === tenant);
}

/** Whether a call of the tenant's is under way that makes the object with this audit id. */
function isMaking({ tenant, ledger }: View, auditId: string | undefined): boolean {
  if (auditId === undefined) return false;
  const entry = ledger.byKey(`${auditId}/0`);
  return entry?.tenant === tenant && entry.kind === 'container';
}
