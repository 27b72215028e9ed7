// When calls that change something are allowed: days and hours in a time zone, and dates of a freeze in which none are. Judged by the
// time the call arrived, and by nothing else. Tables of time zones are the runtime's, which the sandbox does not have.
import { type AdmissionRequest, definePlugin, deny, isLike, PASS, type Verdict } from '../src/plugin.ts';

interface Hours {
  /** Left out: every day. A window past midnight belongs to the day it begins on. */
  readonly days?: readonly string[];
  readonly from: string;
  readonly to: string;
}
interface Freeze {
  /** First and last day, both frozen. */
  readonly from: string;
  readonly to: string;
  readonly reason?: string;
}
interface Settings {
  readonly timeZone: string;
  /** Left out: always, but for the freezes. */
  readonly open?: readonly Hours[];
  readonly freezes: readonly Freeze[];
  readonly actions: readonly string[];
  readonly except: readonly string[];
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

interface Local {
  readonly date: string;
  readonly time: string;
  readonly day: number;
}

const clocks = new Map<string, Intl.DateTimeFormat>();

/** A moment as clocks and calendars of the zone show it. */
function localOf(at: string, timeZone: string): Local {
  let clock = clocks.get(timeZone);
  if (clock === undefined) {
    const two = '2-digit';
    const parts = { year: 'numeric', month: two, day: two, hour: two, minute: two, hourCycle: 'h23' } as const;
    clock = new Intl.DateTimeFormat('en-US', { timeZone, calendar: 'gregory', numberingSystem: 'latn', ...parts });
    clocks.set(timeZone, clock);
  }
  const part = Object.fromEntries(clock.formatToParts(new Date(at)).map(({ type, value }) => [type, value]));
  const date = `${part.year}-${part.month}-${part.day}`;
  return { date, time: `${part.hour}:${part.minute}`, day: new Date(`${date}T00:00:00Z`).getUTCDay() };
}

function isOpen({ time, day }: Local, { days = DAYS, from, to }: Hours): boolean {
  const on = (index: number): boolean => days.includes(DAYS[(index + 7) % 7] as string);
  if (from < to) return on(day) && time >= from && time < to;
  // Past midnight; from and to alike are the whole day round.
  return (on(day) && time >= from) || (on(day - 1) && time < to);
}

function validate({ at, operation }: AdmissionRequest, { config }: { readonly config: Settings }): Verdict {
  const isNamed = (patterns: readonly string[]) => patterns.some((pattern) => isLike(pattern, operation.action));
  if (!isNamed(config.actions) || isNamed(config.except)) return PASS;
  const local = localOf(at, config.timeZone);
  const now = `it is ${DAYS[local.day]} ${local.date} ${local.time} in ${config.timeZone}`;
  const freeze = config.freezes.find(({ from, to }) => local.date >= from && local.date <= to);
  if (freeze !== undefined) {
    const why = freeze.reason === undefined ? '' : ` (${freeze.reason})`;
    return deny(
      'change-freeze',
      `${operation.action}: no changes from ${freeze.from} to ${freeze.to}${why}, and ${now}`,
    );
  }
  if (config.open === undefined || config.open.some((hours) => isOpen(local, hours))) return PASS;
  const allowed = config.open.map(({ days, from, to }) => `${days?.join(' ') ?? 'every day'} ${from}-${to}`).join(', ');
  return deny('outside-time-window', `${operation.action}: ${now} (allowed: ${allowed || 'never'})`);
}

const hour = { type: 'string', pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$' };
const date = { type: 'string', pattern: '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' };
const texts = { type: 'array', items: { type: 'string' } };
const between = (value: { type: string; pattern: string }, more: Readonly<Record<string, typeof texts | object>>) => ({
  type: 'object',
  properties: { from: value, to: value, ...more },
  required: ['from', 'to'],
  additionalProperties: false,
});

export default definePlugin<Settings>({
  meta: {
    name: 'time-window',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Allows calls that change something in named hours only, and none in a freeze',
  },
  match: { actions: ['*'], class: ['write', 'admin'] },
  config: {
    type: 'object',
    properties: {
      timeZone: { type: 'string', default: 'UTC' },
      open: { type: 'array', items: between(hour, { days: { type: 'array', items: { enum: DAYS } } }) as never },
      freezes: { type: 'array', items: between(date, { reason: { type: 'string' } }) as never, default: [] },
      actions: { ...texts, default: ['*'] },
      except: { ...texts, default: [] },
    },
    additionalProperties: false,
  },
  setup({ config }) {
    try {
      localOf('2026-01-01T00:00:00Z', config.timeZone);
    } catch {
      throw new Error(`timeZone ${config.timeZone} is unknown: write one such as Europe/Berlin`);
    }
    const wrong = config.freezes.find(({ from, to }) => from > to);
    if (wrong !== undefined) throw new Error(`a freeze ends (${wrong.to}) before it begins (${wrong.from})`);
  },
  validate,
  examples: [
    {
      name: 'within the hours',
      action: 'container.create',
      config: { open: [{ days: ['wed'], from: '08:00', to: '18:00' }] },
      at: '2026-06-03T10:00:00Z',
      expect: 'pass',
    },
    {
      name: 'after them',
      action: 'container.create',
      config: { open: [{ days: ['wed'], from: '08:00', to: '18:00' }] },
      at: '2026-06-03T18:00:00Z',
      expect: { deny: 'outside-time-window' },
    },
  ],
});
