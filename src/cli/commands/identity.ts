// dockgate identity: the identities that may call, with tenant, groups and policies.
import { Command } from 'commander';
import { DURATION_RULE, parseDuration } from '../../admin/duration.ts';
import { IDENTITY_NAME, IDENTITY_NAME_RULE } from '../../identity/names.ts';
import { print, printJson, sheet, shortTime, table, usageError } from '../output.ts';
import { collect, examples, gatewayOf, optionsOf, segment } from './common.ts';

interface IdentityView {
  readonly name: string;
  readonly tenant: string | null;
  readonly groups: readonly string[];
  readonly policies: readonly string[];
  readonly disabled: boolean;
  readonly createdAt: string;
  readonly maxTtl: string | null;
  /** Of one identity alone: the policies that hold for it, and what binds each. */
  readonly effectivePolicies?: readonly { name: string; from: string; builtIn: boolean; exists: boolean }[];
}

/** A name that cannot be one is a usage error, before any gateway is asked. */
export const checkName = (name: string): string => {
  if (!IDENTITY_NAME.test(name)) throw usageError(`"${name}" is no identity name: ${IDENTITY_NAME_RULE}`);
  return name;
};

/** As `checkName`, for a span of time. */
export const checkSpan = (option: string, span: string): string => {
  if (parseDuration(span) === undefined) throw usageError(`${option} "${span}" is no span: ${DURATION_RULE}`);
  return span;
};

const showSheet = (identity: IdentityView): string =>
  sheet([
    ['name', identity.name],
    ['tenant', identity.tenant],
    ['groups', identity.groups],
    ['policies', identity.policies],
    ['state', identity.disabled ? 'disabled' : 'enabled'],
    ['max ttl', identity.maxTtl],
    ['created', shortTime(identity.createdAt)],
    ...(identity.effectivePolicies === undefined ? [] : ([['in force', effectiveOf(identity)]] as const)),
  ]);

const effectiveOf = ({ effectivePolicies = [] }: IdentityView): string =>
  effectivePolicies.length === 0
    ? 'no policy, so everything is denied'
    : effectivePolicies
        .map(
          ({ name, from, exists }) =>
            `${name} (by ${from}${exists ? '' : '; it does not exist, so everything is denied'})`,
        )
        .join(', ');

const create = (): Command =>
  new Command('create')
    .description('create an identity')
    .argument('<name>', 'name of the identity, the subject of its tokens')
    .option('--tenant <tenant>', 'tenant it belongs to')
    .option('--group <group>', 'group it is in; may be given more than once', collect)
    .option('--policy <policy>', 'policy bound to it; may be given more than once', collect)
    .option('--max-ttl <span>', 'longest life of its tokens: 15m, 1h (default: 24h, 7d for operators)')
    .addHelpText(
      'after',
      examples(
        'dockgate identity create ci --policy baseline',
        'dockgate identity create alice --tenant red --group oncall --policy operator',
      ),
    )
    .action(
      async (
        name: string,
        options: { tenant?: string; group?: string[]; policy?: string[]; maxTtl?: string },
        command: Command,
      ) => {
        checkName(name);
        const { tenant, group, policy, maxTtl } = options;
        const made = await (await gatewayOf(command)).call<IdentityView>('POST', '/identities', {
          name,
          ...(tenant === undefined ? {} : { tenant }),
          groups: group ?? [],
          policies: policy ?? [],
          ...(maxTtl === undefined ? {} : { maxTtl: checkSpan('--max-ttl', maxTtl) }),
        });
        if (optionsOf(command).json) await printJson(made);
        else await print(`identity ${made.name} created`);
      },
    );

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list all identities')
    .addHelpText('after', examples('dockgate identity list', 'dockgate identity list --json'))
    .action(async (_options: object, command: Command) => {
      const { identities } = await (await gatewayOf(command)).call<{ identities: IdentityView[] }>(
        'GET',
        '/identities',
      );
      if (optionsOf(command).json) return printJson(identities);
      return print(
        table(
          ['NAME', 'TENANT', 'GROUPS', 'POLICIES', 'STATE', 'CREATED'],
          identities.map((one) => [
            one.name,
            one.tenant,
            one.groups.join(','),
            one.policies.join(','),
            one.disabled ? 'disabled' : 'enabled',
            shortTime(one.createdAt),
          ]),
        ),
      );
    });

