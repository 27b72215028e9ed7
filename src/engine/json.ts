// Reads JSON text in one pass along a schema, without recursion, and writes it again. Stricter than RFC 8259 where two
// parsers could differ: a key twice with two values, lone surrogates, NUL and trailing content are refused (I-JSON agrees).
// What a body's fields mean is not known here: see schemas/ and decode.ts.

import type { ErrorCode } from '../errors.ts';
import { GatewayError } from '../errors.ts';
import type { Field, IntSchema, Schema } from './schema.ts';
import { describe, foldKey, plainJson, unknownValue } from './schema.ts';
import type { Json, JsonObject, LeftOut } from './types.ts';

export interface JsonLimits {
  /** Bytes of the whole text. */
  readonly maxBytes: number;
  /** Objects and lists inside each other. */
  readonly maxDepth: number;
  /** Elements of one list. */
  readonly maxElements: number;
  /** Keys of one object, but for maps that say more. */
  readonly maxKeys: number;
  /** Keys and elements of the whole text together; a port of a map of ports brings room for its bindings. */
  readonly maxValues: number;
}

/** A list, its element, and that one's two keys. */
const VALUES_OF_PORT = 4;

/**
 * Bodies of real clients stay below 200 KB, 12 levels and a few hundred elements; the largest legitimate ones carry a
 * secret or config of up to 1 MB in base64, thousands of environment variables, or every port there is (see `portMap`), at 63
 * bytes or more for a port and its binding. A hundred thousand keys of other objects, of one or of many, would only take time. The engine
 * itself allows any size and 10 000 levels, so these limits only ever refuse more.
 */
export const DEFAULT_LIMITS: JsonLimits = {
  maxBytes: 8 * 1024 * 1024,
  maxDepth: 100,
  maxElements: 10_000,
  maxKeys: 10_000,
  maxValues: 50_000,
};

/** The setting behind `maxBytes`, named where it is met. */
export const BODY_SETTING = 'limits.bodyBytes';

/** Longest number read: beyond it no engine field keeps the value, and big integers cost more than linear time. */
const MAX_NUMBER_LENGTH = 400;
const MAX_INTEGER_LENGTH = 40;
/** Digits that always fit a double exactly. */
const SAFE_DIGITS = 15;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const MINUS = 0x2d;

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

type MutableObject = { [key: string]: Json | undefined };

