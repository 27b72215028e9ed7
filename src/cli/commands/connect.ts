// dockgate connect and dial-stdio: a local socket, or this process's own input and output, carried to a gateway with a
// credential. They load nothing of the gateway itself.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import process from 'node:process';
import { Command } from 'commander';
import type { Credentials } from '../../connect/credentials.ts';
import type { GatewayTarget } from '../../connect/upstream.ts';
import type { Environment } from '../client.ts';
import { print, printError, usageError } from '../output.ts';
import { examples, optionsOf } from './common.ts';

interface ConnectFlags {
  readonly host?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly tokenCommand?: string;
  readonly credentialFile?: string;
  readonly cert?: string;
  readonly key?: string;
}

const CREDENTIALS = `
Credential, one of:
  --token-file FILE      read again whenever the file changes        (DOCKGATE_TOKEN_FILE)
  --token-command CMD    run again before its token expires          (DOCKGATE_TOKEN_COMMAND)
  --credential-file FILE refresh credential ("dockgate credential create"), exchanged for short
                         tokens; read again on change                (DOCKGATE_CREDENTIAL_FILE)
  --cert FILE --key FILE client certificate, read again on change    (DOCKGATE_CERT, DOCKGATE_KEY)
  the token itself in DOCKGATE_TOKEN
A 401 of the gateway makes it look once for a newer token. --ca FILE (DOCKGATE_CA) trusts a private CA.`;

/**
 * Reads where the gateway is: `https://host:port` (`tcp://` is the same), `http://` on this machine, `unix:///path`.
 *
 * @param allowPlain plain HTTP to other machines too, for who only looks
 * @throws {CliError} usage
 */
