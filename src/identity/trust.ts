// Which client certificates are believed, and whom they name: those of the private CA that are on record here, and those
// of outside CAs by their mapping. TLS has proved that the caller holds the key; everything else is judged here, because
// what the runtimes say of a certificate (`authorized`) differs, and is not said anew for a resumed session.
import { type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type ErrorCode, GatewayError } from '../errors.ts';
import type { CertificateMapping, ClientCa } from './client-ca.ts';
import { mapCertificate } from './map-certificate.ts';
import {
  canonicalSerial,
  MAX_CERTIFICATE_BYTES,
  type ReadCertificate,
  readCertificate,
  thumbprintOf,
} from './read-certificate.ts';
import type { CertificateStore } from './stores.ts';
import { loadX509, type X509 } from './x509.ts';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_PURPOSE = '2.5.29.37.0';
/** Certificates in one file of an outside CA. */
const MAX_AUTHORITIES = 100;

interface RevocationList {
  readonly serials: ReadonlySet<string>;
  /** Milliseconds since the epoch; undefined when the list names no next update. */
  readonly until: number | undefined;
}

interface OutsideAuthority {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly map: readonly CertificateMapping[];
  readonly crl: RevocationList | undefined;
}

/** Outside CAs with their files read. */
export interface Trust {
  readonly authorities: readonly OutsideAuthority[];
}

/** A certificate as far as it can be judged once and for all. Times and revocation are asked on every request. */
export interface Presented {
  readonly serial: string;
  readonly thumbprint: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Whom it names, when it is believed. */
  readonly identity?: string;
  /** When it was issued here; undefined for one of an outside CA. */
  readonly issuedAt?: number;
  /** Last instant at which its known revocation status is valid; ms since the epoch. */
  readonly knownUntil?: number;
  /** Of an outside CA: the certificate itself and what it was believed by, to be judged anew when the settings change. */
  readonly outside?: { readonly der: Uint8Array; readonly under: Trust };
  /** Why it is refused at all times. */
  readonly refusal?: { readonly code: ErrorCode; readonly message: string };
}

/**
 * Reads the files of the outside CAs.
 *
 * @returns a new object each time: what was judged by an earlier one is judged anew
 * @throws {GatewayError} `config-invalid` for a file that cannot be read or is no CA
 */
export async function loadTrust(cas: readonly ClientCa[]): Promise<Trust> {
  const authorities: OutsideAuthority[] = [];
  for (const [index, ca] of cas.entries()) authorities.push(...(await loadAuthorities(ca, `clientCas[${index}]`)));
  return { authorities };
}

async function loadAuthorities({ ca, crl, map }: ClientCa, at: string): Promise<OutsideAuthority[]> {
  const x509 = await loadX509();
  const refuse = (what: string, cause?: unknown) =>
    new GatewayError('config-invalid', `${at}: ${basename(ca)} ${what}`, { cause });
  const blocks = readText(ca, at).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw refuse('holds no PEM certificate');
  if (blocks.length > MAX_AUTHORITIES) throw refuse(`holds more than ${MAX_AUTHORITIES} certificates`);
  const read = blocks.map((pem) => {
    let certificate: ReadCertificate;
    try {
      certificate = readCertificate(new X509Certificate(pem).raw, x509);
    } catch (cause) {
      throw refuse('holds a certificate that cannot be read', cause);
    }
    if (!certificate.isAuthority || !certificate.canCertify) throw refuse('holds a certificate that is no CA');
    if (certificate.hasNameConstraints) throw refuse('has name constraints, which are not judged here');
    return certificate;
  });
  const list = crl === undefined ? undefined : await loadList(crl, blocks, at);
  return read.map(({ native, notBefore, notAfter }) => ({
    certificate: native,
    key: native.publicKey,
    notBefore,
    notAfter,
    map,
    crl: list,
  }));
}

/** A list counts when one of the CA's certificates signed it; it speaks for the certificates of that file. */
async function loadList(file: string, issuers: readonly string[], at: string): Promise<RevocationList> {
  const x509 = await loadX509();
  const refuse = (what: string, cause?: unknown) =>
    new GatewayError('config-invalid', `${at}: ${basename(file)} ${what}`, { cause });
  let list: InstanceType<typeof x509.X509Crl>;
  try {
    list = new x509.X509Crl(new Uint8Array(pemOrDer(readFileSync(file))));
  } catch (cause) {
    throw refuse('is no certificate revocation list that can be read', cause);
  }
  const verified = await Promise.all(
    issuers.map((pem) => list.verify({ publicKey: new x509.X509Certificate(pem) }).catch(() => false)),
  );
  if (!verified.includes(true)) throw refuse('is not signed by the CA beside it');
  return {
    serials: new Set(list.entries.map((entry) => canonicalSerial(entry.serialNumber))),
    until: list.nextUpdate?.getTime(),
  };
}

function readText(file: string, at: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new GatewayError('config-invalid', `${at}: ${basename(file)} cannot be read`, { cause });
  }
}

function pemOrDer(bytes: Uint8Array): Uint8Array {
  const block = /-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/.exec(Buffer.from(bytes).toString('latin1'));
  return block === null ? bytes : Buffer.from(block[1] as string, 'base64');
}

