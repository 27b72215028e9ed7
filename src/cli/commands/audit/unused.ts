// dockgate audit unused: rules that decide nothing and rights that are not used.
import { Command } from 'commander';
import { print, printJson, shortTime } from '../../output.ts';
import { screenOf, screenTable } from '../../screen.ts';
import { examples, gatewayOf, optionsOf } from '../common.ts';
import { numberOf } from './filter.ts';

interface UnusedView {
  readonly days: number;
  readonly since: string;
  readonly logSince: string | null;
  readonly rules: readonly { readonly rule: string; readonly effect: string; readonly lastUsedAt: string | null }[];
  readonly tokens: readonly {
    readonly id: string;
    readonly identity: string;
    readonly state: string;
    readonly lastUsedAt: string | null;
  }[];
  readonly grants: readonly {
    readonly identity: string;
    readonly granted: number;
    readonly used: readonly string[];
    readonly unused: readonly string[];
    readonly lastUsedAt: string | null;
  }[];
}

export const auditUnused = (): Command =>
  new Command('unused')
    .description('list rules that decided nothing, tokens and granted actions without a use')
    .option('--days <number>', 'not within so many days', '90')
    .option('--identity <name>', 'only this identity, with every action it did not use')
    .addHelpText('after', examples('dockgate audit unused --days 30', 'dockgate audit unused --identity ci'))
    .action(async (options: { days: string; identity?: string }, command: Command) => {
      const query = new URLSearchParams({ days: String(numberOf('days', options.days, 1, 3650)) });
      if (options.identity !== undefined) query.set('identity', options.identity);
      const answer = await (await gatewayOf(command)).call<UnusedView>('GET', `/audit/unused?${query}`);
      if (optionsOf(command).json) return printJson(answer);
      const screen = screenOf();
      const last = (value: string | null): string => (value === null ? 'never' : shortTime(value));
      const isShort = answer.logSince !== null && answer.logSince > answer.since;
      const rules = screenTable(
        screen,
        [
          { title: 'RULE', value: ({ rule }) => rule, least: 12, cut: 'middle' },
          { title: 'EFFECT', value: ({ effect }) => effect },
          { title: 'LAST USED', value: ({ lastUsedAt }) => last(lastUsedAt) },
        ],
        answer.rules,
      );
      const tokens = screenTable(
        screen,
        [
          { title: 'TOKEN', value: ({ id }) => id },
          { title: 'IDENTITY', value: ({ identity }) => identity, least: 8, cut: 'middle' },
          { title: 'STATE', value: ({ state }) => state },
          { title: 'LAST USED', value: ({ lastUsedAt }) => last(lastUsedAt) },
        ],
        answer.tokens,
      );
      const grants = screenTable(
        screen,
        [
          { title: 'IDENTITY', value: ({ identity }) => identity, least: 8, cut: 'middle' },
          { title: 'GRANTED', value: ({ granted }) => granted },
          { title: 'USED', value: ({ used }) => used.length },
          { title: 'UNUSED', value: ({ unused }) => unused.length },
          { title: 'LAST USED', value: ({ lastUsedAt }) => last(lastUsedAt) },
          {
            title: 'UNUSED ACTIONS',
            value: ({ unused }) => (options.identity === undefined ? shortened(unused) : unused.join(', ')),
            least: 14,
          },
        ],
        answer.grants,
      );
      return print(
        [
          ...(isShort
            ? [`the log begins ${shortTime(answer.logSince ?? '')}: what was used before is not known`, '']
            : []),
          `rules of bound policies that decided nothing since ${shortTime(answer.since)}:`,
          answer.rules.length === 0 ? 'none' : rules,
          '',
          'tokens that were not used since then:',
          answer.tokens.length === 0 ? 'none' : tokens,
          '',
          'granted actions that were not used since then:',
          grants,
        ].join('\n'),
      );
    });

const SHOWN = 6;
const shortened = (actions: readonly string[]): string =>
  actions.length <= SHOWN
    ? actions.join(', ')
    : `${actions.slice(0, SHOWN).join(', ')} and ${actions.length - SHOWN} more`;
