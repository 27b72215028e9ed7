// Reads what a plugin's side sent. A hostile plugin can write any message in its guest's name, so nothing of it is believed: a
// message of another shape is dropped, and texts that are too long are cut here, not there.
import type { Json } from '../../engine/types.ts';
import { HOOKS, type Hook } from './host.ts';
import type { FromGuest, Wish } from './protocol.ts';

/** Longest message, in characters of JSON. */
export const MAX_MESSAGE = 600_000;
const MAX_ANNOTATIONS = 32;
const MAX_TEXT = 1024;
const MAX_LOG_DATA = 4096;
const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error'];

type Loose = { readonly [key: string]: unknown };
const isObject = (value: unknown): value is Loose =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isId = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

/** The message; undefined when it has another shape. */
export function readGuestMessage(told: unknown): FromGuest | undefined {
  if (!isObject(told)) return undefined;
  const { kind, id } = told;
  switch (kind) {
    case 'ready': {
      if (told.actions === undefined) return { kind };
      const actions = hookActionsOf(told.actions);
      return actions === undefined ? undefined : { kind, actions };
    }
    case 'pong':
    case 'closed':
      return { kind };
    case 'described':
      return { kind, description: (told.description ?? null) as Json };
    case 'refused':
      return { kind, message: textOf(told.message) };
    case 'threw':
      return isId(id) ? { kind, id, message: textOf(told.message) } : undefined;
    case 'answered':
      if (!isId(id)) return undefined;
      return {
        kind,
        id,
        annotations: annotationsOf(told.annotations),
        ...(told.value === undefined ? {} : { value: told.value as Json }),
      };
    case 'log': {
      if (typeof told.level !== 'string' || !LEVELS.includes(told.level)) return undefined;
      const data = told.data === undefined ? undefined : JSON.stringify(told.data);
      return {
        kind,
        level: told.level as 'info',
        message: textOf(told.message),
        ...(data === undefined
          ? {}
          : { data: data.length > MAX_LOG_DATA ? `${data.length} characters, left out` : (told.data as Json) }),
      };
    }
    case 'started':
      return isId(id) ? { kind, id } : undefined;
    case 'wish':
      return isId(id) && isWish(told.wish)
        ? { kind, id, ...(isId(told.ask) ? { ask: told.ask } : {}), wish: told.wish }
        : undefined;
    default:
      return undefined;
  }
}

const MAX_ACTIONS = 500;

/** Actions by hook; undefined when the value has another shape. */
function hookActionsOf(value: unknown): Partial<Record<Hook, readonly string[]>> | undefined {
  if (!isObject(value)) return undefined;
  const read: Partial<Record<Hook, readonly string[]>> = {};
  for (const [hook, list] of Object.entries(value)) {
    const known = HOOKS.find((one) => one === hook);
    if (known === undefined || !Array.isArray(list) || list.length > MAX_ACTIONS) return undefined;
    if (!list.every((one) => typeof one === 'string')) return undefined;
    read[known] = list as readonly string[];
  }
  return read;
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 2 * MAX_TEXT) : '');

function annotationsOf(value: unknown): Record<string, string> {
  const kept: Record<string, string> = Object.create(null) as Record<string, string>;
  if (!isObject(value)) return kept;
  for (const [key, text] of Object.entries(value).slice(0, MAX_ANNOTATIONS)) {
    if (typeof text === 'string') kept[key.slice(0, 64)] = text.slice(0, MAX_TEXT);
  }
  return kept;
}

const isTexts = (value: unknown): boolean =>
  isObject(value) && Object.values(value).every((one) => typeof one === 'string');

function isWish(value: unknown): value is Wish {
  if (!isObject(value)) return false;
  switch (value.kind) {
    case 'engine':
      return typeof value.action === 'string' && isTexts(value.parameters);
    case 'fetch':
      return (
        typeof value.url === 'string' &&
        typeof value.method === 'string' &&
        isTexts(value.headers) &&
        (value.body === undefined || typeof value.body === 'string')
      );
    case 'store-get':
      return typeof value.key === 'string';
    case 'store-set':
      return typeof value.key === 'string' && (value.ttlMs === undefined || typeof value.ttlMs === 'number');
    default:
      return false;
  }
}