interface Frame {
  readonly schema: Schema;
  /** Exactly one of the two is set. */
  readonly object: MutableObject | undefined;
  readonly list: Json[] | undefined;
  count: number;
  /** Key of the value being read, as it will be kept. */
  key: string;
  field: Field | undefined;
  /** Index of the field that is likely to come next. */
  next: number;
  /** Bit set of known fields already seen. */
  seen0: number;
  seen1: number;
  seen2: number;
  seen3: number;
  /** Values of keys whose value is not kept under the name of a field, by folded key. */
  folded: Map<string, Json | undefined> | undefined;
  /** The key being read stood there before, with this value: a second one must be equal. */
  again: { readonly first: Json | undefined; readonly key: string } | undefined;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8Writer = new TextEncoder();

/**
 * Reads plain JSON: `filters` and the like, where no struct stands behind it. Exact duplicates are refused at every depth.
 *
 * @throws {GatewayError} `body-malformed`, `body-ambiguous`, `body-too-large`
 */
export function readJson(bytes: Uint8Array, limits: Partial<JsonLimits> = {}): Json {
  return readAlong(bytes, plainJson, limits);
}

/**
 * Reads JSON along a schema: keys of structs in canonical spelling, values in the types the engine's structs have. A field no
 * schema knows is left out, but for those of structs that decide what a container reaches.
 *
 * @param leftOut takes the fields that were left out although they said something
 * @throws {GatewayError} `body-malformed`, `body-ambiguous`, `body-too-large`, naming the place
 */
export function readAlong(
  bytes: Uint8Array,
  schema: Schema,
  limits: Partial<JsonLimits> = {},
  leftOut: LeftOut[] = [],
): Json {
  const all = { ...DEFAULT_LIMITS, ...limits };
  if (bytes.byteLength > all.maxBytes) {
    throw new GatewayError(
      'body-too-large',
      `the body has ${bytes.byteLength} bytes, at most ${all.maxBytes} are served (setting ${BODY_SETTING})`,
    );
  }
  let source: string;
  try {
    source = utf8.decode(bytes);
  } catch {
    throw new GatewayError('body-malformed', 'the body is not valid UTF-8');
  }
  if (source.charCodeAt(0) === 0xfeff) {
    throw new GatewayError('body-malformed', 'the body starts with a byte order mark');
  }
  return readText(source, schema, all, leftOut);
}

/** Fields named at most: the rest of a body full of them is left out as well. */
const MAX_LEFT_OUT = 32;

/** Longest path shown, in characters: a deeply nested place is named by its beginning and its end. */
const MAX_PATH_LENGTH = 200;

/** Where the reader stands, for messages: `HostConfig.Mounts[0].Type`. */
function pathOf(stack: readonly Frame[]): string {
  let path = '';
  for (const frame of stack) {
    if (frame.list !== undefined) path += `[${frame.count}]`;
    else if (frame.key === '') continue;
    else if (frame.schema.kind === 'map') path += `[${JSON.stringify(shown(frame.key))}]`;
    else path += path === '' ? shown(frame.key) : `.${shown(frame.key)}`;
  }
  if (path.length > MAX_PATH_LENGTH) path = `${path.slice(0, MAX_PATH_LENGTH / 2)}...${path.slice(-40)}`;
  return path === '' ? 'the body' : path;
}

const shown = (value: string): string => (value.length > 60 ? `${value.slice(0, 60)}...` : value);

/** A character as the engine quotes it: `'x'`, `'\''`, `'\n'`. */
function quoted(source: string, at: number): string {
  const character = String.fromCodePoint(source.codePointAt(at) as number);
  if (character === "'") return "'\\''";
  return character === '"' ? `'"'` : `'${JSON.stringify(character).slice(1, -1)}'`;
}

/** Refuses a character that is not JSON where it stands, in the engine's words, with the place behind them. */
function failSyntax(stack: readonly Frame[], source: string, at: number, where: string): never {
  const path = pathOf(stack);
  const words = at >= source.length ? 'unexpected EOF' : `invalid character ${quoted(source, at)} ${where}`;
  throw new GatewayError('body-malformed', path === 'the body' ? words : `${words} (${path})`);
}

function fail(stack: readonly Frame[], message: string, code: ErrorCode = 'body-malformed'): never {
  throw new GatewayError(code, `${pathOf(stack)}: ${message}`);
}

function mismatch(stack: readonly Frame[], schema: Schema, got: string): never {
  throw new GatewayError('body-malformed', `${pathOf(stack)} must be ${describe(schema)}, got ${got}`);
}

/** Index of the closing quote, complemented (negative) when the string has escapes. */
function endOfString(source: string, from: number, stack: readonly Frame[]): number {
  let at = from;
  let escaped = false;
  for (;;) {
    const c = source.charCodeAt(at);
    if (c === QUOTE) return escaped ? ~at : at;
    if (c === BACKSLASH) {
      escaped = true;
      at += 2;
    } else if (c >= 0x20) at += 1;
    else failSyntax(stack, source, at, 'in string literal');
  }
}

/** Text of a string with escapes. The grammar of escapes is left to the platform, which reads them as Go does. */
function unescaped(source: string, from: number, end: number, stack: readonly Frame[]): string {
  let value: string;
  try {
    value = JSON.parse(source.slice(from - 1, end + 1)) as string;
  } catch {
    return fail(stack, 'a string holds an escape that is not JSON');
  }
  if (!value.isWellFormed()) fail(stack, 'a string holds a lone surrogate');
  if (value.includes('\0')) fail(stack, 'a string holds NUL');
  return value;
}

function endOfDigits(source: string, from: number): number {
  let at = from;
  for (let c = source.charCodeAt(at); c >= 0x30 && c <= 0x39; c = source.charCodeAt(at)) at += 1;
  return at;
}

/** Index after the number that starts at `from`; the sign of the result tells whether it is a plain integer. */
function endOfNumber(source: string, from: number, stack: readonly Frame[]): number {
  let at = source.charCodeAt(from) === MINUS ? from + 1 : from;
  const first = source.charCodeAt(at);
  const whole = endOfDigits(source, at);
  if (whole === at || (first === 0x30 && whole > at + 1)) fail(stack, 'a value is not JSON');
  at = whole;
  let plain = true;
  if (source.charCodeAt(at) === 0x2e) {
    plain = false;
    const end = endOfDigits(source, at + 1);
    if (end === at + 1) fail(stack, 'a number is not JSON');
    at = end;
  }
  const e = source.charCodeAt(at);
  if (e === 0x65 || e === 0x45) {
    plain = false;
    const sign = source.charCodeAt(at + 1);
    const digits = sign === 0x2b || sign === MINUS ? at + 2 : at + 1;
    const end = endOfDigits(source, digits);
    if (end === digits) fail(stack, 'a number is not JSON');
    at = end;
  }
  return plain ? at : ~at;
}

function wholeNumber(literal: string, schema: IntSchema, stack: readonly Frame[]): number | bigint {
  // ParseUint takes no sign at all, not even that of -0.
  if (schema.min === 0n && literal.charCodeAt(0) === MINUS) mismatch(stack, schema, shown(literal));
  const value = exactInteger(literal, stack);
  if (value < schema.min || value > schema.max) {
    throw new GatewayError(
      'body-malformed',
      `${pathOf(stack)} is out of the range of ${schema.type}: ${shown(literal)}`,
    );
  }
  return value;
}

function exactInteger(literal: string, stack: readonly Frame[]): number | bigint {
  if (literal.length > MAX_INTEGER_LENGTH) fail(stack, `a number has more than ${MAX_INTEGER_LENGTH} digits`);
  const value = Number(literal);
  // Adding 0 turns -0 into 0, so that equal values have one form.
  return Number.isSafeInteger(value) ? value + 0 : BigInt(literal);
}

function numberValue(literal: string, plain: boolean, schema: Schema, stack: readonly Frame[]): Json {
  if (schema.kind === 'int') {
    if (!plain) mismatch(stack, schema, shown(literal));
    return wholeNumber(literal, schema, stack);
  }
  if (schema.kind !== 'float' && schema.kind !== 'any') mismatch(stack, schema, 'a number');
  if (literal.length > MAX_NUMBER_LENGTH) fail(stack, `a number has more than ${MAX_NUMBER_LENGTH} characters`);
  if (schema.kind === 'any' && plain) return exactInteger(literal, stack);
  const value = Number(literal) + 0;
  const max = schema.kind === 'float' ? schema.max : Number.MAX_VALUE;
  if (!(Math.abs(value) <= max)) fail(stack, `the number ${shown(literal)} is out of range`);
  return value;
}

function textValue(value: string, schema: Schema, stack: readonly Frame[]): Json {
  switch (schema.kind) {
    case 'text':
    case 'any':
      return value;
    case 'choice': {
      // The engine upper-cases by Unicode, where other letters become ASCII ones; only ASCII is let through.
      const word = value.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
      if (!schema.words.includes(word) && (word !== '' || schema.required)) {
        mismatch(stack, schema, JSON.stringify(shown(value)));
      }
      return word;
    }
    case 'strings':
      return [value];
    case 'bytes':
      if (value.length % 4 !== 0 || !BASE64.test(value)) mismatch(stack, schema, 'a string that is not base64');
      return value;
    default:
      return mismatch(stack, schema, `the string ${JSON.stringify(shown(value))}`);
  }
}

/** null as Go reads it into a fresh struct; undefined where it leaves the field as if it were absent. */
function nullValue(schema: Schema, frame: Frame | undefined, stack: readonly Frame[]): Json | undefined {
  if (frame === undefined || schema.kind === 'any') return null;
  // The engine would see a zero value or, in a list of pointers, nothing at all where its code expects something.
  if (frame.list !== undefined) return mismatch(stack, schema, 'null');
  const isScalar =
    schema.kind === 'text' ||
    schema.kind === 'choice' ||
    schema.kind === 'bool' ||
    schema.kind === 'int' ||
    schema.kind === 'float' ||
    (schema.kind === 'list' && schema.length !== undefined);
  if (frame.schema.kind === 'struct') return isScalar ? undefined : null;
  if (schema.kind === 'text') return '';
  if (schema.kind === 'struct' && schema.exact.size === 0) return Object.create(null) as JsonObject;
  return null;
}

/** Whether a value is the zero value that stock clients send for a field they do not use. */
export function isEmptyValue(value: Json | undefined): boolean {
  const waiting: (Json | undefined)[] = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (next === undefined || next === null || next === '' || next === false || next === 0) continue;
    if (typeof next !== 'object') return false;
    if (Array.isArray(next)) {
      if (next.length > 0) return false;
      continue;
    }
    for (const key in next as JsonObject) waiting.push((next as JsonObject)[key]);
  }
  return true;
}

