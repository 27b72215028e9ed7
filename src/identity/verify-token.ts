// Verifies one token of our own issuer: RFC 8725 and RFC 9068. What is cheap to refuse is refused before any cryptography.
// Messages name the claim or header at fault, never its value.
import { errors, jwtVerify } from 'jose';
import { GatewayError } from '../errors.ts';
import { readAuthorizationDetails } from '../policy/ceiling.ts';
import type { Ceiling, DockerAuthorization } from '../policy/types.ts';
import type { Issuer } from './issue-token.ts';

/**
 * Clocks may differ by this much, in seconds. It forgives a token from the future, never an ended one: our own tokens are
 * issued and judged by one clock, and streams are cut at their `exp`.
 */
export const CLOCK_TOLERANCE_S = 30;
/** The list is ours; the token only gets to name a member. `EdDSA` is the older name (RFC 8037) of `Ed25519` (RFC 9864). */
export const ALGORITHMS: readonly string[] = ['Ed25519', 'EdDSA'];
const TYPE = 'at+jwt';
/** Headers that let a token bring or name its own key. Our issuer sends none of them. */
const KEY_HEADERS = ['jku', 'jwk', 'x5u', 'x5c'];
/** Longest protected header, in base64url characters. Ours has about 110. */
const MAX_HEADER_CHARS = 1024;
/** 64 bytes in base64url without padding: the last character carries two bits, the other four must be zero. */
const SIGNATURE = /^[A-Za-z0-9_-]{85}[AQgw]$/;
const BASE64URL = /^[A-Za-z0-9_-]+$/;

