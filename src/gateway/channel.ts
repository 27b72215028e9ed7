// Where a request came in, as the listener tells the gateway.
import type { Delegation } from '../identity/delegation.ts';

/** Where a connection came in: what the listener knows before any byte is read. */
export interface Channel {
  readonly kind: 'tcp' | 'unix';
  /** Listener's name for the audit: `https://127.0.0.1:2376`, `unix:/run/ci.sock`. */
  readonly name: string;
  /** Identity the listener is bound to: no token is needed or read there. */
  readonly identity?: string;
  /** The socket stands in a container for the credentials that made it. */
  readonly speaksFor?: SpeaksFor;
}

/** Path of the unix socket; undefined on TCP. */
export const socketOf = ({ kind, name }: Channel): string | undefined =>
  kind === 'unix' ? name.slice('unix:'.length) : undefined;

export interface SpeaksFor {
  readonly delegation: Delegation;
  /** @throws {GatewayError} `token-revoked` when the bound socket the credentials came by is gone */
  checkWay(): void;
}
