// Patterns over what a build fetches. A source is written as BuildKit's identifier; an image may be written as in resources.
import { compileGlob, compileResource, type NameTest } from '../match.ts';

const IMAGE = 'docker-image://';

/** The pattern of a source in BuildKit's words. */
export const sourcePattern = (text: string): string =>
  text === '*' || text.includes('://') ? text : `${IMAGE}${withAnyTag(text)}`;

/** As for resources, a name without tag and digest stands for all of them. */
function withAnyTag(image: string): string {
  const last = image.slice(image.lastIndexOf('/') + 1);
  return last === '*' || last.endsWith('*') || last.includes(':') || last.includes('@') ? image : `${image}:*`;
}

/** Whether a source is among those named. An image named without tag also stands for its digests. */
export function compileSources(sources: readonly string[]): NameTest {
  const tests = sources.flatMap((text) => variantsOf(text).map(compileGlob));
  return (identifier) => tests.some((test) => test(identifier));
}

/**
 * The globs a source pattern stands for. The engine looks a tag up before it judges it, and then names it with its digest: an
 * image that is named by its tag is also allowed by any digest of its repository.
 */
export function variantsOf(text: string): readonly string[] {
  const pattern = sourcePattern(text);
  if (!pattern.startsWith(IMAGE) || pattern.includes('@')) return [pattern];
  if (pattern.endsWith(':*') && !text.endsWith('*')) return [pattern, `${pattern.slice(0, -2)}@*`];
  return pattern.endsWith('*') ? [pattern] : [pattern, `${pattern}@*`];
}

/** Globs as a regular expression of Go that matches the whole identifier. */
export const sourceExpression = (glob: string): string => `^${glob.split('*').map(escapeExpression).join('.*')}$`;

/** Everything but letters and digits is escaped: Go's syntax takes that for every punctuation. */
export const escapeExpression = (text: string): string =>
  text.replace(/[^A-Za-z0-9_]/g, (c) => (c < '\x80' ? `\\${c}` : c));

/** Images by name, as in resources; other words as they are. */
export function compileNames(names: readonly string[]): NameTest {
  const tests = names.map((name) => (name.includes('/') ? compileResource(`image/${name}`).test : compileGlob(name)));
  return (name) => tests.some((test) => test(name));
}

export function compileGlobs(globs: readonly string[]): NameTest {
  const tests = globs.map(compileGlob);
  return (name) => tests.some((test) => test(name));
}

/** What two lists of globs both stand for, as far as one covers the other: less than all of it, never more. */
export function commonGlobs(a: readonly string[], b: readonly string[]): readonly string[] {
  const within = (narrow: readonly string[], wide: readonly string[]) => {
    const test = compileGlobs(wide);
    return narrow.filter((glob) => test(glob));
  };
  return [...new Set([...within(a, b), ...within(b, a)])];
}

/** Whether one of a list of globs stands for a name. */
export const matchesGlob = (globs: readonly string[], name: string): boolean =>
  globs.some((glob) => compileGlob(glob)(name));
