// Tables of the audit log (audit.db), apart from state so that it has one writer and its own life.
// Append only: triggers in the migrations refuse UPDATE and DELETE. Times are microseconds since the epoch, UTC.
import { sql } from 'drizzle-orm';
import { blob, index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

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

export const auditMeta = sqliteTable('audit_meta', {
  key: text('key').primaryKey(),
  value: text('value').notNull(),
});
