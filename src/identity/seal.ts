// Seals the private signing keys with a key that is not in the database: a JWE of its own for each (RFC 7516, dir, A256GCM).
// The key comes from a file or the environment; without either it is a file in the data folder that only its owner reads.
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { GatewayError } from '../errors.ts';

/** Environment variable that may hold the seal key. */
export const SEAL_KEY_VARIABLE = 'DOCKGATE_SEAL_KEY';
const KEY_BYTES = 32;

export interface Seal {
  /** Where the key came from, for messages. */
  readonly source: string;
  seal(text: string): Promise<string>;
  /** @throws {GatewayError} `config-invalid` when it was sealed with another key or is damaged */
  open(sealed: string): Promise<string>;
}

/** Whether a stored private key is sealed: a JWK is JSON, a compact JWE never begins with a brace. */
export const isSealed = (stored: string): boolean => stored !== '' && !stored.startsWith('{');

export interface SealKeySources {
  /** Value of the environment variable. */
  readonly value?: string | undefined;
  /** A file the settings name; it must be there. */
  readonly file?: string | undefined;
  /** The file used when neither is given. */
  readonly defaultFile: string;
  /** Something is sealed already: then a missing default file must not be made anew. */
  readonly inUse: boolean;
}

/**
 * Finds the seal key, making the default file when nothing is sealed yet.
 *
 * @throws {GatewayError} `config-invalid` with one sentence on what is missing or wrong
 */
export function loadSeal(sources: SealKeySources): Seal {
  const { value, file, defaultFile, inUse } = sources;
  const given = value !== undefined && value !== '';
  if (given && file !== undefined) {
    throw fault(`keySeal.file and ${SEAL_KEY_VARIABLE} both give a seal key; give one of them`);
  }
  if (given) return sealWith(readKey(value, SEAL_KEY_VARIABLE), SEAL_KEY_VARIABLE);
  const path = file ?? defaultFile;
  const text = readIfThere(path);
  if (text !== undefined) return sealWith(readKey(text, path), path);
  if (file !== undefined) throw fault(`the seal key file ${path} is missing; put it there, or change keySeal.file`);
  if (inUse) {
    throw fault(
      `the signing keys are sealed and the key in ${path} is missing; restore it, or give it by keySeal.file or ${SEAL_KEY_VARIABLE}`,
    );
  }
  const key = randomBytes(KEY_BYTES);
  writeDurably(path, `${key.toString('base64url')}\n`);
  return sealWith(key, path);
}

/** On disk before anything is sealed with it: after a power failure sealed keys without their seal key would be lost. */
function writeDurably(path: string, text: string): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

const fault = (message: string): GatewayError => new GatewayError('config-invalid', message);

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    if (code === 'ENOENT') return undefined;
    throw fault(`the seal key file ${path} cannot be read (${code})`);
  }
}

/** 32 bytes as hex, base64 or base64url. No key is derived from a password: a word a person remembers is not accepted. */
function readKey(text: string, source: string): Buffer {
  const trimmed = text.trim();
  const isHex = /^[0-9a-fA-F]{64}$/.test(trimmed);
  const isBase64 = /^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed);
  if (!isHex && !isBase64) {
    throw fault(
      `${source} holds no seal key; it must be 32 random bytes in hex or base64, as openssl rand -base64 32 prints`,
    );
  }
  return Buffer.from(trimmed, isHex ? 'hex' : 'base64');
}

function sealWith(key: Uint8Array, source: string): Seal {
  // Names the key without telling anything of it, so that a wrong one is known as such and not taken for damage.
  const kid = createHash('sha256').update('dockgate seal key').update(key).digest('hex').slice(0, 16);
  return {
    source,
    seal: (text) =>
      new CompactEncrypt(new TextEncoder().encode(text))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid })
        .encrypt(key),
    async open(sealed) {
      let known: unknown;
      try {
        known = decodeProtectedHeader(sealed).kid;
      } catch {
        throw new GatewayError('store-corrupt', 'a sealed signing key in the database is damaged; restore a backup');
      }
      if (known !== kid) {
        throw fault(
          `the signing keys are sealed with another key than the one in ${source}; give the key they were sealed with`,
        );
      }
      try {
        const { plaintext } = await compactDecrypt(sealed, key, {
          keyManagementAlgorithms: ['dir'],
          contentEncryptionAlgorithms: ['A256GCM'],
        });
        return new TextDecoder().decode(plaintext);
      } catch (cause) {
        throw new GatewayError('store-corrupt', 'a sealed signing key in the database is damaged; restore a backup', {
          cause,
        });
      }
    },
  };
}
