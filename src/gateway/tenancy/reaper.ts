// Removes objects whose lease has ended: services and containers first, then networks, volumes and images, so that no object is in use
// by one that goes a moment later. An object that cannot be removed yet is tried again.
import type { LedgerEntry, OwnedKind } from '../../ledger/entry.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Logger } from '../../log.ts';
import type { InNameOf, Performed } from '../own-call.ts';

/** Between two looks at the leases, in ms. */
const LOOK_MS = 5_000;
/** A removal that failed is tried again after this long, in ms; after each failure twice as long, up to an hour. */
const RETRY_MS = 10_000;
const MAX_RETRY_MS = 3_600_000;
const ORDER: readonly OwnedKind[] = ['service', 'container', 'network', 'volume', 'secret', 'config', 'image'];

export interface ReaperParts {
  readonly ledger: Ledger;
  readonly log: Logger;
  now(): number;
  perform(owner: InNameOf, method: string, target: string): Promise<Performed>;
}

export interface Reaper {
  /** Removes what is due now; resolves when all of it was tried. */
  look(): Promise<void>;
  start(): void;
  stop(): void;
}

export function createReaper(parts: ReaperParts): Reaper {
  const retries = new Map<string, { atMs: number; waitMs: number }>();
  let running: Promise<void> | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;
  let isStopped = false;

  const isDue = ({ key, state, kind, leaseUntil }: LedgerEntry, nowMs: number): boolean =>
    state === 'live' &&
    leaseUntil !== undefined &&
    leaseUntil <= nowMs &&
    ORDER.includes(kind) &&
    (retries.get(key)?.atMs ?? 0) <= nowMs;

  async function remove(entry: LedgerEntry): Promise<void> {
    const owner = { tenant: entry.tenant, subject: entry.owner, tokenId: entry.tokenId };
    let why: string;
    try {
      const { status, message } = await parts.perform(owner, 'DELETE', targetOf(entry));
      if (status < 300 || status === 404) {
        retries.delete(entry.key);
        return;
      }
      why = `${status} ${message}`;
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
    const waitMs = Math.min((retries.get(entry.key)?.waitMs ?? RETRY_MS / 2) * 2, MAX_RETRY_MS);
    retries.set(entry.key, { atMs: parts.now() + waitMs, waitMs });
    parts.log.warn(
      { object: `${entry.kind}/${entry.name}`, tenant: entry.tenant, reason: why },
      'a lease ended, and what was made under it is still there',
    );
  }

  async function look(): Promise<void> {
    for (const kind of ORDER) {
      const due = [...parts.ledger.entries()].filter((entry) => entry.kind === kind && isDue(entry, parts.now()));
      for (const entry of due) {
        if (isStopped) return;
        // It may have gone, or its lease grown, while others were removed.
        const current = parts.ledger.byKey(entry.key);
        if (current !== undefined && isDue(current, parts.now())) await remove(current);
      }
    }
    for (const key of retries.keys()) if (parts.ledger.byKey(key) === undefined) retries.delete(key);
  }

  return {
    look() {
      running ??= look().finally(() => {
        running = undefined;
      });
      return running;
    },
    start() {
      timer ??= setInterval(() => void this.look(), LOOK_MS);
      timer.unref();
    },
    stop() {
      isStopped = true;
      clearInterval(timer);
    },
  };
}

function targetOf({ kind, id }: LedgerEntry): string {
  const name = id.split('/').map(encodeURIComponent).join('/');
  switch (kind) {
    case 'container':
      return `/containers/${name}?force=1&v=1`;
    case 'image':
      return `/images/${name}`;
    default:
      return `/${kind}s/${name}`;
  }
}
