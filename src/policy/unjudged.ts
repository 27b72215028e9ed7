// Actions that can hand over the host or the engine and that no host preset can judge: nothing in their calls tells a harmless
// one from a harmful one (a plugin, a swarm, an archive of images). A preset covers them only where its rule names them in
// full and its policy acknowledges host access: never by `*` or a class. Derived from the table of operations.
import { OPERATIONS } from '../engine/operations.ts';
import { ACTIONS, BUILD_OPAQUE, isBuildKitDoor } from './actions.ts';
import type { ReadyRule } from './compile.ts';
import { JUDGED_ACTIONS } from './host/index.ts';

/** Served actions of risk `escalates` or class `admin` that are in no table of the host presets. */
export const UNJUDGED_ACTIONS: ReadonlySet<string> = new Set(
  [...ACTIONS]
    .filter(
      ([action, facts]) => (facts.risks.has('escalates') || facts.class === 'admin') && !JUDGED_ACTIONS.has(action),
    )
    .map(([action]) => action),
);

/** Whether a rule's preset leaves an action to luck: why, and what would be right; undefined when it does not. */
export function refusedUnjudged(rule: ReadyRule, action: string): { message: string; change: string } | undefined {
  if (rule.host === undefined || rule.rule.host?.preset === 'privileged' || !UNJUDGED_ACTIONS.has(action)) {
    return undefined;
  }
  // The doors of BuildKit have one name between them.
  const name = isBuildKitDoor(action) && !rule.rule.actions.includes(action) ? BUILD_OPAQUE : action;
  if (rule.acknowledged && rule.rule.actions.includes(name)) return undefined;
  return {
    message: `no host preset can judge ${action} (allowed: where a rule names ${name} in full and its policy acknowledges host access)`,
    change: `name ${name} in a rule of a policy with metadata.acknowledges: [host-access]`,
  };
}

/** An unjudged operation in its plainest form. */
export interface UnjudgedCall {
  readonly action: string;
  readonly method: string;
  readonly path: string;
}

/**
 * Whether an unjudged action gives away more than it takes away: a prune removes what is unused, and a policy that allows one
 * means no more than that.
 */
export const isGraveUnjudged = (action: string): boolean => UNJUDGED_ACTIONS.has(action) && !action.endsWith('.prune');

/** One call for every operation that no preset judges. */
export const unjudgedCalls = (): readonly UnjudgedCall[] =>
  OPERATIONS.filter(({ served, action }) => served && isGraveUnjudged(action)).map(({ action, method, path }) => ({
    action,
    method,
    path: path.replaceAll(/\{[^}]*\}/g, 'hostile'),
  }));
