// Moments as reviewers write them: 2h, 1h30m, yesterday, 14:02, yesterday 14:02, a date, an RFC 3339 time. Times without a zone
// are of the zone of the caller: the command line's own, and UTC in the admin API.

export type Zone = 'local' | 'utc';
/** Which end of a day a day stands for. */
export type DayEnd = 'start' | 'end';

const SPAN = /^(?:[1-9]\d{0,5}[smhdw]){1,5}$/;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];
const RFC3339 = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/i;
const CLOCK = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/;
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;

/** `1h30m` in milliseconds. */
const spanMs = (text: string): number =>
  [...text.matchAll(/(\d+)([smhdw])/g)].reduce(
    (sum, [, count, unit = 's']) => sum + Number(count) * (UNIT_MS[unit] ?? 0),
    0,
  );

interface Day {
  readonly year: number;
  /** From 0. */
  readonly month: number;
  readonly day: number;
}

const dayAt = (ms: number, zone: Zone, plus = 0): Day => {
  const date = new Date(ms);
  return zone === 'utc'
    ? { year: date.getUTCFullYear(), month: date.getUTCMonth(), day: date.getUTCDate() + plus }
    : { year: date.getFullYear(), month: date.getMonth(), day: date.getDate() + plus };
};

/** Seconds after midnight on the clock of the zone: a day with a change of the clock has 14:02 where its clocks show it. */
const at = ({ year, month, day }: Day, seconds: number, zone: Zone): number =>
  zone === 'utc' ? Date.UTC(year, month, day, 0, 0, seconds) : new Date(year, month, day, 0, 0, seconds).getTime();

const weekday = (ms: number, zone: Zone): number => (zone === 'utc' ? new Date(ms).getUTCDay() : new Date(ms).getDay());

/** The day a word or date names; the newest of its name, today included for dates and `today` alone. */
const dayOf = (word: string, now: number, zone: Zone): Day | undefined => {
  if (word === 'today') return dayAt(now, zone);
  if (word === 'yesterday') return dayAt(now, zone, -1);
  const named = WEEKDAYS.indexOf(word);
  if (named >= 0) return dayAt(now, zone, -((weekday(now, zone) - named + 7) % 7 || 7));
  const [, year, month, day] = DATE.exec(word) ?? [];
  if (year === undefined) return undefined;
  const found = { year: Number(year), month: Number(month) - 1, day: Number(day) };
  // 2030-02-30 is no day, though a Date would take it for another one.
  const read = new Date(Date.UTC(found.year, found.month, found.day));
  return read.getUTCMonth() === found.month && read.getUTCDate() === found.day ? found : undefined;
};

/**
 * A moment in the past as people write it.
 *
 * @param end what a whole day stands for: `start` for the beginning of a search, `end` for its end
 * @returns milliseconds since the epoch, or undefined when the text is none
 */
export const parseWhen = (text: string, now: number, zone: Zone, end: DayEnd = 'start'): number | undefined => {
  const words = text.trim().toLowerCase().replace(/\s+/g, ' ');
  if (words === 'now') return now;
  const span = words.replace(/ ago$/, '').replaceAll(' ', '');
  if (SPAN.test(span)) return now - spanMs(span);
  if (RFC3339.test(words)) {
    const read = Date.parse(words.toUpperCase().replace(' ', 'T'));
    return Number.isNaN(read) ? undefined : read;
  }
  const [first = '', second, ...more] = words.replace(/^(\d{4}-\d{2}-\d{2})t/, '$1 ').split(' ');
  if (more.length > 0) return undefined;
  const clock = CLOCK.exec(second ?? first);
  const seconds = clock === null ? undefined : Number(clock[1]) * 3600 + Number(clock[2]) * 60 + Number(clock[3] ?? 0);
  if (second !== undefined) {
    const day = dayOf(first, now, zone);
    return day === undefined || seconds === undefined ? undefined : at(day, seconds, zone);
  }
  if (seconds !== undefined) {
    const today = at(dayAt(now, zone), seconds, zone);
    // What has not been yet was yesterday.
    return today <= now ? today : at(dayAt(now, zone, -1), seconds, zone);
  }
  const day = dayOf(first, now, zone);
  if (day === undefined) return undefined;
  return end === 'start' ? at(day, 0, zone) : at({ ...day, day: day.day + 1 }, 0, zone) - 1;
};

export const WHEN_RULE =
  'write a span such as 2h, a day (yesterday, monday, 2030-01-31), a time of day such as 14:02, both, or an RFC 3339 time';
