// Takes secrets out of what the audit keeps of a call, before anything is stored. Works on the decoded value, by table
// (redact-table.ts): names, paths and command lines stay, values that may be secrets become keyed hashes (mask.ts).

import {
  isTelling,
  type MaskKey,
  mask,
  maskAddress,
  maskArguments,
  maskAssignment,
  maskOptions,
  maskText,
  maskVariables,
  Secrets,
} from '../engine/mask.ts';
import type { Json, JsonObject } from '../engine/types.ts';
import {
  ARGUMENT_PARAMETERS,
  FIELD_RULES,
  type FieldRule,
  INSTRUCTION_PARAMETERS,
  LABEL_QUERY_MAPS,
  MASKED_PARAMETERS,
  MASKED_QUERY_MAPS,
  NAME_PARAMETERS,
  SECRET_BODIES,
  URL_PARAMETERS,
} from './redact-table.ts';

/** Never kept in any form. */
const REMOVED = '[removed]';
/** Longest text, list and body that are kept, in characters and elements; a row's detail holds 16 KiB in all. */
const MAX_TEXT = 1024;
const MAX_LIST = 100;
const MAX_KEYS = 200;
const MAX_BODY = 12 * 1024;
/** Longest field of a body that is too long as a whole. */
const MAX_FIELD = 512;
/** Deeper than any schema goes. */
const MAX_DEPTH = 24;
/** Values looked at in one body. */
const MAX_VALUES = 5000;

/**
 * The body as the audit may keep it: at most 12 KiB of JSON.
 *
 * @param key of this log, kept outside of it
 */
export function redactBody(action: string, body: Json, key: MaskKey): Json {
  if (SECRET_BODIES.has(action)) return REMOVED;
  // `plugin set` takes a bare list of NAME=value, and any of them may be a secret.
  const kept =
    action === 'plugin.set' ? new Redaction(key).value(body, 'assign', 0) : new Redaction(key).value(body, 'mask', 0);
  const length = lengthOf(kept);
  return length <= MAX_BODY ? kept : summaryOf(kept, body, length, key);
}

/** The query as the audit may keep it, parameter by parameter. */
export function redactQuery(
  _action: string,
  query: Readonly<Record<string, readonly string[]>>,
  key: MaskKey,
): Readonly<Record<string, readonly string[]>> {
  const kept: Record<string, readonly string[]> = {};
  for (const [name, values] of Object.entries(query)) {
    kept[name] = values
      .slice(0, MAX_LIST)
      .map((value) => shortened(redactParameter(name.toLowerCase(), value, key), key));
  }
  return kept;
}

/**
 * A part of a body or query by its JSON pointer (`/body/Env/0`, `/query/buildargs/0`): what the audit keeps of the whole holds
 * for its parts.
 */
export function redactAt(action: string, pointer: string, value: Json, key: MaskKey): Json {
  const [, root, ...steps] = pointer.split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (root === 'query') {
    const name = (steps[0] ?? '').toLowerCase();
    const texts = Array.isArray(value) ? (value as readonly Json[]) : [value];
    const kept = texts.map((text) =>
      typeof text === 'string' ? shortened(redactParameter(name, text, key), key) : REMOVED,
    );
    return Array.isArray(value) ? kept : (kept[0] as string);
  }
  if (SECRET_BODIES.has(action)) return REMOVED;
  return new Redaction(key).value(value, ruleAt(steps, action === 'plugin.set' ? 'assign' : 'mask'), 0);
}

/** The rule for the value at a place. Elements of a list have the rule of the list. */
function ruleAt(steps: readonly string[], root: FieldRule): FieldRule {
  let rule = root;
  let isNamed = true;
  for (const step of steps) {
    if (rule === 'remove') return rule;
    if (/^(?:\d+|-)$/.test(step) && isNamed) continue;
    if (rule === 'values') rule = isTelling(step) ? 'mask' : 'values';
    else if (rule === 'map') rule = 'mask';
    else rule = FIELD_RULES.get(step.toLowerCase()) ?? 'mask';
    isNamed = rule !== 'values' && rule !== 'map';
  }
  return rule;
}

function redactParameter(name: string, value: string, key: MaskKey): string {
  if (MASKED_QUERY_MAPS.has(name)) return maskJsonMap(value, key, () => true);
  if (LABEL_QUERY_MAPS.has(name)) return maskJsonMap(value, key, isTelling);
  if (URL_PARAMETERS.has(name)) return maskAddress(value, key);
  if (INSTRUCTION_PARAMETERS.has(name)) return maskInstructions(value, key);
  if (ARGUMENT_PARAMETERS.has(name)) return maskArguments(value.split(' '), key).join(' ');
  if (name === 'filters') return maskFilters(value, key);
  if (isTelling(name) || MASKED_PARAMETERS.has(name)) return mask(value, key);
  return NAME_PARAMETERS.has(name) || PLAIN_VALUE.test(value) ? maskText(value, key) : mask(value, key);
}

