// Routes of the admin API for external issuers. A block is named by its issuer, kind and value.
import type { Hono } from 'hono';
import type { AdminEnv } from './app.ts';
import * as input from './input.ts';
import type { AdminServices } from './services.ts';
import { blockView, issuerView } from './views.ts';

export function mountIssuerRoutes(app: Hono<AdminEnv>, services: AdminServices): void {
  app.get('/issuers', (c) => {
    input.parseQuery(input.noQuery, c.req.url);
    return c.json({ issuers: services.listIssuers().map(issuerView) });
  });
  app.get('/issuer-blocks', (c) => {
    input.parseQuery(input.noQuery, c.req.url);
    return c.json({ blocks: services.listBlocks().map(blockView) });
  });
  app.post('/issuer-blocks', async (c) => {
    const block = await input.parseBody(input.issuerBlock, c.req.raw);
    return c.json(blockView(await services.addBlock(block, c.get('context'))), 201);
  });
  app.delete('/issuer-blocks', async (c) => {
    await services.removeBlock(input.parseQuery(input.issuerBlock, c.req.url), c.get('context'));
    return c.body(null, 204);
  });
}
