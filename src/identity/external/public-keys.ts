// A JWKS (RFC 7517) as keys that may verify: only what fits a pinned algorithm, strong enough, public members alone.
import { importJWK } from 'jose';
import { canonicalAlgorithm, type ExternalAlgorithm } from './setting.ts';

/** Keys of one set that are looked at. */
const MAX_KEYS = 100;
/** RSA moduli of 2048 to 8192 bits, in base64url characters: weaker ones forge, longer ones cost. */
const MIN_RSA_CHARS = 342;
const MAX_RSA_CHARS = 1366;
/** RSA exponents of up to 33 bits, in base64url characters. */
const MAX_EXPONENT_CHARS = 6;
const MAX_KID_CHARS = 256;

/** Key type and curve of each algorithm. */
const FORM: Readonly<Record<ExternalAlgorithm, readonly [kty: string, crv?: string]>> = {
  RS256: ['RSA'],
  RS384: ['RSA'],
  RS512: ['RSA'],
  PS256: ['RSA'],
  PS384: ['RSA'],
  PS512: ['RSA'],
  ES256: ['EC', 'P-256'],
  ES384: ['EC', 'P-384'],
  ES512: ['EC', 'P-521'],
  Ed25519: ['OKP', 'Ed25519'],
  EdDSA: ['OKP', 'Ed25519'],
};

interface PublicKey {
  readonly kid: string | undefined;
  readonly algorithm: ExternalAlgorithm;
  readonly key: CryptoKey;
}

export interface PublicKeys {
  /** Key ids, for people. */
  readonly kids: readonly string[];
  /** Members of the set that cannot verify here: other algorithms, encryption keys, weak or broken ones. */
  readonly ignored: number;
  /**
   * The one key for a token's `kid` and `alg`.
   * `none`: the set has no such key; `several`: it cannot be told which one is meant.
   */
  find(kid: string | undefined, algorithm: ExternalAlgorithm): CryptoKey | 'none' | 'several';
}

const text = (value: unknown, max: number): string | undefined =>
  typeof value === 'string' && value.length > 0 && value.length <= max ? value : undefined;

/** The public members of a key that fits the algorithm; undefined when it does not. */
function publicMembers(jwk: Record<string, unknown>, algorithm: ExternalAlgorithm): Record<string, string> | undefined {
  const [kty, crv] = FORM[algorithm];
  if (jwk.kty !== kty) return undefined;
  if (
    jwk.alg !== undefined &&
    (typeof jwk.alg !== 'string' || canonicalAlgorithm(jwk.alg) !== canonicalAlgorithm(algorithm))
  )
    return undefined;
  if (jwk.use !== undefined && jwk.use !== 'sig') return undefined;
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) return undefined;
  if (kty === 'RSA') {
    const n = text(jwk.n, MAX_RSA_CHARS);
    const e = text(jwk.e, MAX_EXPONENT_CHARS);
    return n === undefined || e === undefined || n.length < MIN_RSA_CHARS ? undefined : { kty, n, e };
  }
  const x = text(jwk.x, 128);
  if (jwk.crv !== crv || crv === undefined || x === undefined) return undefined;
  if (kty === 'OKP') return { kty, crv, x };
  const y = text(jwk.y, 128);
  return y === undefined ? undefined : { kty, crv, x, y };
}

/**
 * Reads a key set document.
 *
 * @returns undefined when it is no key set. An empty one counts: an issuer that took its keys away means it
 */
export async function readPublicKeys(
  document: unknown,
  algorithms: readonly ExternalAlgorithm[],
): Promise<PublicKeys | undefined> {
  const list = (document as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(list)) return undefined;
  const keys: PublicKey[] = [];
  let ignored = Math.max(0, list.length - MAX_KEYS);
  // Ed25519 and EdDSA are one algorithm: pinning both must not make two keys of one.
  const wanted = [...new Set(algorithms.map((algorithm) => canonicalAlgorithm(algorithm) as ExternalAlgorithm))];
  for (const member of list.slice(0, MAX_KEYS)) {
    if (typeof member !== 'object' || member === null) {
      ignored++;
      continue;
    }
    const jwk = member as Record<string, unknown>;
    const before = keys.length;
    for (const algorithm of wanted) {
      const members = publicMembers(jwk, algorithm);
      if (members === undefined) continue;
      try {
        const key = await importJWK(members, algorithm);
        if (!(key instanceof Uint8Array)) keys.push({ kid: text(jwk.kid, MAX_KID_CHARS), algorithm, key });
      } catch {
        // A broken key is no key; the others of the set still count.
      }
    }
    if (keys.length === before) ignored++;
  }
  return {
    kids: [...new Set(keys.map(({ kid }) => kid ?? '(none)'))],
    ignored,
    find(kid, algorithm) {
      const wantedAlgorithm = canonicalAlgorithm(algorithm);
      const fitting = keys.filter((key) => key.algorithm === wantedAlgorithm && (kid === undefined || key.kid === kid));
      const [only, second] = fitting;
      if (only === undefined) return 'none';
      return second === undefined ? only.key : 'several';
    },
  };
}
