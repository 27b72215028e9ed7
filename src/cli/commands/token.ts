// dockgate token: short-lived credentials of an identity. `create` prints the token alone, so that scripts can take it.
import { Command } from 'commander';
import { print, printJson, shortTime, table, usageError } from '../output.ts';
import { type CeilingOptions, ceilingOf, shortCeiling, withCeiling } from './ceiling.ts';
import { examples, gatewayOf, optionsOf, segment } from './common.ts';
import { checkName, checkSpan } from './identity.ts';

interface TokenView {
  readonly id: string;
  readonly identity: string;
  readonly scope: readonly string[] | null;
  readonly authorizationDetails: readonly unknown[] | null;
  readonly parent: string | null;
  readonly lastUsedAt: string | null;
  readonly calls: number;
  readonly denials: number;
  readonly state: 'valid' | 'expired' | 'revoked';
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly revokedAt: string | null;
  readonly issuedBy: string;
}

interface CreateOptions extends CeilingOptions {
  readonly ttl?: string;
  readonly bindCert?: string;
  readonly lease?: string;
}

/** `x5t#S256` of the first certificate in a PEM file. */
const thumbprintIn = async (file: string): Promise<string> => {
  const { createHash, X509Certificate } = await import('node:crypto');
  const { readFileSync } = await import('node:fs');
  try {
    return createHash('sha256')
      .update(new X509Certificate(readFileSync(file)).raw)
      .digest('base64url');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw usageError(
      code === 'ENOENT' || code === 'EACCES'
        ? `certificate file ${file} cannot be read (${code})`
        : `${file} is no PEM certificate`,
    );
  }
};

const create = (): Command =>
  withCeiling(
    new Command('create')
      .description('issue a token for an identity and print it, alone, on stdout')
      .argument('<name>', 'identity the token is for')
      .option('--ttl <span>', "how long it is valid: 30s, 15m, 1h, 7d (default: 1h, or the identity's limit)")
      .option('--bind-cert <file>', 'bind it to this client certificate (PEM): it is good on connections with it alone')
      .option('--lease <span>', 'remove what a tenant makes with it after this time: 30m, 2h, 7d'),
  )
    .addHelpText(
      'after',
      examples(
        'dockgate token create ci',
        'TOKEN=$(dockgate token create ci --ttl 15m --scope class:read --scope container.logs)',
        "dockgate token create ci --action 'container.*' --resource 'container/ci-*' --resource 'image/*' --host-preset baseline",
        'dockgate token create alice --ttl 7d --json',
      ),
    )
    .action(async (name: string, options: CreateOptions, command: Command) => {
      checkName(name);
      const { ttl } = options;
      const made = await (await gatewayOf(command)).call<TokenView & { token: string }>('POST', '/tokens', {
        identity: name,
        ...(options.bindCert === undefined ? {} : { boundTo: await thumbprintIn(options.bindCert) }),
        ...(ttl === undefined ? {} : { ttl: checkSpan('--ttl', ttl) }),
        ...(options.lease === undefined ? {} : { lease: checkSpan('--lease', options.lease) }),
        ...ceilingOf(options),
      });
      if (optionsOf(command).json) await printJson(made);
      else await print(made.token);
    });

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list issued tokens; the tokens themselves are never kept')
    .option('--identity <name>', 'only those of one identity')
    .option('--all', 'also those that ended more than a day ago')
    .addHelpText('after', examples('dockgate token list', 'dockgate token list --identity ci --json'))
    .action(async (options: { identity?: string; all?: boolean }, command: Command) => {
      const query = [
        ...(options.identity === undefined ? [] : [`identity=${segment(checkName(options.identity))}`]),
        ...(options.all === true ? ['all=true'] : []),
      ].join('&');
      const { tokens } = await (await gatewayOf(command)).call<{ tokens: TokenView[] }>(
        'GET',
        `/tokens${query === '' ? '' : `?${query}`}`,
      );
      if (optionsOf(command).json) return printJson(tokens);
      return print(
        table(
          ['ID', 'IDENTITY', 'STATE', 'EXPIRES', 'LAST USED', 'CALLS', 'DENIED', 'ISSUED BY', 'CEILING'],
          tokens.map((one) => [
            one.id,
            one.identity,
            one.state,
            shortTime(one.expiresAt),
            one.lastUsedAt === null ? 'never' : shortTime(one.lastUsedAt),
            String(one.calls),
            String(one.denials),
            one.issuedBy,
            shortCeiling(one.scope, one.authorizationDetails),
          ]),
        ),
      );
    });

const revoke = (): Command =>
  new Command('revoke')
    .description('end tokens now, with what was made from them and the streams they opened')
    .argument('[id]', 'id of the token, its jti, as token list shows it')
    .option('--identity <name>', 'all tokens and credentials of an identity instead')
    .option('--before <time>', 'of those, only what was issued before: 1h, 2030-01-31, 2030-01-31T12:00:00Z')
    .addHelpText(
      'after',
      examples(
        'dockgate token revoke 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55',
        'dockgate token revoke --identity ci',
        'dockgate token revoke --identity ci --before 1h',
      ),
    )
    .action(async (id: string | undefined, options: { identity?: string; before?: string }, command: Command) => {
      const { identity, before } = options;
      if ((id === undefined) === (identity === undefined)) throw usageError('give the id of a token, or --identity');
      if (before !== undefined && identity === undefined) throw usageError('--before belongs to --identity');
      if (identity !== undefined) {
        const ended = await (await gatewayOf(command)).call<{ tokens: number; credentials: number }>(
          'POST',
          '/tokens/revoke',
          { identity: checkName(identity), ...(before === undefined ? {} : { before }) },
        );
        if (optionsOf(command).json) await printJson(ended);
        else await print(`${ended.tokens} tokens and ${ended.credentials} credentials of ${identity} revoked`);
        return;
      }
      const token = await (await gatewayOf(command)).call<TokenView>('DELETE', `/tokens/${segment(id as string)}`);
      if (optionsOf(command).json) await printJson(token);
      else await print(`token ${token.id} of ${token.identity} revoked`);
    });

export const tokenCommand = (): Command =>
  new Command('token')
    .description('issue, list and revoke tokens')
    .addCommand(create())
    .addCommand(list())
    .addCommand(revoke())
    .addHelpText('after', examples('dockgate token create ci --ttl 1h', 'dockgate token list'));
