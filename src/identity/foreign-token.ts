// A token that is plainly not meant for this gateway: a proxy in front of a client may pass on what its own callers sent to it, as
// Portainer does. On a channel that has proved an identity already it is no second one. In doubt a token is taken for one of ours,
// which must then be good.
import { hash } from 'node:crypto';
import { hasCredential, readCredential } from './credentials.ts';

/** What the audit keeps of it: nothing that could be used. */
export interface ForeignToken {
  readonly algorithm: string;
  readonly issuer?: string;
  /** SHA-256 of the token, its beginning, so that two rows can be told to speak of the same one. */
  readonly thumbprint: string;
}

/** What this gateway takes tokens by. */
export interface OwnTokens {
  isIssuer(issuer: string): boolean;
  isAlgorithm(algorithm: string): boolean;
  isAudience(audience: string): boolean;
}

const BASE64URL = /^[A-Za-z0-9_-]+$/;
const MAX_ISSUER_CHARS = 200;

/**
 * @param rawHeaders names and values in turn
 * @returns the foreign token; undefined where there is none, or it could be one of ours
 */
export function foreignTokenIn(
  rawHeaders: readonly string[],
  own: OwnTokens,
  maxTokenBytes: number,
): ForeignToken | undefined {
  if (!hasCredential(rawHeaders)) return undefined;
  let token: string;
  try {
    token = readCredential(rawHeaders, maxTokenBytes).token;
  } catch {
    // Two credentials, or one that cannot be read: told where it is judged.
    return undefined;
  }
  return readForeign(token, own);
}

/** Refresh credentials of ours begin so. */
const OWN_PREFIX = 'dockgate_';

function readForeign(token: string, own: OwnTokens): ForeignToken | undefined {
  // Every token taken here is a JWT: a text without a dot is none, and none of ours unless it says so.
  if (!token.includes('.') && !token.startsWith(OWN_PREFIX)) return foreign(token, 'opaque', undefined);
  const parts = token.split('.', 4);
  const [head = '', body = '', signature = ''] = parts;
  if (parts.length !== 3 || !parts.every((part) => BASE64URL.test(part)) || signature === '') return undefined;
  const header = objectIn(head);
  const claims = objectIn(body);
  if (header === undefined || claims === undefined) return undefined;
  const { alg } = header;
  if (typeof alg !== 'string' || !/^[A-Za-z0-9-]{2,20}$/.test(alg) || alg === 'none' || own.isAlgorithm(alg)) {
    return undefined;
  }
  const { iss, aud } = claims;
  if (iss !== undefined && (typeof iss !== 'string' || own.isIssuer(iss))) return undefined;
  const audiences: readonly unknown[] = aud === undefined ? [] : Array.isArray(aud) ? aud : [aud];
  if (audiences.some((one) => typeof one !== 'string' || own.isAudience(one))) return undefined;
  return foreign(token, alg, iss);
}

const foreign = (token: string, algorithm: string, issuer: string | undefined): ForeignToken =>
  Object.freeze({
    algorithm,
    ...(issuer === undefined ? {} : { issuer: issuer.slice(0, MAX_ISSUER_CHARS) }),
    thumbprint: hash('sha256', token, 'base64url').slice(0, 16),
  });

function objectIn(part: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
