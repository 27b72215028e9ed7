// An outside CA from outside: the docker CLI with a certificate of the company's CA, unmapped and ambiguous ones, a token
// beside it, a revocation list taken over by a reload, and a CA taken away.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { makeCertificate } from '../../src/identity/make-certificate.ts';
import { type AuditView, admin, auditOf, until } from '../support/admin.ts';
import { certificateEnv, clientFolder, issueTo } from '../support/certificates.ts';
import { DOCKER_CLI, ENGINE, skipWithoutCli } from '../support/engine.ts';
import { docker, startGateway, type TestGateway } from '../support/gateway.ts';
import { makeOutsideCa, type OutsideCa, type Wanted } from '../support/outside-ca.ts';

describe('certificates of an outside CA through dockgate', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let ca: OutsideCa;
  before(async () => {
    const dir = mkdtempSync(join(tmpdir(), 'dg-cas-'));
    ca = await makeOutsideCa({ algorithm: 'RSA 2048' });
    writeFileSync(join(dir, 'corp.pem'), ca.pem);
    gateway = await startGateway({
      engine: ENGINE as string,
      dir,
      settings: {
        clientCas: [
          {
            ca: 'corp.pem',
            map: [
              { spiffe: 'spiffe://corp.example/ns/ci/sa/*', identity: '*' },
              { dns: '*.bots.example', identity: 'bot' },
              { cn: 'nobody-here', identity: 'nobody-here' },
            ],
          },
        ],
      },
    });
    for (const name of ['ci', 'bot']) {
      await admin(gateway, 'POST', '/identities', { name, tenant: 'acme', policies: ['baseline', 'reader'] });
    }
  });
  after(() => gateway?.remove());

  const serverCa = () => readFileSync(join(gateway.dir, 'data', 'ca.pem'), 'utf8');
  const ask = (made: { cert: string; key: string }, token?: string): Promise<{ status: number; code: unknown }> =>
    new Promise((resolve, reject) => {
      https
        .get(
          {
            host: '127.0.0.1',
            port: gateway.port,
            path: '/info',
            ca: serverCa(),
            cert: made.cert,
            key: made.key,
            agent: false,
            headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
          },
          (response) => {
            response.resume();
            response.on('end', () => {
              admin<{ events: AuditView[] }>(gateway, 'GET', `/audit/${response.headers['dockgate-audit-id']}`).then(
                ({ events }) =>
                  resolve({ status: response.statusCode ?? 0, code: events[0]?.code ?? events[0]?.subject }),
                reject,
              );
            });
          },
        )
        .on('error', reject);
    });
  const spiffe = (name: string): Wanted => ({
    subject: 'O=Corp',
    sans: [{ type: 'url', value: `spiffe://corp.example/ns/ci/sa/${name}` }],
  });

  /** `docker events`, open. */
  const openStream = async (made: { cert: string; key: string }) => {
    const env = certificateEnv(gateway, clientFolder(gateway, made, serverCa()));
    const child = spawn(DOCKER_CLI as string, ['events'], { env, stdio: 'ignore' });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    await until('the stream opens', async () =>
      (await auditOf(gateway, 'ci')).some((row) => row.action === 'system.events' && row.stage === 'stream-open'),
    );
    return { child, ended };
  };

  it('the docker CLI is the identity its certificate is mapped to', async () => {
    const folder = clientFolder(gateway, await ca.issue(spiffe('ci')), serverCa());
    const ran = await docker(certificateEnv(gateway, folder), ['ps']);
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    assert.ok((await auditOf(gateway, 'ci')).some((row) => row.action === 'container.list'));
  });

  it('each certificate is told what is wrong with it, and its neighbour is let in', async () => {
    const two = { type: 'url' as const, value: 'spiffe://corp.example/ns/ci/sa/bot' };
    const rows: readonly [string, Wanted, number, string][] = [
      ['mapped by a DNS name', { sans: [{ type: 'dns', value: 'a.bots.example' }] }, 200, 'bot'],
      ['mapped by nothing', { sans: [{ type: 'dns', value: 'a.b.bots.example' }] }, 401, 'identity-not-mapped'],
      ['mapped to an identity there is not', { subject: 'CN=nobody-here' }, 401, 'identity-unknown'],
      [
        'mapped twice',
        { sans: [...(spiffe('ci').sans ?? []), { type: 'dns', value: 'a.bots.example' }] },
        401,
        'identity-ambiguous',
      ],
      ['with two SPIFFE ids', { sans: [...(spiffe('ci').sans ?? []), two] }, 401, 'identity-not-mapped'],
      ['not meant for clients', { ...spiffe('ci'), purposes: ['1.3.6.1.5.5.7.3.1'] }, 401, 'certificate-unsuitable'],
      ['past its end', { ...spiffe('ci'), notAfter: new Date(Date.now() - 1000) }, 401, 'certificate-expired'],
      [
        'before its time',
        { ...spiffe('ci'), notBefore: new Date(Date.now() + 600_000) },
        401,
        'certificate-not-yet-valid',
      ],
    ];
    for (const [name, wanted, status, code] of rows) {
      assert.deepEqual(await ask(await ca.issue(wanted)), { status, code }, name);
    }
    const impostor = await makeOutsideCa({ algorithm: 'RSA 2048' });
    assert.deepEqual(await ask(await impostor.issue(spiffe('ci'))), { status: 401, code: 'certificate-untrusted' });
  });

  it('a token beside it must be of the same identity', async () => {
    const made = await ca.issue(spiffe('ci'));
    const tokenOf = async (identity: string) =>
      (await admin<{ token: string }>(gateway, 'POST', '/tokens', { identity })).token;
    assert.equal((await ask(made, await tokenOf('ci'))).status, 200);
    assert.deepEqual(await ask(made, await tokenOf('bot')), { status: 401, code: 'credentials-conflict' });
  });

  it('a reload takes over a revocation list, refuses a wrong one as a whole, and takes a CA away', async () => {
    const [bad, good] = [await ca.issue(spiffe('ci')), await ca.issue(spiffe('ci'))];
    assert.deepEqual(await ask(bad), { status: 200, code: 'ci' });
    const settings = parse(readFileSync(gateway.configFile, 'utf8')) as { clientCas: { crl?: string }[] };
    const reload = (clientCas: object[]) => {
      writeFileSync(gateway.configFile, stringify({ ...settings, clientCas }));
      return admin(gateway, 'POST', '/reload', {});
    };
    const crl = join(gateway.dir, 'corp.crl');
    writeFileSync(crl, await (await makeOutsideCa()).crl([]));
    await assert.rejects(reload([{ ...settings.clientCas[0], crl }]));
    assert.deepEqual(await ask(bad), { status: 200, code: 'ci' });
    writeFileSync(crl, await ca.crl([bad.serial]));
    await reload([{ ...settings.clientCas[0], crl }]);
    assert.deepEqual(await ask(bad), { status: 401, code: 'certificate-revoked' });
    assert.deepEqual(await ask(good), { status: 200, code: 'ci' });
    writeFileSync(crl, await ca.crl([], new Date(Date.now() - 1000)));
    await reload([{ ...settings.clientCas[0], crl }]);
    assert.deepEqual(await ask(good), { status: 401, code: 'certificate-untrusted' });
    await reload(settings.clientCas);
    const { child, ended } = await openStream(good);
    await reload([]);
    await ended;
    assert.equal(child.exitCode !== null || child.signalCode !== null, true);
    const outcome = await until('the outcome of the stream', async () =>
      (await auditOf(gateway, 'ci')).find((row) => row.action === 'system.events' && row.stage === 'complete'),
    );
    assert.equal(outcome.code, 'certificate-untrusted');
    assert.deepEqual(await ask(good), { status: 401, code: 'certificate-untrusted' });
  });
});

