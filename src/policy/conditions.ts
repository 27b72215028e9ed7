// Conditions of a rule (`when:`), written in CEL and fenced: every name has a type known before the first call, regular
// expressions are refused, loops and sizes are bounded. See https://cel.dev and the Engine API reference for body fields.
import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { cleanPath } from '../engine/mounts.ts';
import { OPERATIONS } from '../engine/operations.ts';
import type { Schema, StructSchema } from '../engine/schema.ts';
import { BODY_SCHEMAS } from '../engine/schemas/bodies.ts';
import { hostConfig } from '../engine/schemas/host-config.ts';
import type { Json, JsonObject } from '../engine/types.ts';
import { expandAction } from './actions.ts';
import { hostPathsOf, isOnePath } from './host-paths.ts';
import { compileGlob } from './match.ts';
import type { DecisionInput } from './types.ts';
import { normalSource } from './windows.ts';

/** A compiled condition. */
export interface Condition {
  readonly text: string;
  /** Reads the objects of the call, so their names and labels must be known. */
  readonly readsResources: boolean;
  /** @throws when it cannot be evaluated; the caller takes that for a denial */
  holds(input: DecisionInput): boolean;
}

/** Bounds of one condition. A longer one is better written as several, or as rules. */
const LIMITS = { maxAstNodes: 500, maxDepth: 24, maxListElements: 200, maxMapEntries: 100, maxCallArguments: 16 };
const MAX_LENGTH = 4096;
/** Loops (`all`, `exists`, ...) inside one another. */
const MAX_NESTED_LOOPS = 2;
/** Most elements of one list or map of a call that a condition looks at: with two nested loops a million steps. */
const MAX_ELEMENTS = 1000;
const LOOPS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'existsOne', 'map', 'filter']);
/** Regular expressions may take exponential time on the caller's text. */
const REFUSED_CALLS: Readonly<Record<string, string>> = {
  matches: 'matches() may take a caller-chosen text for ever; use glob(text, pattern), startsWith or endsWith',
};

/** What conditions speak of, besides `body`. */
const VARIABLES = 'principal, call, query, resources, body, host, source';

/**
 * The fault of a condition; undefined when it has none.
 *
 * @param actions patterns of the rule: they say what `body` holds
 */
export function faultOfCondition(text: string, actions: readonly string[]): string | undefined {
  if (text.length > MAX_LENGTH) return `the condition is longer than ${MAX_LENGTH} characters; write several`;
  try {
    const parsed = environmentFor(actions).parse(text);
    const fault = faultOfTree(parsed.ast, 0);
    if (fault !== undefined) return fault;
    const { valid, type, error } = parsed.check();
    if (!valid) return tell(error);
    return type === 'bool' ? undefined : `the condition gives ${type ?? 'nothing'}; it must be true or false`;
  } catch (error) {
    return tell(error);
  }
}

function tell(error: unknown): string {
  const message = error instanceof Error ? (error.message.split('\n')[0] ?? '') : 'it cannot be read';
  const hint = /^Unknown variable/.test(message) ? `; known: ${VARIABLES}` : '';
  return `${message.replace(/\.$/, '')}${hint}`;
}

/** Walks the tree for calls that are not allowed and for loops that are nested too deeply. */
function faultOfTree(node: ASTNode, loops: number): string | undefined {
  let inner = loops;
  if (node.op === 'call' || node.op === 'rcall') {
    const name = node.args[0];
    if (Object.hasOwn(REFUSED_CALLS, name)) return REFUSED_CALLS[name];
    if (node.op === 'rcall' && LOOPS.has(name)) inner += 1;
    if (inner > MAX_NESTED_LOOPS) return `${name}() is the third loop inside one another, two are the most`;
  }
  return faultOfArguments(node.args, inner);
}

