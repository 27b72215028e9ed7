// dockgate audit tail: rows as they are recorded.
import process from 'node:process';
import { Command } from 'commander';
import { EXIT, jsonText, print, shortTime, visible } from '../../output.ts';
import { fit, paint, type Screen, screenOf } from '../../screen.ts';
import { examples, gatewayOf, optionsOf } from '../common.ts';
import { type FilterOptions, filtered, numberOf, paramsOf, timed } from './filter.ts';
import { decisionColour, type EventView, outcomeText, resourceText } from './rows.ts';

/** Widths that fit most rows; a longer cell moves the rest of its line. */
const WIDTHS = [24, 12, 22, 28, 8, 24, 0];

const lineOf = (event: EventView, screen: Screen): string => {
  const isPeople = screen.width !== undefined;
  const cells = [
    isPeople ? new Date(event.at).toTimeString().slice(0, 8) : shortTime(event.at),
    event.subject,
    event.action,
    isPeople ? resourceText(event) : event.resource,
    event.decision,
    outcomeText(event),
    event.auditId,
  ];
  const widths = isPeople ? WIDTHS.with(0, 8) : WIDTHS;
  const line = cells.map((cell, column) => visible(cell || '-').padEnd(widths[column] ?? 0)).join('  ');
  return screen.width === undefined ? line : paint(screen, decisionColour(event), fit(line, screen.width));
};

export const auditTail = (): Command =>
  timed(filtered(new Command('tail').description('print rows as they are recorded, until interrupted')))
    .option('--last <number>', 'begin with this many earlier rows; with --since, all of them up to 999', '10')
    .addHelpText(
      'after',
      examples(
        'dockgate audit tail',
        'dockgate audit tail --since 10m --until 14:05',
        'dockgate audit tail --decision deny --json',
      ),
    )
    .action(async (options: FilterOptions & { last: string }, command: Command) => {
      const query = paramsOf(options);
      const isAsked = command.getOptionValueSource('last') !== 'default';
      const last = options.since === undefined || isAsked ? options.last : '999';
      query.set('last', String(numberOf('last', last, 0, 999)));
      const { json } = optionsOf(command);
      const client = await gatewayOf(command);
      process.on('SIGINT', () => process.exit(EXIT.ok));
      for await (const line of client.lines(`/audit/tail?${query}`)) {
        const event = JSON.parse(line) as EventView;
        await print(json ? jsonText(event) : lineOf(event, screenOf()));
      }
    });
