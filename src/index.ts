// What the package exports: the gateway for embedding in a server of one's own, and the types around it.
// Importing this starts nothing.
import { type OpenGateway, openGateway } from './assemble.ts';
import type { Config } from './config/types.ts';
import { type Logger, silentLogger } from './log.ts';

export { type Config, loadConfig, parseConfig } from './config.ts';
export { ERROR_CODES, type ErrorCode, GatewayError } from './errors.ts';
export type { Channel } from './gateway/arrival.ts';
export type { Gateway } from './gateway.ts';
export type { Logger } from './log.ts';
export * from './plugin.ts';

/** A gateway without listeners: `app`, `fetch` and the upgrade handler, and what closes it. */
export type EmbeddedGateway = OpenGateway['gateway'] & Pick<OpenGateway, 'reload' | 'close' | 'admin'>;

/**
 * Opens a gateway to be embedded: `fetch` takes web-standard requests; `onRequest`, `onCheckContinue` and `onUpgrade`
 * are listeners for a node:http or node:https server. Its `listen` setting is not used.
 *
 * @throws {GatewayError} `config-invalid`, `store-newer`, `store-corrupt`, `store-locked`
 */
export async function createGateway(
  config: Config,
  options: { log?: Logger; baseDir?: string } = {},
): Promise<EmbeddedGateway> {
  const open = await openGateway(config, options.log ?? silentLogger, {
    ...(options.baseDir === undefined ? {} : { baseDir: options.baseDir }),
  });
  // Not a copy: `active` is asked anew each time.
  return Object.assign(Object.create(open.gateway) as OpenGateway['gateway'], {
    reload: open.reload,
    close: open.close,
    admin: open.admin,
  });
}
