// Our own token issuer: short-lived JWT access tokens (RFC 9068) signed with Ed25519, one stored record for each.
// Who may ask for a token is the admin room's question; what a token may say is this one's.
import { type JWK, SignJWT } from 'jose';
import { v7 as uuidv7 } from 'uuid';
import { GatewayError } from '../errors.ts';
import type { Ceiling, DockerAuthorization } from '../policy/types.ts';
import { MAX_TOKEN_BYTES } from './credentials.ts';
import type { Seal } from './seal.ts';
import { createKeyRing, type PublicKeyRecord } from './signing-keys.ts';
import type { IdentityRecord, IdentityStore, KeyStore, TokenRecord, TokenStore } from './stores.ts';

const HOUR_MS = 3_600_000;
/** Life of a token when none is asked for. */
export const DEFAULT_TTL_MS = HOUR_MS;
/** Longest life of a token, and of an operator's. */
export const MAX_TTL_MS = 24 * HOUR_MS;
export const MAX_OPERATOR_TTL_MS = 7 * 24 * HOUR_MS;
/** A shorter life would end within the clocks' tolerance. */
const MIN_TTL_MS = 1000;
/** Scope patterns in one token. */
const MAX_SCOPES = 64;
/** RFC 6749 `scope-token`, held short. */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/;
/** The built-in policy that makes an identity an operator. */
const OPERATOR_POLICY = 'operator';

export interface IssuerParts {
  /** `iss` of every token: `https://host` or `urn:dockgate:<id>`. */
  readonly issuer: string;
  /** `aud` of every token: this gateway. */
  readonly audience: string;
  readonly keys: KeyStore;
  readonly tokens: TokenStore;
  readonly identities: IdentityStore;
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number;
  /** By which retired keys are dropped, never early, see steady-clock.ts. Default: `now`. */
  readonly steadyNow?: () => number;
  /** UUIDv7. */
  readonly newId?: () => string;
  /** Default 1 h. */
  readonly defaultTtlMs?: number;
  /** Default 24 h. */
  readonly maxTtlMs?: number;
  /** Default 7 days. */
  readonly operatorMaxTtlMs?: number;
  /** Seals the private signing keys. Default: they are stored as they are, for stores in memory. */
  readonly seal?: Seal;
  /** The fault of a scope pattern, undefined when it has none. Default: only its characters are checked. */
  readonly checkScope?: (pattern: string) => string | undefined;
}

export interface TokenRequest {
  /** Name of the identity. */
  readonly identity: string;
  readonly ttlMs?: number;
  /** Ceiling of action patterns; left out means none. */
  readonly scope?: readonly string[];
  /** `x5t#S256` of the client certificate the token is bound to (RFC 8705); left out for a bearer token. */
  readonly boundTo?: string;
  /** Ceiling of RFC 9396 authorization details; left out means none. */
  readonly authorizationDetails?: readonly DockerAuthorization[];
  /** How long what is made with it may stay, in ms; left out means no end. */
  readonly leaseMs?: number;
  /** The token or credential it is made from: the new token grants no more than that, and for no longer. */
  readonly parent?: ParentGrant;
  /** Who asks: subject of the operator, for the record. */
  readonly by: string;
}

/** A token or credential another token is made from. */
export interface ParentGrant {
  /** `jti` of a token, id of a credential. */
  readonly id: string;
  /** What it was itself made from, the nearest first. */
  readonly ancestors: readonly { readonly id: string; readonly ceiling: Ceiling }[];
  readonly ceiling: Ceiling;
  readonly expiresAt: number;
  /** RFC 8693 `act`: who acts, and for whom before. */
  readonly act?: Readonly<Record<string, unknown>>;
  /** RFC 7800 `cnf` of the parent: what is made from a bound token is bound as it is. */
  readonly cnf?: unknown;
}

