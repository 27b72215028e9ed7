// Counts attempts by who makes them, so that guessing and flooding are slow for who does it and cost us little.

import { hash } from 'node:crypto';

const WINDOW_MS = 60_000;
/** Failures of one credential within a minute, and credentials of one source that failed within it. */
export const MAX_FAILURES = 20;
/** Names remembered; past this the older half is forgotten. */
const MAX_NAMES = 10_000;

export interface AttemptLimit {
  /** Seconds a name must wait before its next attempt; 0 when it need not. */
  waitS(name: string, at: number): number;
  /** Whether there was an attempt of a name within the last minute. */
  isKnown(name: string, at: number): boolean;
  /** @param at milliseconds since the epoch */
  count(name: string, at: number): void;
}

interface Window {
  readonly from: number;
  attempts: number;
}

/** @param most attempts of one name within a minute */
export function createAttemptLimit(most: number, maxNames: number = MAX_NAMES): AttemptLimit {
  let young = new Map<string, Window>();
  let old = new Map<string, Window>();
  const current = (name: string, at: number): Window | undefined => {
    const window = young.get(name) ?? old.get(name);
    // A clock set back must not lock callers out until it has caught up.
    return window === undefined || at >= window.from + WINDOW_MS || at < window.from ? undefined : window;
  };
  return {
    waitS(name, at) {
      const window = current(name, at);
      if (window === undefined || window.attempts < most) return 0;
      return Math.max(1, Math.ceil((window.from + WINDOW_MS - at) / 1000));
    },
    isKnown: (name, at) => current(name, at) !== undefined,
    count(name, at) {
      const window = current(name, at) ?? { from: at, attempts: 0 };
      window.attempts++;
      if (young.size * 2 >= maxNames && !young.has(name)) {
        old = young;
        young = new Map();
      }
      young.set(name, window);
    },
  };
}

/**
 * Failed attempts to present a credential. One that fails again and again is not looked at any more; many of one source that fail are
 * guesses, and are told no more than to wait. A good credential is always taken: many callers share one address, and the mistakes
 * of one are not the others'. A guess has 256 bits to find, so nothing is gained by asking while others wait.
 */
export class FailedCredentials {
  readonly #credentials = createAttemptLimit(MAX_FAILURES);
  readonly #sources = createAttemptLimit(MAX_FAILURES);

  /** Seconds the credential must wait before it is looked at again; 0 when it need not. */
  waitS(credential: string | undefined, at: number): number {
    return credential === undefined ? 0 : this.#credentials.waitS(nameOf(credential), at);
  }

  /**
   * Counts a failure.
   *
   * @param credential what was presented; undefined when nothing was
   * @returns seconds the source is to wait, where too many credentials of it failed; 0 else
   */
  failed(source: string, credential: string | undefined, at: number): number {
    const waitS = this.#sources.waitS(source, at);
    const name = credential === undefined ? undefined : nameOf(credential);
    // The same one again is one mistake of one caller.
    const isNew = name === undefined || !this.#credentials.isKnown(name, at);
    if (name !== undefined) this.#credentials.count(name, at);
    if (isNew) this.#sources.count(source, at);
    return waitS;
  }
}

/** The text of a credential is not kept. */
const nameOf = (credential: string): string => hash('sha256', credential.trim(), 'base64url');
