// dockgate tenant: how much each tenant may have, and what it has in use.
import { Command } from 'commander';
import { DURATION_RULE, parseDuration } from '../../admin/duration.ts';
import { DEFAULT_KEYS, readAmounts } from '../../ledger/amounts.ts';
import { amountText, isBytes, QUOTA_KEYS, type QuotaKey } from '../../ledger/quota.ts';
import { print, printJson, shortTime, table, usageError } from '../output.ts';
import { collect, examples, gatewayOf, optionsOf, segment } from './common.ts';
import { check } from './tenant-check.ts';
import { adoptCommand, objectsCommand, releaseCommand, withheldCommand } from './tenant-objects.ts';

type Amounts = Partial<Record<QuotaKey, number>>;
type Usage = Readonly<Record<string, number>>;

interface TenantView {
  readonly name: string;
  readonly description: string | null;
  readonly quota: Amounts;
  readonly identityQuota: Amounts;
  readonly defaults: Amounts;
  readonly usage: Usage;
  readonly identities: readonly { readonly name: string; readonly usage: Usage }[];
  readonly createdAt: string | null;
}

interface LimitOptions {
  readonly quota?: string[];
  readonly identityQuota?: string[];
  readonly default?: string[];
  readonly description?: string;
}

/** `containers=40,memory=32GiB`; `none` takes a limit away. */
function amountsOf(option: string, given: readonly string[] | undefined, keys: readonly QuotaKey[]) {
  if (given === undefined) return undefined;
  const entries: Record<string, string | null> = {};
  for (const pair of given.flatMap((text) => text.split(',')).filter((text) => text !== '')) {
    const equals = pair.indexOf('=');
    if (equals < 1) throw usageError(`${option} "${pair}" is no amount: write ${keys[0]}=10`);
    const value = pair.slice(equals + 1);
    entries[pair.slice(0, equals)] = value === 'none' ? null : value;
  }
  const { problems } = readAmounts(entries, keys);
  if (problems.length > 0) throw usageError(`${option}: ${problems.join('; ')}`);
  return entries;
}

const bodyOf = (options: LimitOptions) => {
  const quota = amountsOf('--quota', options.quota, QUOTA_KEYS);
  const identityQuota = amountsOf('--identity-quota', options.identityQuota, QUOTA_KEYS);
  const defaults = amountsOf('--default', options.default, DEFAULT_KEYS);
  return {
    ...(options.description === undefined ? {} : { description: options.description }),
    ...(quota === undefined ? {} : { quota }),
    ...(identityQuota === undefined ? {} : { identityQuota }),
    ...(defaults === undefined ? {} : { defaults }),
  };
};

const limits = (command: Command): Command =>
  command
    .option('--quota <amounts>', `what all of it may have: ${QUOTA_KEYS.join(', ')}; none takes a limit away`, collect)
    .option('--identity-quota <amounts>', 'the same for each of its identities', collect)
    .option('--default <amounts>', `what a container gets that asks for none: ${DEFAULT_KEYS.join(', ')}`, collect)
    .option('--description <text>', 'a note for people');

const usageText = (tenant: TenantView): string => {
  const keys = Object.keys(tenant.usage).filter(
    (key) => (tenant.usage[key] ?? 0) > 0 || tenant.quota[key as QuotaKey] !== undefined,
  );
  return keys
    .map((key) => {
      const most = tenant.quota[key as QuotaKey];
      const used = amountText(key as QuotaKey, tenant.usage[key] ?? 0);
      return most === undefined
        ? used
        : `${used} (of ${amountText(key as QuotaKey, most).split(isBytes(key as QuotaKey) ? ' of ' : ' ', 1)[0]})`;
    })
    .join(', ');
};

const create = (): Command =>
  limits(new Command('create').description('set limits for a tenant').argument('<name>', 'name of the tenant'))
    .addHelpText(
      'after',
      examples(
        'dockgate tenant create red --quota containers=40,memory=32GiB,cpus=16 --default memory=512MiB,cpus=0.5,pids=256',
        'dockgate tenant create bots --quota rate=50,streams=20 --identity-quota containers=5',
      ),
    )
    .action(async (name: string, options: LimitOptions, command: Command) => {
      const made = await (await gatewayOf(command)).call<TenantView>('POST', '/tenants', { name, ...bodyOf(options) });
      if (optionsOf(command).json) return printJson(made);
      return print(`tenant ${made.name} created`);
    });

