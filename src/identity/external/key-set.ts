// The keys of one issuer in memory: fetched ahead, refreshed by age, found at once; an outage is bridged for a day.
// However many tokens name unknown keys, the issuer is asked once per cooldown, and all who wait share one fetch.
import { GatewayError } from '../../errors.ts';
import type { LoadKeys } from './key-source.ts';
import { type PublicKeys, readPublicKeys } from './public-keys.ts';
import type { ExternalAlgorithm } from './setting.ts';

/** Keys are fetched again after this long, in ms. */
export const FRESH_MS = 10 * 60_000;
/** Shortest time between two fetches, for all reasons to fetch, in ms. */
export const COOLDOWN_MS = 30_000;
/** Keys serve this long after they were last fetched, while the issuer cannot be reached, in ms. */
export const STALE_MS = 24 * 3_600_000;

export interface KeySetState {
  /** Milliseconds since the epoch of the last good fetch. */
  readonly fetchedAt: number | undefined;
  readonly attemptedAt: number | undefined;
  /** Why the last attempt failed; undefined when it did not. */
  readonly error: string | undefined;
  readonly kids: readonly string[];
  readonly ignored: number;
  /** Fetches begun so far. */
  readonly fetches: number;
  /** - `ready`: fresh keys - `stale`: older keys serve while the issuer is away - `down`: no token can be verified */
  readonly status: 'ready' | 'stale' | 'down' | 'pending';
}

export interface KeySet {
  /**
   * The key of a token. Synchronous when the keys at hand are fresh and hold it.
   *
   * @throws {GatewayError} `token-key-unknown` when the issuer has no such key, `token-invalid` when several could be
   *   meant, `issuer-unavailable` when its keys cannot be had
   */
  find(kid: string | undefined, algorithm: ExternalAlgorithm): CryptoKey | Promise<CryptoKey>;
  /** Fetches now unless one is under way or the cooldown holds it back. Never rejects. */
  refresh(): Promise<void>;
  state(): KeySetState;
}

export interface KeySetParts {
  readonly load: LoadKeys;
  readonly algorithms: readonly ExternalAlgorithm[];
  now(): number;
  /** Told of every failed fetch, for the log. */
  onError?(message: string): void;
}

export function createKeySet(parts: KeySetParts): KeySet {
  let keys: PublicKeys | undefined;
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let attemptedAt = Number.NEGATIVE_INFINITY;
  let error: string | undefined;
  let fetches = 0;
  let running: Promise<void> | undefined;

  /** A clock set back must not hold the next fetch off for long. */
  const mayFetch = (at: number) => at - attemptedAt >= COOLDOWN_MS || at < attemptedAt;
  const isFresh = (at: number) => keys !== undefined && at >= fetchedAt && at - fetchedAt < FRESH_MS;
  const isUsable = (at: number) => keys !== undefined && at - fetchedAt < STALE_MS;

  function refresh(): Promise<void> {
    if (running !== undefined) return running;
    if (!mayFetch(parts.now())) return Promise.resolve();
    attemptedAt = parts.now();
    fetches++;
    running = fetchKeys().finally(() => {
      running = undefined;
    });
    return running;
  }

  async function fetchKeys(): Promise<void> {
    try {
      const read = await readPublicKeys(await parts.load(), parts.algorithms);
      if (read === undefined) throw new GatewayError('issuer-unavailable', 'the document is no key set');
      keys = read;
      fetchedAt = parts.now();
      error = undefined;
    } catch (thrown) {
      error = thrown instanceof Error ? thrown.message : String(thrown);
      parts.onError?.(error);
    }
  }

  function pick(kid: string | undefined, algorithm: ExternalAlgorithm): CryptoKey | 'none' {
    if (keys === undefined || !isUsable(parts.now())) {
      throw new GatewayError(
        'issuer-unavailable',
        'the keys of the issuer cannot be had just now; try again in a minute',
      );
    }
    const key = keys.find(kid, algorithm);
    if (key === 'several') {
      throw new GatewayError('token-invalid', 'the token header kid does not tell which key of the issuer is meant');
    }
    return key;
  }

  async function afterFetch(kid: string | undefined, algorithm: ExternalAlgorithm): Promise<CryptoKey> {
    await refresh();
    const key = pick(kid, algorithm);
    if (key === 'none') throw new GatewayError('token-key-unknown', 'the token header kid names no key of its issuer');
    return key;
  }

  return {
    find(kid, algorithm) {
      const at = parts.now();
      // While the issuer is away, the known keys serve at once and are renewed in the background.
      if (!isFresh(at) && !(isUsable(at) && error !== undefined)) return afterFetch(kid, algorithm);
      const key = pick(kid, algorithm);
      if (key === 'none') return afterFetch(kid, algorithm);
      if (!isFresh(at)) void refresh();
      return key;
    },
    refresh,
    state() {
      const at = parts.now();
      const hasKeys = isUsable(at) && keys !== undefined && keys.kids.length > 0;
      const status =
        keys === undefined && error === undefined
          ? 'pending'
          : !hasKeys
            ? 'down'
            : error === undefined
              ? 'ready'
              : 'stale';
      return {
        fetchedAt: Number.isFinite(fetchedAt) ? fetchedAt : undefined,
        attemptedAt: Number.isFinite(attemptedAt) ? attemptedAt : undefined,
        error,
        kids: keys?.kids ?? [],
        ignored: keys?.ignored ?? 0,
        fetches,
        status,
      };
    },
  };
}
