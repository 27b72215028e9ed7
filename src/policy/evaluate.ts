// The decision (PDP): pure, synchronous, without a clock. Deny is the resting state, any deny beats every allow, a rule that
// cannot be judged denies, and a token's ceiling stands over all of it.
import { GatewayError } from '../errors.ts';
import { BUILD_OPAQUE, isBuildKitDoor } from './actions.ts';
import { type BuildGrant, bothGrants } from './build/index.ts';
import { isBuildKitBuild, openDoor, refusedBuildKit } from './buildkit.ts';
import type { ActionRules, PrincipalPolicies, ReadyRule } from './compile.ts';
import { describeRef, type HostResults, judgeRule, type Miss, missOfHost, STAGES } from './judge-rule.ts';
import {
  AUDIT_LEVELS,
  type AuditLevel,
  type Decision,
  type DecisionInput,
  type Obligations,
  RECORD_LEVELS,
  type Reason,
  type RecordLevel,
} from './types.ts';

const NO_OBLIGATIONS: Obligations = Object.freeze({});
/** Most reasons given for one denial. */
const MAX_REASONS = 8;
const AT_RESOURCES = STAGES.indexOf('resources');

/**
 * Decides one call. Objects that `policies.needsResolution` names must have been resolved before.
 * The first reason is the one to show; an allow names its rule.
 */
export function decide(policies: PrincipalPolicies, input: DecisionInput): Decision {
  const { call } = input;
  if (policies.missing.length > 0) {
    return denial(policies, [{ code: 'rule-error', message: `denied: ${policies.missing[0]}` }]);
  }
  const unread = refusedBuildKit(policies, input);
  if (unread !== undefined) return denial(policies, [unread]);
  const exceeded = policies.ceiling?.exceededBy(input);
  if (exceeded !== undefined) return denial(policies, [exceeded]);
  if (!call.operation.served) {
    return denial(policies, [{ code: 'operation-not-allowed', message: `denied: ${call.action} is never served` }]);
  }
  const rules = rulesOf(policies, call);
  const { denies, denyIndex, allows, allowIndex, broken } = rules;
  if (broken !== undefined) return failure(policies, broken, broken.error as string, undefined);
  for (const rule of denyIndex?.denying(call) ?? denies) {
    const verdict = judgeRule(rule, input);
    if (verdict.kind === 'error') return failure(policies, rule, verdict.message, verdict.field);
    if (verdict.kind === 'match') {
      const what = verdict.on === undefined ? '' : ` on ${describeRef(verdict.on)}`;
      const message = `denied by policy ${rule.policy}: rule ${rule.name} denies ${call.action}${what}`;
      const field = verdict.on?.at;
      const reason = { code: 'denied-by-policy', policy: rule.policy, rule: rule.name, message } as const;
      return denial(policies, [field === undefined || field === '' ? reason : { ...reason, field }], rule.id);
    }
  }
  if (isBuildKitDoor(call.action)) return decideDoor(policies, input);
  if (allowIndex !== undefined) {
    const able = allowIndex.allowing(call);
    const decided = decideAllows(policies, input, able, rules.judgeAll);
    // Rules left out can only miss. A denial tells the nearest of all.
    return Array.isArray(decided) ? noAllow(policies, input, nearestMisses(allows, able, input)) : decided;
  }
  const decided = decideAllows(policies, input, allows, rules.judgeAll);
  return Array.isArray(decided) ? noAllow(policies, input, decided) : decided;
}

/**
 * Of many rules that all miss, those that `noAllow` can tell of. A rule that the index left out was left at its resources at
 * the latest: behind as many that are as near, in their order, it is never told.
 */
function nearestMisses(allows: readonly ReadyRule[], able: readonly ReadyRule[], input: DecisionInput): RuleMiss[] {
  const isAble = new Set(able);
  const hosts: HostResults = new Map();
  const misses: RuleMiss[] = [];
  let asNear = 0;
  for (const rule of allows) {
    if (asNear >= MAX_REASONS && !isAble.has(rule)) continue;
    const miss = judgeRule(rule, input, hosts);
    if (miss.kind !== 'miss') throw new GatewayError('internal', `the rule ${rule.id} was left out of its index`);
    misses.push({ rule, miss });
    const stage = STAGES.indexOf(miss.stage);
    if (stage > AT_RESOURCES || (stage === AT_RESOURCES && !rule.builtIn)) asNear++;
  }
  return misses;
}

