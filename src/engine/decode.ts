// Decodes the body of a call as the engine's own Go code would read it, in canonical form, or refuses it.
// What may be in a body is policy's business; that every reader agrees on what is in it is ours.
// See https://pkg.go.dev/encoding/json#Unmarshal and RFC 8259.
import { GatewayError } from '../errors.ts';
import type { JsonLimits } from './json.ts';
import { isEmptyValue, readAlong, readJson } from './json.ts';
import type { Schema, StructSchema } from './schema.ts';
import { BODIES_REQUIRED, BODY_SCHEMAS } from './schemas/bodies.ts';
import type { EngineCall, Json, JsonObject, LeftOut, Operation, Target } from './types.ts';

export type BodyKind = 'none' | 'json' | 'opaque';

/** Largest body a client may send along where none belongs; dockerode repeats its query there. */
const MAX_NEEDLESS_BYTES = 64 * 1024;

const JSON_TYPE = /^[ \t]*application\/json[ \t]*(?:;[ \t]*charset=(?:"utf-8"|utf-8)[ \t]*)?;?[ \t]*$/i;
const FORM_TYPE = /application\/x-www-form-urlencoded|multipart\//i;

/** What an operation takes as its body, whatever the query says. */
export function bodyKindOf(operation: Operation): BodyKind {
  if (operation.body === undefined) return 'none';
  return operation.body === 'tar' ? 'opaque' : 'json';
}

/** As `bodyKindOf`, for one call: an image import from the request is an upload, other pulls and imports take no body. */
export function bodyKindOfTarget(target: Pick<Target, 'operation' | 'query'>): BodyKind {
  if (target.operation.id === 'ImageCreate' && target.query.fromSrc?.[0] === '-') return 'opaque';
  return bodyKindOf(target.operation);
}

/**
 * Decodes a body into canonical form: struct keys in the engine's spelling, a bare string for a list as a list of one,
 * null dropped where it sets nothing. Opaque bodies are not read: only their content type is judged.
 *
 * Empty is `undefined`, which the engine reads as a body of zero values; container create and auth need one.
 * Fields no engine reads are left out, and named.
 *
 * @param contentType every Content-Type header line of the request
 * @param bytes the whole body, empty for an opaque one
 * @param leftOut takes the fields that were left out although they said something
 * @throws {GatewayError} `content-type-unsupported`, `body-too-large`, `body-malformed`, `body-ambiguous`, `body-not-allowed`
 */
export function decodeBody(
  target: Target,
  contentType: readonly string[],
  bytes: Uint8Array,
  limits: Partial<JsonLimits> = {},
  leftOut: LeftOut[] = [],
): Json | undefined {
  switch (bodyKindOfTarget(target)) {
    case 'opaque':
      refuseForm(contentType);
      return undefined;
    case 'none':
      if (bytes.byteLength > 0 && target.operation.method !== 'OPTIONS')
        dropNeedless(target.operation, contentType, bytes);
      return undefined;
    case 'json':
      return decodeJson(target.operation, contentType, bytes, limits, leftOut);
  }
}

function decodeJson(
  operation: Operation,
  contentType: readonly string[],
  bytes: Uint8Array,
  limits: Partial<JsonLimits>,
  leftOut: LeftOut[],
): Json | undefined {
  const name = operation.body as string;
  const schema = BODY_SCHEMAS.get(name);
  if (schema === undefined) throw new GatewayError('internal', `no schema is known for the body ${name}`);
  if (bytes.byteLength === 0) {
    if (BODIES_REQUIRED.has(name))
      throw new GatewayError('body-malformed', `${EMPTY_JSON}: ${operation.id} needs a JSON body`);
    return undefined;
  }
  requireJson(contentType);
  const value = readJsonBody(bytes, schema, limits, leftOut);
  if (value === null && BODIES_REQUIRED.has(name)) {
    throw new GatewayError('body-malformed', `${operation.id} needs a JSON object as its body, got null`);
  }
  return value;
}

/** The engine's own words for an empty body, which clients and suites know. */
export const EMPTY_JSON = 'invalid JSON: got EOF while reading request body';

/** Text that is no JSON, or JSON that does not fit this body, is told in the engine's words with the gateway's behind them. */
function readJsonBody(bytes: Uint8Array, schema: Schema, limits: Partial<JsonLimits>, leftOut: LeftOut[]): Json {
  try {
    return readAlong(bytes, schema, limits, leftOut);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'body-malformed') throw error;
    // The engine reads a body to its end as JSON before it looks at the types in it.
    const cause = syntaxFault(bytes, limits) ?? error;
    throw new GatewayError('body-malformed', `invalid JSON: ${cause.message}`, { cause });
  }
}

/** What keeps bytes from being JSON of any type; undefined where nothing does. */
function syntaxFault(bytes: Uint8Array, limits: Partial<JsonLimits>): GatewayError | undefined {
  try {
    readJson(bytes, limits);
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'body-malformed') return error;
  }
  return undefined;
}

function requireJson(contentType: readonly string[]): void {
  const [only] = contentType;
  if (contentType.length !== 1 || only === undefined) {
    throw new GatewayError(
      'content-type-unsupported',
      contentType.length === 0
        ? "malformed Content-Type header (): must be 'application/json'"
        : `unsupported Content-Type header: must be 'application/json', once, got ${contentType.length} of them`,
    );
  }
  if (!JSON_TYPE.test(only)) {
    throw new GatewayError(
      'content-type-unsupported',
      `unsupported Content-Type header (${printable(only)}): must be 'application/json', in UTF-8`,
    );
  }
}

