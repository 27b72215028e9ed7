// dockgate audit show: all of one call on one page.
import { Command } from 'commander';
import { shellWord } from '../../../words/shell-word.ts';
import { jsonText, print, printJson, sheet, shortTime, visible, visibleLines } from '../../output.ts';
import { type Colour, paint, type Screen, screenOf } from '../../screen.ts';
import { examples, optionsOf, segment } from '../common.ts';
import { askedBy, fromFile } from './asked.ts';
import { decisionColour, type EventView, outcomeText, type ResourceView } from './rows.ts';

interface CallView {
  readonly auditId: string;
  /** All of its rows in one. */
  readonly call: EventView;
  /** Each row as it is stored, oldest first. */
  readonly events: readonly EventView[];
}

interface PluginChanges {
  readonly plugin: string;
  readonly changes: readonly {
    readonly op?: string;
    readonly path?: string;
    readonly value?: unknown;
    readonly before?: unknown;
    readonly after?: unknown;
  }[];
}

export const auditShow = (): Command =>
  fromFile(new Command('show'))
    .description('show everything recorded of one call')
    .argument('<id>', 'audit id or its beginning, from a denial or from audit ls')
    .option('--rows', 'each stored row with every column')
    .addHelpText(
      'after',
      examples('dockgate audit show 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55', 'dockgate audit show 0199f2c4-7d3a'),
    )
    .action(async (id: string, options: { rows?: boolean }, command: Command) => {
      const answer = await (await askedBy(command)).call<CallView>('GET', `/audit/${segment(id)}`);
      if (optionsOf(command).json) return printJson(answer);
      return print(options.rows ? answer.events.map(rowSheet).join('\n\n') : page(answer, screenOf()));
    });

const given = (value: unknown): boolean => value !== undefined && value !== null && value !== '';

const rowSheet = (event: EventView): string => sheet(Object.entries(event).filter(([, value]) => given(value)));

const microseconds = (us: number): string =>
  us < 1000 ? `${us} µs` : us < 1_000_000 ? `${(us / 1000).toFixed(1)} ms` : `${(us / 1_000_000).toFixed(2)} s`;