describe('a gateway with a certificate of its own', { skip: skipWithoutCli }, () => {
  it('hands out, with client certificates of the private CA, what its callers must trust', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'dg-tls-'));
    const times = { notBefore: new Date(Date.now() - 3_600_000), notAfter: new Date(Date.now() + 3_600_000) };
    const root = await makeCertificate({ kind: 'authority', commonName: 'Web CA', names: [], ...times });
    const leaf = await makeCertificate({
      kind: 'server',
      commonName: 'gate',
      names: ['127.0.0.1'],
      signer: root,
      ...times,
    });
    writeFileSync(join(dir, 'chain.pem'), leaf.cert + root.cert);
    writeFileSync(join(dir, 'key.pem'), leaf.key);
    const gateway = await startGateway({
      engine: ENGINE as string,
      dir,
      settings: { tls: { cert: './chain.pem', key: './key.pem' } },
    });
    try {
      await admin(gateway, 'POST', '/identities', { name: 'ci', policies: ['baseline'] });
      const { folder } = await issueTo(gateway, 'ci');
      assert.equal(readFileSync(join(folder, 'ca.pem'), 'utf8').trim(), root.cert.trim());
      const ran = await docker(certificateEnv(gateway, folder), ['ps']);
      assert.deepEqual([ran.code, ran.stderr], [0, '']);
    } finally {
      await gateway.remove();
    }
  });
});
