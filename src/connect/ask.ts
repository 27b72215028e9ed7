// One short question to an endpoint, whose whole answer is held in memory.
import { GatewayError } from '../errors.ts';
import type { Upstreams } from './upstream.ts';

export interface Answer {
  readonly status: number;
  /** By lower-case name; of repeated ones the last. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Longest wait for an answer, in ms, and its largest body, in bytes. */
const ANSWER_MS = 10_000;
const MAX_BODY_BYTES = 4 * 1024 * 1024;

export interface Question {
  readonly path: string;
  /** Value of the Authorization header. */
  readonly authorization?: string | undefined;
  /** Makes it a POST. */
  readonly form?: URLSearchParams;
  /** Name of the asking program, for the gateway's audit. */
  readonly userAgent: string;
}

/** @throws {GatewayError} `gateway-unreachable`, with the system's or TLS library's error as cause */
export async function ask(upstreams: Upstreams, question: Question): Promise<Answer> {
  const { path, authorization, form, userAgent } = question;
  const method = form === undefined ? 'GET' : 'POST';
  // What must not be asked twice goes on a connection of its own: a kept one may just have been closed.
  const upstream = await upstreams.take(form !== undefined);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const headers = new Map<string, string>();
    let status = 0;
    let size = 0;
    const fail = (error: unknown) => {
      clearTimeout(timer);
      upstream.drop();
      reject(upstreams.trouble(error));
    };
    const timer = setTimeout(() => fail(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })), ANSWER_MS);
    upstream.begin(method, {
      onInterim() {},
      onHead(head) {
        status = head.status;
        for (let i = 0; i + 1 < head.headers.length; i += 2)
          headers.set((head.headers[i] as string).toLowerCase(), head.headers[i + 1] as string);
      },
      onBody(chunk) {
        size += chunk.length;
        if (size > MAX_BODY_BYTES) fail(new GatewayError('engine-answer-malformed', 'the answer is far too large'));
        else chunks.push(chunk);
      },
      onEnd() {
        clearTimeout(timer);
        if (form === undefined) upstreams.give(upstream);
        else upstream.drop();
        resolve({ status, headers, body: Buffer.concat(chunks) });
      },
      onBroken: fail,
    });
    let head = `${method} ${path} HTTP/1.1\r\nHost: ${upstreams.host}\r\nUser-Agent: ${userAgent}\r\n`;
    if (authorization !== undefined) head += `Authorization: ${authorization}\r\n`;
    const body = form?.toString() ?? '';
    if (form !== undefined)
      head += `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n`;
    upstream.socket.write(`${head}\r\n${body}`, 'latin1');
  });
}