/** Exported for its test. */
export function page({ call, events }: CallView, screen: Screen): string {
  const detail = call.detail ?? {};
  const title = (text: string, colour: Colour = 'bold'): string => paint(screen, colour, text);
  const decided = [call.decision, given(call.code) ? `(${outcomeText(call)})` : call.status].filter(given).join(' ');
  const parts = [
    `${title(visible(`${call.action} ${call.resource ?? ''}`.trim()))}  ${paint(screen, decisionColour(call), visible(decided))}`,
    pairs([
      ['audit id', call.auditId],
      ['when', when(call, events)],
      ['who', who(call)],
      ['from', [call.source, call.client].filter(given).join(', ')],
      ['through', through(call)],
      [
        'decision',
        `${call.decision}${given(call.rule) ? ` by rule ${call.rule}` : ''}${given(call.policyRev) ? `, policy revision ${call.policyRev}` : ''}`,
      ],
      ['outcome', [call.outcome, call.status].filter(given).join(', status ')],
      ['why', detail.message],
      ['field', detail.field],
      [
        'bytes',
        given(call.bytesIn) || given(call.bytesOut) ? `${call.bytesIn ?? 0} in, ${call.bytesOut ?? 0} out` : undefined,
      ],
      ['session', call.session],
    ]),
    ...section(screen, 'Decision path', pathLines(detail)),
    ...section(screen, 'Ran', ranLines(detail)),
    ...section(screen, 'Objects', objectLines(call)),
    ...section(screen, 'Changed by plugins', changeLines(detail)),
    ...section(screen, 'Left out of what was sent', listed(detail.leftOut)),
    ...section(screen, 'Warnings', listed(detail.warnings)),
    ...section(screen, sentTitle(call), bodyLines(detail)),
    ...section(screen, 'More', moreLines(detail)),
    ...section(
      screen,
      'Rows',
      events.map((row) =>
        // That an intent has no outcome says nothing where the outcome follows.
        `${row.seq}  ${shortTime(row.at)}  ${row.stage}  ${row.decision} ${row.outcome === 'open' ? (row.status ?? '') : outcomeText(row)}`.trimEnd(),
      ),
    ),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

const pairs = (all: readonly (readonly [string, unknown])[]): string => sheet(all.filter(([, value]) => given(value)));

function section(screen: Screen, title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  return ['', paint(screen, 'bold', `${title}:`), ...lines.map((line) => `  ${visible(line)}`)].map(
    (line) => line || ' ',
  );
}

function when(call: EventView, events: readonly EventView[]): string {
  const first = events[0]?.at ?? call.at;
  return `${shortTime(first)}${given(call.durationUs) ? `, took ${microseconds(call.durationUs ?? 0)}` : ''}`;
}

function who(call: EventView): string {
  const more = [
    given(call.tenant) ? `tenant ${call.tenant}` : '',
    given(call.tokenId) ? `token ${call.tokenId}` : '',
    given(call.issuer) ? `of ${String(call.issuer)}` : '',
    given(call.actor) ? `acting: ${String(call.actor)}` : '',
  ].filter((part) => part !== '');
  return `${call.subject || 'unknown'}${more.length > 0 ? ` (${more.join(', ')})` : ''}`;
}

const through = (call: EventView): string =>
  [
    given(call.operationId) ? `${String(call.operationId)}` : '',
    given(call.apiVersion) ? `API ${String(call.apiVersion)}` : '',
    given(call.engine) ? `engine ${String(call.engine)}` : '',
    given(call.gateway) ? `gateway ${String(call.gateway)}` : '',
  ]
    .filter((part) => part !== '')
    .join(', ');

function pathLines(detail: Readonly<Record<string, unknown>>): readonly string[] {
  const { policies, reasons, ...obligations } = (detail.decided ?? {}) as {
    readonly policies?: readonly string[];
    readonly reasons?: readonly { code?: string; policy?: string; rule?: string; field?: string; message?: string }[];
  };
  return [
    ...(policies === undefined ? [] : [`asked: ${policies.join(', ') || 'no policy'}`]),
    ...(reasons ?? []).map(({ code, policy, rule, field, message }) =>
      [[policy, rule].filter(given).join('/'), field, code, message].filter(given).join('  '),
    ),
    ...Object.entries(obligations).map(([name, value]) => `obliges: ${name} ${jsonText(value)}`),
  ];
}

function objectLines({ resource, resourceId, knownAs, resources }: EventView): readonly string[] {
  const line = ({ kind, name, id, at }: ResourceView): string =>
    `${kind}/${name}${given(id) && id !== name ? `  id ${id}` : ''}${given(at) ? `  at ${at}` : ''}`;
  const [kind = '', ...name] = (resource ?? '').split('/');
  const main =
    resource === undefined || resource === null
      ? []
      : [
          {
            kind,
            name: name.join('/'),
            ...(resourceId ? { id: resourceId } : {}),
            ...(knownAs ? { at: `known as ${knownAs}` } : {}),
          },
        ];
  const all = [...main, ...(resources ?? [])];
  return all.length === 1 && !given(resourceId) && !given(knownAs) ? [] : all.map(line);
}

function changeLines(detail: Readonly<Record<string, unknown>>): readonly string[] {
  if (!Array.isArray(detail.changes)) return [];
  return (detail.changes as readonly PluginChanges[]).flatMap(({ plugin, changes }) =>
    changes.flatMap(({ op = 'change', path = '', value, before, after }) => {
      const now = after === undefined ? value : after;
      return [
        `${plugin}: ${op} ${path}`,
        ...(before === undefined ? [] : [`  - ${jsonText(before)}`]),
        ...(now === undefined ? [] : [`  + ${jsonText(now)}`]),
      ];
    }),
  );
}

/** What an exec instance ran, and how it ended. */
function ranLines({ exec, exitCode }: Readonly<Record<string, unknown>>): readonly string[] {
  const { argv, ...facts } = (exec ?? {}) as { readonly argv?: unknown; readonly exitCode?: unknown };
  const code = facts.exitCode ?? exitCode;
  return [
    ...(Array.isArray(argv) ? [argv.map((word) => shellWord(String(word))).join(' ')] : []),
    ...Object.entries(facts)
      .filter(([name, value]) => name !== 'exitCode' && given(value) && value !== false)
      .map(([name, value]) => `${name}: ${String(value)}`),
    ...(code === undefined ? [] : [`exit code: ${String(code)}`]),
  ];
}

const listed = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.map((one) => (typeof one === 'string' ? one : jsonText(one))) : [];

/** Whether the engine got the body as the caller sent it. */
function sentTitle({ bodySha256, sentSha256, decision }: EventView): string {
  const received = given(bodySha256) ? `received sha256 ${String(bodySha256)}` : '';
  if (decision !== 'allow') return ['Asked', received].filter(given).join(', ');
  if (!given(sentSha256)) return ['Sent', received].filter(given).join(', ');
  return bodySha256 === sentSha256
    ? `Sent as received, sha256 ${String(sentSha256)}`
    : `Sent, ${received}, sent sha256 ${String(sentSha256)}`;
}

function bodyLines({ query, body }: Readonly<Record<string, unknown>>): readonly string[] {
  return [
    ...(query === undefined ? [] : [`query ${jsonText(query)}`]),
    ...(body === undefined ? [] : visibleLines(jsonText(withoutEmpty(body) ?? {}, 2)).split('\n')),
  ];
}

/** What says something: a client writes every field there is. `--json` has all of them. */
function withoutEmpty(value: unknown): unknown {
  if (value === null || value === '' || value === 0 || value === false) return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((one) => withoutEmpty(one) ?? one);
  if (typeof value !== 'object') return value;
  const kept = Object.entries(value).flatMap(([key, inner]) => {
    const left = withoutEmpty(inner);
    return left === undefined ? [] : [[key, left]];
  });
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

/** Told elsewhere on the page. */
const TOLD = new Set([
  'message',
  'field',
  'query',
  'body',
  'changes',
  'leftOut',
  'warnings',
  'decided',
  'exec',
  'exitCode',
  'resources',
]);

const moreLines = (detail: Readonly<Record<string, unknown>>): readonly string[] =>
  Object.entries(detail)
    .filter(([name]) => !TOLD.has(name))
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : jsonText(value)}`);
