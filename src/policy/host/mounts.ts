// Checks everything that puts files of elsewhere into a container: Binds, Mounts, volumes and the options of drivers.

import { RECURSIVE_READ_ONLY_MINOR } from '../../engine/field-versions.ts';
import { isEmptyValue } from '../../engine/json.ts';
import type { ParsedBind } from '../../engine/mounts.ts';
import { cleanPath, isAbsolutePath, parseBind } from '../../engine/mounts.ts';
import type { EngineCall, Json, JsonObject, MadeMount, ResourceRef } from '../../engine/types.ts';
import { isTmpfsAmount } from './amounts.ts';
import type { BindRoot } from './bind-roots.ts';
import { isBelow, reachesSocket } from './bind-roots.ts';
import { SAFE_OWN_TMPFS_FLAGS, SAFE_TMPFS_FLAGS, SAFE_TMPFS_VALUES } from './presets.ts';
import type { Check, Report, Rows } from './report.ts';
import { each, empty, entry, listOf, objectOf, oneOfWords, quote, show, walk } from './report.ts';
import type { HostRules } from './rules.ts';
import { reachesGateway } from './site.ts';

/** Names the engine takes for a volume; others are paths in disguise or refused by it. */
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** A named volume without anything to judge: nearly all of them, read without the parser. */
const PLAIN_VOLUME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*:\/[\w./-]*(?::r[ow])?$/;
const PRIVATE: ReadonlySet<unknown> = new Set([undefined, null, '', 'private', 'rprivate']);
const TMPFS_FLAGS: ReadonlySet<string> = new Set(SAFE_TMPFS_FLAGS);
const TMPFS_VALUES: ReadonlySet<string> = new Set(SAFE_TMPFS_VALUES);
/** Options that limit a tmpfs, where an amount that is none takes the limit away. */
const TMPFS_AMOUNTS: ReadonlySet<string> = new Set(['size', 'nr_blocks', 'nr_inodes']);
const OWN_TMPFS_FLAGS: ReadonlySet<string> = new Set(SAFE_OWN_TMPFS_FLAGS);
const SHARED_OPTIONS: ReadonlySet<string> = new Set(['shared', 'rshared', 'slave', 'rslave']);

/** HostConfig.Binds: `src:dst[:options]`. */
export const bindsCheck =
  (rules: HostRules): Check =>
  (value, at, report) => {
    const list = listOf(value, at, report);
    for (let i = 0; i < list.length; i += 1) {
      const spec = list[i];
      if (typeof spec === 'string' && PLAIN_VOLUME.test(spec)) continue;
      const bind = typeof spec === 'string' ? tryParse(spec) : undefined;
      if (bind === undefined)
        report.deny(`${at}[${i}]`, spec, `is ${quote(spec)}, which is no mount (allowed: volume:/path)`);
      else if (bind.kind === 'bind') checkBind(rules, bind, `${at}[${i}]`, report);
      else if (bind.kind === 'volume') checkVolumeName(bind.source, `${at}[${i}]`, report);
    }
  };

function tryParse(spec: string): ParsedBind | undefined {
  try {
    return parseBind(spec);
  } catch {
    return undefined;
  }
}

function checkBind(rules: HostRules, bind: ParsedBind, at: string, report: Report): void {
  const root = checkHostPath(rules, bind.source, bind.readOnly, at, report);
  if (root === undefined) return;
  for (const option of bind.options) {
    if (SHARED_OPTIONS.has(option)) denyPropagation(option, at, report);
    // Relabelling writes to every file below the path.
    if (root.readOnly && (option === 'z' || option === 'Z')) {
      report.deny(
        at,
        option,
        `relabels ${JSON.stringify(bind.source)} (allowed: read-only use without ${option})`,
        true,
      );
    }
  }
}

const denyPropagation = (mode: Json, at: string, report: Report): void =>
  report.deny(at, mode, `has the propagation ${quote(mode)} (allowed: private or rprivate)`, true);

