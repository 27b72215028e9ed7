// Reads the body of a request that left the HTTP server for an upgrade (exec start sends one). Where its bytes are was
// measured to differ: Node leaves them in `head` or on the socket; Deno puts those that came with the head into the
// request's stream and leaves later ones on the socket. In all cases that is the order they were sent in.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';

/** Longest wait for the body, in ms. */
const BODY_TIMEOUT_MS = 10_000;

/**
 * @param head bytes the server had read beyond the request's head
 * @param length announced length in bytes
 * @param timeoutMs longest wait. Default 10 000
 * @returns the body, and what came behind it
 * @throws {GatewayError} `request-timeout`, `request-malformed`
 */
export function readUpgradeBody(
  incoming: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  length: number,
  timeoutMs = BODY_TIMEOUT_MS,
): Promise<{ body: Uint8Array; rest: Uint8Array }> {
  return new Promise((resolve, reject) => {
    const inRequest: Buffer[] = [];
    const onSocket: Buffer[] = [];
    // Asked for at once: on Deno `head` holds what is behind the body, so it must not be counted before the body is.
    const first: Buffer | null = incoming.readableLength > 0 ? incoming.read() : null;
    if (first !== null) inRequest.push(first);
    let size = head.length + (first?.length ?? 0);
    const settle = (error?: GatewayError) => {
      clearTimeout(timer);
      incoming.off('data', onRequestData);
      socket.off('data', onSocketData).off('end', onEnd).off('close', onEnd);
      socket.pause();
      if (error !== undefined) {
        reject(error);
        return;
      }
      const all = Buffer.concat([...inRequest, head, ...onSocket]);
      resolve({ body: all.subarray(0, length), rest: all.subarray(length) });
    };
    const onRequestData = (chunk: Buffer) => {
      inRequest.push(chunk);
      size += chunk.length;
      if (size >= length) settle();
    };
    const onSocketData = (chunk: Buffer) => {
      onSocket.push(chunk);
      size += chunk.length;
      if (size >= length) settle();
    };
    const onEnd = () => settle(new GatewayError('request-malformed', 'the body ended before its announced length'));
    const timer = setTimeout(
      () => settle(new GatewayError('request-timeout', `the body did not arrive within ${timeoutMs} ms`)),
      timeoutMs,
    );
    incoming.on('data', onRequestData);
    socket.on('data', onSocketData).on('end', onEnd).on('close', onEnd);
    if (size >= length) settle();
  });
}
