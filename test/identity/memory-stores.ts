// Identity, token and key stores in memory for tests of the identity room, with the contract of src/identity/stores.ts.
import { GatewayError } from '../../src/errors.ts';
import { type Authenticator, createAuthenticator } from '../../src/identity/authenticate.ts';
import type { Blocks } from '../../src/identity/external/blocks.ts';
import type { ExternalIssuers } from '../../src/identity/external/issuers.ts';
import { createIssuer, type Issuer, type IssuerParts } from '../../src/identity/issue-token.ts';
import { createRevocations, type Revocations } from '../../src/identity/revocation.ts';
import type {
  CredentialRecord,
  CredentialStore,
  IdentityRecord,
  IdentityStore,
  KeyStore,
  SigningKeyRecord,
  TokenRecord,
  TokenStore,
} from '../../src/identity/stores.ts';

export interface MemoryIdentities extends IdentityStore {
  generation?: number;
  /** Reads so far. */
  reads: number;
  change(name: string, values: Partial<IdentityRecord>): void;
}

export function memoryIdentities(tokens: MemoryTokens, counting = true): MemoryIdentities {
  const rows = new Map<string, IdentityRecord>();
  const need = (name: string): IdentityRecord => {
    const row = rows.get(name);
    if (row === undefined) throw new GatewayError('not-found', `there is no identity ${name}`);
    return row;
  };
  const store: MemoryIdentities = {
    ...(counting ? { generation: 0 } : {}),
    reads: 0,
    insert(record) {
      if (rows.has(record.name)) throw new GatewayError('conflict', `there already is an identity ${record.name}`);
      rows.set(record.name, record);
      bump();
    },
    get(name) {
      store.reads++;
      const row = rows.get(name);
      // As a database gives it: a new object each time.
      return row && structuredClone(row);
    },
    list: () => [...rows.values()],
    setDisabled: (name, disabled) => store.change(name, { disabled }),
    setMaxTtl(name, maxTtlMs) {
      const { maxTtlMs: _, ...rest } = need(name);
      rows.set(name, { ...rest, ...(maxTtlMs === undefined ? {} : { maxTtlMs }) });
      bump();
    },
    update(name, { tenant, ...more }) {
      const { tenant: before, ...rest } = need(name);
      const now = tenant === undefined ? before : (tenant ?? undefined);
      rows.set(name, { ...rest, ...more, ...(now === undefined ? {} : { tenant: now }) });
      bump();
    },
    delete(name) {
      need(name);
      rows.delete(name);
      for (const token of tokens.list({ identity: name })) tokens.revoke(token.id, Date.now());
      bump();
    },
    change(name, values) {
      rows.set(name, { ...need(name), ...values });
      bump();
    },
  };
  const bump = () => {
    if (store.generation !== undefined) store.generation++;
  };
  return store;
}

export type MemoryTokens = TokenStore;

export function memoryTokens(): MemoryTokens {
  const rows = new Map<string, TokenRecord>();
  return {
    insert: (record) => void rows.set(record.id, record),
    get: (id) => rows.get(id),
    list: (filter) => [...rows.values()].filter((row) => !filter?.identity || row.identity === filter.identity),
    revoke(id, at) {
      const row = rows.get(id);
      if (row === undefined) throw new GatewayError('not-found', `there is no token ${id}`);
      if (row.revokedAt === undefined) rows.set(id, { ...row, revokedAt: at });
    },
    revokeIssuedBefore(identity, before, at) {
      const open = [...rows.values()].filter(
        (row) => row.identity === identity && row.issuedAt < before && row.revokedAt === undefined,
      );
      for (const row of open) rows.set(row.id, { ...row, revokedAt: at });
      return open.length;
    },
    forget(before) {
      for (const [id, row] of rows) if (row.expiresAt < before) rows.delete(id);
    },
    revoked: (now) =>
      [...rows.values()].filter((row) => row.revokedAt !== undefined && row.expiresAt > now).map((row) => row.id),
  };
}

