// A STAND-IN for an engine, for faults a real one does not make on request: a bare socket server that reads requests
// and answers with whatever bytes the test writes. It keeps every byte it received, so that "judged equals sent" can be seen.
import { mkdtempSync, rmSync } from 'node:fs';
import net, { type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import type { EngineAddress } from '../../src/proxy/types.ts';

/** One request as it arrived. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  /** The head as text, without the final empty line. */
  readonly head: string;
  header(name: string): string | undefined;
  /** Body bytes so far, chunk framing removed. */
  readonly received: () => Buffer;
  /** Resolves with the whole body; rejects when the connection ends in the middle of it. */
  readonly body: Promise<Buffer>;
  /** Which connection it came on, from 0. */
  readonly connection: number;
  readonly socket: Socket;
  /** Writes an answer with Content-Length. */
  answer(status: number, body?: string | Buffer, headers?: readonly string[]): void;
}

export interface ScriptedEngine {
  readonly address: EngineAddress;
  /** `unix:///...` or `tcp://...`, for settings. */
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  readonly sockets: readonly Socket[];
  /** Everything received on all connections, as text. */
  wire(): string;
  /** Replaces the script for the requests to come. */
  script: Script;
  close(): Promise<void>;
}

export type Script = (request: SeenRequest) => unknown;

export interface ScriptedOptions {
  /** Default: a unix socket in a folder of its own. */
  readonly tcp?: boolean;
  /** TLS material makes it a TLS engine on TCP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** A path to listen at, so that an engine can come back where it was. */
  readonly path?: string;
}