/** Marks a field as seen. */
function seenBefore(frame: Frame, index: number): boolean {
  const bit = 1 << (index & 31);
  let word: number;
  switch (index >> 5) {
    case 0:
      word = frame.seen0;
      frame.seen0 |= bit;
      break;
    case 1:
      word = frame.seen1;
      frame.seen1 |= bit;
      break;
    case 2:
      word = frame.seen2;
      frame.seen2 |= bit;
      break;
    default:
      word = frame.seen3;
      frame.seen3 |= bit;
  }
  return (word & bit) !== 0;
}

function twice(stack: readonly Frame[], key: string): never {
  const parents = stack.slice(0, -1);
  throw new GatewayError(
    'body-ambiguous',
    `${pathOf(parents)} has the key ${JSON.stringify(shown(key))} twice, with two values`,
  );
}

function tooManyValues({ maxValues }: JsonLimits): never {
  throw new GatewayError(
    'body-too-large',
    `the body has more than ${maxValues} keys and elements of lists; send what it makes in several calls`,
  );
}

/** Told before the value of the next key is read. */
function checkKeys({ schema, count }: Frame, maxKeys: number, stack: readonly Frame[]): void {
  const most = Math.max(maxKeys, (schema.kind === 'map' ? schema.maxKeys : undefined) ?? 0);
  if (count >= most) fail(stack, `the object has more than ${most} keys`, 'body-too-large');
}