export const readTarget = (
  text: string,
  flags: ConnectFlags,
  env: Environment,
  { allowPlain = false } = {},
): GatewayTarget => {
  if (text.startsWith('unix://')) {
    const path = text.slice('unix://'.length);
    if (!path.startsWith('/')) throw usageError(`"${text}" names no socket; write unix:///path/to.sock`);
    return { text, address: { kind: 'unix', path } };
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const scheme = url?.protocol;
  if (url === undefined || !/^(https|tcp|http):$/.test(scheme ?? '') || url.hostname === '')
    throw usageError(`the gateway must be an address such as https://gateway.example:2376, not "${text}"`);
  if (url.username || url.password || url.search || url.hash || !/^\/?$/.test(url.pathname))
    throw usageError('the address is scheme, host and port only; the token comes from a file or a command');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port) || (scheme === 'http:' ? 80 : scheme === 'https:' ? 443 : 2376);
  if (scheme === 'http:') {
    if (!allowPlain && !/^(localhost|127\.[\d.]+|::1)$/.test(host))
      throw usageError('plain http would show the token to the network; write https://');
    return { text, address: { kind: 'tcp', host, port } };
  }
  const files = {
    ca: flags.ca ?? env.DOCKGATE_CA,
    cert: flags.cert ?? env.DOCKGATE_CERT,
    key: flags.key ?? env.DOCKGATE_KEY,
  };
  if (!files.cert !== !files.key) throw usageError('--cert and --key belong together');
  const tls: Record<string, string> = {};
  for (const [name, file] of Object.entries(files)) {
    if (!file) continue;
    tls[name] = resolve(file);
    try {
      readFileSync(tls[name]);
    } catch (error) {
      throw usageError(`--${name} ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  return { text, address: { kind: 'tcp', host, port }, tls };
};

/** Chooses the credential. @throws {CliError} usage, for two or none */
export const readCredentials = async (
  flags: ConnectFlags,
  env: Environment,
  target: GatewayTarget,
): Promise<Credentials> => {
  const named = [
    ['--token-file', flags.tokenFile],
    ['--token-command', flags.tokenCommand],
    ['--credential-file', flags.credentialFile],
  ].flatMap(([name, value]) => (value ? [name] : []));
  if (named.length > 1) throw usageError(`${named.join(' and ')} name two tokens; give one of them`);
  const { credentialFile, fixedToken, noCredentials, tokenCommand, tokenFile } = await import(
    '../../connect/credentials.ts'
  );
  const exchanged = async (path: string): Promise<Credentials> => {
    if (target.address.kind === 'unix')
      throw usageError('a credential is exchanged at an address such as https://gateway.example:2376, not on a socket');
    const { exchangeAt } = await import('../../connect/exchange.ts');
    return credentialFile(resolve(path), exchangeAt(target));
  };
  if (flags.tokenFile) return tokenFile(resolve(flags.tokenFile));
  if (flags.tokenCommand) return tokenCommand(flags.tokenCommand);
  if (flags.credentialFile) return exchanged(flags.credentialFile);
  // A certificate given by hand is meant alone; what only stands in the environment comes after it.
  if (flags.cert) return noCredentials;
  if (env.DOCKGATE_TOKEN_FILE) return tokenFile(resolve(env.DOCKGATE_TOKEN_FILE));
  if (env.DOCKGATE_TOKEN_COMMAND) return tokenCommand(env.DOCKGATE_TOKEN_COMMAND);
  if (env.DOCKGATE_CREDENTIAL_FILE) return exchanged(env.DOCKGATE_CREDENTIAL_FILE);
  if (env.DOCKGATE_TOKEN) return fixedToken(env.DOCKGATE_TOKEN);
  if (target.tls?.cert !== undefined || target.address.kind === 'unix') return noCredentials;
  throw usageError('no credential: give --token-file, --token-command, --credential-file, or --cert with --key');
};

const settingsOf = async (command: Command, url: string | undefined) => {
  const flags = optionsOf<ConnectFlags>(command);
  if (url !== undefined && flags.host !== undefined) throw usageError('--host and the address name two gateways');
  const text = url ?? flags.host ?? process.env.DOCKGATE_HOST;
  if (!text) throw usageError(`${command.name()} needs the gateway's address, or DOCKGATE_HOST`);
  const target = readTarget(text, flags, process.env);
  return { target, credentials: await readCredentials(flags, process.env, target), report: printError };
};

const withCredentials = (command: Command): Command =>
  command
    .argument('[url]', 'the gateway, https://host:2376 (DOCKGATE_HOST)')
    .option('--token-command <cmd>', 'shell command that prints a token')
    .option('--credential-file <file>', 'refresh credential to have tokens for')
    .option('--cert <file>', 'client certificate, PEM')
    .option('--key <file>', 'its private key, PEM')
    .addHelpText('after', CREDENTIALS);

const connect = withCredentials(new Command('connect'))
  .description('serve a local unix socket that carries any Docker client to a gateway with a credential')
  .option('--socket <path>', 'socket to serve (DOCKGATE_SOCKET)')
  .option('--mode <bits>', 'permission bits of the socket: who may use the identity', '0600')
  .option('--group <name>', 'group of the socket')
  .addHelpText(
    'after',
    examples(
      'dockgate connect https://gateway:2376 --token-file ~/.dockgate/token --socket /run/user/1000/dockgate.sock',
      'dockgate connect https://gateway:2376 --token-command "vault read -field=token docker/ci" --socket ./ci.sock',
      'dockgate connect https://gateway:2376 --credential-file ~/ci.credential --socket ./ci.sock',
      'DOCKER_HOST=unix:///run/user/1000/dockgate.sock docker buildx build .',
    ),
  )
  .action(
    async (url: string | undefined, options: { socket?: string; mode: string; group?: string }, command: Command) => {
      const socket = options.socket ?? process.env.DOCKGATE_SOCKET;
      if (!socket) throw usageError('connect needs --socket PATH or DOCKGATE_SOCKET');
      if (!/^0?[0-7]{3}$/.test(options.mode)) throw usageError(`--mode "${options.mode}" is not like 0600`);
      const { group } = options;
      const settings = await settingsOf(command, url);
      const { serveSocket } = await import('../../connect/connect.ts');
      const path = resolve(socket);
      const serving = await serveSocket({
        ...settings,
        path,
        mode: Number.parseInt(options.mode, 8),
        ...(group === undefined ? {} : { group }),
      });
      await print(`export DOCKER_HOST=unix://${path}`);
      await new Promise<void>((told) => {
        for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => told());
      });
      await serving.stop();
      process.exit(0);
    },
  );

const dialStdio = withCredentials(new Command('dial-stdio'))
  .description('carry standard input and output to a gateway, in place of "docker system dial-stdio"')
  .addHelpText(
    'after',
    examples(
      'dockgate dial-stdio unix:///run/dockgate/ci.sock   # as a forced command in authorized_keys',
      'DOCKGATE_HOST=https://gateway:2376 DOCKGATE_TOKEN_FILE=/etc/ci.token dockgate dial-stdio',
    ),
  )
  .action(async (url: string | undefined, _options: object, command: Command) => {
    const settings = await settingsOf(command, url);
    const { serveStdio } = await import('../../connect/connect.ts');
    await serveStdio(settings);
    process.exit(0);
  });

export const connectCommands = (): Command[] => [connect, dialStdio];
