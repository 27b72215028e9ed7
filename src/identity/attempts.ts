// Counts attempts by who makes them, so that guessing and flooding are slow for who does it and cost us little.

const WINDOW_MS = 60_000;
/** Failures of one source within a minute; the next attempt is refused unread. */
export const MAX_FAILURES = 20;
/** Names remembered; past this the older half is forgotten. */
const MAX_NAMES = 10_000;

export interface AttemptLimit {
  /** Seconds a name must wait before its next attempt; 0 when it need not. */
  waitS(name: string, at: number): number;
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
    // A clock set back must not lock anybody out until it has caught up.
    return window === undefined || at >= window.from + WINDOW_MS || at < window.from ? undefined : window;
  };
  return {
    waitS(name, at) {
      const window = current(name, at);
      if (window === undefined || window.attempts < most) return 0;
      return Math.max(1, Math.ceil((window.from + WINDOW_MS - at) / 1000));
    },
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
