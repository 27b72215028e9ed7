// Judges one rule against one call: does it match, and if not, what stood in the way. Pure and synchronous.
import { withoutSecrets } from '../engine/mask.ts';
import type { EngineCall, ResourceKind, ResourceRef } from '../engine/types.ts';
import type { ErrorCode } from '../errors.ts';
import type { ReadyRule } from './compile.ts';
import type { HostCheck, HostViolation } from './host/index.ts';
import { coversPossibly, coversSurely } from './match.ts';
import type { DecisionInput } from './types.ts';
import { refusedUnjudged } from './unjudged.ts';

/** Where a rule was left, in the order it is judged: a later stage is a nearer miss. */
export const STAGES = ['time', 'source', 'resources', 'labels', 'host', 'when'] as const;
export type Stage = (typeof STAGES)[number];

export interface Miss {
  readonly kind: 'miss';
  readonly stage: Stage;
  readonly code: ErrorCode;
  /** Field of the request that stood in the way. */
  readonly field?: string;
  /** One sentence for the caller. */
  readonly message: string;
  /** The change that would make the rule match, for an operator who may make it. */
  readonly change: string;
  /** Further sentences, where several fields stand in the way. */
  readonly more?: readonly { readonly field: string; readonly message: string }[];
  /** Of the host block's violations, those of what it lists and narrows: a folder that may be mounted, but read-only. */
  readonly near?: number;
}
export interface Match {
  readonly kind: 'match';
  /** For a deny rule: the object it matched on. */
  readonly on?: ResourceRef;
}
export interface Failure {
  readonly kind: 'error';
  readonly field?: string;
  readonly message: string;
}
export type Verdict = Match | Miss | Failure;

/** What the host checks said of the call at hand, kept while several rules with the same check are judged. */
export type HostResults = Map<HostCheck, readonly HostViolation[]>;

const MATCH: Match = Object.freeze({ kind: 'match' });

/**
 * The verdict of a rule that speaks of the call's action. An exception in a check is an error verdict.
 *
 * @param hosts kept by the caller for one call and one principal
 */
export function judgeRule(rule: ReadyRule, input: DecisionInput, hosts?: HostResults): Verdict {
  if (rule.error !== undefined) return { kind: 'error', message: rule.error };
  const early = outOfReach(rule, input);
  if (early !== undefined) return early;
  try {
    return rule.effect === 'allow' ? judgeAllow(rule, input, hosts) : judgeDeny(rule, input);
  } catch (error) {
    return {
      kind: 'error',
      message: `it cannot be judged: ${error instanceof Error ? firstLine(error.message) : 'unknown fault'}`,
    };
  }
}

/** What keeps a rule from speaking of any call now: its time or its sources. */
export const outOfReach = (rule: ReadyRule, input: Pick<DecisionInput, 'at' | 'source'>): Miss | undefined =>
  outOfTime(rule, input.at) ?? outOfSource(rule, input.source);

function judgeAllow(rule: ReadyRule, input: DecisionInput, hosts: HostResults | undefined): Verdict {
  const { call } = input;
  const { resources } = call;
  if (rule.resources !== undefined) {
    for (const ref of resources) {
      let covered = false;
      for (const pattern of rule.resources) {
        if (coversSurely(pattern, ref)) {
          covered = true;
          break;
        }
      }
      if (!covered) return missOfResource(rule, ref);
    }
  }
  if (rule.labels !== undefined) {
    if (resources.length === 0) return missOfLabels(rule, undefined, call);
    for (const ref of resources) if (!hasLabels(ref, rule.labels)) return missOfLabels(rule, ref, call);
  }
  if (call.build !== undefined) {
    const [first, ...rest] = rule.build?.(call.build) ?? [];
    if (first !== undefined) {
      return {
        kind: 'miss',
        stage: 'host',
        code: 'build-denied',
        field: first.field,
        message: first.message,
        change: `change ${first.field} as said, or let the rule's build: block allow it`,
        ...(rest.length === 0 ? {} : { more: rest }),
      };
    }
  } else if (rule.host !== undefined) {
    const unjudged = refusedUnjudged(rule, call.action);
    if (unjudged !== undefined) {
      return { kind: 'miss', stage: 'host', code: 'operation-not-allowed', ...unjudged };
    }
    let violations = hosts?.get(rule.host);
    if (violations === undefined) {
      violations = rule.host(call, input.principal, input.site);
      hosts?.set(rule.host, violations);
    }
    const miss = missOfHost(violations);
    if (miss !== undefined) return miss;
  }
  return judgeConditions(rule, input) ?? MATCH;
}