function faultOfArguments(args: unknown, loops: number): string | undefined {
  if (Array.isArray(args)) {
    for (const item of args) {
      const fault = faultOfArguments(item, loops);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }
  return isNode(args) ? faultOfTree(args, loops) : undefined;
}

const isNode = (value: unknown): value is ASTNode =>
  typeof value === 'object' && value !== null && 'op' in value && 'args' in value;

function namesIn(node: unknown, names: Set<string>): Set<string> {
  if (Array.isArray(node)) for (const item of node) namesIn(item, names);
  else if (isNode(node)) {
    if (node.op === 'id') names.add(node.args);
    namesIn(node.args, names);
  }
  return names;
}

/** Whether a condition reads `host.binds`: volumes and containers then have to be looked up. */
function readsBinds(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(readsBinds) || node.includes('binds');
  return isNode(node) && (node.args === 'binds' || readsBinds(node.args));
}

/** Compiles a condition that `faultOfCondition` found nothing wrong with. */
export function compileCondition(text: string, actions: readonly string[]): Condition {
  const schema = bodySchemaOf(actions);
  const parsed = environmentFor(actions).parse(text);
  if (!parsed.check().valid) throw new TypeError(`the condition ${text} was not checked`);
  const names = namesIn(parsed.ast, new Set());
  return {
    text,
    readsResources: names.has('resources') || readsBinds(parsed.ast),
    holds: (input) => parsed(contextOf(input, names, schema)) === true,
  };
}

/** The one body schema of all the actions; undefined when they have several or none. */
function bodySchemaOf(actions: readonly string[]): StructSchema | undefined {
  const named = new Set(actions.flatMap(expandAction));
  const bodies = new Set(OPERATIONS.filter((o) => o.served && named.has(o.action)).map((o) => o.body));
  const [only] = bodies;
  const schema = bodies.size === 1 && only !== undefined ? BODY_SCHEMAS.get(only) : undefined;
  return schema?.kind === 'struct' ? schema : undefined;
}

/** The words of conditions, for documentation: variables and fields with their types, and the functions beside those of CEL. */
export function conditionWords(): {
  readonly variables: readonly (readonly [name: string, type: string])[];
  readonly types: readonly (readonly [name: string, fields: readonly (readonly [name: string, type: string])[]])[];
  readonly functions: readonly string[];
} {
  const { variables, functions } = makeEnvironment(undefined).getDefinitions();
  return {
    variables: variables
      .filter(({ name }) => VARIABLES.split(', ').includes(name))
      .map(({ name, type }) => [name, type] as const),
    types: Object.entries(FIELDS).map(([name, fields]) => [name, Object.entries(fields)] as const),
    functions: functions
      .map(({ signature }) => signature)
      .filter((signature) => OWN_FUNCTIONS.some((name) => signature.startsWith(`${name}(`))),
  };
}

const OWN_FUNCTIONS: readonly string[] = ['under', 'glob'];

/** Fields of the types conditions speak of; those of bodies are the Engine API's. */
const FIELDS = {
  Principal: {
    subject: 'string',
    issuer: 'string',
    tenant: 'string',
    groups: 'list<string>',
    channel: 'string',
    claims: 'map<string, dyn>',
  },
  Call: { action: 'string', operation: 'string', class: 'string', apiVersion: 'string' },
  Resource: {
    kind: 'string',
    name: 'string',
    role: 'string',
    at: 'string',
    id: 'string',
    exists: 'bool',
    labels: 'map<string, string>',
  },
  HostPath: { source: 'string', target: 'string', readOnly: 'bool', at: 'string' },
} as const;

const environments = new Map<StructSchema | undefined, Environment>();

function environmentFor(actions: readonly string[]): Environment {
  const schema = bodySchemaOf(actions);
  let known = environments.get(schema);
  if (known === undefined) {
    known = makeEnvironment(schema);
    environments.set(schema, known);
  }
  return known;
}

function makeEnvironment(body: StructSchema | undefined): Environment {
  const environment = new Environment({ unlistedVariablesAreDyn: false, limits: LIMITS });
  const types = new Map<StructSchema, string>();
  const settings = fieldsOf(environment, hostConfig, types);
  environment
    .registerType('HostPath', { fields: FIELDS.HostPath })
    // HostConfig, and beside it every host path of the call as the engine reads it.
    .registerType('Host', { fields: { ...settings, binds: 'list<HostPath>' } })
    .registerType('Principal', { fields: FIELDS.Principal })
    .registerType('Call', { fields: FIELDS.Call })
    .registerType('Resource', { fields: FIELDS.Resource })
    .registerVariable('principal', 'Principal')
    .registerVariable('call', 'Call')
    .registerVariable('source', 'string')
    .registerVariable('query', 'map<string, list<string>>')
    .registerVariable('resources', 'list<Resource>')
    .registerVariable('host', 'Host')
    .registerVariable('body', body === undefined ? 'dyn' : registerStruct(environment, body, types))
    .registerFunction('under(string, string): bool', isUnder)
    .registerFunction('glob(string, string): bool', (text: string, pattern: string) => compileGlob(pattern)(text));
  return environment;
}

/**
 * Whether an absolute path is a folder or lies below it, after both have been cleaned.
 *
 * @throws {TypeError} for a text that is no path: an entry of Binds cleaned as one would lead elsewhere than the engine goes
 */
function isUnder(path: string, base: string): boolean {
  for (const text of [path, base]) {
    if (isOnePath(text)) continue;
    throw new TypeError(
      `under() takes absolute paths, not ${JSON.stringify(text.slice(0, 80))}; host.binds has them parsed`,
    );
  }
  const root = cleanPath(base);
  const clean = cleanPath(path);
  return root === '/' || clean === root || clean.startsWith(`${root}/`);
}

/** Declares a struct of the Engine API, and those within it, under its own name. */
function registerStruct(environment: Environment, schema: StructSchema, types: Map<StructSchema, string>): string {
  const known = types.get(schema);
  if (known !== undefined) return known;
  const name = `Engine${types.size}_${schema.name.replace(/[^A-Za-z0-9]/g, '')}`;
  types.set(schema, name);
  environment.registerType(name, { fields: { ...fieldsOf(environment, schema, types) } });
  return name;
}

function fieldsOf(environment: Environment, schema: StructSchema, types: Map<StructSchema, string>) {
  const fields: Record<string, string> = Object.create(null);
  for (const field of schema.order) fields[field.name] = typeOf(environment, field.schema, types);
  return fields;
}

function typeOf(environment: Environment, schema: Schema, types: Map<StructSchema, string>): string {
  switch (schema.kind) {
    case 'text':
    case 'choice':
    case 'bytes':
      return 'string';
    case 'bool':
      return 'bool';
    case 'int':
      return 'int';
    case 'float':
      return 'double';
    case 'strings':
      return 'list<string>';
    case 'list':
      return `list<${typeOf(environment, schema.of, types)}>`;
    case 'map':
      return `map<string, ${typeOf(environment, schema.of, types)}>`;
    case 'struct':
      return registerStruct(environment, schema, types);
    case 'any':
      return 'dyn';
  }
}

/** The values of the names a condition uses. */
function contextOf(input: DecisionInput, names: ReadonlySet<string>, schema: StructSchema | undefined) {
  const { call, principal, source } = input;
  const context: Record<string, unknown> = {};
  if (names.has('principal')) {
    const { subject, issuer, tenant = '', groups, channel, claims } = principal;
    context.principal = {
      subject,
      issuer,
      tenant,
      groups: [...groups],
      channel,
      claims: plainValue(claims as JsonObject),
    };
  }
  if (names.has('call')) {
    const { action, operation, apiVersion = '' } = call;
    context.call = { action, operation: operation.id, class: operation.class, apiVersion };
  }
  if (names.has('source')) context.source = normalSource(source);
  if (names.has('query')) context.query = bounded({ ...call.query });
  if (names.has('resources')) {
    context.resources = bounded(
      call.resources.map(({ kind, name, resolvedName, role, at, id = '', labels }) => ({
        kind,
        name: resolvedName === undefined || resolvedName === '' ? name : resolvedName,
        role,
        at,
        id,
        exists: id !== '',
        labels: { ...labels },
      })),
    );
  }
  if (names.has('body')) context.body = schema === undefined ? plainValue(call.body) : wholeValue(schema, call.body);
  if (names.has('host')) {
    const body = call.body;
    const host =
      typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as JsonObject).HostConfig : undefined;
    context.host = { ...(wholeValue(hostConfig, host) as object), binds: bounded([...hostPathsOf(call)]) };
  }
  return context;
}

