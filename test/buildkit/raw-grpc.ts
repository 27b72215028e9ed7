// A client of BuildKit's protocol that sends whatever it is told to: what an attacker has. Over a unix socket, of the gateway or of
// the engine itself.
import http from 'node:http';
import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import { decodeMessage, FrameReader, framed } from '../../src/buildkit/grpc.ts';
import { type Message, readMessage, writeMessage } from '../../src/buildkit/protobuf.ts';

export interface Answer {
  /** `grpc-status`; undefined when the stream broke off. */
  readonly status: number | undefined;
  readonly message: string;
  readonly messages: readonly Uint8Array[];
}

/** Upgrades a connection; gives the stream behind it, or the answer's status and text. */
export function upgrade(
  socketPath: string,
  path: string,
  headers: http.OutgoingHttpHeaders = {},
): Promise<Duplex | { status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request({
      socketPath,
      method: 'POST',
      path,
      headers: { Connection: 'Upgrade', Upgrade: 'h2c', 'Content-Length': '0', ...headers },
    });
    request.on('upgrade', (_answer, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.on('response', (answer) => {
      let text = '';
      answer.on('data', (data: Buffer) => {
        text += data.toString();
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    request.on('error', reject);
    request.end();
  });
}

export class RawGrpc {
  readonly session: http2.ClientHttp2Session;
  readonly socket: Duplex;

  private constructor(socket: Duplex) {
    this.socket = socket;
    this.session = http2.connect('http://x', { createConnection: () => socket });
    this.session.on('error', () => {});
  }

  static async connect(socketPath: string): Promise<RawGrpc> {
    const socket = await upgrade(socketPath, '/grpc');
    if ('status' in socket) throw new Error(`no upgrade: ${socket.status} ${socket.text}`);
    return new RawGrpc(socket);
  }

  /** Opens a stream and leaves it to the caller. */
  stream(path: string, headers: http2.OutgoingHttpHeaders = {}): http2.ClientHttp2Stream {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    stream.on('error', () => {});
    return stream;
  }

  /** Sends bytes as they are and waits for the end, or for `timeoutMs`: then what came so far. */
  send(path: string, bytes: Uint8Array, headers: http2.OutgoingHttpHeaders = {}, timeoutMs = 15_000): Promise<Answer> {
    const stream = this.stream(path, headers);
    const frames = new FrameReader();
    const messages: Uint8Array[] = [];
    let status: number | undefined;
    let message = '';
    const note = (head: http2.IncomingHttpHeaders) => {
      if (head['grpc-status'] === undefined) return;
      status = Number(head['grpc-status']);
      message = decodeMessage(String(head['grpc-message'] ?? ''));
    };
    return new Promise((resolve) => {
      const timer = setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), timeoutMs);
      stream.on('response', note);
      stream.on('trailers', note);
      stream.on('data', (data: Buffer) => messages.push(...frames.push(data)));
      stream.on('close', () => {
        clearTimeout(timer);
        resolve({ status, message, messages });
      });
      stream.end(bytes);
    });
  }

  /** Calls a method with one message. */
  call(
    path: string,
    name: string,
    message: Message,
    headers: http2.OutgoingHttpHeaders = {},
    timeoutMs?: number,
  ): Promise<Answer> {
    return this.send(path, framed(writeMessage(name, message)), headers, timeoutMs);
  }

  close(): void {
    this.session.destroy();
    this.socket.destroy();
  }
}

const CONTROL = '/moby.buildkit.v1.Control/';
const V1 = 'moby.buildkit.v1.';

/** Records of builds, as the history tells them. */
export async function historyOf(client: RawGrpc, asked: Message = { EarlyExit: true }): Promise<readonly Message[]> {
  const { messages } = await client.call(`${CONTROL}ListenBuildHistory`, `${V1}BuildHistoryRequest`, asked, {}, 3000);
  return messages
    .map((bytes) => readMessage(`${V1}BuildHistoryEvent`, bytes, false).record as Message | undefined)
    .filter((record) => record !== undefined);
}

/** A definition of one step, which reads a source or runs a command on it, and its result. */
export function definition(...steps: readonly Message[]): Message {
  const def = steps.map((step) => writeMessage('pb.Op', step));
  return { def };
}
