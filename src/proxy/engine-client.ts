// The client to the Docker Engine: hand-framed requests on pooled keep-alive sockets (unix, TCP, TLS). Written for this one
// peer: it reads only the trusted engine's answers, flushes heads at once and carries backpressure both ways.
// A failure before the caller got anything is a GatewayError; one after it breaks the caller's connection.
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';
import { dial } from '../runtime/dial.ts';
import { type AnswerHead, AnswerReader } from './answer-reader.ts';
import { Ender, type Ending } from './ending.ts';
import { answerHeaders } from './headers.ts';
import type { CallerEnd, EngineAddress, EngineRequest, Outcome } from './types.ts';

export interface EngineClientOptions {
  /** Most connections at once, hijacked ones left out. Default 512; further calls wait for a free one. */
  readonly maxSockets?: number;
  /** Default 5000 ms. */
  readonly connectTimeoutMs?: number;
  /** Idle connections are dropped after this long, in ms. Default 30 000. */
  readonly idleSocketMs?: number;
}

export interface ForwardOptions {
  onHead?(status: number, headers: readonly string[]): void;
  /** Ends the call: the caller sees a truncated answer. */
  readonly ending?: Ending;
}

export type UpgradeAnswer =
  | {
      readonly kind: 'upgraded';
      readonly reason: string;
      readonly headers: readonly string[];
      /** The engine's side; bytes that came with the head are put back in front. */
      readonly socket: Duplex;
    }
  | { readonly kind: 'answer'; deliver(caller: CallerEnd): Promise<Outcome> };

export interface EngineClient {
  /**
   * Sends the request and streams the answer to the caller.
   * @throws {GatewayError} `engine-unreachable`, `engine-answer-malformed`: only when nothing was sent to the caller yet
   */
  forward(request: EngineRequest, caller: CallerEnd, options?: ForwardOptions): Promise<Outcome>;
  /** A whole answer in memory, for what the gateway itself asks. */
  fetchJson(
    request: EngineRequest,
    options?: { maxBytes?: number; timeoutMs?: number },
  ): Promise<{ status: number; headers: readonly string[]; body: Uint8Array }>;
  /** Sends the request with an Upgrade; the engine may take it (101) or answer as usual. */
  upgrade(request: EngineRequest, protocol: string, options?: { signal?: AbortSignal }): Promise<UpgradeAnswer>;
  ping(timeoutMs: number): Promise<boolean>;
  close(): Promise<void>;
}

const DEFAULT_MAX_SOCKETS = 512;
const DEFAULT_CONNECT_MS = 5_000;
const DEFAULT_IDLE_MS = 30_000;
/** Calls that may wait for a free connection. */
const MAX_WAITING = 4096;
const FETCH_BYTES = 1024 * 1024;
const FETCH_TIMEOUT_MS = 30_000;

/** What listens to one connection while a call is on it. */
interface Exchange {
  onHead(head: AnswerHead): void;
  onBody(chunk: Buffer): void;
  onEnd(rest: Buffer): void;
  /** The connection ended or broke before the answer was whole; `untouched` when no byte of it had come. */
  onBroken(error: GatewayError, untouched: boolean): void;
}

class Connection {
  readonly socket: Duplex;
  readonly reader: AnswerReader;
  exchange: Exchange | undefined;
  /** Whether it carried a call before. */
  used = false;
  idleSince = 0;
  reusable = false;
  readonly #onGone: () => void;
  #counted = true;

