// The client to the Docker Engine: hand-framed requests on pooled keep-alive sockets (unix, TCP, TLS). Written for this one
// peer: it reads only the trusted engine's answers, flushes heads at once and carries backpressure both ways.
// A failure before the caller got anything is a GatewayError; one after it breaks the caller's connection.
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';
import { dial, readsInto } from '../runtime/dial.ts';
import type { AnswerHead } from './answer-reader.ts';
import { Ender, type Ending } from './ending.ts';
import { Connection, type Exchange } from './engine-connection.ts';
import { answerHeaders } from './headers.ts';
import { DEFAULT_BOUNDS, type LaneBounds, type LaneName, type LaneState, Lanes, Place } from './lanes.ts';
import { Flow, Pace } from './pace.ts';
import { ReadBuffer } from './read-buffer.ts';
import { send, type Upload } from './send-request.ts';
import { type Holder, ITSELF, stopping, turnOf, turnUntil } from './turn.ts';
import type { CallerEnd, EngineAddress, EngineRequest, Outcome } from './types.ts';

export interface EngineClientOptions {
  /** How much is at the engine at once, and how much of it one identity's; asked at each call. */
  readonly bounds?: () => LaneBounds;
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
  /** The same client for calls of an identity's: they take places of its share. Without it, calls are the gateway's own. */
  as(holder: Holder): EngineClient;
  /** How full the lanes to the engine are. */
  lanes(): Readonly<Record<LaneName, LaneState>>;
  /**
   * Sends the request and streams the answer to the caller.
   * @throws {GatewayError} `engine-busy`, `engine-unreachable`, `engine-answer-malformed`: only when nothing was sent to the caller yet
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

const DEFAULT_CONNECT_MS = 5_000;
const DEFAULT_IDLE_MS = 30_000;
const FETCH_BYTES = 1024 * 1024;
const FETCH_TIMEOUT_MS = 30_000;

/** Makes a client; nothing is connected before the first call. */
export function createEngineClient(address: EngineAddress, options: EngineClientOptions = {}): EngineClient {
  const bounds = options.bounds ?? (() => DEFAULT_BOUNDS);
  const connectTimeoutMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_MS;
  const idleSocketMs = options.idleSocketMs ?? DEFAULT_IDLE_MS;
  const idle: Connection[] = [];
  const lanes = new Lanes(bounds);
  const pace = new Pace();
  let closed = false;
  const host = address.kind === 'tcp' ? `${address.host}:${address.port}` : 'docker';

  /** @param mayUpgrade its bytes may come to be a stream of the caller's: it is read as streams are */
  function connect(mayUpgrade = false): Promise<Connection> {
    const buffer = !mayUpgrade && readsInto(address) ? new ReadBuffer() : undefined;
    let made: Connection | undefined;
    const onread = buffer && {
      buffer: () => buffer.next(),
      callback(bytes: number) {
        made?.onRead(bytes);
        return true;
      },
    };
    return dial(address, connectTimeoutMs, onread).then(
      (socket) => {
        made = new Connection(socket, buffer);
        return made;
      },
      (cause: Error & { code?: string }) => {
        const reason = cause.code ?? cause.message;
        throw new GatewayError('engine-unreachable', `the engine cannot be reached (${reason})`, { cause });
      },
    );
  }

  /** A free connection: the one used last, so that the others may grow old and go. */
  function idleConnection(): Connection | undefined {
    const now = Date.now();
    while (idle.length > 0) {
      const connection = idle.pop() as Connection;
      if (connection.socket.destroyed || !connection.socket.readable || now - connection.idleSince > idleSocketMs) {
        connection.socket.destroy();
        continue;
      }
      return connection;
    }
    return undefined;
  }

  function giveBack(connection: Connection): void {
    connection.exchange = undefined;
    if (!connection.reusable || connection.socket.destroyed || closed || idle.length >= bounds().engineConnections) {
      connection.socket.destroy();
      return;
    }
    // A socket paused for a slow caller would stay paused for the next one.
    connection.socket.resume();
    connection.used = true;
    connection.idleSince = Date.now();
    idle.push(connection);
  }

  /** Old connections go even when no call comes by to find them. */
  const sweeper = setInterval(() => {
    const now = Date.now();
    while (idle.length > 0 && now - (idle[0] as Connection).idleSince > idleSocketMs) idle.shift()?.socket.destroy();
  }, 10_000);
  sweeper.unref?.();

  async function forward(
    holder: Holder,
    request: EngineRequest,
    caller: CallerEnd,
    options: ForwardOptions = {},
  ): Promise<Outcome> {
    const idempotent = request.method === 'GET' || request.method === 'HEAD';
    if (closed) throw stopping();
    const taken = lanes.take(laneOf(holder, request), holder.name);
    const place = taken instanceof Place ? taken : await turnOf(taken, holder, caller, options.ending);
    if (place === undefined) return LEFT;
    try {
      for (let attempt = 0; ; attempt++) {
        const connection = (attempt === 0 ? idleConnection() : undefined) ?? (await connect());
        const stale = connection.used;
        try {
          return await exchange(holder, connection, request, caller, options);
        } catch (error) {
          // A pooled connection may have been closed by the engine just now. Asking again is safe only if it cannot have acted.
          if (attempt === 0 && stale && idempotent && error instanceof StaleError) continue;
          throw error instanceof StaleError ? error.cause : error;
        }
      }
    } finally {
      place.release();
    }
  }

  function exchange(
    holder: Holder,
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

      const copies = connection.lendsChunks && caller.isClear === undefined;
      const flow = new Flow(pace, holder.name, caller, {
        pause: () => connection.socket.pause(),
        resume: () => connection.exchange === mine && connection.socket.resume(),
      });
      const mine: Exchange = {
        onHead(head) {
          status = head.status;
          headed = true;
          const headers = answerHeaders(head.headers, head.untilClose);
          caller.head(head.status, head.reason, headers);
          onHead?.(head.status, headers);
        },
        onBody(chunk) {
          bytesOut += chunk.length;
          flow.carried(chunk.length, caller.write(copies ? Buffer.from(chunk) : chunk));
        },
        ...(copies || caller.isClear === undefined ? {} : { isClear: () => caller.isClear?.() ?? false }),
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
      connection.exchange = mine;
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
    holder: Holder,
    request: EngineRequest,
    protocol: string,
    options: { signal?: AbortSignal } = {},
  ): Promise<UpgradeAnswer> {
    if (closed) throw stopping();
    const taken = lanes.take(laneOf(holder, request), holder.name);
    const place = taken instanceof Place ? taken : await turnUntil(taken, holder, options.signal);
    let connection: Connection;
    try {
      connection = await connect(true);
    } catch (error) {
      place.release();
      throw error;
    }
    // Upgraded or not, it is not used for another call.
    connection.socket.once('close', () => place.release());
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

  const fetchJson = (
    holder: Holder,
    request: EngineRequest,
    { maxBytes = FETCH_BYTES, timeoutMs = FETCH_TIMEOUT_MS }: { maxBytes?: number; timeoutMs?: number } = {},
  ): Promise<{ status: number; headers: readonly string[]; body: Uint8Array }> =>
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
      forward(holder, request, memory, { ending: stop })
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

  const as = (holder: Holder): EngineClient => ({
    as,
    lanes: () => lanes.state(),
    forward: (request, caller, settings) => forward(holder, request, caller, settings),
    fetchJson: (request, settings) => fetchJson(holder, request, settings),
    upgrade: (request, protocol, settings) => upgrade(holder, request, protocol, settings),
    async ping(timeoutMs) {
      try {
        const answer = await fetchJson(ITSELF, PING, { timeoutMs });
        return answer.status === 200;
      } catch {
        return false;
      }
    },
    async close() {
      closed = true;
      clearInterval(sweeper);
      for (const connection of idle.splice(0)) connection.socket.destroy();
      lanes.refuseAll(stopping());
    },
  });
  return as(ITSELF);
}

const PING: EngineRequest = { method: 'GET', target: '/_ping', headers: [], body: undefined };

const laneOf = (holder: Holder, { lane }: EngineRequest): LaneName => lane ?? (holder === ITSELF ? 'own' : 'question');

/** The outcome of a call whose caller left, or that was ended, while it waited for its place. */
const LEFT: Outcome = { status: 0, bytesIn: 0, bytesOut: 0, end: 'caller-gone' };

/** No byte of an answer came: the engine may not have seen the request at all. */
class StaleError extends Error {
  override readonly cause: GatewayError;
  constructor(cause: GatewayError) {
    super('stale connection');
    this.cause = cause;
  }
}
