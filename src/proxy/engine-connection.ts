// One connection to the engine: bytes read on it go to its present call.
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';
import { type AnswerHead, AnswerReader } from './answer-reader.ts';
import type { ReadBuffer } from './read-buffer.ts';

/** What listens to one connection while a call is on it. */
export interface Exchange {
  onHead(head: AnswerHead): void;
  onBody(chunk: Buffer): void;
  /** Whether the chunks handed on are referred to no more; left out where they are copied. */
  isClear?(): boolean;
  onEnd(rest: Buffer): void;
  /** The connection ended or broke before the answer was whole; `untouched` when no byte of it had come. */
  onBroken(error: GatewayError, untouched: boolean): void;
}

export class Connection {
  readonly socket: Duplex;
  readonly reader: AnswerReader;
  exchange: Exchange | undefined;
  /** Whether it carried a call before. */
  used = false;
  idleSince = 0;
  reusable = false;
  /** What it reads into, and uses again; undefined where each read is a buffer of its own. */
  readonly #buffer: ReadBuffer | undefined;

  constructor(socket: Duplex, buffer?: ReadBuffer) {
    this.socket = socket;
    this.#buffer = buffer;
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
    socket.on('close', () => this.broken('the engine closed the connection'));
  }

  /** Chunks it hands on are views of memory that is read into again. */
  get lendsChunks(): boolean {
    return this.#buffer !== undefined;
  }

  /** So many bytes were read into the buffer. */
  onRead(bytes: number): void {
    const { exchange } = this;
    this.#buffer?.read(bytes, this.onData, () => exchange?.isClear?.() ?? true);
  }

  readonly onData = (data: Buffer): void => {
    if (this.exchange === undefined) {
      // Bytes without a call: the connection cannot be trusted with another one.
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
    return this.socket;
  }
}
