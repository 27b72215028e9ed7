// dockgate key: the keys that sign this gateway's tokens. Their private parts are never shown.
import { Command } from 'commander';
import { print, printJson, shortTime, table } from '../output.ts';
import { examples, gatewayOf, optionsOf } from './common.ts';

interface KeyView {
  readonly kid: string;
  readonly state: 'next' | 'active' | 'retiring';
  readonly createdAt: string;
  readonly since: string;
  readonly until: string | null;
}

const show = (keys: readonly KeyView[], command: Command): Promise<void> =>
  optionsOf(command).json
    ? printJson(keys)
    : print(
        table(
          ['KID', 'STATE', 'SINCE', 'UNTIL'],
          keys.map((key) => [key.kid, key.state, shortTime(key.since), key.until === null ? '' : shortTime(key.until)]),
        ),
      );

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list the signing keys: next signs after active, retiring still verifies')
    .addHelpText('after', examples('dockgate key list', 'dockgate key list --json'))
    .action(async (_options: object, command: Command) => {
      const { keys } = await (await gatewayOf(command)).call<{ keys: KeyView[] }>('GET', '/keys');
      await show(keys, command);
    });

const rotate = (): Command =>
  new Command('rotate')
    .description('let the next key sign from now on; tokens that are out stay good')
    .addHelpText('after', examples('dockgate key rotate'))
    .action(async (_options: object, command: Command) => {
      const { keys } = await (await gatewayOf(command)).call<{ keys: KeyView[] }>('POST', '/keys/rotate', {});
      await show(keys, command);
    });

export const keyCommand = (): Command =>
  new Command('key')
    .description('list and turn the signing keys; they also turn by themselves every 30 days')
    .addCommand(list())
    .addCommand(rotate())
    .addHelpText('after', examples('dockgate key list', 'dockgate key rotate'));
