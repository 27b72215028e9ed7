// The caller's end over node:http's ServerResponse: the server frames, keeps alive and sends a HEAD no body.
import type { ServerResponse } from 'node:http';
import type { CallerEnd } from './types.ts';

/** First chunks up to this size wait for the end of the turn, so that a short answer leaves as one write. In bytes. */
const HOLD_BYTES = 16 * 1024;

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
        held = chunk as Buffer;
        return true;
      }
      release();
      return response.write(chunk);
    },
    onDrain(resume) {
      // A caller that goes away never drains: the engine's side is ended by onGone then.
      response.once('drain', resume);
    },
    end() {
      if (over) return;
      over = true;
      holding = false;
      // As text, node joins head and body into one buffer; as bytes it would send two.
      if (held !== undefined)
        response.end(Buffer.from(held.buffer, held.byteOffset, held.length).toString('latin1'), 'latin1');
      else response.end();
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
