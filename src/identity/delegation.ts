// A caller's credentials as a socket stands for them: the value alone, which the package's declarations name.
import type { Principal } from '../policy/types.ts';

/** Credentials that speak through a socket. Plain JSON, so that they outlive the process. */
export interface Delegation {
  readonly principal: Principal;
  /** When the identity was made, in ms since the epoch: a later one of the same name is another. Undefined for another issuer's subject. */
  readonly identitySince?: number;
  /** Address of the caller that the socket was made for, without port: rules that name addresses go on to mean that one. */
  readonly source: string;
  /** Path of the bound socket the caller came by, where that alone named it: they end with it. */
  readonly via?: string;
}
