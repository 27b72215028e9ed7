// dockgate audit sessions: who ran what in which container, as whom, and how it ended.
import { Command } from 'commander';
import { shellWord } from '../../../words/shell-word.ts';
import { jsonText, print, printJson, visible } from '../../output.ts';
import { ago, csvLine, screenOf, screenTable } from '../../screen.ts';
import { examples, optionsOf } from '../common.ts';
import { askedBy, fromFile } from './asked.ts';
import { type FilterOptions, filtered, numberOf, paramsOf, timed } from './filter.ts';
import { decisionColour } from './rows.ts';

interface SessionView {
  readonly seq: number;
  readonly at: string;
  readonly auditId: string;
  readonly session: string | null;
  readonly kind: string;
  readonly subject: string | null;
  readonly container: string | null;
  readonly containerName: string | null;
  readonly argv: readonly string[] | null;
  readonly user: string | null;
  readonly exitCode: number | null;
  readonly decision: string;
  readonly outcome: string | null;
  readonly code: string | null;
  readonly durationUs: number | null;
  readonly bytesIn: number | null;
  readonly bytesOut: number | null;
  readonly recorded?: string | null;
  readonly transcript?: unknown;
  readonly commands?: readonly string[] | null;
}

interface SessionOptions extends FilterOptions {
  readonly limit: string;
  readonly ndjson?: boolean;
  readonly csv?: boolean;
  readonly commands?: boolean;
}

const CSV = [
  'at',
  'auditId',
  'session',
  'kind',
  'subject',
  'container',
  'containerName',
  'user',
  'exitCode',
  'decision',
  'outcome',
  'durationUs',
  'bytesIn',
  'bytesOut',
] as const;

const commandOf = ({ argv }: SessionView): string => (argv ?? []).map((word) => shellWord(String(word))).join(' ');
/** What was typed in one session, each line as the terminal showed it. */
const typedIn = ({ auditId, commands }: SessionView): string[] =>
  commands == null || commands.length === 0
    ? []
    : ['', `${visible(auditId)}:`, ...commands.map((line) => `  ${visible(String(line))}`)];
const shortId = (id: string | null): string | null => id?.replace(/^([0-9a-f]{12})[0-9a-f]{52}$/, '$1') ?? null;
const seconds = (us: number | null): string | null =>
  us === null ? null : `${(us / 1_000_000).toFixed(us < 10_000_000 ? 1 : 0)}s`;

export const auditSessions = (): Command =>
  fromFile(
    timed(
      filtered(new Command('sessions').description('list exec and attach sessions: what ran, as whom, how it ended')),
    ),
  )
    .option('--limit <number>', 'at most this many', '50')
    .option('--commands', 'below each recorded session what was typed, as far as the terminal showed it')
    .option('--ndjson', 'one JSON object a line')
    .option('--csv', 'comma-separated values for a spreadsheet')
    .addHelpText(
      'after',
      examples(
        'dockgate audit sessions --resource container/web',
        'dockgate audit sessions --subject ann --since yesterday --json',
      ),
    )
    .action(async (options: SessionOptions, command: Command) => {
      const query = paramsOf(options);
      const limit = numberOf('limit', options.limit, 1, 100_000);
      const client = await askedBy(command);
      const sessions: SessionView[] = [];
      for (let left = limit; left > 0; ) {
        query.set('limit', String(Math.min(500, left)));
        const page = await client.call<{ sessions: SessionView[]; next: number | null }>(
          'GET',
          `/audit/sessions?${query}`,
        );
        sessions.push(...page.sessions);
        left -= page.sessions.length;
        if (page.next === null) break;
        query.set('before', String(page.next));
      }
      if (optionsOf(command).json) return printJson(sessions);
      if (options.ndjson) return print(sessions.map((one) => jsonText(one)).join('\n'));
      if (options.csv)
        return print(
          [
            csvLine([...CSV, 'command']),
            ...sessions.map((one) => csvLine([...CSV.map((column) => one[column]), commandOf(one)])),
          ].join('\n'),
        );
      const screen = screenOf();
      const now = Date.now();
      const shown = screenTable(
        screen,
        [
          {
            title: screen.width === undefined ? 'TIME' : 'AGO',
            value: ({ at }) => (screen.width === undefined ? at : ago(now - Date.parse(at))),
          },
          { title: 'SUBJECT', value: ({ subject }) => subject, least: 8, cut: 'middle' },
          { title: 'KIND', value: ({ kind }) => kind, from: 70 },
          {
            title: 'CONTAINER',
            value: ({ container, containerName }) => containerName ?? shortId(container),
            least: 8,
            cut: 'middle',
          },
          { title: 'USER', value: ({ user }) => user, least: 4 },
          {
            title: 'EXIT',
            value: ({ exitCode, decision, outcome }) => exitCode ?? (decision === 'allow' ? outcome : decision),
            colour: decisionColour,
          },
          { title: 'TIME TAKEN', value: ({ durationUs }) => seconds(durationUs), from: 90 },
          { title: 'IN/OUT', value: ({ bytesIn, bytesOut }) => `${bytesIn ?? 0}/${bytesOut ?? 0}`, from: 100 },
          { title: 'REC', value: ({ transcript }) => (transcript ? 'yes' : null), from: 110 },
          { title: 'AUDIT ID', value: ({ auditId }) => auditId, from: 130 },
          { title: 'COMMAND', value: commandOf, least: 10 },
        ],
        sessions,
      );
      return print(options.commands ? [shown, ...sessions.flatMap(typedIn)].join('\n') : shown);
    });