/** What the gateway itself put in the place of the engine's socket. */
const OWN_SOCKET: BindRoot = { text: '', readOnly: false, subpaths: false, pathFor: () => undefined };

/** @returns the allowed folder the path lies in, undefined after a denial */
function checkHostPath(
  rules: HostRules,
  path: string,
  readOnly: boolean,
  at: string,
  report: Report,
  /** A folder comes with the mounts below it, unless it is bound alone. */
  bound: 'with-mounts' | 'alone' = 'with-mounts',
): BindRoot | undefined {
  if (path === report.site?.granted) return OWN_SOCKET;
  const quoted = quote(path);
  if (path.includes('\0') || path.includes('\\')) {
    report.deny(at, path, `mounts host path ${quoted}, which holds odd characters (allowed: a plain absolute path)`);
    return undefined;
  }
  // The most specific folder decides, so that a writable one may lie in a read-only one.
  let best: { root: BindRoot; length: number } | undefined;
  let linked: { root: BindRoot; length: number } | undefined;
  for (const root of rules.binds) {
    const folder = root.pathFor(report.principal);
    if (folder === undefined || !isBelow(path, folder)) continue;
    const found = { root, length: folder.length };
    if (found.length > (best?.length ?? -1)) best = found;
    // A caller who writes to a folder above can put a link in this one's place.
    if (path !== folder && !root.subpaths) linked = found;
  }
  if (best === undefined) {
    const allowed = rules.binds.length === 0 ? 'none; use a named volume' : rootsText(rules.binds);
    report.deny(at, path, `mounts host path ${quoted} (allowed: ${allowed})`);
    return undefined;
  }
  if (reachesGateway(path, report.site, best.length === path.length)) {
    report.deny(at, path, `mounts host path ${quoted}, which reaches files of the gateway (allowed: never)`);
    return undefined;
  }
  if (reachesSocket(path)) {
    report.deny(at, path, `mounts host path ${quoted}, which reaches the socket of an engine (allowed: never)`);
    return undefined;
  }
  if (linked !== undefined) {
    const { text } = linked.root;
    report.deny(
      at,
      path,
      `mounts host path ${quoted} below a writable folder, where it may be a link to anywhere (allowed: ${text}; or all below it where the policy says subpaths: true)`,
    );
    return undefined;
  }
  if (best.root.readOnly && !readOnly) {
    report.deny(at, path, `mounts host path ${quoted} writable (allowed: read-only)`, true);
    return undefined;
  }
  if (!best.root.readOnly || bound === 'alone') return best.root;
  if (report.minor !== undefined && report.minor < RECURSIVE_READ_ONLY_MINOR) {
    report.deny(
      at,
      path,
      `mounts host path ${quoted} read-only, which in API 1.${report.minor} leaves mounts below it writable (allowed: API 1.${RECURSIVE_READ_ONLY_MINOR} or later, which Docker 25 and newer serve)`,
      true,
    );
    return undefined;
  }
  if (isShallow(report)) {
    report.deny(
      at,
      path,
      `mounts host path ${quoted} read-only, which ${report.runtime === '' ? 'this engine' : `this engine with the runtime ${quote(report.runtime)}`} does for the folder alone and leaves mounts below it writable (allowed: Docker 25 or newer on a kernel from 5.12 on, with a runtime that knows rro, such as runc from 1.1 on)`,
      true,
    );
    return undefined;
  }
  return best.root;
}

/** Whether mounts below a read-only bind of this container stay writable. Where the engine is unknown, the API version alone decides. */
function isShallow({ depth, runtime }: Report): boolean {
  return depth !== undefined && !depth.runtimes.includes(runtime === '' ? depth.byDefault : runtime);
}

/** `/srv/ci itself, or below /srv/ro (read-only)` */
function rootsText(roots: readonly BindRoot[]): string {
  const alone = roots.filter(({ subpaths }) => !subpaths).map(({ text }) => text);
  const below = roots.filter(({ subpaths }) => subpaths).map(({ text }) => text);
  if (alone.length === 0) return `below ${oneOfWords(below)}`;
  return below.length === 0 ? oneOfWords(alone) : `${oneOfWords(alone)}, or below ${oneOfWords(below)}`;
}

