// Tokens without an operator: a narrower one for a token (RFC 8693 exchange), a short one for a refresh credential.
// A new token must lie within its parent, and the parent stays its ceiling and can end it.
import { GatewayError } from '../errors.ts';
import { exceeds } from '../policy/ceiling.ts';
import type { Ceiling, DockerAuthorization, Principal, PrincipalOrigin } from '../policy/types.ts';
import { createAttemptLimit } from './attempts.ts';
import type { Authenticator } from './authenticate.ts';
import type { Peer } from './certificate-callers.ts';
import { ancestorOfSubject } from './external/blocks.ts';
import type { Issuer, ParentGrant } from './issue-token.ts';
import type { RefreshCredentials } from './refresh-credentials.ts';
import type { CredentialStore, IdentityStore, TokenRecord } from './stores.ts';

const MINUTE_MS = 60_000;
/** Life of an exchanged token and of a credential's token when none is asked for. */
export const EXCHANGE_TTL_MS = 10 * MINUTE_MS;
export const REFRESH_TTL_MS = 15 * MINUTE_MS;
/** Longest life of a credential's token: it can be had again at any time. */
export const MAX_REFRESH_TTL_MS = 60 * MINUTE_MS;
/** Tokens one identity gets without an operator within a minute; each is a row that is kept. */
export const MAX_GRANTS = 120;
/** Longest chain of tokens made from tokens. */
const MAX_ANCESTORS = 4;
/** A token that would end sooner is not worth making, in ms. */
const LEAST_TTL_MS = 1000;

export interface GrantRequest {
  /** Left out: as the parent has it. */
  readonly scope?: readonly string[] | undefined;
  readonly authorizationDetails?: readonly DockerAuthorization[] | undefined;
  /** Shortened to what the parent and the identity allow. */
  readonly ttlMs?: number | undefined;
}

export interface Granted {
  readonly token: string;
  readonly record: TokenRecord;
  /** Id of the token or credential it was made from. */
  readonly parent: string;
  /** The party that acted, when it is not the subject. */
  readonly actor?: string;
  /** Whose word the parent was, when it is another issuer's. */
  readonly origin?: PrincipalOrigin;
}

export interface Grants {
  /**
   * A token for no more than what the subject token is for.
   *
   * @param input.actorToken token of the party that will act with it; RFC 8693 `act`
   * @param input.peer whose connection it is, for bound tokens: the actor's when there is one, else the subject's
   * @param input.source address of the caller, without port
   * @throws {GatewayError} the 401 code of a token that is not good, `grant-too-wide`, `grant-invalid`, `rate-limited`,
   *   `input-invalid`
   */
  exchange(
    input: GrantRequest & {
      readonly subjectToken: string;
      readonly actorToken?: string | undefined;
      readonly peer?: Peer | undefined;
      readonly source?: string | undefined;
    },
  ): Promise<Granted>;
  /**
   * A short token for a refresh credential.
   *
   * @param input.clientId name of the identity, when the caller says it: then it must be the credential's
   * @throws {GatewayError} `client-invalid`, `grant-too-wide`, `rate-limited`, `input-invalid`
   */
  refresh(input: GrantRequest & { readonly secret: string; readonly clientId?: string | undefined }): Promise<Granted>;
}

export interface GrantParts {
  readonly issuer: Issuer;
  readonly authenticator: Authenticator;
  readonly refreshCredentials: RefreshCredentials;
  readonly credentials: CredentialStore;
  readonly identities: IdentityStore;
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number;
}