/** Claims of a verified token that this gateway uses. */
export interface VerifiedToken {
  readonly id: string;
  readonly subject: string;
  readonly scope?: readonly string[];
  readonly authorizationDetails?: readonly DockerAuthorization[];
  /** What it was made from, the nearest first: ids, and ceilings that hold as well. */
  readonly ancestors: readonly { readonly id: string; readonly ceiling: Ceiling }[];
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  /** When the credentials end, to the millisecond: what an issuer's clock is forgiven is in it already. */
  readonly expiresAt: number;
  /** How long what is made with it may stay, in ms. */
  readonly leaseMs?: number;
  /** The claims of the token, for rules. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * Refuses texts that cannot be a token of this gateway, by form and protected header, in microseconds.
 *
 * @returns the key its `kid` names
 * @throws {GatewayError} `token-malformed`, `token-invalid`
 */
export function checkForm(token: string, issuer: Issuer): CryptoKey {
  const parts = token.split('.', 4);
  const [head, body, signature] = parts;
  if (parts.length !== 3 || !head || !body || signature === undefined) {
    throw new GatewayError('token-malformed', 'the token is not a signed JWT');
  }
  const header = readHeader(head);
  const refuse = (message: string) => new GatewayError('token-invalid', message);
  // The algorithm comes first: a token without a signature is told so, not that its signature has the wrong length.
  if (typeof header.alg !== 'string' || !ALGORITHMS.includes(header.alg)) {
    throw refuse('the token header alg must be Ed25519');
  }
  if (header.typ !== TYPE) throw refuse(`the token header typ must be ${TYPE}`);
  if ('crit' in header || 'b64' in header) throw refuse('the token header crit is not accepted');
  for (const name of KEY_HEADERS) {
    if (name in header) throw refuse(`the token header ${name} is not accepted; keys come from this gateway alone`);
  }
  const key = typeof header.kid === 'string' ? issuer.verifier(header.kid) : undefined;
  if (key === undefined) throw refuse('the token header kid names no key of this gateway');
  if (!BASE64URL.test(body) || !SIGNATURE.test(signature)) {
    throw new GatewayError('token-malformed', 'the token is not a signed JWT');
  }
  return key;
}

/** The protected header of a token. @throws {GatewayError} `token-malformed` */
export function readHeader(encoded: string): Record<string, unknown> {
  if (encoded.length <= MAX_HEADER_CHARS && BASE64URL.test(encoded)) {
    try {
      const header: unknown = JSON.parse(Buffer.from(encoded, 'base64url').toString());
      if (typeof header === 'object' && header !== null && !Array.isArray(header)) {
        return header as Record<string, unknown>;
      }
    } catch {
      // told below
    }
  }
  throw new GatewayError('token-malformed', 'the token header could not be read');
}

/**
 * Verifies signature and claims of a token whose form has been checked.
 *
 * @param at milliseconds since the epoch
 * @throws {GatewayError} `token-invalid`, `token-expired`, `token-not-yet-valid`
 */
export async function verifyToken(token: string, key: CryptoKey, issuer: Issuer, at: number): Promise<VerifiedToken> {
  const { payload } = await jwtVerify(token, key, {
    algorithms: [...ALGORITHMS],
    typ: TYPE,
    issuer: issuer.issuer,
    audience: issuer.audience,
    requiredClaims: ['iss', 'aud', 'sub', 'jti', 'iat', 'exp'],
    clockTolerance: CLOCK_TOLERANCE_S,
    currentDate: new Date(at),
  }).catch((error: unknown) => {
    throw refusalOf(error);
  });
  const { sub, jti, iat, exp, lease } = payload;
  const refuse = (claim: string) => new GatewayError('token-invalid', `the token claim ${claim} is not valid here`);
  if (typeof sub !== 'string' || sub === '') throw refuse('sub');
  if (typeof jti !== 'string' || jti === '') throw refuse('jti');
  if (typeof iat !== 'number' || !Number.isFinite(iat)) throw refuse('iat');
  if (typeof exp !== 'number' || !Number.isFinite(exp)) throw refuse('exp');
  // A lease that cannot be read is not one that may be left out.
  if (lease !== undefined && (typeof lease !== 'number' || !(lease > 0))) throw refuse('lease');
  if (iat * 1000 > at + CLOCK_TOLERANCE_S * 1000) {
    throw new GatewayError('token-not-yet-valid', 'the token is issued in the future; compare the clocks');
  }
  if (exp * 1000 <= at) throw refusalOf(new errors.JWTExpired('', payload));
  if (exp <= iat || (exp - iat) * 1000 > issuer.longestTtlMs) {
    throw new GatewayError('token-invalid', 'the token lives longer than this gateway allows');
  }
  return {
    id: jti,
    subject: sub,
    ...ceilingOf(payload, refuse),
    ancestors: ancestorsOf(payload.parents, refuse),
    issuedAt: iat * 1000,
    expiresAt: exp * 1000,
    ...(lease === undefined ? {} : { leaseMs: lease * 1000 }),
    claims: Object.freeze(payload),
  };
}

type Refuse = (claim: string) => GatewayError;

function ceilingOf(claims: Record<string, unknown>, refuse: Refuse): Ceiling {
  const { scope, authorization_details: given } = claims;
  if (scope !== undefined && typeof scope !== 'string') throw refuse('scope');
  const details = given === undefined ? undefined : readAuthorizationDetails(given).details;
  // A ceiling that cannot be read is not one that may be left out.
  if (given !== undefined && details === undefined) throw refuse('authorization_details');
  return {
    // An empty scope is a ceiling that lets nothing through, not the absence of one.
    ...(scope === undefined ? {} : { scope: Object.freeze(scope.split(' ').filter((part) => part !== '')) }),
    ...(details === undefined ? {} : { authorizationDetails: details }),
  };
}

function ancestorsOf(claim: unknown, refuse: Refuse): VerifiedToken['ancestors'] {
  if (claim === undefined) return NO_ANCESTORS;
  if (!Array.isArray(claim)) throw refuse('parents');
  return claim.map((item: unknown) => {
    const parent = (typeof item === 'object' && item !== null ? item : {}) as Record<string, unknown>;
    if (typeof parent.jti !== 'string' || parent.jti === '') throw refuse('parents');
    return { id: parent.jti, ceiling: ceilingOf(parent, refuse) };
  });
}

const NO_ANCESTORS: VerifiedToken['ancestors'] = Object.freeze([]);

/** Our refusal for a failure of jose. Its own message may repeat parts of the token, so it is not passed on. */
export function refusalOf(error: unknown): GatewayError {
  if (error instanceof errors.JWTExpired) {
    return new GatewayError('token-expired', 'the token has expired; ask an operator for a new one');
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf' && error.reason === 'check_failed') {
      return new GatewayError('token-not-yet-valid', 'the token is not valid yet; compare the clocks');
    }
    return new GatewayError('token-invalid', `the token claim ${error.claim} is missing or not valid here`);
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return new GatewayError('token-invalid', 'the signature of the token is not valid');
  }
  return new GatewayError('token-invalid', 'the token could not be verified');
}
