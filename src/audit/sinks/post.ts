// One POST at a time over a connection that is kept: what webhook and OTLP share. Redirections are not followed, and of an answer only
// its status, its Retry-After and, where asked for, a bounded body are read.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { OtlpSinkSetting, SinkTls, WebhookSinkSetting } from './setting.ts';
import { codeOf, readHeaderSecret, SinkFault } from './sink.ts';

/** An answer's body is told nothing of beyond this. */
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_RETRY_AFTER_MS = 3_600_000;

export interface Posted {
  readonly body: string;
}

export interface Poster {
  /** @throws {SinkFault} for anything but an answer of 2xx */
  post(body: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Posted>;
  close(): void;
}

/** TLS files as they are now. @throws {SinkFault} */
export function tlsOptions({ ca, cert, key, servername }: SinkTls): Record<string, string> {
  const read = (name: string, file: string | undefined): Record<string, string> => {
    if (file === undefined) return {};
    try {
      return { [name]: readFileSync(file, 'utf8') };
    } catch (error) {
      throw new SinkFault(`the file of ${name} cannot be read (${codeOf(error)})`);
    }
  };
  return {
    ...read('ca', ca),
    ...read('cert', cert),
    ...read('key', key),
    ...(servername === undefined ? {} : { servername }),
  };
}

export function createPoster(setting: WebhookSinkSetting | OtlpSinkSetting): Poster {
  const url = new URL(setting.url);
  const isTls = url.protocol === 'https:';
  let agent: http.Agent | undefined;
  let madeWith = '';
  /** A new connection, with the files as they are then, after a fault and when they changed. */
  const agentNow = (): http.Agent => {
    const files = isTls ? tlsOptions(setting.tls) : {};
    const made = JSON.stringify(files);
    if (agent !== undefined && made === madeWith) return agent;
    agent?.destroy();
    madeWith = made;
    agent = isTls
      ? new https.Agent({ keepAlive: true, maxSockets: 1, ...files })
      : new http.Agent({ keepAlive: true, maxSockets: 1 });
    return agent;
  };
  const drop = (): void => {
    agent?.destroy();
    agent = undefined;
  };
  const secretHeaders = (): Record<string, string> => ({
    ...(setting.bearer === undefined ? {} : { authorization: `Bearer ${readHeaderSecret(setting.bearer, 'bearer')}` }),
    ...Object.fromEntries(
      Object.entries(setting.headers).map(([name, file]) => [name, readHeaderSecret(file, `headers.${name}`)]),
    ),
  });
  return {
    async post(body, headers, signal) {
      const bytes = Buffer.from(body);
      const options = {
        method: 'POST',
        agent: agentNow(),
        headers: { 'user-agent': 'dockgate', ...headers, ...secretHeaders(), 'content-length': String(bytes.length) },
      };
      try {
        return await send(isTls ? https : http, url, options, bytes, signal);
      } catch (error) {
        drop();
        if (error instanceof SinkFault) throw error;
        throw new SinkFault(
          signal.aborted ? 'the receiver did not answer in time' : `the receiver cannot be reached (${codeOf(error)})`,
        );
      }
    },
    close: drop,
  };
}

function send(
  via: typeof http | typeof https,
  url: URL,
  options: http.RequestOptions,
  bytes: Buffer,
  signal: AbortSignal,
): Promise<Posted> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new SinkFault('the receiver did not answer in time'));
      return;
    }
    const request = via.request(url, options, (answer) => {
      const pieces: Buffer[] = [];
      let size = 0;
      answer.on('data', (piece: Buffer) => {
        size += piece.length;
        if (size <= MAX_ANSWER_BYTES) pieces.push(piece);
        else answer.destroy(new SinkFault('the answer of the receiver is too long'));
      });
      answer.on('error', fail);
      answer.on('aborted', () => fail(new SinkFault('the receiver broke its answer off')));
      answer.on('end', () => {
        signal.removeEventListener('abort', onAbort);
        const status = answer.statusCode ?? 0;
        if (status >= 200 && status < 300) resolve({ body: Buffer.concat(pieces).toString('utf8') });
        else
          reject(
            new SinkFault(`the receiver answered ${status}`, {
              retryAfterMs: retryAfterMs(answer.headers['retry-after']),
              isTooLarge: status === 413,
            }),
          );
      });
    });
    const onAbort = (): void => {
      request.destroy(new Error('aborted'));
      fail(new Error('aborted'));
    };
    function fail(error: unknown): void {
      signal.removeEventListener('abort', onAbort);
      reject(error);
    }
    signal.addEventListener('abort', onAbort, { once: true });
    request.on('error', fail);
    request.end(bytes);
  });
}

/** Seconds or a date, as RFC 9110 has it. */
function retryAfterMs(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^[0-9]{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}
