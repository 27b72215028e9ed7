// The local process in front of clients that can present no credential: a unix socket, or standard input and output,
// each carried to the gateway. Importing this starts nothing.
import net from 'node:net';
import { GatewayError } from '../errors.ts';
import { bindSocket } from '../runtime/socket-file.ts';
import { stdio } from '../runtime/stdio.ts';
import { carry } from './carry.ts';
import type { Credentials } from './credentials.ts';
import { type GatewayTarget, Upstreams } from './upstream.ts';

export interface ConnectOptions {
  readonly target: GatewayTarget;
  readonly credentials: Credentials;
  /** One line for the log of this process. */
  report(line: string): void;
}

/** Most local connections at once; further ones are closed at once. */
const MAX_CONNECTIONS = 1024;
/** The same fault is reported once in this long, in ms. */
const REPEAT_MS = 10_000;

/**
 * Serves a unix socket until it is told to stop.
 *
 * @param options `mode` and `group` of the socket file say who may use the identity
 * @throws {GatewayError} `config-invalid` when the socket cannot be made, `credential-unavailable` when there is no token
 */
export async function serveSocket(
  options: ConnectOptions & { readonly path: string; readonly mode: number; readonly group?: string },
): Promise<{ stop(): Promise<void> }> {
  const { path, mode, group, target, credentials } = options;
  const upstreams = new Upstreams(target);
  const onFault = reporter(options.report);
  // A wrong file or command is told at once, not to the first client. A gateway that is away may come back.
  await credentials.authorization().catch((error: unknown) => {
    if (!(error instanceof GatewayError && error.code === 'gateway-unreachable')) throw error;
    onFault(error);
  });
  const open = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    open.add(client);
    void carry(client, { upstreams, credentials, onFault }).then(() => open.delete(client));
  });
  server.maxConnections = MAX_CONNECTIONS;
  const remove = await bindSocket(server, path, mode, group);
  return {
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const client of open) client.destroy();
      upstreams.close();
      await closed;
      remove();
    },
  };
}

/** Carries standard input and output, as `docker system dial-stdio` does, until both have ended. */
export async function serveStdio(options: ConnectOptions): Promise<void> {
  const { target, credentials } = options;
  const upstreams = new Upstreams(target);
  await carry(stdio(), { upstreams, credentials, onFault: reporter(options.report) });
  upstreams.close();
}

/** Tells a fault when it is a new one, or was not told for a while. */
function reporter(report: (line: string) => void): (error: GatewayError) => void {
  let last = '';
  let at = 0;
  return ({ message }) => {
    const now = Date.now();
    if (message === last && now - at < REPEAT_MS) return;
    last = message;
    at = now;
    report(message);
  };
}
