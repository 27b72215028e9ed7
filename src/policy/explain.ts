// The decision path as data and as text: each rule, why it matched or did not, and the nearest change that would allow.
// It judges with the same functions as `decide`, so the two cannot part.
import type { ResourceRef } from '../engine/types.ts';
import { ACTIONS, actionsOf, BUILD_RUN, isBuildKitDoor } from './actions.ts';
import { builtIns, type PrincipalPolicies, type ReadyRule } from './compile.ts';
import { decide } from './evaluate.ts';
import { judgeRule, STAGES, type Stage } from './judge-rule.ts';
import type { PolicyDocument } from './policy.ts';
import type { Decision, DecisionInput } from './types.ts';

/** What became of one rule. */
export interface Step {
  readonly policy: string;
  readonly rule: string;
  readonly effect: 'allow' | 'deny';
  readonly outcome: 'matched' | 'not-matched' | 'error';
  /** Where it was left: `action` first, then as judged. */
  readonly stage?: 'action' | Stage;
  readonly field?: string;
  readonly message: string;
  /** What would make an allow rule match. */
  readonly change?: string;
}

export interface Explanation {
  readonly decision: Decision;
  readonly subject: string;
  readonly action: string;
  readonly operation: string;
  readonly resources: readonly {
    readonly kind: string;
    readonly name: string;
    readonly at: string;
    readonly role: ResourceRef['role'];
    readonly found: boolean;
  }[];
  /** Policies bound, in the order they are judged. */
  readonly policies: readonly string[];
  readonly scope: 'none' | 'covers' | 'exceeded';
  /** Rules that speak of the action, as judged; then the others. */
  readonly steps: readonly Step[];
  /** For a denial: changes that would allow the call, the nearest first. */
  readonly nearest: readonly string[];
}

/** Explains how a call is decided. The decision is the one `decide` gives. */
export function explain(policies: PrincipalPolicies, input: DecisionInput): Explanation {
  const { call } = input;
  const decision = decide(policies, input);
  const { denies, allows } = policies.rulesFor(call.action);
  const judged = [...denies, ...allows];
  const steps = judged.map((rule) => stepOf(rule, input));
  for (const rule of policies.allRules()) {
    if (judged.includes(rule)) continue;
    const { actions } = rule.rule;
    const listed = actions.slice(0, 6).join(', ') + (actions.length > 6 ? ', ...' : '');
    steps.push({
      policy: rule.policy,
      rule: rule.name,
      effect: rule.effect,
      outcome: 'not-matched',
      stage: 'action',
      message: `speaks of ${listed}`,
    });
  }
  const inScope = policies.ceiling?.exceededBy(input) === undefined;
  return {
    decision,
    subject: policies.principal.subject,
    action: call.action,
    operation: call.operation.id,
    resources: call.resources.map(({ kind, name, at, role, id }) => ({
      kind,
      name,
      at,
      role,
      found: id !== undefined,
    })),
    policies: policies.names,
    scope: policies.ceiling === undefined ? 'none' : inScope ? 'covers' : 'exceeded',
    steps,
    nearest: decision.effect === 'allow' ? [] : nearestChanges(policies, input, steps),
  };
}

function stepOf(rule: ReadyRule, input: DecisionInput): Step {
  const verdict = judgeRule(rule, input);
  const about = { policy: rule.policy, rule: rule.name, effect: rule.effect };
  switch (verdict.kind) {
    case 'match':
      return {
        ...about,
        outcome: 'matched',
        message: `${rule.effect === 'allow' ? 'allows' : 'denies'} ${input.call.action}`,
      };
    case 'error':
      return {
        ...about,
        outcome: 'error',
        ...(verdict.field === undefined ? {} : { field: verdict.field }),
        message: verdict.message,
      };
    case 'miss': {
      const more = (verdict.more ?? []).map(({ message }) => message);
      // An operator reads this: what the caller is told of a hidden object would not help here.
      const message =
        verdict.code === 'object-not-found'
          ? `the object does not carry its labels (needed: ${verdict.change})`
          : [verdict.message, ...more].join('; ');
      return {
        ...about,
        outcome: 'not-matched',
        stage: verdict.stage,
        ...(verdict.field === undefined ? {} : { field: verdict.field }),
        message,
        ...(rule.effect === 'allow' ? { change: verdict.change } : {}),
      };
    }
  }
}

