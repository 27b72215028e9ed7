// Builds Principals from a verified token, a client certificate or a bound socket and the identity as it is now, and keeps each one
// until its identity changes, so that policy may compile once per principal.
import { GatewayError } from '../errors.ts';
import type { Principal, PrincipalOrigin } from '../policy/types.ts';
import type { ExternalCaller } from './external/issuers.ts';
import type { IdentityRecord, IdentityStore } from './stores.ts';
import type { VerifiedToken } from './verify-token.ts';

export interface Principals {
  /**
   * Principal of a verified token. `owner` is the cache entry it lives and dies with.
   * @throws {GatewayError} `identity-unknown`, `identity-disabled`
   */
  ofToken(owner: object, token: VerifiedToken, channel: 'bearer' | 'basic'): Principal;
  /**
   * Principal of a client certificate. `owner` is the verdict it lives and dies with.
   * @throws {GatewayError} `identity-unknown`, `identity-disabled`
   */
  ofCertificate(owner: object, certificate: NamedByCertificate): Principal;
  /**
   * Principal of a caller another issuer vouches for: an identity of ours, or a subject of that issuer.
   * @throws {GatewayError} `identity-unknown`, `identity-disabled`
   */
  ofExternal(owner: object, caller: ExternalCaller, channel: 'bearer' | 'basic'): Principal;
  /** The caller a principal was made for by `ofExternal`, also when a certificate was joined to it since. */
  callerOf(principal: Principal): ExternalCaller | undefined;
  /**
   * Principal of a socket bound to an identity.
   * @throws {GatewayError} `identity-unknown`, `identity-disabled`
   */
  ofSocket(name: string): Principal;
  /** When the identity behind a principal was made, in ms since the epoch; undefined for another issuer's subject. */
  identitySince(principal: Principal): number | undefined;
  /**
   * A principal that was made before, with what its identity says now.
   *
   * @param owner what the answer lives and dies with
   * @param since when the identity was made; undefined for another issuer's subject
   * @throws {GatewayError} `identity-unknown`, `identity-disabled`, `token-revoked`
   */
  again(owner: object, principal: Principal, since: number | undefined): Principal;
  /** @throws {GatewayError} `identity-unknown`, `identity-disabled`, `token-revoked` where it belongs to another tenant now */
  check(name: string, tenant: string | undefined): void;
}

/** A believed certificate and whom it names. */
export interface NamedByCertificate {
  readonly name: string;
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** When it was issued here; undefined for one of an outside CA. */
  readonly issuedAt: number | undefined;
}

interface Made {
  record: IdentityRecord;
  readonly principal: Principal;
}