/** Starts it; `script` is called as soon as the head of a request is there. */
export async function startScriptedEngine(script: Script, options: ScriptedOptions = {}): Promise<ScriptedEngine> {
  const folder = options.path === undefined ? mkdtempSync(join(tmpdir(), 'dg-scripted-')) : undefined;
  const path = options.path ?? join(folder as string, 'engine.sock');
  const requests: SeenRequest[] = [];
  const sockets: Socket[] = [];
  const wire: Buffer[] = [];
  const accept = (socket: Socket) => {
    const connection = sockets.push(socket) - 1;
    socket.on('error', () => socket.destroy());
    readRequests(socket, connection, (request) => {
      requests.push(request);
      engine.script(request);
    });
    socket.on('data', (data: Buffer) => wire.push(data));
  };
  const server =
    options.tls === undefined
      ? net.createServer({ allowHalfOpen: true }, accept)
      : tls.createServer({ allowHalfOpen: true, ...options.tls } as tls.TlsOptions, accept);
  // Also those whose handshake came to nothing: they must not keep the server.
  const raw = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    raw.add(socket);
    socket.once('close', () => raw.delete(socket));
  });
  const overTcp = options.tcp === true || options.tls !== undefined;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (overTcp) server.listen(0, '127.0.0.1', resolve);
    else server.listen(path, resolve);
  });
  const port = overTcp ? (server.address() as AddressInfo).port : 0;
  const engine: ScriptedEngine = {
    address: overTcp
      ? {
          kind: 'tcp',
          host: '127.0.0.1',
          port,
          ...(options.tls === undefined ? {} : { tls: { ca: options.tls.cert, servername: 'localhost' } }),
        }
      : { kind: 'unix', path },
    url: overTcp ? `tcp://127.0.0.1:${port}` : `unix://${path}`,
    requests,
    sockets,
    wire: () => Buffer.concat(wire).toString('latin1'),
    script,
    async close() {
      for (const socket of [...sockets, ...raw]) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
  return engine;
}

/** Reads one request after another from a connection, until one of them is answered by taking the socket over. */
function readRequests(socket: Socket, connection: number, onRequest: (request: SeenRequest) => void): void {
  let pending: Buffer = Buffer.alloc(0);
  let current: BodyReader | undefined;
  const feed = () => {
    for (;;) {
      if (current !== undefined) {
        pending = current.push(pending);
        if (!current.done) return;
        current = undefined;
      }
      const end = pending.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = pending.subarray(0, end).toString('latin1');
      pending = pending.subarray(end + 4);
      current = new BodyReader(head);
      // Fed first, so that a script sees a body that came in one piece with its head.
      const seen = requestOf(head, current, connection, socket);
      pending = current.push(pending);
      onRequest(seen);
      if (/^upgrade:/im.test(head) && current.done) {
        socket.off('data', onData);
        if (pending.length > 0) socket.unshift(pending);
        return;
      }
    }
  };
  const onData = (data: Buffer) => {
    pending = pending.length === 0 ? data : Buffer.concat([pending, data]);
    feed();
  };
  socket.on('data', onData);
  const onGone = () => current?.broken();
  socket.on('end', onGone).on('close', onGone);
}

class BodyReader {
  readonly #chunks: Buffer[] = [];
  readonly #chunked: boolean;
  #left: number;
  #chunkLeft = -1;
  done = false;
  #resolve!: (body: Buffer) => void;
  #reject!: (error: Error) => void;
  readonly whole: Promise<Buffer> = new Promise((resolve, reject) => {
    this.#resolve = resolve;
    this.#reject = reject;
  });

  constructor(head: string) {
    this.whole.catch(() => {});
    this.#chunked = /^transfer-encoding: *chunked/im.test(head);
    this.#left = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    if (!this.#chunked && this.#left === 0) this.#finish();
  }

  received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  broken(): void {
    if (!this.done) this.#reject(new Error('the connection ended in the middle of the body'));
  }

  #finish(): void {
    this.done = true;
    this.#resolve(this.received());
  }

  /** Takes what belongs to the body; returns the rest. */
  push(data: Buffer): Buffer {
    let rest = data;
    while (!this.done && rest.length > 0) {
      if (!this.#chunked) {
        const take = Math.min(this.#left, rest.length);
        this.#chunks.push(rest.subarray(0, take));
        this.#left -= take;
        rest = rest.subarray(take);
        if (this.#left === 0) this.#finish();
        continue;
      }
      if (this.#chunkLeft > 0) {
        const take = Math.min(this.#chunkLeft, rest.length);
        this.#chunks.push(rest.subarray(0, take));
        this.#chunkLeft -= take;
        rest = rest.subarray(take);
        continue;
      }
      // A size line, after the line end of the chunk before it.
      const from = this.#chunkLeft === 0 ? 2 : 0;
      const end = rest.indexOf('\r\n', from);
      if (end < 0) return rest;
      const size = Number.parseInt(rest.toString('latin1', from, end), 16);
      if (size === 0) {
        if (rest.length < end + 4) return rest;
        rest = rest.subarray(end + 4);
        this.#finish();
      } else {
        rest = rest.subarray(end + 2);
        this.#chunkLeft = size;
      }
    }
    return rest;
  }
}

function requestOf(head: string, body: BodyReader, connection: number, socket: Socket): SeenRequest {
  const [line = '', ...lines] = head.split('\r\n');
  const [method = '', target = ''] = line.split(' ');
  return {
    method,
    target,
    head,
    header(name) {
      const found = lines.find((l) => l.toLowerCase().startsWith(`${name.toLowerCase()}:`));
      return found?.slice(name.length + 1).trim();
    },
    received: () => body.received(),
    body: body.whole,
    connection,
    socket,
    answer(status, text = '', headers = []) {
      const bytes = Buffer.from(text);
      const extra = headers.map((h) => `${h}\r\n`).join('');
      const length = status === 204 || status === 304 ? '' : `Content-Length: ${bytes.length}\r\n`;
      socket.write(
        Buffer.concat([
          Buffer.from(`HTTP/1.1 ${status} Scripted\r\n${extra}${length}\r\n`, 'latin1'),
          method === 'HEAD' ? Buffer.alloc(0) : bytes,
        ]),
      );
    },
  };
}
