// Counts failed attempts by source, so that guessing is slow for who guesses and costs us little.

/** Failures of one source within a window; the next attempt is refused unread. */
const MAX_FAILURES = 20;
const WINDOW_MS = 60_000;
/** Sources remembered; past this the older half is forgotten. */
const MAX_SOURCES = 10_000;

export interface FailedAttempts {
  /** Seconds a source must wait before its next attempt is read; 0 when it need not. */
  waitS(source: string, at: number): number;
  /** @param at milliseconds since the epoch */
  failed(source: string, at: number): void;
}

interface Window {
  readonly from: number;
  failures: number;
}

export function createFailedAttempts(maxSources: number = MAX_SOURCES): FailedAttempts {
  let young = new Map<string, Window>();
  let old = new Map<string, Window>();
  const current = (source: string, at: number): Window | undefined => {
    const window = young.get(source) ?? old.get(source);
    // A clock set back must not lock anybody out until it has caught up.
    return window === undefined || at >= window.from + WINDOW_MS || at < window.from ? undefined : window;
  };
  return {
    waitS(source, at) {
      const window = current(source, at);
      if (window === undefined || window.failures < MAX_FAILURES) return 0;
      return Math.max(1, Math.ceil((window.from + WINDOW_MS - at) / 1000));
    },
    failed(source, at) {
      const window = current(source, at) ?? { from: at, failures: 0 };
      window.failures++;
      if (young.size * 2 >= maxSources && !young.has(source)) {
        old = young;
        young = new Map();
      }
      young.set(source, window);
    },
  };
}
