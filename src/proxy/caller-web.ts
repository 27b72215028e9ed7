// The caller's end as a web-standard Response with a streaming body: for the gateway's `fetch`.
import { GatewayError } from '../errors.ts';
import type { CallerEnd } from './types.ts';

/** Largest number of bytes held for a reader that is behind, before the engine is made to wait. */
const HIGH_WATER_BYTES = 256 * 1024;
/** Statuses a Response may not carry a body with. */
const BODILESS = new Set([101, 204, 205, 304]);
/** What stands in place of a head that never came. */
const ENDED = new GatewayError('shutting-down', 'the call was ended before it was answered');

/**
 * A caller end, and the response it turns into once its head is known.
 *
 * @param signal aborted when the caller does not want the answer any more
 */
export function webCaller(signal?: AbortSignal): { caller: CallerEnd; response: Promise<Response> } {
  let answer!: (response: Response) => void;
  let fail!: (error: unknown) => void;
  const response = new Promise<Response>((resolve, reject) => {
    answer = resolve;
    fail = reject;
  });
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let headed = false;
  let over = false;
  let resume: (() => void) | undefined;
  let gone: (() => void) | undefined;
  /** The caller left before the answer was over. */
  let left = false;
  const leave = () => {
    if (over) return;
    over = true;
    left = true;
    gone?.();
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start(c) {
        controller = c;
      },
      pull() {
        const waiting = resume;
        resume = undefined;
        waiting?.();
      },
      cancel: leave,
    },
    { highWaterMark: HIGH_WATER_BYTES, size: (chunk) => chunk.length },
  );
  const onAbort = () => {
    leave();
    if (headed) controller?.error(signal?.reason);
    else fail(ENDED);
  };
  const settle = () => {
    over = true;
    signal?.removeEventListener('abort', onAbort);
  };
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  const caller: CallerEnd = {
    head(status, reason, headers) {
      if (over) return;
      headed = true;
      const list: [string, string][] = [];
      for (let i = 0; i + 1 < headers.length; i += 2) list.push([headers[i] as string, headers[i + 1] as string]);
      answer(new Response(BODILESS.has(status) ? null : body, { status, statusText: reason, headers: list }));
    },
    write(chunk) {
      if (over) return true;
      controller?.enqueue(chunk);
      return (controller?.desiredSize ?? 1) > 0;
    },
    onDrain(callback) {
      resume = callback;
    },
    end() {
      if (over) return;
      settle();
      controller?.close();
    },
    abort() {
      if (over) return;
      settle();
      if (headed) controller?.error(new Error('the answer broke off'));
      else fail(ENDED);
    },
    onGone(callback) {
      gone = callback;
      if (left) callback();
    },
  };
  return { caller, response };
}
