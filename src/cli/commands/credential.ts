// dockgate credential: long-lived secrets of bots, good for short tokens at /token and nothing else.
import { Command } from 'commander';
import { print, printError, printJson, shortTime, table } from '../output.ts';
import { type CeilingOptions, ceilingOf, shortCeiling, withCeiling } from './ceiling.ts';
import { examples, gatewayOf, optionsOf, segment } from './common.ts';
import { checkName, checkSpan } from './identity.ts';

interface CredentialView {
  readonly id: string;
  readonly identity: string;
  readonly scope: readonly string[] | null;
  readonly authorizationDetails: readonly unknown[] | null;
  readonly state: 'valid' | 'expired' | 'revoked';
  readonly expiresAt: string;
  readonly createdBy: string;
  readonly lastUsedAt: string | null;
  readonly tokens: number;
}

const create = (): Command =>
  withCeiling(
    new Command('create')
      .description('make a refresh credential for an identity and print it, alone, on stdout; it is shown this once')
      .argument('<name>', 'identity it is for')
      .option('--ttl <span>', 'how long it is valid, at most 366d', '90d'),
  )
    .addHelpText(
      'after',
      examples(
        'dockgate credential create ci > ci.credential',
        "dockgate credential create ci --ttl 30d --action 'container.*' --resource 'container/ci-*'",
        'curl --cacert ca.pem https://host:2376/token -d grant_type=client_credentials --data-urlencode client_secret@ci.credential',
      ),
    )
    .action(async (name: string, options: CeilingOptions & { ttl: string }, command: Command) => {
      const made = await (await gatewayOf(command)).call<CredentialView & { credential: string }>(
        'POST',
        '/credentials',
        {
          identity: checkName(name),
          ttl: checkSpan('--ttl', options.ttl),
          ...ceilingOf(options),
        },
      );
      if (optionsOf(command).json) return printJson(made);
      printError(`credential ${made.id} of ${name}, until ${shortTime(made.expiresAt)}; it is not shown again`);
      return print(made.credential);
    });

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list refresh credentials; the secrets themselves are never kept')
    .option('--identity <name>', 'only those of one identity')
    .addHelpText('after', examples('dockgate credential list', 'dockgate credential list --identity ci --json'))
    .action(async (options: { identity?: string }, command: Command) => {
      const query = options.identity === undefined ? '' : `?identity=${segment(checkName(options.identity))}`;
      const { credentials } = await (await gatewayOf(command)).call<{ credentials: CredentialView[] }>(
        'GET',
        `/credentials${query}`,
      );
      if (optionsOf(command).json) return printJson(credentials);
      return print(
        table(
          ['ID', 'IDENTITY', 'STATE', 'EXPIRES', 'LAST USED', 'TOKENS', 'CREATED BY', 'CEILING'],
          credentials.map((one) => [
            one.id,
            one.identity,
            one.state,
            shortTime(one.expiresAt),
            one.lastUsedAt === null ? 'never' : shortTime(one.lastUsedAt),
            String(one.tokens),
            one.createdBy,
            shortCeiling(one.scope, one.authorizationDetails),
          ]),
        ),
      );
    });

const revoke = (): Command =>
  new Command('revoke')
    .description('end a refresh credential now, with the tokens it was good for and the streams they opened')
    .argument('<id>', 'id of the credential, as credential list shows it')
    .addHelpText('after', examples('dockgate credential revoke 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55'))
    .action(async (id: string, _options: object, command: Command) => {
      const ended = await (await gatewayOf(command)).call<CredentialView>('DELETE', `/credentials/${segment(id)}`);
      if (optionsOf(command).json) await printJson(ended);
      else await print(`credential ${ended.id} of ${ended.identity} revoked`);
    });

export const credentialCommand = (): Command =>
  new Command('credential')
    .description('make, list and revoke refresh credentials of long-lived bots')
    .addCommand(create())
    .addCommand(list())
    .addCommand(revoke())
    .addHelpText('after', examples('dockgate credential create ci --ttl 90d', 'dockgate credential list'));
