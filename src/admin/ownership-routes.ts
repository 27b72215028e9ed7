// Routes of the admin API for what tenants own.
import type { Hono } from 'hono';
import type { AdminEnv } from './app.ts';
import * as input from './input.ts';
import type { AdminServices } from './services.ts';
import { ownedView, withheldView } from './views.ts';

export function mountOwnershipRoutes(app: Hono<AdminEnv>, services: AdminServices): void {
  app.get('/tenants/:name/objects', (c) =>
    c.json({ objects: services.tenantObjects(c.req.param('name')).map(ownedView) }),
  );
  app.post('/tenants/:name/adopt', async (c) => {
    const tenant = input.tenantName(c.req.param('name'));
    const adoption = await input.parseBody(input.adoption, c.req.raw);
    return c.json({ adopted: (await services.adoptObjects(tenant, adoption, c.get('context'))).map(ownedView) });
  });
  app.get('/withheld', (c) => c.json({ images: services.withheldImages().map(withheldView) }));
  app.post('/withheld/release', async (c) => {
    const { images } = await input.parseBody(input.release, c.req.raw);
    return c.json({ released: (await services.releaseImages(images, c.get('context'))).map(withheldView) });
  });
}