/** Takes a key into the frame, marks the second of a kind, and tells which schema its value has. */
function takeKey(frame: Frame, key: string): Schema {
  frame.key = key;
  const { schema } = frame;
  if (schema.kind === 'struct') {
    const field = schema.exact.get(key) ?? schema.folded.get(foldKey(key));
    if (field !== undefined) {
      takeField(frame, field, key);
      return field.schema;
    }
    frame.field = undefined;
    takeFolded(frame, key);
    return unknownValue;
  }
  if (schema.kind === 'any' && schema.fold) {
    takeFolded(frame, key);
    return schema;
  }
  // No value of a map or of plain JSON is ever left out, so a missing one was not seen yet.
  const first = (frame.object as MutableObject)[key];
  if (first !== undefined) frame.again = { key, first };
  return schema.kind === 'map' ? schema.of : schema;
}

function takeField(frame: Frame, field: Field, key: string): void {
  frame.field = field;
  frame.key = field.name;
  frame.next = field.index + 1;
  if (!seenBefore(frame, field.index)) return;
  const isKept = field.rule === 'keep';
  frame.again = { key, first: isKept ? (frame.object as MutableObject)[field.name] : frame.folded?.get(field.name) };
}

function takeFolded(frame: Frame, key: string): void {
  const folded = foldKey(key);
  if (frame.folded?.has(folded) === true) frame.again = { key, first: frame.folded.get(folded) };
}