function checkVolumeName(name: string, at: string, report: Report): void {
  if (!VOLUME_NAME.test(name)) {
    report.deny(at, name, `mounts ${quote(name)}, which is no volume name (allowed: letters, digits, _, . and -)`);
  }
}

/**
 * Volumes that exist already: what they mount was said when they were made, perhaps not through this gateway. A volume
 * that is a bind of a listed folder counts as that folder; every other option is judged as at creation.
 */
export function volumesInUseCheck(rules: HostRules): (call: EngineCall, report: Report) => void {
  const checkOptions = driverOptsCheck(rules);
  return ({ resources }, report) => {
    for (const { kind, role, at, name, driver } of resources) {
      if (kind !== 'volume' || role !== 'uses' || driver === undefined || report.isLetThrough(at)) continue;
      checkDriver(rules, checkOptions, driver, name, at, report);
    }
  };
}

function checkDriver(
  rules: HostRules,
  checkOptions: Check,
  driver: NonNullable<ResourceRef['driver']>,
  name: string,
  at: string,
  report: Report,
): void {
  if (driver.name !== 'local') {
    report.deny(at, name, `mounts a volume of the driver ${quote(driver.name)} (allowed: local)`);
  } else if (isBindOfFolder(driver.options)) {
    const isReadOnly = hasOption(driver.options.o, 'ro');
    const root = checkHostPath(rules, cleanPath(driver.options.device ?? ''), isReadOnly, at, report, 'alone');
    // Bound with the mounts below it, and read-only without them.
    if (root?.readOnly === true && hasOption(driver.options.o, 'rbind')) {
      report.deny(
        at,
        name,
        'binds a read-only folder with the mounts below it, which stay writable (allowed: o=bind,ro)',
      );
    }
  } else checkOptions(driver.options, `${at}.options`, report);
}

/** A mount of an existing container: a path of the host, or a volume by the options it was made with. */
export function madeMountCheck(rules: HostRules): (mount: MadeMount, at: string, report: Report) => void {
  const checkOptions = driverOptsCheck(rules);
  return (mount, at, report) => {
    switch (mount.type) {
      case 'tmpfs':
        return;
      case 'bind':
        if (
          report.site?.isWithinReach?.(mount.source) !== true &&
          checkHostPath(rules, cleanPath(mount.source), mount.readOnly, at, report)?.readOnly === true &&
          mount.isShallow === true
        ) {
          report.deny(
            at,
            mount.target,
            'leaves mounts below a read-only folder writable (allowed: read-only with them)',
          );
        }
        if (!PRIVATE.has(mount.propagation)) denyPropagation(mount.propagation, at, report);
        return;
      case 'volume':
        if (mount.driver === undefined)
          report.deny(at, '', 'mounts a volume that cannot be looked up (allowed: local)');
        else checkDriver(rules, checkOptions, mount.driver, '', at, report);
        return;
      case 'image':
        if (rules.imageMounts) return;
    }
    report.deny(at, mount.type, `has the type ${quote(mount.type)} (allowed: volume, tmpfs or a listed bind)`);
  };
}

const hasOption = (options: string | undefined, name: string): boolean => (options ?? '').split(',').includes(name);

/** `type=none,o=bind,device=/path`, the one form of a local volume that is plainly a folder of the host. */
function isBindOfFolder({ type = '', o = '', device = '', ...others }: Readonly<Record<string, string>>): boolean {
  const isPlain = o.split(',').every((option) => ['bind', 'rbind', 'ro', 'rw'].includes(option));
  const isBind = hasOption(o, 'bind') || hasOption(o, 'rbind');
  return Object.keys(others).length === 0 && isPlain && isBind && ['', 'none'].includes(type) && isAbsolutePath(device);
}