export function createGrants(parts: GrantParts): Grants {
  const now = parts.now ?? Date.now;
  const granted = createAttemptLimit(MAX_GRANTS);

  const principalOf = async (token: string, peer: Peer | undefined, source: string | undefined): Promise<Principal> =>
    parts.authenticator.authenticate(['authorization', `Bearer ${token}`], peer, source);

  async function issue(
    identity: string,
    request: GrantRequest,
    parent: ParentGrant,
    longestMs: number,
    leaseMs?: number,
  ) {
    if (granted.waitS(identity, now()) > 0) {
      throw new GatewayError(
        'rate-limited',
        `${identity} had ${MAX_GRANTS} tokens within a minute; use one until it ends`,
      );
    }
    const { ceiling } = parent;
    const beyond = exceeds(ceilingOf(request), ceiling);
    if (beyond !== undefined) throw new GatewayError('grant-too-wide', beyond);
    const scope = request.scope ?? ceiling.scope;
    const authorizationDetails = request.authorizationDetails ?? ceiling.authorizationDetails;
    const { maxTtlMs = Number.POSITIVE_INFINITY } = parts.identities.get(identity) ?? {};
    const ttlMs = Math.min(longestMs, maxTtlMs, parent.expiresAt - now());
    if (ttlMs < LEAST_TTL_MS)
      throw new GatewayError('grant-invalid', 'what the token is made from ends within a second');
    granted.count(identity, now());
    return parts.issuer.issue({
      identity,
      ttlMs,
      ...(scope === undefined ? {} : { scope }),
      ...(authorizationDetails === undefined ? {} : { authorizationDetails }),
      ...(leaseMs === undefined ? {} : { leaseMs }),
      parent,
      by: identity,
    });
  }

  return {
    async exchange({ subjectToken, actorToken, peer, source, ...request }) {
      const principal = await principalOf(subjectToken, actorToken === undefined ? peer : undefined, source);
      const { tokenId, expiresAt, ancestors = [], subject } = principal;
      if (principal.issuer !== parts.issuer.issuer || tokenId === undefined || expiresAt === undefined) {
        throw new GatewayError('grant-invalid', 'only a token of this gateway can be exchanged here');
      }
      if (ancestors.length >= MAX_ANCESTORS) {
        throw new GatewayError(
          'grant-invalid',
          `the token is at the end of a chain of ${MAX_ANCESTORS}; exchange an earlier one`,
        );
      }
      const actor = actorToken === undefined ? undefined : (await principalOf(actorToken, peer, source)).subject;
      const { act, cnf } = principal.claims;
      const parent: ParentGrant = {
        id: tokenId,
        ancestors: [...subjectOf(principal), ...ancestors],
        ceiling: ceilingOf(principal),
        expiresAt,
        act: { sub: actor ?? subject, ...(act === undefined ? {} : { act }) },
        ...(cnf === undefined ? {} : { cnf }),
      };
      const made = await issue(subject, request, parent, request.ttlMs ?? EXCHANGE_TTL_MS, principal.leaseMs);
      const { origin } = principal;
      return {
        ...made,
        parent: tokenId,
        ...(actor === undefined ? {} : { actor }),
        ...(origin === undefined ? {} : { origin }),
      };
    },

    async refresh({ secret, clientId, ...request }) {
      const record = parts.refreshCredentials.find(secret);
      if (clientId !== undefined && clientId !== record.identity) {
        throw new GatewayError('client-invalid', 'the credential belongs to another client_id');
      }
      const parent: ParentGrant = {
        id: record.id,
        ancestors: [],
        ceiling: ceilingOf(record),
        expiresAt: record.expiresAt,
      };
      const longest = Math.min(request.ttlMs ?? REFRESH_TTL_MS, MAX_REFRESH_TTL_MS);
      const made = await issue(record.identity, request, parent, longest);
      parts.credentials.used(record.id, now());
      return { ...made, parent: record.id };
    },
  };
}

/** A child of another issuer's token ends with a block of its subject too. */
const subjectOf = ({ origin }: Principal): ParentGrant['ancestors'] =>
  origin?.subject === undefined ? [] : [{ id: ancestorOfSubject(origin.issuer, origin.subject), ceiling: {} }];

const ceilingOf = ({ scope, authorizationDetails }: GrantRequest): Ceiling => ({
  ...(scope === undefined ? {} : { scope }),
  ...(authorizationDetails === undefined ? {} : { authorizationDetails }),
});
