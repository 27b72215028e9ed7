// Whom the names in a certificate of an outside CA stand for: one row per mapping, each match beside its nearest miss.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GatewayError } from '../../src/errors.ts';
import { type CertificateMapping, mapCertificate, mappingFault } from '../../src/identity/map-certificate.ts';
import type { ReadCertificate } from '../../src/identity/read-certificate.ts';

type Names = Partial<Pick<ReadCertificate, 'commonNames' | 'dnsNames' | 'emails' | 'uris'>>;
const certificate = (names: Names): ReadCertificate =>
  ({ serial: '1', commonNames: [], dnsNames: [], emails: [], uris: [], ...names }) as unknown as ReadCertificate;
const map = (by: CertificateMapping['by'], pattern: string, identity = 'ci'): CertificateMapping => ({
  by,
  pattern,
  identity,
});
const verdict = (names: Names, ...mappings: CertificateMapping[]): string => {
  try {
    return mapCertificate(certificate(names), mappings) ?? 'nobody';
  } catch (error) {
    return (error as GatewayError).code;
  }
};

const ROWS: readonly [string, Names, CertificateMapping, string][] = [
  ['a SPIFFE id', { uris: ['spiffe://x.org/ci'] }, map('spiffe', 'spiffe://x.org/ci'), 'ci'],
  ['one below it', { uris: ['spiffe://x.org/ci/a'] }, map('spiffe', 'spiffe://x.org/ci'), 'nobody'],
  ['another case of its path', { uris: ['spiffe://x.org/CI'] }, map('spiffe', 'spiffe://x.org/ci'), 'nobody'],
  ['a segment of a SPIFFE id', { uris: ['spiffe://x.org/sa/bot'] }, map('spiffe', 'spiffe://x.org/sa/*', '*'), 'bot'],
  ['two segments', { uris: ['spiffe://x.org/sa/a/bot'] }, map('spiffe', 'spiffe://x.org/sa/*', '*'), 'nobody'],
  ['an encoded slash', { uris: ['spiffe://x.org/sa/a%2Fb'] }, map('spiffe', 'spiffe://x.org/sa/*'), 'nobody'],
  ['two URIs', { uris: ['spiffe://x.org/ci', 'spiffe://x.org/b'] }, map('spiffe', 'spiffe://x.org/ci'), 'nobody'],
  ['a DNS name in any case', { dnsNames: ['Ci.Example'] }, map('dns', 'ci.example'), 'ci'],
  ['one label', { dnsNames: ['a.ci.example'] }, map('dns', '*.ci.example'), 'ci'],
  ['two labels', { dnsNames: ['b.a.ci.example'] }, map('dns', '*.ci.example'), 'nobody'],
  ['no label', { dnsNames: ['.ci.example'] }, map('dns', '*.ci.example'), 'nobody'],
  ['a dot is a dot', { dnsNames: ['aXci.example'] }, map('dns', 'a.ci.example'), 'nobody'],
  ['a wildcard in the certificate', { dnsNames: ['*.ci.example'] }, map('dns', '*.ci.example'), 'nobody'],
  ['a NUL behind the name', { dnsNames: ['ci.example\0.evil'] }, map('dns', 'ci.example'), 'nobody'],
  ['an address', { emails: ['alice@Example.org'] }, map('email', 'alice@example.org', 'alice'), 'alice'],
  ['another case before the @', { emails: ['Alice@example.org'] }, map('email', 'alice@example.org'), 'nobody'],
  ['any address of a domain', { emails: ['alice@x.org'] }, map('email', '*@x.org', '*'), 'alice'],
  ['two @', { emails: ['alice@evil@x.org'] }, map('email', '*@x.org', '*'), 'nobody'],
  ['a common name', { commonNames: ['bot-7'] }, map('cn', 'bot-*', '*'), '7'],
  ['a common name of a longer one', { commonNames: ['my-bot-7'] }, map('cn', 'bot-*', '*'), 'nobody'],
  ['two common names', { commonNames: ['bot-7', 'bot-8'] }, map('cn', 'bot-7'), 'nobody'],
  ['a name that is no identity', { commonNames: ['Alice Smith'] }, map('cn', '*', '*'), 'nobody'],
  ['a name in the wrong place', { commonNames: ['ci.example'] }, map('dns', 'ci.example'), 'nobody'],
  ['parts around the star', { commonNames: ['host-a1-x'] }, map('cn', 'host-*-x', 'node-*'), 'node-a1'],
  ['what looks like a replacement', { commonNames: ['$&'] }, map('cn', '*', '*'), 'nobody'],
];

describe('mapCertificate()', () => {
  for (const [name, names, mapping, wanted] of ROWS) {
    it(`${name}: ${wanted}`, () => assert.equal(verdict(names, mapping), wanted));
  }
  it('two mappings to one identity are one, to two are none', () => {
    const names = { dnsNames: ['ci.example'], commonNames: ['ci'] };
    assert.equal(verdict(names, map('dns', 'ci.example'), map('cn', 'ci')), 'ci');
    assert.equal(verdict(names, map('dns', 'ci.example'), map('cn', 'ci', 'bob')), 'identity-ambiguous');
    assert.equal(
      verdict({ dnsNames: ['a.x', 'b.x'] }, map('dns', '*.x', '*')),
      'identity-ambiguous',
      'two names of one kind',
    );
  });
});

describe('mappingFault()', () => {
  for (const [mapping, wanted] of [
    [map('dns', '*.x.example', '*'), undefined],
    [map('dns', '*.*.example'), 'pattern'],
    [map('cn', '*'), 'pattern'],
    [map('cn', '*', 'x-*'), undefined],
    [map('cn', 'a', '*'), 'identity'],
    [map('cn', 'a', 'A'), 'identity'],
    [map('cn', 'a*', '**'), 'identity'],
    [map('spiffe', 'spiffe://*/ci'), 'pattern'],
    [map('spiffe', 'https://x.org/ci'), 'pattern'],
    [map('email', 'a@*'), 'pattern'],
    [map('dns', 'a b'), 'pattern'],
  ] as const) {
    it(`${mapping.by} ${mapping.pattern} to ${mapping.identity}: ${wanted ?? 'fine'}`, () =>
      assert.equal(mappingFault(mapping)?.at, wanted));
  }
});