type RuleMiss = { readonly rule: ReadyRule; readonly miss: Miss };

/** What allow rules say together, or what stood in the way of each. */
function decideAllows(
  policies: PrincipalPolicies,
  input: DecisionInput,
  allows: readonly ReadyRule[],
  judgeAll: boolean,
): Decision | RuleMiss[] {
  const { call } = input;
  let allowed: ReadyRule | undefined;
  let grant: BuildGrant | undefined;
  let labels: Record<string, string> | undefined;
  let redact: readonly string[] | undefined;
  let leaseMs: number | undefined;
  let audit: AuditLevel | undefined;
  let record: RecordLevel | undefined;
  let misses: RuleMiss[] | undefined;
  const hosts: HostResults | undefined = allows.length > 1 ? new Map() : undefined;
  for (const rule of allows) {
    const verdict = judgeRule(rule, input, hosts);
    if (verdict.kind === 'error') return failure(policies, rule, verdict.message, verdict.field);
    if (verdict.kind === 'miss') {
      misses ??= [];
      misses.push({ rule, miss: verdict });
      continue;
    }
    allowed ??= rule;
    if (call.build !== undefined && rule.build !== undefined) {
      // What each rule lets be fetched adds up, so all of them are asked.
      grant = grant === undefined ? rule.build.grant : bothGrants(grant, rule.build.grant);
    } else if (!judgeAll) break;
    if (rule.leaseMs !== undefined) {
      if (input.principal.tenant === undefined) {
        return failure(
          policies,
          rule,
          'it gives a lease, and only what a tenant makes is followed: give the identity a tenant',
          undefined,
        );
      }
      leaseMs = Math.min(rule.leaseMs, leaseMs ?? rule.leaseMs);
    }
    audit = fullest(AUDIT_LEVELS, audit, rule.rule.audit);
    record = fullest(RECORD_LEVELS, record, rule.rule.record);
    if (rule.redact !== undefined) redact = redact === undefined ? rule.redact : merged(redact, rule.redact);
    for (const key in rule.set) {
      const value = rule.set[key] as string;
      labels ??= Object.create(null) as Record<string, string>;
      if (key in labels && labels[key] !== value) {
        return failure(policies, rule, `another rule that matches sets the label ${key} to another value`, 'Labels');
      }
      labels[key] = value;
    }
  }
  if (allowed === undefined) return misses ?? [];
  return {
    effect: 'allow',
    reasons: [allowReason(allowed)],
    policyIds: [allowed.policy],
    rule: allowed.id,
    obligations: withGrant(
      obligationsOf({ labels, redact, leaseMs, audit, record }, ownCgroupsOf(allowed, call)),
      policies,
      input,
      grant,
    ),
  };
}

function withGrant(
  obligations: Obligations,
  policies: PrincipalPolicies,
  input: DecisionInput,
  grant: BuildGrant | undefined,
): Obligations {
  if (grant === undefined) return obligations;
  return { ...obligations, build: policies.ceiling?.narrowed(grant, input) ?? grant };
}

/** A door of BuildKit: each request that comes through is judged by itself, unless a rule opens the door unread. */
function decideDoor(policies: PrincipalPolicies, input: DecisionInput): Decision {
  const door = openDoor(policies, input);
  if ('code' in door) return denial(policies, [door], undefined);
  const { rule, isUnread } = door;
  return {
    effect: 'allow',
    reasons: [allowReason(rule)],
    policyIds: [rule.policy],
    rule: rule.id,
    isUnread,
    obligations: NO_OBLIGATIONS,
  };
}