export interface TrustParts {
  readonly trust: Trust;
  /** PEM of the private CA; undefined when there is none yet. */
  readonly ownAuthority: string | undefined;
  readonly certificates: Pick<CertificateStore, 'get'>;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Judges a certificate a caller has proved to hold the key of. Its fault is part of the answer. */
export async function judgeCertificate(der: Uint8Array, parts: TrustParts): Promise<Presented> {
  return judgeNow(der, parts, await loadX509());
}

/**
 * The same for one judged before, when the library is there. Who signed it is asked first: what a stranger made is not read
 * any further.
 */
export function judgeNow(der: Uint8Array, parts: TrustParts, x509: X509): Presented {
  const thumbprint = thumbprintOf(der);
  const refused = (serial: string, { code, message }: GatewayError): Presented => ({
    ...{ serial, thumbprint, notBefore: 0, notAfter: 0 },
    refusal: { code, message },
  });
  const unreadable = () =>
    refused('', new GatewayError('certificate-unsuitable', 'the client certificate cannot be read'));
  if (der.length > MAX_CERTIFICATE_BYTES) return unreadable();
  let native: X509Certificate;
  let serial: string;
  try {
    native = new X509Certificate(der);
    serial = canonicalSerial(native.serialNumber);
  } catch {
    return unreadable();
  }
  const isOwn = isOwnAuthority(native, parts.ownAuthority);
  const signers = isOwn ? [] : signersOf(native, parts);
  if (!isOwn && signers.length === 0) {
    return refused(
      serial,
      new GatewayError(
        'certificate-untrusted',
        `the client certificate ${serial} is of no CA known here; use one from dockgate cert issue`,
      ),
    );
  }
  let certificate: ReadCertificate;
  try {
    certificate = readCertificate(der, x509);
  } catch {
    return unreadable();
  }
  const { notBefore, notAfter } = certificate;
  try {
    checkPurpose(certificate);
    const named = isOwn
      ? ownOf(certificate, parts.certificates)
      : { ...outsideOf(certificate, signers), outside: { der, under: parts.trust } };
    return { serial, thumbprint, notBefore, notAfter, ...named };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return refused(serial, error);
  }
}

function isOwnAuthority(certificate: X509Certificate, pem: string | undefined): boolean {
  if (pem === undefined) return false;
  const authority = new X509Certificate(pem);
  return isSignedBy(certificate, authority, authority.publicKey);
}

const signersOf = (certificate: X509Certificate, { trust, at }: TrustParts): readonly OutsideAuthority[] =>
  trust.authorities.filter(
    (authority) =>
      authority.notBefore <= at &&
      at <= authority.notAfter &&
      isSignedBy(certificate, authority.certificate, authority.key),
  );

/** A certificate of the private CA: whom it names stands in our own record of it, not in the certificate. */
function ownOf(certificate: ReadCertificate, certificates: TrustParts['certificates']): Partial<Presented> {
  const record = certificates.get(certificate.serial);
  if (record === undefined || record.thumbprint !== certificate.thumbprint) {
    throw new GatewayError(
      'certificate-unknown',
      `the client certificate ${certificate.serial} is not on record here; ask an operator for a new one`,
    );
  }
  return { identity: record.identity, issuedAt: record.issuedAt };
}

function outsideOf(certificate: ReadCertificate, signers: readonly OutsideAuthority[]): Partial<Presented> {
  const lists = signers.flatMap(({ crl }) => (crl === undefined ? [] : [crl]));
  if (lists.some(({ serials }) => serials.has(certificate.serial))) throw revoked(certificate.serial);
  const identity = mapCertificate(
    certificate,
    signers.flatMap(({ map }) => map),
  );
  if (identity === undefined) {
    throw new GatewayError(
      'identity-not-mapped',
      `the client certificate ${certificate.serial} is mapped to no identity; ask an operator to add it to clientCas`,
    );
  }
  const ends = [
    ...signers.map(({ notAfter }) => notAfter),
    ...lists.flatMap(({ until }) => (until === undefined ? [] : [until])),
  ];
  return { identity, knownUntil: Math.min(...ends) };
}

/** The words for a certificate that was taken back. */
export const revoked = (serial: string): GatewayError =>
  new GatewayError(
    'certificate-revoked',
    `the client certificate ${serial} was revoked; ask an operator for a new one`,
  );

function isSignedBy(certificate: X509Certificate, authority: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.checkIssued(authority) && certificate.verify(key);
  } catch {
    return false;
  }
}

/** @throws {GatewayError} `certificate-unsuitable` */
function checkPurpose(certificate: ReadCertificate): void {
  const refuse = (why: string) =>
    new GatewayError(
      'certificate-unsuitable',
      `the certificate ${certificate.serial} ${why}; use one from dockgate cert issue`,
    );
  if (certificate.isAuthority) throw refuse('is that of a CA and cannot be used by a client');
  const { purposes } = certificate;
  if (purposes !== undefined && !purposes.includes(CLIENT_AUTH) && !purposes.includes(ANY_PURPOSE)) {
    throw refuse('is not meant for clients (its extended key usage lacks clientAuth)');
  }
  if (certificate.isWeaklySigned) throw refuse('is signed over a hash that can be forged (SHA-1 or older)');
  if (!certificate.canSign) throw refuse('is not meant for signatures (its key usage lacks digitalSignature)');
  if (certificate.unknownCritical.length > 0) {
    throw refuse(`has a critical extension not known here (${certificate.unknownCritical[0]})`);
  }
}
