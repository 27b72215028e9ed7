// Takes named parts out of the engine's JSON answers: values of environment variables, places on the host, logs of health
// checks, addresses, command lines, labels. Goes by the names of fields wherever they stand, so that an answer with a new place
// for an old field shows no more than before. Pure. Engine API: the schemas of inspect, list, history and events.
import { isExactNumber } from './exact-json.ts';

/** What can be taken out, beside `labels:PATTERN`. */
export const REDACTIONS = [
  'env',
  'mounts.source',
  'health.log',
  'networks',
  'command',
  'swarm.tokens',
  'configs.data',
] as const;
type Redaction = (typeof REDACTIONS)[number];

/** Stands in the place of what was taken out. */
export const REDACTED = '<redacted>';

type Fields = Record<string, unknown>;
/** Gives a field's new value; undefined leaves the field out. */
type Change = (value: unknown) => unknown;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isExactNumber(value);
const hidden: Change = (value) => (value === '' || value === null ? value : REDACTED);
const eachOf =
  (change: Change): Change =>
  (value) =>
    Array.isArray(value) ? value.map(change) : value;

/** `NAME=value` keeps its name. Plugins give objects with a Value. */
const variable: Change = (item) => {
  if (typeof item === 'string') {
    const equals = item.indexOf('=');
    return equals < 0 ? item : `${item.slice(0, equals)}=${REDACTED}`;
  }
  return isFields(item) && 'Value' in item ? { ...item, Value: hidden(item.Value) } : item;
};

/** `/on/host:/in/container:ro`; a named volume is no place on the host. */
const bind: Change = (item) => {
  if (typeof item !== 'string' || !item.startsWith('/')) return item;
  const colon = item.indexOf(':');
  return colon < 0 ? item : `${REDACTED}${item.slice(colon)}`;
};

const mount: Change = (item) => {
  if (!isFields(item) || typeof item.Source !== 'string') return item;
  // The source of a named volume is its name in a request, and a folder of the engine's in an answer.
  return item.Source.startsWith('/') ? { ...item, Source: REDACTED } : item;
};

/** A layer's history quotes the instruction, with values of variables and build arguments. */
const instruction: Change = (value) =>
  typeof value === 'string' && /(^|\s)(ENV|ARG)\s|(^|\s)\|\d+(\s|$)/i.test(value) ? REDACTED : value;

/**
 * A command as the builder keeps it quotes instructions, and hands build arguments over in front of it: `|1 NAME=value /bin/sh -c ...`.
 * `NAME=value` as a word of its own is what `env` takes.
 */
const words: Change = (value) => {
  if (!Array.isArray(value)) return instruction(value);
  return value.some((item) => instruction(item) !== item)
    ? value.map(hidden)
    : value.map((item) => (typeof item === 'string' && /^[A-Za-z_][\w.-]*=/.test(item) ? variable(item) : item));
};

/** `ps` shows command lines, and environments where it is asked to (`ps_args=auxe`); which column holds them is the caller's choice. */
const processes: Change = eachOf(eachOf(hidden));

const endpoint: Change = (value) => {
  if (!isFields(value)) return value;
  const kept: Fields = {};
  for (const key of ['NetworkID', 'EndpointID', 'Aliases', 'DNSNames']) if (key in value) kept[key] = value[key];
  return { ...kept, IPAddress: '', Gateway: '', MacAddress: '' };
};

const eachValue =
  (change: Change): Change =>
  (value) =>
    isFields(value) ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, change(inner)])) : value;

const networkSettings: Change = (value) =>
  isFields(value) ? { Ports: value.Ports ?? {}, Networks: eachValue(endpoint)(value.Networks ?? {}) } : value;

const PATHS = ['Mountpoint', 'LogPath', 'ResolvConfPath', 'HostnamePath', 'HostsPath', 'DockerRootDir', 'device', 'o'];

