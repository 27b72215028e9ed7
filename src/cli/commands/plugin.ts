// dockgate plugin: which plugins the gateway runs.
import { Command } from 'commander';
import { print, printJson, table } from '../output.ts';
import { examples, gatewayOf, optionsOf } from './common.ts';

interface PluginView {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly actions: readonly string[];
  readonly phases: readonly string[];
}

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list the loaded plugins in the order they run')
    .addHelpText('after', examples('dockgate plugin list', 'dockgate plugin list --json'))
    .action(async (_options: object, command: Command) => {
      const { plugins } = await (await gatewayOf(command)).call<{ plugins: PluginView[] }>('GET', '/plugins');
      if (optionsOf(command).json) return printJson(plugins);
      return print(
        table(
          ['NAME', 'VERSION', 'PHASES', 'ACTIONS', 'DESCRIPTION'],
          plugins.map((one) => [one.name, one.version, one.phases.join(','), one.actions.join(','), one.description]),
        ),
      );
    });

export const pluginCommand = (): Command =>
  new Command('plugin')
    .description('show the admission plugins')
    .addCommand(list())
    .addHelpText('after', examples('dockgate plugin list'));