export interface Issuer {
  readonly issuer: string;
  readonly audience: string;
  /** Longest life a token of ours can have, in ms. */
  readonly longestTtlMs: number;
  /**
   * Signs a token and stores its record.
   *
   * @throws {GatewayError} `not-found` for an unknown identity, `conflict` for a disabled one, `input-invalid`
   */
  issue(request: TokenRequest): Promise<{ token: string; record: TokenRecord }>;
  /**
   * Loads the signing keys, making and turning them when due; returns whether the signing one was turned. Call once before `issue`
   * and before authenticating, and from time to time.
   */
  ensureKey(): Promise<boolean>;
  /** Lets the next key sign. @returns the `kid` that signs now */
  rotateKey(): Promise<string>;
  /** The signing keys without their private parts, newest first. */
  keyList(): readonly PublicKeyRecord[];
  /** Public keys, for `/.well-known/jwks.json`. */
  jwks(): { keys: JWK[] };
  /** Public key of a `kid`, undefined when it is none of ours. */
  verifier(kid: string): CryptoKey | undefined;
}

/** Creates the issuer over its stores. */
export function createIssuer(parts: IssuerParts): Issuer {
  const now = parts.now ?? Date.now;
  const newId = parts.newId ?? uuidv7;
  const maxTtlMs = parts.maxTtlMs ?? MAX_TTL_MS;
  const operatorMaxTtlMs = Math.max(maxTtlMs, parts.operatorMaxTtlMs ?? MAX_OPERATOR_TTL_MS);
  const defaultTtlMs = Math.min(parts.defaultTtlMs ?? DEFAULT_TTL_MS, maxTtlMs);
  const { seal } = parts;
  const ring = createKeyRing({
    keys: parts.keys,
    now,
    maxTtlMs: operatorMaxTtlMs,
    ...(parts.steadyNow === undefined ? {} : { steadyNow: parts.steadyNow }),
    ...(seal === undefined ? {} : { seal }),
  });

  function readTtl(ttlMs: number, identity: IdentityRecord): number {
    const general = identity.policies.includes(OPERATOR_POLICY) ? operatorMaxTtlMs : maxTtlMs;
    const longest = Math.min(general, identity.maxTtlMs ?? general);
    if (!Number.isFinite(ttlMs) || ttlMs < MIN_TTL_MS) {
      throw new GatewayError('input-invalid', `ttl must be at least ${MIN_TTL_MS / 1000}s`);
    }
    if (ttlMs > longest) {
      throw new GatewayError(
        'input-invalid',
        `ttl of ${hours(ttlMs)} is longer than the longest allowed for ${identity.name}, ${hours(longest)}`,
      );
    }
    return Math.floor(ttlMs / 1000) * 1000;
  }

  function checkScope(scope: readonly string[] | undefined): void {
    if (scope === undefined) return;
    if (scope.length === 0) {
      throw new GatewayError('input-invalid', 'scope names no action; leave it out for a token without a ceiling');
    }
    if (scope.length > MAX_SCOPES) {
      throw new GatewayError('input-invalid', `scope has ${scope.length} patterns; ${MAX_SCOPES} are allowed`);
    }
    for (const pattern of scope) {
      const fault = SCOPE_TOKEN.test(pattern) ? parts.checkScope?.(pattern) : 'it has characters no pattern has';
      if (fault !== undefined) {
        throw new GatewayError(
          'input-invalid',
          `scope ${JSON.stringify(pattern.slice(0, 128))} is not a pattern: ${fault}`,
        );
      }
    }
  }

  return {
    issuer: parts.issuer,
    audience: parts.audience,
    longestTtlMs: operatorMaxTtlMs,
    ensureKey: () => ring.ensure(),
    rotateKey: () => ring.rotate(),
    keyList: () => ring.list(),
    jwks: () => ring.jwks(),
    verifier: (kid) => ring.verifier(kid),

    async issue({ identity: name, ttlMs, scope, authorizationDetails, leaseMs, boundTo, parent, by }) {
      const identity = parts.identities.get(name);
      if (identity === undefined) throw new GatewayError('not-found', `there is no identity ${name}`);
      if (identity.disabled) throw new GatewayError('conflict', `identity ${name} is disabled; enable it first`);
      checkScope(scope);
      const ttl = readTtl(ttlMs ?? Math.min(defaultTtlMs, identity.maxTtlMs ?? defaultTtlMs), identity);
      // Whole seconds, as the token says them: record and token must agree on when it ends.
      const issuedAt = Math.floor(now() / 1000) * 1000;
      const record: TokenRecord = {
        id: newId(),
        identity: name,
        ...(scope === undefined ? {} : { scope: [...scope] }),
        ...(authorizationDetails === undefined ? {} : { authorizationDetails }),
        ...(parent === undefined ? {} : { ancestors: [parent.id, ...parent.ancestors.map(({ id }) => id)] }),
        issuedAt,
        expiresAt: Math.min(issuedAt + ttl, parent?.expiresAt ?? Number.POSITIVE_INFINITY),
        issuedBy: by,
      };
      const { kid, key } = ring.signer();
      const token = await new SignJWT({
        client_id: name,
        ...(boundTo === undefined ? {} : { cnf: { 'x5t#S256': boundTo } }),
        ...claimsOfCeiling({ ...(scope && { scope }), ...(authorizationDetails && { authorizationDetails }) }),
        ...(parent === undefined ? {} : { parents: parentClaims(parent, { scope, authorizationDetails }) }),
        ...(leaseMs === undefined ? {} : { lease: Math.ceil(leaseMs / 1000) }),
        ...(parent?.act === undefined ? {} : { act: parent.act }),
        ...(parent?.cnf === undefined ? {} : { cnf: parent.cnf }),
        ...(identity.tenant === undefined ? {} : { tenant: identity.tenant }),
        ...(identity.groups.length === 0 ? {} : { groups: [...identity.groups] }),
      })
        .setProtectedHeader({ typ: 'at+jwt', alg: 'Ed25519', kid })
        .setIssuer(parts.issuer)
        .setAudience(parts.audience)
        .setSubject(name)
        .setJti(record.id)
        .setIssuedAt(issuedAt / 1000)
        .setExpirationTime(record.expiresAt / 1000)
        .sign(key);
      if (token.length > MAX_TOKEN_BYTES) {
        throw new GatewayError(
          'input-invalid',
          `the token would be longer than ${MAX_TOKEN_BYTES} bytes; use a shorter scope or fewer details`,
        );
      }
      parts.tokens.insert(record);
      return { token, record };
    },
  };
}

