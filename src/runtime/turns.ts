// Requests of one connection are begun one after the other, however many the caller sent ahead (RFC 9112 section 9.3.2): a caller
// that pipelines gets no more done at once than one that does not.
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from '../log.ts';

/** Requests that may wait behind the one under way. Docker's clients send none ahead. */
const MAX_WAITING = 32;

/** Requests left out behind them before the connection ends at once: more than one read of a socket brings. */
const MAX_LEFT_OUT = 10_000;

/** A place in `answers` for a connection that left the HTTP server. */
const TAKEN_OVER = 'taken-over';

export class Turns {
  readonly #log: Logger;
  readonly #listener: string;
  /** The answer last begun or waiting on a connection. */
  readonly #answers = new WeakMap<Duplex, ServerResponse | typeof TAKEN_OVER>();
  readonly #waiting = new WeakMap<Duplex, number>();
  /** Requests behind those that may wait, never begun. */
  readonly #leftOut = new WeakMap<Duplex, number>();

  constructor(log: Logger, listener: string) {
    this.#log = log;
    this.#listener = listener;
  }

  /** The answer last begun on a connection, or waiting to be. */
  last(socket: Duplex): ServerResponse | undefined {
    const last = this.#answers.get(socket);
    return last === TAKEN_OVER ? undefined : last;
  }

  /** A request is under way, or the connection is no longer the HTTP server's. */
  isBusy(socket: Duplex): boolean {
    const last = this.#answers.get(socket);
    return last === TAKEN_OVER || (last !== undefined && !isOver(last));
  }

  /** Begins a request once those before it on its connection are answered. */
  take(socket: Duplex, outgoing: ServerResponse, begin: () => void): void {
    const before = this.last(socket);
    if (before === undefined || isOver(before)) {
      this.#answers.set(socket, outgoing);
      begin();
      return;
    }
    if (socket.destroyed) return;
    const waiting = (this.#waiting.get(socket) ?? 0) + 1;
    if (waiting > MAX_WAITING) {
      this.#leaveOut(socket, before);
      return;
    }
    this.#answers.set(socket, outgoing);
    this.#waiting.set(socket, waiting);
    before.once('close', () => {
      this.#waiting.set(socket, (this.#waiting.get(socket) ?? 1) - 1);
      if (!socket.destroyed) begin();
    });
  }

  /**
   * The connection ends behind the requests that wait. It is not ended at once: a caller that had to connect again would cost more than
   * one that waits for its answers.
   */
  #leaveOut(socket: Duplex, last: ServerResponse): void {
    const leftOut = (this.#leftOut.get(socket) ?? 0) + 1;
    this.#leftOut.set(socket, leftOut);
    if (leftOut > MAX_LEFT_OUT) socket.destroy();
    if (leftOut > 1) return;
    this.#log.debug({ listener: this.#listener }, 'a connection will be closed: it sent too many requests ahead');
    socket.pause();
    endQuietly(socket);
    last.once('close', () => socket.destroy());
  }

  /** Begins what takes the connection over, once the requests before it are answered. */
  takeOver(socket: Duplex, begin: () => void): void {
    const before = this.last(socket);
    this.#answers.set(socket, TAKEN_OVER);
    if (before === undefined || isOver(before)) begin();
    else
      before.once('close', () => {
        if (!socket.destroyed) begin();
      });
  }

  /** The connection is the HTTP server's again. */
  giveBack(socket: Duplex): void {
    this.#answers.delete(socket);
  }
}

/**
 * When a connection closes the HTTP server makes an error for each request left on it, and no listener looks at them: hundreds at once,
 * most of the cost of which is where each was made.
 */
function endQuietly(socket: Duplex): void {
  const { stackTraceLimit } = Error;
  socket.prependListener('close', () => {
    Error.stackTraceLimit = 0;
  });
  socket.on('close', () => {
    Error.stackTraceLimit = stackTraceLimit;
  });
}

const isOver = (answer: ServerResponse): boolean => answer.writableFinished || answer.destroyed;
