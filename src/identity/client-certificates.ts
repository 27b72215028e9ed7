// Client certificates of the private CA: issued for a key its owner made and kept, one stored record for each.
// Who may ask for one is the admin room's question. RFC 2986 (the request), RFC 5280 (the certificate).
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { GatewayError } from '../errors.ts';
import { certificateFiles, ensureAuthority } from './certificates.ts';
import { signCertificate } from './make-certificate.ts';
import { canonicalSerial, thumbprintOf } from './read-certificate.ts';
import type { CertificateRecord, CertificateStore, IdentityStore } from './stores.ts';
import { loadX509 } from './x509.ts';

/** Life of a client certificate when none is asked for, and its bounds, in ms. */
export const DEFAULT_CERTIFICATE_TTL_MS = 24 * 3_600_000;
export const MAX_CERTIFICATE_TTL_MS = 90 * 86_400_000;
const MIN_TTL_MS = 1000;
/** Back-dated by this much, for clients and gateways whose clocks differ. */
const BACKDATE_MS = 300_000;
/** Longest request read, in characters of PEM. */
const MAX_REQUEST_CHARS = 16 * 1024;
const MIN_RSA_BITS = 2048;

export interface CertificateOrder {
  /** Name of the identity: the certificate's common name. */
  readonly identity: string;
  /** PKCS #10 request in PEM; only its key is taken over. */
  readonly request: string;
  /** Default 24 h, at most 90 days. */
  readonly ttlMs?: number;
  /** Who asks: subject of the operator, for the record. */
  readonly by: string;
}

export interface CertificateIssuer {
  /**
   * Signs a client certificate and stores its record.
   *
   * @returns the certificate, PEM, and its record
   * @throws {GatewayError} `not-found`, `conflict` for a disabled identity, `input-invalid`
   */
  issue(order: CertificateOrder): Promise<{ certificate: string; record: CertificateRecord }>;
}

export interface CertificateIssuerParts {
  /** Data folder, where the private CA is or will be made. */
  readonly dir: string;
  readonly certificates: CertificateStore;
  readonly identities: Pick<IdentityStore, 'get'>;
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number;
}

/** Creates the issuer; the private CA is made when the first certificate is asked for, if there is none. */
export function createCertificateIssuer(parts: CertificateIssuerParts): CertificateIssuer {
  const now = parts.now ?? Date.now;
  return {
    async issue({ identity: name, request, ttlMs = DEFAULT_CERTIFICATE_TTL_MS, by }) {
      const identity = parts.identities.get(name);
      if (identity === undefined) throw new GatewayError('not-found', `there is no identity ${name}`);
      if (identity.disabled) throw new GatewayError('conflict', `identity ${name} is disabled; enable it first`);
      if (!Number.isFinite(ttlMs) || ttlMs < MIN_TTL_MS || ttlMs > MAX_CERTIFICATE_TTL_MS) {
        throw new GatewayError('input-invalid', 'ttl of a certificate must be from 1s to 90d');
      }
      const publicKey = await readRequest(request);
      await ensureAuthority(parts.dir, now);
      const files = certificateFiles(parts.dir);
      const signer = { cert: readFileSync(files.ca, 'utf8'), key: readFileSync(files.caKey, 'utf8') };
      // Certificates know whole seconds.
      const issuedAt = Math.floor(now() / 1000) * 1000;
      const lastDay = Date.parse(new X509Certificate(signer.cert).validTo);
      const expiresAt = Math.min(issuedAt + Math.floor(ttlMs / 1000) * 1000, lastDay);
      const pem = await signCertificate(
        {
          kind: 'client',
          commonName: name,
          names: [],
          notBefore: new Date(issuedAt - BACKDATE_MS),
          notAfter: new Date(expiresAt),
          signer,
        },
        publicKey,
      );
      const { raw, serialNumber } = new X509Certificate(pem);
      const record: CertificateRecord = {
        serial: canonicalSerial(serialNumber),
        identity: name,
        thumbprint: thumbprintOf(raw),
        issuedAt,
        expiresAt,
        issuedBy: by,
      };
      parts.certificates.insert(record);
      return { certificate: pem, record };
    },
  };
}

/** The key of a request whose sender has shown to hold its private half. */
async function readRequest(pem: string) {
  const refuse = (what: string, cause?: unknown) => new GatewayError('input-invalid', `request ${what}`, { cause });
  if (pem.length > MAX_REQUEST_CHARS) throw refuse('is too long for a certificate request');
  const x509 = await loadX509();
  let request: InstanceType<typeof x509.Pkcs10CertificateRequest>;
  let isSigned = false;
  try {
    request = new x509.Pkcs10CertificateRequest(pem);
    isSigned = await request.verify();
  } catch (cause) {
    throw refuse('is no PKCS #10 certificate request in PEM', cause);
  }
  if (!isSigned) throw refuse('is not signed by its own key');
  const algorithm = request.publicKey.algorithm as { name: string; modulusLength?: number };
  if (algorithm.name.startsWith('RSA') && (algorithm.modulusLength ?? 0) < MIN_RSA_BITS) {
    throw refuse(`has an RSA key of less than ${MIN_RSA_BITS} bits`);
  }
  return request.publicKey;
}

/**
 * A new key and the request for a certificate of it; the key never leaves the machine it is made on.
 *
 * @returns both PEM, the key as PKCS #8
 */
export async function makeRequest(commonName: string): Promise<{ request: string; key: string }> {
  const x509 = await loadX509();
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
  const keys = (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as CryptoKeyPair;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${commonName}`,
    keys,
    signingAlgorithm: algorithm,
  });
  const key = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { request: `${request.toString('pem')}\n`, key: `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n` };
}
