// A request as it arrives, over node:http or as a web-standard Request: head, source and a body that is read on demand.
// Nothing here judges; limits on size and time are enforced where the body is read.
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import type { Peer } from '../identity/certificate-callers.ts';
import { type ConnectionClaim, claimOf } from '../runtime/connections.ts';
import { peerOf } from '../runtime/peer.ts';
import { runtime } from '../runtime/runtime.ts';
import type { Channel } from './channel.ts';

export type { Channel } from './channel.ts';

/** The body of a request, unread. */
export interface ArrivalBody {
  /** False when the head announces no body. */
  readonly present: boolean;
  /**
   * The whole body.
   * @throws {GatewayError} `body-too-large`, `request-timeout`, `request-malformed` when the caller stops in the middle
   */
  readAll(maxBytes: number, timeoutMs: number): Promise<Uint8Array>;
  /** The body as it comes, for uploads that pass through unread. Throws when the caller stops in the middle. */
  stream(): AsyncIterable<Uint8Array>;
  /** Each chunk of `stream` is memory of its own without another reference. */
  readonly ownsChunks?: boolean;
}

export interface Arrival {
  readonly method: string;
  /** Request target exactly as on the request line. */
  readonly target: string;
  /** Flat list name, value, ...: duplicates and case kept. */
  readonly rawHeaders: readonly string[];
  readonly channel: Channel;
  /** Address of the caller without port; `unix` on a unix socket. */
  readonly source: string;
  /** The other end of a TLS connection, and its certificate. */
  readonly peer?: Peer | undefined;
  /** The connection it came on, where a listener keeps count of them. */
  readonly connection?: ConnectionClaim | undefined;
  readonly body: ArrivalBody;
}

export const EMPTY_BODY = new Uint8Array(0);

/** Values of a header, in order; `name` in lower case. */
export function headerValues(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const key = rawHeaders[i] as string;
    if (key.length === name.length && key.toLowerCase() === name) values.push(rawHeaders[i + 1] as string);
  }
  return values;
}

/** First value of a header; `name` in lower case. */
export function headerValue(rawHeaders: readonly string[], name: string): string | undefined {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const key = rawHeaders[i] as string;
    if (key.length === name.length && key.toLowerCase() === name) return rawHeaders[i + 1];
  }
  return undefined;
}

/** An arrival over node:http. `onContinue` is called right before the body is first read (`Expect: 100-continue`). */
export function nodeArrival(incoming: IncomingMessage, channel: Channel, onContinue?: () => void): Arrival {
  const length = incoming.headers['content-length'];
  const present = incoming.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
  return {
    method: incoming.method ?? '',
    target: incoming.url ?? '',
    rawHeaders: incoming.rawHeaders,
    channel,
    source: sourceOf(incoming, channel),
    peer: channel.kind === 'unix' ? undefined : peerOf(incoming.socket),
    connection: claimOf(incoming.socket),
    body: {
      present,
      // Node's server makes a buffer for each piece of a body.
      ownsChunks: runtime.name === 'node',
      readAll(maxBytes, timeoutMs) {
        if (!present) return Promise.resolve(EMPTY_BODY);
        const declared = length === undefined ? 0 : Number(length);
        if (declared > maxBytes) return Promise.reject(tooLarge(maxBytes));
        onContinue?.();
        return readIncoming(incoming, maxBytes, timeoutMs);
      },
      stream() {
        onContinue?.();
        return chunksOf(incoming);
      },
    },
  };
}

/** A socket in a container stands for where its maker called from. */
const sourceOf = (incoming: IncomingMessage, { kind, speaksFor }: Channel): string =>
  speaksFor?.delegation.source ?? (kind === 'unix' ? 'unix' : (incoming.socket.remoteAddress ?? 'unknown'));

async function* chunksOf(incoming: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    // Stopping early must not end the connection: the engine's answer is still to be delivered on it.
    for await (const chunk of incoming.iterator({ destroyOnReturn: false })) yield chunk as Buffer;
  } finally {
    // The rest of an upload that is no longer wanted is dropped, so that the next request can be read.
    incoming.resume();
  }
}

const tooLarge = (maxBytes: number) => new GatewayError('body-too-large', `the body is larger than ${maxBytes} bytes`);

function readIncoming(incoming: IncomingMessage, maxBytes: number, timeoutMs: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (error: GatewayError | undefined) => {
      clearTimeout(timer);
      incoming.off('data', onData).off('end', onEnd).off('aborted', onGone).off('error', onGone).off('close', onGone);
      if (error === undefined) resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size));
      else {
        // Bytes still on their way are of no use, but must not fill the gateway's memory.
        incoming.on('error', () => {});
        incoming.resume();
        reject(error);
      }
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) settle(tooLarge(maxBytes));
      else chunks.push(chunk);
    };
    const onEnd = () => settle(undefined);
    const onGone = () => settle(new GatewayError('request-malformed', 'the body ended before its announced length'));
    const timer = setTimeout(
      () => settle(new GatewayError('request-timeout', `the body did not arrive within ${timeoutMs} ms`)),
      timeoutMs,
    );
    incoming.on('data', onData).on('end', onEnd).on('aborted', onGone).on('error', onGone).on('close', onGone);
  });
}

/** An arrival as a web-standard Request, for embedding the gateway's `fetch`. */
export function webArrival(request: Request, channel: Channel, source: string): Arrival {
  const url = new URL(request.url);
  const rawHeaders: string[] = [];
  for (const [name, value] of request.headers) rawHeaders.push(name, value);
  return {
    method: request.method,
    target: url.pathname + url.search,
    rawHeaders,
    channel,
    source,
    body: {
      present: request.body !== null,
      async readAll(maxBytes, timeoutMs) {
        if (request.body === null) return EMPTY_BODY;
        const chunks: Uint8Array[] = [];
        let size = 0;
        let late = false;
        const reader = request.body.getReader();
        const timer = setTimeout(() => {
          late = true;
          void reader.cancel().catch(() => {});
        }, timeoutMs);
        try {
          for (;;) {
            const { done, value } = await reader.read();
            // Cancelling looks like the end: the part received so far must not be taken for the body.
            if (late) throw new GatewayError('request-timeout', `the body did not arrive within ${timeoutMs} ms`);
            if (done) break;
            size += value.length;
            if (size > maxBytes) throw tooLarge(maxBytes);
            chunks.push(value);
          }
        } catch (cause) {
          if (cause instanceof GatewayError) throw cause;
          throw new GatewayError('request-malformed', 'the body ended before it was complete', { cause });
        } finally {
          clearTimeout(timer);
        }
        return Buffer.concat(chunks, size);
      },
      stream: () => request.body ?? emptyStream(),
    },
  };
}

async function* emptyStream(): AsyncGenerator<Uint8Array> {}
