// What a reviewer may ask the audit for: which rows, whose, and a page of them. Types alone; the store answers.
import type { AuditDecision, AuditOutcome, AuditResource, AuditRow } from './event.ts';

/** Conditions that all hold. Left out, everything matches. */
export interface AuditConditions {
  readonly subject?: string;
  readonly issuer?: string;
  readonly tenant?: string;
  readonly tokenId?: string;
  /** Exact action or `container.*`. */
  readonly action?: string;
  /** One of these actions. */
  readonly actions?: readonly string[];
  /** `read`, `write`, ... of the operation. */
  readonly class?: string;
  /** `container/web`, `web` of any kind, `container/*`, an id or the beginning of one. */
  readonly resource?: string;
  /** About one of these. */
  readonly resources?: readonly string[];
  readonly decision?: AuditDecision;
  readonly outcome?: AuditOutcome;
  /** The engine's own id, and the name of the gateway: calls that begin with either. */
  readonly engine?: string;
  readonly gateway?: string;
  readonly session?: string;
  readonly code?: string;
  /** `policy/rule`, or a policy for all of its rules. */
  readonly rule?: string;
  /** Address, or the beginning of one before a `*`. */
  readonly source?: string;
  /** Part of the User-Agent, upper and lower case alike. */
  readonly client?: string;
  /** Part of the resource, code, rule, client or detail, upper and lower case of ASCII alike. */
  readonly text?: string;
  /** Calls that a plugin of this name changed. */
  readonly plugin?: string;
  /** Calls whose body asks for a bind mount. */
  readonly binds?: boolean;
  /** Of the detail the message alone is searched: what a reader is not shown it must not find either. */
  readonly shownTextOnly?: boolean;
  /** Microseconds since the epoch, inclusive. */
  readonly since?: number;
  /** Microseconds since the epoch, inclusive. */
  readonly until?: number;
}

/**
 * Whose calls a reader may see: `all`; those of one tenant; or its own, of one token alone where the token is for less than its
 * identity may.
 */
export type AuditScope =
  | { readonly kind: 'all' }
  | { readonly kind: 'tenant'; readonly tenant: string }
  | {
      readonly kind: 'own';
      readonly subject: string;
      readonly issuer?: string | undefined;
      readonly tokenId?: string | undefined;
    };

/** Everything of a call in one: of its rows the newest stands for it, and takes what it lacks from the earlier ones. */
export interface AuditCall extends AuditRow {
  /** Shortest beginning of the audit id that names no other call of the log. */
  readonly shortId?: string;
  /** Name of the main object, where it was asked for by id. For those who may see all. */
  readonly knownAs?: string;
}

export interface PageQuestion {
  readonly conditions: AuditConditions;
  readonly scope: AuditScope;
  /** Only rows with a lower number than this: where the page before ended. */
  readonly before?: number | undefined;
  readonly limit: number;
  /** One entry for each call rather than for each row. */
  readonly calls: boolean;
  /** Takes calls that name the object by the ids it had for calls about it. */
  readonly follow?: boolean;
}

export interface AuditPage {
  readonly entries: readonly AuditCall[];
  /** Where to go on, when there may be more. A page may be short, even empty, and have more behind it. */
  readonly next?: number | undefined;
}

/** What a scope adds to the conditions; undefined when both cannot hold. */
export function withinScope(conditions: AuditConditions, scope: AuditScope): AuditConditions | undefined {
  if (scope.kind === 'all') return conditions;
  const { kind: _kind, ...bounds } = scope;
  const joined: Record<string, unknown> = { ...conditions, shownTextOnly: true };
  for (const [key, bound] of Object.entries(bounds)) {
    if (bound === undefined) continue;
    if (joined[key] !== undefined && joined[key] !== bound) return undefined;
    joined[key] = bound;
  }
  return joined as AuditConditions;
}

/** Codes of answers that refuse nothing: the object is not there, or another one is. Rows of earlier releases, which have no
 * outcome, say `deny`. */
export const NO_DENIAL: readonly string[] = ['object-not-found', 'not-found', 'conflict'];

/**
 * Rows of one call made into one.
 * @param rows of one audit id, oldest first, at least one
 */
export function foldRows(rows: readonly AuditRow[]): AuditRow {
  let call = {} as AuditRow;
  for (const row of rows) {
    const given = Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined && value !== null));
    const detail = row.detail === undefined ? call.detail : { ...call.detail, ...row.detail };
    const resources = [...(call.resources ?? []), ...(row.resources ?? [])];
    call = {
      ...call,
      ...given,
      ...(detail === undefined ? {} : { detail }),
      ...(resources.length === 0 ? {} : { resources: once(resources) }),
    };
  }
  return call;
}

/** Each object once, where it was named first, with the id that was told later. */
function once(resources: readonly AuditResource[]): readonly AuditResource[] {
  const known = new Map<string, AuditResource>();
  for (const one of resources) {
    const key = `${one.kind}/${one.name}`;
    const before = known.get(key);
    known.set(key, before === undefined ? one : { ...one, ...before, ...(one.id === undefined ? {} : { id: one.id }) });
  }
  return [...known.values()];
}
