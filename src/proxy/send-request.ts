// Writes a request to a connection of the engine's: head and whole bodies at once, uploads as they come.
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';
import type { EngineRequest } from './types.ts';

/** Writes the head, and the body where it is whole; returns the upload where it streams. */
export function send(socket: Duplex, host: string, request: EngineRequest, upgrade: string): Upload | undefined {
  const { method, target, headers, body } = request;
  let head = `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  if (upgrade !== '') head += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
  if (body === undefined) {
    if (method !== 'GET' && method !== 'HEAD') head += 'Content-Length: 0\r\n';
    socket.write(`${head}\r\n`, 'latin1');
    return undefined;
  }
  if (body instanceof Uint8Array) {
    const prefix = Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`, 'latin1');
    socket.write(Buffer.concat([prefix, body]));
    return undefined;
  }
  socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`, 'latin1');
  return new Upload(socket, body, request.givesUpChunks === true);
}

/** A body sent in chunks as it comes, no faster than the engine takes it. */
export class Upload {
  readonly #socket: Duplex;
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #givesUp: boolean;
  #stopped = false;
  sent = 0;
  done = false;

  /** @param givesUp the chunks have no other user: their memory is given back as each of them is sent */
  constructor(socket: Duplex, source: AsyncIterable<Uint8Array>, givesUp = false) {
    this.#socket = socket;
    this.#source = source;
    this.#givesUp = givesUp;
  }

  start(onFailed: (error: GatewayError) => void): void {
    this.#run().catch((cause: unknown) => {
      if (this.#stopped) return;
      onFailed(
        cause instanceof GatewayError
          ? cause
          : new GatewayError('request-malformed', 'the upload ended before it was complete', { cause }),
      );
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    const socket = this.#socket;
    for await (const chunk of this.#source) {
      if (this.#stopped || socket.destroyed) return;
      if (chunk.length === 0) continue;
      this.sent += chunk.length;
      socket.cork();
      socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1');
      socket.write(chunk);
      const ready = socket.write('\r\n', 'latin1', this.#givesUp ? () => giveUp(chunk) : undefined);
      socket.uncork();
      if (!ready) await drained(socket);
    }
    if (this.#stopped || socket.destroyed) return;
    this.done = true;
    socket.write('0\r\n\r\n', 'latin1');
  }
}

/** Chunks below this size are left to the collector. In bytes. */
const GIVEN_UP_BYTES = 4096;

/**
 * Gives the memory of a chunk back now: megabytes of dead buffers have the collector look through the whole heap over and over.
 * Only where the chunk is alone in its memory.
 */
function giveUp({ buffer, byteOffset, length }: Uint8Array): void {
  if (length < GIVEN_UP_BYTES || byteOffset !== 0 || buffer.byteLength !== length) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

function drained(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}
