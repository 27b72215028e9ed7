// dockgate context: a docker context that reaches the gateway as an identity, with a client certificate or over a socket.
import { resolve } from 'node:path';
import process from 'node:process';
import { Command } from 'commander';
import { shellWord } from '../../words/shell-word.ts';
import type { AdminClient } from '../client.ts';
import {
  CONTEXT_NAME_RULE,
  contextExists,
  contextFolders,
  type DockerContext,
  isContextName,
  writeContext,
} from '../docker-context.ts';
import { placeDockerPlugin } from '../docker-plugin.ts';
import { CliError, print, printJson, shortTime, usageError } from '../output.ts';
import { checkTtl, issueCertificate } from './cert.ts';
import { examples, gatewayOf, optionsOf } from './common.ts';
import { checkName } from './identity.ts';

interface CreateOptions {
  readonly identity?: string;
  readonly ttl: string;
  readonly endpoint?: string;
  readonly socket?: string;
  readonly force?: boolean;
}

/** The docker endpoint of the gateway's first HTTPS listener, as seen from its own machine. */
const localEndpoint = async (gateway: AdminClient): Promise<string> => {
  const { listeners = [] } = await gateway.call<{ listeners?: readonly string[] }>('GET', '/status');
  const https = listeners.find((address) => address.startsWith('https://'));
  if (https === undefined) {
    throw new CliError(
      'the gateway has no https listener; make a socket with dockgate socket add and give --socket PATH',
    );
  }
  return https.replace('https://', 'tcp://').replace(/^tcp:\/\/(0\.0\.0\.0|\[::\]):/, 'tcp://127.0.0.1:');
};

const checkEndpoint = (endpoint: string): string => {
  if (!/^tcp:\/\/[^/\s@?#]+:[0-9]{1,5}$/.test(endpoint)) {
    throw usageError(`--endpoint "${endpoint}" is no address such as tcp://gateway.example:2376`);
  }
  return endpoint;
};

const overSocket = (name: string, socket: string): DockerContext => ({
  name,
  description: 'dockgate, over a bound socket',
  host: `unix://${resolve(socket)}`,
});

const withCertificate = async (
  name: string,
  options: CreateOptions,
  command: Command,
): Promise<{ context: DockerContext; until: string }> => {
  const identity = checkName(options.identity ?? name);
  checkTtl(options.ttl);
  if (options.endpoint !== undefined) checkEndpoint(options.endpoint);
  const gateway = await gatewayOf(command);
  const host = options.endpoint ?? gateway.dockerEndpoint ?? (await localEndpoint(gateway));
  const issued = await issueCertificate(gateway, identity, options.ttl);
  return { context: { name, description: `dockgate, as ${identity}`, host, tls: issued }, until: issued.expiresAt };
};

const create = (): Command =>
  new Command('create')
    .description(
      'write a docker context for the gateway, make docker gate run dockgate, and print what clients without contexts need',
    )
    .argument('<name>', 'name of the context')
    .option('--identity <name>', 'identity to be; the same as the context when left out')
    .option('--ttl <span>', 'how long its certificate is valid: 15m, 24h, at most 90d', '24h')
    .option(
      '--endpoint <address>',
      'tcp://host:port the gateway is reached at, when it is not where this command reaches it',
    )
    .option('--socket <path>', 'use a socket bound to an identity instead of a certificate')
    .option('--force', 'write over a context of that name, for a new certificate')
    .addHelpText(
      'after',
      examples(
        'dockgate context create ci',
        'docker --context ci ps',
        'dockgate context create work --identity alice --ttl 7d --endpoint tcp://gateway.example:2376',
        'dockgate context create local --socket /run/dockgate/ci.sock',
      ),
    )
    .action(async (name: string, options: CreateOptions, command: Command) => {
      if (!isContextName(name)) throw usageError(`"${name}" is no name for a docker context: ${CONTEXT_NAME_RULE}`);
      if (options.socket !== undefined && (options.identity ?? options.endpoint) !== undefined) {
        throw usageError('--socket has its identity already; leave out --identity and --endpoint');
      }
      const folders = contextFolders(name, process.env);
      if (!options.force && contextExists(folders)) {
        throw usageError(`there already is a context ${name}; add --force to write over it`);
      }
      const { context, until } =
        options.socket === undefined
          ? await withCertificate(name, options, command)
          : { context: overSocket(name, options.socket), until: undefined };
      const env = `export DOCKER_HOST=${shellWord(context.host)}${
        context.tls === undefined ? '' : ` DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=${shellWord(folders.certificates)}`
      }`;
      try {
        writeContext(folders, context);
      } catch (error) {
        throw new CliError(`${folders.meta} cannot be written (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
      }
      const plugin = placeDockerPlugin(process.env);
      if (optionsOf(command).json) {
        return printJson({
          name,
          host: context.host,
          expiresAt: until ?? null,
          ...folders,
          env,
          plugin: plugin ?? null,
        });
      }
      return print(
        [
          `context ${name}: ${context.host}${until === undefined ? '' : `, certificate until ${shortTime(until)}`}`,
          `docker --context ${name} ps`,
          ...(plugin === undefined ? [] : ['docker gate --help']),
          '',
          '# for clients without contexts (docker-py, dockerode, Testcontainers, Portainer, ...):',
          env,
        ].join('\n'),
      );
    });

export const contextCommand = (): Command =>
  new Command('context')
    .description('write docker contexts')
    .addCommand(create())
    .addHelpText('after', examples('dockgate context create ci', 'docker --context ci ps'));
