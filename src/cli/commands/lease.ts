// dockgate lease: objects that were made for a limited time, and when it ends.
import { Command } from 'commander';
import { print, printJson, shortTime, table } from '../output.ts';
import { examples, gatewayOf, optionsOf, segment } from './common.ts';
import { checkSpan } from './identity.ts';

interface LeaseView {
  readonly object: string;
  readonly id: string;
  readonly tenant: string;
  readonly owner: string;
  readonly endsAt: string;
}

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list what is removed by itself, the next first')
    .option('--tenant <tenant>', 'only what this tenant has')
    .addHelpText('after', examples('dockgate lease list', 'dockgate lease list --tenant red --json'))
    .action(async (options: { tenant?: string }, command: Command) => {
      const query = options.tenant === undefined ? '' : `?tenant=${segment(options.tenant)}`;
      const { leases } = await (await gatewayOf(command)).call<{ leases: LeaseView[] }>('GET', `/leases${query}`);
      if (optionsOf(command).json) return printJson(leases);
      return print(
        table(
          ['OBJECT', 'TENANT', 'OWNER', 'ENDS'],
          leases.map((one) => [one.object, one.tenant, one.owner, shortTime(one.endsAt)]),
        ),
      );
    });

const extend = (): Command =>
  new Command('extend')
    .description('let an object stay longer')
    .argument('<object>', 'kind and name: container/web, volume/data')
    .requiredOption('--by <span>', 'how much longer: 30m, 2h, 1d')
    .option('--tenant <tenant>', 'whose it is, where several have the name')
    .addHelpText('after', examples('dockgate lease extend container/web --by 2h'))
    .action(async (object: string, options: { by: string; tenant?: string }, command: Command) => {
      const body = { object, ...options, by: checkSpan('--by', options.by) };
      const one = await (await gatewayOf(command)).call<LeaseView>('POST', '/leases/extend', body);
      if (optionsOf(command).json) return printJson(one);
      return print(`${one.object} of tenant ${one.tenant} stays until ${shortTime(one.endsAt)}`);
    });

const end = (): Command =>
  new Command('end')
    .description('remove an object that has a lease now')
    .argument('<object>', 'kind and name: container/web, volume/data')
    .option('--tenant <tenant>', 'whose it is, where several have the name')
    .addHelpText('after', examples('dockgate lease end container/web'))
    .action(async (object: string, options: { tenant?: string }, command: Command) => {
      const one = await (await gatewayOf(command)).call<LeaseView>('POST', '/leases/end', { object, ...options });
      if (optionsOf(command).json) return printJson(one);
      return print(`the lease on ${one.object} of tenant ${one.tenant} has ended; it is being removed`);
    });

export const leaseCommand = (): Command =>
  new Command('lease')
    .description('list, extend and end leases: what tokens and rules with a lease have made')
    .addCommand(list())
    .addCommand(extend())
    .addCommand(end())
    .addHelpText('after', examples('dockgate token create ci --lease 2h', 'dockgate lease list'));
