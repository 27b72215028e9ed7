// Reads an X.509 certificate as far as this gateway judges it: its validity, its purposes, and the names it carries.
// Says nothing about whether it is to be believed: that is trust.ts. RFC 5280.
import { createHash, X509Certificate } from 'node:crypto';
import type { X509 } from './x509.ts';

/** Longest certificate read, in bytes of DER. */
export const MAX_CERTIFICATE_BYTES = 32 * 1024;
/** Names of one kind in one certificate. */
const MAX_NAMES = 100;

/** Extensions whose meaning is known here; another critical one makes a certificate unsuitable (section 4.2). */
const KNOWN_EXTENSIONS = new Set([
  '2.5.29.14', // subject key identifier
  '2.5.29.15', // key usage
  '2.5.29.17', // subject alternative name
  '2.5.29.19', // basic constraints
  '2.5.29.32', // certificate policies
  '2.5.29.35', // authority key identifier
  '2.5.29.37', // extended key usage
]);
const NAME_CONSTRAINTS = '2.5.29.30';

const WEAK_HASHES = new Set(['sha-1', 'md5', 'md2']);

/** Name of the hash a signature is over, in lower case; empty for algorithms that bring their own (Ed25519). */
const hashOf = (algorithm: { readonly hash?: string | { readonly name: string } }): string => {
  const { hash } = algorithm;
  return (typeof hash === 'string' ? hash : (hash?.name ?? '')).toLowerCase();
};

export interface ReadCertificate {
  /** Lower-case hex without leading zeros. */
  readonly serial: string;
  /** SHA-256 of the DER in base64url: `x5t#S256`. */
  readonly thumbprint: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isAuthority: boolean;
  /** Extended key usages as OIDs; undefined when it names none, and then it is for everything. */
  readonly purposes: readonly string[] | undefined;
  /** May its key sign a handshake? */
  readonly canSign: boolean;
  /** May its key sign certificates? */
  readonly canCertify: boolean;
  /** Its signature is over a hash with known collisions: the holder of one certificate may be able to forge another. */
  readonly isWeaklySigned: boolean;
  /** OIDs of critical extensions whose meaning is not known here. */
  readonly unknownCritical: readonly string[];
  readonly hasNameConstraints: boolean;
  readonly commonNames: readonly string[];
  readonly dnsNames: readonly string[];
  readonly emails: readonly string[];
  readonly uris: readonly string[];
  /** The same certificate for signatures. */
  readonly native: X509Certificate;
}

/** `x5t#S256` of a DER certificate. */
export const thumbprintOf = (der: Uint8Array): string => createHash('sha256').update(der).digest('base64url');

/** One spelling of a serial number for all sources: lower-case hex without colons and leading zeros. */
export const canonicalSerial = (serial: string): string =>
  serial
    .replaceAll(':', '')
    .toLowerCase()
    .replace(/^0+(?=.)/, '');

/** @throws {Error} of any kind when it is no certificate */
export function readCertificate(der: Uint8Array, x509: X509): ReadCertificate {
  if (der.length > MAX_CERTIFICATE_BYTES) throw new Error('the certificate is too large');
  const parsed = new x509.X509Certificate(new Uint8Array(der));
  const usages = parsed.getExtension(x509.KeyUsagesExtension)?.usages;
  const allows = (flag: number) => usages === undefined || (usages & flag) !== 0;
  const names = parsed.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  const namesOf = (type: string) =>
    names
      .filter((name) => name.type === type)
      .map((name) => name.value)
      .slice(0, MAX_NAMES);
  return {
    serial: canonicalSerial(parsed.serialNumber),
    thumbprint: thumbprintOf(der),
    notBefore: parsed.notBefore.getTime(),
    notAfter: parsed.notAfter.getTime(),
    isAuthority: parsed.getExtension(x509.BasicConstraintsExtension)?.ca ?? false,
    purposes: parsed.getExtension(x509.ExtendedKeyUsageExtension)?.usages.map(String),
    canSign: allows(x509.KeyUsageFlags.digitalSignature),
    canCertify: allows(x509.KeyUsageFlags.keyCertSign),
    isWeaklySigned: WEAK_HASHES.has(hashOf(parsed.signatureAlgorithm)),
    unknownCritical: parsed.extensions
      .filter(({ critical, type }) => critical && !KNOWN_EXTENSIONS.has(type))
      .map(({ type }) => type),
    hasNameConstraints: parsed.extensions.some(({ type }) => type === NAME_CONSTRAINTS),
    commonNames: parsed.subjectName.getField('CN'),
    dnsNames: namesOf('dns'),
    emails: namesOf('email'),
    uris: namesOf('url'),
    native: new X509Certificate(der),
  };
}
