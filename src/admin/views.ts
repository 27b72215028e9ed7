// The JSON an admin caller receives: records with times in RFC 3339 and stable key names.
import type { BlockRecord } from '../identity/external/blocks.ts';
import type { IssuerState } from '../identity/external/issuers.ts';
import type { PublicKeyRecord } from '../identity/signing-keys.ts';
import type { CertificateRecord, CredentialRecord, IdentityRecord } from '../identity/stores.ts';
import type { LedgerEntry } from '../ledger/entry.ts';
import type { StoredDocument } from '../policy/store.ts';
import { spanOf } from './duration.ts';
import type { TokenStatus } from './services.ts';
import type { SocketState } from './socket-services.ts';

const time = (ms: number): string => new Date(ms).toISOString();

/** Microseconds since the epoch as RFC 3339 with six digits. */
export const microTime = (us: number): string => {
  const ms = Math.floor(us / 1000);
  return `${new Date(ms).toISOString().slice(0, -1)}${String(us - ms * 1000).padStart(3, '0')}Z`;
};

export const identityView = (record: IdentityRecord) => ({
  name: record.name,
  tenant: record.tenant ?? null,
  groups: record.groups,
  policies: record.policies,
  disabled: record.disabled,
  createdAt: time(record.createdAt),
  maxTtl: record.maxTtlMs === undefined ? null : spanOf(record.maxTtlMs),
});

const stateOf = (record: { revokedAt?: number; expiresAt: number; parentRevoked?: boolean }, now: number) =>
  record.revokedAt !== undefined || record.parentRevoked === true
    ? 'revoked'
    : record.expiresAt <= now
      ? 'expired'
      : 'valid';

export const tokenView = (record: TokenStatus, now: number) => ({
  id: record.id,
  identity: record.identity,
  scope: record.scope ?? null,
  authorizationDetails: record.authorizationDetails ?? null,
  parent: record.ancestors?.[0] ?? null,
  state: stateOf(record, now),
  lastUsedAt: record.use === undefined ? null : time(record.use.lastUsedAt),
  calls: record.use?.calls ?? 0,
  denials: record.use?.denials ?? 0,
  issuedAt: time(record.issuedAt),
  expiresAt: time(record.expiresAt),
  revokedAt: record.revokedAt === undefined ? null : time(record.revokedAt),
  issuedBy: record.issuedBy,
});

export const certificateView = (record: CertificateRecord, now: number) => ({
  serial: record.serial,
  identity: record.identity,
  state: record.revokedAt !== undefined ? 'revoked' : record.expiresAt <= now ? 'expired' : 'valid',
  issuedAt: time(record.issuedAt),
  expiresAt: time(record.expiresAt),
  revokedAt: record.revokedAt === undefined ? null : time(record.revokedAt),
  issuedBy: record.issuedBy,
  thumbprint: record.thumbprint,
});

export const socketView = (socket: SocketState) => ({
  path: socket.path,
  identity: socket.identity,
  mode: `0${socket.mode.toString(8)}`,
  group: socket.group ?? null,
  state: socket.fault === undefined ? 'listening' : 'failed',
  fault: socket.fault ?? null,
  createdAt: time(socket.createdAt),
  createdBy: socket.createdBy,
});

export const blockView = (block: BlockRecord) => ({
  issuer: block.issuer,
  kind: block.kind,
  value: block.value,
  createdAt: time(block.createdAt),
  createdBy: block.createdBy,
  until: block.until === undefined ? null : time(block.until),
});

export const issuerView = (state: IssuerState) => ({
  name: state.name,
  preset: state.preset ?? null,
  issuer: state.issuer,
  audience: state.audience,
  rules: state.rules,
  status: state.status,
  keys: state.kids,
  keysIgnored: state.ignored,
  fetchedAt: state.fetchedAt === undefined ? null : time(state.fetchedAt),
  attemptedAt: state.attemptedAt === undefined ? null : time(state.attemptedAt),
  fetches: state.fetches,
  error: state.error ?? null,
});

/** Without the hash of the secret, which only this gateway uses. */
export const credentialView = (record: CredentialRecord, now: number) => ({
  id: record.id,
  identity: record.identity,
  scope: record.scope ?? null,
  authorizationDetails: record.authorizationDetails ?? null,
  state: stateOf(record, now),
  createdAt: time(record.createdAt),
  expiresAt: time(record.expiresAt),
  revokedAt: record.revokedAt === undefined ? null : time(record.revokedAt),
  createdBy: record.createdBy,
  lastUsedAt: record.lastUsedAt === undefined ? null : time(record.lastUsedAt),
  tokens: record.uses,
});

export const keyView = (record: PublicKeyRecord) => ({
  kid: record.kid,
  algorithm: record.algorithm,
  state: record.state,
  createdAt: time(record.createdAt),
  since: time(record.stateAt),
  until: record.until === undefined ? null : time(record.until),
});

export const documentView = (document: StoredDocument & { builtIn?: boolean }) => ({
  kind: document.kind,
  name: document.name,
  revision: document.revision,
  builtIn: document.builtIn ?? false,
  deleted: document.deleted,
  at: document.builtIn ? null : time(document.at),
  by: document.by,
});

export const ownedView = (entry: LedgerEntry) => ({
  kind: entry.kind,
  id: entry.id,
  name: entry.name,
  tenant: entry.tenant,
  owner: entry.owner,
  tokenId: entry.tokenId ?? null,
  auditId: entry.auditId,
  createdAt: time(entry.createdAt),
  parent: entry.parent ?? null,
});

/** An image withheld from every tenant, under one of its names. */
export const withheldView = ({ id, parent, createdAt }: LedgerEntry) => ({
  name: id,
  imageId: parent ?? id,
  since: time(createdAt),
});