const set = (): Command =>
  limits(new Command('set').description("change a tenant's limits").argument('<name>', 'name of the tenant'))
    .addHelpText('after', examples('dockgate tenant set red --quota memory=64GiB,images=none'))
    .action(async (name: string, options: LimitOptions, command: Command) => {
      const gateway = await gatewayOf(command);
      const changed = await gateway.call<TenantView>('PATCH', `/tenants/${segment(name)}`, bodyOf(options));
      if (optionsOf(command).json) return printJson(changed);
      return print(`tenant ${changed.name} changed`);
    });

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list tenants with what they have in use')
    .addHelpText('after', examples('dockgate tenant list', 'dockgate tenant list --json'))
    .action(async (_options: object, command: Command) => {
      const { tenants } = await (await gatewayOf(command)).call<{ tenants: TenantView[] }>('GET', '/tenants');
      if (optionsOf(command).json) return printJson(tenants);
      return print(
        table(
          ['TENANT', 'IDENTITIES', 'IN USE'],
          tenants.map((one) => [one.name, one.identities.map(({ name }) => name).join(','), usageText(one)]),
        ),
      );
    });

const amountsText = (amounts: Amounts): string =>
  Object.entries(amounts)
    .map(([key, amount]) => amountText(key as QuotaKey, amount ?? 0))
    .join(', ') || 'none';

const show = (): Command =>
  new Command('show')
    .description('show one tenant: limits, use, identities')
    .argument('<name>', 'name of the tenant')
    .addHelpText('after', examples('dockgate tenant show red'))
    .action(async (name: string, _options: object, command: Command) => {
      const one = await (await gatewayOf(command)).call<TenantView>('GET', `/tenants/${segment(name)}`);
      if (optionsOf(command).json) return printJson(one);
      return print(
        table(
          ['TENANT', one.name],
          [
            ['description', one.description],
            ['quota', amountsText(one.quota)],
            ['quota of each identity', amountsText(one.identityQuota)],
            ['defaults', amountsText(one.defaults)],
            ['in use', usageText(one) || 'nothing'],
            ['identities', one.identities.map((id) => id.name).join(', ')],
          ],
        ),
      );
    });

/** Quotas whose use over time is not recorded. */
const UNKEPT: ReadonlySet<QuotaKey> = new Set(['running', 'builds', 'streams', 'rate']);

const usage = (): Command =>
  new Command('usage')
    .description('show what a tenant had in use over time')
    .argument('<name>', 'name of the tenant')
    .option('--since <span>', 'how far back', '24h')
    .option('--step <span>', 'time between two lines', '1h')
    .addHelpText(
      'after',
      examples('dockgate tenant usage red', 'dockgate tenant usage red --since 7d --step 6h --json'),
    )
    .action(async (name: string, options: { since: string; step: string }, command: Command) => {
      for (const [option, value] of Object.entries(options)) {
        if (parseDuration(value) === undefined) throw usageError(`--${option} "${value}" is no span: ${DURATION_RULE}`);
      }
      const { points } = await (await gatewayOf(command)).call<{ points: { at: string; usage: Usage }[] }>(
        'GET',
        `/tenants/${segment(name)}/usage?since=${segment(options.since)}&step=${segment(options.step)}`,
      );
      if (optionsOf(command).json) return printJson(points);
      const keys = QUOTA_KEYS.filter((key) => !UNKEPT.has(key));
      const cell = (key: QuotaKey, amount: number): string =>
        isBytes(key) || key === 'cpus' ? (amountText(key, amount).split(' of ', 1)[0] as string) : String(amount);
      return print(
        table(
          ['AT', ...keys.map((key) => key.toUpperCase())],
          points.map((point) => [shortTime(point.at), ...keys.map((key) => cell(key, point.usage[key] ?? 0))]),
        ),
      );
    });

const remove = (): Command =>
  new Command('delete')
    .alias('rm')
    .description('forget a tenant that has neither objects nor identities')
    .argument('<name>', 'name of the tenant')
    .addHelpText('after', examples('dockgate tenant delete red'))
    .action(async (name: string, _options: object, command: Command) => {
      await (await gatewayOf(command)).call('DELETE', `/tenants/${segment(name)}`);
      if (optionsOf(command).json) return printJson({ name, deleted: true });
      return print(`tenant ${name} deleted`);
    });

export const tenantCommand = (): Command =>
  new Command('tenant')
    .description('set and show what tenants may have and have in use')
    .addCommand(create())
    .addCommand(set())
    .addCommand(list())
    .addCommand(show())
    .addCommand(usage())
    .addCommand(objectsCommand())
    .addCommand(adoptCommand())
    .addCommand(withheldCommand())
    .addCommand(releaseCommand())
    .addCommand(check())
    .addCommand(remove())
    .addHelpText(
      'after',
      examples('dockgate tenant create red --quota containers=40,memory=32GiB', 'dockgate tenant list'),
    );
