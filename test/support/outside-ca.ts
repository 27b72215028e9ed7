// A CA that is not dockgate's, for tests: with any key, any names and any extension, right or wrong, and its CRL.
import { webcrypto } from 'node:crypto';
import { loadX509 } from '../../src/identity/x509.ts';

export const ALGORITHMS = {
  'P-256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'P-384': { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  'RSA 2048': {
    name: 'RSASSA-PKCS1-v1_5',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: 'SHA-256',
  },
  Ed25519: { name: 'Ed25519' },
} as const;
/** Signatures that can be forged. */
export const WEAK_ALGORITHMS = {
  'P-256 and SHA-1': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-1' },
  'RSA 2048 and SHA-1': { ...ALGORITHMS['RSA 2048'], hash: 'SHA-1' },
} as const;

export interface Wanted {
  /** RFC 4514. Default `CN=client`. */
  readonly subject?: string;
  readonly sans?: readonly { readonly type: 'dns' | 'email' | 'url'; readonly value: string }[];
  /** OIDs; default clientAuth; empty for no such extension. */
  readonly purposes?: readonly string[];
  /** KeyUsage flags by name; default digitalSignature. */
  readonly usage?: 'digitalSignature' | 'keyEncipherment' | 'keyCertSign';
  readonly isAuthority?: boolean;
  /** Adds an unknown critical extension. */
  readonly strange?: boolean;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

export interface OutsideCa {
  readonly pem: string;
  /** @returns PEM certificate and key, and the serial */
  issue(wanted?: Wanted): Promise<{ cert: string; key: string; serial: string }>;
  crl(serials: readonly string[], nextUpdate?: Date): Promise<string>;
}

const HOUR_MS = 3_600_000;
const SUBTLE = webcrypto.subtle as unknown as SubtleCrypto;

export async function makeOutsideCa(
  options: {
    algorithm?: keyof typeof ALGORITHMS | keyof typeof WEAK_ALGORITHMS;
    name?: string;
    isAuthority?: boolean;
    notAfter?: Date;
  } = {},
): Promise<OutsideCa> {
  const x509 = await loadX509();
  const algorithm = { ...ALGORITHMS, ...WEAK_ALGORITHMS }[options.algorithm ?? 'P-256'];
  const newKeys = () => SUBTLE.generateKey(algorithm, true, ['sign', 'verify']) as Promise<CryptoKeyPair>;
  const newSerial = () => `5${Buffer.from(webcrypto.getRandomValues(new Uint8Array(12))).toString('hex')}0`;
  const keys = await newKeys();
  const name = `CN=${options.name ?? 'Corp CA'}`;
  const ca = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: name,
    issuer: name,
    notBefore: new Date(Date.now() - HOUR_MS),
    notAfter: options.notAfter ?? new Date(Date.now() + 24 * HOUR_MS),
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(options.isAuthority ?? true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as unknown as Crypto),
    ],
  });
  return {
    pem: `${ca.toString('pem')}\n`,
    async issue(wanted = {}) {
      const own = await newKeys();
      const serial = newSerial();
      const purposes = wanted.purposes ?? ['1.3.6.1.5.5.7.3.2'];
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serial,
        subject: wanted.subject ?? 'CN=client',
        issuer: name,
        notBefore: wanted.notBefore ?? new Date(Date.now() - HOUR_MS),
        notAfter: wanted.notAfter ?? new Date(Date.now() + HOUR_MS),
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [
          new x509.BasicConstraintsExtension(wanted.isAuthority ?? false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags[wanted.usage ?? 'digitalSignature'], true),
          ...(purposes.length > 0 ? [new x509.ExtendedKeyUsageExtension([...purposes])] : []),
          ...(wanted.sans ? [new x509.SubjectAlternativeNameExtension([...wanted.sans])] : []),
          ...(wanted.strange ? [new x509.Extension('1.2.3.4.5', true, new Uint8Array([5, 0]))] : []),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as unknown as Crypto),
        ],
      });
      const key = await SUBTLE.exportKey('pkcs8', own.privateKey);
      return {
        cert: `${certificate.toString('pem')}\n`,
        key: `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n`,
        serial,
      };
    },
    async crl(serials, nextUpdate = new Date(Date.now() + HOUR_MS)) {
      const list = await x509.X509CrlGenerator.create({
        issuer: name,
        thisUpdate: new Date(Date.now() - HOUR_MS),
        nextUpdate,
        entries: serials.map((serialNumber) => ({ serialNumber })),
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
      });
      return `${list.toString('pem')}\n`;
    },
  };
}