const printable = (line: string): string => line.slice(0, 100).replace(/[^\x20-\x7e]/g, '?');

/** The engine merges forms into the query, behind the judged values. */
function refuseForm(contentType: readonly string[]): void {
  for (const line of contentType) {
    if (FORM_TYPE.test(line)) {
      throw new GatewayError(
        'content-type-unsupported',
        `unsupported Content-Type header (${printable(line)}): a form is no body here`,
      );
    }
  }
}

/**
 * Bodies where none belongs are never sent on. Two come from real clients and pass: dockerode repeats the query of a
 * POST as a JSON object, and some send `{}` or `null` to start. Engines below API 1.24 read a HostConfig from the body
 * of a start, newer ones refuse it, so there nothing else passes.
 */
function dropNeedless(operation: Operation, contentType: readonly string[], bytes: Uint8Array): void {
  refuseForm(contentType);
  const refuse = (): never => {
    throw new GatewayError('body-not-allowed', `${operation.id} takes no body, got ${bytes.byteLength} bytes`);
  };
  if (operation.method !== 'POST' || bytes.byteLength > MAX_NEEDLESS_BYTES) refuse();
  const [only] = contentType;
  if (contentType.length !== 1 || only === undefined || !JSON_TYPE.test(only)) refuse();
  let value: Json = null;
  try {
    value = readJson(bytes);
  } catch {
    refuse();
  }
  if (value !== null && (typeof value !== 'object' || Array.isArray(value))) refuse();
  if (operation.id === 'ContainerStart' && value !== null && Object.keys(value as JsonObject).length > 0) refuse();
}

/** A non-empty field no schema knows. */
export interface UnknownField {
  /** `HostConfig.FutureThing` */
  readonly path: string;
  /** Schema the field was found in: `HostConfig`. */
  readonly struct: string;
  /** The struct decides what a container reaches or an object gives away: presets refuse the field. Elsewhere it passes. */
  readonly secure: boolean;
}

const NONE: readonly UnknownField[] = Object.freeze([]);
/** Frozen bodies already looked through. */
const unknownCache = new WeakMap<object, readonly UnknownField[]>();

/** Non-empty fields of a decoded body that no schema knows, in the order they come. */
export function unknownFieldsOf(call: Pick<EngineCall, 'operation' | 'body'>): readonly UnknownField[] {
  const { body } = call;
  const schema = BODY_SCHEMAS.get(call.operation.body ?? '');
  if (schema === undefined || typeof body !== 'object' || body === null) return NONE;
  const known = unknownCache.get(body);
  if (known !== undefined) return known;
  const found = findUnknown(schema, body);
  if (Object.isFrozen(body)) unknownCache.set(body, found);
  return found;
}

/** Where a value stands, as a way back to the top: written out for what is found alone. */
interface Place {
  readonly above: Place | undefined;
  /** A field, a key of a map, or a position in a list. */
  readonly step: string | number;
  readonly isKey: boolean;
}

interface Waiting {
  readonly schema: Schema;
  readonly value: Json | undefined;
  readonly place: Place | undefined;
}

function pathOf(place: Place | undefined): string {
  if (place === undefined) return '';
  const { above, step, isKey } = place;
  const before = pathOf(above);
  if (typeof step === 'number') return `${before}[${step}]`;
  if (isKey) return `${before}[${JSON.stringify(step)}]`;
  return before === '' ? step : `${before}.${step}`;
}

const isLeaf = (value: Json | undefined): boolean => typeof value !== 'object' || value === null;

function findUnknown(root: Schema, body: Json): readonly UnknownField[] {
  const found: UnknownField[] = [];
  const waiting: Waiting[] = [{ schema: root, value: body, place: undefined }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { schema, value, place } = next;
    if (typeof value !== 'object' || value === null) continue;
    // Pushed backwards, so that findings come in the order of the body.
    if (schema.kind === 'list' && Array.isArray(value)) {
      const items = value as readonly Json[];
      for (let i = items.length - 1; i >= 0; i -= 1) {
        if (!isLeaf(items[i]))
          waiting.push({ schema: schema.of, value: items[i], place: { above: place, step: i, isKey: false } });
      }
    } else if (schema.kind === 'map') {
      const object = value as JsonObject;
      const keys = Object.keys(object);
      for (let i = keys.length - 1; i >= 0; i -= 1) {
        const key = keys[i] as string;
        const item = object[key];
        if (!isLeaf(item))
          waiting.push({ schema: schema.of, value: item, place: { above: place, step: key, isKey: true } });
      }
    } else if (schema.kind === 'struct') {
      findInStruct(schema, value as JsonObject, place, found, waiting);
    }
  }
  return Object.freeze(found);
}

function findInStruct(
  schema: StructSchema,
  value: JsonObject,
  above: Place | undefined,
  found: UnknownField[],
  waiting: Waiting[],
): void {
  const deeper: Waiting[] = [];
  for (const key of Object.keys(value)) {
    const item = value[key];
    const field = schema.exact.get(key);
    const place = { above, step: key, isKey: false };
    if (field?.rule === 'keep') {
      if (!isLeaf(item)) deeper.push({ schema: field.schema, value: item, place });
    } else if (!isEmptyValue(item)) found.push({ path: pathOf(place), struct: schema.name, secure: schema.secure });
  }
  for (let i = deeper.length - 1; i >= 0; i -= 1) waiting.push(deeper[i] as Waiting);
}
