// Issuing client certificates: which requests are taken, what is signed, and what stands on record.
import assert from 'node:assert/strict';
import { webcrypto, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  createCertificateIssuer,
  DEFAULT_CERTIFICATE_TTL_MS,
  MAX_CERTIFICATE_TTL_MS,
  makeRequest,
} from '../../src/identity/client-certificates.ts';
import { loadX509 } from '../../src/identity/x509.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { ALGORITHMS } from '../support/outside-ca.ts';

const SUBTLE = webcrypto.subtle as unknown as SubtleCrypto;

async function requestWith(algorithm: object, name = 'CN=whoever'): Promise<string> {
  const x509 = await loadX509();
  const keys = (await SUBTLE.generateKey(algorithm as EcKeyGenParams, true, ['sign', 'verify'])) as CryptoKeyPair;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name,
    keys,
    signingAlgorithm: algorithm as EcdsaParams,
  });
  return request.toString('pem');
}

/** The same request with one bit of its signature turned. */
const tampered = (pem: string): string => {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  der[der.length - 1] = (der[der.length - 1] as number) ^ 1;
  return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
};

describe('createCertificateIssuer()', () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-issue-'));
  const now = () => Date.UTC(2030, 0, 1);
  let store: Store;
  let issuer: ReturnType<typeof createCertificateIssuer>;
  before(() => {
    store = openStore(':memory:');
    for (const [name, disabled] of [
      ['ci', false],
      ['off', true],
    ] as const) {
      store.identities.insert({ name, groups: [], policies: [], disabled, createdAt: now() });
    }
    issuer = createCertificateIssuer({ dir, certificates: store.certificates, identities: store.identities, now });
  });
  after(() => {
    store.close();
    rmSync(dir, { recursive: true });
  });

  for (const [name, algorithm] of Object.entries(ALGORITHMS)) {
    it(`signs for a key of ${name}, and takes nothing but the key from the request`, async () => {
      const { certificate, record } = await issuer.issue({
        identity: 'ci',
        request: await requestWith(algorithm, 'CN=root, O=somebody'),
        by: 'op',
      });
      const read = new X509Certificate(certificate);
      assert.equal(read.subject, 'CN=ci');
      assert.equal(read.ca, false);
      assert.equal(record.expiresAt - record.issuedAt, DEFAULT_CERTIFICATE_TTL_MS);
      assert.equal(Date.parse(read.validTo), record.expiresAt);
      assert.deepEqual(store.certificates.get(record.serial), record);
      assert.deepEqual([record.identity, record.issuedBy], ['ci', 'op']);
    });
  }

  it('no two certificates have one serial, and each has its own key', async () => {
    const one = await issuer.issue({ identity: 'ci', request: (await makeRequest('ci')).request, by: 'op' });
    const two = await issuer.issue({ identity: 'ci', request: (await makeRequest('ci')).request, by: 'op' });
    assert.notEqual(one.record.serial, two.record.serial);
    assert.notEqual(one.record.thumbprint, two.record.thumbprint);
  });

  for (const [name, order, code, said] of [
    ['no PEM', { request: 'x' }, 'input-invalid', /no PKCS #10 certificate request/],
    ['an empty PEM', { request: '-----BEGIN CERTIFICATE REQUEST-----\n' }, 'input-invalid', /no PKCS #10/],
    ['a request of endless length', { request: `-----BEGIN ${'x'.repeat(20_000)}` }, 'input-invalid', /too long/],
    ['a turned bit', { tamper: true }, 'input-invalid', /is not signed by its own key|no PKCS #10/],
    ['a short RSA key', { rsaBits: 1024 }, 'input-invalid', /less than 2048 bits/],
    ['an identity there is not', { identity: 'nobody' }, 'not-found', /no identity nobody/],
    ['a disabled identity', { identity: 'off' }, 'conflict', /off is disabled/],
    ['no life at all', { ttlMs: 0 }, 'input-invalid', /from 1s to 90d/],
    ['too long a life', { ttlMs: MAX_CERTIFICATE_TTL_MS + 1000 }, 'input-invalid', /from 1s to 90d/],
    ['no number as life', { ttlMs: Number.NaN }, 'input-invalid', /from 1s to 90d/],
  ] as const) {
    it(`createCertificateIssuer() refuses ${name}`, async () => {
      const options: { request?: string; tamper?: boolean; rsaBits?: number; identity?: string; ttlMs?: number } =
        order;
      const made = await requestWith(
        options.rsaBits === undefined
          ? ALGORITHMS['P-256']
          : { ...ALGORITHMS['RSA 2048'], modulusLength: options.rsaBits },
      );
      const count = store.certificates.list().length;
      await assert.rejects(
        issuer.issue({
          identity: options.identity ?? 'ci',
          request: options.request ?? (options.tamper ? tampered(made) : made),
          by: 'op',
          ...(options.ttlMs === undefined ? {} : { ttlMs: options.ttlMs }),
        }),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, code, error.message);
          assert.match(error.message, said);
          return true;
        },
      );
      assert.equal(store.certificates.list().length, count);
    });
  }
});
