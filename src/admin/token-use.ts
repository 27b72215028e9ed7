// Last use, calls and denials of each token, counted from the audit: exact, nothing on the way of a call, and the same after
// a crash. The log is read elsewhere, in portions that are each added at once.
import type { TokenUse, TokenUseStore } from '../identity/stores.ts';

/** Rows counted at a time: a few ms to read, and at most as many tokens to add to. */
const PORTION = 2000;
const EVERY_MS = 60_000;

/** Reads the audit for the count. */
export interface TokenUseReader {
  /** Uses in the rows after `afterSeq`, at most `limit` rows of them, and the last row that was looked at. */
  read(afterSeq: number, limit: number): Promise<{ readonly uses: ReadonlyMap<string, TokenUse>; readonly to: number }>;
}

export interface TokenUseCounter {
  get(tokenId: string): TokenUse | undefined;
  /** Counts to the end of the log. */
  catchUp(): Promise<void>;
  /** Counts from time to time. Returns how to stop. */
  start(onFault: (error: unknown) => void): () => void;
}

/** @param settle resolves once what was recorded so far can be read */
export function createTokenUseCounter(
  reader: TokenUseReader,
  store: TokenUseStore,
  settle: () => Promise<void> = () => Promise.resolve(),
): TokenUseCounter {
  let running: Promise<void> | undefined;
  const count = async (): Promise<void> => {
    await settle();
    for (let from = store.countedTo(); ; ) {
      const { uses, to } = await reader.read(from, PORTION);
      if (to === from) return;
      store.add(uses, to);
      if (to - from < PORTION) return;
      from = to;
    }
  };
  const catchUp = (): Promise<void> => {
    running ??= count().finally(() => {
      running = undefined;
    });
    return running;
  };
  return {
    get: (tokenId) => store.get(tokenId),
    catchUp,
    start(onFault) {
      const timer = setInterval(() => catchUp().catch(onFault), EVERY_MS);
      timer.unref();
      return () => clearInterval(timer);
    },
  };
}
