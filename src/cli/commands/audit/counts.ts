// dockgate audit denies and stats: calls counted by what they have in common.
import { Command } from 'commander';
import { print, printJson, shortTime } from '../../output.ts';
import { type Column, csvLine, screenOf, screenTable } from '../../screen.ts';
import { examples, optionsOf } from '../common.ts';
import { askedBy, fromFile } from './asked.ts';
import { type FilterOptions, filtered, numberOf, paramsOf, timed } from './filter.ts';

interface CountOptions extends FilterOptions {
  readonly by: string;
  readonly groupBy?: string;
  readonly limit: string;
  readonly csv?: boolean;
}

type Group = Readonly<Record<string, string | number | null>>;
interface CountView {
  readonly by: readonly string[];
  readonly groups: readonly Group[];
  readonly more: number;
}

const counted = (
  name: string,
  description: string,
  by: string,
  lines: readonly string[],
  left: readonly string[],
): Command =>
  fromFile(timed(filtered(new Command(name).description(description), left)))
    .option(
      '--by <columns>',
      'comma-separated: subject, tenant, token, action, class, resource, decision, outcome, code, rule, field, source, client, status, minute, hour, day',
      by,
    )
    .option('--group-by <columns>', 'the same as --by')
    .option('--limit <number>', 'at most this many groups, the largest', '50')
    .option('--csv', 'comma-separated values for a spreadsheet')
    .addHelpText('after', examples(...lines))
    .action(async (options: CountOptions, command: Command) => {
      const query = paramsOf(options);
      query.set('by', options.groupBy ?? options.by);
      query.set('limit', String(numberOf('limit', options.limit, 1, 1000)));
      const answer = await (await askedBy(command)).call<CountView>('GET', `/audit/${name}?${query}`);
      if (optionsOf(command).json) return printJson(answer);
      const isDenies = name === 'denies';
      const totals = isDenies ? ['calls', 'firstAt', 'lastAt'] : ['calls', 'denials', 'errors', 'lastAt'];
      if (options.csv) {
        const columns = [...answer.by, 'calls', 'denials', 'errors', 'firstAt', 'lastAt', 'lastAuditId'];
        return print(
          [csvLine(columns), ...answer.groups.map((group) => csvLine(columns.map((column) => group[column])))].join(
            '\n',
          ),
        );
      }
      const columns: Column<Group>[] = [
        ...answer.by.map(
          (key): Column<Group> => ({
            title: key.toUpperCase(),
            value: (group) => textOf(group[key]),
            least: 8,
            cut: 'middle',
          }),
        ),
        ...totals.map(
          (key): Column<Group> => ({
            title: TITLES[key] ?? key,
            value: (group) => textOf(group[key]),
            from: key === 'firstAt' ? 100 : 0,
          }),
        ),
        ...(isDenies ? [{ title: 'NEWEST', value: (group: Group) => textOf(group.lastAuditId), from: 120 }] : []),
      ];
      await print(screenTable(screenOf(), columns, answer.groups));
      if (answer.more > 0) await print(`${answer.more} more groups; give a higher --limit`);
    });

const TITLES: Readonly<Record<string, string>> = {
  calls: 'CALLS',
  denials: 'DENIALS',
  errors: 'ERRORS',
  firstAt: 'FIRST',
  lastAt: 'LAST',
};

const textOf = (value: string | number | null | undefined): string | number | null | undefined =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\dT.*Z$/.test(value)
    ? shortTime(value).replace(/(:00)?\.000Z$/, 'Z')
    : value;

export const auditDenies = (): Command =>
  counted(
    'denies',
    'count denials by rule, subject and field',
    'rule,subject,field',
    ['dockgate audit denies --since 7d', 'dockgate audit denies --group-by code,action --tenant red'],
    ['decision'],
  );

export const auditStats = (): Command =>
  counted(
    'stats',
    'count calls by hour and subject, or by other columns',
    'hour,subject',
    ['dockgate audit stats --since 24h', 'dockgate audit stats --by day,action --subject ci'],
    [],
  );
