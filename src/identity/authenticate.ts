// Who is calling: from a request head to a Principal, or a refusal with a 401 code.
// A token seen in the last minute is answered synchronously; revocation and the state of the identity are asked every time.
import { GatewayError } from '../errors.ts';
import type { Principal } from '../policy/types.ts';
import {
  type CertificateCallers,
  type CertificateTrust,
  createCertificateCallers,
  type Peer,
} from './certificate-callers.ts';
import { type Credential, hasCredential, MAX_TOKEN_BYTES, readCredential } from './credentials.ts';
import type { Delegation } from './delegation.ts';
import { createDelegations, type Delegations } from './delegations.ts';
import type { Blocks } from './external/blocks.ts';
import type { ExternalCaller, ExternalIssuers } from './external/issuers.ts';
import { claimedIssuer } from './external/verify-external.ts';
import { type ForeignToken, foreignTokenIn, type OwnTokens } from './foreign-token.ts';
import type { Issuer } from './issue-token.ts';
import { createPrincipals } from './principal.ts';
import type { Revocations } from './revocation.ts';
import type { IdentityStore } from './stores.ts';
import { checkAgreement, checkSameIdentity, checkUnbound, ofCertificateAlone, ofTokenAlone } from './token-binding.ts';
import { createTokenCache, keyOf } from './token-cache.ts';
import type { Presented } from './trust.ts';
import { ALGORITHMS, checkForm, type VerifiedToken, verifyToken } from './verify-token.ts';

/** A verified token is verified anew after this long, in ms. */
const RECHECK_MS = 60_000;

/** Refusals that say nothing of a token. */
const CERTIFICATE_CODES: ReadonlySet<string> = new Set([
  'certificate-untrusted',
  'certificate-unknown',
  'certificate-unsuitable',
  'certificate-expired',
  'certificate-not-yet-valid',
  'certificate-revoked',
]);

export interface AuthenticatorParts {
  readonly issuer: Issuer;
  readonly revocations: Revocations;
  readonly identities: IdentityStore;
  /** Client certificates; left out, none is read. */
  readonly certificates?: CertificateTrust;
  /** Other issuers whose tokens are taken, as they are now; replaced as a whole on reload. Default: none. */
  readonly external?: () => ExternalIssuers | undefined;
  /** Tokens and subjects of other issuers that are refused all the same. Default: none. */
  readonly blocks?: Pick<Blocks, 'isBlocked' | 'isAncestorBlocked'>;
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
   * @param peer the other end of the TLS connection. Its certificate names the caller; with a token as well, both must
   *   name one identity, and a token bound to a certificate (RFC 8705) is good with that certificate alone
   * @param source address of the caller, for issuers whose tokens are good at one place only
   * @param onForeign told of a token that is plainly not for this gateway, beside a certificate that names the caller: it
   *   counts for nothing
   * @returns the principal: at once when the token was verified within the last minute, else a promise.
   *   The same object for the same token or certificate while the identity does not change, so it may key a WeakMap
   * @throws {GatewayError} one of the 401 codes, `issuer-unavailable`; thrown or rejected
   */
  authenticate(
    rawHeaders: readonly string[],
    peer?: Peer,
    source?: string,
    onForeign?: OnForeign,
  ): Principal | Promise<Principal>;
  /**
   * The principal of a socket bound to an identity. Ask for every request: the identity may have been disabled.
   *
   * @throws {GatewayError} `identity-unknown`, `identity-disabled`
   */
  bound(identityName: string): Principal;
  /**
   * As `bound`, for a request: a token sent along must be a good one of the same identity, and narrows what it may do. One that is
   * plainly not for this gateway counts for nothing.
   *
   * @throws {GatewayError} one of the 401 codes; thrown or rejected
   */
  onSocket(
    identityName: string,
    rawHeaders: readonly string[],
    source?: string,
    onForeign?: OnForeign,
  ): Principal | Promise<Principal>;
  /** Credentials that speak through sockets of the gateway's own. */
  readonly delegations: Delegations;
  /**
   * The caller of a request on a socket that stands for its maker's credentials. None may be sent beside them.
   *
   * @throws {GatewayError} one of the 401 codes
   */
  onDelegation(delegation: Delegation, rawHeaders: readonly string[], onForeign?: OnForeign): Principal;
  /** Is a principal still good? For live streams. @throws {GatewayError} the 401 code that ended it */
  recheck(principal: Principal): void;
  /** Client certificates were revoked in the store: forget them here, from the next request on. */
  certificatesChanged(): void;
  /** Value of `WWW-Authenticate` for a refusal (RFC 6750 section 3). */
  challengeFor(error: GatewayError): string;
}

export type OnForeign = (token: ForeignToken) => void;

