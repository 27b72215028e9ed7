// dockgate socket: unix sockets bound to an identity, for clients on the gateway's machine. A process that may open one is that identity.
import { resolve } from 'node:path';
import { Command } from 'commander';
import { shellWord } from '../../words/shell-word.ts';
import { print, printJson, table } from '../output.ts';
import { examples, gatewayOf, optionsOf, segment } from './common.ts';
import { checkName } from './identity.ts';

interface SocketView {
  readonly path: string;
  readonly identity: string;
  readonly mode: string;
  readonly group: string | null;
  readonly state: 'listening' | 'failed';
  readonly fault: string | null;
  readonly createdAt: string;
  readonly createdBy: string;
}

interface AddOptions {
  readonly identity: string;
  readonly path: string;
  readonly mode: string;
  readonly group?: string;
}

const add = (): Command =>
  new Command('add')
    .description('make a socket on which every caller is one identity; it is there again after a restart')
    .requiredOption('--identity <name>', 'identity of every caller that opens it')
    .requiredOption('--path <path>', "path of the socket file on the gateway's machine")
    .option('--mode <mode>', 'its permission bits, 0600 to 0666', '0600')
    .option('--group <group>', 'its group, by name or number')
    .addHelpText(
      'after',
      examples(
        'dockgate socket add --identity ci --path /run/dockgate/ci.sock --mode 0660 --group docker-ci',
        'DOCKER_HOST=unix:///run/dockgate/ci.sock docker ps',
      ),
    )
    .action(async ({ identity, path, mode, group }: AddOptions, command: Command) => {
      checkName(identity);
      const made = await (await gatewayOf(command)).call<SocketView>('POST', '/sockets', {
        identity,
        path: resolve(path),
        mode,
        ...(group === undefined ? {} : { group }),
      });
      if (optionsOf(command).json) return printJson(made);
      return print(`export DOCKER_HOST=${shellWord(`unix://${made.path}`)}`);
    });

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list the sockets made with socket add')
    .addHelpText('after', examples('dockgate socket list', 'dockgate socket list --json'))
    .action(async (_options: object, command: Command) => {
      const { sockets } = await (await gatewayOf(command)).call<{ sockets: SocketView[] }>('GET', '/sockets');
      if (optionsOf(command).json) return printJson(sockets);
      return print(
        table(
          ['PATH', 'IDENTITY', 'MODE', 'GROUP', 'STATE'],
          sockets.map((one) => [
            one.path,
            one.identity,
            one.mode,
            one.group,
            one.fault === null ? one.state : `${one.state}: ${one.fault}`,
          ]),
        ),
      );
    });

const remove = (): Command =>
  new Command('remove')
    .alias('rm')
    .description('remove a socket and end what is open on it')
    .argument('<path>', 'path of the socket file')
    .addHelpText('after', examples('dockgate socket remove /run/dockgate/ci.sock'))
    .action(async (path: string, _options: object, command: Command) => {
      const full = resolve(path);
      await (await gatewayOf(command)).call('DELETE', `/sockets?path=${segment(full)}`);
      if (optionsOf(command).json) return printJson({ path: full, removed: true });
      return print(`socket ${full} removed`);
    });

export const socketCommand = (): Command =>
  new Command('socket')
    .description('add, list and remove unix sockets bound to an identity')
    .addCommand(add())
    .addCommand(list())
    .addCommand(remove())
    .addHelpText(
      'after',
      examples('dockgate socket add --identity ci --path /run/dockgate/ci.sock', 'dockgate socket list'),
    );
