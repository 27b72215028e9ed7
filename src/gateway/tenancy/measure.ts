// How much containers wrote into their own layer. The engine walks through a container's files to tell, so it is asked in the
// background alone, about one container at a time, and no longer than a part of each minute. Without a limit it is not asked.
import type { LedgerEntry } from '../../ledger/entry.ts';
import { NO_SHARE } from '../../ledger/share.ts';
import type { Logger } from '../../log.ts';
import { measureLayer } from './engine-state.ts';
import { isUpdating } from './take-share.ts';
import type { TenancyState } from './tenant-call.ts';

/** Longest that is spent on measuring between two looks at everything, in ms: a tenth of the time. */
const BUDGET_MS = 6_000;
/** Less of a change is not written down, in bytes. */
const LEAST_CHANGE = 64 * 1024;

export interface Measurer {
  /** A new round: those measured longest ago come first, until the time is used up. */
  round(): Promise<void>;
  /** A container has ended: what it wrote is looked at again within the time of this round. */
  ended(id: string): void;
}

export interface MeasureParts {
  readonly log: Logger;
  now(): number;
  learn(changes: readonly LedgerEntry[], why: string): void;
}

export function createMeasurer(state: TenancyState, parts: MeasureParts): Measurer {
  /** When each container was measured, by its key. */
  const measuredAt = new Map<string, number>();
  let queue: string[] = [];
  let leftMs = 0;
  let running: Promise<void> | undefined;

  const isCounted = ({ kind, state: now, tenant }: LedgerEntry): boolean => {
    if (kind !== 'container' || now !== 'live') return false;
    const limits = state.limitsOf(tenant);
    return (limits?.quota['write-layer-bytes'] ?? limits?.identityQuota['write-layer-bytes']) !== undefined;
  };

  async function measure(): Promise<void> {
    const found: { readonly key: string; readonly bytes: number }[] = [];
    try {
      while (leftMs > 0) {
        const key = queue.shift();
        if (key === undefined) break;
        const entry = state.ledger.byKey(key);
        if (entry === undefined || !isCounted(entry)) continue;
        const beganAt = parts.now();
        const bytes = await measureLayer(state.engine, entry.id);
        const endedAt = parts.now();
        leftMs -= Math.max(1, endedAt - beganAt);
        measuredAt.set(key, endedAt);
        if (bytes !== undefined) found.push({ key, bytes });
      }
    } catch (error) {
      parts.log.warn({ err: error }, 'what a container wrote could not be measured');
    }
    const changes: LedgerEntry[] = [];
    for (const { key, bytes } of found) {
      // A share learned meanwhile stays; a change under way is measured the next time.
      const entry = state.ledger.byKey(key);
      if (entry === undefined || entry.state !== 'live' || isUpdating(entry, state.holds)) continue;
      if (entry.share === undefined || Math.abs(bytes - entry.share.bytes) < LEAST_CHANGE) continue;
      changes.push({ ...entry, share: { ...NO_SHARE, ...entry.share, bytes } });
    }
    if (changes.length > 0) parts.learn(changes, 'what it wrote was measured');
  }

  const work = (): Promise<void> => {
    running ??= measure().finally(() => {
      running = undefined;
      if (queue.length > 0 && leftMs > 0) void work();
    });
    return running;
  };

  return {
    round() {
      leftMs = BUDGET_MS;
      const counted = [...state.ledger.entries()].filter(isCounted).map(({ key }) => key);
      const known = new Set(counted);
      for (const key of measuredAt.keys()) if (!known.has(key)) measuredAt.delete(key);
      queue = counted.sort((a, b) => (measuredAt.get(a) ?? 0) - (measuredAt.get(b) ?? 0));
      return work();
    },
    ended(id) {
      if (leftMs <= 0) return;
      const keys = state.ledger.holders('container', id).filter(isCounted);
      queue = [...keys.map(({ key }) => key), ...queue];
      if (keys.length > 0) void work();
    },
  };
}