const BIND_OPTIONS: Rows = new Map<string, Check | null>([
  ['Propagation', null],
  ['NonRecursive', null],
  ['CreateMountpoint', null],
  ['ReadOnlyNonRecursive', null],
  ['ReadOnlyForceRecursive', null],
]);

/** Fields of a Mount. Type, Source and the options of the type are judged together, see `checkMount`. */
const MOUNT: Rows = new Map<string, Check | null>([
  ['Type', null],
  ['Source', null],
  ['Target', null],
  ['ReadOnly', null],
  ['Consistency', null],
  ['BindOptions', (value, at, report) => walk(BIND_OPTIONS, value, at, report)],
  ['VolumeOptions', null],
  ['ImageOptions', (value, at, report) => walk(IMAGE_OPTIONS, value, at, report)],
  ['TmpfsOptions', (value, at, report) => walk(TMPFS_OPTIONS, value, at, report)],
  ['ClusterOptions', empty('none')],
]);
const IMAGE_OPTIONS: Rows = new Map([['Subpath', null]]);
const TMPFS_OPTIONS: Rows = new Map<string, Check | null>([
  [
    'SizeBytes',
    (value, at, report) => {
      if (isTmpfsAmount(String(value))) return;
      report.deny(at, value, `is ${show(value)} (allowed: an amount, or 0 for the engine's default)`);
    },
  ],
  ['Mode', null],
  [
    'Options',
    each((value, at, report) => {
      const words = listOf(value, at, report).map(String).join('=');
      if (!isTmpfsOptions(words, OWN_TMPFS_FLAGS)) denyTmpfsOptions(words, at, report);
    }),
  ],
]);

/** HostConfig.Tmpfs: path to options. They reach mount(2), where `bind`, `move` and `remount` make something else of it. */
export const tmpfsCheck: Check = (value, at, report) => {
  const paths = objectOf(value, at, report);
  for (const path in paths) {
    const options = paths[path];
    if (!isTmpfsOptions(options, OWN_TMPFS_FLAGS)) denyTmpfsOptions(options, entry(at, path), report);
  }
};

const denyTmpfsOptions = (options: Json | undefined, at: string, report: Report): void =>
  report.deny(
    at,
    options,
    `is ${quote(options)} (allowed: options of a tmpfs such as size, mode, uid, gid, exec and ro)`,
  );

/** HostConfig.Mounts and ContainerSpec.Mounts. */
export function mountsCheck(rules: HostRules): Check {
  const driverConfig = driverConfigCheck(rules);
  const volumeOptions: Rows = new Map<string, Check | null>([
    ['NoCopy', null],
    ['Labels', null],
    ['Subpath', null],
    ['DriverConfig', driverConfig],
  ]);
  return each((value, at, report) => {
    const mount = objectOf(value, at, report) ?? {};
    walk(MOUNT, mount, at, report);
    walk(volumeOptions, mount.VolumeOptions, `${at}.VolumeOptions`, report);
    checkMount(rules, mount, at, report);
  });
}

function checkMount(rules: HostRules, mount: JsonObject, at: string, report: Report): void {
  const source = mount.Source;
  switch (mount.Type) {
    case 'volume':
      if (typeof source === 'string' && source !== '') checkVolumeName(source, at, report);
      return;
    case 'tmpfs':
      // Docker refuses it; Podman makes a folder of that name on the host first.
      if (typeof source === 'string' && source !== '') {
        report.deny(`${at}.Source`, source, `is ${quote(source)} of a tmpfs (allowed: empty)`);
      }
      return;
    case 'bind':
      checkBindMount(rules, mount, at, report);
      return;
    case 'image':
      if (rules.imageMounts) return;
      break;
  }
  const types = `volume or tmpfs${rules.imageMounts ? ' or image' : ''}${rules.binds.length > 0 ? ' or bind' : ''}`;
  report.deny(`${at}.Type`, mount.Type, `is ${quote(mount.Type ?? '')} (allowed: ${types})`);
}

