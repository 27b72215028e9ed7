// dockgate audit tail: rows as they are recorded.
import process from 'node:process';
import { Command } from 'commander';
import { EXIT, jsonText, print, usageError, visible } from '../../output.ts';
import { examples, gatewayOf, optionsOf } from '../common.ts';
import { type FilterOptions, filtered, queryOf } from './filter.ts';
import { type EventView, row } from './rows.ts';

/** Widths that fit most rows; a longer cell moves the rest of its line. */
const TAIL_WIDTHS = [24, 12, 22, 28, 8, 24, 0];

export const auditTail = (): Command =>
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
