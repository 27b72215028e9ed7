// The key the audit's checkpoints are signed with: a file of its own beside the database, so that an attacker who can only write the
// database cannot sign changes to it.
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** In the data folder, mode 0600. */
export const AUDIT_KEY_FILE = 'audit.key';
/** In the data folder: the newest checkpoint, which an older audit.db that is put back does not replace. */
export const HEAD_FILE = 'audit.db.checkpoint';

/** @param auditFile the database beside which the key lies */
export const auditKeyFile = (auditFile: string): string => join(dirname(auditFile), AUDIT_KEY_FILE);

/** The key beside a database; undefined where there is none. @throws when it cannot be read */
export function readAuditKey(auditFile: string): KeyObject | undefined {
  let pem: string;
  try {
    pem = readFileSync(auditKeyFile(auditFile), 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'ed25519') throw new TypeError(`${AUDIT_KEY_FILE} holds no Ed25519 key`);
  return key;
}

/** The key beside a database, made when there is none. It is on disk when this returns. */
export function ensureAuditKey(auditFile: string): { readonly key: KeyObject; readonly isNew: boolean } {
  const known = readAuditKey(auditFile);
  if (known !== undefined) return { key: known, isNew: false };
  const { privateKey } = generateKeyPairSync('ed25519');
  const file = auditKeyFile(auditFile);
  const part = `${file}.part`;
  rmSync(part, { force: true });
  const handle = openSync(part, 'wx', 0o600);
  try {
    writeSync(handle, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  // A link, unlike a rename, takes no other key's place.
  linkSync(part, file);
  rmSync(part, { force: true });
  return { key: privateKey, isNew: true };
}
