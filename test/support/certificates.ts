// Client certificates for tests: asked of a gateway's admin API, quicker than by a command, in folders as docker wants them.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureAuthority, ensureServerCertificate } from '../../src/identity/certificates.ts';
import { makeRequest } from '../../src/identity/client-certificates.ts';
import { admin } from './admin.ts';
import type { TestGateway } from './gateway.ts';

/** A server certificate for loopback and the authority above it, made in a folder. PEM. */
export async function loopbackMaterial(
  folder: string,
): Promise<{ ca: string; material: { cert: string; key: string } }> {
  await ensureAuthority(folder);
  await ensureServerCertificate(folder, { names: [] });
  const read = (file: string) => readFileSync(join(folder, file), 'utf8');
  return { ca: read('ca.pem'), material: { cert: read('server.pem'), key: read('server-key.pem') } };
}

export interface ClientFolder {
  /** With `ca.pem`, `cert.pem` and `key.pem`. */
  readonly folder: string;
  readonly serial: string;
}

export async function issueTo(gateway: TestGateway, identity: string, ttl = '1h'): Promise<ClientFolder> {
  const { request, key } = await makeRequest(identity);
  const { certificate, ca, serial } = await admin<{ certificate: string; ca: string; serial: string }>(
    gateway,
    'POST',
    '/certificates',
    { identity, ttl, request },
  );
  return { folder: clientFolder(gateway, { cert: certificate, key }, ca), serial };
}

export function clientFolder(gateway: TestGateway, made: { cert: string; key: string }, ca: string): string {
  const folder = mkdtempSync(join(gateway.dir, 'cert-'));
  writeFileSync(join(folder, 'ca.pem'), ca);
  writeFileSync(join(folder, 'cert.pem'), made.cert);
  writeFileSync(join(folder, 'key.pem'), made.key, { mode: 0o600 });
  return folder;
}

/** The environment a docker CLI needs to reach the gateway with the certificate of a folder, and nothing else. */
export const certificateEnv = (gateway: TestGateway, folder: string): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  HOME: folder,
  DOCKER_CERT_PATH: folder,
  DOCKER_TLS_VERIFY: '1',
  DOCKER_HOST: `tcp://127.0.0.1:${gateway.port}`,
});