/** Fields by name, for each redaction. */
const FIELDS: Readonly<Record<Redaction, readonly (readonly [string, Change])[]>> = {
  env: [
    ['Env', eachOf(variable)],
    ['CreatedBy', instruction],
    ['Processes', processes],
    ['Cmd', words],
    ['Entrypoint', words],
    ['Args', words],
    ['Command', words],
    ['OnBuild', eachOf(instruction)],
    ['arguments', words],
    ['Comment', instruction],
  ],
  'mounts.source': [
    ['Binds', eachOf(bind)],
    ['Mounts', eachOf(mount)],
    ['GraphDriver', (value) => (isFields(value) ? { ...value, Data: null } : value)],
    ['Data', (value) => (isFields(value) ? null : value)],
    ...PATHS.map((name) => [name, hidden] as const),
  ],
  'health.log': [['Health', (value) => (isFields(value) && 'Log' in value ? { ...value, Log: [] } : value)]],
  networks: [
    ['NetworkSettings', networkSettings],
    ['IPAM', () => ({ Driver: 'default', Options: null, Config: [] })],
    ['Containers', (value) => (isFields(value) ? {} : value)],
    ['VirtualIPs', () => []],
    ['NetworksAttachments', () => []],
    ['Addr', hidden],
    ['NodeAddr', hidden],
    ['RemoteManagers', () => null],
    ['Peers', () => []],
    ['VIP', hidden],
    ['EndpointIP', hidden],
  ],
  command: [
    ['Cmd', eachOf(hidden)],
    ['Path', hidden],
    ['Args', eachOf(hidden)],
    ['Entrypoint', eachOf(hidden)],
    ['entrypoint', hidden],
    ['Test', eachOf(hidden)],
    ['Processes', processes],
    ['Command', (value) => (Array.isArray(value) ? value.map(hidden) : hidden(value))],
    ['arguments', eachOf(hidden)],
    ['CreatedBy', hidden],
    ['execCommand', hidden],
    ['OnBuild', eachOf(hidden)],
  ],
  'swarm.tokens': [
    ['JoinTokens', () => ({ Worker: REDACTED, Manager: REDACTED })],
    ['UnlockKey', hidden],
  ],
  'configs.data': [['Data', (value) => (typeof value === 'string' ? hidden(value) : value)]],
};

/** A layer of a LABEL instruction quotes names and values of labels. */
const labelInstruction: Change = (value) =>
  typeof value === 'string' && /(^|\s)LABEL\s/i.test(value) ? REDACTED : value;

/** Label maps; in events the labels of the object stand among its attributes. */
const LABEL_MAPS = new Set(['Labels', 'ContainerLabels', 'Attributes']);

/** The fault of a name and its remedy; undefined when it has none. */
export function faultOfRedaction(name: string): string | undefined {
  if (name.startsWith('labels:')) {
    return name.length > 'labels:'.length ? undefined : 'labels: needs a pattern; write labels:com.example.*';
  }
  if ((REDACTIONS as readonly string[]).includes(name)) return undefined;
  return `unknown part ${JSON.stringify(name.slice(0, 64))}; known: ${REDACTIONS.join(', ')}, labels:PATTERN`;
}

/**
 * Makes the function that takes the named parts out of an answer, or out of one element or event line of it, as `parseExact` or
 * JSON.parse read it.
 *
 * @param names as `faultOfRedaction` knows them
 */
export function answerRedactor(names: readonly string[]): (value: unknown) => unknown {
  const changes = new Map<string, Change>();
  for (const name of names) {
    for (const [field, change] of FIELDS[name as Redaction] ?? []) {
      const before = changes.get(field);
      changes.set(field, before === undefined ? change : (value) => change(before(value)));
    }
  }
  if (names.some((name) => name.startsWith('labels:'))) {
    for (const [field, hide] of [
      ['CreatedBy', labelInstruction],
      ['Cmd', eachOf(labelInstruction)],
      ['OnBuild', eachOf(labelInstruction)],
    ] as const) {
      const before = changes.get(field);
      changes.set(field, (value) => hide(before === undefined ? value : before(value)));
    }
  }
  const patterns = names.filter((name) => name.startsWith('labels:')).map((name) => globOf(name.slice(7)));
  const isHiddenLabel = (key: string): boolean => patterns.some((pattern) => pattern.test(key));
  const hidesCommand = names.includes('command');

  const visit = (value: unknown, depth: number): unknown => {
    if (typeof value !== 'object' || value === null || isExactNumber(value)) return value;
    if (depth > MAX_DEPTH) return null;
    if (Array.isArray(value)) return value.map((item) => visit(item, depth + 1));
    const result: Fields = {};
    for (const [key, inner] of Object.entries(value)) {
      if (LABEL_MAPS.has(key) && isFields(inner)) {
        result[key] = Object.fromEntries(
          Object.entries(inner)
            .filter(([label]) => !isHiddenLabel(label))
            .map(([label, text]) => [label, key === 'Attributes' ? (changes.get(label)?.(text) ?? text) : text]),
        );
        continue;
      }
      // `exec_create: sh -c ...` tells the command in the name of an event.
      const told = hidesCommand && (key === 'Action' || key === 'status') && typeof inner === 'string';
      if (told) {
        result[key] = inner.replace(/^(exec_\w+): .*$/s, '$1');
        continue;
      }
      const change = changes.get(key);
      const changed = change === undefined ? inner : change(inner);
      result[key] = visit(changed, depth + 1);
    }
    return result;
  };
  return (value) => visit(value, 0);
}

/** Engine answers nest some ten levels; what is deeper is not looked through, so it is not shown. */
const MAX_DEPTH = 64;

const globOf = (pattern: string): RegExp =>
  new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^]*')}$`);