/** Most changes offered. */
const MAX_CHANGES = 4;

function nearestChanges(policies: PrincipalPolicies, input: DecisionInput, steps: readonly Step[]): string[] {
  const { call } = input;
  if (policies.missing.length > 0) {
    return policies.missing.map((what) => `${what}: apply a policy of that name, or bind another`);
  }
  const changes: string[] = [];
  const needed = isBuildKitDoor(call.action) ? BUILD_RUN : call.action;
  const exceeded = policies.ceiling?.exceededBy(input);
  if (exceeded?.field === 'scope') changes.push(`use a token whose scope holds ${needed}`);
  else if (exceeded !== undefined) changes.push(`use a token with a wider ceiling (${exceeded.message})`);
  if (!ACTIONS.has(call.action)) return [`nothing: ${call.action} is never served`];
  for (const step of steps) {
    if (step.stage === 'action') continue;
    const id = `${step.policy}/${step.rule}`;
    if (step.outcome === 'error') changes.push(`mend rule ${id}: ${step.message}`);
    else if (step.effect === 'deny' && step.outcome === 'matched')
      changes.push(`take ${call.action} out of the deny rule ${id}`);
  }
  const allowing = steps.filter((step) => step.effect === 'allow' && step.stage !== 'action');
  if (allowing.some((step) => step.outcome === 'matched')) return changes.slice(0, MAX_CHANGES);
  const missed = allowing
    .filter((step) => step.stage !== undefined && step.change !== undefined)
    .sort((a, b) => STAGES.indexOf(b.stage as Stage) - STAGES.indexOf(a.stage as Stage));
  for (const step of missed) changes.push(`for rule ${step.policy}/${step.rule}: ${step.change}`);
  if (allowing.length === 0) {
    const known = builtIns()
      .filter(({ document }) => allowsAction(document.document as PolicyDocument, call.action))
      .map(({ document }) => document.name)
      .filter((name) => name !== 'operator' || !ACTIONS.get(call.action)?.risks.has('escalates'));
    const either = known.length === 0 ? '' : `, or bind a built-in one that does: ${known.slice(0, 5).join(', ')}`;
    changes.push(`add ${needed} to an allow rule of a bound policy${either}`);
  }
  return changes.slice(0, MAX_CHANGES);
}

const allowsAction = (document: PolicyDocument, action: string): boolean =>
  document.rules.some((rule) => rule.effect === 'allow' && actionsOf(rule).has(action));

/** The explanation for people: several lines, without control characters. */
export function renderExplanation(explanation: Explanation): string {
  const { decision, subject, action, operation, resources, policies, scope, steps, nearest } = explanation;
  const lines = [`${decision.effect === 'allow' ? 'ALLOW' : 'DENY'}  ${subject}  ${action} (${operation})`];
  for (const reason of decision.reasons) lines.push(`  ${reason.message}`);
  lines.push(`policies  ${policies.length === 0 ? 'none bound' : policies.join(', ')}`);
  if (scope !== 'none')
    lines.push(`scope     ${scope === 'covers' ? 'covers the action' : 'does not cover the action'}`);
  for (const { kind, name, at, role } of resources) {
    const place = at === '' ? '' : ` at ${at}`;
    lines.push(
      `object    ${kind}/${name === '' ? '*' : name}${place}, ${role === 'target' ? 'the call is about it' : role === 'creates' ? 'to be made' : 'used'}`,
    );
  }
  const others = new Map<string, number>();
  for (const step of steps) {
    if (step.stage === 'action') {
      others.set(step.policy, (others.get(step.policy) ?? 0) + 1);
      continue;
    }
    const mark = step.outcome === 'matched' ? 'yes' : step.outcome === 'error' ? 'ERR' : 'no ';
    const stage = step.stage === undefined ? '' : `${step.stage}: `;
    lines.push(`${mark} ${step.effect.padEnd(5)} ${step.policy}/${step.rule}  ${stage}${step.message}`);
  }
  for (const [policy, count] of others)
    lines.push(`no        ${policy}: ${count} ${count === 1 ? 'rule' : 'rules'} for other actions`);
  for (const [i, change] of nearest.entries()) lines.push(`${i === 0 ? 'to allow  ' : 'or        '}${change}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: names from a request must not steer a terminal
  return `${lines.map((line) => line.replace(/[\x00-\x1f\x7f-\x9f]/g, '?')).join('\n')}\n`;
}
