// One short question to an endpoint: a GET whose whole answer is held in memory.
import type { Upstreams } from '../connect/upstream.ts';
import { GatewayError } from '../errors.ts';

export interface Answer {
  readonly status: number;
  /** By lower-case name; of repeated ones the last. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Longest wait for an answer, in ms, and its largest body, in bytes. */
const ANSWER_MS = 10_000;
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** @throws {GatewayError} `gateway-unreachable`, with the system's or TLS library's error as cause */
export async function ask(upstreams: Upstreams, path: string, authorization: string | undefined): Promise<Answer> {
  const upstream = await upstreams.take(false);
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
    upstream.begin('GET', {
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
        upstreams.give(upstream);
        resolve({ status, headers, body: Buffer.concat(chunks) });
      },
      onBroken: fail,
    });
    let head = `GET ${path} HTTP/1.1\r\nHost: ${upstreams.host}\r\nUser-Agent: dockgate-doctor\r\n`;
    if (authorization !== undefined) head += `Authorization: ${authorization}\r\n`;
    upstream.socket.write(`${head}\r\n`, 'latin1');
  });
}
