// Takes secrets out of what the audit keeps. Works on the decoded value, by name of the field; names, paths and argv stay.
// A masked value becomes a keyed hash, so that an operator with the key can recognise equal secrets and nobody can read one.
import { createHmac } from 'node:crypto';
import type { Json, JsonObject } from '../engine/types.ts';

/** Characters of the keyed hash that are kept: enough to recognise, too few to attack. */
const HASH_CHARACTERS = 16;
/** Never kept in any form. */
const REMOVED = '[removed]';
/** Bodies that are a secret as a whole. */
const SECRET_BODIES = new Set(['system.auth', 'swarm.unlock']);
/** Fields never kept, wherever they stand. */
const SECRET_FIELDS = new Set([
  'password', 'identitytoken', 'registrytoken', 'auth', 'jointoken', 'unlockkey', 'signingcakey', 'authorization', 'x-registry-auth',
]);
/** `Data` of a secret or a config. */
const DATA_ACTIONS = new Set(['secret.create', 'secret.update', 'config.create', 'config.update']);
/** Lists of `NAME=value` whose values are masked. */
const ASSIGNMENT_LISTS = new Set(['env']);
/** Maps whose values are masked. */
const VALUE_MAPS = new Set(['buildargs', 'driveropts', 'options']);
/** A word that says its value is a secret, in labels, options and arguments. */
const SECRET_WORD = /pass(word|wd|phrase)?|secret|token|credential|api[-_]?key|private[-_]?key/i;
/** Query parameters that hold a URL or build arguments. */
const URL_PARAMETERS = new Set(['remote', 'fromsrc']);

/** Masks one value with the log's key. */
export const mask = (value: string, key: Uint8Array): string =>
  `hmac:${createHmac('sha256', key).update(value).digest('hex').slice(0, HASH_CHARACTERS)}`;

/**
 * The body as the audit may keep it.
 *
 * @param key of this log, kept outside of it
 */
export function redactBody(action: string, body: Json, key: Uint8Array): Json {
  if (SECRET_BODIES.has(action)) return REMOVED;
  if (action === 'plugin.set') return Array.isArray(body) ? body.map((v) => maskAssignment(String(v), key)) : REMOVED;
  return redact(body, '', action, key, 0);
}

/** Deeper than any schema goes; below it everything is one mask. */
const MAX_DEPTH = 24;

function redact(value: Json, field: string, action: string, key: Uint8Array, depth: number): Json {
  const name = field.toLowerCase();
  if (depth > MAX_DEPTH) return REMOVED;
  if (Array.isArray(value)) {
    if (ASSIGNMENT_LISTS.has(name)) return value.map((v) => (typeof v === 'string' ? maskAssignment(v, key) : REMOVED));
    if (name === 'cmd' || name === 'entrypoint' || name === 'args' || name === 'command') return maskArguments(value, key);
    return value.map((v) => redact(v as Json, field, action, key, depth + 1));
  }
  if (typeof value === 'object' && value !== null) {
    const copy: Record<string, Json> = {};
    for (const [member, inner] of Object.entries(value as JsonObject)) {
      if (inner === undefined) continue;
      copy[member] = redactMember(member, inner, name, action, key, depth);
    }
    return copy;
  }
  if (typeof value === 'string') return maskUrl(value, key);
  return value;
}

function redactMember(member: string, inner: Json, parent: string, action: string, key: Uint8Array, depth: number): Json {
  const name = member.toLowerCase();
  if (SECRET_FIELDS.has(name)) return REMOVED;
  if (name === 'data' && DATA_ACTIONS.has(action)) return REMOVED;
  if (typeof inner === 'string') {
    if (VALUE_MAPS.has(parent)) return inner.includes('=') ? maskOptions(inner, key) : SECRET_WORD.test(member) ? mask(inner, key) : maskUrl(inner, key);
    if (parent === 'buildargs' || SECRET_WORD.test(member)) return mask(inner, key);
  }
  return redact(inner, member, action, key, depth + 1);
}

/** The query as the audit may keep it. */
export function redactQuery(
  _action: string,
  query: Readonly<Record<string, readonly string[]>>,
  key: Uint8Array,
): Readonly<Record<string, readonly string[]>> {
  const kept: Record<string, readonly string[]> = {};
  for (const [name, values] of Object.entries(query)) {
    const lower = name.toLowerCase();
    kept[name] = values.map((value) => {
      if (lower === 'buildargs') return maskJsonValues(value, key);
      if (URL_PARAMETERS.has(lower)) return maskUrl(value, key);
      if (lower === 'changes') return value.replace(/(\bENV\s+\S+?[= ])(.*)/gi, (_all, head: string, rest: string) => head + mask(rest, key));
      return SECRET_WORD.test(name) ? mask(value, key) : value;
    });
  }
  return kept;
}

function maskJsonValues(text: string, key: Uint8Array): string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return REMOVED;
    return JSON.stringify(Object.fromEntries(Object.entries(value).map(([k, v]) => [k, v === null ? null : mask(String(v), key)])));
  } catch {
    return REMOVED;
  }
}

function maskAssignment(text: string, key: Uint8Array): string {
  const at = text.indexOf('=');
  return at < 0 ? text : `${text.slice(0, at + 1)}${mask(text.slice(at + 1), key)}`;
}

/** `o=addr=10.0.0.1,password=x`: only the values of telling words are masked. */
const maskOptions = (text: string, key: Uint8Array): string =>
  text
    .split(',')
    .map((part) => (SECRET_WORD.test(part.split('=', 1)[0] ?? '') ? maskAssignment(part, key) : part))
    .join(',');

/** Arguments stay, but for what follows a telling word: `--password x`, `--token=x`, `-e SECRET=x`. */
function maskArguments(list: readonly unknown[], key: Uint8Array): Json[] {
  let hideNext = false;
  return list.map((value) => {
    const text = String(value);
    const hide = hideNext;
    hideNext = /^--?[\w-]+$/.test(text) && SECRET_WORD.test(text);
    if (hide) return mask(text, key);
    const assignment = /^(-{0,2}[\w-]+=)(.+)$/s.exec(text);
    if (assignment !== null && SECRET_WORD.test(assignment[1] as string)) return `${assignment[1]}${mask(assignment[2] as string, key)}`;
    return maskUrl(text, key);
  });
}

/** User information and query values of URLs, wherever one stands in a text. */
function maskUrl(text: string, key: Uint8Array): string {
  if (!text.includes('://')) return text;
  return text
    .replace(/(\w+:\/\/)([^/\s@]+)@/g, (_all, scheme: string, user: string) => `${scheme}${mask(user, key)}@`)
    .replace(/([?&][\w.-]+=)([^&\s#]+)/g, (_all, name: string, value: string) => name + mask(value, key));
}
