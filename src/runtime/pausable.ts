// Makes the socket of a TLS connection one that can be paused. On Node it is one. Measured on Deno 2.9.6: there a paused
// TLS socket, of a server or a client, goes on reading and decrypting into native memory without bound, and an end of the
// peer that comes meanwhile is never told. What works there is to stop the TCP connection below it, and only that one.
import type { Duplex } from 'node:stream';
import { runtime } from './runtime.ts';

/** How node: sockets drive what is below them. */
interface Handle {
  readStart(): number;
  readStop(): number;
  readonly _parent?: Handle | null;
}

const done = new WeakSet<Duplex>();

/**
 * To be called once the handshake is over. Doing so again changes nothing.
 *
 * @returns false where it cannot be done: such a connection must not be used, for its memory has no bound
 */
export function makePausable(socket: Duplex): boolean {
  if (runtime.name === 'node' || done.has(socket)) return true;
  const handle = (socket as { _handle?: Handle | null })._handle;
  // Closed already: nothing will be read.
  if (handle === null) return true;
  const below = handle?._parent;
  if (handle === undefined || typeof below?.readStart !== 'function' || typeof below.readStop !== 'function') {
    return false;
  }
  const readStart = handle.readStart.bind(handle);
  // The TLS layer itself goes on: it tells what it has, which is bounded by one read, and the end when that comes.
  handle.readStop = () => below.readStop();
  handle.readStart = () => {
    const code = readStart();
    return code === 0 || code === undefined ? below.readStart() : code;
  };
  done.add(socket);
  return true;
}