function checkBindMount(rules: HostRules, mount: JsonObject, at: string, report: Report): void {
  const { Source: source } = mount;
  if (typeof source !== 'string' || !isAbsolutePath(source)) {
    report.deny(at, source, `mounts host path ${quote(source ?? '')} (allowed: an absolute path)`);
    return;
  }
  const root = checkHostPath(rules, cleanPath(source), mount.ReadOnly === true, at, report);
  if (root === undefined) return;
  const options = objectOf(mount.BindOptions, `${at}.BindOptions`, report);
  if (options === undefined) return;
  if (!PRIVATE.has(options.Propagation))
    denyPropagation(options.Propagation ?? '', `${at}.BindOptions.Propagation`, report);
  // Mounts below the path would stay writable.
  if (root.readOnly && !isEmptyValue(options.ReadOnlyNonRecursive)) {
    report.deny(
      `${at}.BindOptions.ReadOnlyNonRecursive`,
      true,
      'is true (allowed: false, the path is read-only)',
      true,
    );
  }
  if (root.readOnly && !isEmptyValue(options.CreateMountpoint)) {
    report.deny(`${at}.BindOptions.CreateMountpoint`, true, 'is true (allowed: false, the path is read-only)', true);
  }
}

/** VolumeOptions.DriverConfig: a driver and its options inside a mount. */
function driverConfigCheck(rules: HostRules): Check {
  const rows: Rows = new Map<string, Check | null>([
    ['Name', volumeDriver],
    ['Options', driverOptsCheck(rules)],
  ]);
  return (value, at, report) => walk(rows, value, at, report);
}

/** VolumeDriver, Driver and DriverConfig.Name. */
export const volumeDriver: Check = (value, at, report) => {
  if (value !== 'local') report.deny(at, value, `is ${quote(value)} (allowed: local)`);
};

/**
 * Options of the local driver. It hands them to mount(2), so all but a tmpfs can name a path, a device or another
 * machine: `o=bind` wins over any type, `lowerdir` and `addr` hide in `o`.
 */
export const driverOptsCheck =
  (rules: HostRules): Check =>
  (value, at, report) => {
    const options = objectOf(value, at, report);
    if (options === undefined) return;
    const isTmpfs = options.type === 'tmpfs' && options.device === 'tmpfs';
    const allowed = rules.values.volumeOptions ? 'size, or type=tmpfs with device=tmpfs' : 'none';
    for (const key in options) {
      const item = options[key];
      const isFine =
        rules.values.volumeOptions &&
        ((key === 'size' && isPlain(item)) ||
          (isTmpfs && (key === 'type' || key === 'device' || (key === 'o' && isTmpfsOptions(item, TMPFS_FLAGS)))));
      if (!isFine) report.deny(`${at}.${key}`, item, `is ${quote(item)} (allowed: ${allowed})`);
    }
  };

/** A quota of a volume: an amount above zero, which would be none. */
const isPlain = (value: Json | undefined): boolean =>
  typeof value === 'string' && /^0*[1-9][0-9]*(?:[kmgt]i?b?|b)?$/i.test(value);

function isTmpfsOptions(value: Json | undefined, flags: ReadonlySet<string>): boolean {
  if (typeof value !== 'string') return false;
  return value.split(',').every((option) => {
    const equals = option.indexOf('=');
    if (equals < 0) return option === '' || flags.has(option);
    const [name, amount] = [option.slice(0, equals), option.slice(equals + 1)];
    if (TMPFS_AMOUNTS.has(name)) return isTmpfsAmount(amount);
    return TMPFS_VALUES.has(name) && /^[0-9]{1,10}$/.test(amount);
  });
}

/** Config.Volumes: paths in the container, each a new volume. Old clients put binds here. */
export const volumePaths: Check = (value, at, report) => {
  const paths = objectOf(value, at, report);
  for (const path in paths) {
    if (!isAbsolutePath(path) || path.includes(':') || cleanPath(path) === '/') {
      report.deny(at, path, `has the path ${quote(path)} (allowed: absolute paths in the container without ":")`);
    }
  }
};
