// Token and certificate together: what must agree, and which confirmations a token may carry.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import type { CertificateCallers } from '../../src/identity/certificate-callers.ts';
import { checkAgreement, checkUnbound, ofTokenAlone } from '../../src/identity/token-binding.ts';
import type { Presented } from '../../src/identity/trust.ts';
import type { Principal } from '../../src/policy/types.ts';

const THUMBPRINT = 'A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0';
const presented: Presented = { serial: '4f', thumbprint: THUMBPRINT, notBefore: 0, notAfter: 2_000 };

const token = (cnf?: unknown, more: Partial<Principal> = {}): Principal => ({
  subject: 'ci',
  issuer: 'x',
  groups: [],
  policies: [],
  tokenId: 't',
  channel: 'bearer',
  expiresAt: 3_000,
  claims: cnf === undefined ? {} : { cnf },
  ...more,
});
const callers = (answer: Principal | GatewayError): CertificateCallers => ({
  presented: () => presented,
  principalOf() {
    if (answer instanceof GatewayError) throw answer;
    return answer;
  },
  recheck() {},
  refresh() {},
});
const named = (subject: string): Principal => token(undefined, { subject, channel: 'certificate' });
const verdict = (check: () => Principal): string => {
  try {
    check();
    return 'ok';
  } catch (error) {
    return (error as GatewayError).code;
  }
};

describe('checkUnbound(), without a certificate', () => {
  for (const [name, cnf, wanted] of [
    ['a token without confirmation is good', undefined, 'ok'],
    ['a bound one is not', { 'x5t#S256': THUMBPRINT }, 'certificate-mismatch'],
    ['one bound by another kind of proof is not', { jkt: 'x' }, 'token-invalid'],
    ['an empty confirmation is not', {}, 'token-invalid'],
    ['null is not', null, 'token-invalid'],
    ['a text is not', THUMBPRINT, 'token-invalid'],
  ] as const) {
    it(name, () =>
      assert.equal(
        verdict(() => checkUnbound(token(cnf))),
        wanted,
      ),
    );
  }
});

describe('checkAgreement(), with one', () => {
  const refused = (code: 'certificate-untrusted' | 'certificate-revoked' | 'certificate-expired') =>
    new GatewayError(code, 'x');
  for (const [name, cnf, answer, wanted] of [
    ['both name one identity', undefined, named('ci'), 'ok'],
    ['they name two', undefined, named('bob'), 'credentials-conflict'],
    ['bound to it', { 'x5t#S256': THUMBPRINT }, named('ci'), 'ok'],
    ['bound to it, which names another', { 'x5t#S256': THUMBPRINT }, named('bob'), 'credentials-conflict'],
    ['bound to another', { 'x5t#S256': `B${THUMBPRINT.slice(1)}` }, named('ci'), 'certificate-mismatch'],
    ['bound twice over', { 'x5t#S256': THUMBPRINT, jkt: 'x' }, named('ci'), 'token-invalid'],
    [
      'not bound, and the certificate is of no CA',
      undefined,
      refused('certificate-untrusted'),
      'certificate-untrusted',
    ],
    ['bound, and the certificate is of no CA', { 'x5t#S256': THUMBPRINT }, refused('certificate-untrusted'), 'ok'],
    ['bound, and it was revoked', { 'x5t#S256': THUMBPRINT }, refused('certificate-revoked'), 'certificate-revoked'],
    ['bound, and it has expired', { 'x5t#S256': THUMBPRINT }, refused('certificate-expired'), 'certificate-expired'],
  ] as const) {
    it(`${name}: ${wanted}`, () => {
      assert.equal(
        verdict(() => checkAgreement(token(cnf), presented, callers(answer))),
        wanted,
      );
    });
  }

  it('the principal is that of the token, ends with whichever ends first, and is the same object again', () => {
    const principal = token();
    const both = checkAgreement(principal, presented, callers(named('ci')));
    assert.deepEqual([both.tokenId, both.certificateSerial, both.expiresAt], ['t', '4f', 2_000]);
    assert.equal(checkAgreement(principal, presented, callers(named('ci'))), both);
    assert.deepEqual([ofTokenAlone(both), ofTokenAlone(principal)], [principal, principal]);
  });
});
