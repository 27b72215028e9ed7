// A token that has to be had again: one request for it at a time, in advance while the old one is good, and no storm of
// requests when it cannot be had.
import { GatewayError } from '../errors.ts';
import type { Credentials } from './credentials.ts';

/** A token as it was just had. */
export interface Fresh {
  /** Value of the Authorization header. */
  readonly value: string;
  /** When it is no longer good, in ms since 1970. */
  readonly expiresAt: number;
  /** When the next one is to be had, in ms since 1970. */
  readonly dueAt: number;
}

/** After an attempt its source is left alone this long, in ms, so that a busy client starts no storm. */
const REST_MS = 1_000;

/** @param fetch has a new one; a GatewayError it throws may say when it is worth another try (`retryAfterS`) */
export function renewing(
  fetch: () => Promise<Fresh>,
  now: () => number,
): Credentials & {
  /** What it was had for has changed: a new one is waited for, and the old one serves only if there is none. */
  outdate(): void;
} {
  let current: Fresh | undefined;
  let isOutdated = false;
  let running: Promise<string> | undefined;
  let generation = 0;
  let restUntil = 0;
  let failure: unknown;

  const run = (): Promise<string> => {
    if (running !== undefined) return running;
    const mine = generation;
    const isCurrent = () => mine === generation;
    running = (async () => {
      let restMs = REST_MS;
      try {
        const fresh = await fetch();
        if (isCurrent()) {
          current = fresh;
          isOutdated = false;
          failure = undefined;
        }
        return fresh.value;
      } catch (error) {
        restMs = restAfter(error);
        if (isCurrent()) failure = error;
        throw error;
      } finally {
        if (isCurrent()) {
          restUntil = now() + restMs;
          running = undefined;
        }
      }
    })();
    return running;
  };

  return {
    outdate() {
      generation++;
      running = undefined;
      restUntil = 0;
      isOutdated = true;
    },
    async authorization() {
      const at = now();
      if (current !== undefined && !isOutdated && at < current.dueAt) return current.value;
      if (running === undefined && at < restUntil) {
        if (current !== undefined) return current.value;
        throw failure;
      }
      const fetched = run();
      // The old one is still good: callers need not wait for the new one.
      if (current !== undefined && !isOutdated && at < current.expiresAt) {
        fetched.catch(() => {});
        return current.value;
      }
      try {
        return await fetched;
      } catch (error) {
        // An expired one lets the gateway say so; with none there is nothing to say it of.
        if (current !== undefined) return current.value;
        throw error;
      }
    },
    async renew(refused) {
      if (current !== undefined && current.value !== refused) return true;
      if (running === undefined && now() < restUntil) return false;
      try {
        return (await run()) !== refused;
      } catch {
        return false;
      }
    },
  };
}

/** A failure may say how long it lasts. */
const restAfter = (error: unknown): number =>
  error instanceof GatewayError && error.retryAfterS !== undefined ? error.retryAfterS * 1000 : REST_MS;
