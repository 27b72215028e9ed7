// What a tenant sees of the engine's answers: its own objects, counts of its own, and of the engine what clients need to work.
// Pure filters over parsed answers; whose an object is, they ask the ledger.
import { numberIn } from '../engine/exact-json.ts';
import { canonicalImageReference } from '../engine/image-reference.ts';
import type { OwnedKind } from './entry.ts';
import { TENANT_LABEL } from './labels.ts';
import type { Ledger } from './ledger.ts';
import { familiarImage } from './missing.ts';
import { onlyShown } from './shown-fields.ts';

export type Fields = Record<string, unknown>;

/** Networks every engine has: shared by nature, without the containers others attach to them. */
export const PREDEFINED_NETWORKS: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);

/** Whether all tenants may use and see a reference that has no owner. */
export type IsShared = (reference: string) => boolean;

/** One tenant's view. */
export interface View {
  readonly tenant: string;
  readonly ledger: Ledger;
  readonly isShared: IsShared;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const fields = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};

/** The canonical form of a reference the engine shows, or undefined for `<none>:<none>`. */
export function canonicalOf(shown: string): string | undefined {
  if (shown === '' || shown.startsWith('<none>')) return undefined;
  try {
    return canonicalImageReference(shown);
  } catch {
    return undefined;
  }
}

/** An image as the engine shows it: its id decides, its names say which tenants may know it. */
export interface ShownImage {
  readonly id: string;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  /** Of its configuration, where they are known. */
  readonly labels?: unknown;
}

/** An image of a list, of `system/df` or of `inspect`. */
export function shownImage(image: Fields): ShownImage {
  const labels = image.Labels ?? fields(image.Config).Labels;
  return {
    id: text(image.Id) || text(image.ID),
    tags: list(image.RepoTags).map(text),
    digests: list(image.RepoDigests).map(text),
    labels,
  };
}

const repositoryOf = (reference: string): string => {
  const at = reference.indexOf('@');
  const named = at < 0 ? reference : reference.slice(0, at);
  const colon = named.lastIndexOf(':');
  return colon > named.lastIndexOf('/') ? named.slice(0, colon) : named;
};

/**
 * Whether all tenants may use an image. The answer is about its id: an image a tenant made, pulled or loaded is that tenant's under
 * every name, digest and manifest. Any other image is free by a name that has no owner and that the settings share.
 */
export function isFreeImage({ ledger, isShared }: Pick<View, 'ledger' | 'isShared'>, image: ShownImage): boolean {
  if (ledger.imageHolders(image.id).length > 0) return false;
  // The gateway's label says that a tenant made it, also where the ledger knows nothing of it.
  if (text(fields(image.labels)[TENANT_LABEL]) !== '') return false;
  const isFreeName = (name: string): boolean => ledger.holders('image', name).length === 0 && isShared(name);
  const tags = image.tags.map(canonicalOf).filter((name) => name !== undefined);
  if (tags.some(isFreeName)) return true;
  // The digest comes with a tag of its repository, and belongs to the tenant that has that tag.
  const held = new Set(tags.filter((name) => ledger.holders('image', name).length > 0).map(repositoryOf));
  return image.digests.some((shown) => {
    const name = canonicalOf(shown);
    return name !== undefined && isFreeName(name) && !held.has(repositoryOf(name));
  });
}

/** Whether the tenant may use an image. */
export function seesImage(view: View, image: ShownImage): boolean {
  const { tenant, ledger } = view;
  if (ledger.owned(tenant, 'image', image.id) !== undefined) return true;
  if (ledger.imageHolders(image.id).some((entry) => entry.tenant === tenant)) return true;
  const isOwnName = (shown: string): boolean => {
    const name = canonicalOf(shown);
    return name !== undefined && ledger.owned(tenant, 'image', name) !== undefined;
  };
  return image.tags.some(isOwnName) || image.digests.some(isOwnName) || isFreeImage(view, image);
}

