// Sockets the gateway puts into containers in the place of the engine's: what a call asks of those who keep them.
import type { Principal } from '../policy/types.ts';
import type { Channel } from './channel.ts';

/** The caller of a request, and how it came. */
export interface SocketCaller {
  readonly principal: Principal;
  /** Address without port. */
  readonly source: string;
  readonly channel: Channel;
  readonly auditId: string;
}

/** At most one socket for one call: it has a path that nothing knew before, and speaks for the caller of that call. */
export interface SocketOffer {
  /** Path on the engine's host; undefined while no plugin asked for it. */
  readonly path: string | undefined;
  /**
   * Gives the path; nothing is made yet.
   *
   * @throws {GatewayError} `host-field-denied` where the engine is elsewhere, `quota-exceeded`
   */
  take(): string;
  /** Makes the socket, if its path was taken: all that judges the call has let it pass. */
  open(): Promise<void>;
  /** The call was not sent. */
  abandon(): void;
  /** The call is over. @param made id of the container, or that the engine made none; undefined where its answer is not known */
  end(made: string | 'refused' | undefined): void;
}

export interface OwnSockets {
  offer(caller: SocketCaller): SocketOffer;
  /** Whether a container that holds this socket gives the caller no power it has not got; undefined for another path. */
  mayUse(path: string, principal: Principal, source: string): boolean | undefined;
  /** Sockets in containers now. */
  readonly size: number;
}
