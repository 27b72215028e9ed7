// dockgate audit show: all of one call.
import { Command } from 'commander';
import { print, printJson, sheet } from '../../output.ts';
import { examples, gatewayOf, optionsOf, segment } from '../common.ts';
import type { EventView } from './rows.ts';

export const auditShow = (): Command =>
  new Command('show')
    .description('show everything recorded of one call')
    .argument('<id>', 'audit id, from a denial or from audit ls')
    .addHelpText('after', examples('dockgate audit show 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55'))
    .action(async (id: string, _options: object, command: Command) => {
      const answer = await (await gatewayOf(command)).call<{ events: EventView[] }>('GET', `/audit/${segment(id)}`);
      if (optionsOf(command).json) return printJson(answer);
      return print(
        answer.events
          .map((event) => sheet(Object.entries(event).filter(([, value]) => value !== undefined && value !== null)))
          .join('\n\n'),
      );
    });
