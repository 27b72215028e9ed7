// The issuer's own Ed25519 keys: made on first start, renewed by age, kept for verification until no token needs them.
// Private parts never leave this module except as an opaque CryptoKey.
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { GatewayError } from '../errors.ts';
import type { KeyStore, SigningKeyRecord } from './stores.ts';

/** A signing key serves this long before a start makes its successor, in ms. */
export const KEY_TURN_MS = 30 * 86_400_000;

export interface KeyRingParts {
  readonly keys: KeyStore;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Longest life of a token, in ms: a key that was followed by another verifies that much longer. */
  readonly maxTtlMs: number;
}

export interface KeyRing {
  /** Loads the keys; makes one when there is none or the newest is older than 30 days. */
  ensure(): Promise<void>;
  /** The key that signs. @throws {GatewayError} `internal` before `ensure` */
  signer(): { readonly kid: string; readonly key: CryptoKey };
  /** Verification key of a `kid`; undefined when it is none of ours. Synchronous: garbage costs a map look-up. */
  verifier(kid: string): CryptoKey | undefined;
  /** Public keys with `kid`, `alg` and `use`, newest first. */
  jwks(): { keys: JWK[] };
}

interface LoadedKey {
  readonly record: SigningKeyRecord;
  readonly publicKey: CryptoKey;
  readonly publicJwk: JWK;
}

/** Opens the key ring over its store. Nothing is read before `ensure`. */
export function createKeyRing(parts: KeyRingParts): KeyRing {
  let loaded = new Map<string, LoadedKey>();
  let signer: { kid: string; key: CryptoKey } | undefined;

  async function generate(): Promise<void> {
    const pair = await generateKeyPair('Ed25519', { extractable: true });
    const publicJwk = publicPart(await exportJWK(pair.publicKey));
    const kid = await calculateJwkThumbprint(publicJwk);
    parts.keys.insert({
      kid,
      algorithm: 'Ed25519',
      privateJwk: JSON.stringify(await exportJWK(pair.privateKey)),
      publicJwk: JSON.stringify(publicJwk),
      state: 'active',
      createdAt: parts.now(),
    });
  }

  async function load(): Promise<void> {
    const records = [...parts.keys.list()].sort((a, b) => b.createdAt - a.createdAt);
    const next = new Map<string, LoadedKey>();
    let followedAt: number | undefined;
    for (const record of records) {
      // A key followed by another has signed nothing since; its last token has ended after the longest life.
      if (followedAt !== undefined && followedAt + parts.maxTtlMs < parts.now()) break;
      if (record.state === 'active') followedAt = record.createdAt;
      const publicJwk = publicPart(JSON.parse(record.publicJwk) as JWK);
      next.set(record.kid, { record, publicKey: await importKey(publicJwk), publicJwk });
    }
    const active = records.find((record) => record.state === 'active');
    if (active !== undefined && active.kid !== signer?.kid) {
      signer = { kid: active.kid, key: await importKey(JSON.parse(active.privateJwk) as JWK) };
    }
    loaded = next;
  }

  return {
    async ensure() {
      const newest = Math.max(
        ...parts.keys.list().map((record) => (record.state === 'active' ? record.createdAt : -Infinity)),
      );
      if (newest + KEY_TURN_MS < parts.now()) await generate();
      await load();
    },
    signer() {
      if (signer === undefined) throw new GatewayError('internal', 'the signing key is not loaded');
      return signer;
    },
    verifier: (kid) => loaded.get(kid)?.publicKey,
    jwks: () => ({
      keys: [...loaded.values()].map(({ record, publicJwk }) => ({
        ...publicJwk,
        kid: record.kid,
        alg: 'Ed25519',
        use: 'sig',
      })),
    }),
  };
}

async function importKey(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, 'Ed25519');
  if (key instanceof Uint8Array) throw new GatewayError('internal', 'a stored signing key is not an Ed25519 key');
  return key;
}

/** Only what an Ed25519 public key needs: `d` can never slip through. */
function publicPart({ kty, crv, x }: JWK): JWK {
  if (kty !== 'OKP' || crv !== 'Ed25519' || typeof x !== 'string') {
    throw new GatewayError('internal', 'a stored signing key is not an Ed25519 key');
  }
  return { kty, crv, x };
}
