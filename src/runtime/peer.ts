// The other end of a connection as TLS saw it: the certificate whose key it proved to hold. Read once for each connection.
// Both runtimes verify that proof during the handshake, also where nothing else about the certificate is required; what
// they say of its chain (`authorized`) was measured to differ, and on Deno an expired one passes, so it is not asked.
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Peer } from '../identity/certificate-callers.ts';

const peers = new WeakMap<Socket, Peer>();

/** @returns the same object for the same connection; undefined where there is no TLS */
export function peerOf(socket: Socket): Peer | undefined {
  if (!('getPeerCertificate' in socket)) return undefined;
  let peer = peers.get(socket);
  if (peer === undefined) {
    peer = { certificate: certificateOf(socket as TLSSocket) };
    peers.set(socket, peer);
  }
  return peer;
}

function certificateOf(socket: TLSSocket): Uint8Array | undefined {
  // Undefined, or an empty object, when none was sent; null once the connection is gone.
  return socket.getPeerX509Certificate?.()?.raw ?? socket.getPeerCertificate()?.raw;
}
