// Takes a request for an upgrade that names no `Connection: Upgrade`, as the engine does: it looks at `Upgrade` alone. Node's
// parser asks the server about each head, and takes its word for one that leaves HTTP. Measured on Deno 2.9.6: its parser does
// not, so there such a request stays an ordinary one, and what the engine streams is its answer.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { runtime } from './runtime.ts';

/** What node:http keeps on a connection it reads requests from. */
interface Parsed {
  readonly parser?: {
    onIncoming?: ((incoming: IncomingMessage & { upgrade?: boolean }, ...rest: unknown[]) => unknown) | null;
  };
}

/** Before a connection's first request; `shouldUpgradeCallback` of the server still decides. */
export function takeLooseUpgrades(socket: Socket): void {
  const { parser } = socket as Parsed;
  const read = parser?.onIncoming;
  if (runtime.name !== 'node' || parser === undefined || typeof read !== 'function') return;
  parser.onIncoming = (incoming, ...rest) => {
    if (incoming.method === 'POST' && incoming.headers.upgrade !== undefined) incoming.upgrade = true;
    return read(incoming, ...rest);
  };
}
