// Raw Engine API calls over a unix socket, for tests that look at answers rather than at what a client makes of them.
import http from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** Parsed body; undefined when it is no JSON. */
  readonly json: unknown;
}

export interface CallOptions {
  /** Sent as JSON; text and bytes as they are. */
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

export type Api = (method: string, path: string, options?: CallOptions) => Promise<Answer>;

/** Calls over one socket; each on a connection of its own. The path goes out as it is. */
export const apiOver =
  (socketPath: string): Api =>
  (method, path, { body, headers } = {}) =>
    new Promise((resolve, reject) => {
      const isRaw = typeof body === 'string' || body instanceof Uint8Array;
      const bytes = body === undefined ? undefined : Buffer.from(isRaw ? (body as string) : JSON.stringify(body));
      const request = http.request(
        {
          socketPath,
          method,
          path,
          agent: false,
          headers: {
            ...(bytes === undefined
              ? {}
              : {
                  'content-type': isRaw ? 'application/x-tar' : 'application/json',
                  'content-length': String(bytes.length),
                }),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            let json: unknown;
            try {
              json = JSON.parse(text);
            } catch {
              // streams and empty answers
            }
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
          });
        },
      );
      request.on('error', reject);
      request.end(bytes);
    });

/** The call must end well; returns its parsed body. */
export async function must<T = Record<string, unknown>>(
  api: Api,
  method: string,
  path: string,
  body?: unknown,
): Promise<T> {
  const answer = await api(method, path, body === undefined ? {} : { body });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return answer.json as T;
}
