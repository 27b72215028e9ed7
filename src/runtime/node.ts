// Node: the body of an upgrade request is not read by the server; it is in `head` or still on the socket.
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';
import type { Runtime } from './runtime.ts';

/** Longest wait for the body of an upgrade request, in ms. */
const BODY_TIMEOUT_MS = 10_000;

export const nodeRuntime: Runtime = {
  name: 'node',
  version: process.versions.node ?? '',
  async readUpgradeBody(_incoming, socket, head, length) {
    const bytes = await readFrom(socket, Buffer.from(head), length);
    return { body: bytes.subarray(0, length), rest: bytes.subarray(length) };
  },
};

function readFrom(socket: Duplex, start: Buffer, length: number): Promise<Buffer> {
  if (start.length >= length) return Promise.resolve(start);
  return new Promise((resolve, reject) => {
    const chunks = [start];
    let size = start.length;
    const settle = (error?: GatewayError) => {
      clearTimeout(timer);
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
      socket.pause();
      if (error === undefined) resolve(Buffer.concat(chunks, size));
      else reject(error);
    };
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= length) settle();
    };
    const onEnd = () => settle(new GatewayError('request-malformed', 'the body ended before its announced length'));
    const timer = setTimeout(
      () => settle(new GatewayError('request-timeout', `the body did not arrive within ${BODY_TIMEOUT_MS} ms`)),
      BODY_TIMEOUT_MS,
    );
    socket.on('data', onData).on('end', onEnd).on('close', onEnd);
  });
}