  /** @param onGone called once, when the connection no longer counts as one of the pool's */
  constructor(socket: Duplex, onGone: () => void) {
    this.socket = socket;
    this.#onGone = onGone;
    this.reader = new AnswerReader({
      onHead: (head) => {
        this.reusable = head.keepAlive;
        this.exchange?.onHead(head);
      },
      onBody: (chunk) => this.exchange?.onBody(chunk),
      onEnd: (rest) => {
        if (rest.length > 0) this.reusable = false;
        this.exchange?.onEnd(rest);
      },
    });
    socket.on('data', this.onData);
    socket.on('end', this.onEnd);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.broken('the engine closed the connection');
      this.#uncount();
    });
  }

  readonly onData = (data: Buffer): void => {
    if (this.exchange === undefined) {
      // Bytes nobody asked for: the connection cannot be trusted with another call.
      this.reusable = false;
      this.socket.destroy();
      return;
    }
    try {
      this.reader.push(data);
    } catch (error) {
      this.fail(error as GatewayError);
    }
  };

  readonly onEnd = (): void => {
    this.reusable = false;
    if (this.exchange !== undefined && !this.reader.done && this.reader.end()) return;
    this.broken('the engine closed the connection before its answer was complete');
    this.socket.destroy();
  };

  broken(what: string): void {
    if (this.exchange !== undefined) this.fail(new GatewayError('engine-unreachable', what));
  }

  fail(error: GatewayError): void {
    const { exchange } = this;
    this.exchange = undefined;
    this.reusable = false;
    const untouched = this.reader.untouched;
    this.socket.destroy();
    exchange?.onBroken(error, untouched);
  }

  /** Takes the socket out of the client's hands, for an upgraded connection. */
  release(): Duplex {
    this.exchange = undefined;
    this.reusable = false;
    this.socket.off('data', this.onData).off('end', this.onEnd);
    this.socket.pause();
    this.#uncount();
    return this.socket;
  }

  #uncount(): void {
    if (!this.#counted) return;
    this.#counted = false;
    this.#onGone();
  }
}

