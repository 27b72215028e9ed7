// Who is calling: from a request head to a Principal, or a refusal with a 401 code.
// A token seen in the last minute is answered synchronously; revocation and the state of the identity are asked every time.
import { GatewayError } from '../errors.ts';
import type { Principal } from '../policy/types.ts';
import { type Credential, MAX_TOKEN_BYTES, readCredential } from './credentials.ts';
import type { Issuer } from './issue-token.ts';
import { createPrincipals } from './principal.ts';
import type { Revocations } from './revocation.ts';
import type { IdentityStore } from './stores.ts';
import { createTokenCache, keyOf } from './token-cache.ts';
import { checkForm, type VerifiedToken, verifyToken } from './verify-token.ts';

/** A verified token is verified anew after this long, in ms. */
const RECHECK_MS = 60_000;

export interface AuthenticatorParts {
  readonly issuer: Issuer;
  readonly revocations: Revocations;
  readonly identities: IdentityStore;
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number;
  /** Default 8192. */
  readonly maxTokenBytes?: number;
  /** Verified tokens kept. Default 10 000, some 1 KiB each. */
  readonly cacheSize?: number;
}

export interface Authenticator {
  /**
   * Names the caller of a request.
   *
   * @param rawHeaders names and values in turn, repeated headers not joined
   * @returns the principal: at once when the token was verified within the last minute, else a promise.
   *   The same object for the same token while the identity does not change, so it may key a WeakMap
   * @throws {GatewayError} one of the 401 codes; thrown or rejected
   */
  authenticate(rawHeaders: readonly string[]): Principal | Promise<Principal>;
  /**
   * The principal of a socket bound to an identity. Ask for every request: the identity may have been disabled.
   *
   * @throws {GatewayError} `identity-unknown`, `identity-disabled`
   */
  bound(identityName: string): Principal;
  /** Is a principal still good? For live streams. @throws {GatewayError} the 401 code that ended it */
  recheck(principal: Principal): void;
  /** Value of `WWW-Authenticate` for a refusal (RFC 6750 section 3). */
  challengeFor(error: GatewayError): string;
}

interface Entry {
  readonly token: VerifiedToken;
  readonly channel: Credential['channel'];
  readonly from: number;
  /** First instant, in ms since the epoch, at which the token must be verified anew. */
  readonly until: number;
}

/** A refusal that time cannot turn into an acceptance, kept for a while so that a repeated bad token is cheap. */
interface Refusal {
  readonly code: GatewayError['code'];
  readonly message: string;
  readonly until: number;
}

/** Creates the authenticator. `issuer.ensureKey()` must have been awaited before the first request. */
export function createAuthenticator(parts: AuthenticatorParts): Authenticator {
  const { issuer, revocations } = parts;
  const now = parts.now ?? Date.now;
  const maxTokenBytes = parts.maxTokenBytes ?? MAX_TOKEN_BYTES;
  const cache = createTokenCache<Entry, Refusal>(parts.cacheSize);
  const principals = createPrincipals(issuer.issuer, parts.identities);

  /** The checks no cache may skip. */
  function admit(entry: Entry): Principal {
    if (revocations.isRevoked(entry.token.id)) {
      throw new GatewayError('token-revoked', 'the token was revoked; ask an operator for a new one');
    }
    return principals.ofToken(entry, entry.token, entry.channel);
  }

  async function verify(credential: Credential, key: string, publicKey: CryptoKey): Promise<Entry> {
    const at = now();
    try {
      const token = await verifyToken(credential.token, publicKey, issuer, at);
      const until = Math.min(at + RECHECK_MS, token.expiresAt);
      const entry: Entry = { token, channel: credential.channel, from: at, until };
      cache.set(key, entry);
      return entry;
    } catch (error) {
      cache.delete(key);
      if (error instanceof GatewayError && error.code !== 'token-not-yet-valid') {
        cache.refuse(key, { code: error.code, message: error.message, until: at + RECHECK_MS });
      }
      throw error;
    }
  }

  return {
    authenticate(rawHeaders) {
      const credential = readCredential(rawHeaders, maxTokenBytes);
      // One token over two channels makes two principals; the channel is part of the name.
      const key = credential.channel + keyOf(credential.token);
      const at = now();
      const known = cache.get(key);
      if (known !== undefined && at < known.until && at >= known.from) return admit(known);
      const refusal = cache.refusal(key);
      if (refusal !== undefined && at < refusal.until) throw new GatewayError(refusal.code, refusal.message);
      const publicKey = checkForm(credential.token, issuer);
      return cache.once(key, () => verify(credential, key, publicKey)).then(admit);
    },
    bound: (name) => principals.ofSocket(name),
    recheck(principal) {
      if (principal.expiresAt !== undefined && now() >= principal.expiresAt) {
        throw new GatewayError('token-expired', 'the token has expired; ask an operator for a new one');
      }
      if (principal.tokenId !== undefined && revocations.isRevoked(principal.tokenId)) {
        throw new GatewayError('token-revoked', 'the token was revoked; ask an operator for a new one');
      }
      principals.check(principal.subject);
    },
    challengeFor(error) {
      const realm = 'Bearer realm="dockgate"';
      // RFC 6750 section 3.1: without credentials no error is given.
      if (error.code === 'token-missing') return realm;
      const kind = error.code === 'token-ambiguous' ? 'invalid_request' : 'invalid_token';
      return `${realm}, error="${kind}", error_description="${describe(error.message)}"`;
    },
  };
}

/** Only the characters RFC 6750 allows in `error_description`. */
const describe = (message: string): string => message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'").slice(0, 200);