/** Whether the tenant may know an image by one of its names, a canonical reference. A pending name is its maker's alone. */
export function seesName(view: View, name: string, image: ShownImage): boolean {
  const { tenant, ledger, isShared } = view;
  const isMine = (entry: { readonly tenant: string }): boolean => entry.tenant === tenant;
  const entries = ledger.holders('image', name);
  if (entries.length > 0) return entries.some(isMine);
  const repository = repositoryOf(name);
  if (name.includes('@')) {
    const holders = image.tags
      .map(canonicalOf)
      .filter((tag) => tag !== undefined && repositoryOf(tag) === repository)
      .flatMap((tag) => ledger.holders('image', tag as string));
    if (holders.length > 0) return holders.some(isMine);
  }
  return isShared(name) && seesImage(view, image);
}

/** An image of a list, of `system/df` or of `inspect`, with the names the tenant may know; undefined when it is not to be seen. */
export function imageView(view: View, image: unknown): Fields | undefined {
  const from = fields(image);
  const shown = shownImage(from);
  if (!seesImage(view, shown)) return undefined;
  const isSeen = (given: unknown): boolean => {
    const name = canonicalOf(text(given));
    return name !== undefined && seesName(view, name, shown);
  };
  const given = onlyShown('image', from);
  const changed: Fields = {};
  const tags = list(from.RepoTags).filter(isSeen);
  const digests = list(from.RepoDigests).filter(isSeen);
  // Names that mean this image to the tenant alone.
  const aliases = view.ledger
    .imageHolders(shown.id)
    .filter(({ tenant, id, name }) => tenant === view.tenant && id !== name && id.includes('@'))
    .map(({ name }) => familiarImage(name))
    .filter((name) => !tags.includes(name));
  if (aliases.length > 0) changed.RepoTags = [...tags, ...aliases];
  else if (tags.length !== list(from.RepoTags).length) changed.RepoTags = tags;
  if (digests.length !== list(from.RepoDigests).length) changed.RepoDigests = digests;
  // How many containers use it, which, and when it was last named: also by other tenants.
  if ('Containers' in given && given.Containers !== -1) changed.Containers = -1;
  if (Array.isArray(given.Manifests)) changed.Manifests = given.Manifests.map(manifestView(view));
  if ('Metadata' in given && !isMineAlone(view, shown)) changed.Metadata = { LastTagTime: NO_TIME };
  if (text(given.Container) !== '' && !isOwn(view, 'container', given.Container)) changed.Container = '';
  return Object.keys(changed).length === 0 ? given : { ...given, ...changed };
}

/** As Go writes a time that is none. */
const NO_TIME = '0001-01-01T00:00:00Z';

/** Whether no other tenant can have given the image a name. */
const isMineAlone = ({ tenant, ledger }: View, { id, tags }: ShownImage): boolean =>
  ledger.imageHolders(id).length > 0 &&
  ledger.imageHolders(id).every((entry) => entry.tenant === tenant) &&
  tags.every((tag) => ledger.owned(tenant, 'image', canonicalOf(tag) ?? '') !== undefined);

const MANIFEST_SHOWN = ['ID', 'Descriptor', 'Available', 'Size', 'Kind', 'ImageData', 'AttestationData'];

/** One platform of an image, with the containers of the tenant's that use it. */
const manifestView =
  (view: View) =>
  (manifest: unknown): Fields => {
    const shown = Object.fromEntries(Object.entries(fields(manifest)).filter(([key]) => MANIFEST_SHOWN.includes(key)));
    if (typeof shown.ImageData !== 'object' || shown.ImageData === null) return shown;
    const { Platform, Size, Containers } = fields(shown.ImageData);
    const own = Array.isArray(Containers) ? Containers.filter((id) => isOwn(view, 'container', id)) : null;
    return { ...shown, ImageData: { Platform, Size, Containers: own } };
  };

/**
 * A line of a push's progress. The engine remembers for each layer where any tenant pushed it, and names that repository where the
 * registry can take the layer from there.
 */
export const pushView = (line: unknown): boolean | object => {
  const { status } = fields(line);
  if (typeof status !== 'string' || !status.startsWith('Mounted from ')) return true;
  return { ...fields(line), status: 'Mounted from another repository' };
};

