// dockgate issuer: the external issuers whose tokens the gateway takes, and whether their keys are at hand.
import { Command } from 'commander';
import { print, printJson, table, usageError } from '../output.ts';
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

interface BlockOptions {
  readonly token?: string;
  readonly subject?: string;
}

interface BlockView {
  readonly issuer: string;
  readonly kind: 'token' | 'subject';
  readonly value: string;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly until: string | null;
}

/** Exactly one of --token and --subject. */
const blockOf = (issuer: string, { token, subject }: BlockOptions) => {
  if ((token === undefined) === (subject === undefined)) throw usageError('give either --token or --subject');
  return token === undefined ? { issuer, kind: 'subject', value: subject } : { issuer, kind: 'token', value: token };
};

const withOptions = (command: Command): Command =>
  command
    .argument('<issuer>', 'name of the issuer in the settings')
    .option('--token <id>', 'one token, by its jti or as the audit names it')
    .option('--subject <subject>', 'everything of one subject, by the sub of its tokens or as the audit names it');

const block = (): Command =>
  withOptions(new Command('block'))
    .description('refuse a token or a subject from now on, although its issuer vouches for it; its streams end at once')
    .addHelpText(
      'after',
      examples(
        'dockgate issuer block github --token 0199f2c4-...',
        'dockgate issuer block github --subject github:acme/app',
      ),
    )
    .action(async (issuer: string, options: BlockOptions, command: Command) => {
      const made = await (await gatewayOf(command)).call<BlockView>('POST', '/issuer-blocks', blockOf(issuer, options));
      if (optionsOf(command).json) return printJson(made);
      return print(`${made.kind} ${made.value} of ${made.issuer} is blocked`);
    });

const unblock = (): Command =>
  withOptions(new Command('unblock'))
    .description('end a block')
    .addHelpText('after', examples('dockgate issuer unblock github --subject github:acme/app'))
    .action(async (issuer: string, options: BlockOptions, command: Command) => {
      const { kind, value = '' } = blockOf(issuer, options);
      const query = new URLSearchParams({ issuer, kind, value });
      await (await gatewayOf(command)).call('DELETE', `/issuer-blocks?${query}`);
      if (!optionsOf(command).json) await print(`${kind} ${value} of ${issuer} is no longer blocked`);
    });

const blocks = (): Command =>
  new Command('blocks')
    .description('list what is blocked')
    .addHelpText('after', examples('dockgate issuer blocks', 'dockgate issuer blocks --json'))
    .action(async (_options: object, command: Command) => {
      const found = await (await gatewayOf(command)).call<{ blocks: BlockView[] }>('GET', '/issuer-blocks');
      if (optionsOf(command).json) return printJson(found.blocks);
      return print(
        table(
          ['ISSUER', 'KIND', 'VALUE', 'SINCE', 'BY', 'UNTIL'],
          found.blocks.map((one) => [one.issuer, one.kind, one.value, one.createdAt, one.createdBy, one.until]),
        ),
      );
    });

export const issuerCommand = (): Command =>
  new Command('issuer')
    .description(
      'external issuers (GitHub, GitLab, Kubernetes, ...) whose tokens are taken, and what of them is blocked',
    )
    .addCommand(list())
    .addCommand(block())
    .addCommand(unblock())
    .addCommand(blocks())
    .addHelpText('after', examples('dockgate issuer list'));
