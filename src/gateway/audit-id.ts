// Audit ids: UUIDv7 (RFC 9562 section 5.7), so that ids sort as the calls came.
import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

const RANDOM_BYTES = 16;
/** Asking the system for randomness costs microseconds each time, however little is asked for. */
const POOL_BYTES = 1024 * RANDOM_BYTES;

const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;
let lastMs = 0;
let sequence = 0;

/** A new audit id; those of one process rise, also within a millisecond. */
export function newAuditId(): string {
  if (used === POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.subarray(used, used + RANDOM_BYTES);
  used += RANDOM_BYTES;
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    // Half of the 32-bit counter stays free for the ids of this millisecond.
    sequence = ((random[6] as number) << 16) | ((random[7] as number) << 8) | (random[8] as number);
  } else sequence++;
  return v7({ random, msecs: lastMs, seq: sequence });
}
