// The caller's end as a web-standard Response with a streaming body: for the gateway's `fetch`.
import type { CallerEnd } from './types.ts';

/** Largest number of bytes held for a reader that is behind, before the engine is made to wait. */
const HIGH_WATER_BYTES = 256 * 1024;
/** Statuses a Response may not carry a body with. */
const BODILESS = new Set([101, 204, 205, 304]);

/** A caller end, and the response it turns into once its head is known. */
export function webCaller(): { caller: CallerEnd; response: Promise<Response> } {
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
      cancel() {
        if (over) return;
        over = true;
        gone?.();
      },
    },
    { highWaterMark: HIGH_WATER_BYTES, size: (chunk) => chunk.length },
  );
  const caller: CallerEnd = {
    head(status, reason, headers) {
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
      over = true;
      controller?.close();
    },
    abort() {
      if (over) return;
      over = true;
      const broken = new Error('the answer broke off');
      if (headed) controller?.error(broken);
      else fail(broken);
    },
    onGone(callback) {
      gone = callback;
    },
  };
  return { caller, response };
}
