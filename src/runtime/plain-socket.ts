// Whether HTTP/2 may take over what lies below a socket. Measured on node 24.21: with TLS below, a write that ends under its hands
// ends the process. Measured on Deno 2.9.6: a socket of an HTTPS server breaks, and does not tell that it has TLS below.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { runtime } from './runtime.ts';

/** True for a TCP or unix socket without TLS, on a runtime where that can be told. */
export const isPlainSocket = (socket: Duplex): boolean =>
  runtime.name === 'node' && socket instanceof Socket && !('encrypted' in socket);
