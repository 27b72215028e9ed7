// What a dry run of a command is judged by: an identity, the documents and settings in force, and the engine's objects as they are now.
// The command line runs the command against a gateway of its own that is made from it. GET /dry-run
import type { Hono } from 'hono';
import * as z from 'zod';
import type { LedgerEntry } from '../ledger/entry.ts';
import type { TenantLimits } from '../ledger/quota.ts';
import type { AdminEnv } from './app.ts';
import * as input from './input.ts';
import type { AdminServices } from './services.ts';

const texts = z.array(z.string());
const objects = z.array(z.record(z.string(), z.unknown()));

export const dryRunBasis = z.object({
  identity: z.object({ name: z.string(), tenant: z.string().optional(), groups: texts, policies: texts }),
  documents: z.array(z.object({ kind: z.enum(['Policy', 'Binding']), name: z.string(), source: z.string() })),
  /** What the identity's tenant may have, and what it has: of the gateway's ledger. */
  limits: z.custom<TenantLimits>().optional(),
  owned: z.array(z.custom<LedgerEntry>()),
  issuer: z.string(),
  apiVersions: z.object({ min: z.string(), max: z.string().optional() }),
  tenants: z.object({
    sharedImages: texts,
    names: texts.optional(),
    refreshShared: z.boolean(),
    distrust: z.boolean(),
  }),
  /** Bytes. */
  sizes: z.object({ bodyBytes: z.number(), labelBytes: z.number() }),
  /** Files of the gateway, the sockets it is reached by, and networks of the engine's host. */
  site: z.object({ protectedPaths: texts, sockets: texts, networks: texts }),
  /** Plugins in force: a dry run asks none of them. */
  plugins: texts,
  /** The engine's objects, as it shows them; `fault` where it could not be asked. */
  engine: z.object({
    containers: objects,
    images: objects,
    networks: objects,
    volumes: objects,
    /** Parts of its `/info` that decide what a call means. */
    info: z.record(z.string(), z.unknown()),
    fault: z.string().optional(),
  }),
});
export type DryRunBasis = z.infer<typeof dryRunBasis>;

export const dryRunQuery = z.strictObject({ as: input.identityName });

export function mountDryRunRoute(app: Hono<AdminEnv>, services: AdminServices): void {
  app.get('/dry-run', async (c) => c.json(await services.dryRun(input.parseQuery(dryRunQuery, c.req.url).as)));
}
