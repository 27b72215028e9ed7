// What a running hook may ask of the gateway, and only what the settings granted: look-ups at the engine, HTTPS to named
// hosts, a small memory. Every wish is bounded; its time is the hook's.
import type { Json } from '../../engine/types.ts';
import type { Wish } from './protocol.ts';

/** Reads the engine for a plugin: JSON of a 200, undefined for 404. Throws for everything else. */
export type EngineRead = (action: string, parameters: Readonly<Record<string, string>>) => Promise<Json | undefined>;

/** What the settings granted, `net:HOST`, `engine:ACTION` and so on. */
export type Grants = ReadonlySet<string>;

const FETCH_TIMEOUT_MS = 5000;
const FETCH_MAX_BYTES = 1024 * 1024;
const STORE_MAX_CHARS = 1024 * 1024;
/** Answers of the engine are good for this long for the same plugin, in ms. */
const ENGINE_CACHE_MS = 1000;
const ENGINE_CACHE_ENTRIES = 256;

export class Capabilities {
  readonly #grants: Grants;
  readonly #engine: EngineRead;
  readonly #kept = new Map<string, { readonly value: Json; readonly size: number; readonly until: number }>();
  #keptChars = 0;
  readonly #answers = new Map<string, { readonly until: number; readonly answer: Promise<Json | undefined> }>();

  constructor(grants: Grants, engine: EngineRead) {
    this.#grants = grants;
    this.#engine = engine;
  }

  /** @throws {Error} in words for the plugin: not granted, not there, too large */
  async grant(wish: Wish): Promise<Json | undefined> {
    switch (wish.kind) {
      case 'engine':
        return this.#ask(String(wish.action), wish.parameters);
      case 'fetch':
        return this.#fetch(wish);
      case 'store-get': {
        const kept = this.#kept.get(String(wish.key));
        if (kept === undefined || kept.until > performance.now()) return kept?.value;
        this.#forget(String(wish.key));
        return undefined;
      }
      case 'store-set':
        return this.#keep(String(wish.key), wish.value ?? null, wish.ttlMs);
      default:
        throw new Error('the gateway does not know this wish');
    }
  }

  #ask(action: string, parameters: Readonly<Record<string, string>>): Promise<Json | undefined> {
    if (!this.#grants.has(`engine:${action}`))
      throw new Error(`engine.get ${action} is not granted: add engine:${action} to needs`);
    const key = `${action}\n${JSON.stringify(parameters)}`;
    const known = this.#answers.get(key);
    if (known !== undefined && known.until > performance.now()) return known.answer;
    const answer = this.#engine(action, parameters);
    answer.catch(() => this.#answers.delete(key));
    if (this.#answers.size >= ENGINE_CACHE_ENTRIES) this.#answers.clear();
    this.#answers.set(key, { until: performance.now() + ENGINE_CACHE_MS, answer });
    return answer;
  }

  async #fetch({ url, method, headers, body }: Extract<Wish, { kind: 'fetch' }>): Promise<Json> {
    const target = new URL(url);
    const isGranted =
      (target.protocol === 'https:' &&
        (this.#grants.has(`net:${target.host}`) || this.#grants.has(`net:${target.hostname}`))) ||
      (target.protocol === 'http:' && this.#grants.has(`net:http://${target.host}`));
    if (!isGranted)
      throw new Error(`fetch of ${target.protocol}//${target.host} is not granted: add net:${target.host} to needs`);
    if (target.username !== '' || target.password !== '') throw new Error('a URL with a user is not fetched');
    const answer = await fetch(target, {
      method,
      headers: { ...headers },
      ...(body === undefined ? {} : { body }),
      redirect: 'manual',
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    });
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of answer.body ?? []) {
      size += chunk.length;
      if (size > FETCH_MAX_BYTES)
        throw new Error(`the answer of ${target.host} is larger than ${FETCH_MAX_BYTES} bytes`);
      chunks.push(chunk);
    }
    return {
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: Buffer.concat(chunks, size).toString('utf8'),
    };
  }

  #keep(key: string, value: Json, ttlMs: number | undefined): undefined {
    this.#forget(key);
    const size = key.length + JSON.stringify(value).length;
    const now = performance.now();
    for (const [old, { until }] of this.#kept) if (until <= now) this.#forget(old);
    if (this.#keptChars + size > STORE_MAX_CHARS)
      throw new Error(`the store holds at most ${STORE_MAX_CHARS} characters`);
    this.#keptChars += size;
    this.#kept.set(key, {
      value,
      size,
      until: typeof ttlMs === 'number' && ttlMs > 0 ? now + ttlMs : Number.POSITIVE_INFINITY,
    });
    return undefined;
  }

  #forget(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#keptChars -= kept.size;
    this.#kept.delete(key);
  }
}
