// A caller over HTTPS with a token, as a client library is: keep-alive connections, answers read whole or as a stream.
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import type { TestGateway } from './gateway.ts';

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly auditId: string;
  /** `message` of Docker's error JSON; empty when there is none. */
  readonly message: string;
}

export class HttpsCaller {
  readonly #gateway: TestGateway;
  readonly #token: string;
  readonly #agent: Agent;

  constructor(gateway: TestGateway, token: string, maxSockets = 64) {
    this.#gateway = gateway;
    this.#token = token;
    const ca = readFileSync(join(gateway.dir, 'data', 'ca.pem'), 'utf8');
    this.#agent = new Agent({ keepAlive: true, maxSockets, ca });
  }

  /** The answer's head; the body is still to be read. Rejects when the connection fails. */
  open(method: string, path: string, body?: unknown): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const call = request(
        {
          host: '127.0.0.1',
          port: this.#gateway.port,
          servername: 'localhost',
          agent: this.#agent,
          method,
          path,
          headers: {
            ...(this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` }),
            ...(text === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
          },
        },
        resolve,
      );
      call.on('error', reject);
      call.end(text);
    });
  }

  /** Rejects when the connection fails or the answer breaks off. */
  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.open(method, path, body);
    const chunks: Buffer[] = [];
    await new Promise<void>((resolve, reject) => {
      answer.on('data', (data: Buffer) => chunks.push(data));
      answer.on('end', () => (answer.complete ? resolve() : reject(new Error('the answer broke off'))));
      answer.on('aborted', () => reject(new Error('the answer broke off')));
      answer.on('error', reject);
    });
    const text = Buffer.concat(chunks).toString();
    let message = '';
    try {
      message = (JSON.parse(text) as { message?: string }).message ?? '';
    } catch {
      // no JSON, no message
    }
    return {
      status: answer.statusCode ?? 0,
      body: text,
      auditId: String(answer.headers['dockgate-audit-id'] ?? ''),
      message,
    };
  }

  close(): void {
    this.#agent.destroy();
  }
}
