// One raw HTTP exchange on a socket of its own: the bytes of a case as written, and every answer that comes back.
import net from 'node:net';

export type Header = readonly [name: string, value: string];

/** A request as on the wire. A Host line and Content-Length are added where none is listed. */
export interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: readonly Header[];
  readonly body?: string;
  readonly body_b64?: string;
  /** Send the body chunked: sizes of the first chunks, the rest in one. */
  readonly chunk?: readonly number[];
  readonly chunk_ext?: string;
  readonly trailer?: string;
  readonly http_version?: string;
  readonly no_host?: boolean;
  readonly no_length?: boolean;
  /** Raw bytes sent behind the first answer. */
  readonly then?: string;
  /** Longest wait for an answer, in seconds. */
  readonly idle?: number;
}

export interface RawAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** Longest wait for a further answer on the same connection, in ms. */
const NEXT_ANSWER_MS = 700;
/** Longest wait for more of an answer that ends with its connection, in ms. */
const TAIL_MS = 700;

/** The bytes of a request. */
export function bytesOf(request: RawRequest, extra: readonly Header[] = []): Buffer {
  const body =
    request.body_b64 === undefined ? Buffer.from(request.body ?? '') : Buffer.from(request.body_b64, 'base64');
  const headers = [...(request.headers ?? [])];
  const names = new Set(headers.map(([name]) => name.trim().toLowerCase()));
  if (!names.has('host') && request.no_host !== true) headers.unshift(['Host', 'docker']);
  headers.splice(1, 0, ...extra);
  const isFramed = names.has('content-length') || names.has('transfer-encoding') || request.no_length === true;
  if (body.length > 0 && !isFramed) headers.push(['Content-Length', String(body.length)]);
  const lines = headers.map(([name, value]) => `${name}:${value.startsWith('\r\n') ? '' : ' '}${value}\r\n`);
  const head = `${request.method} ${request.path} ${request.http_version ?? 'HTTP/1.1'}\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head), request.chunk === undefined ? body : chunked(request, body)]);
}

function chunked(request: RawRequest, body: Buffer): Buffer {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const size of [...(request.chunk ?? []), body.length]) {
    if (at < body.length) pieces.push(body.subarray(at, at + size));
    at += size;
  }
  const extension = request.chunk_ext ?? '';
  const parts = pieces.flatMap((piece) => [
    Buffer.from(`${piece.length.toString(16)}${extension}\r\n`),
    piece,
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...parts, Buffer.from(`0\r\n${request.trailer ?? ''}\r\n`)]);
}

/** Sends a request and reads its answer; with `then`, sends that too and reads all answers that follow. */
export async function exchange(
  socketPath: string,
  request: RawRequest,
  extra: readonly Header[] = [],
): Promise<readonly RawAnswer[]> {
  const socket = net.connect(socketPath);
  socket.on('error', () => {});
  const reader = new AnswerReader(socket);
  try {
    socket.write(bytesOf(request, extra));
    const answers: RawAnswer[] = [];
    const idleMs = (request.idle ?? 20) * 1000;
    let answer = await reader.next(request.method, idleMs);
    while (answer?.status === 100) answer = await reader.next(request.method, idleMs);
    if (answer !== undefined) answers.push(answer);
    if (request.then !== undefined) {
      socket.write(request.then);
      for (;;) {
        const further = await reader.next('GET', NEXT_ANSWER_MS);
        if (further === undefined) break;
        answers.push(further);
      }
    }
    return answers;
  } finally {
    socket.destroy();
  }
}

class AnswerReader {
  #bytes = Buffer.alloc(0);
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: net.Socket) {
    socket.on('data', (data) => {
      this.#bytes = Buffer.concat([this.#bytes, data]);
      this.#wake?.();
    });
    socket.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  /** Waits for more bytes; false when none came in time or the connection ended. */
  async #more(timeoutMs: number): Promise<boolean> {
    if (this.#ended) return false;
    const had = this.#bytes.length;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
    return this.#bytes.length > had;
  }

  async next(method: string, timeoutMs: number): Promise<RawAnswer | undefined> {
    while (!this.#bytes.includes('\r\n\r\n')) if (!(await this.#more(timeoutMs))) return undefined;
    const end = this.#bytes.indexOf('\r\n\r\n');
    const head = this.#bytes.subarray(0, end).toString('latin1');
    this.#bytes = this.#bytes.subarray(end + 4);
    const status = Number(/^HTTP\/1\.\d (\d{3})/.exec(head)?.[1] ?? 0);
    if (status === 100 || status === 204 || status === 304 || method === 'HEAD')
      return { status, body: Buffer.alloc(0) };
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    if (/^transfer-encoding: *chunked/im.test(head)) return { status, body: await this.#chunks(timeoutMs) };
    if (length !== undefined && status !== 101) {
      while (this.#bytes.length < Number(length)) if (!(await this.#more(timeoutMs))) break;
      const body = this.#bytes.subarray(0, Number(length));
      this.#bytes = this.#bytes.subarray(body.length);
      return { status, body };
    }
    while (await this.#more(TAIL_MS)) if (this.#bytes.length > 1 << 20) break;
    const body = this.#bytes;
    this.#bytes = Buffer.alloc(0);
    return { status, body };
  }

  async #chunks(timeoutMs: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      let line = this.#bytes.indexOf('\r\n');
      while (line < 0) {
        if (!(await this.#more(timeoutMs))) return Buffer.concat(parts);
        line = this.#bytes.indexOf('\r\n');
      }
      const size = Number.parseInt(this.#bytes.subarray(0, line).toString('latin1'), 16);
      while (this.#bytes.length < line + 4 + size) if (!(await this.#more(timeoutMs))) return Buffer.concat(parts);
      parts.push(this.#bytes.subarray(line + 2, line + 2 + size));
      this.#bytes = this.#bytes.subarray(line + 4 + size);
      if (!(size > 0)) return Buffer.concat(parts);
    }
  }
}
