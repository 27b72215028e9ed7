// The command line over HTTPS: an operator's token, a private CA, and what goes wrong without them.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createAdminApp } from '../../src/admin/app.ts';
import { certificateFiles, ensureAuthority, ensureServerCertificate } from '../../src/identity/certificates.ts';
import { createFakes } from '../admin/fakes.ts';
import { handlerOf, runCli } from './gateway.ts';

const dir = mkdtempSync(join(tmpdir(), 'dockgate-https-'));
const files = certificateFiles(dir);
let server: https.Server;
let host: string;

before(async () => {
  await ensureAuthority(dir);
  await ensureServerCertificate(dir, { names: [] });
  const app = createAdminApp(createFakes().services);
  // Stands for the gateway's own check: one good token, one of an identity that is no operator.
  const callers: Record<string, { subject: string; operator: boolean }> = {
    'Bearer good': { subject: 'alice', operator: true },
    'Bearer plain': { subject: 'ci', operator: false },
  };
  server = https.createServer(
    { cert: readFileSync(files.cert), key: readFileSync(files.key) },
    handlerOf(app, (request) => callers[request.headers.authorization ?? '']),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  host = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(async () => {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  rmSync(dir, { recursive: true });
});

test('an operator works over HTTPS, by options and by environment', async () => {
  const tokenFile = join(dir, 'token');
  writeFileSync(tokenFile, 'good\n');
  const made = await runCli(['--host', host, '--ca', files.ca, '--token-file', tokenFile, 'identity', 'create', 'ci']);
  assert.deepEqual(made, { code: 0, stdout: 'identity ci created\n', stderr: '' });
  const listed = await runCli(['identity', 'list', '--json'], {
    env: { DOCKGATE_HOST: host, DOCKGATE_CA: files.ca, DOCKGATE_TOKEN: 'good' },
  });
  assert.equal((JSON.parse(listed.stdout) as { name: string }[])[0]?.name, 'ci');
});

test('the gateway tells who may not, in one line', async () => {
  const asPlain = await runCli(['identity', 'list', '--host', host, '--ca', files.ca], {
    env: { DOCKGATE_TOKEN: 'plain' },
  });
  assert.equal(asPlain.code, 1);
  assert.match(asPlain.stderr, /^dockgate: ci is no operator; the admin API needs one \[audit \S+\]\n$/);
  const asNobody = await runCli(['identity', 'list', '--host', host, '--ca', files.ca], {
    env: { DOCKGATE_TOKEN: 'bad' },
  });
  assert.equal(asNobody.code, 1);
  assert.match(asNobody.stderr, /^dockgate: the admin API needs an operator token/);
  assert.doesNotMatch(asNobody.stderr, /bad/);
});

test('the CLI refuses a gateway whose certificate no trusted CA signed', async () => {
  const { code, stdout, stderr } = await runCli(['status', '--host', host], { env: { DOCKGATE_TOKEN: 'good' } });
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^dockgate: the certificate of https:\S+ is not trusted \(.*\); give its CA with --ca FILE\n$/);
});

test('the CLI tells in one line that a host has no listener', async () => {
  const { code, stderr } = await runCli(['status', '--host', 'https://127.0.0.1:1'], {
    env: { DOCKGATE_TOKEN: 'good' },
  });
  assert.equal(code, 1);
  assert.match(stderr, /^dockgate: the gateway at https:\/\/127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\)\n$/);
});