const claimsOfCeiling = ({ scope, authorizationDetails }: Ceiling) => ({
  ...(scope === undefined ? {} : { scope: scope.join(' ') }),
  ...(authorizationDetails === undefined ? {} : { authorization_details: authorizationDetails }),
});

/**
 * A token carries the ceilings above it itself: it stays as narrow as it was made, also when records change. All of them
 * must cover a call, so one that stands below already need not be said again.
 */
function parentClaims(parent: ParentGrant, own: { readonly [K in keyof Ceiling]: Ceiling[K] | undefined }) {
  const said = new Set([JSON.stringify(own.scope), JSON.stringify(own.authorizationDetails)]);
  const isNew = (part: unknown): boolean => {
    const text = JSON.stringify(part);
    if (said.has(text)) return false;
    said.add(text);
    return true;
  };
  return [{ id: parent.id, ceiling: parent.ceiling }, ...parent.ancestors].map(({ id, ceiling }) => {
    const { scope, authorizationDetails } = ceiling;
    return {
      jti: id,
      ...claimsOfCeiling({
        ...(scope !== undefined && isNew(scope) ? { scope } : {}),
        ...(authorizationDetails !== undefined && isNew(authorizationDetails) ? { authorizationDetails } : {}),
      }),
    };
  });
}

const hours = (ms: number): string => `${Math.round((ms / HOUR_MS) * 100) / 100}h`;