/** Numbers, times, flags and the words of the engine. */
const PLAIN_VALUE = /^(?:-?[\d.]{1,20}[a-z]{0,2}|[a-z_-]{0,16}|\d{4}-\d\d-\d\d[T ]?[\d:.Z+-]{0,24})$/i;

/** `{"label":["name=value"]}` or `{"label":{"name=value":true}}`: labels are masked by their names. */
function maskFilters(text: string, key: MaskKey): string {
  let filters: unknown;
  try {
    filters = JSON.parse(text);
  } catch {
    return mask(text, key);
  }
  if (typeof filters !== 'object' || filters === null || Array.isArray(filters)) return mask(text, key);
  const masked = Object.entries(filters).map(([name, given]) => {
    const words = Array.isArray(given) ? given : Object.keys((given ?? {}) as object);
    const kept = words.map((word) => maskVariables(maskOptions(String(word), key), key));
    return [maskText(name, key), Array.isArray(given) ? kept : Object.fromEntries(kept.map((word) => [word, true]))];
  });
  return JSON.stringify(Object.fromEntries(masked));
}

/** A text that is itself JSON, as some labels are: by field like any body. Undefined for any other text. */
function maskDocument(text: string, key: MaskKey): string | undefined {
  const first = text.trimStart()[0];
  if (first !== '{' && first !== '[') return undefined;
  try {
    return textOf(new Redaction(key).value(JSON.parse(text) as Json, 'mask', 0));
  } catch {
    return mask(text, key);
  }
}

/** Values that are never kept, in the forms they are sent in: plain, and in base64. */
function addRemoved(text: string, secrets: Secrets): void {
  secrets.add(text);
  const plain = Buffer.from(text, 'base64');
  if (plain.length > 0 && plain.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, ''))
    secrets.add(plain.toString('utf8'));
}

function* textsIn(value: Json): Generator<string> {
  const open: Json[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next === 'string') yield next;
    else if (typeof next === 'object' && next !== null)
      for (const inner of Object.values(next)) if (inner !== undefined) open.push(inner as Json);
  }
}

/**
 * Adds the masked and removed values of a call to its secrets.
 *
 * @param secrets made with the key of the log
 */
export function collectSecrets(
  action: string,
  body: Json | undefined,
  query: Readonly<Record<string, readonly string[]>>,
  secrets: Secrets,
): void {
  const all = new Redaction(secrets, true);
  if (body !== undefined) {
    if (SECRET_BODIES.has(action)) all.value(body, 'remove', 0);
    else all.value(body, action === 'plugin.set' ? 'assign' : 'mask', 0);
  }
  for (const [name, values] of Object.entries(query))
    for (const value of values) redactParameter(name.toLowerCase(), value, secrets);
}

class Redaction {
  readonly #key: MaskKey;
  readonly #isWhole: boolean;
  #left = MAX_VALUES;

  /** @param isWhole every value is looked at, also of a body that is too long for a row */
  constructor(key: MaskKey, isWhole = false) {
    this.#key = key;
    this.#isWhole = isWhole;
  }

