// Bind mounts only below configured roots, read-only where a root says so, by whichever door they come in:
// Binds, Mounts, a local volume with bind options, inline or made beforehand, in containers and in services.
// Where the host's tree is visible to the gateway, links below a root are followed, so that a link made by a container
// that may write there leads nowhere else. A link made between this check and the engine's mount is not seen.
import { realpathSync } from 'node:fs';
import { posix } from 'node:path';
import {
  type AdmissionRequest,
  type Change,
  type JsonObject,
  type Plugin,
  parseBind,
  presetViolations,
  type Verdict,
} from '../src/plugin.ts';

interface Root {
  readonly path: string;
  readonly readOnly: boolean;
}

interface Settings {
  readonly roots: readonly Root[];
  /** A writable bind of a read-only root: refuse it (default), or make it read-only. */
  readonly writable: 'deny' | 'make-read-only';
  readonly followLinks: boolean;
}

interface BindMount {
  readonly field: string;
  readonly source: string;
  readonly readOnly: boolean;
  /** The change that makes it read-only; undefined where the request has no place for it. */
  readonly fix?: Change;
}

const object = (value: unknown): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function settings(input: unknown): Settings {
  const { roots, writable = 'deny', followLinks = true, ...rest } = object(input) as Record<string, unknown>;
  for (const key of Object.keys(rest)) throw new Error(`unknown setting ${key}; known: roots, writable, followLinks`);
  if (!Array.isArray(roots)) throw new Error('roots must be a list, such as [{ path: /srv/ci, readOnly: true }]');
  if (writable !== 'deny' && writable !== 'make-read-only') throw new Error('writable must be deny or make-read-only');
  if (typeof followLinks !== 'boolean') throw new Error('followLinks must be true or false');
  return {
    writable,
    followLinks,
    roots: roots.map((entry, i) => {
      const {
        path,
        readOnly = false,
        ...unknown
      } = (typeof entry === 'string' ? { path: entry } : object(entry)) as Record<string, unknown>;
      for (const key of Object.keys(unknown))
        throw new Error(`roots[${i}] has the unknown setting ${key}; known: path, readOnly`);
      if (typeof path !== 'string' || !path.startsWith('/'))
        throw new Error(`roots[${i}].path must be an absolute path`);
      if (typeof readOnly !== 'boolean') throw new Error(`roots[${i}].readOnly must be true or false`);
      return { path: clean(path), readOnly };
    }),
  };
}

const clean = (path: string): string => {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
};

const isBelow = (path: string, root: string): boolean => root === '/' || path === root || path.startsWith(`${root}/`);

/** The path with its links followed as far as it exists here; as it is where the tree is not visible. */
function followed(path: string): string {
  const missing: string[] = [];
  for (let at = path; ; at = posix.dirname(at)) {
    try {
      return posix.join(realpathSync(at), ...missing);
    } catch {
      if (at === '/') return path;
      missing.unshift(posix.basename(at));
    }
  }
}

/** Every bind mount a call asks for. */
function bindsOf(request: AdmissionRequest): BindMount[] {
  // What the gateway put in itself is no path of the caller's.
  return allBindsOf(request).filter(({ source }) => request.ownSocket === undefined || source !== request.ownSocket);
}

function allBindsOf(request: AdmissionRequest): BindMount[] {
  const body = object(request.body);
  const found: BindMount[] = [];
  if (request.operation.action === 'volume.create') {
    fromDriverOptions('DriverOpts', object(body.DriverOpts), false, undefined, found);
    return found;
  }
  if (request.operation.action.startsWith('service.')) {
    const spec = object(object(body.TaskTemplate).ContainerSpec);
    fromMounts(
      'TaskTemplate.ContainerSpec.Mounts',
      '/body/TaskTemplate/ContainerSpec/Mounts',
      list(spec.Mounts),
      found,
    );
    return found;
  }
  const host = object(body.HostConfig);
  list(host.Binds).forEach((bind, i) => {
    const parsed = parseBind(String(bind));
    if (parsed.kind !== 'bind') return;
    found.push({
      field: `HostConfig.Binds[${i}]`,
      source: parsed.source,
      readOnly: parsed.readOnly,
      fix: {
        op: 'replace',
        path: `/body/HostConfig/Binds/${i}`,
        value: `${parsed.source}:${parsed.target}:${['ro', ...parsed.options.filter((o) => o !== 'rw' && o !== 'ro')].join(',')}`,
      },
    });
  });
  fromMounts('HostConfig.Mounts', '/body/HostConfig/Mounts', list(host.Mounts), found);
  return found;
}

function fromMounts(field: string, pointer: string, mounts: readonly unknown[], found: BindMount[]): void {
  mounts.forEach((value, i) => {
    const mount = object(value);
    const fix: Change = { op: 'add', path: `${pointer}/${i}/ReadOnly`, value: true };
    if (mount.Type === 'bind') {
      found.push({
        field: `${field}[${i}].Source`,
        source: String(mount.Source ?? ''),
        readOnly: mount.ReadOnly === true,
        fix,
      });
    }
    const driver = object(object(mount.VolumeOptions).DriverConfig);
    fromDriverOptions(
      `${field}[${i}].VolumeOptions.DriverConfig.Options`,
      object(driver.Options),
      mount.ReadOnly === true,
      fix,
      found,
    );
  });
}

