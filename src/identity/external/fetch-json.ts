// Fetches one small JSON document of an issuer, and nothing else: HTTPS, one host, no redirects, bounded in size and time.
// A request of our own rather than fetch, because only it takes a CA of one's own on both runtimes.
import type { ClientRequest, IncomingMessage } from 'node:http';
import { GatewayError } from '../../errors.ts';
import { openRequest } from '../../runtime/https.ts';

/** Largest document, in bytes: a key set with certificate chains has some 30 KB. */
export const MAX_DOCUMENT_BYTES = 256 * 1024;
/** Longest time for a whole document, in ms. */
export const FETCH_TIMEOUT_MS = 5000;

export interface FetchOptions {
  /** PEM text; default: the system's CAs. */
  readonly ca?: string;
  /** Sent as a bearer token. */
  readonly bearer?: string;
  /** Plain HTTP to loopback is allowed. */
  readonly insecureHttp: boolean;
}

export type FetchJson = (url: string, options: FetchOptions) => Promise<unknown>;

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whether an address may be fetched from: https, or plain http on loopback where that was asked for. */
export const isFetchable = (url: URL, insecureHttp: boolean): boolean =>
  url.username === '' &&
  url.password === '' &&
  (url.protocol === 'https:' || (insecureHttp && url.protocol === 'http:' && LOOPBACK.test(url.hostname)));

const failed = (message: string, cause?: unknown) => new GatewayError('issuer-unavailable', message, { cause });

/** Makes the fetcher; the limits are for tests to narrow. */
export function createFetchJson(limits: { maxBytes?: number; timeoutMs?: number } = {}): FetchJson {
  const maxBytes = limits.maxBytes ?? MAX_DOCUMENT_BYTES;
  const timeoutMs = limits.timeoutMs ?? FETCH_TIMEOUT_MS;
  return async (address, options) => {
    const url = URL.canParse(address) ? new URL(address) : undefined;
    if (url === undefined || !isFetchable(url, options.insecureHttp)) throw failed(`${address} is no https address`);
    const text = await fetchText(url, options, maxBytes, timeoutMs);
    try {
      return JSON.parse(text) as unknown;
    } catch (cause) {
      throw failed(`${url.href} is not JSON`, cause);
    }
  };
}

function fetchText(url: URL, options: FetchOptions, maxBytes: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = {
      accept: 'application/json, application/jwk-set+json',
      'accept-encoding': 'identity',
      'user-agent': 'dockgate',
      ...(options.bearer === undefined ? {} : { authorization: `Bearer ${options.bearer}` }),
    };
    let request: ClientRequest | undefined;
    let isDone = false;
    const end = (error: GatewayError | undefined, text = '') => {
      if (isDone) return;
      isDone = true;
      clearTimeout(timer);
      request?.destroy();
      if (error === undefined) resolve(text);
      else reject(error);
    };
    const timer = setTimeout(() => end(failed(`${url.href} did not answer within ${timeoutMs} ms`)), timeoutMs);
    timer.unref();
    const unreached = (error: NodeJS.ErrnoException) =>
      end(failed(`${url.href} cannot be reached (${error.code ?? error.message})`, error));
    const onResponse = (response: IncomingMessage) => {
      const status = response.statusCode ?? 0;
      if (status >= 300 && status < 400) {
        // A redirect would let the issuer's host, or an attacker in its place, name another host for the keys.
        end(failed(`${url.href} redirects, which is not followed; give the address of the keys itself`));
        return;
      }
      if (status !== 200) {
        end(failed(`${url.href} answered ${status}`));
        return;
      }
      if (response.headers['content-encoding'] !== undefined && response.headers['content-encoding'] !== 'identity') {
        end(failed(`${url.href} answered in an encoding that was not asked for`));
        return;
      }
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxBytes) end(failed(`${url.href} is larger than ${maxBytes} bytes`));
        else chunks.push(chunk);
      });
      response.on('end', () => end(undefined, Buffer.concat(chunks).toString('utf8')));
      response.on('error', () => end(failed(`${url.href} broke off`)));
      response.on('aborted', () => end(failed(`${url.href} broke off`)));
    };
    // A connection of its own: keys are fetched every ten minutes at most, and a kept one would hold nothing but trouble.
    openRequest(url, { headers, ca: options.ca, dialTimeoutMs: timeoutMs }).then((opened) => {
      request = opened;
      opened.on('error', unreached).on('response', onResponse);
      if (isDone) opened.destroy();
      else opened.end();
    }, unreached);
  });
}
