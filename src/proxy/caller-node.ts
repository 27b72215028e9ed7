// The caller's end over node:http's ServerResponse: the server frames, keeps alive and sends a HEAD no body.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { runtime } from '../runtime/runtime.ts';
import type { CallerEnd } from './types.ts';

/** First chunks up to this size wait for the end of the turn, so that a short answer leaves as one write. In bytes. */
const HOLD_BYTES = 16 * 1024;
/** A request that is answered before its end is read past for this long, in ms, so that the answer arrives. */
const LINGER_MS = 1_000;

/**
 * As text, node joins head and body into one buffer; as bytes it would send two. Measured on Deno 2.9.6: over TLS it writes such text
 * as UTF-8, and the answer is another.
 */
const IS_TEXT_SAFE = runtime.name === 'node';

/** Wraps a response that nothing was written to yet. */
export function nodeCaller(response: ServerResponse): CallerEnd {
  let started = false;
  let over = false;
  let gone: (() => void) | undefined;
  /** The head was given but not sent; a first short chunk may wait with it. */
  let holding = false;
  let held: Buffer | undefined;
  /** The caller left before the answer was over. */
  let left = false;
  response.once('close', () => {
    if (over) return;
    over = true;
    left = true;
    gone?.();
  });
  response.on('error', () => {});

  const release = () => {
    if (!holding) return;
    holding = false;
    if (over) return;
    if (held === undefined) response.flushHeaders();
    else response.write(held);
    held = undefined;
  };

  return {
    head(status, reason, headers) {
      started = true;
      // The engine's own word for a body that lasts until the connection ends: it is not to be chunked here either.
      if (headers[0] === 'Connection') response.useChunkedEncodingByDefault = false;
      response.writeHead(status, reason, headers as string[]);
      // What comes in one read leaves in one write; a head alone leaves before this turn of the event loop is over.
      holding = true;
      queueMicrotask(release);
    },
    write(chunk) {
      if (over) return true;
      if (holding && held === undefined && chunk.length <= HOLD_BYTES) {
        // A copy: the chunk may stand in memory that is read into again.
        held = Buffer.from(chunk);
        return true;
      }
      release();
      const { socket } = response;
      // What frames the chunk leaves with it, now: the server would wait for the end of the turn, and the chunk with it.
      socket?.cork();
      const more = response.write(chunk);
      socket?.uncork();
      return more || response.writableLength === 0;
    },
    isClear: () => response.writableLength === 0,
    onDrain(resume) {
      // A caller that goes away never drains: the engine's side is ended by onGone then.
      response.once('drain', resume);
    },
    end() {
      if (over) return;
      over = true;
      holding = false;
      const last = held === undefined ? undefined : IS_TEXT_SAFE ? held.toString('latin1') : held;
      if (response.req.complete || response.shouldKeepAlive) {
        if (last === undefined) response.end();
        else response.end(last, 'latin1');
        return;
      }
      // The connection ends with the answer. A client that still writes its body would find it broken and miss the answer.
      if (last === undefined) response.flushHeaders();
      else response.write(last, 'latin1');
      afterRequest(response.req, () => response.end());
    },
    abort() {
      over = true;
      holding = false;
      if (started) response.destroy();
      else response.socket?.destroy();
    },
    onGone(callback) {
      gone = callback;
      // It may have left while its call was judged.
      if (response.destroyed && !over) {
        over = true;
        left = true;
      }
      if (left) callback();
    },
  };
}

/** Drops the rest of a request, for LINGER_MS at most. */
function afterRequest(request: IncomingMessage, then: () => void): void {
  const done = () => {
    clearTimeout(timer);
    request.off('end', done).off('close', done).off('error', done);
    then();
  };
  const timer = setTimeout(done, LINGER_MS).unref();
  request.on('end', done).on('close', done).on('error', done);
  request.resume();
}
