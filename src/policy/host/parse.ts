// Reads the host block of a policy document and names everything that is wrong with it at once.
import { cleanPath } from '../../engine/mounts.ts';
import { bindRootOf, reachesSocket } from './bind-roots.ts';
import { canonicalCapability, parsePortRange } from './rules.ts';
import { byteSize } from './sizes.ts';
import type { BindRule, DeviceRule, HostPreset, HostSpec } from './spec.ts';
import { HOST_PRESETS } from './spec.ts';
import { parseSubnet } from './subnets.ts';
import { suggestion } from './suggest.ts';

/** Every capability of Linux, so that a misspelt one is noticed. */
const CAPABILITIES: readonly string[] = [
  ...['ALL', 'AUDIT_CONTROL', 'AUDIT_READ', 'AUDIT_WRITE', 'BLOCK_SUSPEND', 'BPF', 'CHECKPOINT_RESTORE', 'CHOWN'],
  ...['DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'IPC_LOCK', 'IPC_OWNER', 'KILL', 'LEASE'],
  ...['LINUX_IMMUTABLE', 'MAC_ADMIN', 'MAC_OVERRIDE', 'MKNOD', 'NET_ADMIN', 'NET_BIND_SERVICE', 'NET_BROADCAST'],
  ...['NET_RAW', 'PERFMON', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYSLOG', 'SYS_ADMIN', 'SYS_BOOT'],
  ...['SYS_CHROOT', 'SYS_MODULE', 'SYS_NICE', 'SYS_PACCT', 'SYS_PTRACE', 'SYS_RAWIO', 'SYS_RESOURCE', 'SYS_TIME'],
  ...['SYS_TTY_CONFIG', 'WAKE_ALARM'],
];

type Problems = string[];
/** @returns the value as read, undefined after reporting a problem */
type Read<T> = (value: unknown, where: string, problems: Problems) => T | undefined;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const shown = (value: unknown): string => JSON.stringify(value) ?? String(value);

function object(value: unknown, where: string, known: readonly string[], problems: Problems): Record<string, unknown> {
  if (!isObject(value)) {
    problems.push(`${where} must be an object, got ${shown(value)}`);
    return {};
  }
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) problems.push(`${where}.${key} is not known${suggestion(key, known)}`);
  }
  return value;
}

const listOf =
  <T>(read: Read<T>): Read<readonly T[]> =>
  (value, where, problems) => {
    if (!Array.isArray(value)) {
      problems.push(`${where} must be a list, got ${shown(value)}`);
      return undefined;
    }
    const read_ = value.map((item, i) => read(item, `${where}[${i}]`, problems));
    return read_.filter((item) => item !== undefined) as T[];
  };

const textLike =
  (isFine: (text: string) => boolean, what: string): Read<string> =>
  (value, where, problems) => {
    if (typeof value === 'string' && isFine(value)) return value;
    problems.push(`${where} must be ${what}, got ${shown(value)}`);
    return undefined;
  };

const name = textLike((text) => text !== '' && text.trim() === text, 'a name');
const pattern = textLike((text) => /^[^*\s]+\*?$/.test(text), 'a name, which may end in *');

const preset: Read<HostPreset> = (value, where, problems) => {
  if (HOST_PRESETS.includes(value as HostPreset)) return value as HostPreset;
  const near = typeof value === 'string' ? suggestion(value, HOST_PRESETS) : '';
  problems.push(`${where} must be one of ${HOST_PRESETS.join(', ')}, got ${shown(value)}${near}`);
  return undefined;
};

const bind: Read<BindRule> = (value, where, problems) => {
  const rule =
    typeof value === 'string' ? { path: value } : object(value, where, ['path', 'readOnly', 'subpaths'], problems);
  const { path, readOnly, subpaths } = rule as { path?: unknown; readOnly?: unknown; subpaths?: unknown };
  if (readOnly !== undefined && typeof readOnly !== 'boolean') {
    problems.push(`${where}.readOnly must be true or false, got ${shown(readOnly)}`);
    return undefined;
  }
  if (subpaths !== undefined && typeof subpaths !== 'boolean') {
    problems.push(`${where}.subpaths must be true or false, got ${shown(subpaths)}`);
    return undefined;
  }
  const root = typeof path === 'string' ? bindRootOf(path) : undefined;
  if (root === undefined) {
    problems.push(
      `${where} must be an absolute path below / without ":", its placeholders of \${principal.}, got ${shown(path)}`,
    );
    return undefined;
  }
  if (reachesSocket(cleanPath(path as string)) && !['/var', '/run'].includes(cleanPath(path as string))) {
    problems.push(`${where} reaches the socket of an engine and can never be mounted: ${shown(path)}`);
    return undefined;
  }
  if (readOnly === undefined && subpaths === undefined) return path as string;
  return {
    path: path as string,
    ...(readOnly === undefined ? {} : { readOnly }),
    ...(subpaths === undefined ? {} : { subpaths }),
  };
};

const port: Read<number | string> = (value, where, problems) => {
  if ((typeof value === 'number' || typeof value === 'string') && parsePortRange(value) !== undefined) return value;
  problems.push(`${where} must be a port like 8080 or a range like "30000-30999", got ${shown(value)}`);
  return undefined;
};

