// Client certificates for tests: asked of a gateway's admin API, quicker than by a command, in folders as docker wants them.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeRequest } from '../../src/identity/client-certificates.ts';
import { admin } from './admin.ts';
import type { TestGateway } from './gateway.ts';

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
