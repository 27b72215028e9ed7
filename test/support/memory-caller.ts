// A caller's end that keeps what it was given, for tests of the client to the engine.
import type { CallerEnd } from '../../src/proxy/types.ts';

export interface MemoryCaller extends CallerEnd {
  readonly status: number | undefined;
  readonly headers: readonly string[];
  /** `open` until it ended whole or was broken off. */
  readonly state: 'open' | 'ended' | 'aborted';
  body(): Buffer;
  /** Answers `write` with "full" until `drain` is called. */
  full: boolean;
  drain(): void;
  /** The caller goes away. */
  leave(): void;
}

export function memoryCaller(): MemoryCaller {
  const chunks: Buffer[] = [];
  let status: number | undefined;
  let headers: readonly string[] = [];
  let state: MemoryCaller['state'] = 'open';
  let waiting: (() => void) | undefined;
  let gone: (() => void) | undefined;
  return {
    full: false,
    get status() {
      return status;
    },
    get headers() {
      return headers;
    },
    get state() {
      return state;
    },
    body: () => Buffer.concat(chunks),
    head(got, _reason, list) {
      if (status !== undefined) throw new Error('two heads for one call');
      status = got;
      headers = list;
    },
    write(chunk) {
      chunks.push(Buffer.from(chunk));
      return !this.full;
    },
    onDrain(resume) {
      waiting = resume;
    },
    drain() {
      this.full = false;
      const resume = waiting;
      waiting = undefined;
      resume?.();
    },
    end() {
      if (state !== 'open') throw new Error(`end after ${state}`);
      state = 'ended';
    },
    abort() {
      state = 'aborted';
    },
    onGone(callback) {
      gone = callback;
    },
    leave: () => gone?.(),
  };
}