/** The miss of a rule whose host block refuses the call. */
export function missOfHost(violations: readonly HostViolation[]): Miss | undefined {
  const [first, ...rest] = violations;
  if (first === undefined) return undefined;
  return {
    kind: 'miss',
    stage: 'host',
    code: 'host-field-denied',
    field: first.field,
    message: first.message,
    change: `change ${first.field} as said, or let the rule's host override allow it`,
    near: violations.filter(({ near }) => near === true).length,
    ...(rest.length === 0 ? {} : { more: rest }),
  };
}

function judgeDeny(rule: ReadyRule, input: DecisionInput): Verdict {
  const { call } = input;
  let on: ResourceRef | undefined;
  if (rule.resources !== undefined || rule.labels !== undefined) {
    const isRead = call.operation.class === 'read';
    on = call.resources.find(
      (ref) =>
        (rule.resources === undefined || rule.resources.some((pattern) => coversPossibly(pattern, ref, isRead))) &&
        (rule.labels === undefined || mayHaveLabels(ref, rule.labels, isRead)),
    );
    if (on === undefined) {
      const stage = rule.resources === undefined ? 'labels' : 'resources';
      return {
        kind: 'miss',
        stage,
        code: 'denied-by-policy',
        message: 'no object of the call is meant by it',
        change: '',
      };
    }
  }
  const unmet = judgeConditions(rule, input);
  if (unmet !== undefined) return unmet;
  return on === undefined ? MATCH : { kind: 'match', on };
}

function judgeConditions(rule: ReadyRule, input: DecisionInput): Verdict | undefined {
  if (rule.when === undefined) return undefined;
  for (const [i, condition] of rule.when.entries()) {
    let holds: boolean;
    try {
      holds = condition.holds(input);
    } catch (error) {
      const why = error instanceof Error ? firstLine(error.message) : 'unknown fault';
      return {
        kind: 'error',
        field: `when[${i}]`,
        message: `its condition ${condition.text} cannot be evaluated: ${why}`,
      };
    }
    if (!holds) {
      return {
        kind: 'miss',
        stage: 'when',
        code: 'operation-not-allowed',
        field: `when[${i}]`,
        message: `the condition ${condition.text} does not hold`,
        change: `make the condition ${condition.text} hold`,
      };
    }
  }
  return undefined;
}

function outOfTime(rule: ReadyRule, at: number): Miss | undefined {
  const { notBefore, notAfter, hours } = rule.rule;
  const miss = (message: string, change: string): Miss => ({
    kind: 'miss',
    stage: 'time',
    code: 'operation-not-allowed',
    message,
    change,
  });
  if (notBefore !== undefined && at < notBefore) {
    const begin = new Date(notBefore).toISOString();
    return miss(`rule ${rule.name} holds from ${begin} on`, `wait until ${begin}`);
  }
  if (notAfter !== undefined && at >= notAfter) {
    const end = new Date(notAfter).toISOString();
    return miss(`rule ${rule.name} ended at ${end}`, `set notAfter to a later moment than ${end}`);
  }
  if (hours !== undefined && rule.hours?.(at) !== true) {
    const days = hours.days.length === 0 ? 'every day' : hours.days.join(', ');
    const window = `${clock(hours.from)} to ${clock(hours.to)} ${hours.zone}, ${days}`;
    return miss(`rule ${rule.name} holds from ${window}`, `call between ${window}`);
  }
  return undefined;
}

const clock = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;

function outOfSource(rule: ReadyRule, source: string): Miss | undefined {
  if (rule.source === undefined) return undefined;
  const verdict = rule.source(source);
  // An unreadable address is inside what is denied and outside what is allowed.
  if (verdict === 'inside' || (verdict === 'unknown' && rule.effect === 'deny')) return undefined;
  const wanted = (rule.rule.source ?? []).join(', ');
  return {
    kind: 'miss',
    stage: 'source',
    code: 'operation-not-allowed',
    field: 'source',
    message: `rule ${rule.name} holds for callers from ${wanted}, not from ${quote(source)}`,
    change: `call from ${wanted}`,
  };
}