/** A build by BuildKit is allowed by the rules that open BuildKit, to callers who may build; a rule that denies either denies it. */
function rulesOf(policies: PrincipalPolicies, call: DecisionInput['call']): ActionRules {
  const own = policies.rulesFor(call.action);
  if (!isBuildKitBuild(call) || own.allows.length === 0) return own;
  const opaque = policies.rulesFor(BUILD_OPAQUE);
  const denies = [...own.denies, ...opaque.denies];
  return { ...opaque, denies, denyIndex: undefined, broken: own.broken ?? opaque.broken };
}

const merged = (some: readonly string[], more: readonly string[]): readonly string[] => [
  ...new Set([...some, ...more]),
];

const fullest = <L extends string>(levels: readonly L[], one: L | undefined, other: L | undefined): L | undefined =>
  one === undefined || other === undefined
    ? (one ?? other)
    : levels.indexOf(one) >= levels.indexOf(other)
      ? one
      : other;

interface Asked {
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly redact: readonly string[] | undefined;
  readonly leaseMs: number | undefined;
  readonly audit: AuditLevel | undefined;
  readonly record: RecordLevel | undefined;
}

function obligationsOf({ labels, redact, leaseMs, audit, record }: Asked, ownCgroups: boolean): Obligations {
  if ([labels, redact, leaseMs, audit, record].every((part) => part === undefined)) {
    return ownCgroups ? OWN_CGROUPS : NO_OBLIGATIONS;
  }
  return {
    ...(ownCgroups ? OWN_CGROUPS : {}),
    ...(labels === undefined ? {} : { labels: Object.freeze(labels) }),
    ...(redact === undefined ? {} : { redact }),
    ...(leaseMs === undefined ? {} : { leaseMs }),
    ...(audit === undefined ? {} : { audit }),
    ...(record === undefined ? {} : { record }),
  };
}

const OWN_CGROUPS: Obligations = Object.freeze({ ownCgroups: true });

/** Under every preset that judges the host a container that names no cgroup name space gets its own. */
const ownCgroupsOf = (rule: ReadyRule, call: DecisionInput['call']): boolean =>
  call.action === 'container.create' && rule.host !== undefined && rule.rule.host?.preset !== 'privileged';

const allowReasons = new WeakMap<ReadyRule, Reason>();

/** The same rule gives the same reason each time. */
function allowReason(rule: ReadyRule): Reason {
  let known = allowReasons.get(rule);
  if (known === undefined) {
    const message = `allowed by policy ${rule.policy}: rule ${rule.name}`;
    known = Object.freeze({ code: 'operation-not-allowed', policy: rule.policy, rule: rule.name, message });
    allowReasons.set(rule, known);
  }
  return known;
}

function denial(policies: PrincipalPolicies, reasons: readonly Reason[], rule?: string): Decision {
  const named = [...new Set(reasons.flatMap(({ policy }) => (policy === undefined ? [] : [policy])))];
  return {
    effect: 'deny',
    reasons,
    policyIds: named.length > 0 ? named : policies.names,
    ...(rule === undefined ? {} : { rule }),
    obligations: NO_OBLIGATIONS,
  };
}

function failure(policies: PrincipalPolicies, rule: ReadyRule, why: string, field: string | undefined): Decision {
  const message = `denied by policy ${rule.policy}: rule ${rule.name} could not be judged, ${why}`;
  const reason = { code: 'rule-error', policy: rule.policy, rule: rule.name, message } as const;
  return denial(policies, [field === undefined ? reason : { ...reason, field }], rule.id);
}

/** A reader of the denial can look up a rule of the operator's; the rules of a built-in policy tell nothing. */
const nameOf = (rule: ReadyRule): string => (rule.builtIn ? rule.policy : `${rule.policy}, rule ${rule.name}`);

/**
 * The later the stage at which a rule failed, the nearer the rule. Of two that failed at the host block, the one with fewer fields in
 * the way comes first, then the one that allows the value in another way, then an operator's rule before one of the program's own.
 */
