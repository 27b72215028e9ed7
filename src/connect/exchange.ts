// Asks the gateway's token endpoint for a short token (RFC 6749 section 4.4, client_credentials).
import { GatewayError } from '../errors.ts';
import { ask } from './ask.ts';
import type { ShortToken } from './credentials.ts';
import { type GatewayTarget, Upstreams } from './upstream.ts';

const TOKEN_PATH = '/token';
/** What is asked for, in seconds: the longest the gateway gives, as streams end with the token that opened them. */
const LIFE_S = 3600;
/** A refused credential is not presented again so soon, in seconds: refusals count against this machine's address. */
const REFUSED_REST_S = 30;
/** The same for any other fault of the endpoint. */
const FAULT_REST_S = 5;

/**
 * Exchanges refresh credentials at one gateway.
 *
 * @returns throws {GatewayError} `gateway-unreachable`, or `credential-unavailable` with the gateway's own words
 */
export function exchangeAt(target: GatewayTarget): (secret: string) => Promise<ShortToken> {
  const upstreams = new Upstreams(target);
  return async (secret) => {
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_secret: secret,
      expires_in: String(LIFE_S),
    });
    const answer = await ask(upstreams, { path: TOKEN_PATH, form, userAgent: 'dockgate-connect' });
    const body = parse(answer.body);
    const { access_token: token, expires_in: lifeS } = body;
    if (answer.status === 200 && typeof token === 'string' && /^[\x21-\x7e]+$/.test(token) && isSpan(lifeS))
      return { token, ttlMs: lifeS * 1000 };
    const words = body.error_description ?? body.message;
    const said = typeof words === 'string' ? plain(words) : `it answered ${answer.status}`;
    const audit = typeof body.audit_id === 'string' ? ` [audit ${plain(body.audit_id)}]` : '';
    const retryAfterS =
      Number(answer.headers.get('retry-after')) || (answer.status === 401 ? REFUSED_REST_S : FAULT_REST_S);
    throw new GatewayError('credential-unavailable', `the gateway gives no token for the credential: ${said}${audit}`, {
      retryAfterS,
    });
  };
}

/** What goes to a terminal and into an answer is one line of printable text. */
const plain = (text: string): string => text.slice(0, 500).replace(/[^\x20-\x7e]/g, '?');

const isSpan = (value: unknown): value is number => typeof value === 'number' && value > 0 && Number.isFinite(value);

function parse(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