function attachToObject(frame: Frame, value: Json | undefined, stack: readonly Frame[], leftOut: LeftOut[]): void {
  const { field, again, schema } = frame;
  if (again !== undefined) {
    // Go merges the second of two values into the first, each kind in its own way. Only of two equal ones there is but one.
    if (!isEqual(again.first, value)) twice(stack, again.key);
    frame.again = undefined;
    return;
  }
  if (field !== undefined && field.rule !== 'keep') {
    frame.folded ??= new Map();
    frame.folded.set(field.name, value);
    if (field.rule === 'trap') note(leftOut, stack, value, field.hint);
    return;
  }
  if (field === undefined && schema.kind !== 'map') {
    if (schema.kind === 'struct' || (schema.kind === 'any' && schema.fold)) {
      frame.folded ??= new Map();
      frame.folded.set(foldKey(frame.key), value);
    }
    if (schema.kind === 'struct' && !schema.secure) {
      note(leftOut, stack, value);
      return;
    }
  }
  if (value !== undefined) (frame.object as MutableObject)[frame.key] = value;
}

/** Names a field that is left out, unless it said nothing. */
function note(leftOut: LeftOut[], stack: readonly Frame[], value: Json | undefined, trap?: string): void {
  if (isEmptyValue(value)) return;
  // What an old engine reads decides whether the call is served, so it is always named.
  if (leftOut.length >= MAX_LEFT_OUT && trap === undefined) return;
  leftOut.push(trap === undefined ? { at: pathOf(stack) } : { at: pathOf(stack), trap });
}

/** Whether two values are one: keys in any order, integers whether they fit a double or not. */
export function isEqual(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item: Json, i) => isEqual(item, b[i] as Json));
  }
  const keys = Object.keys(a);
  const right = b as JsonObject;
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(right, key) && isEqual((a as JsonObject)[key], right[key]))
  );
}

function requireFields(frame: Frame, stack: readonly Frame[]): void {
  if (frame.schema.kind !== 'struct') return;
  for (const field of frame.schema.required) {
    if ((frame.object as MutableObject)[field.name] !== undefined) continue;
    frame.key = field.name;
    mismatch(stack, field.schema, 'nothing');
  }
}

function newFrame(schema: Schema, isList: boolean): Frame {
  return {
    schema,
    object: isList ? undefined : (Object.create(null) as MutableObject),
    list: isList ? [] : undefined,
    count: 0,
    key: '',
    field: undefined,
    next: 0,
    seen0: 0,
    seen1: 0,
    seen2: 0,
    seen3: 0,
    folded: undefined,
    again: undefined,
  };
}

/** Whether the three characters after the first are these; cheaper than comparing a string. */
const isWord = (source: string, at: number, b: number, c: number, d: number): boolean =>
  source.charCodeAt(at + 1) === b && source.charCodeAt(at + 2) === c && source.charCodeAt(at + 3) === d;

