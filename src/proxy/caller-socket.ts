// The caller's end where a connection has left the HTTP server for an upgrade that did not come to be.
// The answer is written by hand. Then the connection goes back to the server, so that the next bytes are a new request; or,
// where the answer has no length of its own or the request was not read to its end, it is closed (RFC 9112 section 9.6).
import type { Duplex } from 'node:stream';
import type { CallerEnd } from './types.ts';

/** A caller that never closes its side must not hold the socket for ever, in ms. */
const LINGER_MS = 2000;

/**
 * Writes one HTTP/1.1 answer to a raw socket.
 *
 * @param giveBack takes the connection after the answer; without it the connection is closed
 */
export function socketCaller(socket: Duplex, giveBack?: () => void): CallerEnd {
  let done = false;
  let stays = giveBack !== undefined;
  let gone: (() => void) | undefined;
  const onError = () => socket.destroy();
  const onClose = () => {
    if (!done) gone?.();
  };
  socket.on('error', onError);
  socket.once('close', onClose);
  // Where the connection will close, further bytes are dropped so that the answer can be delivered.
  if (!stays) socket.resume();
  return {
    head(status, reason, headers) {
      let text = `HTTP/1.1 ${status} ${reason}\r\n`;
      let hasLength = status === 204 || status === 304;
      for (let i = 0; i + 1 < headers.length; i += 2) {
        const name = headers[i] as string;
        if (/^(connection|keep-alive|transfer-encoding|upgrade)$/i.test(name)) continue;
        if (name.toLowerCase() === 'content-length') hasLength = true;
        text += `${name}: ${headers[i + 1]}\r\n`;
      }
      if (stays && !hasLength) {
        stays = false;
        socket.resume();
      }
      socket.write(`${text}${stays ? '' : 'Connection: close\r\n'}\r\n`, 'latin1');
    },
    write: (chunk) => socket.write(chunk),
    onDrain(resume) {
      socket.once('drain', resume);
    },
    end() {
      if (done) return;
      done = true;
      if (stays && !socket.destroyed) {
        socket.off('close', onClose).off('error', onError);
        giveBack?.();
        return;
      }
      socket.end();
      setTimeout(() => socket.destroy(), LINGER_MS).unref();
    },
    abort() {
      done = true;
      socket.destroy();
    },
    onGone(callback) {
      gone = callback;
      if (socket.destroyed && !done) callback();
    },
  };
}
