// Routes of the admin API for leases.
import type { Hono } from 'hono';
import * as z from 'zod';
import type { LedgerEntry } from '../ledger/entry.ts';
import type { AdminEnv } from './app.ts';
import { DURATION_RULE, parseDuration } from './duration.ts';
import * as input from './input.ts';
import type { AdminServices } from './services.ts';

const tenant = z.string().min(1).max(256).optional();
const object = z.string({ error: 'must be an object' }).regex(/^(container|network|volume|image)\/.{1,512}$/, {
  error: 'must be an object such as container/web or volume/data',
});
const span = z
  .string({ error: DURATION_RULE })
  .refine((value) => parseDuration(value) !== undefined, { error: DURATION_RULE });

const leaseView = ({ kind, name, id, tenant: whose, owner, tokenId, createdAt, leaseUntil = 0 }: LedgerEntry) => ({
  object: `${kind}/${name === '' ? id : name}`,
  id,
  tenant: whose,
  owner,
  tokenId: tokenId ?? null,
  createdAt: new Date(createdAt).toISOString(),
  endsAt: new Date(leaseUntil).toISOString(),
});

export const leaseQuery = z.strictObject({ tenant });
export const leaseExtension = z.strictObject({ object, by: span, tenant });
export const leaseEnd = z.strictObject({ object, tenant });

export function mountLeaseRoutes(app: Hono<AdminEnv>, services: AdminServices): void {
  app.get('/leases', (c) => {
    const asked = input.parseQuery(leaseQuery, c.req.url);
    const leases = services.listLeases(asked.tenant === undefined ? {} : { tenant: asked.tenant });
    return c.json({ leases: leases.map(leaseView) });
  });
  app.post('/leases/extend', async (c) => {
    const asked = await input.parseBody(leaseExtension, c.req.raw);
    const byMs = parseDuration(asked.by) ?? 0;
    return c.json(leaseView(await services.extendLease(asked.object, byMs, asked.tenant, c.get('context'))));
  });
  app.post('/leases/end', async (c) => {
    const asked = await input.parseBody(leaseEnd, c.req.raw);
    return c.json(leaseView(await services.endLease(asked.object, asked.tenant, c.get('context'))));
  });
}
