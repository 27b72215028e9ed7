// Refresh credentials: opaque secrets for bots that live longer than a token may. One is good for short tokens and nothing
// else; its hash is stored, the secret is shown once. `dockgate_` and a checksum let secret scanners know it without asking.
import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { v7 as uuidv7 } from 'uuid';
import { GatewayError } from '../errors.ts';
import type { DockerAuthorization } from '../policy/types.ts';
import type { CredentialRecord, CredentialStore, IdentityStore } from './stores.ts';

/** What every secret begins with. */
export const CREDENTIAL_PREFIX = 'dockgate_';
const SECRET_BYTES = 32;
/** 32 bytes, and the 4 of a CRC-32, in base 62. */
const SECRET_LENGTH = 43;
const CHECK_LENGTH = 6;
const FORM = new RegExp(`^${CREDENTIAL_PREFIX}[0-9A-Za-z]{${SECRET_LENGTH + CHECK_LENGTH}}$`);
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

const DAY_MS = 86_400_000;
export const DEFAULT_CREDENTIAL_TTL_MS = 90 * DAY_MS;
export const MAX_CREDENTIAL_TTL_MS = 366 * DAY_MS;
const MIN_CREDENTIAL_TTL_MS = 60_000;

export interface NewCredential {
  readonly identity: string;
  /** Default 90 days. */
  readonly ttlMs?: number | undefined;
  readonly scope?: readonly string[] | undefined;
  readonly authorizationDetails?: readonly DockerAuthorization[] | undefined;
  /** Who asks: subject of the operator. */
  readonly by: string;
}

export interface RefreshCredentials {
  /**
   * Makes a credential. Only the caller gets the secret; the gateway keeps its hash.
   *
   * @throws {GatewayError} `not-found`, `conflict` for a disabled identity, `input-invalid`
   */
  create(input: NewCredential): { secret: string; record: CredentialRecord };
  /** The credential of a secret. @throws {GatewayError} `client-invalid`: unknown, expired, revoked, or its identity is gone */
  find(secret: string): CredentialRecord;
}

export function createRefreshCredentials(parts: {
  readonly credentials: CredentialStore;
  readonly identities: IdentityStore;
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number;
}): RefreshCredentials {
  const now = parts.now ?? Date.now;
  return {
    create({ identity: name, ttlMs = DEFAULT_CREDENTIAL_TTL_MS, scope, authorizationDetails, by }) {
      const identity = parts.identities.get(name);
      if (identity === undefined) throw new GatewayError('not-found', `there is no identity ${name}`);
      if (identity.disabled) throw new GatewayError('conflict', `identity ${name} is disabled; enable it first`);
      if (!(ttlMs >= MIN_CREDENTIAL_TTL_MS && ttlMs <= MAX_CREDENTIAL_TTL_MS)) {
        throw new GatewayError('input-invalid', 'a credential lives from 1m to 366d');
      }
      const secret = makeSecret();
      const createdAt = now();
      const record: CredentialRecord = {
        id: uuidv7(),
        identity: name,
        hash: hashOf(secret),
        ...(scope === undefined ? {} : { scope }),
        ...(authorizationDetails === undefined ? {} : { authorizationDetails }),
        createdAt,
        expiresAt: createdAt + ttlMs,
        createdBy: by,
        uses: 0,
      };
      parts.credentials.insert(record);
      return { secret, record };
    },
    find(given) {
      // Read from a file it often has a line end.
      const secret = given.trim();
      const refuse = (message: string) => new GatewayError('client-invalid', message);
      if (!isSecret(secret)) throw refuse('the credential is not one of dockgate; check that it was copied whole');
      const record = parts.credentials.byHash(hashOf(secret));
      if (record === undefined) throw refuse('the credential is not known here');
      if (record.revokedAt !== undefined) throw refuse('the credential was revoked; ask an operator for a new one');
      if (record.expiresAt <= now()) throw refuse('the credential has expired; ask an operator for a new one');
      const identity = parts.identities.get(record.identity);
      if (identity === undefined || identity.createdAt > record.createdAt) {
        throw refuse('the identity of the credential is gone');
      }
      if (identity.disabled) {
        throw refuse(`identity ${identity.name} is disabled; ask an operator to enable it`);
      }
      return record;
    },
  };
}

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

function makeSecret(): string {
  const body = inBase62(BigInt(`0x${randomBytes(SECRET_BYTES).toString('hex')}`), SECRET_LENGTH);
  return `${CREDENTIAL_PREFIX}${body}${checkOf(body)}`;
}

const checkOf = (body: string): string => inBase62(BigInt(crc32(body)), CHECK_LENGTH);

function inBase62(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; text.length < length; rest /= 62n) text = (DIGITS[Number(rest % 62n)] as string) + text;
  return text;
}

/** Whether a text is a whole secret: a typing error is told as one, and costs no look-up. */
export function isSecret(text: string): boolean {
  if (!FORM.test(text)) return false;
  const body = text.slice(CREDENTIAL_PREFIX.length, -CHECK_LENGTH);
  return text.endsWith(checkOf(body));
}
