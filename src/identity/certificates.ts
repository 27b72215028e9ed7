// The private CA and the server certificate it signs, as PEM files in the data folder: for a gateway that was given none.
// ECDSA P-256 and the extensions strict verifiers ask for (RFC 5280; Python 3.13 wants keyUsage and the key identifiers).
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { GatewayError } from '../errors.ts';
import { type CertificateKind, makeCertificate } from './make-certificate.ts';

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3650;
/** Clients refuse server certificates of more than 825 days; a year leaves room for a forgotten restart. */
const SERVER_DAYS = 365;
/** Back-dated by this much, for callers whose clock is behind. */
const BACKDATE_MS = 3_600_000;

/** Names every server certificate carries. */
const LOCAL_NAMES = ['localhost', '127.0.0.1', '::1'];

/** Paths of the private CA and the server certificate in a data folder. */
export interface CertificateFiles {
  readonly ca: string;
  readonly caKey: string;
  readonly cert: string;
  readonly key: string;
}

/** Where the PEM files of a data folder are. */
export const certificateFiles = (dir: string): CertificateFiles => ({
  ca: join(dir, 'ca.pem'),
  caKey: join(dir, 'ca-key.pem'),
  cert: join(dir, 'server.pem'),
  key: join(dir, 'server-key.pem'),
});

/**
 * Makes the private CA if the folder has none. An existing one is kept as it is: callers trust it.
 *
 * @param dir data folder; made with mode 0700 when missing
 * @returns whether a new CA was made
 * @throws {GatewayError} `config-invalid` when the files there are no CA, or only one of them is there
 */
export async function ensureAuthority(dir: string, now: () => number = Date.now): Promise<boolean> {
  const files = certificateFiles(dir);
  const cert = readIfThere(files.ca);
  const key = readIfThere(files.caKey);
  if (cert !== undefined && key !== undefined) {
    const authority = parsePair(cert, key, files.ca);
    if (!authority.ca) throw new GatewayError('config-invalid', `${files.ca} is not a CA certificate`);
    if (Date.parse(authority.validTo) <= now()) {
      throw new GatewayError(
        'config-invalid',
        `the CA in ${files.ca} has expired; move it and its key away to make a new one`,
      );
    }
    return false;
  }
  // Half a pair is a mistake to be looked at, never a reason to silently replace what callers trust.
  if (cert !== undefined || key !== undefined) {
    const [there, missing] = cert === undefined ? [files.caKey, files.ca] : [files.ca, files.caKey];
    throw new GatewayError(
      'config-invalid',
      `${there} is there but ${missing} is missing; restore it or move both away`,
    );
  }
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  await issue(dir, now(), { kind: 'authority', names: [] });
  return true;
}

/**
 * Makes the server certificate if there is none, if a wanted name is missing, if the CA is another one,
 * or if less than a third of its life is left.
 *
 * @param options.names further host names and addresses beside localhost, 127.0.0.1 and ::1
 * @returns whether a new certificate was made
 * @throws {GatewayError} `config-invalid` for a name no certificate can carry
 */
export async function ensureServerCertificate(
  dir: string,
  options: { readonly names: readonly string[]; readonly now?: () => number },
): Promise<boolean> {
  const at = (options.now ?? Date.now)();
  const names = [...new Set([...LOCAL_NAMES, ...options.names.map(canonicalName)])];
  const files = certificateFiles(dir);
  if (isCurrent(files, names, at)) return false;
  await issue(dir, at, { kind: 'server', names });
  return true;
}

function isCurrent(files: CertificateFiles, names: readonly string[], at: number): boolean {
  const cert = readIfThere(files.cert);
  const key = readIfThere(files.key);
  const ca = readIfThere(files.ca);
  if (cert === undefined || key === undefined || ca === undefined) return false;
  try {
    const server = parsePair(cert, key, files.cert);
    const authority = new X509Certificate(ca);
    const from = Date.parse(server.validFrom);
    const to = Date.parse(server.validTo);
    return (
      to - at > (to - from) / 3 &&
      from <= at &&
      server.checkIssued(authority) &&
      server.verify(authority.publicKey) &&
      names.every((name) => (isIP(name) ? server.checkIP(name) : server.checkHost(name)) !== undefined)
    );
  } catch {
    return false;
  }
}

/** Lower case, without brackets of IPv6; a certificate cannot carry anything else. */
function canonicalName(name: string): string {
  const plain = name.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (isIP(plain) || /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*$/.test(plain)) {
    return plain;
  }
  throw new GatewayError(
    'config-invalid',
    `${JSON.stringify(name)} is no host name or address a certificate can carry`,
  );
}

async function issue(
  dir: string,
  at: number,
  wanted: { kind: CertificateKind; names: readonly string[] },
): Promise<void> {
  const files = certificateFiles(dir);
  const isServer = wanted.kind === 'server';
  const signer = isServer
    ? { cert: readFileSync(files.ca, 'utf8'), key: readFileSync(files.caKey, 'utf8') }
    : undefined;
  const days = isServer ? SERVER_DAYS : AUTHORITY_DAYS;
  const lastDay =
    signer === undefined ? Number.POSITIVE_INFINITY : Date.parse(new X509Certificate(signer.cert).validTo);
  const made = await makeCertificate({
    kind: wanted.kind,
    names: wanted.names,
    commonName: isServer ? 'dockgate' : `dockgate CA ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(at - BACKDATE_MS),
    notAfter: new Date(Math.min(at + days * DAY_MS, lastDay)),
    ...(signer === undefined ? {} : { signer }),
  });
  // The key first: a certificate without its key would be taken for damage, a key alone is made anew.
  writeAtomically(isServer ? files.key : files.caKey, made.key, 0o600);
  writeAtomically(isServer ? files.cert : files.ca, made.cert, 0o644);
}

function parsePair(cert: string, key: string, file: string): X509Certificate {
  let parsed: X509Certificate;
  let matches = false;
  try {
    parsed = new X509Certificate(cert);
    matches = parsed.checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new GatewayError('config-invalid', `${file} or its key cannot be read as PEM`, { cause });
  }
  if (!matches) throw new GatewayError('config-invalid', `${file} and its key do not belong together`);
  return parsed;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Readers see the old file or the new one, never half of one. */
function writeAtomically(file: string, text: string, mode: number): void {
  const temporary = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(temporary, text, { mode, flag: 'wx' });
  chmodSync(temporary, mode);
  renameSync(temporary, file);
}
