// Routes of the admin API for tenants.
import type { Hono } from 'hono';
import * as z from 'zod';
import { DEFAULT_KEYS, readAmounts } from '../ledger/amounts.ts';
import { QUOTA_KEYS, type QuotaKey } from '../ledger/quota.ts';
import type { AdminEnv } from './app.ts';
import { DURATION_RULE, parseDuration } from './duration.ts';
import * as input from './input.ts';
import type { AdminServices } from './services.ts';
import type { TenantInput, TenantOverview } from './tenant-services.ts';

/** Most points of a history. */
const MAX_POINTS = 1000;

const amounts = (keys: readonly QuotaKey[]) =>
  z
    .record(z.string(), z.unknown())
    .transform((given, context) => {
      const read = readAmounts(given, keys);
      for (const message of read.problems) context.addIssue({ code: 'custom', message });
      return read.amounts as Record<string, number | null>;
    })
    .optional();

const changes = {
  description: z.string().max(256).optional(),
  quota: amounts(QUOTA_KEYS),
  identityQuota: amounts(QUOTA_KEYS),
  defaults: amounts(DEFAULT_KEYS),
};
const name = z
  .string({ error: 'must be a name' })
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, { error: 'is no name of a tenant: 1 to 63 letters, digits, . _ -' });
export const newTenant = z.strictObject({ name, ...changes });
export const changedTenant = z.strictObject(changes);
const span = z
  .string({ error: DURATION_RULE })
  .refine((value) => parseDuration(value) !== undefined, { error: DURATION_RULE });
export const historyQuery = z.strictObject({ since: span.default('24h'), step: span.default('1h') });

const inputOf = (given: z.infer<typeof changedTenant>): TenantInput =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));

const tenantView = ({ name: tenant, record, usage, identities }: TenantOverview) => ({
  name: tenant,
  description: record?.description ?? null,
  quota: record?.quota ?? {},
  identityQuota: record?.identityQuota ?? {},
  defaults: record?.defaults ?? {},
  usage,
  identities,
  createdAt: record === undefined ? null : new Date(record.createdAt).toISOString(),
});

export function mountTenantRoutes(app: Hono<AdminEnv>, services: AdminServices): void {
  app.get('/tenants', (c) => c.json({ tenants: services.listTenants().map(tenantView) }));
  app.post('/tenants', async (c) => {
    const { name: tenant, ...given } = await input.parseBody(newTenant, c.req.raw);
    return c.json(tenantView(await services.createTenant(tenant, inputOf(given), c.get('context'))), 201);
  });
  app.get('/tenants/:name', (c) => c.json(tenantView(services.showTenant(c.req.param('name')))));
  app.patch('/tenants/:name', async (c) => {
    const given = await input.parseBody(changedTenant, c.req.raw);
    return c.json(tenantView(await services.changeTenant(c.req.param('name'), inputOf(given), c.get('context'))));
  });
  app.delete('/tenants/:name', async (c) => {
    await services.deleteTenant(c.req.param('name'), c.get('context'));
    return c.body(null, 204);
  });
  app.get('/tenants/:name/usage', async (c) => {
    const { since, step } = input.parseQuery(historyQuery, c.req.url);
    const span = parseDuration(since) ?? 0;
    const stepMs = Math.max(parseDuration(step) ?? 0, Math.ceil(span / MAX_POINTS), 1000);
    const to = services.now();
    const points = await services.tenantHistory(c.req.param('name'), to - span, to, stepMs);
    return c.json({ points: points.map(({ at, usage }) => ({ at: new Date(at).toISOString(), usage })) });
  });
}