/** A network of a list or of `inspect`: containers others attached to a shared one are left out. */
export function networkView({ tenant, ledger }: View, network: unknown): Fields | undefined {
  const from = onlyShown('network', network);
  const isPredefined = PREDEFINED_NETWORKS.has(text(from.Name)) && from.Scope !== 'swarm';
  if (!isPredefined) {
    if (ledger.owned(tenant, 'network', text(from.Id)) === undefined) return undefined;
    return from;
  }
  // The number of addresses taken would also show the containers others attached to a shared network.
  const { Services: _services, Status: _status, ...rest } = from;
  const shown = 'Services' in from || 'Status' in from ? rest : from;
  const containers = fields(from.Containers);
  const own = Object.entries(containers).filter(([id]) => ledger.owned(tenant, 'container', id) !== undefined);
  if (own.length === Object.keys(containers).length) return shown;
  return { ...shown, Containers: Object.fromEntries(own) };
}

/** Layers of `history` name the images they are: only the names the tenant may know. */
export const historyView = (view: View, layers: unknown): unknown =>
  list(layers).map((layer) => {
    const from = onlyShown('image.history', layer);
    if (!Array.isArray(from.Tags)) return from;
    const image: ShownImage = { id: text(from.Id), tags: from.Tags.map(text), digests: [] };
    const tags = from.Tags.filter((shown) => {
      const name = canonicalOf(text(shown));
      return name !== undefined && seesName(view, name, image);
    });
    return { ...from, Tags: tags.length === 0 ? null : tags };
  });

export const isOwn = ({ tenant, ledger }: View, kind: OwnedKind, id: unknown): boolean =>
  ledger.owned(tenant, kind, text(id)) !== undefined;

const ownVolumes = (view: View, volumes: unknown): Fields[] =>
  list(volumes)
    .filter((volume) => isOwn(view, 'volume', fields(volume).Name))
    .map((volume) => onlyShown('volume', volume));

/** The tenant's part of `GET /volumes`. */
export const volumesView = (view: View, answer: unknown): Fields => ({
  Volumes: ownVolumes(view, fields(answer).Volumes),
  Warnings: null,
});

/**
 * `GET /system/df` of the tenant's own objects; the build cache belongs to all and is not shown.
 *
 * @param isVerbose whether the caller asked for the objects themselves, where the engine answers in sums (API 1.52)
 */
export function dfView(view: View, answer: unknown, isVerbose = true): Fields {
  const from = fields(answer);
  const shown: Fields = {};
  const imagesOf = (all: unknown): Fields[] =>
    list(all)
      .map((image) => imageView(view, image))
      .filter((image) => image !== undefined)
      .map((image) => ({ ...image, SharedSize: -1 }));
  const containersOf = (all: unknown): Fields[] =>
    list(all)
      .filter((container) => isOwn(view, 'container', fields(container).Id))
      .map((container) => onlyShown('container.list', container));
  if ('LayersSize' in from) {
    shown.LayersSize = imagesOf(from.Images).reduce((sum, image) => sum + Math.max(0, numberOf(image.Size)), 0);
  }
  if ('Images' in from) shown.Images = imagesOf(from.Images);
  if ('Containers' in from) shown.Containers = containersOf(from.Containers);
  if ('Volumes' in from) shown.Volumes = ownVolumes(view, from.Volumes);
  if ('BuildCache' in from) shown.BuildCache = [];
  if ('BuilderSize' in from) shown.BuilderSize = 0;
  const usage = (items: readonly Fields[], sizeOf: (item: Fields) => number, isActive: (item: Fields) => boolean) => {
    const sum = (some: readonly Fields[]): number => some.reduce((all, item) => all + Math.max(0, sizeOf(item)), 0);
    const active = items.filter(isActive);
    return {
      ActiveCount: active.length,
      TotalCount: items.length,
      TotalSize: sum(items),
      Reclaimable: sum(items) - sum(active),
      ...(isVerbose ? { Items: items } : {}),
    };
  };
  const of = (key: string): unknown => fields(from[key]).Items;
  const used = new Set(containersOf(of('ContainerUsage')).map((container) => text(container.ImageID)));
  if ('ImageUsage' in from) {
    const images = imagesOf(of('ImageUsage'));
    shown.ImageUsage = usage(
      images,
      ({ Size }) => numberOf(Size),
      ({ Id }) => used.has(text(Id)),
    );
  }
  if ('ContainerUsage' in from) {
    const isRunning = ({ State }: Fields): boolean => ['running', 'paused', 'restarting'].includes(text(State));
    shown.ContainerUsage = usage(containersOf(of('ContainerUsage')), ({ SizeRw }) => numberOf(SizeRw), isRunning);
  }
  if ('VolumeUsage' in from) {
    const partOf = (key: string) => (volume: Fields) => numberOf(fields(volume.UsageData)[key]);
    const isUsed = (volume: Fields): boolean => partOf('RefCount')(volume) > 0;
    shown.VolumeUsage = usage(ownVolumes(view, of('VolumeUsage')), partOf('Size'), isUsed);
  }
  if ('BuildCacheUsage' in from)
    shown.BuildCacheUsage = usage(
      [],
      () => 0,
      () => false,
    );
  return shown;
}

