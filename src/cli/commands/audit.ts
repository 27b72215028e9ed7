// dockgate audit: who did what, what was decided, and how it ended.
import process from 'node:process';
import { Command } from 'commander';
import { MOMENT_RULE, parseMoment } from '../../admin/duration.ts';
import { EXIT, jsonText, print, printJson, sheet, shortTime, table, usageError, visible } from '../output.ts';
import { examples, gatewayOf, optionsOf, segment } from './common.ts';

interface EventView {
  readonly seq: number;
  readonly at: string;
  readonly stage: string;
  readonly auditId: string;
  readonly subject?: string | null;
  readonly action: string;
  readonly resource?: string | null;
  readonly decision: string;
  readonly code?: string | null;
  readonly status?: number | null;
  readonly [column: string]: unknown;
}

interface FilterOptions {
  readonly subject?: string;
  readonly tenant?: string;
  readonly action?: string;
  readonly decision?: string;
  readonly since?: string;
  readonly limit?: string;
}

const DECISIONS = ['allow', 'deny', 'error', 'unauthenticated'];

const queryOf = (options: FilterOptions, more: Readonly<Record<string, string>> = {}): string => {
  const { subject, tenant, action, decision, since, limit } = options;
  if (decision !== undefined && !DECISIONS.includes(decision)) {
    throw usageError(`--decision "${decision}" is none of ${DECISIONS.join(', ')}`);
  }
  if (since !== undefined && parseMoment(since, Date.now()) === undefined)
    throw usageError(`--since "${since}" is no moment: ${MOMENT_RULE}`);
  if (limit !== undefined && !/^[1-9][0-9]{0,4}$/.test(limit))
    throw usageError(`--limit "${limit}" is no number from 1 to 10000`);
  const query = new URLSearchParams(more);
  for (const [name, value] of Object.entries({ subject, tenant, action, decision, since, limit })) {
    if (value !== undefined) query.set(name, value);
  }
  return query.size === 0 ? '' : `?${query}`;
};

const outcome = (event: EventView): string =>
  [event.code, event.status].filter((part) => part !== undefined && part !== null && part !== '').join(' ');

const COLUMNS = ['TIME', 'SUBJECT', 'ACTION', 'RESOURCE', 'DECISION', 'CODE/STATUS', 'AUDIT ID'];
const row = (event: EventView): (string | null | undefined)[] => [
  shortTime(event.at),
  event.subject,
  event.action,
  event.resource,
  event.decision,
  outcome(event),
  event.auditId,
];

const filtered = (command: Command): Command =>
  command
    .option('--subject <name>', 'only calls of this identity')
    .option('--tenant <tenant>', 'only calls of this tenant')
    .option('--action <action>', 'only this action, container.create, or a family, container.*')
    .option('--decision <decision>', 'only allow, deny, error or unauthenticated');

const list = (): Command =>
  filtered(new Command('ls').alias('list').description('list calls, newest first, one line for each'))
    .option('--since <moment>', 'only calls since 15m, 7d, 2030-01-31 or an RFC 3339 time')
    .option('--limit <number>', 'at most this many', '50')
    .option('--rows', 'one line for each stored row: intent and outcome apart')
    .addHelpText(
      'after',
      examples(
        'dockgate audit ls --decision deny --since 1h',
        'dockgate audit ls --subject ci --action "container.*" --json',
      ),
    )
    .action(async (options: FilterOptions & { rows?: boolean }, command: Command) => {
      const query = queryOf(options, options.rows ? {} : { fold: 'true' });
      const { events } = await (await gatewayOf(command)).call<{ events: EventView[] }>('GET', `/audit${query}`);
      if (optionsOf(command).json) return printJson(events);
      return print(table(COLUMNS, events.map(row)));
    });

const show = (): Command =>
  new Command('show')
    .description('show everything recorded of one call')
    .argument('<id>', 'audit id, from a denial or from audit ls')
    .addHelpText('after', examples('dockgate audit show 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55'))
    .action(async (id: string, _options: object, command: Command) => {
      const answer = await (await gatewayOf(command)).call<{ events: EventView[] }>('GET', `/audit/${segment(id)}`);
      if (optionsOf(command).json) return printJson(answer);
      return print(
        answer.events
          .map((event) => sheet(Object.entries(event).filter(([, value]) => value !== undefined && value !== null)))
          .join('\n\n'),
      );
    });

/** Widths that fit most rows; a longer cell moves the rest of its line. */
const TAIL_WIDTHS = [24, 12, 22, 28, 8, 24, 0];

const tail = (): Command =>
  filtered(new Command('tail').description('print rows as they are recorded, until interrupted'))
    .option('--last <number>', 'begin with this many earlier rows', '10')
    .addHelpText('after', examples('dockgate audit tail', 'dockgate audit tail --decision deny --json'))
    .action(async (options: FilterOptions & { last: string }, command: Command) => {
      if (!/^[0-9]{1,3}$/.test(options.last)) throw usageError(`--last "${options.last}" is no number from 0 to 999`);
      const { json } = optionsOf(command);
      const client = await gatewayOf(command);
      process.on('SIGINT', () => process.exit(EXIT.ok));
      for await (const line of client.lines(`/audit/tail${queryOf(options, { last: options.last })}`)) {
        const event = JSON.parse(line) as EventView;
        await print(
          json
            ? jsonText(event)
            : row(event)
                .map((cell, column) => visible(cell || '-').padEnd(TAIL_WIDTHS[column] ?? 0))
                .join('  '),
        );
      }
    });

export const auditCommand = (): Command =>
  new Command('audit')
    .description('read the audit log')
    .addCommand(list())
    .addCommand(show())
    .addCommand(tail())
    .addHelpText('after', examples('dockgate audit ls --decision deny', 'dockgate audit tail'));
