// The plugin's side of every tier: describes the module, reads its settings, runs its hooks. Imports nothing, so that the same
// text runs in a thread, in a process of its own, and inside QuickJS. What it needs of the language it takes before the
// plugin's module can change it.
import type { Json } from '../../engine/types.ts';
import type { FromGuest, ToGuest } from './protocol.ts';

type Loose = Record<string, unknown>;
type Method = (...values: unknown[]) => unknown;

const { stringify, parse } = JSON;
const { freeze, isFrozen, values: valuesOf, keys: keysOf, create: createObject } = Object;
const { isArray } = Array;

const HOOK_NAMES = ['mutate', 'validate', 'onResponse', 'onStream'] as const;
/** Longest annotation, and most of them in one hook. */
const MAX_ANNOTATION = 1024;
const MAX_ANNOTATIONS = 32;
/** Longest answer, in characters of JSON. */
const MAX_ANSWER = 256 * 1024;
/** Most lines of the log in one hook. */
const MAX_LOGS = 20;

const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null;
const messageOf = (error: unknown): string => {
  try {
    const text = isObject(error) && typeof error.message === 'string' ? error.message : `${error as string}`;
    return text.length > 500 ? `${text.slice(0, 500)}...` : text;
  } catch {
    return 'an error that has no text';
  }
};

function freezeAll(value: unknown): unknown {
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (!isObject(next) || isFrozen(next)) continue;
    freeze(next);
    for (const child of valuesOf(next)) open.push(child);
  }
  return value;
}

/** Plain data of a value that may have functions in it, or undefined where it cannot be told as JSON. */
function plain(value: unknown): Json | undefined {
  try {
    const text = stringify(value);
    return text === undefined || text.length > MAX_ANSWER ? undefined : (parse(text) as Json);
  } catch {
    return undefined;
  }
}

export interface Guest {
  /** Tells what the module says of itself. */
  describe(): void;
  receive(message: ToGuest): void;
}

/**
 * @param exported the module's default export, not yet looked at
 * @param post hands a message to the gateway; called synchronously
 */