/** The local driver hands type, o and device to mount(8): a device that is a path is a path of the host. */
function fromDriverOptions(
  field: string,
  options: JsonObject,
  readOnly: boolean,
  fix: Change | undefined,
  found: BindMount[],
): void {
  const { device } = options;
  if (typeof device !== 'string' || !device.startsWith('/')) return;
  const flags = String(options.o ?? '').split(',');
  found.push({
    field: `${field}.device`,
    source: device,
    readOnly: readOnly || flags.includes('ro'),
    ...(fix === undefined ? {} : { fix }),
  });
}

const rootOf = (path: string, config: Settings): Root | undefined =>
  // The longest root wins, so that a read-only folder may lie inside a writable one.
  config.roots.filter((r) => isBelow(path, r.path)).sort((a, b) => b.path.length - a.path.length)[0];

/** Where the presets speak of mounts; their word on anything else is left to policies. */
const MOUNTS = /^(?:HostConfig\.(?:Binds|Mounts)|TaskTemplate\.ContainerSpec\.Mounts|DriverOpts)\b/;
/** Another machine's files are none of the host's, but for a bind that only says so. */
const SHARES: ReadonlySet<unknown> = new Set(['nfs', 'nfs4', 'cifs']);

/** What the host presets say of the mounts of a call, with the roots as the folders a policy lists. */
function refusedByPresets(request: AdmissionRequest, { roots }: Settings): Verdict | undefined {
  if (roots.some(({ path }) => path === '/')) return undefined;
  const binds = roots.map(({ path, readOnly }) => ({ path, readOnly, subpaths: true }));
  for (const { field, message } of presetViolations(request, { preset: 'baseline', mountTypes: ['image'], binds })) {
    const isMount = MOUNTS.test(field) || /would not make: Mounts\[/.test(message);
    if (!isMount || /volume of the driver|VolumeOptions\.DriverConfig\.Name/.test(message) || isLeft(request, field))
      continue;
    const isWritable = /writable \(allowed: read-only\)/.test(message);
    return { kind: 'deny', code: isWritable ? 'bind-mount-writable' : 'bind-mount-denied', message };
  }
  return undefined;
}

/** Options of a volume that are a share of another machine, or a plain bind of a folder, which is held against the roots below. */
function isLeft(request: AdmissionRequest, field: string): boolean {
  const body = object(request.body);
  const mount = /^(HostConfig|TaskTemplate\.ContainerSpec)\.Mounts\[(\d+)\]\.VolumeOptions/.exec(field);
  const owner = mount?.[1] === 'HostConfig' ? object(body.HostConfig) : object(object(body.TaskTemplate).ContainerSpec);
  const options = field.startsWith('DriverOpts')
    ? object(body.DriverOpts)
    : object(object(object(object(list(owner.Mounts)[Number(mount?.[2])]).VolumeOptions).DriverConfig).Options);
  const words = String(options.o ?? '').split(',');
  const binds = words.includes('bind') || words.includes('rbind');
  if (SHARES.has(options.type)) return !binds;
  const isFolder = typeof options.device === 'string' && options.device.startsWith('/');
  const isPlain = words.every((word) => ['bind', 'rbind', 'ro', 'rw'].includes(word));
  return binds && isPlain && isFolder && ['', 'none', undefined].includes(options.type as string | undefined);
}

export default {
  meta: {
    name: 'bind-mounts',
    version: '1.1.0',
    apiVersion: 1,
    description: 'Allows bind mounts below configured roots only, read-only where a root says so',
  },
  match: {
    actions: ['container.create', 'volume.create', 'service.create', 'service.update'],
    objects: true,
  },
  config: { parse: settings },
  mutate(request, { config, annotate }) {
    if (config.writable !== 'make-read-only') return [];
    const changes: Change[] = [];
    for (const bind of bindsOf(request)) {
      if (bind.readOnly || bind.fix === undefined || rootOf(clean(bind.source), config)?.readOnly !== true) continue;
      annotate(bind.field, 'made read-only');
      changes.push(bind.fix);
    }
    return changes;
  },
  validate(request, { config }): Verdict {
    const refused = refusedByPresets(request, config);
    if (refused !== undefined) return refused;
    const allowed =
      config.roots.length === 0
        ? 'none'
        : config.roots.map((r) => (r.readOnly ? `${r.path} read-only` : r.path)).join(', ');
    for (const { field, source, readOnly } of bindsOf(request)) {
      const asked = clean(source);
      const real = config.followLinks ? followed(asked) : asked;
      const root = rootOf(asked, config);
      const realRoots = config.followLinks ? config.roots.map((r) => ({ ...r, path: followed(r.path) })) : config.roots;
      const realRoot = rootOf(real, { ...config, roots: realRoots });
      if (root === undefined || realRoot === undefined) {
        const via = real === asked ? '' : ', which is a link out of its root';
        return {
          kind: 'deny',
          code: 'bind-mount-denied',
          message: `${field} mounts host path "${source}"${via} (allowed: ${allowed})`,
        };
      }
      if ((root.readOnly || realRoot.readOnly) && !readOnly) {
        return {
          kind: 'deny',
          code: 'bind-mount-writable',
          message: `${field} mounts "${source}" writable; below ${root.path} mounts must be read-only, add :ro`,
        };
      }
    }
    return { kind: 'pass' };
  },
} satisfies Plugin<Settings>;
