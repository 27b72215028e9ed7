// Token and certificate together: a token bound to a certificate (RFC 8705 section 3) is good on a connection with that
// certificate alone, and a token beside a certificate must name the same identity. Doubt refuses.
import { GatewayError } from '../errors.ts';
import type { Principal } from '../policy/types.ts';
import type { CertificateCallers } from './certificate-callers.ts';
import type { Presented } from './trust.ts';

/** Refusals a binding outweighs: its thumbprint says which certificate is meant, whichever CA signed it. */
const MADE_UP_FOR: ReadonlySet<string> = new Set(['certificate-untrusted', 'identity-not-mapped']);

/**
 * The thumbprint a token is bound to, undefined for a token that is not bound.
 *
 * @throws {GatewayError} `token-invalid` for a confirmation of another kind: it cannot be checked here
 */
function bindingOf(principal: Principal): string | undefined {
  const { cnf } = principal.claims;
  if (cnf === undefined) return undefined;
  const thumbprint = typeof cnf === 'object' && cnf !== null ? (cnf as Record<string, unknown>)['x5t#S256'] : undefined;
  if (typeof thumbprint !== 'string' || Object.keys(cnf as object).length !== 1) {
    throw new GatewayError('token-invalid', 'the token claim cnf is of a kind that is not checked here');
  }
  return thumbprint;
}

/** For a connection without client certificate. @throws {GatewayError} `certificate-mismatch` */
export function checkUnbound(principal: Principal): Principal {
  if (bindingOf(principal) !== undefined) {
    throw new GatewayError('certificate-mismatch', 'the token is bound to a client certificate; connect with it');
  }
  return principal;
}

/**
 * For a connection with one.
 *
 * @returns the token's principal, which from here on ends with the certificate too
 * @throws {GatewayError} `certificate-mismatch`, `credentials-conflict`, or the code of the certificate's own fault
 */
export function checkAgreement(principal: Principal, presented: Presented, callers: CertificateCallers): Principal {
  const bound = bindingOf(principal);
  if (bound !== undefined && bound !== presented.thumbprint) {
    throw new GatewayError(
      'certificate-mismatch',
      'the token is bound to another client certificate; connect with that one',
    );
  }
  let named: Principal;
  try {
    named = callers.principalOf(presented);
  } catch (error) {
    if (bound !== undefined && error instanceof GatewayError && MADE_UP_FOR.has(error.code)) return principal;
    throw error;
  }
  if (named.subject !== principal.subject || named.issuer !== principal.issuer) {
    throw new GatewayError(
      'credentials-conflict',
      'the token and the client certificate name two identities; send credentials of one',
    );
  }
  return together(principal, presented, named);
}

/**
 * For a token on a socket bound to an identity.
 *
 * @returns the token's principal, which may do what both allow
 * @throws {GatewayError} `credentials-conflict`
 */
export function checkSameIdentity(principal: Principal, socket: Principal): Principal {
  if (socket.subject === principal.subject && socket.issuer === principal.issuer) return principal;
  throw new GatewayError(
    'credentials-conflict',
    'the token names another identity than the socket; send none, or one of the same identity',
  );
}

const joined = new WeakMap<Principal, WeakMap<Presented, Principal>>();
const halves = new WeakMap<Principal, { readonly token: Principal; readonly certificate: Principal }>();

/** The token's own principal behind one that a certificate confirmed; any other one is itself. */
export const ofTokenAlone = (principal: Principal): Principal => halves.get(principal)?.token ?? principal;
/** The certificate's half of it. */
export const ofCertificateAlone = (principal: Principal): Principal => halves.get(principal)?.certificate ?? principal;

/** The same object for the same two, so that policy is compiled once for them. */
function together(principal: Principal, presented: Presented, named: Principal): Principal {
  let ofPrincipal = joined.get(principal);
  if (ofPrincipal === undefined) {
    ofPrincipal = new WeakMap();
    joined.set(principal, ofPrincipal);
  }
  let both = ofPrincipal.get(presented);
  if (both === undefined) {
    both = Object.freeze({
      ...principal,
      certificateSerial: presented.serial,
      expiresAt: Math.min(principal.expiresAt ?? presented.notAfter, presented.notAfter),
    });
    ofPrincipal.set(presented, both);
    halves.set(both, { token: principal, certificate: named });
  }
  return both;
}
