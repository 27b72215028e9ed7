// What changes between two sets of policies: documents and rules as written, and what becomes allowed or ceases to be.
import { actionsOf } from './actions.ts';
import type { PolicySet } from './compile.ts';
import type { ParsedDocument, PolicyDocument, Rule } from './policy.ts';

export interface RuleChange {
  readonly policy: string;
  readonly rule: string;
  readonly change: 'added' | 'removed' | 'changed';
  readonly effect: 'allow' | 'deny';
  /** For a changed rule, the keys that differ. */
  readonly keys: readonly string[];
  /** Actions the rule speaks of now and did not before, and the other way round. */
  readonly gained: readonly string[];
  readonly lost: readonly string[];
}

export interface PolicyDiff {
  readonly from: string;
  readonly to: string;
  readonly documents: readonly {
    readonly kind: string;
    readonly name: string;
    readonly change: 'added' | 'removed' | 'changed';
  }[];
  readonly rules: readonly RuleChange[];
  /** Nothing differs in meaning; texts may. */
  readonly isSame: boolean;
}

const KEYS = [
  'effect',
  'actions',
  'resources',
  'labels',
  'host',
  'set',
  'audit',
  'record',
  'when',
  'notBefore',
  'notAfter',
  'hours',
  'source',
] as const;

/** Compares two sets by the names of their documents and rules. Built-in policies are the same in both. */
export function diffPolicies(a: PolicySet, b: PolicySet): PolicyDiff {
  const before = byName(a.documents);
  const after = byName(b.documents);
  const documents: PolicyDiff['documents'][number][] = [];
  const rules: RuleChange[] = [];
  for (const [name, { kind }] of before) if (!after.has(name)) documents.push({ kind, name, change: 'removed' });
  for (const [name, document] of after) {
    const { kind } = document;
    const old = before.get(name);
    if (old === undefined) documents.push({ kind, name, change: 'added' });
    else if (meaning(old) !== meaning(document)) documents.push({ kind, name, change: 'changed' });
  }
  for (const { name } of documents) {
    const old = rulesOf(before.get(name));
    const now = rulesOf(after.get(name));
    for (const [rule, was] of old) {
      const is = now.get(rule);
      if (is === undefined) rules.push(changeOf(name, 'removed', was, undefined));
      else if (canonical(was) !== canonical(is)) rules.push(changeOf(name, 'changed', was, is));
    }
    for (const [rule, is] of now) if (!old.has(rule)) rules.push(changeOf(name, 'added', undefined, is));
  }
  return { from: a.revision, to: b.revision, documents, rules, isSame: documents.length === 0 };
}

const byName = (documents: readonly ParsedDocument[]): Map<string, ParsedDocument> =>
  new Map(documents.map((document) => [document.name, document]));

function rulesOf(parsed: ParsedDocument | undefined): Map<string, Rule> {
  const rules = parsed?.kind === 'Policy' ? (parsed.document as PolicyDocument).rules : [];
  return new Map(rules.map((rule) => [rule.name, rule]));
}

function changeOf(
  policy: string,
  change: RuleChange['change'],
  was: Rule | undefined,
  is: Rule | undefined,
): RuleChange {
  const rule = (is ?? was) as Rule;
  const old = was === undefined ? new Set<string>() : actionsOf(was);
  const now = is === undefined ? new Set<string>() : actionsOf(is);
  return {
    policy,
    rule: rule.name,
    change,
    effect: rule.effect,
    keys: was === undefined || is === undefined ? [] : KEYS.filter((key) => canonical(was[key]) !== canonical(is[key])),
    gained: [...now].filter((action) => !old.has(action)),
    lost: [...old].filter((action) => !now.has(action)),
  };
}

/** The text of a value that does not depend on the order of keys nor on where it stood. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (key, item: unknown) => {
    if (key === 'line' || key === 'description') return undefined;
    if (typeof item === 'bigint') return `${item}n`;
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)));
  }) ?? '';

/** Everything of a document that counts, tests left out. Rules count in their order: it decides which one is named. */
function meaning({ document }: ParsedDocument): string {
  const { tests: _tests, ...rest } = { tests: [], ...document };
  return canonical(rest);
}

/** The difference for people, one line for each document and rule. */
export function renderDiff(diff: PolicyDiff): string {
  if (diff.isSame) return `no policy differs between ${diff.from} and ${diff.to}\n`;
  const marks = { added: '+', removed: '-', changed: '~' } as const;
  const lines: string[] = [];
  for (const { kind, name, change } of diff.documents) {
    lines.push(`${marks[change]} ${kind}/${name}`);
    for (const rule of diff.rules) {
      if (rule.policy !== name) continue;
      const keys = rule.keys.length === 0 ? '' : `: ${rule.keys.join(', ')}`;
      lines.push(`  ${marks[rule.change]} ${rule.effect} ${rule.rule}${keys}`);
      if (rule.gained.length > 0) lines.push(`      + ${rule.gained.join(', ')}`);
      if (rule.lost.length > 0) lines.push(`      - ${rule.lost.join(', ')}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