/** Creates the maker of principals over the identity store. */
export function createPrincipals(issuer: string, identities: IdentityStore): Principals {
  const made = new WeakMap<object, Made>();
  const sockets = new Map<string, Made>();
  const named = new WeakMap<object, Principal>();
  const callers = new WeakMap<PrincipalOrigin, ExternalCaller>();
  let records = new Map<string, IdentityRecord>();
  let generation = identities.generation;

  function lookUp(name: string): IdentityRecord {
    if (identities.generation !== generation) {
      generation = identities.generation;
      records = new Map();
    }
    let record = generation === undefined ? undefined : records.get(name);
    if (record === undefined) {
      record = identities.get(name);
      if (record === undefined) {
        sockets.delete(name);
        throw new GatewayError('identity-unknown', 'the credentials name no known identity');
      }
      if (generation !== undefined) records.set(name, record);
    }
    if (record.disabled) {
      throw new GatewayError('identity-disabled', `identity ${name} is disabled; ask an operator to enable it`);
    }
    return record;
  }

  /** The principal made before, when the identity still says the same. */
  function keep(before: Made | undefined, record: IdentityRecord): Principal | undefined {
    if (before === undefined) return undefined;
    if (before.record !== record) {
      if (!isSame(before.record, record)) return undefined;
      before.record = record;
    }
    return before.principal;
  }

  function check(name: string, tenant: string | undefined): void {
    if (lookUp(name).tenant === tenant) return;
    // A stream of the old tenant's objects ends with its right to them.
    throw new GatewayError('token-revoked', 'the identity belongs to another tenant now; call again');
  }

  return {
    check,
    identitySince: (principal) => (principal.issuer === issuer ? lookUp(principal.subject).createdAt : undefined),
    again(owner, principal, since) {
      if (since === undefined) return principal;
      check(principal.subject, principal.tenant);
      const record = lookUp(principal.subject);
      if (record.createdAt !== since) {
        throw new GatewayError('identity-unknown', 'the identity was removed, and another has its name now');
      }
      const kept = keep(made.get(owner), record);
      if (kept !== undefined) return kept;
      const renewed: Principal = Object.freeze({ ...principal, ...attributesOf(issuer, record) });
      made.set(owner, { record, principal: renewed });
      return renewed;
    },
    ofToken(owner, token, channel) {
      const record = lookUp(token.subject);
      // A token of an earlier identity of the same name must not speak for the new one.
      if (token.issuedAt + 1000 <= record.createdAt) {
        throw new GatewayError('identity-unknown', 'the token is older than the identity it names; ask for a new one');
      }
      const kept = keep(made.get(owner), record);
      if (kept !== undefined) return kept;
      const principal: Principal = Object.freeze({
        ...attributesOf(issuer, record),
        tokenId: token.id,
        ...(token.scope === undefined ? {} : { scope: token.scope }),
        ...(token.authorizationDetails === undefined ? {} : { authorizationDetails: token.authorizationDetails }),
        ...(token.ancestors.length === 0 ? {} : { ancestors: token.ancestors, ...actorOf(token) }),
        ...(token.leaseMs === undefined ? {} : { leaseMs: token.leaseMs }),
        expiresAt: token.expiresAt,
        channel,
        claims: token.claims,
      });
      made.set(owner, { record, principal });
      return principal;
    },
    ofCertificate(owner, { name, serial, expiresAt, issuedAt }) {
      const record = lookUp(name);
      // As for tokens; an outside CA knows nothing of our identities and their age.
      if (issuedAt !== undefined && issuedAt + 1000 <= record.createdAt) {
        throw new GatewayError(
          'identity-unknown',
          'the client certificate is older than the identity it names; ask for a new one',
        );
      }
      const kept = keep(made.get(owner), record);
      if (kept !== undefined) return kept;
      const principal: Principal = Object.freeze({
        ...attributesOf(issuer, record),
        certificateSerial: serial,
        expiresAt,
        channel: 'certificate',
        claims: Object.freeze({}),
      });
      made.set(owner, { record, principal });
      return principal;
    },
    ofExternal(owner, caller, channel) {
      const { token, mapped } = caller;
      const record = mapped.kind === 'identity' ? lookUp(mapped.identity) : undefined;
      const kept = record === undefined ? named.get(owner) : keep(made.get(owner), record);
      if (kept !== undefined) return kept;
      const principal: Principal = Object.freeze({
        ...(record === undefined ? attributesOfNamed(caller) : attributesOf(issuer, record)),
        tokenId: token.id,
        expiresAt: endOf(token, record),
        channel,
        claims: claimsOf(caller),
        origin: originOf(caller),
      });
      if (record === undefined) named.set(owner, principal);
      else made.set(owner, { record, principal });
      callers.set(principal.origin as PrincipalOrigin, caller);
      return principal;
    },
    callerOf: ({ origin }) => (origin === undefined ? undefined : callers.get(origin)),
    ofSocket(name) {
      const record = lookUp(name);
      const kept = keep(sockets.get(name), record);
      if (kept !== undefined) return kept;
      const principal: Principal = Object.freeze({
        ...attributesOf(issuer, record),
        channel: 'socket',
        claims: Object.freeze({}),
      });
      sockets.set(name, { record, principal });
      return principal;
    },
  };
}

/** The innermost word on who acts is the claim's outermost. */
function actorOf({ claims, subject }: VerifiedToken): { actor?: string } {
  const act = claims.act as { sub?: unknown } | undefined;
  return typeof act?.sub === 'string' && act.sub !== subject ? { actor: act.sub } : {};
}

function attributesOf(issuer: string, record: IdentityRecord) {
  return {
    subject: record.name,
    issuer,
    ...(record.tenant === undefined ? {} : { tenant: record.tenant }),
    groups: Object.freeze([...record.groups]),
    policies: Object.freeze([...record.policies]),
  };
}

/** An identity's limit on the life of its tokens holds for those other issuers make for it as well. */
const endOf = (token: ExternalCaller['token'], record: IdentityRecord | undefined): number =>
  Math.min(token.expiresAt, token.issuedAt + (record?.maxTtlMs ?? Number.POSITIVE_INFINITY));

/** A subject of another issuer: what the mapping says of it, under that issuer's own name. */
function attributesOfNamed({ mapped, issuer }: ExternalCaller) {
  if (mapped.kind !== 'named') throw new GatewayError('internal', 'an identity has no attributes of its own here');
  return {
    subject: mapped.subject,
    issuer: issuer.setting.issuer,
    ...(mapped.tenant === undefined ? {} : { tenant: mapped.tenant }),
    groups: mapped.groups,
    policies: mapped.policies,
  };
}

/** The token's claims for rules; `owner` is the mapping's word alone, for labels are judged by it. */
function claimsOf({ token, mapped }: ExternalCaller): Readonly<Record<string, unknown>> {
  const { owner: _theirs, ...claims } = token.claims;
  return Object.freeze({
    ...claims,
    ...(mapped.kind === 'named' && mapped.owner !== undefined ? { owner: mapped.owner } : {}),
  });
}

function originOf({ token, mapped, used, issuer }: ExternalCaller) {
  const { sub } = token.claims;
  return Object.freeze({
    issuer: issuer.setting.name,
    iss: issuer.setting.issuer,
    ...(typeof sub === 'string' ? { subject: sub.slice(0, 256) } : {}),
    rule: mapped.rule,
    claims: used,
  });
}

const isSame = (a: IdentityRecord, b: IdentityRecord): boolean =>
  a.tenant === b.tenant &&
  a.createdAt === b.createdAt &&
  a.maxTtlMs === b.maxTtlMs &&
  sameList(a.groups, b.groups) &&
  sameList(a.policies, b.policies);

const sameList = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((value, index) => value === b[index]);
