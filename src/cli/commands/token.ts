// dockgate token: short-lived credentials of an identity. `create` prints the token alone, so that scripts can take it.
import { Command } from 'commander';
import { DURATION_RULE, parseDuration } from '../../admin/duration.ts';
import { print, printJson, shortTime, table, usageError } from '../output.ts';
import { collect, examples, gatewayOf, optionsOf, segment } from './common.ts';
import { checkName } from './identity.ts';

interface TokenView {
  readonly id: string;
  readonly identity: string;
  readonly scope: readonly string[] | null;
  readonly state: 'valid' | 'expired' | 'revoked';
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly revokedAt: string | null;
  readonly issuedBy: string;
}

interface CreateOptions {
  readonly ttl: string;
  readonly scope?: string[];
  readonly bindCert?: string;
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
  new Command('create')
    .description('issue a token for an identity and print it, alone, on stdout')
    .argument('<name>', 'identity the token is for')
    .option('--ttl <span>', 'how long it is valid: 30s, 15m, 1h, 7d', '1h')
    .option('--scope <scope>', 'ceiling of what it may do, an action or class; may be given more than once', collect)
    .option('--bind-cert <file>', 'bind it to this client certificate (PEM): it is good on connections with it alone')
    .addHelpText(
      'after',
      examples(
        'dockgate token create ci',
        'TOKEN=$(dockgate token create ci --ttl 15m --scope class:read --scope container.logs)',
        'dockgate token create ci --ttl 7d --json',
      ),
    )
    .action(async (name: string, options: CreateOptions, command: Command) => {
      checkName(name);
      if (parseDuration(options.ttl) === undefined)
        throw usageError(`--ttl "${options.ttl}" is no span: ${DURATION_RULE}`);
      const made = await (await gatewayOf(command)).call<TokenView & { token: string }>('POST', '/tokens', {
        identity: name,
        ttl: options.ttl,
        ...(options.scope === undefined ? {} : { scope: options.scope }),
        ...(options.bindCert === undefined ? {} : { boundTo: await thumbprintIn(options.bindCert) }),
      });
      if (optionsOf(command).json) await printJson(made);
      else await print(made.token);
    });

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list issued tokens; the tokens themselves are never kept')
    .option('--identity <name>', 'only those of one identity')
    .addHelpText('after', examples('dockgate token list', 'dockgate token list --identity ci --json'))
    .action(async (options: { identity?: string }, command: Command) => {
      const query = options.identity === undefined ? '' : `?identity=${segment(checkName(options.identity))}`;
      const { tokens } = await (await gatewayOf(command)).call<{ tokens: TokenView[] }>('GET', `/tokens${query}`);
      if (optionsOf(command).json) return printJson(tokens);
      return print(
        table(
          ['ID', 'IDENTITY', 'STATE', 'EXPIRES', 'ISSUED BY', 'SCOPE'],
          tokens.map((one) => [
            one.id,
            one.identity,
            one.state,
            shortTime(one.expiresAt),
            one.issuedBy,
            one.scope?.join(','),
          ]),
        ),
      );
    });

const revoke = (): Command =>
  new Command('revoke')
    .description('end a token now; its next request is refused')
    .argument('<id>', 'id of the token, its jti, as token list shows it')
    .addHelpText('after', examples('dockgate token revoke 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55'))
    .action(async (id: string, _options: object, command: Command) => {
      const token = await (await gatewayOf(command)).call<TokenView>('DELETE', `/tokens/${segment(id)}`);
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
