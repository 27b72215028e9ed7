// The issuer's own Ed25519 keys. `next` is published before it signs, `active` signs, `retiring` verifies until the last
// token it signed has ended. Private parts are stored sealed and leave this module only as an opaque CryptoKey.
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { GatewayError } from '../errors.ts';
import { isSealed, type Seal } from './seal.ts';
import type { KeyStore, SigningKeyRecord } from './stores.ts';

/** A key signs this long before its successor takes over, in ms. */
export const KEY_TURN_MS = 30 * 86_400_000;
/** A retired key is kept this much longer than its last token can live, in ms: for verifiers whose clock is behind. */
const RETIRE_MARGIN_MS = 120_000;

/** A key that took over this much later than now did so by a clock that was ahead, in ms. */
const FUTURE_MS = 86_400_000;

export interface KeyRingParts {
  readonly keys: KeyStore;
  /** Milliseconds since the epoch. */
  now(): number;
  /** By which retired keys are dropped, never early, see steady-clock.ts. Default: `now`. */
  readonly steadyNow?: () => number;
  /** Longest life of a token, in ms: a retiring key verifies that much longer. */
  readonly maxTtlMs: number;
  /** Default: private parts are stored as they are, for stores in memory. */
  readonly seal?: Seal;
}

/** A key without its private part. */
export type PublicKeyRecord = Omit<SigningKeyRecord, 'privateJwk'> & {
  /** When the key is to change its state by itself, in ms since the epoch; undefined for `next`. */
  readonly until?: number;
};

export interface KeyRing {
  /**
   * Loads the keys. Makes the missing ones, turns an active one of 30 days, drops retired ones, seals those in plain text.
   *
   * @returns whether the active key was turned
   * @throws {GatewayError} `config-invalid` when the seal key is not the right one
   */
  ensure(): Promise<boolean>;
  /** Lets the next key sign, retires the active one, and makes a new next. @returns the `kid` that signs now */
  rotate(): Promise<string>;
  /** Newest first. */
  list(): readonly PublicKeyRecord[];
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
  const { keys, seal } = parts;
  const steadyNow = parts.steadyNow ?? parts.now;
  let loaded = new Map<string, LoadedKey>();
  let signer: { kid: string; key: CryptoKey } | undefined;
  /** Turns run one after the other: the timer and an operator must not turn the same key twice. */
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const run = last.then(work);
    last = run.catch(() => undefined);
    return run;
  };

  async function generate(state: 'next' | 'active'): Promise<SigningKeyRecord> {
    const pair = await generateKeyPair('Ed25519', { extractable: true });
    const publicJwk = publicPart(await exportJWK(pair.publicKey));
    const privateJwk = JSON.stringify(await exportJWK(pair.privateKey));
    const at = parts.now();
    return {
      kid: await calculateJwkThumbprint(publicJwk),
      algorithm: 'Ed25519',
      privateJwk: (await seal?.seal(privateJwk)) ?? privateJwk,
      publicJwk: JSON.stringify(publicJwk),
      state,
      createdAt: at,
      stateAt: at,
    };
  }

  const retire = (record: SigningKeyRecord, at: number): SigningKeyRecord => ({
    ...record,
    state: 'retiring',
    stateAt: at,
    // It signs no more: its private part would only serve a thief of a backup.
    privateJwk: '',
  });

  /** Puts the next key in the active one's place. */
  async function turn(records: readonly SigningKeyRecord[]): Promise<void> {
    const at = parts.now();
    const next = records.find((record) => record.state === 'next');
    const successor =
      next === undefined ? await generate('active') : { ...next, state: 'active' as const, stateAt: at };
    const retired = records.filter((record) => record.state === 'active').map((record) => retire(record, at));
    keys.apply({ put: [successor, ...retired, await generate('next')] });
  }

  /** Mends what an older program or a crash left: one active key, one next, no retired ones beyond their time. */
  async function mend(): Promise<void> {
    const at = parts.now();
    const records = [...keys.list()].sort((a, b) => b.createdAt - a.createdAt);
    const put: SigningKeyRecord[] = [];
    const actives = records.filter((record) => record.state === 'active');
    for (const [i, record] of actives.slice(1).entries()) put.push(retire(record, actives[i]?.createdAt ?? at));
    if (actives.length === 0) {
      const next = records.find((record) => record.state === 'next');
      put.push(next === undefined ? await generate('active') : { ...next, state: 'active', stateAt: at });
    }
    const spare = records.some((record) => record.state === 'next' && !put.some(({ kid }) => kid === record.kid));
    if (!spare) put.push(await generate('next'));
    const remove = records
      .map((record) => put.find(({ kid }) => kid === record.kid) ?? record)
      .filter((record) => record.state === 'retiring' && retiredUntil(record) < steadyNow())
      .map(({ kid }) => kid);
    const kept = put.filter(({ kid }) => !remove.includes(kid));
    if (kept.length > 0 || remove.length > 0) keys.apply({ put: kept, remove });
  }

  async function sealAll(): Promise<void> {
    if (seal === undefined) return;
    const open = keys.list().filter(({ privateJwk }) => privateJwk !== '' && !isSealed(privateJwk));
    if (open.length === 0) return;
    const put = await Promise.all(
      open.map(async (record) => ({ ...record, privateJwk: await seal.seal(record.privateJwk) })),
    );
    keys.apply({ put });
  }

  async function load(): Promise<void> {
    const records = [...keys.list()].sort((a, b) => b.createdAt - a.createdAt);
    const next = new Map<string, LoadedKey>();
    for (const record of records) {
      const publicJwk = publicPart(JSON.parse(record.publicJwk) as JWK);
      next.set(record.kid, { record, publicKey: await importKey(publicJwk), publicJwk });
    }
    const active = records.find((record) => record.state === 'active');
    if (active !== undefined && active.kid !== signer?.kid) {
      signer = { kid: active.kid, key: await importKey(JSON.parse(await unseal(active.privateJwk)) as JWK) };
    }
    loaded = next;
  }

  async function unseal(stored: string): Promise<string> {
    if (!isSealed(stored)) return stored;
    if (seal === undefined) throw new GatewayError('config-invalid', 'the signing keys are sealed; give the seal key');
    return seal.open(stored);
  }

  const retiredUntil = (record: SigningKeyRecord): number => record.stateAt + parts.maxTtlMs + RETIRE_MARGIN_MS;

  return {
    ensure: () =>
      inTurn(async () => {
        // A wrong seal key is found out before anything is written with it.
        const sealed = keys.list().find(({ privateJwk }) => isSealed(privateJwk));
        if (sealed !== undefined) await unseal(sealed.privateJwk);
        await mend();
        await sealAll();
        const records = keys.list();
        const active = records.find((record) => record.state === 'active');
        const at = parts.now();
        // One that took over while the clock was ahead would sign until the clock is there again.
        const isDue = active !== undefined && (active.stateAt + KEY_TURN_MS < at || active.stateAt > at + FUTURE_MS);
        if (isDue) await turn(records);
        await load();
        return isDue;
      }),
    rotate: () =>
      inTurn(async () => {
        await turn(keys.list());
        await load();
        return (signer as { kid: string }).kid;
      }),
    list: () =>
      [...loaded.values()].map(({ record: { privateJwk: _, ...record } }) => {
        if (record.state === 'next') return record;
        const until =
          record.state === 'active' ? record.stateAt + KEY_TURN_MS : record.stateAt + parts.maxTtlMs + RETIRE_MARGIN_MS;
        return { ...record, until };
      }),
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
