// Reads claims and holds them against conditions. Pure: values in, values out.
import { compileGlob } from '../../policy/match.ts';
import type { ClaimCondition } from './setting.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** Longest value of a claim that is compared, filled in or kept for the audit, in characters. */
export const MAX_VALUE_CHARS = 512;
/** Entries of a list claim that are looked at. */
const MAX_LIST = 1000;

/** Steps of a claim's address: one for a name, several for a JSON pointer (RFC 6901). */
const stepsOf = (claim: string): readonly string[] =>
  claim.startsWith('/')
    ? claim
        .slice(1)
        .split('/')
        .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    : [claim];

/** The value a claim's address leads to; undefined when there is none. Own properties of plain objects only. */
export function claimAt(claims: Claims, claim: string): unknown {
  let value: unknown = claims;
  for (const step of stepsOf(claim)) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, step)) {
      return undefined;
    }
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

/** A single value as text: a string, a whole number or a boolean; undefined for everything else. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value.length > MAX_VALUE_CHARS ? undefined : value;
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isSafeInteger(value))) return String(value);
  return undefined;
}

/** The texts of a list claim; a single text is a list of one. */
export function textsOf(value: unknown): readonly string[] {
  const list = Array.isArray(value) ? value.slice(0, MAX_LIST) : [value];
  return list.map(textOf).filter((text) => text !== undefined);
}

export type ConditionTest = (claims: Claims) => boolean;

/** Compiles a condition once, so that holding a token against it compares strings only. */
export function compileCondition(condition: ClaimCondition): ConditionTest {
  const { claim, kind, values } = condition;
  switch (kind) {
    case 'equals': {
      const wanted = new Set(values);
      return (claims) => {
        const text = textOf(claimAt(claims, claim));
        return text !== undefined && wanted.has(text);
      };
    }
    case 'glob': {
      const tests = values.map(compileGlob);
      return (claims) => {
        const text = textOf(claimAt(claims, claim));
        return text !== undefined && tests.some((test) => test(text));
      };
    }
    case 'contains': {
      const wanted = new Set(values);
      return (claims) => {
        const value = claimAt(claims, claim);
        return Array.isArray(value) && textsOf(value).some((text) => wanted.has(text));
      };
    }
  }
}

/** `ref is "refs/heads/dev", not one of refs/heads/main`: why a condition does not hold. For the audit. */
export function whyNot({ claim, kind, values }: ClaimCondition, claims: Claims): string {
  const wanted = values.slice(0, 5).join(', ') + (values.length > 5 ? ', ...' : '');
  const value = claimAt(claims, claim);
  if (value === undefined) return `the token has no ${claim}`;
  if (kind === 'contains') return `${claim} holds none of ${wanted}`;
  const text = textOf(value);
  if (text === undefined) return `${claim} is not a single value`;
  return `${claim} is ${JSON.stringify(text)}, not ${kind === 'glob' ? 'like' : 'one of'} ${wanted}`;
}