/** Makes a client; nothing is connected before the first call. */
export function createEngineClient(address: EngineAddress, options: EngineClientOptions = {}): EngineClient {
  const maxSockets = options.maxSockets ?? DEFAULT_MAX_SOCKETS;
  const connectTimeoutMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_MS;
  const idleSocketMs = options.idleSocketMs ?? DEFAULT_IDLE_MS;
  const idle: Connection[] = [];
  const waiting: { resolve(c: Connection): void; reject(e: GatewayError): void }[] = [];
  let open = 0;
  let closed = false;
  const host = address.kind === 'tcp' ? `${address.host}:${address.port}` : 'docker';

  const onClosed = () => {
    open--;
    serveWaiting();
  };

  const serveWaiting = () => {
    while (waiting.length > 0 && open < maxSockets) {
      const next = waiting.shift();
      if (next !== undefined) connect().then(next.resolve, next.reject);
    }
  };

  function connect(): Promise<Connection> {
    open++;
    return dial(address, connectTimeoutMs).then(
      (socket) => new Connection(socket, onClosed),
      (cause: Error & { code?: string }) => {
        onClosed();
        const reason = cause.code ?? cause.message;
        throw new GatewayError('engine-unreachable', `the engine cannot be reached (${reason})`, { cause });
      },
    );
  }

  /** A free connection: the one used last, so that the others may grow old and go. */
  function take(fresh: boolean): Connection | Promise<Connection> {
    if (closed) throw new GatewayError('shutting-down', 'the gateway is stopping');
    const now = Date.now();
    while (!fresh && idle.length > 0) {
      const connection = idle.pop() as Connection;
      if (connection.socket.destroyed || !connection.socket.readable || now - connection.idleSince > idleSocketMs) {
        connection.socket.destroy();
        continue;
      }
      return connection;
    }
    if (open < maxSockets) return connect();
    if (waiting.length >= MAX_WAITING)
      throw new GatewayError('engine-unreachable', 'too many calls wait for the engine');
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  }

  function giveBack(connection: Connection): void {
    connection.exchange = undefined;
    if (!connection.reusable || connection.socket.destroyed || closed) {
      connection.socket.destroy();
      return;
    }
    // A socket paused for a slow caller would stay paused for the next one.
    connection.socket.resume();
    connection.used = true;
    const next = waiting.shift();
    if (next !== undefined) {
      next.resolve(connection);
      return;
    }
    connection.idleSince = Date.now();
    idle.push(connection);
  }

  /** Old connections go even when no call comes by to find them. */
  const sweeper = setInterval(() => {
    const now = Date.now();
    while (idle.length > 0 && now - (idle[0] as Connection).idleSince > idleSocketMs) idle.shift()?.socket.destroy();
  }, 10_000);
  sweeper.unref?.();

  async function forward(request: EngineRequest, caller: CallerEnd, options: ForwardOptions = {}): Promise<Outcome> {
    const idempotent = request.method === 'GET' || request.method === 'HEAD';
    for (let attempt = 0; ; attempt++) {
      const taken = take(attempt > 0);
      const connection = taken instanceof Promise ? await taken : taken;
      const stale = connection.used;
      try {
        return await exchange(connection, request, caller, options);
      } catch (error) {
        // A pooled connection may have been closed by the engine just now. Asking again is safe only if it cannot have acted.
        if (attempt === 0 && stale && idempotent && error instanceof StaleError) continue;
        throw error instanceof StaleError ? error.cause : error;
      }
    }
  }

  function exchange(
    connection: Connection,
    request: EngineRequest,
    caller: CallerEnd,
    { onHead, ending }: ForwardOptions,
  ): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      let status = 0;
      let bytesIn = 0;
      let bytesOut = 0;
      let headed = false;
      let settled = false;
      let upload: Upload | undefined;

      const settle = (end: Outcome['end']) => {
        if (settled) return;
        settled = true;
        ending?.onEnd(undefined);
        upload?.stop();
        bytesIn = upload?.sent ?? (request.body instanceof Uint8Array ? request.body.length : 0);
        resolve({ status, bytesIn, bytesOut, end });
      };
      const onAbort = () => {
        if (settled) return;
        connection.exchange = undefined;
        connection.socket.destroy();
        caller.abort();
        settle('caller-gone');
      };

      connection.exchange = {
        onHead(head) {
          status = head.status;
          headed = true;
          const headers = answerHeaders(head.headers, head.untilClose);
          caller.head(head.status, head.reason, headers);
          onHead?.(head.status, headers);
        },
        onBody(chunk) {
          bytesOut += chunk.length;
          if (!caller.write(chunk)) {
            connection.socket.pause();
            caller.onDrain(() => connection.socket.resume());
          }
        },
        onEnd() {
          // An answer that comes before the upload is complete ends the upload; what the engine has not read is lost.
          if (upload !== undefined && !upload.done) connection.reusable = false;
          giveBack(connection);
          caller.end();
          settle('complete');
        },
        onBroken(error, untouched) {
          if (settled) return;
          if (headed) {
            caller.abort();
            settle('engine-gone');
            return;
          }
          settled = true;
          ending?.onEnd(undefined);
          upload?.stop();
          reject(untouched ? new StaleError(error) : error);
        },
      };
      caller.onGone(() => {
        if (settled) return;
        connection.exchange = undefined;
        connection.socket.destroy();
        settle('caller-gone');
      });
      if (ending?.ended) {
        onAbort();
        return;
      }
      ending?.onEnd(onAbort);

      connection.reader.begin(request.method);
      upload = send(connection.socket, host, request, '');
      upload?.start((error) => {
        if (settled) return;
        // The caller stopped in the middle of its upload: the engine must see a broken one, not a short one.
        connection.exchange = undefined;
        connection.socket.destroy();
        settled = true;
        ending?.onEnd(undefined);
        if (headed) {
          caller.abort();
          resolve({ status, bytesIn: upload?.sent ?? 0, bytesOut, end: 'caller-gone' });
        } else reject(error);
      });
    });
  }

  async function upgrade(
    request: EngineRequest,
    protocol: string,
    options: { signal?: AbortSignal } = {},
  ): Promise<UpgradeAnswer> {
    const connection = await take(true);
    return new Promise((resolve, reject) => {
      const early: Buffer[] = [];
      let head: AnswerHead | undefined;
      let ended = false;
      const onAbort = () => connection.fail(new GatewayError('shutting-down', 'the call was ended'));
      options.signal?.addEventListener('abort', onAbort, { once: true });
      const done = () => options.signal?.removeEventListener('abort', onAbort);

      /** Hands an ordinary answer over, with what was read of it so far. */
      const deliver = (caller: CallerEnd): Promise<Outcome> =>
        new Promise((finish) => {
          const { status, reason, headers } = head as AnswerHead;
          let bytesOut = 0;
          let settled = false;
          const settle = (end: Outcome['end']) => {
            if (settled) return;
            settled = true;
            done();
            connection.exchange = undefined;
            connection.socket.destroy();
            finish({ status, bytesIn: 0, bytesOut, end });
          };
          const write = (chunk: Buffer) => {
            bytesOut += chunk.length;
            if (!caller.write(chunk)) {
              connection.socket.pause();
              caller.onDrain(() => connection.socket.resume());
            }
          };
          caller.head(status, reason, answerHeaders(headers));
          for (const chunk of early) write(chunk);
          const complete = () => {
            caller.end();
            settle('complete');
          };
          if (ended) {
            complete();
            return;
          }
          connection.exchange = {
            onHead() {},
            onBody: write,
            onEnd: complete,
            onBroken() {
              caller.abort();
              settle('engine-gone');
            },
          };
          caller.onGone(() => settle('caller-gone'));
          connection.socket.resume();
        });

      connection.exchange = {
        onHead(got) {
          head = got;
          if (got.status === 101) return;
          // The signal stays: a plain answer to an upgrade may be a stream too.
          connection.socket.pause();
          resolve({ kind: 'answer', deliver });
        },
        onBody: (chunk) => early.push(chunk),
        onEnd(rest) {
          ended = true;
          if (head?.status !== 101) return;
          done();
          const socket = connection.release();
          if (rest.length > 0) socket.unshift(rest);
          resolve({ kind: 'upgraded', reason: head.reason, headers: answerHeaders(head.headers), socket });
        },
        onBroken(error) {
          done();
          reject(error);
        },
      };
      connection.reader.begin(request.method);
      if (request.body !== undefined && !(request.body instanceof Uint8Array)) {
        connection.fail(new GatewayError('upgrade-not-allowed', 'an upload cannot upgrade its connection'));
        return;
      }
      send(connection.socket, host, request, protocol);
    });
  }

  const fetchJson: EngineClient['fetchJson'] = (
    request,
    { maxBytes = FETCH_BYTES, timeoutMs = FETCH_TIMEOUT_MS } = {},
  ) =>
    new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      const stop = new Ender();
      let size = 0;
      let tooLarge = false;
      let status = 0;
      let headers: readonly string[] = [];
      const timer = setTimeout(() => stop.end(), timeoutMs);
      const memory: CallerEnd = {
        head(got, _reason, list) {
          status = got;
          headers = list;
        },
        write(chunk) {
          size += chunk.length;
          if (size > maxBytes) {
            tooLarge = true;
            stop.end();
          } else chunks.push(chunk as Buffer);
          return true;
        },
        onDrain() {},
        end() {},
        abort() {},
        onGone() {},
      };
      forward(request, memory, { ending: stop })
        .then((outcome) => {
          if (tooLarge)
            throw new GatewayError('engine-answer-malformed', `the engine's answer is larger than ${maxBytes} bytes`);
          if (stop.ended) throw new GatewayError('engine-timeout', `the engine did not answer within ${timeoutMs} ms`);
          if (outcome.end !== 'complete')
            throw new GatewayError('engine-unreachable', 'the engine broke off its answer');
          resolve({ status, headers, body: Buffer.concat(chunks, size) });
        })
        .catch(reject)
        .finally(() => clearTimeout(timer));
    });

  return {
    forward,
    fetchJson,
    upgrade,
    async ping(timeoutMs) {
      try {
        const answer = await fetchJson(
          { method: 'GET', target: '/_ping', headers: [], body: undefined },
          { timeoutMs },
        );
        return answer.status === 200;
      } catch {
        return false;
      }
    },
    async close() {
      closed = true;
      clearInterval(sweeper);
      for (const connection of idle.splice(0)) connection.socket.destroy();
      for (const { reject } of waiting.splice(0)) reject(new GatewayError('shutting-down', 'the gateway is stopping'));
    },
  };
}

/** No byte of an answer came: the engine may not have seen the request at all. */
class StaleError extends Error {
  override readonly cause: GatewayError;
  constructor(cause: GatewayError) {
    super('stale connection');
    this.cause = cause;
  }
}

/** Writes the head, and the body where it is whole; returns the upload where it streams. */
function send(socket: Duplex, host: string, request: EngineRequest, upgrade: string): Upload | undefined {
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
  return new Upload(socket, body);
}

/** A body sent in chunks as it comes, no faster than the engine takes it. */
class Upload {
  readonly #socket: Duplex;
  readonly #source: AsyncIterable<Uint8Array>;
  #stopped = false;
  sent = 0;
  done = false;

  constructor(socket: Duplex, source: AsyncIterable<Uint8Array>) {
    this.#socket = socket;
    this.#source = source;
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
      const ready = socket.write('\r\n', 'latin1');
      socket.uncork();
      if (!ready) await drained(socket);
    }
    if (this.#stopped || socket.destroyed) return;
    this.done = true;
    socket.write('0\r\n\r\n', 'latin1');
  }
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
