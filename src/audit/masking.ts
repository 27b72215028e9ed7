// What the audit may keep of a call, with the key of this log: everything that becomes a row goes through here once, before it is
// handed to the recorder.
import { type MaskKey, mask, maskClient, maskText, Secrets } from '../engine/mask.ts';
import { OPERATIONS } from '../engine/operations.ts';
import type { EngineCall, Json, ResourceKind } from '../engine/types.ts';
import { collectSecrets, redactAt, redactBody, redactQuery } from './redact.ts';
import { FIELD_RULES } from './redact-table.ts';

export interface KeptCall {
  readonly body: Json | undefined;
  readonly query: Readonly<Record<string, readonly string[]>>;
}

/** Headers whose values go to the engine and are no part of the call. */
const SECRET_HEADERS: ReadonlySet<string> = new Set([
  'x-registry-auth',
  'x-registry-config',
  'authorization',
  'cookie',
]);
/** User-Agents seen of late: a few programs ask again and again. */
const MAX_CLIENTS = 256;

export class Masking {
  readonly #key: Uint8Array;
  readonly #clients = new Map<string, string>();

  /** @param key of the log, 32 bytes, not kept in it */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  call(call: Pick<EngineCall, 'action' | 'body' | 'query'>): KeptCall {
    return {
      body: call.body === undefined ? undefined : redactBody(call.action, call.body, this.#key),
      query: redactQuery(call.action, call.query, this.#key),
    };
  }

  /** A part of a body or query by its JSON pointer: `/body/Env/0`, `/query/t/0`. */
  at(action: string, pointer: string, value: Json): Json {
    return redactAt(action, pointer, value, this.#key);
  }

  /** A name, a word, a sentence of the gateway's own. */
  text(text: string): string {
    return maskText(text, this.#key);
  }

  /** The name of an object. */
  name(kind: ResourceKind, name: string): string {
    return maskName(kind, name, this.#key);
  }

  /** The User-Agent. */
  client(text: string): string {
    const known = this.#clients.get(text);
    if (known !== undefined) return known;
    const masked = maskClient(text, this.#key);
    if (this.#clients.size >= MAX_CLIENTS) this.#clients.clear();
    this.#clients.set(text, masked);
    return masked;
  }

  /** The path of a request that is no call: words of the Engine API stay, the rest may be anything. */
  path(path: string): string {
    return path
      .split('/')
      .map((segment) => (isPathWord(segment) ? segment : mask(decoded(segment), this.#key)))
      .join('/');
  }

  /**
   * Takes out of sentences what the call holds of secrets: engines, plugins and refusals quote what they were sent.
   *
   * @param call undefined for a request that could not be read: what a sentence quotes of it is masked then
   */
  quoting(
    call: Pick<EngineCall, 'action' | 'body' | 'query' | 'resources'> | undefined,
    target: string,
    rawHeaders: readonly string[],
  ): (sentence: string) => string {
    const secrets = this.#secretsOf(call, target, rawHeaders);
    if (call === undefined) return (sentence) => this.text(hideQuoted(secrets.hide(sentence), this.#key));
    return (sentence) => this.text(secrets.hide(sentence));
  }

  /** The same for a JSON text of any length, masked by its fields before. */
  hiding(
    call: Pick<EngineCall, 'action' | 'body' | 'query' | 'resources'>,
    rawHeaders: readonly string[],
  ): (json: string) => string {
    const secrets = this.#secretsOf(call, '', rawHeaders);
    return (json) => secrets.hide(json);
  }

  #secretsOf(
    call: Pick<EngineCall, 'action' | 'body' | 'query' | 'resources'> | undefined,
    target: string,
    rawHeaders: readonly string[],
  ): Secrets {
    const secrets = new Secrets(this.#key);
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const name = (rawHeaders[i] as string).toLowerCase();
      if (SECRET_HEADERS.has(name)) addHeader(rawHeaders[i + 1] as string, secrets);
      else if (name === 'user-agent') maskClient(rawHeaders[i + 1] as string, secrets);
    }
    if (call === undefined) {
      addTarget(target, secrets);
      return secrets;
    }
    collectSecrets(call.action, call.body, call.query, secrets);
    for (const { kind, name } of call.resources) maskName(kind, name, secrets);
    return secrets;
  }

  /** What a secret is stored as, wherever it stood: equal secrets are found by it. */
  hash(secret: string): string {
    return mask(secret, this.#key);
  }
}

/** Kinds whose names are references of images: the text after a colon is a tag or a port, whichever word stands before it. */
const REFERENCES: ReadonlySet<ResourceKind> = new Set<ResourceKind>(['image', 'distribution', 'plugin']);
const REFERENCE = /^[\w.-]+(?:[/:@][\w.-]+)*$/;

/** `app-secret:1` is an image with a tag; `token=x` and `https://ci:x@host` hold a secret. */
const maskName = (kind: ResourceKind, name: string, key: MaskKey): string =>
  REFERENCES.has(kind) && name.length <= 1024 && REFERENCE.test(name)
    ? name
        .split(/([/:@])/)
        .map((part) => maskText(part, key))
        .join('')
    : maskText(name, key);

/** Credentials in a header, as they are and as the JSON they may hold. */
function addHeader(value: string, secrets: Secrets): void {
  secrets.add(value);
  const credentials = value.replace(/^\w+\s+/, '');
  secrets.add(credentials);
  const text = Buffer.from(credentials, 'base64').toString('utf8');
  try {
    const open: unknown[] = [JSON.parse(text)];
    while (open.length > 0) {
      const next = open.pop();
      if (typeof next === 'string') secrets.add(next);
      else if (typeof next === 'object' && next !== null) {
        // A user's name and a registry's are no secrets.
        for (const [name, inner] of Object.entries(next))
          if (!/^(?:username|email|serveraddress)$/i.test(name)) open.push(inner);
      }
    }
  } catch {
    const colon = text.indexOf(':');
    if (colon >= 0) secrets.add(text.slice(colon + 1));
  }
}

/** Everything of a request line that is no word of the Engine API. */
function addTarget(target: string, secrets: Secrets): void {
  const [path = '', ...query] = target.split('?');
  for (const segment of path.split('/')) {
    if (isPathWord(segment)) continue;
    secrets.add(segment);
    secrets.add(decoded(segment));
  }
  for (const pair of query.join('?').split('&')) {
    const value = decoded(pair.slice(pair.indexOf('=') + 1).replaceAll('+', ' '));
    if (value.length > 5) secrets.add(value);
  }
}

/** What a sentence puts into quotes stays where it is a word or a field. */
const hideQuoted = (sentence: string, key: Uint8Array): string =>
  sentence.replace(/"([^"]{4,})"|'([^']{4,})'/g, (all, double?: string, single?: string) => {
    const quoted = double ?? single ?? '';
    const isWord = /^[a-z /-]{1,24}$/i.test(quoted) || FIELD_RULES.has(quoted.toLowerCase());
    return isWord || quoted.startsWith('hmac:') ? all : `"${mask(quoted, key)}"`;
  });

/** Words in paths: those of the Engine API, versions, and what browsers and scanners ask for. */
const PATH_WORDS: ReadonlySet<string> = new Set([
  ...OPERATIONS.flatMap(({ path }) => path.split('/').filter((segment) => !segment.startsWith('{'))),
  ...'favicon.ico robots.txt index.html index.php wp-login.php .env .git config metrics health healthz livez readyz api admin login token oauth dockgate libpod v1 v2 v3'.split(
    ' ',
  ),
]);

const isPathWord = (segment: string): boolean =>
  segment.length <= 2 || PATH_WORDS.has(segment) || /^v\d{1,2}(?:\.\d{1,3}){0,2}$/.test(segment);

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
