// dockgate issuer: the external issuers whose tokens the gateway takes, and whether their keys are at hand.
import { Command } from 'commander';
import { print, printJson, table } from '../output.ts';
import { examples, gatewayOf, optionsOf } from './common.ts';

interface IssuerView {
  readonly name: string;
  readonly preset: string | null;
  readonly issuer: string;
  readonly status: string;
  readonly keys: readonly string[];
  readonly fetchedAt: string | null;
  readonly error: string | null;
}

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list the issuers of the settings: their keys, when they were last fetched, and what went wrong')
    .addHelpText(
      'after',
      `
STATUS is ready (fresh keys), stale (the issuer is away, its last keys serve for up to a day),
down (its tokens are refused) or pending (the first fetch is under way).
${examples('dockgate issuer list', 'dockgate issuer list --json')}`,
    )
    .action(async (_options: object, command: Command) => {
      const { issuers } = await (await gatewayOf(command)).call<{ issuers: IssuerView[] }>('GET', '/issuers');
      if (optionsOf(command).json) return printJson(issuers);
      return print(
        table(
          ['NAME', 'PRESET', 'STATUS', 'KEYS', 'FETCHED', 'ISSUER', 'ERROR'],
          issuers.map((one) => [
            one.name,
            one.preset,
            one.status,
            one.keys.length,
            one.fetchedAt,
            one.issuer,
            one.error,
          ]),
        ),
      );
    });

export const issuerCommand = (): Command =>
  new Command('issuer')
    .description('show the external issuers (GitHub, GitLab, Kubernetes, ...) whose tokens are taken')
    .addCommand(list())
    .addHelpText('after', examples('dockgate issuer list'));
