// Policies and bindings as a JSON Schema, for editors: made from the keys and words that the readers know. It knows structure;
// what a value means (patterns, moments, conditions) only `dockgate policy test` and `lint` tell.
import { BUILD_KEYS } from './build/index.ts';
import { HOST_KEYS } from './host/parse.ts';
import { HOST_PRESETS, type HostSpec } from './host/spec.ts';
import {
  ACKNOWLEDGEMENTS,
  API_VERSION,
  BINDING_KEYS,
  BINDING_METADATA_KEYS,
  POLICY_KEYS,
  POLICY_METADATA_KEYS,
  SUBJECT_KEYS,
} from './policy.ts';
import { HOURS_KEYS, RULE_KEYS, RULE_NAME } from './read-rule.ts';
import { METHODS, OBJECT_KEYS, PRINCIPAL_KEYS, REQUEST_KEYS, TEST_KEYS } from './read-test.ts';
import { RECORD_LEVELS } from './types.ts';
import { DAYS } from './windows.ts';

type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: 'string', minLength: 1 };
const flag: Schema = { type: 'boolean' };
const word = (words: readonly string[]): Schema => ({ enum: words });
const list = (items: Schema): Schema => ({ type: 'array', items });
const texts = list(text);
const textMap: Schema = { type: 'object', additionalProperties: text };
const anything: Schema = {};
const numberOrText: Schema = { type: ['number', 'string'] };

/** A map of these keys and no others; a key may stand there without a value. */
function map(
  keys: readonly string[],
  shapes: Readonly<Record<string, Schema>>,
  required: readonly string[] = [],
): Schema {
  const properties = Object.fromEntries(
    keys.map((key) => {
      const shape = shapes[key] ?? text;
      return [key, required.includes(key) || shape === anything ? shape : { anyOf: [shape, { type: 'null' }] }];
    }),
  );
  return { type: 'object', properties, required, additionalProperties: false };
}

const HOST: Readonly<Record<keyof HostSpec, Schema>> = {
  preset: word(HOST_PRESETS),
  binds: list({
    anyOf: [text, map(['path', 'readOnly', 'subpaths'], { readOnly: flag, subpaths: flag }, ['path'])],
  }),
  ports: list(numberOrText),
  devices: list({ anyOf: [text, map(['path', 'permissions', 'gpu', 'cdi'], { gpu: numberOrText })] }),
  capabilities: texts,
  sysctls: texts,
  runtimes: texts,
  logDrivers: texts,
  annotations: texts,
  seccompProfiles: texts,
  apparmorProfiles: texts,
  mountTypes: list(word(['image'])),
  networkDrivers: texts,
  network: map(['drivers', 'options', 'subnets'], { drivers: texts, options: texts, subnets: texts }),
  registries: texts,
  sources: texts,
  limits: map(['memory', 'cpus', 'pids'], {
    memory: numberOrText,
    cpus: { type: 'number' },
    pids: { type: 'integer' },
  }),
  exec: map(['privileged'], { privileged: flag }),
  remakes: flag,
  fields: texts,
};

const rule = map(
  RULE_KEYS.known,
  {
    name: { type: 'string', pattern: RULE_NAME.source },
    effect: word(['allow', 'deny']),
    actions: texts,
    resources: texts,
    labels: textMap,
    host: map(HOST_KEYS, HOST),
    build: map(BUILD_KEYS, Object.fromEntries(BUILD_KEYS.map((key) => [key, texts]))),
    set: map(['labels'], { labels: textMap }),
    redact: texts,
    record: { enum: [true, ...RECORD_LEVELS] },
    when: texts,
    hours: map(HOURS_KEYS, { days: list(word(DAYS)) }, ['from', 'to']),
    source: texts,
  },
  ['name', 'effect', 'actions'],
);

const test = map(
  TEST_KEYS,
  {
    principal: map(PRINCIPAL_KEYS, { groups: texts, policies: texts, scope: texts, claims: anything }),
    request: map(REQUEST_KEYS, { method: word(METHODS), body: anything }, ['method', 'path']),
    objects: list(map(OBJECT_KEYS, { labels: textMap, body: anything }, ['resource'])),
    expect: word(['allow', 'deny']),
  },
  ['name', 'request', 'expect'],
);

const subjects = list(map(SUBJECT_KEYS, {}));
const head = { apiVersion: word([API_VERSION]), subjects };

/** The schema of draft 2020-12, for one document. */
export function policySchema(): Schema {
  const acknowledges = list(word(ACKNOWLEDGEMENTS));
  const policy = map(
    POLICY_KEYS.known,
    {
      ...head,
      kind: word(['Policy']),
      metadata: map(POLICY_METADATA_KEYS, { acknowledges }, ['name']),
      rules: list(rule),
      tests: list(test),
    },
    ['apiVersion', 'kind', 'metadata', 'rules'],
  );
  const binding = map(
    BINDING_KEYS.known,
    { ...head, kind: word(['Binding']), metadata: map(BINDING_METADATA_KEYS, {}, ['name']), policies: texts },
    ['apiVersion', 'kind', 'metadata', 'subjects', 'policies'],
  );
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'dockgate policy or binding',
    if: { properties: { kind: { const: 'Binding' } }, required: ['kind'] },
    // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
    then: binding,
    else: policy,
  };
}
