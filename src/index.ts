// What the package exports: the gateway for embedding in a server of one's own, and the types around it.
// Importing this starts nothing. Its declarations name neither other packages nor Node's modules: its users need no further types.

import { embedGateway } from './app/embed.ts';
import type { Config } from './config/types.ts';
import type { Channel } from './gateway/channel.ts';
import type { Logger } from './log.ts';

export { type Config, loadConfig, parseConfig } from './config/config.ts';
export { ERROR_CODES, type ErrorCode, GatewayError } from './errors.ts';
export type { Channel } from './gateway/channel.ts';
export type { Logger } from './log.ts';
export * from './plugin.ts';

/** An `http.IncomingMessage`, as far as the declarations here say. */
export interface NodeRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly rawHeaders: readonly string[];
}
/** An `http.ServerResponse`, as far as the declarations here say. */
export interface NodeResponse {
  statusCode: number;
  readonly headersSent: boolean;
}
/** A `net.Socket` or `tls.TLSSocket`, as far as the declarations here say. */
export interface NodeSocket {
  readonly destroyed: boolean;
}

/** A gateway without listeners: `fetch` and the handlers of a node:http or node:https server, and what closes it. */
export interface EmbeddedGateway {
  /** Web-standard handler: everything but upgrades. The caller's token is in the request. */
  fetch(request: Request): Response | Promise<Response>;
  /** `request` listener for node:http and node:https servers. */
  onRequest(incoming: NodeRequest, outgoing: NodeResponse, channel: Channel): void;
  /** `checkContinue` listener: the call is judged before the caller is told to go on. */
  onCheckContinue(incoming: NodeRequest, outgoing: NodeResponse, channel: Channel): void;
  /** `upgrade` listener (`docker run -it`, `exec`). `readBody` reads exactly the announced body of the request off the socket. */
  onUpgrade(
    incoming: NodeRequest,
    socket: NodeSocket,
    readBody: (length: number | 'chunked', timeoutMs?: number) => Promise<{ body: Uint8Array; rest: Uint8Array }>,
    channel: Channel,
  ): void;
  /** Whether a request that asks for an upgrade is on a route that hijacks; all others stay ordinary requests. */
  wantsUpgrade(incoming: NodeRequest): boolean;
  /** Calls under way. */
  readonly active: number;
  /** Refuses new calls, waits for ordinary ones up to `graceMs`, then ends the streams. */
  drain(graceMs: number): Promise<void>;
  /** Takes over policies, plugins, issuers, limits and log level of a new configuration. Throws and changes nothing on a fault. */
  reload(next: Config): Promise<void>;
  /** Ends calls and streams, then the audit, then the stores. */
  close(): Promise<void>;
}

/**
 * Opens a gateway to be embedded. Its `listen` setting is not used.
 *
 * @param options `baseDir`: folder that plugins named by a relative path belong to; default: the working directory
 * @throws {GatewayError} `config-invalid`, `store-newer`, `store-corrupt`, `store-locked`
 */
export async function createGateway(
  config: Config,
  options: { log?: Logger; baseDir?: string } = {},
): Promise<EmbeddedGateway> {
  return embedGateway(config, options);
}
