// Makes one X.509 certificate with @peculiar/x509. The library is loaded when a certificate is made, never at a plain start.
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';

export type CertificateKind = 'authority' | 'server';

export interface CertificateOrder {
  readonly kind: CertificateKind;
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
  const x509 = await loadX509();
  const crypto = webcrypto as unknown as Crypto;
  x509.cryptoProvider.set(crypto);
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const signer = order.signer;
  const issuer = signer === undefined ? undefined : new x509.X509Certificate(signer.cert);
  const signingKey =
    signer === undefined
      ? keys.privateKey
      : await crypto.subtle.importKey('pkcs8', derOf(signer.key), ALGORITHM, false, ['sign']);
  const name = `CN=${order.commonName}`;
  const isAuthority = order.kind === 'authority';
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(crypto),
    subject: name,
    issuer: issuer?.subject ?? name,
    notBefore: order.notBefore,
    notAfter: order.notAfter,
    publicKey: keys.publicKey,
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
            new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
            new x509.SubjectAlternativeNameExtension(
              order.names.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value })),
            ),
          ]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      await x509.AuthorityKeyIdentifierExtension.create(issuer?.publicKey ?? keys.publicKey, false, crypto),
    ],
  });
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    cert: `${certificate.toString('pem')}\n`,
    key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
  };
}

/** 16 random bytes, positive and without leading zero (RFC 5280 section 4.1.2.2). */
function serialNumber(crypto: Crypto): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

const derOf = (pem: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64'));

/**
 * Loads the library. Its container reads the metadata interface of decorators while loading and refuses to start
 * without one, though nothing here has metadata; it gets an empty one for as long as it loads.
 */
async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  const target = Reflect as unknown as Record<string, unknown>;
  const added = ['getMetadata', 'getOwnMetadata', 'defineMetadata', 'hasOwnMetadata'].filter(
    (name) => !(name in target),
  );
  for (const name of added) target[name] = () => undefined;
  try {
    return await import('@peculiar/x509');
  } finally {
    for (const name of added) delete target[name];
  }
}
