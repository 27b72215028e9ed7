// Reads a query as Go's net/url and the engine's handlers do, and refuses a query that could be read in a second way.
// The result is rendered again: parameters in their one spelling, booleans as 1 and 0, filters as a map of maps.
import { GatewayError } from '../errors.ts';
import { readJson, stringifyJson } from './json.ts';
import { type ParameterKind, parametersOf } from './query-parameters.ts';
import { BODY_SCHEMAS } from './schemas/bodies.ts';
import type { Json, JsonObject, LeftOut, Operation } from './types.ts';

type Query = Readonly<Record<string, readonly string[]>>;

const NO_QUERY: Query = Object.freeze(Object.create(null) as Query);
/** Words the engine reads as false; everything else is true (daemon/server/httputils BoolValue). */
const FALSE = new Set(['', '0', 'no', 'false', 'none']);
const encoder = new TextEncoder();

/** Parameters named at most among those left out: the rest of a query full of them is left out as well. */
const MAX_LEFT_OUT = 32;

/**
 * Judges the query of an operation.
 *
 * A parameter the table does not know is left out, for the rebuilt request does not hold it. Two kinds are refused: a case
 * variant of a known one, which Podman reads as the known one,
 * A parameter sent twice is one if both values mean the same.
 *
 * @param text without the question mark
 * @param leftOut takes the parameters that were left out
 * @throws {GatewayError} `query-ambiguous`, `query-unknown`
 */
export function judgeQuery(operation: Operation, text: string, leftOut: LeftOut[] = []): Query {
  if (text === '') return NO_QUERY;
  const known = parametersOf(operation.id);
  const query: Record<string, string[]> = Object.create(null);
  let hasContent = false;
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    if (pair.includes(';')) throw ambiguous('the query has a semicolon, which can separate parameters');
    const equals = pair.indexOf('=');
    const name = unescapeComponent(equals < 0 ? pair : pair.slice(0, equals));
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) {
      refuseVariant(operation, name, Object.keys(known));
      noteParameter(leftOut, operation, name);
      continue;
    }
    const value = unescapeComponent(equals < 0 ? '' : pair.slice(equals + 1));
    const values = query[name];
    if (kind === 'int') checkSize(operation, name, value);
    if (values === undefined) query[name] = [canonical(name, kind, value)];
    else if (kind === 'list') values.push(value);
    else if (isSame(name, kind, value, values[0])) continue;
    else if (!hasContent && isFileWithContent(operation, name, values[0] as string)) hasContent = true;
    else throw ambiguous(`the query parameter ${name} was sent more than once, with two values`);
  }
  return query;
}

const ambiguous = (message: string) => new GatewayError('query-ambiguous', message);

/**
 * docker-py puts a Dockerfile from outside the context into it under a name of its making, and sends that name and then the
 * file's content as `dockerfile`. The engine reads the first, and gets no other.
 */
const isFileWithContent = ({ id }: Operation, name: string, first: string): boolean =>
  id === 'ImageBuild' && name === 'dockerfile' && /^\.dockerfile\.[0-9a-f]{1,40}$/.test(first);

function refuseVariant(operation: Operation, name: string, known: readonly string[]): void {
  const variant = known.find((k) => k.toLowerCase() === name.toLowerCase());
  if (variant === undefined) return;
  const shown = JSON.stringify(name.slice(0, 80));
  throw new GatewayError(
    'query-unknown',
    `the query parameter ${shown} must be written ${variant} for ${operation.action}`,
  );
}

/** dockerode repeats the fields of a body in the query, so those are not worth a word. */
function noteParameter(leftOut: LeftOut[], operation: Operation, name: string): void {
  const schema = BODY_SCHEMAS.get(operation.body ?? '');
  if (leftOut.length >= MAX_LEFT_OUT || (schema?.kind === 'struct' && schema.exact.has(name))) return;
  const at = `query.${name.slice(0, 80)}`;
  if (!leftOut.some((other) => other.at === at)) leftOut.push({ at });
}

/** Sizes of a terminal, in the engine's own words. */
function checkSize({ id }: Operation, name: string, value: string): void {
  if ((id !== 'ContainerResize' && id !== 'ExecResize') || value === '' || /^-?\d{1,19}$/.test(value)) return;
  const what = name === 'h' ? 'height' : 'width';
  throw ambiguous(
    `invalid resize ${what} ${JSON.stringify(value.slice(0, 40))}: invalid syntax, it must be a whole number`,
  );
}

/** Whether a second value means what the first did. */
function isSame(name: string, kind: ParameterKind, value: string, first: string | undefined): boolean {
  return canonical(name, kind, value) === first;
}

/** One `application/x-www-form-urlencoded` component as Go reads it. */
function unescapeComponent(text: string): string {
  let plain = text;
  if (text.includes('+')) plain = plain.replaceAll('+', ' ');
  if (/[\x80-\xff]/.test(plain)) throw ambiguous('the query has bytes that must be percent-encoded');
  if (plain.includes('%')) {
    try {
      plain = decodeURIComponent(plain);
    } catch {
      throw ambiguous('the query has a percent escape that cannot be read');
    }
  }
  if (plain.includes('\0')) throw ambiguous('the query has a NUL character');
  return plain;
}

function canonical(name: string, kind: ParameterKind, value: string): string {
  switch (kind) {
    case 'text':
    case 'list':
      return value;
    case 'bool':
      return FALSE.has(value.trim().toLowerCase()) ? '0' : '1';
    case 'int':
      if (value !== '' && !/^-?\d{1,19}$/.test(value))
        throw ambiguous(
          `the query parameter ${name} must be a whole number, not ${JSON.stringify(value.slice(0, 40))}`,
        );
      return value;
    case 'json':
      return value === '' ? '' : stringifyJson(readParameter(name, value));
    case 'filters':
      return value === '' ? '' : stringifyJson(canonicalFilters(name, readParameter(name, value)));
  }
}

function readParameter(name: string, value: string): Json {
  try {
    return readJson(encoder.encode(value));
  } catch (cause) {
    const why = cause instanceof GatewayError ? cause.message : 'it cannot be read';
    throw new GatewayError('query-ambiguous', `the query parameter ${name}: ${why}`, { cause });
  }
}

/** Both forms clients send, `{"label":["a"]}` and `{"label":{"a":true}}`, as the second. */
function canonicalFilters(name: string, value: Json): Json {
  const bad = (): GatewayError => ambiguous(`the query parameter ${name} must be a map of lists or of maps of true`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad();
  const all: Record<string, Json> = Object.create(null);
  for (const [key, entry] of Object.entries(value as JsonObject)) {
    const words: Record<string, Json> = Object.create(null);
    if (Array.isArray(entry)) {
      for (const word of entry) {
        if (typeof word !== 'string') throw bad();
        words[word] = true;
      }
    } else if (typeof entry === 'object' && entry !== null) {
      for (const [word, on] of Object.entries(entry as JsonObject)) {
        if (typeof on !== 'boolean') throw bad();
        // The engine looks at the words, not at what they map to.
        words[word] = true;
      }
    } else throw bad();
    all[key] = words;
  }
  return all;
}
