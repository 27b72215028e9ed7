// Which rules decided nothing, and which granted actions no identity used, since a moment: what a reviewer may take away.
import type { UseAnswer } from '../audit/reports.ts';
import { actionsOf } from '../policy/actions.ts';
import { parseDocuments, type Rule } from '../policy/policy.ts';

export interface UnusedParts {
  readonly identities: readonly { readonly name: string }[];
  /** Documents in force, those that come with the program too. */
  readonly documents: readonly { readonly name: string; readonly source: string; readonly builtIn?: boolean }[];
  /** Names of the policies that hold for an identity. */
  policiesOf(identity: string): readonly string[];
}

export interface Unused {
  /** Rules of policies that an identity has, and that decided nothing since. */
  readonly rules: readonly {
    readonly rule: string;
    readonly effect: string;
    readonly lastUsedAt: number | undefined;
  }[];
  /** Of each identity: how many actions it may do, which of them it did not do since, and when it did anything last. */
  readonly grants: readonly {
    readonly identity: string;
    readonly granted: number;
    readonly used: readonly string[];
    readonly unused: readonly string[];
    readonly lastUsedAt: number | undefined;
  }[];
}

/** @param since microseconds since the epoch */
export function unusedSince(since: number, uses: UseAnswer, parts: UnusedParts): Unused {
  const rules = new Map<string, readonly Rule[]>();
  for (const { source } of parts.documents)
    for (const { document } of parseDocuments(source).documents)
      if (document.kind === 'Policy') rules.set(document.name, document.rules);
  const held = new Map(parts.identities.map(({ name }) => [name, parts.policiesOf(name)]));
  const bound = new Set([...held.values()].flat());
  const ruleAt = new Map(uses.rules);
  const actionAt = new Map<string, Map<string, number>>();
  for (const [subject, action, at] of uses.actions) {
    const own = actionAt.get(subject) ?? new Map<string, number>();
    own.set(action, at);
    actionAt.set(subject, own);
  }
  const isUnused = (at: number | undefined): boolean => at === undefined || at < since;
  return {
    rules: [...rules].flatMap(([policy, all]) =>
      !bound.has(policy)
        ? []
        : all
            .map(({ name, effect }) => ({
              rule: `${policy}/${name}`,
              effect,
              lastUsedAt: ruleAt.get(`${policy}/${name}`),
            }))
            .filter(({ lastUsedAt }) => isUnused(lastUsedAt)),
    ),
    grants: [...held].map(([identity, policies]) => {
      const granted = new Set<string>();
      const denied = new Set<string>();
      for (const rule of policies.flatMap((policy) => rules.get(policy) ?? [])) {
        // A deny rule with conditions takes nothing away for good.
        const isWhole = rule.resources === undefined && rule.when === undefined && rule.host === undefined;
        if (rule.effect === 'allow') for (const action of actionsOf(rule)) granted.add(action);
        else if (isWhole) for (const action of actionsOf(rule)) denied.add(action);
      }
      for (const action of denied) granted.delete(action);
      const used = actionAt.get(identity) ?? new Map<string, number>();
      const all = [...granted].sort();
      const times = [...used.values()];
      return {
        identity,
        granted: all.length,
        used: all.filter((action) => !isUnused(used.get(action))),
        unused: all.filter((action) => isUnused(used.get(action))),
        lastUsedAt: times.length === 0 ? undefined : Math.max(...times),
      };
    }),
  };
}
