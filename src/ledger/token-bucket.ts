// Requests per second, as token buckets: requests not made in the last two seconds may be made at once. Pure; the clock is
// passed in.

/** Seconds of the rate that may be saved up. */
const BURST_S = 2;
/** Buckets kept. One that is full again says nothing and is forgotten. */
const MAX_BUCKETS = 10_000;

interface Bucket {
  /** May be below zero by the cost of one call. */
  left: number;
  atMs: number;
}

export class TokenBuckets {
  readonly #buckets = new Map<string, Bucket>();

  /**
   * Takes `cost` from the bucket of a key.
   *
   * @param ratePerS what flows in, per second
   * @returns 0 when there was enough, else the milliseconds until there is; nothing is taken then
   */
  take(key: string, ratePerS: number, cost: number, nowMs: number): number {
    const most = Math.max(ratePerS * BURST_S, cost);
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      if (this.#buckets.size >= MAX_BUCKETS) this.#forgetFull(nowMs);
      bucket = { left: most, atMs: nowMs };
      this.#buckets.set(key, bucket);
    }
    bucket.left = Math.min(most, bucket.left + (Math.max(0, nowMs - bucket.atMs) / 1000) * ratePerS);
    bucket.atMs = nowMs;
    if (bucket.left >= cost) {
      bucket.left -= cost;
      return 0;
    }
    // A rounding error is no millisecond.
    return Math.ceil(((cost - bucket.left) / ratePerS) * 1000 - 1e-6);
  }

  #forgetFull(nowMs: number): void {
    for (const [key, { atMs }] of this.#buckets) if (nowMs - atMs > BURST_S * 1000) this.#buckets.delete(key);
    // All in use: the oldest go, and start full again.
    for (const key of this.#buckets.keys()) {
      if (this.#buckets.size < 0.9 * MAX_BUCKETS) break;
      this.#buckets.delete(key);
    }
  }
}

/** What one call costs: changes more than reads, what lasts more than what is over at once. */
export const costOf = (operation: { readonly class: string; readonly stream: string }): number =>
  (operation.class === 'read' ? 1 : 2) + (operation.stream === 'none' ? 0 : 3);
