// Verified tokens by their SHA-256, bounded, in two generations; and one verification in flight per token.
// Refusals are kept apart, so that garbage can never push a good token out.
import { hash } from 'node:crypto';

/** Entries of good tokens kept when nothing else is asked for. */
export const DEFAULT_CACHE_SIZE = 10_000;
/** Refusals kept; past this they are all forgotten. */
const MAX_REFUSALS = 1000;

/** Name of a token in the cache. The token's text is not kept. */
export const keyOf = (token: string): string => hash('sha256', token, 'base64url');

export interface TokenCache<T, R> {
  get(key: string): T | undefined;
  set(key: string, value: T): void;
  delete(key: string): void;
  refusal(key: string): R | undefined;
  refuse(key: string, refusal: R): void;
  /** Runs `work`, or joins the run already under way for the key. */
  once(key: string, work: () => Promise<T>): Promise<T>;
  readonly size: number;
}

/** Creates a cache of at most `maxSize` entries; the ones least recently used go first, half of them at a time. */
export function createTokenCache<T, R>(maxSize: number = DEFAULT_CACHE_SIZE): TokenCache<T, R> {
  const half = Math.max(1, Math.floor(maxSize / 2));
  let young = new Map<string, T>();
  let old = new Map<string, T>();
  const refusals = new Map<string, R>();
  const running = new Map<string, Promise<T>>();

  const set = (key: string, value: T) => {
    if (young.size >= half && !young.has(key)) {
      old = young;
      young = new Map();
    }
    young.set(key, value);
    old.delete(key);
  };

  return {
    get(key) {
      const found = young.get(key);
      if (found !== undefined) return found;
      const aged = old.get(key);
      if (aged !== undefined) set(key, aged);
      return aged;
    },
    set,
    delete(key) {
      young.delete(key);
      old.delete(key);
    },
    refusal: (key) => refusals.get(key),
    refuse(key, refusal) {
      if (refusals.size >= MAX_REFUSALS) refusals.clear();
      refusals.set(key, refusal);
    },
    once(key, work) {
      const known = running.get(key);
      if (known !== undefined) return known;
      const run = work().finally(() => running.delete(key));
      running.set(key, run);
      return run;
    },
    get size() {
      return young.size + old.size;
    },
  };
}