function byNearness(
  { rule: a, miss: left }: { readonly rule: ReadyRule; readonly miss: Miss },
  { rule: b, miss: right }: { readonly rule: ReadyRule; readonly miss: Miss },
): number {
  return (
    STAGES.indexOf(right.stage) - STAGES.indexOf(left.stage) ||
    (left.more?.length ?? 0) - (right.more?.length ?? 0) ||
    (right.near ?? 0) - (left.near ?? 0) ||
    Number(a.builtIn) - Number(b.builtIn)
  );
}

/**
 * The denial of a builder container of BuildKit's by its name, told before it is looked up: buildx hides what it hears of the
 * protocol, and pulls an image for a container that is not there.
 */
export function deniedBuilder(policies: PrincipalPolicies, input: DecisionInput): Decision | undefined {
  const reason = refusedBuildKit(policies, input);
  return reason === undefined ? undefined : denial(policies, [reason]);
}

/**
 * The denial of a call whose host fields no rule lets pass, regardless of the objects it names: told before they are
 * looked up, so that a missing image hides no denial. Undefined where that cannot be said yet.
 */
export function deniedByHost(policies: PrincipalPolicies, input: DecisionInput): Decision | undefined {
  const { denies, allows } = rulesOf(policies, input.call);
  if (policies.missing.length > 0 || allows.length === 0 || [...denies, ...allows].some((rule) => rule.error)) return;
  // How a container would be made again is known only once it was looked at.
  if (policies.needsRemake(input.call).some(({ remake }) => remake === undefined)) return;
  const misses: { rule: ReadyRule; miss: Miss }[] = [];
  for (const rule of allows) {
    const miss = rule.host === undefined ? undefined : missOfHost(rule.host(input.call, input.principal, input.site));
    if (miss === undefined) return undefined;
    misses.push({ rule, miss });
  }
  return noAllow(policies, input, misses);
}

/** Most reasons of the same rule in one sentence. */
const MAX_TOLD = 16;

/** What the caller reads of a denial: every field of the request that stands in the way of the nearest rule, at once. */
export function sentenceOf({ reasons }: Decision): string {
  const [first, ...others] = reasons;
  if (first === undefined) return 'no policy allows this operation';
  if (first.code !== 'host-field-denied' || first.bare === undefined) return first.message;
  const same = others.filter(({ policy, rule, code }) => {
    return code === first.code && policy === first.policy && rule === first.rule;
  });
  const told = same.slice(0, MAX_TOLD - 1).map(({ bare, message }) => bare ?? message);
  const more = same.length > told.length ? [`and ${same.length - told.length} more`] : [];
  return [first.message, ...told, ...more].join('; ');
}

/** A denial because nothing allows: the nearest rules and what stood in the way of each. */
function noAllow(
  policies: PrincipalPolicies,
  { call }: DecisionInput,
  misses: readonly { readonly rule: ReadyRule; readonly miss: Miss }[],
): Decision {
  if (misses.length === 0) {
    const bound = policies.names.length === 0 ? 'none is bound' : `bound: ${policies.names.slice(0, 8).join(', ')}`;
    const message = `denied: no policy of ${JSON.stringify(policies.principal.subject)} allows ${call.action} (${bound})`;
    return denial(policies, [{ code: 'operation-not-allowed', message }]);
  }
  const nearest = [...misses].sort(byNearness);
  const reasons: Reason[] = [];
  for (const { rule, miss } of nearest) {
    // All that stands in the way of the nearest rule is told; of the others no more than helps.
    if (reasons.length >= MAX_REASONS) break;
    const hidden = miss.code === 'object-not-found';
    const about = { code: miss.code, policy: rule.policy, rule: rule.name };
    const say = (message: string): string => (hidden ? message : `denied by policy ${nameOf(rule)}: ${message}`);
    const tell = (field: string | undefined, message: string): void => {
      reasons.push({ ...about, ...(field === undefined ? {} : { field }), bare: message, message: say(message) });
    };
    tell(miss.field, miss.message);
    for (const { field, message } of miss.more ?? []) tell(field, message);
  }
  return denial(policies, reasons, nearest[0]?.rule.id);
}
