// The admin API of a test's gateway over its unix socket: quicker than a command for each question, and repeatable.
import http from 'node:http';
import { join } from 'node:path';
import type { TestGateway } from './gateway.ts';

export interface AuditView {
  readonly seq: number;
  readonly stage: string;
  readonly auditId: string;
  readonly action: string;
  readonly subject?: string | null;
  readonly tokenId?: string | null;
  readonly decision: string;
  readonly code?: string | null;
  readonly status?: number | null;
  readonly outcome?: string | null;
  readonly pluginGeneration?: number | null;
  readonly detail?: Readonly<Record<string, unknown>> | null;
}

/** Calls the admin API; the body of the answer, parsed. Throws for an error status. */
export function admin<T>(gateway: TestGateway, method: string, path: string, body?: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const request = http.request(
      {
        socketPath: join(gateway.dir, 'data', 'admin.sock'),
        host: 'localhost',
        method,
        path: `/dockgate/v1${path}`,
        agent: false,
        headers:
          text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString();
          if ((response.statusCode ?? 0) > 299)
            reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
          else resolve((answer === '' ? undefined : JSON.parse(answer)) as T);
        });
      },
    );
    request.on('error', reject);
    request.end(text);
  });
}

/** Audit rows of a subject, oldest first. */
export async function auditOf(gateway: TestGateway, subject: string): Promise<readonly AuditView[]> {
  const { events } = await admin<{ events: AuditView[] }>(gateway, 'GET', `/audit?subject=${subject}&limit=1000`);
  return events.reverse();
}

/** Asks until the answer is wanted; fails with `what` when it does not come in half a minute. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const giveUp = Date.now() + 30_000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > giveUp) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
