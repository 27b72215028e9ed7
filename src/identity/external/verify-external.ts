// Verifies one token of an external issuer against its record: RFC 8725. The token names its issuer and its key; everything
// else - algorithm, type, audience, lifetime - comes from the settings. Headers that bring keys along (`jku`, `x5u`, `jwk`,
// `x5c`) are never read.
import { hash } from 'node:crypto';
import { jwtVerify } from 'jose';
import { GatewayError } from '../../errors.ts';
import { CLOCK_TOLERANCE_S, readHeader, refusalOf } from '../verify-token.ts';
import type { Claims } from './claims.ts';
import type { KeySet } from './key-set.ts';
import { canonicalAlgorithm, type ExternalAlgorithm, type IssuerSetting } from './setting.ts';

const BASE64URL = /^[A-Za-z0-9_-]+$/;
/** Types of tokens that are meant for a resource or for a client; others are made for another purpose. */
const USUAL_TYPES = ['jwt', 'at+jwt'];
const MAX_JTI_CHARS = 256;

/** A verified token of an external issuer. Times are milliseconds since the epoch. */
export interface ExternalToken {
  /** `<issuer name>:<jti>`; without a `jti` the SHA-256 of the token stands for it. */
  readonly id: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly claims: Claims;
}

/**
 * The `iss` a token claims, unverified: it only picks the record the token is then held against.
 *
 * @returns undefined for a text that is no JWT
 */
export function claimedIssuer(token: string): string | undefined {
  const parts = token.split('.', 4);
  const body = parts[1];
  if (parts.length !== 3 || body === undefined || !BASE64URL.test(body)) return undefined;
  try {
    const payload = JSON.parse(Buffer.from(body, 'base64url').toString()) as { iss?: unknown } | null;
    return typeof payload?.iss === 'string' ? payload.iss : undefined;
  } catch {
    return undefined;
  }
}

const refuse = (message: string) => new GatewayError('token-invalid', message);

/**
 * Refuses what the record does not allow by the token's form and protected header, before any cryptography.
 *
 * @throws {GatewayError} `token-malformed`, `token-invalid`
 */
export function checkExternalForm(
  token: string,
  setting: IssuerSetting,
): { readonly kid: string | undefined; readonly algorithm: ExternalAlgorithm } {
  const [head, body, signature] = token.split('.', 4);
  if (!head || !body || !signature || !BASE64URL.test(body) || !BASE64URL.test(signature)) {
    throw new GatewayError('token-malformed', 'the token is not a signed JWT');
  }
  const header = readHeader(head);
  const alg = typeof header.alg === 'string' ? header.alg : '';
  if (!setting.algorithms.some((allowed) => canonicalAlgorithm(allowed) === canonicalAlgorithm(alg)))
    throw refuse(`the token header alg must be ${setting.algorithms.join(' or ')}`);
  const typ = header.typ === undefined ? undefined : String(header.typ).toLowerCase();
  const isExpected = setting.typ === undefined ? typ === undefined || USUAL_TYPES.includes(typ) : typ === setting.typ;
  if (!isExpected) throw refuse(`the token header typ must be ${setting.typ ?? 'JWT'}`);
  if ('crit' in header || 'b64' in header) throw refuse('the token header crit is not accepted');
  if (header.kid !== undefined && typeof header.kid !== 'string') throw refuse('the token header kid is not a text');
  return { kid: header.kid, algorithm: alg as ExternalAlgorithm };
}

/**
 * Verifies signature and claims.
 *
 * @param at milliseconds since the epoch
 * @throws {GatewayError} `token-invalid`, `token-key-unknown`, `token-expired`, `token-not-yet-valid`, `issuer-unavailable`
 */
export async function verifyExternal(
  token: string,
  setting: IssuerSetting,
  keys: KeySet,
  at: number,
): Promise<ExternalToken> {
  const { kid, algorithm } = checkExternalForm(token, setting);
  const key = await keys.find(kid, algorithm);
  const { payload } = await jwtVerify(token, key, {
    algorithms: [algorithm],
    issuer: setting.issuer,
    audience: setting.audience,
    requiredClaims: ['iss', 'aud', 'iat', 'exp'],
    clockTolerance: CLOCK_TOLERANCE_S,
    currentDate: new Date(at),
  }).catch((error: unknown) => {
    throw refusalOf(error);
  });
  const { iat, exp, jti } = payload;
  if (typeof iat !== 'number' || !Number.isFinite(iat)) throw refuse('the token claim iat is not valid here');
  if (typeof exp !== 'number' || !Number.isFinite(exp)) throw refuse('the token claim exp is not valid here');
  if (jti !== undefined && (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_CHARS)) {
    throw refuse('the token claim jti is not valid here');
  }
  // A security event or logout token (RFC 8417, OpenID Connect Back-Channel Logout) is no proof of who sends it.
  if (payload.events !== undefined) throw refuse('the token is an event, not a credential');
  if (iat * 1000 > at + CLOCK_TOLERANCE_S * 1000) {
    throw new GatewayError('token-not-yet-valid', 'the token is issued in the future; compare the clocks');
  }
  if (exp <= iat || (exp - iat) * 1000 > setting.maxLifetimeMs) {
    throw refuse('the token lives longer than this gateway allows for its issuer');
  }
  if (setting.replay === 'one-source' && jti === undefined) throw refuse('the token claim jti is missing');
  return {
    id: `${setting.name}:${jti ?? `sha256-${hash('sha256', token, 'base64url')}`}`,
    issuedAt: iat * 1000,
    // What its clock is forgiven is in the end already: streams are cut at this very moment.
    expiresAt: (exp + CLOCK_TOLERANCE_S) * 1000,
    claims: Object.freeze(payload),
  };
}
