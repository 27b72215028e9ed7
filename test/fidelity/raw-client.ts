// A client that writes its own bytes: one connection over a unix socket, TCP or TLS, and all that came back on it.
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { ENGINE } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';

export type Transport = 'unix' | 'tcp' | 'tls';
export const TRANSPORTS: readonly Transport[] = ['unix', 'tcp', 'tls'];

/** A gateway that listens in all three ways, and an identity `op` that may do everything but BuildKit. */
export interface RawGateway {
  readonly gateway: TestGateway;
  readonly token: string;
  /** Opens a connection. Half-open: its own end is not the other's. */
  connect(transport: Transport): Promise<RawClient>;
  /** A request head with what the transport needs to be known as `op`; lines are name: value. */
  head(transport: Transport, line: string, ...headers: string[]): string;
}

/** What lets BuildKit's own protocol through. */
const UNREAD = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: unread, acknowledges: [host-access] }
rules: [{ name: all, effect: allow, actions: [build.opaque, build.session, build.control] }]
`;

/** @param options `unread` lets `op` use BuildKit too */
export async function startRawGateway(
  options: { engine?: string; policy?: string; unread?: boolean; settings?: Record<string, unknown> } = {},
): Promise<RawGateway> {
  const gateway = await startGateway({
    engine: options.engine ?? (ENGINE as string),
    settings: {
      listen: ['https://127.0.0.1:0', { unix: './op.sock', mode: '0600', identity: 'op' }, 'http://127.0.0.1:0'],
      ...options.settings,
    },
  });
  const policies = ['--policy', options.policy ?? 'operator'];
  if (options.unread === true) {
    const file = join(gateway.dir, 'unread.yaml');
    writeFileSync(file, UNREAD);
    await gateway.must('policy', 'apply', '-f', file);
    policies.push('--policy', 'unread');
  }
  await gateway.must('identity', 'create', 'op', ...policies);
  const token = await gateway.must('token', 'create', 'op');
  const plain = Number(/"listener":"http:[^}]*"port":(\d+)/.exec(gateway.log())?.[1]);
  const secure = Number(/"listener":"https:[^}]*"port":(\d+)/.exec(gateway.log())?.[1]);
  return {
    gateway,
    token,
    connect(transport) {
      switch (transport) {
        case 'unix':
          return RawClient.on(net.connect({ path: join(gateway.dir, 'op.sock'), allowHalfOpen: true }), 'connect');
        case 'tcp':
          return RawClient.on(net.connect({ host: '127.0.0.1', port: plain, allowHalfOpen: true }), 'connect');
        case 'tls':
          return RawClient.on(
            tls.connect({
              host: '127.0.0.1',
              port: secure,
              allowHalfOpen: true,
              ca: readFileSync(join(gateway.dir, 'data', 'ca.pem')),
            } as tls.ConnectionOptions),
            'secureConnect',
          );
      }
    },
    head(transport, line, ...headers) {
      const known = transport === 'unix' ? [] : [`Authorization: Bearer ${token}`];
      const host = headers.some((header) => /^host:/i.test(header)) ? [] : ['Host: docker'];
      return `${line} HTTP/1.1\r\n${[...host, ...known, ...headers].join('\r\n')}\r\n\r\n`;
    },
  };
}

export interface Answer {
  readonly status: number;
  /** Names in lower case; of repeated ones the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export class RawClient {
  readonly socket: net.Socket;
  #received: Buffer = Buffer.alloc(0);
  ended = false;
  closed = false;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('close', () => {
      this.ended = true;
      this.closed = true;
    });
  }

  static on(socket: net.Socket, ready: 'connect' | 'secureConnect'): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once(ready, () => {
        socket.off('error', reject).on('error', () => {});
        resolve(new RawClient(socket));
      });
    });
  }

  /** All that came so far, one character per byte. */
  get text(): string {
    return this.#received.toString('latin1');
  }

  send(data: string | Buffer): void {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** Ends our side and goes on reading. */
  halfClose(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Breaks the connection (RST) rather than ending it. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Waits until what came matches, and returns the match. */
  until(expected: RegExp): Promise<RegExpExecArray> {
    return until(`${expected} in ${JSON.stringify(this.text.slice(0, 2000))}`, () => expected.exec(this.text) ?? false);
  }

  /** Waits until the other side has ended. */
  async toEnd(): Promise<string> {
    await until('the end of the connection', () => this.ended);
    return this.text;
  }

  /** The next whole answer with a Content-Length, chunks or no body; what it used is taken away. */
  async answer(options: { bodiless?: boolean } = {}): Promise<Answer> {
    const whole = await until(`an answer in ${JSON.stringify(this.text.slice(0, 2000))}`, () => {
      const read = readAnswer(this.text, options.bodiless === true);
      return read === undefined ? false : read;
    });
    this.#received = this.#received.subarray(whole.used);
    return whole.answer;
  }
}

function readAnswer(text: string, bodiless: boolean): { answer: Answer; used: number } | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const status = Number(first.split(' ')[1]);
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  let at = end + 4;
  if (bodiless || status < 200 || status === 204 || status === 304)
    return { answer: { status, headers, body: '' }, used: at };
  if (headers['transfer-encoding'] !== 'chunked') {
    const length = Number(headers['content-length'] ?? Number.NaN);
    if (!(text.length >= at + length)) return undefined;
    return { answer: { status, headers, body: text.slice(at, at + length) }, used: at + length };
  }
  let body = '';
  for (;;) {
    const line = text.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = Number.parseInt(text.slice(at, line), 16);
    if (text.length < line + 2 + size + 2) return undefined;
    body += text.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
    if (size === 0) return { answer: { status, headers, body }, used: at };
  }
}
