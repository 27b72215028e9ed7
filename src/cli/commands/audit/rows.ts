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

/** @param whole also on a terminal */
export const eventsTable = (
  screen: Screen,
  events: readonly EventView[],
  now: number,
  whole = false,
  titled = true,
): string =>
  whole || screen.width === undefined
    ? screenTable({ ...screen, width: undefined }, WHOLE, events, titled)
    : screenTable(screen, fitted(now), events, titled);

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
