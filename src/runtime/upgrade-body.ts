// Reads the body of a request that left the HTTP server for an upgrade (exec start sends one). Where its bytes are was
// measured to differ: Node leaves them in `head` or on the socket; Deno puts those that came with the head into the
// request's stream and leaves later ones on the socket. In all cases that is the order they were sent in.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';
import { runtime } from './runtime.ts';

/**
 * Deno decodes the chunks that came with the head, and says by the end of the request's stream that they were all; chunks that come
 * later are on the socket as they were sent. Node leaves all of them as they were sent, and ends the stream in any case.
 */
const DECODES_CHUNKS = runtime.name === 'deno';

/** Longest wait for the body, in ms. */
const BODY_TIMEOUT_MS = 10_000;

/** One more byte of a chunked body than this is refused; a size has at most so many hexadecimal digits. */
const MAX_CHUNKED_BYTES = 64 * 1024;
const MAX_SIZE_DIGITS = 8;

const notChunked = (): GatewayError =>
  new GatewayError('request-malformed', 'the chunks of the body could be read in more than one way');

/** A chunked body whole, without extensions and trailers; undefined where more of it is to come. @throws {GatewayError} `request-malformed`, `body-too-large` */
function unchunked(bytes: Buffer): { readonly body: Buffer; readonly used: number } | undefined {
  const parts: Buffer[] = [];
  let length = 0;
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n', at);
    const line = bytes.toString('latin1', at, end < 0 ? bytes.length : end);
    if (line.length > MAX_SIZE_DIGITS || !(end < 0 ? /^[0-9a-f]*\r?$/i : /^[0-9a-f]+$/i).test(line)) throw notChunked();
    if (end < 0) return undefined;
    const size = Number.parseInt(line, 16);
    length += size;
    if (length > MAX_CHUNKED_BYTES)
      throw new GatewayError('body-too-large', `the body is larger than ${MAX_CHUNKED_BYTES} bytes`);
    const from = end + 2;
    const close = bytes.toString('latin1', from + size, from + size + 2);
    if (!'\r\n'.startsWith(close)) throw notChunked();
    if (close.length < 2) return undefined;
    parts.push(bytes.subarray(from, from + size));
    at = from + size + 2;
    if (size === 0) return { body: Buffer.concat(parts), used: at };
  }
}

/**
 * @param head bytes the server had read beyond the request's head
 * @param length announced length in bytes, or `chunked`
 * @param timeoutMs longest wait. Default 10 000
 * @returns the body, and the bytes behind it
 * @throws {GatewayError} `request-timeout`, `request-malformed`
 */
export function readUpgradeBody(
  incoming: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  length: number | 'chunked',
  timeoutMs = BODY_TIMEOUT_MS,
): Promise<{ body: Uint8Array; rest: Uint8Array }> {
  return new Promise((resolve, reject) => {
    const inRequest: Buffer[] = [];
    const onSocket: Buffer[] = [];
    // Asked for at once: on Deno `head` holds what is behind the body, so it must not be counted before the body is.
    const first: Buffer | null = incoming.readableLength > 0 ? incoming.read() : null;
    if (first !== null) inRequest.push(first);
    const settle = (read?: { readonly body: Uint8Array; readonly rest: Uint8Array }, error?: unknown) => {
      clearTimeout(timer);
      incoming.off('data', onRequestData).off('end', onRequestEnd);
      socket.off('data', onSocketData).off('end', onEnd).off('close', onEnd);
      socket.pause();
      if (read === undefined) reject(error);
      else resolve(read);
    };
    let size = head.length + (first?.length ?? 0);
    let isDecoded = false;
    const look = () => {
      if (length !== 'chunked' && size < length) return;
      if (isDecoded) {
        settle({ body: Buffer.concat(inRequest), rest: Buffer.concat([head, ...onSocket]) });
        return;
      }
      const all = Buffer.concat([...inRequest, head, ...onSocket]);
      try {
        // A part that is decoded, and a part that is not, do not make a body.
        if (length === 'chunked' && inRequest.length > 0) throw notChunked();
        const whole = length === 'chunked' ? unchunked(all) : { body: all.subarray(0, length), used: length };
        if (whole !== undefined) settle({ body: whole.body, rest: all.subarray(whole.used) });
      } catch (error) {
        settle(undefined, error);
      }
    };
    const onRequestData = (chunk: Buffer) => {
      inRequest.push(chunk);
      size += chunk.length;
      if (length !== 'chunked') look();
    };
    const onSocketData = (chunk: Buffer) => {
      onSocket.push(chunk);
      size += chunk.length;
      // The end of what was decoded may be told behind the bytes that follow it.
      if (mayBeDecoded) setImmediate(look);
      else look();
    };
    const mayBeDecoded = DECODES_CHUNKS && length === 'chunked';
    const onRequestEnd = () => {
      isDecoded = true;
      look();
    };
    if (mayBeDecoded) {
      incoming.once('end', onRequestEnd);
      // Kept for good: a body that cannot be decoded must not end the process.
      incoming.on('error', () => settle(undefined, notChunked()));
    }
    const fail = (code: 'request-malformed' | 'request-timeout', message: string) =>
      settle(undefined, new GatewayError(code, message));
    const onEnd = () => fail('request-malformed', 'the body ended before its announced length');
    const timer = setTimeout(
      () => fail('request-timeout', `the body did not arrive within ${timeoutMs} ms`),
      timeoutMs,
    );
    incoming.on('data', onRequestData);
    socket.on('data', onSocketData).on('end', onEnd).on('close', onEnd);
    if (!mayBeDecoded) look();
  });
}