const device: Read<DeviceRule> = (value, where, problems) => {
  if (typeof value === 'string' && value.startsWith('/dev/') && !value.includes('..')) return value;
  if (isObject(value)) {
    const rule = object(value, where, ['path', 'permissions', 'gpu', 'cdi'], problems);
    const { path, permissions = 'rwm', gpu, cdi } = rule;
    const kinds = [path, gpu, cdi].filter((item) => item !== undefined).length;
    if (kinds === 1 && (gpu === 'all' || (Number.isSafeInteger(gpu) && (gpu as number) > 0)))
      return { gpu: gpu as number };
    if (kinds === 1 && typeof cdi === 'string' && /^[^/=\s]+\/[^/=\s]+=[^\s]+$/.test(cdi)) return { cdi };
    const isPath = typeof path === 'string' && path.startsWith('/dev/') && !path.includes('..');
    if (kinds === 1 && isPath && typeof permissions === 'string' && /^[rwm]{1,3}$/.test(permissions)) {
      return { path, permissions };
    }
  }
  problems.push(
    `${where} must be a path like /dev/fuse, {path, permissions}, {gpu: 1} or {cdi: vendor/class=name}, got ${shown(value)}`,
  );
  return undefined;
};

const capability: Read<string> = (value, where, problems) => {
  const known = typeof value === 'string' ? canonicalCapability(value) : '';
  if (CAPABILITIES.includes(known)) return known;
  problems.push(`${where} is no capability: ${shown(value)}${suggestion(known, CAPABILITIES)}`);
  return undefined;
};

const seccompProfile = textLike(
  (text) => text === 'builtin' || text === 'unconfined' || /^[0-9a-fA-F]{64}$/.test(text),
  'the SHA-256 of a profile in hex, builtin or unconfined',
);
const mountType = textLike((text) => text === 'image', '"image"');
const subnet = textLike((text) => parseSubnet(text) !== undefined, 'an address range like 198.18.0.0/15');
const registry = textLike(
  (text) => text === '*' || /^[A-Za-z0-9][A-Za-z0-9._-]*(?::\d{1,5})?(?:\/[a-z0-9._-]+)*$/.test(text),
  'a registry like ghcr.io or registry.example:5000/team, or *',
);
const source = textLike(
  (text) => /^(?:\*|(?:\*\.)?[A-Za-z0-9][A-Za-z0-9.-]*)$/.test(text),
  'a host like github.com or *.example.com, or *',
);
const field = textLike((text) => /^[A-Za-z][\w.[\]-]*$/.test(text), 'the path of a field like HostConfig.NewField');

const flag: Read<boolean> = (value, where, problems) => {
  if (typeof value === 'boolean') return value;
  problems.push(`${where} must be true or false, got ${shown(value)}`);
  return undefined;
};

const memory: Read<number | string> = (value, where, problems) => {
  if ((typeof value === 'number' || typeof value === 'string') && byteSize(value) !== undefined) return value;
  problems.push(`${where} must be bytes or a size like 512MiB or 4GiB, got ${shown(value)}`);
  return undefined;
};

const cpus: Read<number> = (value, where, problems) => {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0.01) return value;
  problems.push(`${where} must be a number of processors from 0.01 on, got ${shown(value)}`);
  return undefined;
};

const pids: Read<number> = (value, where, problems) => {
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
  problems.push(`${where} must be a whole number above 0, got ${shown(value)}`);
  return undefined;
};

/** Reads the keys of an object by a table of readers; missing and faulty keys stay out. */
const fields =
  (readers: Readonly<Record<string, Read<unknown>>>): Read<Record<string, unknown>> =>
  (value, where, problems) => {
    const known = Object.keys(readers);
    const given = object(value, where, known, problems);
    const result: Record<string, unknown> = {};
    for (const key of known) {
      if (!Object.hasOwn(given, key)) continue;
      const read = (readers[key] as Read<unknown>)(given[key], `${where}.${key}`, problems);
      if (read !== undefined) result[key] = read;
    }
    return result;
  };

const READERS: Readonly<Record<keyof HostSpec, Read<unknown>>> = {
  preset,
  binds: listOf(bind),
  ports: listOf(port),
  devices: listOf(device),
  capabilities: listOf(capability),
  sysctls: listOf(pattern),
  runtimes: listOf(name),
  logDrivers: listOf(name),
  annotations: listOf(pattern),
  seccompProfiles: listOf(seccompProfile),
  apparmorProfiles: listOf(textLike((text) => text !== '' && text !== 'unconfined', 'a profile other than unconfined')),
  mountTypes: listOf(mountType),
  networkDrivers: listOf(name),
  network: fields({ drivers: listOf(name), options: listOf(name), subnets: listOf(subnet) }),
  registries: listOf(registry),
  sources: listOf(source),
  limits: fields({ memory, cpus, pids }),
  exec: fields({ privileged: flag }),
  remakes: flag,
  fields: listOf(field),
};

/** Keys of a host block. */
export const HOST_KEYS: readonly (keyof HostSpec)[] = Object.keys(READERS) as (keyof HostSpec)[];

/** The only ones that mean anything beside `privileged`. */
const WITH_PRIVILEGED: readonly string[] = ['preset', 'limits', 'exec'];

/**
 * Reads a host block.
 *
 * @param input as it stands in the document, parsed from YAML or JSON
 * @param where path of the block in the document, for the problems
 * @returns the spec, and all problems; use the spec only if there are none
 */
export function parseHostSpec(input: unknown, where: string): { spec: HostSpec; problems: readonly string[] } {
  const problems: string[] = [];
  const spec = { preset: 'baseline', ...fields(READERS)(input, where, problems) } as HostSpec;
  if (spec.preset === 'privileged' && isObject(input)) {
    for (const key of Object.keys(input)) {
      if (!WITH_PRIVILEGED.includes(key) && Object.hasOwn(READERS, key)) {
        problems.push(`${where}.${key} has no effect with the preset privileged, which allows everything`);
      }
    }
  }
  return { spec, problems };
}
