// Calls of the audit as the command line shows them: whole where a program reads, shortened to a terminal's width for people.
import { shortTime } from '../../output.ts';
import { ago, type Colour, type Column, csvLine, type Screen, screenTable } from '../../screen.ts';

export interface ResourceView {
  readonly kind: string;
  readonly name: string;
  readonly id?: string;
  readonly at?: string;
}

/** One call or row as the admin API gives it. */
export interface EventView {
  readonly seq: number;
  readonly at: string;
  readonly stage: string;
  readonly auditId: string;
  readonly shortId?: string;
  readonly subject?: string | null;
  readonly tenant?: string | null;
  readonly tokenId?: string | null;
  readonly source?: string | null;
  readonly client?: string | null;
  readonly action: string;
  readonly class?: string | null;
  readonly resource?: string | null;
  readonly resourceId?: string | null;
  /** Name of an object that was asked for by its id. */
  readonly knownAs?: string | null;
  readonly resources?: readonly ResourceView[] | null;
  readonly decision: string;
  readonly outcome?: string | null;
  readonly code?: string | null;
  readonly rule?: string | null;
  readonly status?: number | null;
  readonly durationUs?: number | null;
  readonly detail?: Readonly<Record<string, unknown>> | null;
  readonly [column: string]: unknown;
}

const COLOURS: Readonly<Record<string, Colour>> = { deny: 'red', error: 'yellow', unauthenticated: 'magenta' };
export const decisionColour = ({ decision }: { readonly decision: string }): Colour | undefined => COLOURS[decision];

/** Outcomes that say more than the decision does. */
const TOLD = new Set(['not-found', 'conflict', 'cut', 'unknown', 'open']);

/** What became of it: the code, or the outcome where there is none, and the status. */
export const outcomeText = (event: EventView): string => {
  const told = event.code ?? (TOLD.has(event.outcome ?? '') ? event.outcome : undefined);
  return [told, event.status].filter((part) => part !== undefined && part !== null && part !== '').join(' ');
};

const shortHex = (name: string): string => name.replace(/^(sha256:)?([0-9a-f]{12})[0-9a-f]{52}$/, '$2');

/** `container/web` for one that was asked for by id, `image/alpine` without what is usual. */
export const resourceText = ({ resource, resourceId, knownAs }: EventView): string => {
  const [kind = '', ...rest] = (resource ?? '').split('/');
  const name = rest.join('/');
  if (typeof knownAs === 'string' && knownAs !== '') return `${kind}/${knownAs}`;
  if (name === '') return resourceId ? `${kind}/${shortHex(resourceId)}` : kind;
  if (kind === 'image') return `${kind}/${name.replace(/^docker\.io\/(library\/)?/, '').replace(/:latest$/, '')}`;
  return `${kind}/${shortHex(name)}`;
};

/** For programs and logs: nothing is shortened. */
const WHOLE: readonly Column<EventView>[] = [
  { title: 'TIME', value: ({ at }) => shortTime(at) },
  { title: 'SUBJECT', value: ({ subject }) => subject },
  { title: 'ACTION', value: ({ action }) => action },
  { title: 'RESOURCE', value: ({ resource }) => resource },
  { title: 'DECISION', value: ({ decision }) => decision },
  { title: 'CODE/STATUS', value: outcomeText },
  { title: 'AUDIT ID', value: ({ auditId }) => auditId },
];

const fitted = (now: number): readonly Column<EventView>[] => [
  { title: 'AGO', value: ({ at }) => ago(now - Date.parse(at)) },
  { title: 'SUBJECT', value: ({ subject }) => subject, least: 8, cut: 'middle' },
  { title: 'ACTION', value: ({ action }) => action, least: 10, cut: 'middle' },
  { title: 'RESOURCE', value: resourceText, least: 8, cut: 'middle' },
  { title: 'DECISION', value: ({ decision }) => decision, colour: decisionColour, from: 70 },
  { title: 'OUTCOME', value: outcomeText, colour: decisionColour, least: 6 },
  { title: 'ID', value: ({ shortId, auditId }) => shortId ?? auditId },
];

/** Columns that are shown on request only. */
export type Extra = 'binds' | 'changed';
const EXTRA: Readonly<Record<Extra, Column<EventView>>> = {
  binds: { title: 'BINDS', value: ({ detail }) => bindsIn(detail?.body).join(' '), least: 12 },
  changed: { title: 'CHANGED', value: ({ detail }) => changedIn(detail?.changes).join(' '), least: 12 },
};

/** Bind mounts in a body: `source:target` as it was asked, wherever it stands. */
export function bindsIn(body: unknown, depth = 0): readonly string[] {
  if (typeof body !== 'object' || body === null || depth > 12) return [];
  const found: string[] = [];
  for (const [key, value] of Object.entries(body)) {
    if (/^binds$/i.test(key) && Array.isArray(value)) found.push(...value.filter((one) => typeof one === 'string'));
    else found.push(...bindsIn(value, depth + 1));
  }
  const { Type, Source, Target } = body as {
    readonly Type?: unknown;
    readonly Source?: unknown;
    readonly Target?: unknown;
  };
  if (Type === 'bind') found.push(`${String(Source ?? '')}:${String(Target ?? '')}`);
  return found;
}

/** Places that plugins changed, `owner-label:/body/Labels`. */
function changedIn(changes: unknown): readonly string[] {
  if (!Array.isArray(changes)) return [];
  return (
    changes as readonly { readonly plugin?: unknown; readonly changes?: readonly { readonly path?: unknown }[] }[]
  ).flatMap((one) => (one.changes ?? []).map(({ path }) => `${String(one.plugin)}:${String(path)}`));
}

export interface TableOptions {
  /** Nothing is shortened, on a terminal neither. */
  readonly whole?: boolean | undefined;
  readonly extra?: readonly Extra[];
}

export const eventsTable = (
  screen: Screen,
  events: readonly EventView[],
  now: number,
  { whole = false, extra = [] }: TableOptions = {},
): string => {
  const more = extra.map((name) => EXTRA[name]);
  return whole || screen.width === undefined
    ? screenTable({ ...screen, width: undefined }, [...WHOLE, ...more], events)
    : screenTable(screen, [...fitted(now), ...more], events);
};

/** Columns of the CSV, in its order: part of the contract with scripts. */
const CSV = [
  ...['seq', 'at', 'stage', 'auditId', 'subject', 'issuer', 'tenant', 'tokenId', 'source', 'client', 'action', 'class'],
  ...['resource', 'resourceId', 'decision', 'outcome', 'code', 'rule', 'status', 'durationUs', 'bytesIn', 'bytesOut'],
] as const;

export const csvHead = (): string => csvLine([...CSV, 'message']);
export const csvRow = (event: EventView): string =>
  csvLine([...CSV.map((column) => cellOf(event[column])), cellOf(event.detail?.message)]);

const cellOf = (value: unknown): string | number | undefined =>
  typeof value === 'string' || typeof value === 'number' ? value : undefined;
