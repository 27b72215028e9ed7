// The actions a policy may name, taken from the table of operations, and the patterns that stand for several of them.
import { OPERATIONS } from '../engine/operations.ts';
import type { OperationClass, Risk } from '../engine/types.ts';
import { didYouMean } from './suggest.ts';

export interface ActionFacts {
  readonly class: OperationClass;
  readonly risks: ReadonlySet<Risk>;
  /** The call carries a stream that passes through unread. */
  readonly opaque: boolean;
}

const CLASSES: readonly OperationClass[] = ['read', 'write', 'admin'];

/**
 * Lets BuildKit's own protocol through unread. Only an allow rule or a scope that names it in full grants it: no pattern, no
 * class and no preset does, for a caller who may use it can build with host access, read other callers' caches and push anywhere.
 */
export const BUILD_OPAQUE = 'build.opaque';

/** Builds: with the classic builder, and with BuildKit as far as it is read and judged. */
export const BUILD_RUN = 'build.run';

/**
 * The two doors of that protocol. They open to callers who may build, and what comes through is read and judged; to callers with
 * `build.opaque` they open unread. They close to any deny rule that speaks of them or of `build.opaque`.
 */
const BUILDKIT_DOORS: readonly string[] = ['build.session', 'build.control'];

/** Whether what the call carries passes by unread once it is allowed. */
export const isBuildKitDoor = (action: string): boolean => BUILDKIT_DOORS.includes(action);

/** Every served action. Those that are never sent on (debug, podman, removed routes) are not among them. */
export const ACTIONS: ReadonlyMap<string, ActionFacts> = factsOfOperations();

function factsOfOperations(): Map<string, ActionFacts> {
  const facts = new Map<string, ActionFacts>();
  for (const operation of OPERATIONS) {
    if (!operation.served) continue;
    const before = facts.get(operation.action);
    facts.set(operation.action, {
      // Several routes may share an action: the graver class and all their risks count.
      class: graver(before?.class, operation.class),
      risks: new Set([...(before?.risks ?? []), ...operation.risk]),
      opaque: (before?.opaque ?? false) || operation.body === 'tar' || operation.stream === 'h2c',
    });
  }
  // The one action that is told from another by its query: it loads a file system or lets the engine fetch any URL.
  facts.set('image.import', { class: 'write', risks: new Set(['egress', 'escalates']), opaque: true });
  // No operation of its own: what the two doors of BuildKit open to.
  facts.set(BUILD_OPAQUE, { class: 'admin', risks: new Set(['egress', 'escalates']), opaque: true });
  return facts;
}

function graver(a: OperationClass | undefined, b: OperationClass): OperationClass {
  return a !== undefined && CLASSES.indexOf(a) > CLASSES.indexOf(b) ? a : b;
}

/** Actions that are known but never served, so that a policy naming one hears why. */
const UNSERVED: ReadonlySet<string> = new Set(OPERATIONS.map((o) => o.action).filter((a) => !ACTIONS.has(a)));

/**
 * The actions a pattern stands for: exact, with `*` for any run of characters, or `class:read`, `class:write`, `class:admin`.
 * A pattern that stands for nothing gives an empty list. `build.opaque` is in no pattern but its own name.
 */
export const expandAction = (pattern: string): readonly string[] =>
  matchActions(pattern).filter((action) => action !== BUILD_OPAQUE || pattern === BUILD_OPAQUE);

function matchActions(pattern: string): readonly string[] {
  if (pattern.startsWith('class:')) {
    const name = pattern.slice('class:'.length);
    return [...ACTIONS].filter(([, facts]) => facts.class === name).map(([action]) => action);
  }
  if (!pattern.includes('*')) return ACTIONS.has(pattern) ? [pattern] : [];
  const expression = new RegExp(`^${pattern.split('*').map(escapeExpression).join('.*')}$`);
  return [...ACTIONS.keys()].filter((action) => expression.test(action));
}

/** The actions a rule speaks of. A deny means all its patterns could mean; an allow no more than they say. */
export function actionsOf({
  effect,
  actions,
}: {
  readonly effect: 'allow' | 'deny';
  readonly actions: readonly string[];
}): ReadonlySet<string> {
  const found = new Set(actions.flatMap((pattern) => (effect === 'deny' ? matchActions : expandAction)(pattern)));
  const opens = found.has(BUILD_OPAQUE) || (effect === 'allow' && found.has(BUILD_RUN));
  if (opens) for (const door of BUILDKIT_DOORS) found.add(door);
  else if (effect === 'allow') for (const door of BUILDKIT_DOORS) found.delete(door);
  return found;
}

const escapeExpression = (text: string): string => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&');

/** The fault of an action pattern and its remedy; undefined when it has none. */
export function faultOfAction(pattern: string): string | undefined {
  if (pattern.startsWith('class:')) {
    return CLASSES.some((name) => pattern === `class:${name}`)
      ? undefined
      : `${JSON.stringify(pattern)} is no class; write class:read, class:write or class:admin`;
  }
  if (pattern.length > 64 || !/^[a-z.*]+$/.test(pattern)) {
    return `${JSON.stringify(pattern.slice(0, 64))} is no action; write one such as container.create, container.* or class:read${didYouMean(pattern, ACTIONS.keys())}`;
  }
  if (expandAction(pattern).length > 0) return undefined;
  const root = pattern.replaceAll('*', '').replace(/\.$/, '');
  if (UNSERVED.has(pattern) || [...UNSERVED].some((action) => action === root || action.startsWith(`${root}.`))) {
    return `${pattern} is never served, so no rule needs to name it; remove it`;
  }
  return `unknown action ${pattern}${didYouMean(pattern, ACTIONS.keys())}`;
}

/** Whether a token's scope covers an action. Scope entries that are no patterns cover nothing. */
export function scopeCovers(scope: readonly string[], action: string): boolean {
  if (isBuildKitDoor(action)) return scope.includes(BUILD_OPAQUE) || scopeCovers(scope, BUILD_RUN);
  for (const entry of scope) {
    if (entry === action) return true;
    if ((entry.includes('*') || entry.startsWith('class:')) && expansionOf(entry).has(action)) return true;
  }
  return false;
}

/** Most scope patterns remembered; they come from tokens, so there must be an end. */
const MAX_EXPANSIONS = 512;
const expansions = new Map<string, ReadonlySet<string>>();

function expansionOf(pattern: string): ReadonlySet<string> {
  let known = expansions.get(pattern);
  if (known === undefined) {
    known = new Set(faultOfAction(pattern) === undefined ? expandAction(pattern) : []);
    if (expansions.size >= MAX_EXPANSIONS) expansions.clear();
    expansions.set(pattern, known);
  }
  return known;
}
