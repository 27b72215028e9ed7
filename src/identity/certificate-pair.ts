// Reads a configured certificate and its key and tells whether they are a pair, before a listener is given them: a listener
// that takes a broken pair refuses every client. PEM, RFC 7468.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { GatewayError } from '../errors.ts';

/**
 * @param files paths of a PEM chain, leaf first, and of its private key
 * @throws {GatewayError} `config-invalid` naming the file, never its contents
 */
export function readCertificatePair(files: { readonly cert: string; readonly key: string }): {
  cert: string;
  key: string;
} {
  const cert = read(files.cert, 'certificate');
  const key = read(files.key, 'key');
  const leaf = tried(() => new X509Certificate(cert), `the certificate ${basename(files.cert)} cannot be read as PEM`);
  const own = tried(() => createPrivateKey(key), `the key ${basename(files.key)} cannot be read as PEM`);
  if (!leaf.checkPrivateKey(own)) {
    throw new GatewayError(
      'config-invalid',
      `the key ${basename(files.key)} does not belong to the certificate ${basename(files.cert)}`,
    );
  }
  return { cert, key };
}

const read = (file: string, what: string): string =>
  tried(() => readFileSync(file, 'utf8'), `the ${what} ${basename(file)} cannot be read`);

function tried<T>(attempt: () => T, fault: string): T {
  try {
    return attempt();
  } catch (cause) {
    throw new GatewayError('config-invalid', fault, { cause });
  }
}
