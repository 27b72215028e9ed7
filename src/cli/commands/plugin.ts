// dockgate plugin: which plugins the gateway runs.
import { Command } from 'commander';
import { print, printJson, sheet, table, usageError } from '../output.ts';
import { examples, gatewayOf, optionsOf } from './common.ts';
import { offlinePluginCommands } from './plugin-offline.ts';

interface PluginView {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly actions: readonly string[];
  readonly phases: readonly string[];
  readonly tier?: string;
  readonly needs?: readonly string[];
  readonly figures?: {
    readonly calls: number;
    readonly denials: number;
    readonly faults: number;
    readonly p50Us?: number;
    readonly p99Us?: number;
    readonly breaker: string;
  };
}

/** What a tier keeps a plugin from, in a word. */
const tierOf = ({ tier }: PluginView): string => (tier === 'trusted' ? 'trusted (not contained)' : (tier ?? ''));

const figuresOf = ({ figures }: PluginView): readonly string[] =>
  [figures?.calls, figures?.denials, figures?.faults, figures?.p50Us, figures?.p99Us, figures?.breaker].map((one) =>
    String(one ?? '-'),
  );

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list the loaded plugins in the order they run')
    .addHelpText('after', examples('dockgate plugin list', 'dockgate plugin list --json'))
    .action(async (_options: object, command: Command) => {
      const { plugins } = await (await gatewayOf(command)).call<{ plugins: PluginView[] }>('GET', '/plugins');
      if (optionsOf(command).json) return printJson(plugins);
      const told = plugins.some(({ tier }) => tier !== undefined);
      return print(
        table(
          [
            'NAME',
            'VERSION',
            ...(told ? ['TIER', 'CALLS', 'DENIALS', 'FAULTS', 'P50 US', 'P99 US', 'BREAKER'] : []),
            'PHASES',
            'ACTIONS',
            'DESCRIPTION',
          ],
          plugins.map((one) => [
            one.name,
            one.version,
            ...(told ? [tierOf(one), ...figuresOf(one)] : []),
            one.phases.join(','),
            one.actions.join(','),
            one.description,
          ]),
        ),
      );
    });

const show = (): Command =>
  new Command('show')
    .description('show one loaded plugin: where it comes from, what it was granted, how it fares')
    .argument('<name>', 'name of the plugin, as `plugin list` has it')
    .addHelpText('after', examples('dockgate plugin show bind-mounts'))
    .action(async (name: string, _options: object, command: Command) => {
      const { plugins } = await (await gatewayOf(command)).call<{ plugins: PluginView[] }>('GET', '/plugins');
      const one = plugins.find((plugin) => plugin.name === name);
      if (one === undefined) throw usageError(`no plugin is named ${name}; dockgate plugin list shows all`);
      if (optionsOf(command).json) return printJson(one);
      const { figures = {}, needs = [], actions, phases, tier: _tier, ...rest } = one;
      return print(
        sheet([
          ...Object.entries(rest),
          ['tier', tierOf(one)],
          ['granted', needs.join(', ') || 'nothing'],
          ['hooks', phases.join(', ')],
          ['actions', actions.join(', ')],
          ...Object.entries(figures),
        ]),
      );
    });

const reload = (): Command =>
  new Command('reload')
    .description('take over the settings and load every plugin anew; a fault changes nothing')
    .addHelpText('after', examples('dockgate plugin reload'))
    .action(async (_options: object, command: Command) => {
      const facts = await (await gatewayOf(command)).call<Record<string, unknown>>('POST', '/reload', {});
      return optionsOf(command).json ? printJson(facts) : print('reloaded');
    });

export const pluginCommand = (): Command => {
  const command = new Command('plugin')
    .description('write, test, add and watch admission plugins')
    .addCommand(list())
    .addCommand(show())
    .addCommand(reload())
    .addHelpText('after', examples('dockgate plugin new owner-label', 'dockgate plugin list'));
  for (const one of offlinePluginCommands()) command.addCommand(one);
  return command;
};
