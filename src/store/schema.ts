// Tables of the state database (state.db): identities, tokens, client certificates, sockets, signing keys, policy documents
// by revision, settings.
// Times are milliseconds since the epoch. Migrations are generated from this into migrations/state.

import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { DockerAuthorization } from '../policy/types.ts';

export const identity = sqliteTable('identity', {
  name: text('name').primaryKey(),
  tenant: text('tenant'),
  groups: text('groups', { mode: 'json' }).$type<string[]>().notNull(),
  policies: text('policies', { mode: 'json' }).$type<string[]>().notNull(),
  disabled: integer('disabled', { mode: 'boolean' }).notNull(),
  createdAt: integer('created_at').notNull(),
  maxTtlMs: integer('max_ttl_ms'),
});

export const token = sqliteTable(
  'token',
  {
    id: text('id').primaryKey(),
    /** No reference: a token outlives its identity, so that it stays revoked and known. */
    identity: text('identity').notNull(),
    scope: text('scope', { mode: 'json' }).$type<string[]>(),
    authorizationDetails: text('authorization_details', { mode: 'json' }).$type<readonly DockerAuthorization[]>(),
    ancestors: text('ancestors', { mode: 'json' }).$type<string[]>(),
    issuedAt: integer('issued_at').notNull(),
    expiresAt: integer('expires_at').notNull(),
    revokedAt: integer('revoked_at'),
    issuedBy: text('issued_by').notNull(),
  },
  (t) => [index('token_identity').on(t.identity), index('token_revoked').on(t.revokedAt)],
);

export const certificate = sqliteTable(
  'certificate',
  {
    serial: text('serial').primaryKey(),
    /** No reference, as for tokens. */
    identity: text('identity').notNull(),
    thumbprint: text('thumbprint').notNull(),
    issuedAt: integer('issued_at').notNull(),
    expiresAt: integer('expires_at').notNull(),
    revokedAt: integer('revoked_at'),
    issuedBy: text('issued_by').notNull(),
  },
  (t) => [index('certificate_identity').on(t.identity), index('certificate_revoked').on(t.revokedAt)],
);

export const socket = sqliteTable('socket', {
  path: text('path').primaryKey(),
  identity: text('identity').notNull(),
  mode: integer('mode').notNull(),
  group: text('group'),
  createdAt: integer('created_at').notNull(),
  createdBy: text('created_by').notNull(),
});

export const credential = sqliteTable(
  'credential',
  {
    id: text('id').primaryKey(),
    identity: text('identity').notNull(),
    hash: text('hash').notNull().unique(),
    scope: text('scope', { mode: 'json' }).$type<string[]>(),
    authorizationDetails: text('authorization_details', { mode: 'json' }).$type<readonly DockerAuthorization[]>(),
    createdAt: integer('created_at').notNull(),
    expiresAt: integer('expires_at').notNull(),
    revokedAt: integer('revoked_at'),
    createdBy: text('created_by').notNull(),
    lastUsedAt: integer('last_used_at'),
    uses: integer('uses').notNull(),
  },
  (t) => [index('credential_identity').on(t.identity)],
);

/** Counted from the audit; apart from the tokens, so that counting never touches what decides. */
export const tokenUse = sqliteTable('token_use', {
  tokenId: text('token_id').primaryKey(),
  lastUsedAt: integer('last_used_at').notNull(),
  calls: integer('calls').notNull(),
  denials: integer('denials').notNull(),
});

export const signingKey = sqliteTable('signing_key', {
  kid: text('kid').primaryKey(),
  algorithm: text('algorithm').notNull(),
  privateJwk: text('private_jwk').notNull(),
  publicJwk: text('public_jwk').notNull(),
  state: text('state', { enum: ['next', 'active', 'retiring'] }).notNull(),
  createdAt: integer('created_at').notNull(),
  stateAt: integer('state_at').notNull().default(0),
});

export const policyDocument = sqliteTable(
  'policy_document',
  {
    name: text('name').notNull(),
    revision: integer('revision').notNull(),
    kind: text('kind', { enum: ['Policy', 'Binding'] }).notNull(),
    source: text('source').notNull(),
    deleted: integer('deleted', { mode: 'boolean' }).notNull(),
    at: integer('at').notNull(),
    by: text('by').notNull(),
  },
  (t) => [primaryKey({ columns: [t.name, t.revision] }), index('policy_document_revision').on(t.revision)],
);

export const tenant = sqliteTable('tenant', {
  name: text('name').primaryKey(),
  description: text('description'),
  quota: text('quota', { mode: 'json' }).$type<Record<string, number>>().notNull(),
  identityQuota: text('identity_quota', { mode: 'json' }).$type<Record<string, number>>().notNull(),
  defaults: text('defaults', { mode: 'json' }).$type<Record<string, number>>().notNull(),
  createdAt: integer('created_at').notNull(),
});

export const setting = sqliteTable('setting', {
  key: text('key').primaryKey(),
  value: text('value').notNull(),
});
