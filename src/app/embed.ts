// A gateway inside a program of one's own: opened without listeners, with all that tests and the package's face need of it.

import type { Config } from '../config/types.ts';
import { type Logger, silentLogger } from '../log.ts';
import { type OpenGateway, openGateway } from './assemble.ts';

export type OpenEmbedded = OpenGateway['gateway'] & Pick<OpenGateway, 'reload' | 'close' | 'admin'>;

/** @throws {GatewayError} `config-invalid`, `store-newer`, `store-corrupt`, `store-locked` */
export async function embedGateway(
  config: Config,
  options: { log?: Logger; baseDir?: string } = {},
): Promise<OpenEmbedded> {
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