interface Entry {
  readonly token: Pick<VerifiedToken, 'id' | 'expiresAt'>;
  /** Of one of our own tokens. */
  readonly own?: VerifiedToken;
  /** Of another issuer's token. */
  readonly external?: ExternalCaller;
  readonly channel: Credential['channel'];
  readonly from: number;
  /** First instant, in ms since the epoch, at which the token must be verified anew. */
  readonly until: number;
}

/** A refusal that time cannot turn into an acceptance, kept for a while so that a repeated bad token is cheap. */
interface Refusal {
  readonly code: GatewayError['code'];
  readonly message: string;
  readonly audit: GatewayError['audit'];
  /** Good between these two: a clock that was ahead must not keep a good token out once it is right. */
  readonly from: number;
  readonly until: number;
  /** The issuers it was refused under: a reload may change the answer. */
  readonly under: ExternalIssuers | undefined;
}

/** Refusals that another moment may answer differently. */
const PASSING: ReadonlySet<string> = new Set(['token-not-yet-valid', 'token-key-unknown', 'issuer-unavailable']);

/** Creates the authenticator. `issuer.ensureKey()` must have been awaited before the first request. */
export function createAuthenticator(parts: AuthenticatorParts): Authenticator {
  const { issuer, revocations } = parts;
  const now = parts.now ?? Date.now;
  const maxTokenBytes = parts.maxTokenBytes ?? MAX_TOKEN_BYTES;
  const cache = createTokenCache<Entry, Refusal>(parts.cacheSize);
  const principals = createPrincipals(issuer.issuer, parts.identities);
  const externals = parts.external ?? (() => undefined);

  function checkBlocked(caller: ExternalCaller): void {
    if (parts.blocks?.isBlocked(caller)) {
      throw new GatewayError('token-revoked', 'the token or its subject is blocked here; ask an operator');
    }
  }

  function refuseRevoked(id: string, ancestors: readonly { readonly id: string }[]): void {
    if (revocations.isRevoked(id)) {
      throw new GatewayError('token-revoked', 'the token was revoked; ask an operator for a new one');
    }
    for (const ancestor of ancestors) {
      if (revocations.isRevoked(ancestor.id) || parts.blocks?.isAncestorBlocked(ancestor.id)) {
        throw new GatewayError(
          'token-revoked',
          'what the token was made from was revoked; ask an operator for a new one',
        );
      }
    }
  }

  function refuseEnded({ expiresAt }: Principal): void {
    if (expiresAt !== undefined && now() >= expiresAt) {
      throw new GatewayError('token-expired', 'the token has expired; ask an operator for a new one');
    }
  }

  /** The checks no cache may skip. */
  function admit(entry: Entry, source: string | undefined): Principal {
    const { own, external } = entry;
    refuseRevoked(entry.token.id, own?.ancestors ?? []);
    if (external !== undefined) {
      checkBlocked(external);
      external.issuer.checkSource(external.token, source, now());
      const principal = principals.ofExternal(entry, external, entry.channel);
      refuseEnded(principal);
      return principal;
    }
    return principals.ofToken(entry, own as VerifiedToken, entry.channel);
  }

  /** Refuses by form what can be refused so; returns what verifies the rest. */
  function verifierOf(token: string): (at: number) => Promise<Pick<Entry, 'token' | 'own' | 'external'>> {
    const known = externals();
    const external = known?.of(token);
    if (external !== undefined) {
      external.checkForm(token);
      return async (at) => {
        const caller = await external.identify(token, at);
        return { token: caller.token, external: caller };
      };
    }
    if (known !== undefined && known.size > 0) {
      const iss = claimedIssuer(token);
      if (iss !== undefined && iss !== issuer.issuer) {
        throw new GatewayError('token-invalid', 'the token claim iss names no issuer this gateway takes tokens of');
      }
    }
    const publicKey = checkForm(token, issuer);
    return async (at) => {
      const own = await verifyToken(token, publicKey, issuer, at);
      return { token: own, own };
    };
  }

  async function verify(
    key: string,
    channel: Entry['channel'],
    under: ExternalIssuers | undefined,
    check: ReturnType<typeof verifierOf>,
  ): Promise<Entry> {
    const at = now();
    try {
      const found = await check(at);
      const { token } = found;
      const until = Math.min(at + RECHECK_MS, token.expiresAt);
      const entry: Entry = { ...found, channel, from: at, until };
      cache.set(key, entry);
      return entry;
    } catch (error) {
      cache.delete(key);
      if (error instanceof GatewayError && !PASSING.has(error.code)) {
        const { code, message, audit } = error;
        cache.refuse(key, { code, message, audit, from: at, until: at + RECHECK_MS, under });
      }
      throw error;
    }
  }

  const certificates: CertificateCallers | undefined =
    parts.certificates && createCertificateCallers(parts.certificates, principals, now);

  function byToken(rawHeaders: readonly string[], source: string | undefined): Principal | Promise<Principal> {
    const credential = readCredential(rawHeaders, maxTokenBytes);
    // One token over two channels makes two principals; the channel is part of the name.
    const key = credential.channel + keyOf(credential.token);
    const at = now();
    const under = externals();
    const known = cache.get(key);
    if (known !== undefined && at < known.until && at >= known.from) {
      if (known.external === undefined || under?.has(known.external.issuer)) return admit(known, source);
    }
    const refusal = cache.refusal(key);
    if (refusal !== undefined && at >= refusal.from && at < refusal.until && refusal.under === under) {
      throw new GatewayError(refusal.code, refusal.message, { audit: refusal.audit });
    }
    const check = verifierOf(credential.token);
    return cache.once(key, () => verify(key, credential.channel, under, check)).then((entry) => admit(entry, source));
  }

  const own: OwnTokens = {
    isIssuer: (iss) => iss === issuer.issuer || externals()?.names(iss) === true,
    isAlgorithm: (alg) => ALGORITHMS.includes(alg) || externals()?.signsWith(alg) === true,
    isAudience: (aud) => aud === issuer.audience || externals()?.isMeantFor(aud) === true,
  };

  /** Whether the channel alone names the caller: nothing was sent beside it, or nothing that is for this gateway. */
  function namesAlone(rawHeaders: readonly string[], onForeign: OnForeign | undefined): boolean {
    if (!hasCredential(rawHeaders)) return true;
    const foreign = foreignTokenIn(rawHeaders, own, maxTokenBytes);
    if (foreign !== undefined) onForeign?.(foreign);
    return foreign !== undefined;
  }

  function byBoth(
    rawHeaders: readonly string[],
    presented: Presented | undefined,
    source: string | undefined,
    onForeign: OnForeign | undefined,
  ): Principal | Promise<Principal> {
    if (presented !== undefined && certificates !== undefined) {
      if (namesAlone(rawHeaders, onForeign)) return certificates.principalOf(presented);
      const principal = byToken(rawHeaders, source);
      const agree = (named: Principal) => checkAgreement(named, presented, certificates);
      return principal instanceof Promise ? principal.then(agree) : agree(principal);
    }
    const principal = byToken(rawHeaders, source);
    return principal instanceof Promise ? principal.then(checkUnbound) : checkUnbound(principal);
  }

  function recheck(principal: Principal): void {
    // What vouches for the caller hangs on the very principal it came with.
    const behind = delegations.behind(principal);
    if (behind !== undefined) recheck(behind);
    if (principal.certificateSerial !== undefined) certificates?.recheck(ofCertificateAlone(principal));
    refuseEnded(principal);
    if (principal.tokenId !== undefined) refuseRevoked(principal.tokenId, principal.ancestors ?? []);
    const caller = principals.callerOf(ofTokenAlone(principal));
    if (caller !== undefined) checkBlocked(caller);
    if (caller !== undefined && !externals()?.stillNames(caller)) {
      throw new GatewayError('identity-not-mapped', 'the settings no longer say who the caller is');
    }
    if (caller === undefined || caller.mapped.kind === 'identity')
      principals.check(principal.subject, principal.tenant);
  }

  const delegations = createDelegations({
    principals,
    recheck,
    isOwnCertificate: (serial) => parts.certificates?.certificates.get(serial) !== undefined,
  });

  return {
    delegations,
    onDelegation(delegation, rawHeaders, onForeign) {
      const principal = delegations.principalOf(delegation);
      if (namesAlone(rawHeaders, onForeign)) return principal;
      throw new GatewayError(
        'token-ambiguous',
        'this socket speaks for the credentials its container was made with; send no token on it',
      );
    },
    authenticate(rawHeaders, peer, source, onForeign) {
      const presented = peer === undefined ? undefined : certificates?.presented(peer);
      return presented instanceof Promise
        ? presented.then((known) => byBoth(rawHeaders, known, source, onForeign))
        : byBoth(rawHeaders, presented, source, onForeign);
    },
    onSocket(name, rawHeaders, source, onForeign) {
      const socket = principals.ofSocket(name);
      if (namesAlone(rawHeaders, onForeign)) return socket;
      const principal = byToken(rawHeaders, source);
      const agree = (named: Principal) => checkSameIdentity(checkUnbound(named), socket);
      return principal instanceof Promise ? principal.then(agree) : agree(principal);
    },
    certificatesChanged: () => certificates?.refresh(),
    bound: (name) => principals.ofSocket(name),
    recheck,
    challengeFor(error) {
      const realm = 'Bearer realm="dockgate"';
      // RFC 6750 section 3.1: without credentials no error is given; nor is one when it is the certificate that is wrong.
      if (error.code === 'token-missing' || CERTIFICATE_CODES.has(error.code)) return realm;
      const kind = error.code === 'token-ambiguous' ? 'invalid_request' : 'invalid_token';
      return `${realm}, error="${kind}", error_description="${describe(error.message)}"`;
    },
  };
}

/** Only the characters RFC 6750 allows in `error_description`. */
const describe = (message: string): string => message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'").slice(0, 200);
