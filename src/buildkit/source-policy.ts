// The policy of sources the engine is given with a build, so that it holds what a Dockerfile fetches to what the rules allow: the
// gateway never sees FROM, ADD, COPY --from and `# syntax=` lines, the engine judges each of them. sourcepolicy/pb/policy.proto
import { escapeExpression, sourceExpression } from '../policy/build/index.ts';
import type { Message } from './protobuf.ts';

const ALLOW = 0;
const DENY = 1;
const REGEX = 2;

/** Most images of others in one expression. */
const MAX_NAMES = 200;

export interface SourceRules {
  /** Globs over identifiers; `*` alone for everything. */
  readonly allowed: readonly string[];
  /** Images that are not to be used although they are allowed: those of other tenants in the engine's store. */
  readonly hidden: readonly string[];
  /** Ids of such images: a reference may name one by its digest. */
  readonly hiddenIds: readonly string[];
}

/**
 * The policy, or undefined where everything may be fetched. The last rule that matches counts.
 *
 * @param nonce a word nobody can guess: the engine keeps compiled rules by their text, and takes one of another meaning that
 *   has the same text for ours
 */
export function sourcePolicy({ allowed, hidden, hiddenIds }: SourceRules, nonce: string): Message | undefined {
  const isOpen = allowed.includes('*');
  if (isOpen && hidden.length === 0 && hiddenIds.length === 0) return undefined;
  let number = 0;
  const rule = (action: number, expression: string): Message => ({
    action,
    selector: { identifier: `(?:${nonce}${number++}){0}${expression}`, match_type: REGEX },
  });
  const rules: Message[] = [];
  if (!isOpen) {
    rules.push(rule(DENY, '(?s).*'));
    // What the client itself sends over its own session.
    for (const own of ['local://*', 'oci-layout://*', ...allowed]) rules.push(rule(ALLOW, sourceExpression(own)));
  }
  for (const names of pieces(hidden)) {
    rules.push(rule(DENY, `^docker\\-image\\:\\/\\/(?:${names.map(escapeExpression).join('|')})(?:\\@.*)?$`));
  }
  for (const ids of pieces(hiddenIds)) {
    rules.push(rule(DENY, `^docker\\-image\\:\\/\\/.*\\@(?:${ids.map(escapeExpression).join('|')})$`));
  }
  return { version: 1n, rules };
}

function* pieces(names: readonly string[]): Generator<readonly string[]> {
  for (let i = 0; i < names.length; i += MAX_NAMES) yield names.slice(i, i + MAX_NAMES);
}
