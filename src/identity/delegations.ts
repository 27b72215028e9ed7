// A caller's credentials as a socket of the gateway's stands for them: as good as they are at this moment, never better. They end
// with the token, its ancestors, the certificate and the identity, and what the identity may do is asked anew.
import { GatewayError } from '../errors.ts';
import { exceeds } from '../policy/ceiling.ts';
import type { Ceiling, Principal } from '../policy/types.ts';
import type { Delegation } from './delegation.ts';
import type { Principals } from './principal.ts';

export interface Delegations {
  /** @param via the bound socket the caller came by, if that names it */
  make(principal: Principal, source: string, via?: string): Delegation;
  /**
   * The caller behind it, as it may act now.
   *
   * @throws {GatewayError} one of the 401 codes
   */
  principalOf(delegation: Delegation): Principal;
  /** What a principal rests on, where it came through a delegation: the principal it was made for. */
  behind(principal: Principal): Principal | undefined;
  /** One that was kept in a file. Credentials of which the file cannot tell all are refused from here on. */
  restore(kept: Delegation): Delegation;
}

export interface DelegationParts {
  readonly principals: Principals;
  recheck(principal: Principal): void;
  /** Whether a client certificate is one of the gateway's own. */
  isOwnCertificate(serial: string): boolean;
}

export function createDelegations({ principals, recheck, isOwnCertificate }: DelegationParts): Delegations {
  const standsFor = new WeakMap<Principal, Delegation>();
  const incomplete = new WeakSet<Delegation>();
  return {
    make(principal, source, via) {
      // Made by way of such a socket: the same credentials, and the same end.
      const known = standsFor.get(principal);
      if (known !== undefined) return known;
      const identitySince = principals.identitySince(principal);
      return Object.freeze({
        principal,
        source,
        ...(identitySince === undefined ? {} : { identitySince }),
        ...(via === undefined ? {} : { via }),
      });
    },
    principalOf(delegation) {
      if (incomplete.has(delegation)) {
        throw new GatewayError(
          'token-expired',
          'the gateway was started anew, and what vouched for the maker of this container is not known any more; make it again',
        );
      }
      recheck(delegation.principal);
      const principal = principals.again(delegation, delegation.principal, delegation.identitySince);
      if (principal !== delegation.principal) standsFor.set(principal, delegation);
      return principal;
    },
    behind: (principal) => standsFor.get(principal)?.principal,
    restore(kept) {
      const { certificateSerial: serial, origin } = kept.principal;
      // What another issuer or an outside CA says of a caller is in no file.
      if (origin !== undefined || (serial !== undefined && !isOwnCertificate(serial))) incomplete.add(kept);
      return kept;
    },
  };
}

/** Claims that every token has its own of. */
const OF_ONE_TOKEN: ReadonlySet<string> = new Set(['jti', 'iat', 'exp', 'nbf']);

/**
 * Whether a caller may use what speaks with these credentials: it has them, or others of the same identity, from the same place, that
 * reach as far and last as long.
 */
export function covers(principal: Principal, source: string, delegation: Delegation): boolean {
  const other = delegation.principal;
  if (other.subject !== principal.subject || other.issuer !== principal.issuer || other.tenant !== principal.tenant)
    return false;
  if (delegation.source !== source) return false;
  if (other.tokenId === principal.tokenId && other.certificateSerial === principal.certificateSerial) return true;
  if (other.channel !== principal.channel || other.certificateSerial !== principal.certificateSerial) return false;
  if ((other.expiresAt ?? Number.POSITIVE_INFINITY) > (principal.expiresAt ?? Number.POSITIVE_INFINITY)) return false;
  if (claimsText(other) !== claimsText(principal)) return false;
  const layers = ceilingsOf(other);
  // Each ceiling of the caller's must be held by one of the socket's: then it reaches no further.
  return ceilingsOf(principal).every((wide) => layers.some((narrow) => isWithin(narrow, wide)));
}

const ceilingsOf = ({ scope, authorizationDetails, ancestors = [] }: Principal): readonly Ceiling[] => [
  {
    ...(scope === undefined ? {} : { scope }),
    ...(authorizationDetails === undefined ? {} : { authorizationDetails }),
  },
  ...ancestors.map(({ ceiling }) => ceiling),
];

/** A ceiling that is left open is no narrower than any. */
const isWithin = (narrow: Ceiling, wide: Ceiling): boolean =>
  (wide.scope === undefined || narrow.scope !== undefined) &&
  (wide.authorizationDetails === undefined || narrow.authorizationDetails !== undefined) &&
  exceeds(narrow, wide) === undefined;

const claimsText = ({ claims }: Principal): string =>
  JSON.stringify(
    Object.entries(claims)
      .filter(([name]) => !OF_ONE_TOKEN.has(name))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
