// The policy of sources the engine is given with a build, so that it holds what a Dockerfile fetches to what the rules allow: the
// gateway never sees FROM, ADD, COPY --from and `# syntax=` lines, the engine judges each of them. It also gives each source a mark of
// its owner's, so that builds of two owners share no step while they run. sourcepolicy/pb/policy.proto
import { createHash } from 'node:crypto';
import { commonGlobs, escapeExpression, matchesGlob, sourceExpression } from '../policy/build/index.ts';
import type { Message } from './protobuf.ts';

const ALLOW = 0;
const DENY = 1;
const CONVERT = 2;
const REGEX = 2;
const EQUAL = 0;
const NOT_EQUAL = 1;

/** Most images of others in one expression. */
const MAX_NAMES = 200;
/** How the engine marks the image of a frontend it runs, a `# syntax=` line's too. */
const IS_FRONTEND: Message = { key: 'image.recordtype', value: 'frontend', condition: EQUAL };
const ANY_IMAGE = '^(docker\\-image\\:\\/\\/.*)$';

/** Images in the engine's store as one tenant sees them. */
export interface StoredImages {
  /** Canonical references that are not to be used although they are allowed: those of other tenants. */
  readonly hidden: readonly string[];
  /** Ids of such images: a reference may name one by its digest. */
  readonly hiddenIds: readonly string[];
  /** References that may be taken from the store. Any other is asked of its registry, whatever comes into the store meanwhile. */
  readonly own: readonly string[];
  /** References the tenant itself gave what it made: no frontend is taken by one. */
  readonly made: readonly string[];
}

export interface SourceRules {
  /** Globs over identifiers; `*` alone for everything. */
  readonly allowed: readonly string[];
  /** Globs over identifiers of frontends' images; `*` alone for all. */
  readonly frontends: readonly string[];
  /** Of a tenant. */
  readonly stored: StoredImages | undefined;
  /** A word for each owner whose builds share nothing with others'. */
  readonly mark: string;
}

export interface SourcePolicy {
  readonly message: Message;
  /** The rules do not hold without it. */
  readonly isNeeded: boolean;
}

/**
 * The policy. The last rule that matches counts; one that changes a source begins anew.
 *
 * @param nonce a random word: the engine keeps compiled rules by their text alone, and would take another caller's rule of the
 *   same text and another meaning for ours
 */
export function sourcePolicy({ allowed, frontends, stored, mark }: SourceRules, nonce: string): SourcePolicy {
  let number = 0;
  const rules: Message[] = [];
  const rule = (action: number, expression: string, more: Message = {}, constraints: readonly Message[] = []): void => {
    const identifier = `(?:${nonce}${number++}){0}${expression}`;
    rules.push({ action, selector: { identifier, match_type: REGEX, constraints }, ...more });
  };
  /** Sets an attribute once; the engine leaves those it does not know alone. */
  const set = (expression: string, key: string, value: string, unless: readonly [string, string]): void => {
    const updates = { identifier: '$1', attrs: new Map([[key, value]]) };
    rule(CONVERT, expression, { updates }, [{ key: unless[0], value: unless[1], condition: NOT_EQUAL }]);
  };
  set('(?s)^(.*)$', 'dockgate.owner', mark, ['dockgate.owner', mark]);
  if (stored !== undefined) {
    const isOwn = `dockgate.own.${digestOf([mark, ...stored.own])}`;
    for (const names of pieces(stored.own))
      set(`^(docker\\-image\\:\\/\\/(?:${either(names)}))$`, isOwn, '1', [isOwn, '1']);
    set(ANY_IMAGE, 'image.resolvemode', 'pull', [isOwn, '1']);
  }
  const isOpen = allowed.includes('*');
  const anyFrontend = frontends.includes('*');
  if (!isOpen) {
    rule(DENY, '(?s).*');
    // What the client itself sends over its own session.
    for (const own of ['local://*', 'oci-layout://*', ...allowed]) rule(ALLOW, sourceExpression(own));
  }
  if (!anyFrontend) {
    rule(DENY, ANY_IMAGE, {}, [IS_FRONTEND]);
    for (const glob of commonGlobs(frontends, allowed)) rule(ALLOW, sourceExpression(glob), {}, [IS_FRONTEND]);
    const made = stored?.made.filter((name) => matchesGlob(frontends, `docker-image://${name}`)) ?? [];
    for (const names of pieces(made)) rule(DENY, named(names), {}, [IS_FRONTEND]);
  }
  for (const names of pieces(stored?.hidden ?? [])) rule(DENY, named(names));
  for (const ids of pieces(stored?.hiddenIds ?? [])) rule(DENY, `^docker\\-image\\:\\/\\/.*\\@(?:${either(ids)})$`);
  return { message: { version: 1n, rules }, isNeeded: !isOpen || !anyFrontend || stored !== undefined };
}

const either = (names: readonly string[]): string => names.map(escapeExpression).join('|');
/** Images by name, with any digest. */
const named = (names: readonly string[]): string => `^docker\\-image\\:\\/\\/(?:${either(names)})(?:\\@.*)?$`;

const digestOf = (words: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(words)).digest('hex').slice(0, 16);

function* pieces(names: readonly string[]): Generator<readonly string[]> {
  for (let i = 0; i < names.length; i += MAX_NAMES) yield names.slice(i, i + MAX_NAMES);
}
