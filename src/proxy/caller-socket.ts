// The caller's end where a connection has left the HTTP server for an upgrade that did not come to be.
// The answer is written by hand and the connection is closed after it, so that nothing sent behind it can be taken
// for part of this call (RFC 9112 section 9.6).
import type { Duplex } from 'node:stream';
import type { CallerEnd } from './types.ts';

/** Writes one HTTP/1.1 answer to a raw socket and closes it. */
export function socketCaller(socket: Duplex): CallerEnd {
  let done = false;
  let gone: (() => void) | undefined;
  socket.on('error', () => socket.destroy());
  socket.once('close', () => {
    if (!done) gone?.();
  });
  // Whatever the caller still sends is not read as a request; it is dropped so that the answer can be delivered.
  socket.resume();
  return {
    head(status, reason, headers) {
      let text = `HTTP/1.1 ${status} ${reason}\r\n`;
      for (let i = 0; i + 1 < headers.length; i += 2) {
        const name = headers[i] as string;
        if (/^(connection|keep-alive|transfer-encoding|upgrade)$/i.test(name)) continue;
        text += `${name}: ${headers[i + 1]}\r\n`;
      }
      socket.write(`${text}Connection: close\r\n\r\n`, 'latin1');
    },
    write: (chunk) => socket.write(chunk),
    onDrain(resume) {
      socket.once('drain', resume);
    },
    end() {
      done = true;
      socket.end();
      // A caller that never closes its side must not hold the socket for ever.
      setTimeout(() => socket.destroy(), 2000).unref();
    },
    abort() {
      done = true;
      socket.destroy();
    },
    onGone(callback) {
      gone = callback;
    },
  };
}
