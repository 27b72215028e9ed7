// A socket as a stream and nothing more. HTTP/2 takes over what lies below a socket it is given, and a caller who goes away at the
// wrong moment could end the process: node 24.21 reads into a session that is gone already (TypeError at `receive`) where the
// socket held bytes, and with TLS below a write ends under its hands (assertion is_write_in_progress). On Deno 2.9 a connection with
// TLS breaks. What it cannot see it leaves alone.
import { Duplex } from 'node:stream';

export class PlainStream extends Duplex {
  readonly #socket: Duplex;

  constructor(socket: Duplex) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    socket.on('data', (piece: Buffer) => {
      if (!this.push(piece)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', () => this.destroy());
    socket.on('close', () => this.destroy());
    if (socket.destroyed) this.destroy();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(piece: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#took(this.#socket.write(piece), done);
  }

  /** What waited goes in one call: HTTP/2 writes frames of 16 KiB with heads of 9 bytes. */
  override _writev(pieces: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#socket.cork();
    let hasRoom = true;
    for (const { chunk } of pieces) hasRoom = this.#socket.write(chunk);
    this.#socket.uncork();
    this.#took(hasRoom, done);
  }

  /** The socket buffers the bytes on their way; the next write waits only when it is full. */
  #took(hasRoom: boolean, done: (error?: Error | null) => void): void {
    if (hasRoom) done();
    else this.#socket.once('drain', done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
