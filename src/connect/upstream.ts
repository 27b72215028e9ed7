// Connections to the gateway: dialled when needed, kept for the next request while both sides want that.
// Certificates are read again when their files change, so that renewed ones take effect without a restart.
import { readFileSync, statSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';
import { type AnswerHead, AnswerReader } from '../proxy/answer-reader.ts';
import type { EngineAddress } from '../proxy/types.ts';
import { dial } from '../runtime/dial.ts';
import { fingerprint } from './credentials.ts';
import { explain } from './trouble.ts';

/** Longest wait for a connection with its handshake, in ms. */
const DIAL_TIMEOUT_MS = 10_000;
/** Idle connections are kept this long, in ms: shorter than the gateway keeps them (75 s). */
const IDLE_MS = 30_000;
/** Most idle connections kept. */
const MAX_IDLE = 16;

/** Where the gateway is, and the files that TLS needs. */
export interface GatewayTarget {
  /** As the user wrote it, for messages. */
  readonly text: string;
  readonly address: Omit<EngineAddress, 'tls'>;
  /** Absent where TLS is not spoken. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
}

/** What listens to a connection while a request is on it. */
export interface Exchange {
  onInterim(status: number): void;
  onHead(head: AnswerHead): void;
  onBody(chunk: Buffer): void;
  /** `rest` holds the bytes behind the answer: after a 101 the upgraded stream. */
  onEnd(rest: Buffer): void;
  /** It ended before the answer was whole; `untouched` when no byte of the answer had come. */
  onBroken(error: unknown, untouched: boolean): void;
}

/** One connection to the gateway. */
export class Upstream {
  readonly socket: Duplex;
  readonly revision: string;
  /** Whether it carried a request before. */
  used = false;
  reusable = false;
  /** When it was put aside, and the timer that ends it then. A machine that slept fires the timer too late. */
  idleSince = 0;
  idleTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #reader: AnswerReader;
  #exchange: Exchange | undefined;
  #error: unknown;

  constructor(socket: Duplex, revision: string) {
    this.socket = socket;
    this.revision = revision;
    this.#reader = new AnswerReader({
      onInterim: (status) => this.#exchange?.onInterim(status),
      onHead: (head) => {
        this.reusable = head.keepAlive;
        this.#exchange?.onHead(head);
      },
      onBody: (chunk) => this.#exchange?.onBody(chunk),
      onEnd: (rest) => {
        if (rest.length > 0) this.reusable = false;
        this.#exchange?.onEnd(rest);
      },
    });
    socket.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError).on('close', this.#onClose);
  }

  /** Listens for the answer to a request about to be written. */
  begin(method: string, exchange: Exchange): void {
    this.#exchange = exchange;
    this.#reader.begin(method);
    this.socket.resume();
  }

  readonly #onData = (data: Buffer): void => {
    if (this.#exchange === undefined) {
      // Bytes without a request: the connection cannot be trusted with another one.
      this.socket.destroy();
      return;
    }
    try {
      this.#reader.push(data);
    } catch (error) {
      this.#break(error);
    }
  };

  readonly #onEnd = (): void => {
    this.reusable = false;
    if (this.#exchange !== undefined && !this.#reader.done && this.#reader.end()) return;
    this.#break(this.#error);
  };

  readonly #onError = (error: unknown): void => {
    this.#error = error;
    this.socket.destroy();
  };

  readonly #onClose = (): void => this.#break(this.#error);

  #break(error: unknown): void {
    const exchange = this.#exchange;
    const untouched = this.#reader.untouched;
    this.drop();
    exchange?.onBroken(error ?? Object.assign(new Error('closed'), { code: 'ECONNRESET' }), untouched);
  }

  /** Ends the connection at once, without calling a handler. */
  drop(): void {
    this.#exchange = undefined;
    this.reusable = false;
    clearTimeout(this.idleTimer);
    this.socket.destroy();
  }

  /** The answer is complete: the connection has no listener until the next request. */
  rest(): void {
    this.#exchange = undefined;
    this.used = true;
  }

  /** Takes the stream out of HTTP, paused. */
  release(): Duplex {
    this.#exchange = undefined;
    this.socket.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError);
    this.socket.off('close', this.#onClose).pause();
    return this.socket;
  }
}

/** The way to the gateway. */
export class Upstreams {
  readonly target: GatewayTarget;
  /** Value of the Host header. */
  readonly host: string;
  readonly #idle: Upstream[] = [];

  constructor(target: GatewayTarget) {
    this.target = target;
    const { host, port } = target.address;
    this.host = host === undefined ? 'docker' : `${host.includes(':') ? `[${host}]` : host}:${port}`;
  }

  /**
   * A connection for one request.
   *
   * @param fresh a new one, not one that was kept
   * @throws {GatewayError} `gateway-unreachable` with what to do about it
   */
  async take(fresh: boolean): Promise<Upstream> {
    const material = this.#material();
    while (!fresh && this.#idle.length > 0) {
      const kept = this.#idle.pop() as Upstream;
      clearTimeout(kept.idleTimer);
      const isGood = kept.revision === material.revision && Date.now() - kept.idleSince < IDLE_MS;
      if (isGood && !kept.socket.destroyed && kept.socket.readable) return kept;
      kept.drop();
    }
    try {
      const { address } = this.target;
      const socket = await dial(
        material.tls === undefined ? address : { ...address, tls: material.tls },
        DIAL_TIMEOUT_MS,
      );
      return new Upstream(socket, material.revision);
    } catch (cause) {
      throw this.trouble(cause);
    }
  }

  /** Keeps a connection whose answer is complete, or ends it. */
  give(upstream: Upstream): void {
    upstream.rest();
    if (!upstream.reusable || upstream.socket.destroyed || this.#idle.length >= MAX_IDLE) {
      upstream.drop();
      return;
    }
    upstream.socket.resume();
    upstream.idleSince = Date.now();
    this.#idle.push(upstream);
    upstream.idleTimer = setTimeout(() => {
      const at = this.#idle.indexOf(upstream);
      if (at >= 0) this.#idle.splice(at, 1);
      upstream.drop();
    }, IDLE_MS);
    upstream.idleTimer.unref?.();
  }

  /** A fault on the way, as the client is told of it. */
  trouble(cause: unknown): GatewayError {
    if (cause instanceof GatewayError) return cause;
    return new GatewayError('gateway-unreachable', explain(cause, this.target.text), { cause });
  }

  close(): void {
    for (const upstream of this.#idle.splice(0)) upstream.drop();
  }

  #cached: { readonly revision: string; readonly tls: EngineAddress['tls'] } | undefined;

  /** @throws {GatewayError} `credential-unavailable` when a file cannot be read and never could */
  #material(): { readonly revision: string; readonly tls: EngineAddress['tls'] } {
    const { tls: files } = this.target;
    if (files === undefined) return { revision: '', tls: undefined };
    const entries = Object.entries(files) as ['ca' | 'cert' | 'key', string][];
    let file = '';
    try {
      const revision = entries
        .map(([, path]) => {
          file = path;
          return fingerprint(statSync(path, { bigint: true }));
        })
        .join();
      if (revision === this.#cached?.revision) return this.#cached;
      const read = entries.map(([name, path]) => {
        file = path;
        return [name, readFileSync(path, 'utf8')] as const;
      });
      this.#cached = { revision, tls: Object.fromEntries(read) };
    } catch (error) {
      if (this.#cached === undefined) {
        const { code } = error as NodeJS.ErrnoException;
        throw new GatewayError('credential-unavailable', `${file} cannot be read (${code})`);
      }
    }
    return this.#cached;
  }
}
