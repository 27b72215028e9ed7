// Spans of time as operators write them: 30s, 15m, 1h, 7d. Shared by the admin API and the command line.

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `30s`, `15m`, `1h`, `7d` in milliseconds; undefined for anything else, also for zero. */
export const parseDuration = (text: string): number | undefined => {
  const match = /^([1-9][0-9]{0,5})([smhd])$/.exec(text);
  return match ? Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS] : undefined;
};

/** The shortest text that `parseDuration` reads back: `90m`, `1h`, `7d`; milliseconds are rounded down to seconds. */
export const spanOf = (ms: number): string => {
  for (const unit of ['d', 'h', 'm'] as const) if (ms % UNIT_MS[unit] === 0) return `${ms / UNIT_MS[unit]}${unit}`;
  return `${Math.floor(ms / 1000)}s`;
};

export const DURATION_RULE = 'write a whole number and s, m, h or d, for example 15m';

/**
 * A moment given as RFC 3339 time, date, or a span before `now`.
 * @returns milliseconds since the epoch, or undefined when it is none of these
 */
export const parseMoment = (text: string, now: number): number | undefined => {
  const ago = parseDuration(text);
  if (ago !== undefined) return now - ago;
  if (!/^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/i.test(text)) return undefined;
  const at = Date.parse(text.replace(' ', 'T'));
  return Number.isNaN(at) ? undefined : at;
};

export const MOMENT_RULE = 'write a span such as 15m, a date, or an RFC 3339 time such as 2030-01-31T12:00:00Z';