  /** @param rule of the field this value stands in; for an object without a field its members have their own */
  value(value: Json, rule: FieldRule, depth: number): Json {
    if (rule === 'remove') return this.#remove(value);
    if (depth > MAX_DEPTH || (!this.#isWhole && this.#left-- <= 0)) return this.#remove(value);
    if (typeof value === 'string') return shortened(this.#text(value, rule), this.#key);
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return this.#list(value as readonly Json[], rule, depth);
    return this.#members(value as JsonObject, rule, depth);
  }

  #remove(value: Json): Json {
    if (this.#key instanceof Secrets) for (const text of textsIn(value)) addRemoved(text, this.#key);
    return REMOVED;
  }

  #text(text: string, rule: FieldRule): string {
    switch (rule) {
      case 'keep':
      case 'argv':
        return maskText(text, this.#key);
      case 'assign':
        return maskAssignment(text, this.#key);
      // In a map or list of free form, options are written a=b,c=d, and variables may stand.
      case 'values':
        return maskDocument(text, this.#key) ?? maskVariables(maskOptions(text, this.#key), this.#key);
      case 'profile': {
        const at = text.search(/[{[]/);
        return at < 0
          ? maskText(text, this.#key)
          : `${maskText(text.slice(0, at), this.#key)}${mask(text.slice(at), this.#key)}`;
      }
      default:
        return mask(text, this.#key);
    }
  }

  #list(list: readonly Json[], rule: FieldRule, depth: number): Json {
    const first = this.#isWhole ? list : list.slice(0, MAX_LIST);
    const kept: Json[] =
      rule === 'argv' && first.every((item) => typeof item === 'string')
        ? maskArguments(first as string[], this.#key).map((text) => shortened(text, this.#key))
        : first.map((item) => this.value(item, rule, depth + 1));
    if (list.length > first.length) kept.push(`[${list.length - MAX_LIST} more]`);
    return kept;
  }

  #members(object: JsonObject, rule: FieldRule, depth: number): Json {
    // A name of the caller's own must not be taken for a field, nor for a prototype.
    const kept: Record<string, Json> = Object.create(null) as Record<string, Json>;
    let count = 0;
    for (const [name, value] of Object.entries(object)) {
      if (value === undefined) continue;
      if (++count > MAX_KEYS && !this.#isWhole) {
        kept['[more]'] = Object.keys(object).length - MAX_KEYS;
        break;
      }
      const isOwnName = rule === 'values' || rule === 'map';
      kept[isOwnName ? shortened(maskText(name, this.#key), this.#key) : name] = isOwnName
        ? this.#ownMember(name, value, rule, depth)
        : this.value(value, FIELD_RULES.get(name.toLowerCase()) ?? 'mask', depth + 1);
    }
    return kept;
  }

  #ownMember(name: string, value: Json, rule: FieldRule, depth: number): Json {
    if (rule === 'values' && typeof value === 'string' && isTelling(name)) return mask(value, this.#key);
    return this.value(value, rule === 'values' ? 'values' : 'mask', depth + 1);
  }
}

const shortened = (text: string, key: MaskKey): string =>
  text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT / 4)}… [${text.length} characters, ${mask(text, key)}]`;

const lengthOf = (value: Json): number => textOf(value).length;

const textOf = (value: Json): string =>
  JSON.stringify(value, (_name, inner: unknown) => (typeof inner === 'bigint' ? `${inner}` : inner));

/** A body too long for a row: its short fields, the names of the others, and a keyed hash of the whole. */
function summaryOf(kept: Json, body: Json, length: number, key: MaskKey): Json {
  const summary: Record<string, Json> = { summarised: { characters: length, hash: mask(textOf(body), key) } };
  if (typeof kept !== 'object' || kept === null || Array.isArray(kept)) return summary;
  const left: string[] = [];
  let room = MAX_BODY / 2;
  for (const [name, value] of Object.entries(kept as JsonObject)) {
    const size = value === undefined ? 0 : lengthOf(value) + name.length;
    if (size <= MAX_FIELD && size <= room) {
      summary[name] = value as Json;
      room -= size;
    } else if (left.length < MAX_LIST) left.push(name.slice(0, 64));
  }
  summary.left = left;
  return summary;
}

function maskJsonMap(text: string, key: MaskKey, hides: (name: string) => boolean): string {
  try {
    const map: unknown = JSON.parse(text);
    if (typeof map !== 'object' || map === null || Array.isArray(map)) return REMOVED;
    const kept = Object.entries(map).map(([name, value]) => [
      name,
      value === null ? null : hides(name) ? mask(String(value), key) : maskVariables(maskText(String(value), key), key),
    ]);
    return JSON.stringify(Object.fromEntries(kept));
  } catch {
    if (key instanceof Secrets) key.add(text);
    return REMOVED;
  }
}

/** Lines of a Dockerfile: what ENV and ARG set is masked, labels are masked by their names. */
const maskInstructions = (text: string, key: MaskKey): string =>
  text
    .split('\n')
    .map((line) => {
      const [, head = '', rest = ''] = /^(\s*(?:ONBUILD\s+)?(?:ENV|ARG)\s+)(.*)$/is.exec(line) ?? [];
      if (head === '') return maskVariables(maskText(line, key), key);
      // `NAME value to the end`, or any number of NAME=value.
      const name = /^[^\s=]+/.exec(rest)?.[0] ?? '';
      if (rest[name.length] !== '=') return `${head}${name} ${mask(rest.slice(name.length).trim(), key)}`;
      return `${head}${rest.replace(/([^\s="']+=)("[^"]*"|'[^']*'|[^\s"']+)/g, (_all, one: string, value: string) => `${one}${mask(value, key)}`)}`;
    })
    .join('\n');
