// One HTTP request to a host given by its URL, on a connection of its own. Over `dial`, so that on both runtimes only a
// certificate that is good in every respect is believed: node:https on Deno believes more (see dial.ts).
import http from 'node:http';
import type { Socket } from 'node:net';
import { dial } from './dial.ts';

export interface RequestOptions {
  /** Default GET. */
  readonly method?: string;
  /** As it is sent, with the query. Default: that of the URL. */
  readonly path?: string;
  readonly headers: Readonly<Record<string, string>>;
  /** PEM of the authority of the host's certificate. Default: those the system trusts. */
  readonly ca?: string | undefined;
  /** Longest wait for the connection with its handshake, in ms; the answer has no limit here. */
  readonly dialTimeoutMs: number;
}

/**
 * Connects, and hands over the request, whose body and `end()` are still to come.
 *
 * @throws the system's or the TLS library's own error
 */
export async function openRequest(url: URL, options: RequestOptions): Promise<http.ClientRequest> {
  const { method = 'GET', path = `${url.pathname}${url.search}`, headers, ca, dialTimeoutMs } = options;
  const isTls = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port || (isTls ? 443 : 80));
  const tls = isTls ? { tls: ca === undefined ? {} : { ca } } : {};
  const stream = await dial({ kind: 'tcp', host, port, ...tls }, dialTimeoutMs);
  // With `agent`, even false, node:http would make a connection of its own, in the clear.
  return http.request({
    method,
    path,
    headers: { host: url.host, ...headers },
    createConnection: () => stream as Socket,
  });
}
