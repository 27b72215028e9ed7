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
  readonly tier?: string;
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
          ['NAME', 'VERSION', 'TIER', 'PHASES', 'ACTIONS', 'CALLS', 'DENIALS', 'FAULTS', 'P50 US', 'P99 US', 'BREAKER'],
          plugins.map((one) => [
            one.name,
            one.version,
            tierOf(one),
            one.phases.join(','),
            one.actions.join(','),
            ...[
              one.figures?.calls,
              one.figures?.denials,
              one.figures?.faults,
              one.figures?.p50Us,
              one.figures?.p99Us,
            ].map((figure) => (figure === undefined ? '-' : String(figure))),
            one.figures?.breaker ?? '',
          ]),
        ),
      );
    });

export const pluginCommand = (): Command =>
  new Command('plugin')
    .description('show the admission plugins')
    .addCommand(list())
    .addHelpText('after', examples('dockgate plugin list'));
