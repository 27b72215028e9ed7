// Routes of the admin API for sockets bound to an identity. A socket is named by its path, in the query.
import type { Hono } from 'hono';
import type { AdminEnv } from './app.ts';
import * as input from './input.ts';
import type { AdminServices } from './services.ts';
import { socketView } from './views.ts';

export function mountSocketRoutes(app: Hono<AdminEnv>, services: AdminServices): void {
  app.get('/sockets', (c) => {
    input.parseQuery(input.noQuery, c.req.url);
    return c.json({ sockets: services.listSockets().map(socketView) });
  });
  app.post('/sockets', async (c) => {
    const { path, identity, mode, group } = await input.parseBody(input.newSocket, c.req.raw);
    const made = await services.addSocket({ path, identity, mode: Number.parseInt(mode, 8), group }, c.get('context'));
    return c.json(socketView(made), 201);
  });
  app.delete('/sockets', async (c) => {
    await services.removeSocket(input.parseQuery(input.socketQuery, c.req.url).path, c.get('context'));
    return c.body(null, 204);
  });
}
