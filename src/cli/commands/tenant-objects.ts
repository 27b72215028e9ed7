// dockgate tenant objects and adopt: which tenant owns which object, and giving a tenant objects that were made before it.
import { Command } from 'commander';
import { print, printJson, shortTime, table, usageError } from '../output.ts';
import { collect, examples, gatewayOf, optionsOf, segment } from './common.ts';

interface OwnedView {
  readonly kind: string;
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly createdAt: string;
  readonly auditId: string;
}

const objectTable = (objects: readonly OwnedView[]): string =>
  table(
    ['KIND', 'ID', 'NAME', 'OWNER', 'SINCE', 'AUDIT ID'],
    objects.map((one) => [
      one.kind,
      /^[0-9a-f]{64}$/.test(one.id) ? one.id.slice(0, 12) : one.id,
      one.name === one.id ? '' : one.name,
      one.owner,
      shortTime(one.createdAt),
      one.auditId,
    ]),
  );

export const objectsCommand = (): Command =>
  new Command('objects')
    .description('list what a tenant owns, with the call that made it')
    .argument('<tenant>', 'name of the tenant')
    .addHelpText('after', examples('dockgate tenant objects red', 'dockgate tenant objects red --json'))
    .action(async (tenant: string, _options: object, command: Command) => {
      const found = await (await gatewayOf(command)).call<{ objects: OwnedView[] }>(
        'GET',
        `/tenants/${segment(tenant)}/objects`,
      );
      return optionsOf(command).json ? printJson(found.objects) : print(objectTable(found.objects));
    });

interface AdoptOptions {
  readonly tenant: string;
  readonly label?: string;
  readonly composeProject?: string;
  readonly container?: readonly string[];
  readonly volume?: readonly string[];
  readonly network?: readonly string[];
  readonly image?: readonly string[];
}

export const adoptCommand = (): Command =>
  new Command('adopt')
    .description('give a tenant objects without an owner, such as those made past the gateway')
    .requiredOption('--tenant <tenant>', 'the tenant')
    .option('--label <label>', 'containers, volumes and networks with this label, KEY or KEY=VALUE')
    .option('--compose-project <project>', 'everything of a compose project')
    .option('--container <container>', 'a container by name or id; may be given more than once', collect)
    .option('--volume <volume>', 'a volume by name; may be given more than once', collect)
    .option('--network <network>', 'a network by name or id; may be given more than once', collect)
    .option('--image <image>', 'an image by name; may be given more than once', collect)
    .addHelpText(
      'after',
      examples(
        'dockgate tenant adopt --tenant red --compose-project shop',
        'dockgate tenant adopt --tenant red --container web --volume web-data',
      ),
    )
    .action(async (options: AdoptOptions, command: Command) => {
      const { tenant, label, composeProject, container, volume, network, image } = options;
      const asked = {
        ...(label === undefined ? {} : { label }),
        ...(composeProject === undefined ? {} : { composeProject }),
        ...(container === undefined ? {} : { containers: container }),
        ...(volume === undefined ? {} : { volumes: volume }),
        ...(network === undefined ? {} : { networks: network }),
        ...(image === undefined ? {} : { images: image }),
      };
      if (Object.keys(asked).length === 0) {
        throw usageError('say what to adopt: --label, --compose-project, --container, --volume, --network or --image');
      }
      const { adopted } = await (await gatewayOf(command)).call<{ adopted: OwnedView[] }>(
        'POST',
        `/tenants/${segment(tenant)}/adopt`,
        asked,
      );
      if (optionsOf(command).json) return printJson(adopted);
      return print(adopted.length === 0 ? `nothing new: tenant ${tenant} has all of it already` : objectTable(adopted));
    });

interface WithheldView {
  readonly name: string;
  readonly imageId: string;
  readonly since: string;
}

const withheldTable = (images: readonly WithheldView[]): string =>
  table(
    ['NAME', 'IMAGE ID', 'SINCE'],
    images
      .filter(
        ({ name, imageId }) =>
          name !== imageId || !images.some((one) => one.imageId === imageId && one.name !== imageId),
      )
      .map(({ name, imageId, since }) => [name === imageId ? '' : name, imageId.slice(0, 19), shortTime(since)]),
  );

export const withheldCommand = (): Command =>
  new Command('withheld')
    .description('list images closed to all tenants because the ledger was lost and their owner is not known')
    .addHelpText('after', examples('dockgate tenant withheld', 'dockgate tenant withheld --json'))
    .action(async (_options: object, command: Command) => {
      const { images } = await (await gatewayOf(command)).call<{ images: WithheldView[] }>('GET', '/withheld');
      if (optionsOf(command).json) return printJson(images);
      return print(images.length === 0 ? 'no image is withheld' : withheldTable(images));
    });

export const releaseCommand = (): Command =>
  new Command('release')
    .description('give withheld images back to all tenants; tenant adopt gives one to its owner instead')
    .option('--image <image>', 'an image by name or id; may be given more than once', collect)
    .option('--all', 'every withheld image: only when none of them is a secret of one tenant')
    .addHelpText('after', examples('dockgate tenant release --image alpine:3.20', 'dockgate tenant release --all'))
    .action(async ({ image, all }: { image?: readonly string[]; all?: true }, command: Command) => {
      if ((image === undefined) === (all === undefined)) throw usageError('say which: --image, or --all');
      const { released } = await (await gatewayOf(command)).call<{ released: WithheldView[] }>(
        'POST',
        '/withheld/release',
        all === true ? { all } : { images: image },
      );
      return optionsOf(command).json ? printJson(released) : print(withheldTable(released));
    });