const numberOf = (value: unknown): number => numberIn(value) ?? 0;

/** What clients read to know what they talk to. Everything else of `GET /info` is the host's or the neighbours'. */
const INFO_KEPT = [
  'Driver',
  'MemoryLimit',
  'SwapLimit',
  'KernelMemory',
  'KernelMemoryTCP',
  'CpuCfsPeriod',
  'CpuCfsQuota',
  'CPUShares',
  'CPUSet',
  'PidsLimit',
  'IPv4Forwarding',
  'BridgeNfIptables',
  'BridgeNfIp6tables',
  'OomKillDisable',
  'SystemTime',
  'LoggingDriver',
  'CgroupDriver',
  'CgroupVersion',
  'OperatingSystem',
  'OSType',
  'Architecture',
  'IndexServerAddress',
  'NCPU',
  'MemTotal',
  'ServerVersion',
  'DefaultRuntime',
  'Isolation',
  'InitBinary',
  'SecurityOptions',
  'ExperimentalBuild',
] as const;

export interface Counts {
  readonly running: number;
  readonly paused: number;
  readonly stopped: number;
  readonly images: number;
}

export function infoView(answer: unknown, counts: Counts): Fields {
  const from = fields(answer);
  const info: Fields = {
    ID: '',
    Containers: counts.running + counts.paused + counts.stopped,
    ContainersRunning: counts.running,
    ContainersPaused: counts.paused,
    ContainersStopped: counts.stopped,
    Images: counts.images,
    DriverStatus: [],
    Debug: false,
    NFd: 0,
    NGoroutines: 0,
    NEventsListener: 0,
    Name: 'dockgate',
    DockerRootDir: '',
    KernelVersion: '',
    OSVersion: '',
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Labels: [],
    RegistryConfig: null,
    GenericResources: null,
    Warnings: null,
    LiveRestoreEnabled: false,
    Swarm: {
      LocalNodeState: text(fields(from.Swarm).LocalNodeState) || 'inactive',
      NodeID: '',
      NodeAddr: '',
      ControlAvailable: fields(from.Swarm).ControlAvailable === true,
    },
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: '' },
    InitCommit: { ID: '' },
    Runtimes: Object.fromEntries(Object.keys(fields(from.Runtimes)).map((name) => [name, { path: name }])),
    Plugins: {
      Volume: list(fields(from.Plugins).Volume),
      Network: list(fields(from.Plugins).Network),
      Authorization: null,
      Log: list(fields(from.Plugins).Log),
    },
  };
  for (const key of INFO_KEPT) if (key in from) info[key] = from[key];
  return info;
}

const VERSION_KEPT = ['Platform', 'Version', 'ApiVersion', 'MinAPIVersion', 'Os', 'Arch', 'Experimental'] as const;

/** `GET /version`: what clients negotiate by, and of the components the engine's own version. */
export function versionView(answer: unknown): Fields {
  const from = fields(answer);
  const version: Fields = {};
  for (const key of VERSION_KEPT) if (key in from) version[key] = from[key];
  if (Array.isArray(from.Components)) {
    version.Components = from.Components.filter((component) => fields(component).Name === 'Engine').map((component) => {
      const details = fields(fields(component).Details);
      const kept = Object.fromEntries(
        ['ApiVersion', 'MinAPIVersion', 'Os', 'Arch', 'Experimental']
          .filter((key) => key in details)
          .map((key) => [key, details[key]]),
      );
      return { Name: 'Engine', Version: fields(component).Version, Details: kept };
    });
  }
  return version;
}
