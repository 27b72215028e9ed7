// One end of a connection for tests that speak HTTP by hand: what has come so far, and a wait for more.
import { once } from 'node:events';
import net from 'node:net';

export class Peer {
  readonly socket: net.Socket;
  /** Everything received and not yet taken. */
  text = '';
  ended = false;
  closed = false;
  #wake: () => void = () => {};

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.text += data.toString('latin1');
      this.#wake();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** Waits until what came matches, and takes it up to the end of the match. */
  async take(pattern: RegExp): Promise<string> {
    await this.#until(() => pattern.test(this.text), `${pattern}`);
    const found = pattern.exec(this.text) as RegExpExecArray;
    const end = found.index + found[0].length;
    const taken = this.text.slice(0, end);
    this.text = this.text.slice(end);
    return taken;
  }

  /** A head, with its empty line. */
  head(): Promise<string> {
    return this.take(/^[\s\S]*?\r\n\r\n/);
  }

  async untilEnd(): Promise<string> {
    await this.#until(() => this.ended || this.closed, 'the end');
    return this.text;
  }

  async untilClosed(): Promise<void> {
    await this.#until(() => this.closed, 'the connection to be closed');
  }

  async #until(isThere: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + 20_000;
    while (!isThere()) {
      if (Date.now() > deadline || (this.closed && !isThere()))
        throw new Error(`waited for ${what}; there is ${JSON.stringify(this.text)}${this.closed ? ', closed' : ''}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 500);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }
}

/** Connects to a unix socket. */
export async function dialPeer(path: string): Promise<Peer> {
  const socket = net.connect({ path, allowHalfOpen: true });
  await once(socket, 'connect');
  return new Peer(socket);
}

/** A server on loopback whose connections are taken one after the other. Stands for the gateway, to fail as told. */
export class ScriptedServer {
  readonly #server: net.Server;
  readonly #waiting: Peer[] = [];
  readonly peers: Peer[] = [];
  #wanted: ((peer: Peer) => void) | undefined;
  port = 0;

  constructor() {
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => {
      const peer = new Peer(socket);
      this.peers.push(peer);
      const wanted = this.#wanted;
      this.#wanted = undefined;
      if (wanted === undefined) this.#waiting.push(peer);
      else wanted(peer);
    });
  }

  async listen(port = 0): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as net.AddressInfo).port;
  }

  /** The next connection. */
  next(): Promise<Peer> {
    const peer = this.#waiting.shift();
    if (peer !== undefined) return Promise.resolve(peer);
    return new Promise((resolve) => {
      this.#wanted = resolve;
    });
  }

  async close(): Promise<void> {
    for (const { socket } of this.peers) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }
}
