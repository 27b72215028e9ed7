// Routes of the admin API for client certificates.
import type { Hono } from 'hono';
import { canonicalSerial } from '../identity/read-certificate.ts';
import type { AdminEnv } from './app.ts';
import { parseDuration } from './duration.ts';
import * as input from './input.ts';
import type { AdminServices } from './services.ts';
import { certificateView } from './views.ts';

export function mountCertificateRoutes(app: Hono<AdminEnv>, services: AdminServices): void {
  app.get('/certificates', (c) => {
    const { identity } = input.parseQuery(input.certificateQuery, c.req.url);
    const now = services.now();
    const certificates = services.listCertificates(identity === undefined ? {} : { identity });
    return c.json({ certificates: certificates.map((one) => certificateView(one, now)) });
  });
  app.post('/certificates', async (c) => {
    const { identity, ttl, request } = await input.parseBody(input.newCertificate, c.req.raw);
    const { certificate, ca, record } = await services.issueCertificate(
      { identity, ttlMs: parseDuration(ttl) ?? 0, request },
      c.get('context'),
    );
    return c.json({ certificate, ca, ...certificateView(record, services.now()) }, 201);
  });
  app.delete('/certificates', async (c) => {
    const { identity } = input.parseQuery(input.certificatesOf, c.req.url);
    const revoked = await services.revokeCertificatesOf(identity, c.get('context'));
    return c.json({ certificates: revoked.map((one) => certificateView(one, services.now())) });
  });
  app.delete('/certificates/:serial', async (c) => {
    // As openssl and browsers print it, too: in capitals, with colons.
    const serial = canonicalSerial(c.req.param('serial'));
    return c.json(certificateView(await services.revokeCertificate(serial, c.get('context')), services.now()));
  });
}
