// Table of the ledger (ledger.db): who owns what. Apart from the audit log, so that a log that is lost, replaced or kept elsewhere
// takes no ownership with it; apart from state, as it has the audit's writer. Times are milliseconds since the epoch.
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

/** The engine's own state decides what is alive. */
export const ledgerObject = sqliteTable(
  'ledger_object',
  {
    key: text('key').primaryKey(),
    kind: text('kind').notNull(),
    /** Full id; empty while pending where the engine chooses it. */
    id: text('id').notNull(),
    name: text('name').notNull(),
    tenant: text('tenant').notNull(),
    owner: text('owner').notNull(),
    tokenId: text('token_id'),
    auditId: text('audit_id').notNull(),
    state: text('state', { enum: ['pending', 'live', 'removed'] }).notNull(),
    createdAt: integer('created_at').notNull(),
    removedAt: integer('removed_at'),
    replacedBy: text('replaced_by'),
    parent: text('parent'),
    engineCreatedAt: text('engine_created_at'),
    isPulled: integer('is_pulled', { mode: 'boolean' }).notNull().default(false),
    /** JSON: what a container takes of its tenant's share. */
    share: text('share'),
    leaseUntil: integer('lease_until'),
    isRunning: integer('is_running', { mode: 'boolean' }).notNull().default(false),
    isCommon: integer('is_common', { mode: 'boolean' }).notNull().default(false),
  },
  (t) => [index('ledger_tenant').on(t.tenant, t.kind), index('ledger_removed').on(t.state, t.removedAt)],
);

/** Which ledger this is and how often it was opened; state.db remembers both. */
export const ledgerMeta = sqliteTable('ledger_meta', {
  key: text('key').primaryKey(),
  value: text('value').notNull(),
});