export function memoryKeys(): KeyStore & { rows: SigningKeyRecord[] } {
  const rows: SigningKeyRecord[] = [];
  return {
    rows,
    list: () => [...rows],
    apply({ put = [], remove = [] }) {
      const gone = [...remove, ...put.map(({ kid }) => kid)];
      const kept = rows.filter(({ kid }) => !gone.includes(kid));
      rows.splice(0, rows.length, ...kept, ...put);
    },
  };
}

export function memoryCredentials(): CredentialStore {
  const rows = new Map<string, CredentialRecord>();
  const change = (id: string, values: Partial<CredentialRecord>) => {
    const row = rows.get(id);
    if (row === undefined) throw new GatewayError('not-found', `there is no credential ${id}`);
    rows.set(id, { ...row, ...values });
  };
  return {
    insert: (record) => void rows.set(record.id, record),
    get: (id) => rows.get(id),
    byHash: (hash) => [...rows.values()].find((row) => row.hash === hash),
    list: (filter) => [...rows.values()].filter((row) => !filter?.identity || row.identity === filter.identity),
    revoke: (id, at) => change(id, { revokedAt: rows.get(id)?.revokedAt ?? at }),
    revokeIssuedBefore(identity, before, at) {
      const open = [...rows.values()].filter((row) => row.identity === identity && row.createdAt < before);
      for (const { id } of open) change(id, { revokedAt: at });
      return open.length;
    },
    forget(before) {
      for (const [id, row] of rows) if (row.expiresAt < before) rows.delete(id);
    },
    revoked: (now) =>
      [...rows.values()].filter((row) => row.revokedAt !== undefined && row.expiresAt > now).map(({ id }) => id),
    used: (id, at) => change(id, { uses: (rows.get(id)?.uses ?? 0) + 1, lastUsedAt: at }),
  };
}

export interface IdentityRoom {
  readonly issuer: Issuer;
  readonly authenticator: Authenticator;
  readonly revocations: Revocations;
  readonly identities: MemoryIdentities;
  readonly tokens: MemoryTokens;
  readonly credentials: CredentialStore;
  readonly keys: KeyStore & { rows: SigningKeyRecord[] };
  /** Milliseconds since the epoch; tests move it. */
  clock: { at: number };
}

export const ISSUER = 'https://gate.example';
export const AUDIENCE = 'dockgate-test';
const START = Date.UTC(2030, 0, 1);

/** A whole identity room over memory, with the identities `alice` (tenant red, group dev) and `op` (operator). */
export async function openRoom(
  options: {
    cacheSize?: number;
    counting?: boolean;
    issuer?: Partial<IssuerParts>;
    maxTokenBytes?: number;
    external?: () => ExternalIssuers;
    blocks?: Blocks;
  } = {},
): Promise<IdentityRoom> {
  const clock = { at: START };
  const now = () => clock.at;
  const tokens = memoryTokens();
  const identities = memoryIdentities(tokens, options.counting ?? true);
  const keys = memoryKeys();
  identities.insert({
    name: 'alice',
    tenant: 'red',
    groups: ['dev'],
    policies: ['baseline'],
    disabled: false,
    createdAt: START - 1000,
  });
  identities.insert({ name: 'op', groups: [], policies: ['operator'], disabled: false, createdAt: START - 1000 });
  const issuer = createIssuer({ issuer: ISSUER, audience: AUDIENCE, keys, tokens, identities, now, ...options.issuer });
  await issuer.ensureKey();
  const credentials = memoryCredentials();
  const revocations = createRevocations(tokens, credentials, now);
  const authenticator = createAuthenticator({
    issuer,
    revocations,
    identities,
    now,
    ...(options.external === undefined ? {} : { external: options.external }),
    ...(options.blocks === undefined ? {} : { blocks: options.blocks }),
    ...(options.cacheSize === undefined ? {} : { cacheSize: options.cacheSize }),
    ...(options.maxTokenBytes === undefined ? {} : { maxTokenBytes: options.maxTokenBytes }),
  });
  return { issuer, authenticator, revocations, identities, tokens, credentials, keys, clock };
}

export const bearer = (token: string): string[] => ['Host', 'x', 'Authorization', `Bearer ${token}`];
export const basic = (token: string, user = 'x'): string[] => [
  'authorization',
  `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}`,
];
