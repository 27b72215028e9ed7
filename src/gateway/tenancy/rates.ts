// How many calls a tenant and each of its identities make in a second, and how many builds and streams they have at once.
import type { Operation } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { amountText, type TenantLimits } from '../../ledger/quota.ts';
import { costOf, TokenBuckets } from '../../ledger/token-bucket.ts';
import type { Principal } from '../../policy/types.ts';

type Tenanted = Pick<Principal, 'subject'> & { readonly tenant: string };

const SECONDS_UNTIL_SOMETHING_ENDS = 5;

export class Rates {
  readonly #buckets = new TokenBuckets();
  readonly #atOnce = new Map<string, number>();

  /** @throws {GatewayError} `rate-limited`, with the seconds after which to try again */
  admit({ tenant, subject }: Tenanted, operation: Operation, limits: TenantLimits, nowMs: number): void {
    const cost = costOf(operation);
    for (const [key, rate, whose] of [
      [`t\n${tenant}`, limits.quota.rate, `tenant ${tenant}`],
      [`i\n${tenant}\n${subject}`, limits.identityQuota.rate, `identity ${subject} of tenant ${tenant}`],
    ] as const) {
      if (rate === undefined) continue;
      const waitMs = this.#buckets.take(key, rate, cost, nowMs);
      if (waitMs === 0) continue;
      const seconds = Math.max(1, Math.ceil(waitMs / 1000));
      throw new GatewayError(
        'rate-limited',
        `too many requests: ${whose} may make ${rate} a second (a change counts 2, a stream 3 more); try again in ${seconds} s`,
        { retryAfterS: seconds },
      );
    }
  }

  /**
   * Counts a call that lasts; the result ends the counting.
   *
   * @param kinds what it counts as: a classic build is a build and a stream
   * @throws {GatewayError} `rate-limited` when there are as many as there may be
   */
  enter(
    { tenant, subject }: Tenanted,
    kinds: readonly ('builds' | 'streams')[],
    limits: TenantLimits,
  ): (() => void) | undefined {
    if (kinds.length === 0) return undefined;
    const taken: string[] = [];
    const release = (): void => {
      for (const key of taken.splice(0)) {
        const left = (this.#atOnce.get(key) ?? 1) - 1;
        if (left <= 0) this.#atOnce.delete(key);
        else this.#atOnce.set(key, left);
      }
    };
    for (const kind of kinds) {
      for (const [key, most, whose] of [
        [`${kind}\nt\n${tenant}`, limits.quota[kind], `tenant ${tenant}`],
        [`${kind}\ni\n${tenant}\n${subject}`, limits.identityQuota[kind], `identity ${subject} of tenant ${tenant}`],
      ] as const) {
        if (most === undefined) continue;
        const now = this.#atOnce.get(key) ?? 0;
        if (now >= most) {
          release();
          throw new GatewayError(
            'rate-limited',
            `the quota of ${whose} is ${amountText(kind, most)}, and as many are open; end one, or try again later`,
            { retryAfterS: SECONDS_UNTIL_SOMETHING_ENDS },
          );
        }
        this.#atOnce.set(key, now + 1);
        taken.push(key);
      }
    }
    return release;
  }
}
