// Deno, only where it was measured to differ: its server reads the body of an upgrade request into the request's stream,
// and `head` holds what came behind it.
import { GatewayError } from '../errors.ts';
import type { Runtime } from './runtime.ts';

/** Longest wait for the body of an upgrade request, in ms. */
const BODY_TIMEOUT_MS = 10_000;

interface DenoGlobal {
  readonly version: { readonly deno: string };
}

export const denoRuntime: Runtime = {
  name: 'deno',
  get version() {
    return (globalThis as { Deno?: DenoGlobal }).Deno?.version.deno ?? '';
  },
  readUpgradeBody(incoming, _socket, head, length) {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const settle = (error?: GatewayError) => {
        clearTimeout(timer);
        incoming.off('data', onData).off('end', onEnd).off('aborted', onEnd);
        if (error !== undefined) reject(error);
        else resolve({ body: Buffer.concat(chunks, size), rest: head });
      };
      const onData = (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size >= length) settle();
      };
      const onEnd = () =>
        settle(
          size === length
            ? undefined
            : new GatewayError('request-malformed', 'the body ended before its announced length'),
        );
      const timer = setTimeout(
        () => settle(new GatewayError('request-timeout', `the body did not arrive within ${BODY_TIMEOUT_MS} ms`)),
        BODY_TIMEOUT_MS,
      );
      incoming.on('data', onData).on('end', onEnd).on('aborted', onEnd);
      if (length === 0) settle();
    });
  },
};