function hasLabels(ref: ResourceRef, wanted: readonly (readonly [string, string])[]): boolean {
  const { labels } = ref;
  if (labels === undefined) return false;
  for (const [key, value] of wanted) if (!Object.hasOwn(labels, key) || labels[key] !== value) return false;
  return true;
}

/** For a deny: an object whose labels are not known may have them. Lists read no single object; a new object has none. */
function mayHaveLabels(ref: ResourceRef, wanted: readonly (readonly [string, string])[], isRead: boolean): boolean {
  if (ref.labels !== undefined) return hasLabels(ref, wanted);
  if (ref.role === 'creates') return false;
  return ref.name !== '' || !isRead;
}

/** Kind and name as the caller knows them; the real name of an object asked for by its id is not told. */
export const describeRef = (ref: ResourceRef): string =>
  ref.name === '' ? `all ${plural(ref.kind)}` : `${ref.kind} ${quote(ref.name)}`;

const plural = (kind: ResourceKind): string => (kind === 'distribution' || kind === 'swarm' ? kind : `${kind}s`);

function missOfResource(rule: ReadyRule, ref: ResourceRef): Miss {
  const kind = ref.kind === 'exec' ? 'container' : ref.kind;
  const meant = (rule.resources ?? []).filter((p) => p.kind === kind || p.kind === '*').map((p) => p.text);
  const allowed = meant.length === 0 ? `no ${kind}` : meant.slice(0, 8).join(', ');
  const isUnnamed = ref.name === '' && ref.role === 'creates';
  return {
    kind: 'miss',
    stage: 'resources',
    code: 'operation-not-allowed',
    field: ref.at === '' ? 'path' : ref.at,
    message: isUnnamed
      ? `the new ${kind} has no name (allowed: ${allowed})`
      : `${ref.at === '' ? '' : `${ref.at} names `}${describeRef(ref)} (allowed: ${allowed})`,
    change: isUnnamed
      ? `name it as one of ${allowed}`
      : `add ${kind}/${ref.name === '' ? '*' : ref.name} to the rule's resources`,
  };
}

function missOfLabels(rule: ReadyRule, ref: ResourceRef | undefined, call: EngineCall): Miss {
  const wanted = (rule.labels ?? []).map(([key, value]) => `${key}=${value}`).join(', ');
  const change = `an object with the labels ${wanted}`;
  // What does not carry the caller's labels answers as if it were not there, whether it is or not.
  if (ref !== undefined && ref.name !== '' && ref.role !== 'creates') {
    return { kind: 'miss', stage: 'labels', code: 'object-not-found', field: ref.at, message: notFound(ref), change };
  }
  return {
    kind: 'miss',
    stage: 'labels',
    code: 'operation-not-allowed',
    ...(ref === undefined || ref.at === '' ? {} : { field: ref.at }),
    message:
      ref?.role === 'creates'
        ? `rule ${rule.name} is for existing objects that carry its labels, not for ${call.action}`
        : `rule ${rule.name} is for single objects that carry its labels, and ${call.action} touches ${ref === undefined ? 'none' : describeRef(ref)}`,
    change,
  };
}

/** The engine's own words for an object that is not there. */
function notFound(ref: ResourceRef): string {
  const { kind, name } = ref;
  switch (kind) {
    case 'container':
      return `No such container: ${name}`;
    case 'exec':
      return `No such exec instance: ${name}`;
    case 'image':
      return `No such image: ${name.replace(/^docker\.io\/(library\/)?/, '')}`;
    case 'volume':
      return `get ${name}: no such volume`;
    default:
      return `${kind} ${name} not found`;
  }
}

/** A value in a message: quoted, and no longer than helps. */
export function quote(given: string): string {
  const text = withoutSecrets(given);
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 117)}...` : text);
}

const firstLine = (text: string): string => (text.split('\n')[0] ?? '').replace(/\.$/, '').slice(0, 200);
