// dockgate audit ls: calls by filter.
import { Command } from 'commander';
import { print, printJson, table } from '../../output.ts';
import { examples, gatewayOf, optionsOf } from '../common.ts';
import { type FilterOptions, filtered, queryOf } from './filter.ts';
import { COLUMNS, type EventView, row } from './rows.ts';

export const auditLs = (): Command =>
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
