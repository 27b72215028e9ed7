// Routes of the audit's integrity: how it is, verifying, checkpoints, proofs, the public key. For those who may read all of the audit.
import type { Hono } from 'hono';
import { z } from 'zod';
import type { AuditVerdict } from '../audit/seal/faults.ts';
import { GatewayError } from '../errors.ts';
import type { AdminEnv } from './app.ts';
import { scopeOf } from './audit-services.ts';
import * as input from './input.ts';
import type { AdminCaller, AdminServices } from './services.ts';

export interface IntegrityServices {
  state(): object;
  checkpoint(): Promise<{ readonly checkpoint: string; readonly publicKey: string }>;
  publicKey(): Promise<string>;
  proof(auditId: string): Promise<string>;
  verify(from?: number): Promise<AuditVerdict>;
}

export const verifyQuery = z.strictObject({
  from: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
});

export function mountIntegrityRoutes(app: Hono<AdminEnv>, services: AdminServices): void {
  let isVerifying = false;
  const partFor = (by: AdminCaller): IntegrityServices => {
    if (scopeOf(by).kind !== 'all')
      throw new GatewayError(
        'admin-forbidden',
        `${by.subject} may not read all of the audit; its integrity is of all of it`,
      );
    if (services.integrity === undefined) throw new GatewayError('not-found', 'the log of this gateway is not signed');
    return services.integrity;
  };
  app.get('/audit/integrity', (c) => {
    input.parseQuery(input.noQuery, c.req.url);
    return c.json(partFor(c.get('context').by).state());
  });
  app.get('/audit/public-key', async (c) => c.json({ publicKey: await partFor(c.get('context').by).publicKey() }));
  app.get('/audit/checkpoint', async (c) => c.json(await partFor(c.get('context').by).checkpoint()));
  app.get('/audit/proof/:id', async (c) => {
    const { by } = c.get('context');
    const proof = await partFor(by).proof(c.req.param('id'));
    services.auditRead(by, { read: 'proof', auditId: c.req.param('id').slice(0, 64) });
    return c.json({ proof });
  });
  app.get('/audit/verify', async (c) => {
    const { from } = input.parseQuery(verifyQuery, c.req.url);
    const part = partFor(c.get('context').by);
    if (isVerifying)
      throw new GatewayError('too-many-calls', 'the log is being verified already; ask again in a moment');
    isVerifying = true;
    try {
      return c.json(await part.verify(from));
    } finally {
      isVerifying = false;
    }
  });
}
