// dockgate audit tokens: which tokens are used, and how.
import { Command } from 'commander';
import { print, printJson, shortTime } from '../../output.ts';
import { screenOf, screenTable } from '../../screen.ts';
import { examples, gatewayOf, optionsOf } from '../common.ts';

interface TokenView {
  readonly id: string;
  readonly identity: string;
  readonly state: string;
  readonly lastUsedAt: string | null;
  readonly calls: number;
  readonly denials: number;
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly issuedBy: string;
}

export const auditTokens = (): Command =>
  new Command('tokens')
    .description('list tokens with their last use, calls and denials')
    .option('--identity <name>', 'only tokens of this identity')
    .option('--unused', 'only those never used')
    .option('--all', 'also those that ended more than a day ago')
    .addHelpText('after', examples('dockgate audit tokens', 'dockgate audit tokens --unused --all'))
    .action(async (options: { identity?: string; unused?: boolean; all?: boolean }, command: Command) => {
      const query = new URLSearchParams();
      if (options.identity !== undefined) query.set('identity', options.identity);
      if (options.unused) query.set('unused', 'true');
      if (options.all) query.set('all', 'true');
      const { tokens } = await (await gatewayOf(command)).call<{ tokens: TokenView[] }>(
        'GET',
        `/audit/tokens?${query}`,
      );
      if (optionsOf(command).json) return printJson(tokens);
      const time = (value: string | null): string | null => (value === null ? null : shortTime(value));
      return print(
        screenTable(
          screenOf(),
          [
            { title: 'ID', value: ({ id }) => id },
            { title: 'IDENTITY', value: ({ identity }) => identity, least: 8, cut: 'middle' },
            { title: 'STATE', value: ({ state }) => state },
            { title: 'LAST USED', value: ({ lastUsedAt }) => time(lastUsedAt) ?? 'never' },
            { title: 'CALLS', value: ({ calls }) => calls },
            { title: 'DENIALS', value: ({ denials }) => denials },
            { title: 'EXPIRES', value: ({ expiresAt }) => time(expiresAt), from: 120 },
            { title: 'ISSUED BY', value: ({ issuedBy }) => issuedBy, from: 140 },
          ],
          tokens,
        ),
      );
    });
