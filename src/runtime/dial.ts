// Opens a connection to a Docker endpoint: unix socket, TCP, TLS or ssh, each half-open and with backpressure.
// TLS differs by runtime. Measured on Deno 2.9.6: a node:tls client accepts an X.509 version 1 certificate whose issuer
// merely has the name of a trusted authority, and a paused one goes on reading into native memory without bound. So there
// the runtime's own TLS is used, which verifies strictly and reads only when asked.
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { EngineAddress } from '../proxy/types.ts';
import { runtime } from './runtime.ts';
import { dialSsh } from './ssh.ts';

/** TCP keep-alive probes start after this long, in ms: streams may idle for hours. */
const KEEP_ALIVE_MS = 60_000;
/** Largest single read, in bytes. */
const READ_BYTES = 64 * 1024;

/** Reads into memory of the caller's. */
export interface OnRead {
  /** What the next read goes into; asked before the first one and after each. */
  buffer(): Uint8Array;
  callback(bytes: number): boolean;
}

/** Whether a connection to this address can read into memory of the caller's: plain ones, on Node. */
export const readsInto = (address: EngineAddress): boolean =>
  runtime.name === 'node' && address.kind !== 'ssh' && address.tls === undefined;

/**
 * Connects, and shakes hands where TLS is spoken.
 *
 * @param timeoutMs for all of it; a name that resolves slowly counts
 * @param onread takes the bytes read in the place of `data` events; only where `readsInto` says so
 * @returns a half-open stream: its end and the peer's are told apart
 * @throws the system's or the TLS library's own error; `ETIMEDOUT` when it took too long
 */
export function dial(address: EngineAddress, timeoutMs: number, onread?: OnRead): Promise<Duplex> {
  if (address.kind === 'ssh') return dialSsh(address, timeoutMs);
  if (address.tls !== undefined && native !== undefined) return dialNative(native, address, timeoutMs);
  const ready = address.tls === undefined ? 'connect' : 'secureConnect';
  return new Promise((resolve, reject) => {
    const socket = open(address, onread);
    const fail = (error: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const onClose = () => fail(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }));
    const timer = setTimeout(() => fail(timedOut()), timeoutMs);
    socket.once('error', fail).once('close', onClose);
    socket.once(ready, () => {
      clearTimeout(timer);
      socket.off('error', fail).off('close', onClose);
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

const NO_SERVERNAME =
  'Deno cannot check a client-certificate connection against another name (servername): use a host name of its certificate, or Node';

const timedOut = () => Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' });

function open(address: EngineAddress, onread: OnRead | undefined): net.Socket {
  const into = onread === undefined ? {} : { onread };
  if (address.kind === 'unix') return net.connect({ path: address.path as string, allowHalfOpen: true, ...into });
  const to = { host: address.host as string, port: address.port as number, allowHalfOpen: true };
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
  if (address.tls === undefined) return net.connect({ ...to, ...keepAlive, ...into });
  const { servername = net.isIP(to.host) === 0 ? to.host : undefined, ...material } = address.tls;
  return tls.connect({
    ...to,
    ...keepAlive,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    ...material,
    ...(servername === undefined ? {} : { servername }),
  });
}

interface NativeConn {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
}
interface NativeTcp extends NativeConn {
  setNoDelay(on: boolean): void;
  setKeepAlive(on: boolean): void;
}
interface NativeTls extends NativeConn {
  handshake(): Promise<unknown>;
}
interface NativeTlsOptions {
  readonly hostname: string;
  readonly caCerts: string[];
  readonly alpnProtocols: string[];
}
interface NativeNetwork {
  connect(to: { hostname: string; port: number }): Promise<NativeTcp>;
  startTls(tcp: NativeTcp, options: NativeTlsOptions): Promise<NativeTls>;
  connectTls(to: NativeTlsOptions & { port: number; cert: string; key: string }): Promise<NativeTls>;
}

const native = (globalThis as { Deno?: NativeNetwork }).Deno;

async function dialNative(network: NativeNetwork, address: EngineAddress, timeoutMs: number): Promise<Duplex> {
  const { host = '', port = 0, tls: { ca, cert, key, servername } = {} } = address;
  const options = { hostname: servername ?? host, caCerts: ca === undefined ? [] : [ca], alpnProtocols: ['http/1.1'] };
  let opened: NativeConn | undefined;
  let late = false;
  const shakeHands = async (): Promise<NativeConn> => {
    // A certificate can only be given to the call that also connects, and that one has no keep-alive to set.
    if (cert !== undefined && key !== undefined) {
      if (servername !== undefined && servername !== host) throw new Error(NO_SERVERNAME);
      const conn = await network.connectTls({ ...options, port, cert, key });
      opened = conn;
      if (!late) await conn.handshake();
      return conn;
    }
    const tcp = await network.connect({ hostname: host, port });
    opened = tcp;
    tcp.setNoDelay(true);
    tcp.setKeepAlive(true);
    const conn = await network.startTls(tcp, options);
    opened = conn;
    if (!late) await conn.handshake();
    return conn;
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(timedOut()), timeoutMs);
  });
  const shaken = shakeHands();
  try {
    return new NativeStream(await Promise.race([shaken, timeout]));
  } catch (error) {
    late = true;
    close(opened);
    shaken.then(close, () => close(opened));
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function close(conn: NativeConn | undefined): void {
  try {
    conn?.close();
  } catch {
    // it was closed, or handed over to TLS
  }
}

/** A connection of the runtime as a node stream. It reads one piece at a time, and only when a reader wants it. */
class NativeStream extends Duplex {
  readonly #conn: NativeConn;
  #reading = false;

  constructor(conn: NativeConn) {
    super({ allowHalfOpen: true });
    this.#conn = conn;
  }

  override _read(): void {
    if (this.#reading) return;
    this.#reading = true;
    const into = new Uint8Array(READ_BYTES);
    this.#conn.read(into).then(
      (count) => {
        this.#reading = false;
        this.push(count === null ? null : Buffer.from(into.buffer, 0, count));
      },
      (error: Error) => this.destroy(error),
    );
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#writeAll(chunk).then(() => done(), done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error) => void): void {
    this.#writeAll(Buffer.concat(chunks.map(({ chunk }) => chunk))).then(() => done(), done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#conn.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    close(this.#conn);
    done(error);
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length; ) sent += await this.#conn.write(bytes.subarray(sent));
  }
}