/** A value as its schema says, with the zero value for everything absent, as the engine reads it. */
function wholeValue(schema: Schema, value: Json | undefined): unknown {
  switch (schema.kind) {
    case 'text':
    case 'choice':
    case 'bytes':
      return typeof value === 'string' ? value : '';
    case 'bool':
      return value === true;
    case 'int':
      return typeof value === 'number' || typeof value === 'bigint' ? BigInt(value) : 0n;
    case 'float':
      return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : 0;
    case 'strings':
      return bounded(Array.isArray(value) ? value.map((item: Json) => wholeValue({ kind: 'text' }, item)) : []);
    case 'list':
      return bounded(Array.isArray(value) ? value.map((item: Json) => wholeValue(schema.of, item)) : []);
    case 'map': {
      const object: Record<string, unknown> = Object.create(null);
      for (const [key, item] of Object.entries(objectOf(value))) object[key] = wholeValue(schema.of, item);
      return bounded(object);
    }
    case 'struct': {
      const object: Record<string, unknown> = {};
      const given = objectOf(value);
      for (const field of schema.order) object[field.name] = wholeValue(field.schema, given[field.name]);
      return object;
    }
    case 'any':
      return plainValue(value);
  }
}

/** A value without a schema: whole numbers are CEL's integers. */
function plainValue(value: Json | undefined): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return bounded(value.map(plainValue));
  if (typeof value === 'object' && value !== null) {
    const object: Record<string, unknown> = Object.create(null);
    for (const [key, item] of Object.entries(value)) object[key] = plainValue(item as Json);
    return bounded(object);
  }
  return value ?? null;
}

const EMPTY: JsonObject = Object.freeze(Object.create(null) as JsonObject);
const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : EMPTY;

function bounded<T extends object>(value: T): T {
  const size = Array.isArray(value) ? value.length : Object.keys(value).length;
  if (size > MAX_ELEMENTS)
    throw new RangeError(`the call holds a list of ${size}, more than ${MAX_ELEMENTS} are not judged`);
  return value;
}
