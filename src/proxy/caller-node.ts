// The caller's end over node:http's ServerResponse: the server frames, keeps alive and sends a HEAD no body.
import type { ServerResponse } from 'node:http';
import type { CallerEnd } from './types.ts';

/** Wraps a response that nothing was written to yet. */
export function nodeCaller(response: ServerResponse): CallerEnd {
  let started = false;
  let over = false;
  let gone: (() => void) | undefined;
  response.once('close', () => {
    if (over) return;
    over = true;
    gone?.();
  });
  response.on('error', () => {});
  let flushing = false;
  return {
    head(status, reason, headers) {
      started = true;
      response.writeHead(status, reason, headers as string[]);
      // Head and body that come in one read leave in one write; a head alone leaves before this turn is over.
      flushing = true;
      queueMicrotask(() => {
        if (flushing && !over) response.flushHeaders();
      });
    },
    write(chunk) {
      flushing = false;
      if (over) return true;
      return response.write(chunk);
    },
    onDrain(resume) {
      // A caller that goes away never drains: the engine's side is ended by onGone then.
      response.once('drain', resume);
    },
    end() {
      flushing = false;
      if (over) return;
      over = true;
      response.end();
    },
    abort() {
      flushing = false;
      over = true;
      if (started) response.destroy();
      else response.socket?.destroy();
    },
    onGone(callback) {
      gone = callback;
      if (response.destroyed && !over) {
        over = true;
        callback();
      }
    },
  };
}
