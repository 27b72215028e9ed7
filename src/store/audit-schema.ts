// Tables of the audit log (audit.db), apart from state so that it has one writer and its own life.
// Append only: triggers in the migrations refuse UPDATE and DELETE. Times are microseconds since the epoch, UTC.
import { sql } from 'drizzle-orm';
import { blob, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';

export const auditEvent = sqliteTable(
  'audit_event',
  {
    /** Gapless. */
    seq: integer('seq').primaryKey(),
    at: integer('at').notNull(),
    stage: text('stage').notNull(),
    auditId: text('audit_id').notNull(),
    subject: text('subject'),
    issuer: text('issuer'),
    tenant: text('tenant'),
    tokenId: text('token_id'),
    source: text('source'),
    client: text('client'),
    action: text('action').notNull(),
    operationId: text('operation_id'),
    class: text('class'),
    apiVersion: text('api_version'),
    resource: text('resource'),
    resourceId: text('resource_id'),
    decision: text('decision').notNull(),
    code: text('code'),
    rule: text('rule'),
    policyRev: text('policy_rev'),
    status: integer('status'),
    durationUs: integer('duration_us'),
    bytesIn: integer('bytes_in'),
    bytesOut: integer('bytes_out'),
    /** JSON, already redacted. */
    detail: text('detail').notNull(),
    prev: blob('prev', { mode: 'buffer' }).notNull(),
    hash: blob('hash', { mode: 'buffer' }).notNull(),
    // Later columns: null in rows of before, and then no part of what is hashed (audit-row.ts).
    actor: text('actor'),
    pluginGeneration: integer('plugin_gen'),
    engine: text('engine'),
    gateway: text('gateway'),
    bodySha256: text('body_sha256'),
    sentSha256: text('sent_sha256'),
    outcome: text('outcome'),
    session: text('session'),
    /** JSON, the objects beside the main one. */
    resources: text('resources'),
  },
  (t) => [
    index('audit_at').on(t.at),
    index('audit_subject').on(t.subject, t.seq),
    // A row without a tenant costs nothing here.
    index('audit_tenant').on(t.tenant, t.seq).where(sql`tenant IS NOT NULL`),
    index('audit_call').on(t.auditId),
    // Denials are what reviewers look for, and few among many: without this a search for them reads every row.
    index('audit_denied').on(t.seq).where(sql`decision <> 'allow'`),
  ],
);

/**
 * Names and ids of objects, each once: `container` and `web`, `container` and `0f3a...`. Made from the rows (audit-index.ts), so that
 * it can be made again from them.
 */
export const auditName = sqliteTable(
  'audit_name',
  {
    nameNo: integer('name_no').primaryKey(),
    kind: text('kind').notNull(),
    name: text('name').notNull(),
  },
  (t) => [uniqueIndex('audit_name_name').on(t.name, t.kind)],
);

/** The rows in which a name or an id stands. */
export const auditResource = sqliteTable(
  'audit_resource',
  { nameNo: integer('name_no').notNull(), seq: integer('seq').notNull() },
  // WITHOUT ROWID in the migration: the key is all there is.
  (t) => [primaryKey({ columns: [t.nameNo, t.seq] })],
);

/** An id and a name that stood for one object, with the first row that said so. */
export const auditAlias = sqliteTable(
  'audit_alias',
  { idNo: integer('id_no').notNull(), nameNo: integer('name_no').notNull(), firstSeq: integer('first_seq').notNull() },
  (t) => [primaryKey({ columns: [t.idNo, t.nameNo] }), index('audit_alias_name').on(t.nameNo)],
);

/**
 * Tiles of the Merkle tree over the rows' lines: `id` is level * 2^40 + number of the tile, `hashes` up to 256 of 32 bytes. Not believed
 * by themselves: signed roots say which are right.
 */
export const auditTile = sqliteTable('audit_tile', {
  id: integer('id').primaryKey(),
  hashes: blob('hashes', { mode: 'buffer' }).notNull(),
});

/** Signed checkpoints, by the last row they cover. `at` is in microseconds, `note` the checkpoint as it was signed. */
export const auditCheckpoint = sqliteTable('audit_checkpoint', {
  seq: integer('seq').primaryKey(),
  at: integer('at').notNull(),
  keyId: text('key_id').notNull(),
  note: text('note').notNull(),
});

/** Signed anchors: the newest says up to which row the beginning was exported and removed. */
export const auditAnchor = sqliteTable('audit_anchor', {
  seq: integer('seq').primaryKey(),
  at: integer('at').notNull(),
  note: text('note').notNull(),
});

export const auditMeta = sqliteTable('audit_meta', {
  key: text('key').primaryKey(),
  value: text('value').notNull(),
});
