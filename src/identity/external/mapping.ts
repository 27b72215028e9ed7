// The mapping: from the claims of a verified token to its identity, or to the reason why it has none. Pure.
// Exactly one rule must match. None is a refusal, and so are several, even where they name the same identity.
import { compileGlob, type NameTest } from '../../policy/match.ts';
import { IDENTITY_NAME, LABEL, LABEL_RULE } from '../names.ts';
import { type Claims, type ConditionTest, claimAt, compileCondition, textOf, textsOf, whyNot } from './claims.ts';
import type { ClaimCondition, IssuerSetting, MappingRule } from './setting.ts';

/** Longest subject, tenant or owner made from claims, in characters. */
const MAX_NAME_CHARS = 256;
/** Entries of one list claim kept for the audit: every call of the caller has them. */
const MAX_KEPT = 20;
/** Groups taken over from one token. */
const MAX_GROUPS = 100;

/** Who a token is. */
export type Mapped =
  | { readonly kind: 'identity'; readonly rule: string; readonly identity: string }
  | {
      readonly kind: 'named';
      readonly rule: string;
      readonly subject: string;
      readonly tenant?: string;
      readonly owner?: string;
      readonly groups: readonly string[];
      readonly policies: readonly string[];
    };

/** Why a token has no identity. `notes` are for the audit alone. */
export interface Unmapped {
  readonly kind: 'none';
  readonly code: 'identity-not-mapped' | 'identity-ambiguous';
  readonly notes: readonly string[];
}

export interface Mapping {
  map(claims: Claims): Mapped | Unmapped;
  /** The claims the mapping looks at, for the audit; other claims of a token are not kept. */
  used(claims: Claims): Readonly<Record<string, unknown>>;
}

interface CompiledRule {
  readonly rule: MappingRule;
  readonly tests: readonly ConditionTest[];
  readonly groupTests: readonly NameTest[];
}

/** Compiles the rules of an issuer. */
export function compileMapping(setting: Pick<IssuerSetting, 'require' | 'rules'>): Mapping {
  const required = setting.require.map((condition) => ({ condition, test: compileCondition(condition) }));
  const rules: CompiledRule[] = setting.rules.map((rule) => ({
    rule,
    tests: rule.when.map(compileCondition),
    groupTests: rule.groupsFrom?.only.map(compileGlob) ?? [],
  }));
  const names = claimsOf(setting);

  return {
    map(claims) {
      const missed = required.find(({ test }) => !test(claims));
      if (missed !== undefined) return none('identity-not-mapped', [`require: ${whyNot(missed.condition, claims)}`]);
      const matching = rules.filter(({ tests }) => tests.every((test) => test(claims)));
      const [only, second] = matching;
      if (only === undefined) {
        return none(
          'identity-not-mapped',
          rules.map(({ rule, tests }) => {
            const at = tests.findIndex((test) => !test(claims));
            return `rule ${rule.name}: ${whyNot(rule.when[at] as ClaimCondition, claims)}`;
          }),
        );
      }
      if (second !== undefined) {
        return none('identity-ambiguous', [`rules ${matching.map(({ rule }) => rule.name).join(' and ')} both match`]);
      }
      return apply(only, claims);
    },
    used(claims) {
      const kept: Record<string, unknown> = {};
      for (const name of names) {
        const value = claimAt(claims, name);
        const text = Array.isArray(value) ? textsOf(value).slice(0, MAX_KEPT) : textOf(value);
        if (text !== undefined) kept[name] = text;
      }
      return Object.freeze(kept);
    },
  };
}

const none = (code: Unmapped['code'], notes: readonly string[]): Unmapped => ({ kind: 'none', code, notes });

function apply({ rule, groupTests }: CompiledRule, claims: Claims): Mapped | Unmapped {
  if (rule.identity !== undefined) return { kind: 'identity', rule: rule.name, identity: rule.identity };
  const faults: string[] = [];
  const fill = (what: string, template: string | undefined): string | undefined => {
    if (template === undefined) return undefined;
    const filled = fillClaims(template, claims);
    if ('text' in filled) return filled.text;
    faults.push(`rule ${rule.name}: ${what} cannot be filled: ${filled.fault}`);
    return undefined;
  };
  const subject = fill('subject', rule.subject) ?? '';
  const tenant = fill('tenant', rule.tenant);
  const owner = fill('owner', rule.owner);
  if (faults.length === 0 && IDENTITY_NAME.test(subject)) {
    faults.push(
      `rule ${rule.name}: the subject ${subject} could be taken for an identity of this gateway; begin it with a word and a colon`,
    );
  }
  if (tenant !== undefined && !LABEL.test(tenant)) {
    faults.push(`rule ${rule.name}: the tenant ${JSON.stringify(tenant)} is none: ${LABEL_RULE}`);
  }
  if (faults.length > 0) return none('identity-not-mapped', faults);
  const from = rule.groupsFrom;
  const taken =
    from === undefined
      ? []
      : textsOf(claimAt(claims, from.claim))
          .filter((group) => group !== '' && groupTests.some((test) => test(group)))
          .map((group) => from.prefix + group);
  return {
    kind: 'named',
    rule: rule.name,
    subject,
    ...(tenant === undefined ? {} : { tenant }),
    ...(owner === undefined ? {} : { owner }),
    groups: Object.freeze([...new Set([...rule.groups, ...taken])].slice(0, MAX_GROUPS)),
    policies: rule.policies,
  };
}

const PLACE = /\$\{([^{}]+)\}/g;

/** The claims a template names. */
export const placesOf = (template: string): string[] =>
  [...template.matchAll(PLACE)].map((match) => match[1] as string);

/**
 * Fills a template from claims. Every place must be filled with printable text, and a value must not hold the character
 * that ends its place, so that two different callers never come out with one name.
 */
function fillClaims(template: string, claims: Claims): { text: string } | { fault: string } {
  let text = '';
  let end = 0;
  for (const match of template.matchAll(PLACE)) {
    const claim = match[1] as string;
    const after = match.index + match[0].length;
    const value = textOf(claimAt(claims, claim));
    if (value === undefined || value === '') return { fault: `the token has no ${claim} of one value` };
    // Letters that join, turn around or vanish would let one caller look like another in the audit.
    if (!/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u.test(value) || /[*$]/.test(value) || value !== value.normalize('NFC')) {
      return { fault: `${claim} holds a character no name may have` };
    }
    const separator = template[after];
    const isLast = !template.slice(after).includes('${');
    if (separator !== undefined && !isLast && value.includes(separator)) {
      return { fault: `${claim} holds ${JSON.stringify(separator)}, which ends its place` };
    }
    text += template.slice(end, match.index) + value;
    end = after;
  }
  text += template.slice(end);
  return text.length > MAX_NAME_CHARS ? { fault: `it is longer than ${MAX_NAME_CHARS} characters` } : { text };
}

/** Names of all claims the rules and requirements of an issuer look at. */
function claimsOf(setting: Pick<IssuerSetting, 'require' | 'rules'>): readonly string[] {
  const names = new Set(['sub', ...setting.require.map(({ claim }) => claim)]);
  for (const { when, subject, tenant, owner, groupsFrom } of setting.rules) {
    for (const { claim } of when) names.add(claim);
    for (const template of [subject, tenant, owner]) for (const name of placesOf(template ?? '')) names.add(name);
    if (groupsFrom !== undefined) names.add(groupsFrom.claim);
  }
  return [...names];
}
