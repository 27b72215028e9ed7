// Amounts of a quota as people write them: `memory=32GiB`, `cpus=1.5`, `containers=40`. Pure.
import { byteSize } from '../policy/host/sizes.ts';
import { isBytes, QUOTA_KEYS, type QuotaKey } from './quota.ts';

/** What a container can be given that asks for nothing. */
export const DEFAULT_KEYS = ['memory', 'cpus', 'pids'] as const;

/** The least amount of each; a quota of nothing is said by taking the policy away. */
const MOST = 1e15;

/** An amount in its unit (bytes, billionths of a CPU, a number), or undefined for text that is none. */
export function readAmount(key: QuotaKey, value: string | number): number | undefined {
  if (isBytes(key)) return value === 0 || value === '0' ? 0 : byteSize(value);
  const number = typeof value === 'number' ? value : /^\d{1,12}(\.\d{1,9})?$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= 0 && number <= MOST)) return undefined;
  if (key === 'cpus') return Math.round(number * 1e9);
  if (key === 'rate') return number > 0 ? number : undefined;
  return Number.isInteger(number) ? number : undefined;
}

const SIZE = 'an amount such as 512MiB or 4GiB';
const RIGHT: Partial<Record<QuotaKey, string>> = {
  memory: SIZE,
  swap: SIZE,
  'image-bytes': SIZE,
  'write-layer-bytes': SIZE,
  cpus: 'a number such as 2 or 0.5',
  rate: 'a number above 0',
};

/**
 * Reads a map of amounts. `null` stands for taking a limit away and is kept.
 *
 * @param keys that may stand in it
 * @returns the amounts, or the faults of those that are wrong
 */
export function readAmounts(
  given: Readonly<Record<string, unknown>>,
  keys: readonly QuotaKey[] = QUOTA_KEYS,
): { readonly amounts: Readonly<Partial<Record<QuotaKey, number | null>>>; readonly problems: readonly string[] } {
  const amounts: Partial<Record<QuotaKey, number | null>> = {};
  const problems: string[] = [];
  for (const [key, value] of Object.entries(given)) {
    const known = keys.find((one) => one === key);
    if (known === undefined) {
      problems.push(`${JSON.stringify(key.slice(0, 40))} is nothing that is counted; known: ${keys.join(', ')}`);
      continue;
    }
    const amount =
      value === null
        ? null
        : typeof value === 'string' || typeof value === 'number'
          ? readAmount(known, value)
          : undefined;
    if (amount === undefined) problems.push(`${key} must be ${RIGHT[known] ?? 'a whole number'}`);
    else amounts[known] = amount;
  }
  return { amounts, problems };
}
