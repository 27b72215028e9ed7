// A configured certificate and key: read when they are a pair, refused by name when they are not.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readCertificatePair } from '../../src/identity/certificate-pair.ts';
import { ensureAuthority, ensureServerCertificate } from '../../src/identity/certificates.ts';

describe('readCertificatePair()', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-pair-'));
  const file = (name: string) => join(folder, name);
  before(async () => {
    for (const place of [folder, file('other')]) {
      mkdirSync(place, { recursive: true });
      await ensureAuthority(place);
      await ensureServerCertificate(place, { names: [] });
    }
    writeFileSync(file('cut.pem'), readFileSync(file('server.pem'), 'utf8').slice(0, 200));
    writeFileSync(file('empty.pem'), '');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('readCertificatePair() reads a pair', () => {
    const { cert, key } = readCertificatePair({ cert: file('server.pem'), key: file('server-key.pem') });
    assert.match(cert, /BEGIN CERTIFICATE/);
    assert.match(key, /PRIVATE KEY/);
  });

  const FAULTS: [cert: string, key: string, message: string][] = [
    ['cut.pem', 'server-key.pem', 'the certificate cut.pem cannot be read as PEM'],
    ['empty.pem', 'server-key.pem', 'the certificate empty.pem cannot be read as PEM'],
    ['server.pem', 'empty.pem', 'the key empty.pem cannot be read as PEM'],
    ['server.pem', 'server.pem', 'the key server.pem cannot be read as PEM'],
    ['absent.pem', 'server-key.pem', 'the certificate absent.pem cannot be read'],
    ['server.pem', 'other/server-key.pem', 'the key server-key.pem does not belong to the certificate server.pem'],
  ];
  for (const [cert, key, message] of FAULTS) {
    it(`readCertificatePair() refuses ${cert} with ${key}`, () => {
      assert.throws(() => readCertificatePair({ cert: file(cert), key: file(key) }), {
        code: 'config-invalid',
        message,
      });
    });
  }
});
