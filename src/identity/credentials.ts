// Finds the one credential a request presents: a bearer token, or HTTP Basic with the token as password.
// Reads headers only, verifies nothing. RFC 6750 section 2.1, RFC 7617. Messages never repeat what was sent.
import { GatewayError } from '../errors.ts';

/** Longest token read, in bytes. A longer one is refused before anything looks into it. */
export const MAX_TOKEN_BYTES = 8192;

/** A user name in front of the token may be this long, in bytes; it means nothing here. */
const MAX_USER_BYTES = 256;

/** RFC 6750 `b64token`; also what keeps a second credential after a comma out. */
const B64_TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

export interface Credential {
  readonly token: string;
  readonly channel: 'bearer' | 'basic';
}

/** Is there an Authorization header at all? */
export function hasCredential(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 13 && name.toLowerCase() === 'authorization') return true;
  }
  return false;
}

/**
 * Reads the credential out of a request head.
 *
 * @param rawHeaders names and values in turn, as `node:http` gives them: repeated headers are not yet joined
 * @param maxTokenBytes default 8192
 * @throws {GatewayError} `token-missing`, `token-ambiguous` for two Authorization headers, `token-malformed`
 */
export function readCredential(rawHeaders: readonly string[], maxTokenBytes: number = MAX_TOKEN_BYTES): Credential {
  let value: string | undefined;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue;
    if (value !== undefined) {
      throw new GatewayError('token-ambiguous', 'the request carries more than one Authorization header; send one');
    }
    value = rawHeaders[i + 1];
  }
  if (value === undefined) {
    throw new GatewayError(
      'token-missing',
      'no credentials were sent; send Authorization: Bearer with a dockgate token, HTTP Basic with it as password, or a client certificate; a client that sends no header, such as buildx, needs the certificate or a socket bound to its identity',
    );
  }
  const space = value.indexOf(' ');
  const scheme = (space < 0 ? value : value.slice(0, space)).toLowerCase();
  if (scheme !== 'bearer' && scheme !== 'basic') {
    throw new GatewayError('token-malformed', 'the Authorization scheme must be Bearer or Basic');
  }
  let start = space < 0 ? value.length : space;
  while (value.charCodeAt(start) === 0x20) start++;
  const rest = value.slice(start);
  return scheme === 'bearer'
    ? { token: checkToken(rest, maxTokenBytes), channel: 'bearer' }
    : { token: checkToken(passwordOf(rest, maxTokenBytes), maxTokenBytes), channel: 'basic' };
}

function checkToken(token: string, maxTokenBytes: number): string {
  if (token === '') throw new GatewayError('token-malformed', 'the Authorization header holds no token');
  if (token.length > maxTokenBytes) {
    throw new GatewayError('token-malformed', `the token is longer than the ${maxTokenBytes} bytes allowed`);
  }
  if (!B64_TOKEN.test(token)) {
    throw new GatewayError('token-malformed', 'the token holds characters that no token has');
  }
  return token;
}

/** Password of Basic credentials. Strict base64 and UTF-8: two readings of one header must not exist. */
function passwordOf(encoded: string, maxTokenBytes: number): string {
  if (encoded.length > Math.ceil((maxTokenBytes + MAX_USER_BYTES + 1) / 3) * 4) {
    throw new GatewayError('token-malformed', `the token is longer than the ${maxTokenBytes} bytes allowed`);
  }
  const bytes = Buffer.from(encoded, 'base64');
  if (!BASE64.test(encoded) || bytes.toString('base64') !== encoded) {
    throw new GatewayError('token-malformed', 'the Basic credentials are not base64');
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new GatewayError('token-malformed', 'the Basic credentials are not UTF-8');
  }
  const colon = text.indexOf(':');
  if (colon < 0)
    throw new GatewayError('token-malformed', 'the Basic credentials have no colon between user and password');
  if (colon === text.length - 1) {
    throw new GatewayError('token-malformed', 'the Basic password is empty; send the token as password');
  }
  return text.slice(colon + 1);
}