function readText(source: string, root: Schema, limits: JsonLimits, leftOut: LeftOut[]): Json {
  const stack: Frame[] = [];
  let frame: Frame | undefined;
  let schema = root;
  let at = 0;
  let room = limits.maxValues;
  let c: number;
  let value: Json | undefined;

  for (;;) {
    c = source.charCodeAt(at);
    while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = source.charCodeAt(++at);

    let opened = false;
    if (c === QUOTE) {
      let end = endOfString(source, at + 1, stack);
      let string: string;
      if (end >= 0) string = source.slice(at + 1, end);
      else {
        end = ~end;
        string = unescaped(source, at + 1, end, stack);
      }
      at = end + 1;
      value = schema.kind === 'text' ? string : textValue(string, schema, stack);
    } else if (c === OPEN_OBJECT) {
      if (schema.kind !== 'struct' && schema.kind !== 'map' && schema.kind !== 'any')
        mismatch(stack, schema, 'an object');
      if (stack.length >= limits.maxDepth) fail(stack, `more than ${limits.maxDepth} levels of objects and lists`);
      if (source.charCodeAt(at + 1) === CLOSE_OBJECT && !(schema.kind === 'struct' && schema.required.length > 0)) {
        value = Object.create(null) as JsonObject;
        at += 2;
      } else {
        frame = newFrame(schema, false);
        stack.push(frame);
        opened = true;
        at += 1;
      }
    } else if (c === OPEN_LIST) {
      if (schema.kind !== 'list' && schema.kind !== 'strings' && schema.kind !== 'any')
        mismatch(stack, schema, 'a list');
      if (stack.length >= limits.maxDepth) fail(stack, `more than ${limits.maxDepth} levels of objects and lists`);
      if (source.charCodeAt(at + 1) === CLOSE_LIST && !(schema.kind === 'list' && schema.length !== undefined)) {
        value = [];
        at += 2;
      } else {
        frame = newFrame(schema, true);
        stack.push(frame);
        opened = true;
        at += 1;
      }
    } else if (c === MINUS || (c >= 0x30 && c <= 0x39)) {
      let end = endOfNumber(source, at, stack);
      const plain = end >= 0;
      if (!plain) end = ~end;
      // Short unsigned integers are most of the numbers there are.
      if (plain && schema.kind === 'int' && schema.wide && c !== MINUS && end - at <= SAFE_DIGITS) {
        let number = 0;
        for (let i = at; i < end; i += 1) number = number * 10 + source.charCodeAt(i) - 0x30;
        value = number;
      } else value = numberValue(source.slice(at, end), plain, schema, stack);
      at = end;
    } else if (c === 0x74 && isWord(source, at, 0x72, 0x75, 0x65)) {
      if (schema.kind !== 'bool' && schema.kind !== 'any') mismatch(stack, schema, 'true');
      value = true;
      at += 4;
    } else if (c === 0x66 && isWord(source, at, 0x61, 0x6c, 0x73) && source.charCodeAt(at + 4) === 0x65) {
      if (schema.kind !== 'bool' && schema.kind !== 'any') mismatch(stack, schema, 'false');
      value = false;
      at += 5;
    } else if (c === 0x6e && isWord(source, at, 0x75, 0x6c, 0x6c)) {
      value = nullValue(schema, frame, stack);
      at += 4;
    } else failSyntax(stack, source, at, 'looking for beginning of value');

    // Take the value up, close what ends, and stop where the next value starts.
    for (;;) {
      if (frame === undefined) {
        c = source.charCodeAt(at);
        while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = source.charCodeAt(++at);
        if (at < source.length)
          throw new GatewayError(
            'body-malformed',
            'unexpected content after JSON: the body goes on after the JSON value',
          );
        return value as Json;
      }
      if (!opened) {
        if (frame.list !== undefined) {
          frame.list.push(value as Json);
          frame.count += 1;
        } else attachToObject(frame, value, stack, leftOut);
      }
      c = source.charCodeAt(at);
      while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = source.charCodeAt(++at);

      if (frame.list !== undefined) {
        if (c === CLOSE_LIST) {
          const { list } = frame;
          const wanted: number | undefined = frame.schema.kind === 'list' ? frame.schema.length : undefined;
          stack.pop();
          if (wanted !== undefined && list.length !== wanted)
            fail(stack, `must be a list of ${wanted}, got ${list.length}`);
          value = list;
          frame = stack[stack.length - 1];
          opened = false;
          at += 1;
          continue;
        }
        if (!opened) {
          if (c !== COMMA) failSyntax(stack, source, at, 'after array element');
          at += 1;
        }
        if (frame.count >= limits.maxElements) {
          fail(stack, `the list has more than ${limits.maxElements} elements`, 'body-too-large');
        }
        if (--room < 0) tooManyValues(limits);
        schema = frame.schema.kind === 'list' ? frame.schema.of : frame.schema.kind === 'strings' ? TEXT : frame.schema;
        break;
      }

      if (c === CLOSE_OBJECT) {
        value = frame.object;
        if (frame.schema.kind === 'struct' && frame.schema.required.length > 0) requireFields(frame, stack);
        stack.pop();
        frame = stack[stack.length - 1];
        opened = false;
        at += 1;
        continue;
      }
      if (!opened) {
        if (c !== COMMA) failSyntax(stack, source, at, 'after object key:value pair');
        c = source.charCodeAt(++at);
        while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = source.charCodeAt(++at);
      }
      // Until the next key is read, what goes wrong goes wrong in the object itself.
      frame.key = '';
      if (c !== QUOTE) {
        failSyntax(stack, source, at, 'looking for beginning of object key string');
      }
      if (frame.count >= limits.maxKeys) checkKeys(frame, limits.maxKeys, stack);
      frame.count += 1;
      if (frame.schema.kind === 'map' && frame.schema.maxKeys !== undefined) room += VALUES_OF_PORT;
      else if (--room < 0) tooManyValues(limits);
      const guess: Field | undefined = frame.schema.kind === 'struct' ? frame.schema.order[frame.next] : undefined;
      if (
        guess !== undefined &&
        source.startsWith(guess.name, at + 1) &&
        source.charCodeAt(at + 1 + guess.name.length) === QUOTE
      ) {
        at += guess.name.length + 2;
        takeField(frame, guess, guess.name);
        schema = guess.schema;
      } else {
        let end = endOfString(source, at + 1, stack);
        let key: string;
        if (end >= 0) key = source.slice(at + 1, end);
        else {
          end = ~end;
          key = unescaped(source, at + 1, end, stack);
        }
        at = end + 1;
        schema = takeKey(frame, key);
      }
      c = source.charCodeAt(at);
      while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = source.charCodeAt(++at);
      if (c !== COLON) failSyntax(stack, source, at, 'after object key');
      at += 1;
      break;
    }
  }
}

