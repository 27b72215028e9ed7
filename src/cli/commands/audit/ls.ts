// dockgate audit ls: calls by filter, newest first.
import process from 'node:process';
import { Command } from 'commander';
import { jsonText, print, printJson, usageError } from '../../output.ts';
import { screenOf } from '../../screen.ts';
import { examples, optionsOf } from '../common.ts';
import { type AuditClient, askedBy, fromFile } from './asked.ts';
import { type FilterOptions, filtered, numberOf, paramsOf, timed } from './filter.ts';
import { csvHead, csvRow, type EventView, type Extra, eventsTable } from './rows.ts';

interface ListOptions extends FilterOptions {
  readonly limit: string;
  readonly before?: string;
  readonly rows?: boolean;
  readonly wide?: boolean;
  readonly csv?: boolean;
  readonly ndjson?: boolean;
}

/** Calls asked of the gateway at a time. */
const PAGE = 500;
const MOST = 10_000_000;

interface Page {
  readonly events: readonly EventView[];
  readonly next: number | null;
}

/** Pages until there are enough, or no more. */
async function* pages(client: AuditClient, query: URLSearchParams, limit: number): AsyncGenerator<Page> {
  let left = limit;
  for (;;) {
    query.set('limit', String(Math.min(PAGE, left)));
    const page = await client.call<Page>('GET', `/audit?${query}`);
    left -= page.events.length;
    yield page;
    if (page.next === null || left <= 0) return;
    query.set('before', String(page.next));
  }
}

export const auditLs = (): Command =>
  fromFile(timed(filtered(new Command('ls').alias('list').description('list calls, newest first, one line for each'))))
    .option('--limit <number>', 'at most this many', '50')
    .option('--before <seq>', 'only calls before this number: where a list ended')
    .option('--rows', 'one line for each stored row: intent and outcome apart')
    .option('--wide', 'whole times, names and ids on a terminal too')
    .option('--ndjson', 'one JSON object a line')
    .option('--csv', 'comma-separated values for a spreadsheet')
    .addHelpText(
      'after',
      examples(
        'dockgate audit ls --decision deny --since 1h',
        'dockgate audit ls --subject ci --action "container.*" --json',
        'dockgate audit ls --since 14:02 --until 14:05',
        'dockgate audit ls --file january.db --subject ci',
        'dockgate audit ls --resource container/web --since yesterday --csv --limit 10000 > web.csv',
      ),
    )
    .action(async (options: ListOptions, command: Command) => {
      const query = paramsOf(options);
      const limit = numberOf('limit', options.limit, 1, MOST);
      if (options.before !== undefined) query.set('before', String(numberOf('before', options.before, 1, 1e15 - 1)));
      if (options.rows !== true) query.set('fold', 'true');
      const { json } = optionsOf(command);
      if ([json, options.csv, options.ndjson].filter(Boolean).length > 1)
        throw usageError('--json, --ndjson and --csv exclude each other');
      const client = await askedBy(command);
      if (options.csv) await print(csvHead());
      const events: EventView[] = [];
      let next: number | null = null;
      for await (const page of pages(client, query, limit)) {
        next = page.next;
        if (options.csv || options.ndjson) {
          const lines = page.events.map((event) => (options.csv ? csvRow(event) : jsonText(event)));
          if (lines.length > 0) await print(lines.join('\n'));
        } else events.push(...page.events);
      }
      if (options.csv || options.ndjson) return;
      if (json) return printJson(events);
      const screen = screenOf();
      const extra: Extra[] = [];
      if (options.binds) extra.push('binds');
      if (options.plugin !== undefined) extra.push('changed');
      await print(eventsTable(screen, events, Date.now(), { whole: options.wide, extra }));
      if (next !== null && screen.width !== undefined)
        process.stderr.write(`more: --before ${next}, or a higher --limit\n`);
    });
