// Certificates of outside CAs judged: signature, purpose, times, revocation list, and files that are none.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createCertificateCallers } from '../../src/identity/certificate-callers.ts';
import { createPrincipals } from '../../src/identity/principal.ts';
import { judgeCertificate, loadTrust, type Presented, type Trust } from '../../src/identity/trust.ts';
import { ALGORITHMS, makeOutsideCa, type OutsideCa, type Wanted, WEAK_ALGORITHMS } from '../support/outside-ca.ts';
import { memoryIdentities, memoryTokens } from './memory-stores.ts';

const HOUR_MS = 3_600_000;
const none = { get: () => undefined };
const map = [{ by: 'cn', pattern: 'client', identity: 'ci' }] as const;

describe('client certificates of outside CAs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-trust-'));
  after(() => rmSync(folder, { recursive: true }));
  let files = 0;
  const file = (text: string): string => {
    const path = join(folder, `${files++}.pem`);
    writeFileSync(path, text);
    return path;
  };
  const judge = (cert: string, trust: Trust, at = Date.now()): Promise<Presented> =>
    judgeCertificate(new X509Certificate(cert).raw, { trust, ownAuthority: undefined, certificates: none, at });
  const verdict = ({ refusal, identity }: Presented) => refusal?.code ?? identity;

  let ca: OutsideCa;
  let trust: Trust;
  before(async () => {
    ca = await makeOutsideCa();
    trust = await loadTrust([{ ca: file(ca.pem), map }]);
  });

  for (const algorithm of Object.keys(ALGORITHMS) as (keyof typeof ALGORITHMS)[]) {
    it(`signed with ${algorithm} names its identity; the same from a CA of that name does not`, async () => {
      const one = await makeOutsideCa({ algorithm });
      const other = await makeOutsideCa({ algorithm });
      const trusted = await loadTrust([{ ca: file(one.pem), map }]);
      assert.equal(verdict(await judge((await one.issue()).cert, trusted)), 'ci');
      assert.equal(verdict(await judge((await other.issue()).cert, trusted)), 'certificate-untrusted');
    });
  }

  for (const algorithm of Object.keys(WEAK_ALGORITHMS) as (keyof typeof WEAK_ALGORITHMS)[]) {
    it(`signed with ${algorithm} is refused, for its signature could be another one's`, async () => {
      const one = await makeOutsideCa({ algorithm });
      const trusted = await loadTrust([{ ca: file(one.pem), map }]);
      assert.equal(verdict(await judge((await one.issue()).cert, trusted)), 'certificate-unsuitable');
    });
  }

  const ROWS: readonly [string, Wanted, string][] = [
    ['meant for clients', {}, 'ci'],
    ['meant for servers', { purposes: ['1.3.6.1.5.5.7.3.1'] }, 'certificate-unsuitable'],
    ['meant for both', { purposes: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'] }, 'ci'],
    ['meant for anything', { purposes: ['2.5.29.37.0'] }, 'ci'],
    ['that says nothing of its purpose', { purposes: [] }, 'ci'],
    ['whose key may not sign', { usage: 'keyEncipherment' }, 'certificate-unsuitable'],
    ['of a CA below', { isAuthority: true }, 'certificate-unsuitable'],
    ['with an unknown critical extension', { strange: true }, 'certificate-unsuitable'],
    ['of another subject', { subject: 'CN=other' }, 'identity-not-mapped'],
    ['with the name in another part', { subject: 'O=client' }, 'identity-not-mapped'],
  ];
  for (const [name, wanted, code] of ROWS) {
    it(`a client certificate ${name}: ${code}`, async () =>
      assert.equal(verdict(await judge((await ca.issue(wanted)).cert, trust)), code));
  }

  it('names in the alternative name extension are read as such', async () => {
    const trusted = await loadTrust([
      {
        ca: file(ca.pem),
        map: [
          { by: 'spiffe', pattern: 'spiffe://x.org/sa/*', identity: '*' },
          { by: 'dns', pattern: 'host.example', identity: 'host' },
          { by: 'email', pattern: '*@x.org', identity: '*' },
        ],
      },
    ]);
    for (const [san, wanted] of [
      [{ type: 'url', value: 'spiffe://x.org/sa/bot' }, 'bot'],
      [{ type: 'dns', value: 'host.example' }, 'host'],
      [{ type: 'email', value: 'alice@x.org' }, 'alice'],
      [{ type: 'dns', value: 'spiffe://x.org/sa/bot' }, 'identity-not-mapped'],
      [{ type: 'email', value: 'host.example' }, 'identity-not-mapped'],
    ] as const) {
      const { cert } = await ca.issue({ sans: [san] });
      assert.equal(verdict(await judge(cert, trusted)), wanted, JSON.stringify(san));
    }
  });

  it('a certificate the CA of another entry signed has only the mapping of that entry', async () => {
    const other = await makeOutsideCa({ name: 'Other CA' });
    const both = await loadTrust([
      { ca: file(ca.pem), map },
      { ca: file(other.pem), map: [{ by: 'cn', pattern: 'client', identity: 'bob' }] },
    ]);
    assert.equal(verdict(await judge((await ca.issue()).cert, both)), 'ci');
    assert.equal(verdict(await judge((await other.issue()).cert, both)), 'bob');
  });

  it('a certificate of an expired CA is refused', async () => {
    const old = await makeOutsideCa({ notAfter: new Date(Date.now() - 1000) });
    const trusted = await loadTrust([{ ca: file(old.pem), map }]);
    assert.equal(verdict(await judge((await old.issue()).cert, trusted)), 'certificate-untrusted');
  });

  it('a revocation list takes back what it names, and counts until its next update', async () => {
    const [bad, good] = [await ca.issue(), await ca.issue()];
    const until = new Date(Date.now() + HOUR_MS);
    const trusted = await loadTrust([{ ca: file(ca.pem), crl: file(await ca.crl([bad.serial], until)), map }]);
    assert.equal(verdict(await judge(bad.cert, trusted)), 'certificate-revoked');
    const presented = await judge(good.cert, trusted);
    assert.equal(verdict(presented), 'ci');
    assert.equal(presented.knownUntil, Math.floor(until.getTime() / 1000) * 1000);
  });

  for (const [name, make, said] of [
    ['no PEM', async () => ({ ca: file('x') }), /holds no PEM certificate/],
    ['a broken one', async () => ({ ca: file(ca.pem.replace(/\n.{20}/, '\nAAAA')) }), /cannot be read/],
    ['no CA', async () => ({ ca: file((await ca.issue()).cert) }), /is no CA/],
    ['no file', async () => ({ ca: join(folder, 'none') }), /cannot be read/],
    ['a list that is none', async () => ({ ca: file(ca.pem), crl: file('x') }), /no certificate revocation list/],
    [
      'a list of another CA',
      async () => ({ ca: file(ca.pem), crl: file(await (await makeOutsideCa()).crl([])) }),
      /is not signed by the CA/,
    ],
  ] as const) {
    it(`${name} in the settings is a fault that names the entry`, async () => {
      await assert.rejects(loadTrust([{ ...(await make()), map }]), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'config-invalid');
        assert.match(error.message, /^clientCas\[0\]: /);
        assert.match(error.message, said);
        return true;
      });
    });
  }

  it('a verdict is kept for a connection and a certificate, asked for the time, and made anew with other trust', async () => {
    const clock = { at: Date.now() };
    const identities = memoryIdentities(memoryTokens());
    identities.insert({ name: 'ci', groups: [], policies: [], disabled: false, createdAt: 0 });
    let current = trust;
    let reads = 0;
    const callers = createCertificateCallers(
      {
        certificates: { insert() {}, get: () => undefined, list: () => [], revoke() {}, revoked: () => [] },
        ownAuthority() {
          reads++;
          return undefined;
        },
        outside: () => current,
      },
      createPrincipals('iss', identities),
      () => clock.at,
    );
    const end = new Date(clock.at + HOUR_MS);
    const { raw } = new X509Certificate((await ca.issue({ notAfter: end })).cert);
    const [one, two] = [{ certificate: raw }, { certificate: raw }];
    assert.equal(callers.presented({ certificate: undefined }), undefined);
    const first = await callers.presented(one);
    assert.equal(callers.presented(one), first, 'at once');
    assert.equal(callers.presented(two), first, 'the same, at once, for another connection');
    assert.equal(reads, 1);
    const principal = callers.principalOf(first as Presented);
    assert.equal(callers.principalOf(first as Presented), principal);
    assert.deepEqual([principal.subject, principal.channel, principal.tokenId], ['ci', 'certificate', undefined]);
    clock.at = end.getTime();
    assert.throws(() => callers.principalOf(first as Presented), { code: 'certificate-expired' });
    assert.throws(() => callers.recheck(principal), { code: 'certificate-expired' });
    clock.at -= 2 * HOUR_MS + 60_000;
    assert.throws(() => callers.principalOf(first as Presented), { code: 'certificate-not-yet-valid' });
    clock.at += HOUR_MS + 60_000;
    current = await loadTrust([]);
    const anew = (await callers.presented(one)) as Presented;
    assert.throws(() => callers.principalOf(anew), { code: 'certificate-untrusted' });
  });

  it('bytes that are no certificate are refused, not a fault of ours', async () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array([0x30, 0x80]), Buffer.from('hello')]) {
      const presented = await judgeCertificate(bytes, {
        trust,
        ownAuthority: undefined,
        certificates: none,
        at: Date.now(),
      });
      assert.equal(presented.refusal?.code, 'certificate-unsuitable');
    }
  });
});
