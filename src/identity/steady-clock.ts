// The time what was revoked is forgotten by. The system's clock may be set forward and back; forgetting is for good, so it goes by
// the time that has certainly passed: what the monotonic clock of this process counted on top of what earlier ones had counted.
// While no gateway runs it stands still, so it may be late, and never early. It is for forgetting alone; whether a token has ended is
// asked of the system's clock.

/** Where the clock of earlier processes is kept, in state.db. */
const SETTING = 'steady-clock';

export interface SteadyClockParts {
  readonly settings: { get(key: string): string | undefined; set(key: string, value: string): void };
  /** The latest moment anything in the store was stamped with; undefined for a store with nothing in it. */
  latest(): number | undefined;
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly wall?: () => number;
  /** Milliseconds that only grow. Default: the process's own. */
  readonly elapsed?: () => number;
}

export interface SteadyClock {
  /** Milliseconds since the epoch: no later than the time it certainly is. */
  now(): number;
  /** Keeps it for the next process. */
  save(): void;
}

export function createSteadyClock(parts: SteadyClockParts): SteadyClock {
  const wall = parts.wall ?? Date.now;
  const elapsed = parts.elapsed ?? (() => performance.now());
  const begun = elapsed();
  const stored = Number(parts.settings.get(SETTING));
  const base = stored > 0 ? stored : Math.min(parts.latest() ?? wall(), wall());
  const counted = (): number => base + (elapsed() - begun);
  const clock: SteadyClock = {
    now: () => Math.min(wall(), counted()),
    save: () => parts.settings.set(SETTING, String(Math.floor(clock.now()))),
  };
  return clock;
}