const TEXT: Schema = { kind: 'text' };

/**
 * Writes JSON: same value, same text. Keys keep their order, integers their digits, no white space.
 *
 * @throws {GatewayError} `body-malformed` for a number JSON cannot hold
 */
export function stringifyJson(value: Json): string {
  if (typeof value !== 'object' || value === null) return scalarText(value);
  let out = '';
  const stack: Writing[] = [];
  let top: Writing | undefined = startWriting(value);
  out += top.keys === undefined ? '[' : '{';
  while (top !== undefined) {
    if (top.at === top.length) {
      out += top.keys === undefined ? ']' : '}';
      top = stack.pop();
      continue;
    }
    let item: Json | undefined;
    if (top.keys === undefined) {
      item = (top.value as readonly Json[])[top.at];
      if (top.at > 0) out += ',';
    } else {
      const key: string = top.keys[top.at] as string;
      item = (top.value as JsonObject)[key];
      if (item === undefined) {
        top.at += 1;
        continue;
      }
      out += top.written ? `,${textOf(key)}:` : `${textOf(key)}:`;
      top.written = true;
    }
    top.at += 1;
    if (typeof item !== 'object' || item === null) out += scalarText(item);
    else {
      stack.push(top);
      top = startWriting(item);
      out += top.keys === undefined ? '[' : '{';
    }
  }
  return out;
}

interface Writing {
  readonly value: object;
  /** Keys of an object, undefined for a list. */
  readonly keys: readonly string[] | undefined;
  readonly length: number;
  at: number;
  written: boolean;
}

function startWriting(value: readonly Json[] | JsonObject): Writing {
  const keys = Array.isArray(value) ? undefined : Object.keys(value);
  const length = keys === undefined ? (value as readonly Json[]).length : keys.length;
  return { value, keys, length, at: 0, written: false };
}

/** Text that needs no escape is most of it. */
const PLAIN_TEXT = /^[ !#-[\]-\ud7ff]*$/;
const textOf = (value: string): string =>
  value.length < 64 && PLAIN_TEXT.test(value) ? `"${value}"` : JSON.stringify(value);

/** Bytes of `stringifyJson`. */
export function writeJson(value: Json): Uint8Array {
  return utf8Writer.encode(stringifyJson(value));
}

function scalarText(value: null | boolean | number | bigint | string | undefined): string {
  if (typeof value === 'string') return textOf(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new GatewayError('body-malformed', `${value} is not a number JSON can hold`);
    // A large double is written with an exponent, so that it is not taken for an exact integer when read again.
    return Math.abs(value) > Number.MAX_SAFE_INTEGER ? value.toExponential() : String(value + 0);
  }
  return value === true ? 'true' : value === false ? 'false' : 'null';
}
