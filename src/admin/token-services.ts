// The admin services of tokens, refresh credentials and signing keys. Each change is recorded before it is made: `change`.
import { GatewayError } from '../errors.ts';
import { faultOfAction } from '../policy/actions.ts';
import type { Change } from './change.ts';
import type { AdminParts } from './create-services.ts';
import type { AdminServices, ChangeContext, TokenStatus } from './services.ts';

type TokenServices = Pick<
  AdminServices,
  | 'createToken'
  | 'listTokens'
  | 'revokeToken'
  | 'revokeIdentityTokens'
  | 'createCredential'
  | 'listCredentials'
  | 'revokeCredential'
  | 'listKeys'
  | 'rotateKey'
>;

const MAX_TTL_MS = 7 * 86_400_000;
/** A token that ended longer ago is left out of the list unless all are asked for, in ms. */
const RECENT_MS = 86_400_000;

export function createTokenServices(
  parts: AdminParts,
  change: <T>(context: ChangeContext, what: Change<T>) => Promise<T>,
  showIdentity: AdminServices['showIdentity'],
): TokenServices {
  const { tokens, credentials, revocations } = parts;
  const maxTtlMs = parts.maxTtlMs ?? MAX_TTL_MS;

  const showToken = (id: string): TokenStatus => {
    const found = tokens.get(id);
    if (!found) throw new GatewayError('not-found', `there is no token ${id}`);
    return statusOf(found);
  };
  const statusOf = (record: TokenStatus): TokenStatus => {
    const use = parts.tokenUse?.get(record.id);
    const isEnded = record.ancestors?.some((id) => revocations.isRevoked(id)) === true;
    return { ...record, ...(use === undefined ? {} : { use }), ...(isEnded ? { parentRevoked: true } : {}) };
  };
  const showCredential = (id: string) => {
    const found = credentials?.get(id);
    if (!found) throw new GatewayError('not-found', `there is no credential ${id}`);
    return found;
  };
  const needEnabled = (name: string) => {
    const identity = showIdentity(name);
    if (identity.disabled) throw new GatewayError('conflict', `identity ${name} is disabled; enable it first`);
    return identity;
  };
  const keys = () => {
    if (parts.signingKeys === undefined) throw new GatewayError('not-found', 'this gateway issues no tokens');
    return parts.signingKeys;
  };

  return {
    createToken: (input, context) =>
      change(context, {
        action: 'token.create',
        resource: `identity/${input.identity}`,
        detail: {
          ttlMs: input.ttlMs,
          scope: input.scope,
          authorizationDetails: input.authorizationDetails,
          boundTo: input.boundTo,
          leaseMs: input.leaseMs,
        },
        check() {
          const identity = needEnabled(input.identity);
          if (input.leaseMs !== undefined && identity.tenant === undefined) {
            throw new GatewayError(
              'input-invalid',
              `identity ${identity.name} has no tenant, and only what a tenant makes is followed: a lease would do nothing`,
            );
          }
          if (input.ttlMs !== undefined && input.ttlMs > maxTtlMs) {
            throw new GatewayError('input-invalid', `ttl is longer than the longest allowed, ${maxTtlMs / 3_600_000}h`);
          }
        },
        perform: () =>
          parts.issuer.issue({
            identity: showIdentity(input.identity),
            ...(input.ttlMs === undefined ? {} : { ttlMs: input.ttlMs }),
            ...(input.scope === undefined ? {} : { scope: input.scope }),
            ...(input.authorizationDetails === undefined ? {} : { authorizationDetails: input.authorizationDetails }),
            ...(input.boundTo === undefined ? {} : { boundTo: input.boundTo }),
            ...(input.leaseMs === undefined ? {} : { leaseMs: input.leaseMs }),
            issuedBy: context.by.subject,
          }),
        outcome: ({ record: { id } }) => ({ resourceId: id }),
      }),
    async listTokens({ all = false, ...filter }) {
      await parts.tokenUse?.catchUp();
      const since = parts.now() - RECENT_MS;
      return tokens
        .list(filter)
        .filter((record) => all || record.expiresAt > since)
        .map(statusOf);
    },
    revokeToken: (id, context) =>
      change(context, {
        action: 'token.revoke',
        resource: `token/${id}`,
        check: () => showToken(id),
        perform() {
          revocations.revoke(id, parts.now());
          return showToken(id);
        },
      }),
    revokeIdentityTokens: ({ identity, before }, context) => {
      const now = parts.now();
      return change(context, {
        action: 'token.revoke',
        resource: `identity/${identity}`,
        detail: { before: new Date(before ?? now).toISOString() },
        check() {
          showIdentity(identity);
          if (before !== undefined && before > now) {
            throw new GatewayError(
              'input-invalid',
              'before lies in the future; what is yet to be issued cannot be revoked',
            );
          }
        },
        // Tokens issued in this very millisecond are meant as well.
        perform: () => revocations.revokeIssuedBefore(identity, before ?? parts.now() + 1, parts.now()),
      });
    },

    createCredential: (input, context) =>
      change(context, {
        action: 'credential.create',
        resource: `identity/${input.identity}`,
        detail: { ttlMs: input.ttlMs, scope: input.scope, authorizationDetails: input.authorizationDetails },
        check() {
          needEnabled(input.identity);
          for (const entry of input.scope ?? []) {
            const fault = faultOfAction(entry);
            if (fault !== undefined) throw new GatewayError('input-invalid', `scope ${fault}`);
          }
        },
        perform() {
          if (!parts.refreshCredentials) throw new GatewayError('not-found', 'this gateway has no refresh credentials');
          return parts.refreshCredentials.create({ ...input, by: context.by.subject });
        },
        outcome: ({ record: { id } }) => ({ resourceId: id }),
      }),
    listCredentials: (filter) => credentials?.list(filter) ?? [],
    revokeCredential: (id, context) =>
      change(context, {
        action: 'credential.revoke',
        resource: `credential/${id}`,
        check: () => showCredential(id),
        perform() {
          revocations.revoke(id, parts.now());
          return showCredential(id);
        },
      }),

    listKeys: () => keys().list(),
    rotateKey: (context) =>
      change(context, {
        action: 'key.rotate',
        resource: 'gateway/signing-key',
        check: () => keys(),
        async perform() {
          await keys().rotate();
          return keys().list();
        },
        outcome: (list) => ({ resourceId: list.find(({ state }) => state === 'active')?.kid ?? '' }),
      }),
  };
}
