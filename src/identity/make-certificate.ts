// Makes one X.509 certificate with @peculiar/x509: an authority, a server or a client. RFC 5280.
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import type { PublicKey } from '@peculiar/x509';
import { loadX509 } from './x509.ts';

export type CertificateKind = 'authority' | 'server' | 'client';

export interface CertificateOrder {
  readonly kind: CertificateKind;
  /** What RFC 4514 reads without escapes: letters, digits, space, dot, underscore and hyphen. */
  readonly commonName: string;
  /** DNS names and addresses of a server certificate. */
  readonly names: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** PEM certificate and key that sign; left out for a self-signed one. */
  readonly signer?: { readonly cert: string; readonly key: string };
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** @returns certificate and its new private key (PKCS #8), PEM */
export async function makeCertificate(order: CertificateOrder): Promise<{ cert: string; key: string }> {
  const crypto = webcrypto as unknown as Crypto;
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const cert = await signCertificate(order, keys.publicKey, keys.privateKey);
  const x509 = await loadX509();
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { cert, key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n` };
}

/**
 * The same for a key whose private half is somewhere else.
 *
 * @param ownKey signs when the order names no signer
 * @returns the certificate, PEM
 */
export async function signCertificate(
  order: CertificateOrder,
  publicKey: CryptoKey | PublicKey,
  ownKey?: CryptoKey,
): Promise<string> {
  const x509 = await loadX509();
  const crypto = webcrypto as unknown as Crypto;
  const signer = order.signer;
  const issuer = signer === undefined ? undefined : new x509.X509Certificate(signer.cert);
  const signingKey =
    signer === undefined
      ? (ownKey as CryptoKey)
      : await crypto.subtle.importKey('pkcs8', derOf(signer.key), ALGORITHM, false, ['sign']);
  const name = `CN=${order.commonName}`;
  const isAuthority = order.kind === 'authority';
  const isServer = order.kind === 'server';
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(crypto),
    subject: name,
    issuer: issuer?.subject ?? name,
    notBefore: order.notBefore,
    notAfter: order.notAfter,
    publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(isAuthority, isAuthority ? 0 : undefined, true),
      new x509.KeyUsagesExtension(
        isAuthority ? x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign : x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      ...(isAuthority
        ? []
        : [
            new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[isServer ? 'serverAuth' : 'clientAuth']]),
            ...(isServer
              ? [
                  new x509.SubjectAlternativeNameExtension(
                    order.names.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value })),
                  ),
                ]
              : []),
          ]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey, false, crypto),
      await x509.AuthorityKeyIdentifierExtension.create(issuer?.publicKey ?? publicKey, false, crypto),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

/** 16 random bytes, positive and without leading zero (RFC 5280 section 4.1.2.2). */
function serialNumber(crypto: Crypto): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

const derOf = (pem: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64'));
