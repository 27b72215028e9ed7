// From the names in a certificate of an outside CA to an identity: by SPIFFE id, DNS name, e-mail address or common name.
// Pure. A pattern may hold one `*`, for one label, one path segment or one part of a name, never across their borders.
import { GatewayError } from '../errors.ts';
import type { CertificateMapping, MappedBy } from './client-ca.ts';
import { IDENTITY_NAME } from './names.ts';
import type { ReadCertificate } from './read-certificate.ts';

export { type CertificateMapping, MAPPED_BY, type MappedBy } from './client-ca.ts';

/** What a `*` may stand for. */
const STAR: Record<MappedBy, string> = {
  spiffe: '([A-Za-z0-9._-]+)',
  dns: '([a-z0-9_-]+)',
  email: '([^@\\s\\x00-\\x1f]+)',
  cn: '([^\\x00-\\x1f]+)',
};

/** The fault of a mapping and its half; undefined when it has none. */
export function mappingFault({
  by,
  pattern,
  identity,
}: CertificateMapping): { at: 'pattern' | 'identity'; message: string } | undefined {
  const stars = pattern.split('*').length - 1;
  const ofPattern = (message: string) => ({ at: 'pattern' as const, message });
  const ofIdentity = (message: string) => ({ at: 'identity' as const, message });
  if (stars > 1) return ofPattern('holds at most one *');
  if (identity.includes('*') && stars === 0) return ofIdentity('has a * but the pattern has none');
  if (!IDENTITY_NAME.test(identity.replace('*', 'x'))) {
    return ofIdentity(`${JSON.stringify(identity)} is no identity name`);
  }
  // A pattern without a fixed part would map every certificate the CA signs.
  if (pattern === '*' && !identity.includes('*')) {
    return ofPattern('a * alone would make every client of this CA one identity');
  }
  return FORMS[by].test(pattern) ? undefined : ofPattern(`must be ${FORM_WORDS[by]}`);
}

/** Of a SPIFFE id the trust domain is fixed, of an address the domain. */
const FORMS: Record<MappedBy, RegExp> = {
  spiffe: /^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._*-]+)+$/,
  dns: /^[a-z0-9_*-]+(\.[a-z0-9_*-]+)*$/i,
  email: /^[^@\s]+@[^@\s*]+$/,
  cn: /^.{1,256}$/u,
};
const FORM_WORDS: Record<MappedBy, string> = {
  spiffe: 'a SPIFFE id such as spiffe://example.org/ns/ci/sa/*, without * in the trust domain',
  dns: 'a DNS name such as *.ci.example',
  email: 'an address such as *@example.org, without * in the domain',
  cn: 'a common name such as bot-*',
};

/**
 * The identity a certificate is mapped to.
 *
 * @returns undefined when no mapping matches
 * @throws {GatewayError} `identity-ambiguous` when they name more than one
 */
export function mapCertificate(
  certificate: ReadCertificate,
  mappings: readonly CertificateMapping[],
): string | undefined {
  const identities = new Set(mappings.flatMap((mapping) => matches(certificate, mapping)));
  if (identities.size > 1) {
    throw new GatewayError(
      'identity-ambiguous',
      `the client certificate ${certificate.serial} is mapped to more than one identity; ask an operator to look at clientCas`,
    );
  }
  return [...identities][0];
}

function matches(certificate: ReadCertificate, { by, pattern, identity }: CertificateMapping): string[] {
  const exact = by === 'dns' ? pattern.toLowerCase() : by === 'email' ? lowerDomain(pattern) : pattern;
  const [before = '', after] = exact.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  const expression = new RegExp(`^${after === undefined ? before : `${before}${STAR[by]}${after}`}$`);
  return namesBy(certificate, by).flatMap((name) => {
    const match = expression.exec(name);
    if (match === null) return [];
    const mapped = identity.replace('*', () => match[1] ?? '');
    return IDENTITY_NAME.test(mapped) ? [mapped] : [];
  });
}

function namesBy(certificate: ReadCertificate, by: MappedBy): readonly string[] {
  switch (by) {
    case 'spiffe': {
      // X.509-SVID section 2: exactly one URI. Two of them are ambiguous.
      const { uris } = certificate;
      return uris.length === 1 ? uris : [];
    }
    case 'dns':
      return certificate.dnsNames.map((name) => name.toLowerCase());
    case 'email':
      return certificate.emails.map(lowerDomain);
    case 'cn':
      return certificate.commonNames.length === 1 ? certificate.commonNames : [];
  }
}

/** The part before the @ belongs to the mail host and keeps its case. */
function lowerDomain(address: string): string {
  const at = address.lastIndexOf('@');
  return address.slice(0, at) + address.slice(at).toLowerCase();
}
