// Client certificates from outside: issued, used by the real docker CLI, buildx and curl, revoked under way, and every
// wrong kind of them refused with a reason and one row in the audit.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { makeCertificate } from '../../src/identity/make-certificate.ts';
import { type AuditView, admin, auditOf, until } from '../support/admin.ts';
import { certificateEnv, issueTo } from '../support/certificates.ts';
import { CLI_PLUGINS, DOCKER_CLI, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, run, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-mtls-${IS_DENO ? 'deno' : 'node'}`;
const HOUR_MS = 3_600_000;
const without = (program: string): false | string =>
  spawnSync('sh', ['-c', `command -v ${program}`]).status === 0 ? false : `no ${program} here`;

describe('client certificates through dockgate', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startGateway({ engine: ENGINE as string });
    for (const name of ['ci', 'bob', 'gone']) {
      await admin(gateway, 'POST', '/identities', { name, tenant: 'acme', policies: ['baseline'] });
    }
  });
  after(async () => {
    removeContainers(PREFIX);
    await gateway?.remove();
  });

  const issue = (name: string, ttl?: string) => issueTo(gateway, name, ttl);
  const tokenOf = async (identity: string) =>
    (await admin<{ token: string }>(gateway, 'POST', '/tokens', { identity })).token;
  const envOf = (folder: string) => certificateEnv(gateway, folder);
  /** GET /info with whatever client certificate. */
  const ask = (
    tls: { cert?: string; key?: string } | string,
    options: { token?: string; path?: string; agent?: https.Agent } = {},
  ): Promise<{ status: number; message: string; headers: Record<string, unknown> }> => {
    const material =
      typeof tls === 'string'
        ? { cert: readFileSync(join(tls, 'cert.pem'), 'utf8'), key: readFileSync(join(tls, 'key.pem'), 'utf8') }
        : tls;
    return new Promise((resolve, reject) => {
      https
        .get(
          {
            host: '127.0.0.1',
            port: gateway.port,
            path: options.path ?? '/info',
            ca: readFileSync(join(gateway.dir, 'data', 'ca.pem'), 'utf8'),
            ...material,
            agent: options.agent ?? false,
            headers: options.token === undefined ? {} : { authorization: `Bearer ${options.token}` },
          },
          (response) => {
            let text = '';
            response.on('data', (chunk: Buffer) => {
              text += chunk.toString();
            });
            response.on('end', () => {
              const { message = '' } = JSON.parse(text === '' ? '{}' : text) as { message?: string };
              resolve({ status: response.statusCode ?? 0, message, headers: response.headers });
            });
          },
        )
        .on('error', reject);
    });
  };
  const rowsOf = async (headers: Record<string, unknown>): Promise<readonly AuditView[]> =>
    (await admin<{ events: AuditView[] }>(gateway, 'GET', `/audit/${headers['dockgate-audit-id']}`)).events;

  it('cert issue writes the folder DOCKER_CERT_PATH wants, with a key only its owner reads and extensions strict readers ask for', async () => {
    const folder = join(gateway.dir, 'issued');
    const { serial } = JSON.parse(
      await gateway.must('cert', 'issue', 'ci', '--out', folder, '--ttl', '2h', '--json'),
    ) as { serial: string };
    const modeOf = (name: string) => (statSync(join(folder, name)).mode & 0o777).toString(8);
    assert.deepEqual(['ca.pem', 'cert.pem', 'key.pem'].map(modeOf), ['644', '644', '600']);
    const certificate = new X509Certificate(readFileSync(join(folder, 'cert.pem')));
    const ca = new X509Certificate(readFileSync(join(folder, 'ca.pem')));
    assert.ok(certificate.checkIssued(ca) && certificate.verify(ca.publicKey));
    assert.equal(certificate.subject, 'CN=ci');
    assert.equal(certificate.serialNumber.toLowerCase(), serial);
    assert.equal(Math.round((Date.parse(certificate.validTo) - Date.now()) / HOUR_MS), 2);
    // A second time the key there is kept, unless it is asked for.
    const again = await gateway.dockgate('cert', 'issue', 'ci', '--out', folder);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /--force/);
    await gateway.must('cert', 'issue', 'ci', '--out', folder, '--force');
    assert.notEqual(new X509Certificate(readFileSync(join(folder, 'cert.pem'))).serialNumber.toLowerCase(), serial);
  });

  it('strict readers find nothing to complain about', { skip: without('openssl') }, async () => {
    const { folder } = await issue('ci');
    const strict = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', join(folder, 'ca.pem')];
    const ran = await run('openssl', [...strict, join(folder, 'cert.pem')]);
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
  });

  it('the docker CLI runs with DOCKER_CERT_PATH alone, hijacks included, and the audit names identity and certificate', async () => {
    const { folder, serial } = await issue('ci');
    const ran = await docker(
      envOf(folder),
      ['run', '--rm', '-i', '--network', 'none', '--name', `${PREFIX}-run`, IMAGE, 'cat'],
      'through mTLS\n',
    );
    assert.equal(ran.stderr, '');
    assert.equal(ran.stdout, 'through mTLS\n');
    const created = (await auditOf(gateway, 'ci')).find((row) => row.action === 'container.create');
    assert.deepEqual([created?.stage, created?.detail?.certificate], ['intent', serial]);
  });

  it('buildx, which can send no header, is known by its certificate, and its builds are read', {
    skip: CLI_PLUGINS === undefined ? 'no buildx here' : false,
  }, async () => {
    const { folder } = await issue('ci');
    mkdirSync(join(folder, '.docker'));
    symlinkSync(CLI_PLUGINS as string, join(folder, '.docker', 'cli-plugins'));
    writeFileSync(join(folder, 'Dockerfile'), `FROM ${IMAGE}\n`);
    const env = { ...envOf(folder), DOCKER_BUILDKIT: '1' };
    const ran = await docker(env, ['build', '-q', folder]);
    assert.equal(ran.code, 0, ran.stderr);
    const rows = (await auditOf(gateway, 'ci')).filter((row) => row.decision === 'allow');
    assert.ok(
      rows.some((row) => row.action.startsWith('build.')),
      JSON.stringify(rows),
    );
    const listed = await docker(env, ['buildx', 'ls']);
    assert.match(listed.stdout, /default/);
    assert.doesNotMatch(listed.stdout + listed.stderr, /credentials/);
  });

  it('curl is let in with the certificate and told what is missing without it', { skip: without('curl') }, async () => {
    const { folder } = await issue('ci');
    const url = `https://127.0.0.1:${gateway.port}/_ping`;
    const certs = ['--cert', join(folder, 'cert.pem'), '--key', join(folder, 'key.pem')];
    const ca = ['-sS', '--cacert', join(folder, 'ca.pem')];
    assert.equal((await run('curl', [...ca, ...certs, url])).stdout, 'OK');
    assert.equal((await run('curl', [...ca, '--tls-max', '1.2', ...certs, url])).stdout, 'OK');
    assert.match((await run('curl', [...ca, url])).stdout, /no credentials were sent.*client certificate/);
  });

  describe('is refused with a code, one sentence and one row when', () => {
    const refused = async (
      tls: { cert?: string; key?: string } | string,
      code: string,
      said: RegExp,
      token?: string,
    ): Promise<void> => {
      const { status, message, headers } = await ask(tls, token === undefined ? {} : { token });
      assert.deepEqual([status, headers['content-type']], [401, 'application/json'], message);
      assert.match(message, said);
      assert.match(String(headers['www-authenticate']), /^Bearer realm="dockgate"/);
      const rows = await rowsOf(headers);
      assert.deepEqual(
        rows.map((row) => [row.decision, row.code]),
        [['unauthenticated', code]],
      );
    };
    const ownCa = () => ({
      cert: readFileSync(join(gateway.dir, 'data', 'ca.pem'), 'utf8'),
      key: readFileSync(join(gateway.dir, 'data', 'ca-key.pem'), 'utf8'),
    });
    const order = (more: object = {}) => ({
      kind: 'client' as const,
      commonName: 'ci',
      names: [],
      notBefore: new Date(Date.now() - HOUR_MS),
      notAfter: new Date(Date.now() + HOUR_MS),
      ...more,
    });

    it('it is of a foreign CA that calls itself ours', async () => {
      const name = new X509Certificate(ownCa().cert).subject.replace('CN=', '');
      const foreign = await makeCertificate(order({ kind: 'authority', commonName: name }));
      await refused(await makeCertificate(order({ signer: foreign })), 'certificate-untrusted', /of no CA known here/);
    });
    it('it is self-signed', async () => {
      await refused(await makeCertificate(order()), 'certificate-untrusted', /of no CA known here/);
    });
    it('our CA signed it but it is not on record', async () => {
      await refused(await makeCertificate(order({ signer: ownCa() })), 'certificate-unknown', /not on record/);
    });
    it('it is the certificate of the server', async () => {
      const server = { cert: 'server.pem', key: 'server-key.pem' };
      const read = (name: string) => readFileSync(join(gateway.dir, 'data', name), 'utf8');
      await refused(
        { cert: read(server.cert), key: read(server.key) },
        'certificate-unsuitable',
        /extended key usage lacks clientAuth/,
      );
    });
    it('it has expired, on a connection kept open too, and a new one is let in', async () => {
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
      let folder = '';
      try {
        // A busy machine may take longer than its life to use it once.
        for (const ttl of ['4s', '16s', '60s']) {
          ({ folder } = await issue('ci', ttl));
          if ((await ask(folder, { agent })).status === 200) break;
          agent.destroy();
        }
        const end = Date.parse(new X509Certificate(readFileSync(join(folder, 'cert.pem'))).validTo);
        while (Date.now() < end + 50) await new Promise((resolve) => setTimeout(resolve, 50));
        const late = await ask(folder, { agent });
        assert.equal(late.status, 401);
        assert.match(late.message, /has expired/);
      } finally {
        agent.destroy();
      }
      await refused(folder, 'certificate-expired', /has expired/);
      assert.equal((await ask((await issue('ci')).folder)).status, 200);
    });
    it('it was revoked, by serial or by identity, and its neighbour still works', async () => {
      const [one, two, other] = [await issue('ci'), await issue('ci'), await issue('bob')];
      assert.equal((await ask(one.folder)).status, 200);
      const spelled = one.serial.toUpperCase().replace(/(..)(?=.)/g, '$1:');
      await gateway.must('cert', 'revoke', spelled);
      await refused(one.folder, 'certificate-revoked', /was revoked/);
      assert.equal((await ask(two.folder)).status, 200);
      await gateway.must('cert', 'revoke', '--identity', 'ci');
      await refused(two.folder, 'certificate-revoked', /was revoked/);
      assert.equal((await ask(other.folder)).status, 200);
      const listed = JSON.parse(await gateway.must('cert', 'list', '--identity', 'ci', '--json')) as {
        serial: string;
        state: string;
      }[];
      assert.ok(listed.length >= 2 && listed.every(({ state }) => state !== 'valid'));
    });
    it('a TLS session that began before the revocation is resumed', { skip: without('openssl') }, async () => {
      const { folder, serial } = await issue('ci');
      const target = ['s_client', '-quiet', '-connect', `127.0.0.1:${gateway.port}`, '-ign_eof'].concat([
        '-cert',
        join(folder, 'cert.pem'),
        '-key',
        join(folder, 'key.pem'),
      ]);
      const request = 'GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
      const session = join(folder, 'session');
      for (const version of ['-tls1_2', '-tls1_3']) {
        const first = await run('openssl', [...target, version, '-sess_out', `${session}${version}`], {
          input: request,
        });
        assert.match(first.stdout, /200 OK/, first.stderr);
        assert.ok(existsSync(`${session}${version}`));
      }
      await admin(gateway, 'DELETE', `/certificates/${serial}`);
      for (const version of ['-tls1_2', '-tls1_3']) {
        const second = await run('openssl', [...target, version, '-sess_in', `${session}${version}`], {
          input: request,
        });
        assert.match(second.stdout, /401 Unauthorized[\s\S]*was revoked/, `${version} ${second.stderr}`);
      }
    });
    it('its identity is disabled, deleted, or another one of the same name', async () => {
      const { folder } = await issue('gone');
      await admin(gateway, 'POST', '/identities/gone/disable', {});
      await refused(folder, 'identity-disabled', /disabled/);
      await admin(gateway, 'POST', '/identities/gone/enable', {});
      assert.equal((await ask(folder)).status, 200);
      await admin(gateway, 'DELETE', '/identities/gone');
      await refused(folder, 'certificate-revoked', /was revoked/);
      await admin(gateway, 'POST', '/identities', { name: 'gone', policies: ['baseline'] });
      await refused(folder, 'certificate-revoked', /was revoked/);
    });
    it('a token beside it names another identity; a token of the same identity is fine', async () => {
      const { folder } = await issue('ci');
      await refused(folder, 'credentials-conflict', /two identities/, await tokenOf('bob'));
      assert.equal((await ask(folder, { token: await tokenOf('ci') })).status, 200);
    });
  });

  it('a token bound to a certificate is good with that one alone', async () => {
    const [mine, other] = [await issue('ci'), await issue('ci')];
    const token = await gateway.must('token', 'create', 'ci', '--bind-cert', join(mine.folder, 'cert.pem'));
    assert.equal((await ask(mine.folder, { token })).status, 200);
    for (const tls of [other.folder, {}]) {
      const { status, message, headers } = await ask(tls, { token });
      assert.equal(status, 401);
      assert.match(message, /the token is bound to (another|a) client certificate/);
      assert.match(String(headers['www-authenticate']), /error="invalid_token"/);
      assert.equal((await rowsOf(headers))[0]?.code, 'certificate-mismatch');
    }
    await admin(gateway, 'DELETE', `/certificates/${mine.serial}`);
    assert.match((await ask(mine.folder, { token })).message, /was revoked/);
  });

  it('a token may be bound to a certificate no CA signed: its thumbprint says which', async () => {
    const made = await makeCertificate({
      kind: 'client',
      commonName: 'laptop',
      names: [],
      notBefore: new Date(Date.now() - HOUR_MS),
      notAfter: new Date(Date.now() + HOUR_MS),
    });
    const file = join(gateway.dir, 'self.pem');
    writeFileSync(file, made.cert);
    const token = await gateway.must('token', 'create', 'ci', '--bind-cert', file);
    assert.equal((await ask(made, { token })).status, 200);
    assert.equal((await ask(made)).status, 401);
    const ran = await gateway.dockgate('token', 'create', 'ci', '--bind-cert', gateway.configFile);
    assert.deepEqual([ran.code, /is no PEM certificate/.test(ran.stderr)], [2, true]);
  });

  it('a revocation ends live streams of the certificate and says why', async () => {
    const { folder, serial } = await issue('ci');
    const name = `${PREFIX}-stream`;
    const env = envOf(folder);
    const started = await docker(env, ['run', '-d', '--network', 'none', '--name', name, IMAGE, 'sleep', '300']);
    assert.equal(started.code, 0, started.stderr);
    const child = spawn(DOCKER_CLI as string, ['logs', '-f', name], { env, stdio: 'ignore' });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const row = (stage: string) => async () =>
      (await auditOf(gateway, 'ci')).find((one) => one.action === 'container.logs' && one.stage === stage);
    await until('the stream opens', row('stream-open'));
    await admin(gateway, 'DELETE', `/certificates/${serial}`);
    await ended;
    assert.equal((await until('its outcome', row('complete'))).code, 'certificate-revoked');
  });

  it('new listener certificates after a reload keep asking for client certificates', async () => {
    const { folder } = await issue('ci');
    await gateway.must('reload');
    assert.equal((await ask(folder)).status, 200);
  });

  it('an operator uses the admin API with a certificate; others are turned away', async () => {
    await admin(gateway, 'POST', '/identities', { name: 'op', policies: ['operator'] });
    const [op, ci] = [await issue('op'), await issue('ci')];
    assert.equal((await ask(op.folder, { path: '/dockgate/v1/status' })).status, 200);
    assert.equal((await ask(ci.folder, { path: '/dockgate/v1/status' })).status, 403);
  });

  it('requests for certificates that are none, or too long a life, are told', async () => {
    const ran = await gateway.dockgate('cert', 'issue', 'ci', '--out', join(gateway.dir, 'never'), '--ttl', '91d');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /from 1s to 90d/);
    const unknown = await gateway.dockgate('cert', 'issue', 'nobody', '--out', join(gateway.dir, 'never'));
    assert.match(unknown.stderr, /there is no identity nobody/);
    assert.equal(existsSync(join(gateway.dir, 'never')), false);
  });
});