export function createGuest(exported: unknown, post: (message: FromGuest) => void): Guest {
  const plugin: Loose = isObject(exported) ? exported : {};
  let config: unknown;
  let name = '';
  let env: Readonly<Record<string, string>> = createObject(null) as Record<string, string>;
  let engineSocket: string | undefined;
  let wishes = 0;
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();

  const contextFor = (annotations: Record<string, string>, ask?: number): Loose => {
    let logged = 0;
    const wish = (asked: unknown): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const id = ++wishes;
        waiting.set(id, { resolve, reject });
        post({ kind: 'wish', id, ...(ask === undefined ? {} : { ask }), wish: plain(asked) } as FromGuest);
      });
    return {
      config,
      name,
      env,
      ...(engineSocket === undefined ? {} : { engineSocket }),
      annotate(key: unknown, value: unknown) {
        const at = String(key).slice(0, 64);
        if (at in annotations || keysOf(annotations).length < MAX_ANNOTATIONS)
          annotations[at] = String(value).slice(0, MAX_ANNOTATION);
      },
      log(level: unknown, message: unknown, data?: unknown) {
        if (++logged > MAX_LOGS) return;
        const known = level === 'debug' || level === 'warn' || level === 'error' ? level : 'info';
        post({ kind: 'log', level: known, message: String(message).slice(0, 2000), data: plain(data) } as FromGuest);
      },
      engine: {
        get: (action: unknown, parameters: unknown) => wish({ kind: 'engine', action, parameters: parameters ?? {} }),
      },
      store: {
        get: (key: unknown) => wish({ kind: 'store-get', key }),
        set: (key: unknown, value: unknown, ttlMs?: unknown) => wish({ kind: 'store-set', key, value, ttlMs }),
      },
      fetch(url: unknown, init: unknown) {
        const { method = 'GET', headers = {}, body } = (isObject(init) ? init : {}) as Loose;
        return wish({ kind: 'fetch', url: String(url), method, headers, body });
      },
    };
  };

  async function read(input: unknown): Promise<unknown> {
    const reader = plugin.config;
    if (!isObject(reader)) return input;
    const standard = reader['~standard'];
    if (isObject(standard) && typeof standard.validate === 'function') {
      const result = (await (standard.validate as Method)(input)) as Loose;
      if (isArray(result.issues)) throw new Error(issuesOf(result.issues));
      return result.value;
    }
    if (typeof reader.parse === 'function') {
      try {
        return (reader.parse as Method)(input);
      } catch (error) {
        throw isObject(error) && isArray(error.issues) ? new Error(issuesOf(error.issues)) : error;
      }
    }
    return input;
  }

  const issuesOf = (issues: readonly unknown[]): string =>
    issues
      .map((issue) => {
        const { path, message } = (isObject(issue) ? issue : {}) as Loose;
        const at = isArray(path)
          ? path.map((step) => (isObject(step) ? String(step.key) : String(step))).join('.')
          : '';
        return `${at === '' ? 'config' : at}: ${String(message)}`;
      })
      .join('; ');

  async function configure(message: Extract<ToGuest, { kind: 'configure' }>): Promise<void> {
    try {
      name = message.name;
      engineSocket = message.engineSocket;
      env = freezeAll(message.env) as Readonly<Record<string, string>>;
      config = freezeAll(await read(message.config));
    } catch (error) {
      return post({ kind: 'refused', message: `its config is not valid: ${messageOf(error)}` });
    }
    try {
      if (typeof plugin.setup === 'function') await (plugin.setup as Method).call(plugin, contextFor({}));
    } catch (error) {
      return post({ kind: 'refused', message: `setup failed: ${messageOf(error)}` });
    }
    try {
      const actions =
        typeof plugin.matchOf === 'function' ? plain((plugin.matchOf as Method).call(plugin, config)) : undefined;
      post({ kind: 'ready', ...(actions === undefined ? {} : { actions }) } as FromGuest);
    } catch (error) {
      post({ kind: 'refused', message: `matchOf failed: ${messageOf(error)}` });
    }
  }

  /** One answer for each item of a response. */
  async function run(hook: string, request: unknown, context: Loose): Promise<unknown> {
    const method = plugin[hook] as Method;
    if (hook !== 'onResponse') return method.call(plugin, freezeAll(request), context);
    const { items, ...rest } = request as { items: readonly unknown[] };
    const answers: unknown[] = [];
    for (let i = 0; i < items.length; i++)
      answers[i] = (await method.call(plugin, freezeAll({ ...rest, body: items[i] }), context)) ?? [];
    return answers;
  }

  async function ask({ id, hook, input }: Extract<ToGuest, { kind: 'ask' }>): Promise<void> {
    const annotations = createObject(null) as Record<string, string>;
    try {
      post({ kind: 'started', id });
      const value = await run(hook, parse(input), contextFor(annotations, id));
      const text = stringify(value);
      if (text === undefined) return post({ kind: 'answered', id, annotations } as FromGuest);
      if (text.length > MAX_ANSWER) throw new RangeError(`its answer is larger than ${MAX_ANSWER} characters`);
      post({ kind: 'answered', id, value: parse(text), annotations } as FromGuest);
    } catch (error) {
      post({ kind: 'threw', id, message: messageOf(error) });
    }
  }

  return {
    describe() {
      const reader = plugin.config;
      const isRead =
        isObject(reader) && (typeof reader.parse === 'function' || isObject(reader['~standard']))
          ? 'validator'
          : 'schema';
      post({
        kind: 'described',
        description: {
          isPlugin: isObject(exported),
          meta: plain(plugin.meta) ?? null,
          match: plain(plugin.match) ?? null,
          needs: plain(plugin.needs) ?? {},
          reinvoke: plugin.reinvoke === true,
          examples: plain(plugin.examples) ?? [],
          hooks: HOOK_NAMES.filter((hook) => typeof plugin[hook] === 'function'),
          unknown: keysOf(plugin).filter((key) => !KNOWN.includes(key)),
          wrong: [...HOOK_NAMES, 'matchOf', 'setup', 'teardown'].filter(
            (hook) => plugin[hook] !== undefined && typeof plugin[hook] !== 'function',
          ),
          config: reader === undefined ? 'none' : isRead,
          schema: isRead === 'schema' ? (plain(reader) ?? null) : null,
        },
      });
    },
    receive(message) {
      switch (message.kind) {
        case 'configure':
          void configure(message);
          return;
        case 'ask':
          void ask(message);
          return;
        case 'reply': {
          const asked = waiting.get(message.id);
          waiting.delete(message.id);
          if (message.error === undefined) asked?.resolve(freezeAll(message.value));
          else asked?.reject(new Error(message.error));
          return;
        }
        case 'ping':
          post({ kind: 'pong' });
          return;
        case 'close':
          void (async () => {
            try {
              if (typeof plugin.teardown === 'function') await (plugin.teardown as Method).call(plugin);
            } catch (error) {
              post({ kind: 'log', level: 'warn', message: `teardown failed: ${messageOf(error)}` });
            }
            post({ kind: 'closed' });
          })();
      }
    },
  };
}

const KNOWN: readonly string[] = [
  'meta',
  'needs',
  'match',
  'config',
  'matchOf',
  'setup',
  'mutate',
  'reinvoke',
  'validate',
  'onResponse',
  'onStream',
  'teardown',
  'examples',
];