const show = (): Command =>
  new Command('show')
    .description('show one identity, with the policies that hold for it and what binds each')
    .argument('<name>', 'name of the identity')
    .addHelpText('after', examples('dockgate identity show ci'))
    .action(async (name: string, _options: object, command: Command) => {
      const identity = await (await gatewayOf(command)).call<IdentityView>(
        'GET',
        `/identities/${segment(checkName(name))}`,
      );
      if (optionsOf(command).json) await printJson(identity);
      else await print(showSheet(identity));
    });

/** The names given, or none at all for the word `none`. */
const namesOf = (given: readonly string[] | undefined): readonly string[] | undefined =>
  given?.length === 1 && given[0] === 'none' ? [] : given;

interface Changes {
  readonly maxTtl?: string;
  readonly tenant?: string;
  readonly group?: string[];
  readonly policy?: string[];
}

const update = (): Command =>
  new Command('update')
    .description('change an identity, from its next request on; tokens that are out keep their end')
    .argument('<name>', 'name of the identity')
    .option(
      '--policy <policy>',
      'policy bound to it, in place of those it has; may be given more than once, or none',
      collect,
    )
    .option(
      '--group <group>',
      'group it is in, in place of those it has; may be given more than once, or none',
      collect,
    )
    .option('--tenant <tenant>', "tenant it belongs to from now on, or none; what it made stays the old one's")
    .option('--max-ttl <span>', 'longest life of its tokens from now on: 15m, 1h, or none')
    .addHelpText(
      'after',
      examples(
        'dockgate identity update ci --policy baseline --policy ci',
        'dockgate identity update alice --tenant red --group oncall',
        'dockgate identity update ci --max-ttl 15m',
      ),
    )
    .action(async (name: string, { maxTtl, tenant, group, policy }: Changes, command: Command) => {
      const changes = {
        ...(maxTtl === undefined ? {} : { maxTtl: maxTtl === 'none' ? null : checkSpan('--max-ttl', maxTtl) }),
        ...(tenant === undefined ? {} : { tenant: tenant === 'none' ? null : tenant }),
        ...(group === undefined ? {} : { groups: namesOf(group) }),
        ...(policy === undefined ? {} : { policies: namesOf(policy) }),
      };
      checkName(name);
      if (Object.keys(changes).length === 0) {
        throw usageError('say what to change: --policy, --group, --tenant or --max-ttl');
      }
      const identity = await (await gatewayOf(command)).call<IdentityView>(
        'PATCH',
        `/identities/${segment(name)}`,
        changes,
      );
      if (optionsOf(command).json) await printJson(identity);
      else await print(`identity ${name} updated`);
    });

const toggle = (verb: 'disable' | 'enable', description: string): Command =>
  new Command(verb)
    .description(description)
    .argument('<name>', 'name of the identity')
    .addHelpText('after', examples(`dockgate identity ${verb} ci`))
    .action(async (name: string, _options: object, command: Command) => {
      const identity = await (await gatewayOf(command)).call<IdentityView>(
        'POST',
        `/identities/${segment(checkName(name))}/${verb}`,
        {},
      );
      if (optionsOf(command).json) await printJson(identity);
      else await print(`identity ${name} ${verb}d`);
    });

const remove = (): Command =>
  new Command('delete')
    .alias('rm')
    .description('delete an identity, revoke its tokens and certificates, and remove its sockets')
    .argument('<name>', 'name of the identity')
    .addHelpText('after', examples('dockgate identity delete ci'))
    .action(async (name: string, _options: object, command: Command) => {
      await (await gatewayOf(command)).call('DELETE', `/identities/${segment(checkName(name))}`);
      if (optionsOf(command).json) await printJson({ name, deleted: true });
      else await print(`identity ${name} deleted`);
    });

export const identityCommand = (): Command =>
  new Command('identity')
    .description('create, list, disable and delete identities')
    .addCommand(create())
    .addCommand(list())
    .addCommand(show())
    .addCommand(update())
    .addCommand(toggle('disable', 'refuse an identity from its next request on, tokens included'))
    .addCommand(toggle('enable', 'let a disabled identity call again'))
    .addCommand(remove())
    .addHelpText('after', examples('dockgate identity create ci --policy baseline', 'dockgate identity list'));
