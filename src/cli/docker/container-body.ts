// `docker run` and `docker create` options as the body of POST /containers/create, as the docker CLI would send it.
// Only what was asked for is filled in: the engine's own defaults are not the caller's wishes.
import { readFileSync } from 'node:fs';
import { DockerCommandError, type Options } from './arguments.ts';
import { parseMount } from './mounts.ts';
import { attachment, publish } from './networking.ts';
import { csvFields, hostPath, nanoseconds, pairs, parseBytes, wholeNumber } from './values.ts';

type Body = Record<string, unknown>;

/** Reads a seccomp profile named by path, as the docker CLI does; `systempaths` becomes unmasked paths. */
const securityOptions = (list: readonly string[], host: Body): string[] =>
  list.flatMap((option) => {
    if (option === 'systempaths=unconfined') {
      host.MaskedPaths = [];
      host.ReadonlyPaths = [];
      return [];
    }
    const profile = /^seccomp[=:](.*)$/s.exec(option)?.[1];
    if (profile === undefined || profile === 'unconfined' || profile === 'builtin') return [option];
    try {
      return [`seccomp=${JSON.stringify(JSON.parse(readFileSync(profile, 'utf8')))}`];
    } catch {
      throw new DockerCommandError(`--security-opt seccomp profile ${profile} cannot be read`);
    }
  });

const device = (text: string): Body => {
  const [source = '', second, third] = text.split(':');
  const isMode = second !== undefined && third === undefined && /^[rwm]+$/.test(second);
  return {
    PathOnHost: source,
    PathInContainer: isMode || second === undefined || second === '' ? source : second,
    CgroupPermissions: (isMode ? second : third) ?? 'rwm',
  };
};

const gpus = (text: string): Body => {
  const request: Body = { Driver: '', Count: 0, DeviceIDs: null, Capabilities: [['gpu']], Options: {} };
  for (const field of csvFields(text)) {
    const [key = '', given] = field.split('=');
    if (given === undefined) request.Count = key === 'all' ? -1 : wholeNumber('gpus', key);
    else if (key === 'count') request.Count = given === 'all' ? -1 : wholeNumber('gpus', given);
    else if (key === 'device') request.DeviceIDs = given.split(',');
    else if (key === 'driver') request.Driver = given;
    else if (key === 'capabilities')
      request.Capabilities = [['gpu', ...given.split(',').filter((one) => one !== 'gpu')]];
    else throw new DockerCommandError(`--gpus "${text}" is not known here; use --request FILE`);
  }
  return request;
};

const ulimit = (text: string): Body => {
  const match = /^([a-z]+)=(-?[0-9]+)(?::(-?[0-9]+))?$/.exec(text);
  if (!match) throw new DockerCommandError(`--ulimit "${text}" is no name=soft:hard`);
  return { Name: match[1], Hard: Number(match[3] ?? match[2]), Soft: Number(match[2]) };
};

/** Sets a field when its option was given. */
const put = <T>(target: Body, field: string, given: T | undefined): void => {
  if (given !== undefined && !(Array.isArray(given) && given.length === 0)) target[field] = given;
};

/** Capabilities as the docker CLI sends them: upper case with prefix, sorted, `ALL` instead of all. */
const capabilities = (list: readonly string[]): string[] => {
  const names = list.map((one) => one.trim().toUpperCase()).filter((one) => one !== '');
  if (names.includes('ALL')) return ['ALL'];
  return [...new Set(names.map((one) => (one.startsWith('CAP_') ? one : `CAP_${one}`)))].sort();
};

/** Options that set one text of HostConfig. */
const HOST_TEXT: readonly [string, string][] = [
  ['pid', 'PidMode'],
  ['ipc', 'IpcMode'],
  ['uts', 'UTSMode'],
  ['userns', 'UsernsMode'],
  ['cgroupns', 'CgroupnsMode'],
  ['cgroup-parent', 'CgroupParent'],
  ['runtime', 'Runtime'],
  ['isolation', 'Isolation'],
  ['volume-driver', 'VolumeDriver'],
  ['cidfile', 'ContainerIDFile'],
  ['cpuset-cpus', 'CpusetCpus'],
  ['cpuset-mems', 'CpusetMems'],
];
const HOST_LIST: readonly [string, string][] = [
  ['volumes-from', 'VolumesFrom'],
  ['link', 'Links'],
  ['add-host', 'ExtraHosts'],
  ['dns', 'Dns'],
  ['dns-search', 'DnsSearch'],
  ['group-add', 'GroupAdd'],
  ['device-cgroup-rule', 'DeviceCgroupRules'],
];
const HOST_NUMBER: readonly [string, string][] = [
  ['cpu-shares', 'CpuShares'],
  ['cpu-period', 'CpuPeriod'],
  ['cpu-quota', 'CpuQuota'],
  ['cpu-rt-period', 'CpuRealtimePeriod'],
  ['cpu-rt-runtime', 'CpuRealtimeRuntime'],
  ['pids-limit', 'PidsLimit'],
  ['memory-swappiness', 'MemorySwappiness'],
  ['oom-score-adj', 'OomScoreAdj'],
  ['blkio-weight', 'BlkioWeight'],
  ['cpu-count', 'CpuCount'],
  ['cpu-percent', 'CpuPercent'],
];
const HOST_BYTES: readonly [string, string][] = [
  ['memory', 'Memory'],
  ['memory-reservation', 'MemoryReservation'],
  ['kernel-memory', 'KernelMemory'],
  ['shm-size', 'ShmSize'],
];
const HOST_FLAG: readonly [string, string][] = [
  ['privileged', 'Privileged'],
  ['read-only', 'ReadonlyRootfs'],
  ['rm', 'AutoRemove'],
  ['init', 'Init'],
  ['publish-all', 'PublishAllPorts'],
  ['oom-kill-disable', 'OomKillDisable'],
];
const HOST_PAIRS: readonly [string, string][] = [
  ['sysctl', 'Sysctls'],
  ['storage-opt', 'StorageOpt'],
  ['annotation', 'Annotations'],
];
const DEVICE_RATES: readonly [string, string, 'bytes' | 'count'][] = [
  ['device-read-bps', 'BlkioDeviceReadBps', 'bytes'],
  ['device-write-bps', 'BlkioDeviceWriteBps', 'bytes'],
  ['device-read-iops', 'BlkioDeviceReadIOps', 'count'],
  ['device-write-iops', 'BlkioDeviceWriteIOps', 'count'],
];

const resources = (options: Options, host: Body): void => {
  for (const [option, field] of HOST_NUMBER) {
    const given = options.last(option);
    if (given !== undefined) host[field] = wholeNumber(option, given);
  }
  for (const [option, field] of HOST_BYTES) {
    const given = options.last(option);
    if (given !== undefined) host[field] = parseBytes(option, given);
  }
  const swap = options.last('memory-swap');
  if (swap !== undefined) host.MemorySwap = swap === '-1' ? -1 : parseBytes('memory-swap', swap);
  const cpus = options.last('cpus');
  if (cpus !== undefined) {
    if (!/^[0-9]*\.?[0-9]+$/.test(cpus)) throw new DockerCommandError(`--cpus "${cpus}" is no number`);
    host.NanoCpus = Math.round(Number(cpus) * 1e9);
  }
  for (const [option, field, unit] of DEVICE_RATES) {
    put(
      host,
      field,
      options.all(option).map((text) => {
        const at = text.lastIndexOf(':');
        const rate = text.slice(at + 1);
        return {
          Path: text.slice(0, at),
          Rate: unit === 'bytes' ? parseBytes(option, rate) : wholeNumber(option, rate),
        };
      }),
    );
  }
  put(
    host,
    'BlkioWeightDevice',
    options.all('blkio-weight-device').map((text) => {
      const at = text.lastIndexOf(':');
      return { Path: text.slice(0, at), Weight: wholeNumber('blkio-weight-device', text.slice(at + 1)) };
    }),
  );
};

/** The resource part alone, for `docker update`. */
export const resourcesBody = (options: Options): Body => {
  const host: Body = {};
  resources(options, host);
  for (const [option, field] of [
    ['cpuset-cpus', 'CpusetCpus'],
    ['cpuset-mems', 'CpusetMems'],
  ] as const)
    put(host, field, options.last(option));
  const restart = options.last('restart');
  if (restart !== undefined) host.RestartPolicy = restartPolicy(restart);
  return host;
};

const restartPolicy = (text: string): Body => {
  const [name = '', count] = text.split(':');
  return { Name: name, MaximumRetryCount: count === undefined ? 0 : wholeNumber('restart', count) };
};

const volumes = (options: Options, body: Body, host: Body): void => {
  const binds: string[] = [];
  const anonymous: Body = {};
  for (const spec of options.all('volume')) {
    const at = spec.indexOf(':');
    if (at < 0) anonymous[spec] = {};
    else binds.push(`${hostPath(spec.slice(0, at))}${spec.slice(at)}`);
  }
  put(host, 'Binds', binds);
  if (Object.keys(anonymous).length > 0) body.Volumes = anonymous;
  put(host, 'Mounts', options.all('mount').map(parseMount));
  const tmpfs = options.all('tmpfs');
  if (tmpfs.length > 0) {
    host.Tmpfs = Object.fromEntries(
      tmpfs.map((text) => {
        const at = text.indexOf(':');
        return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
      }),
    );
  }
};

const BUILT_IN_NETWORKS = new Set(['default', 'bridge', 'host', 'none']);

const network = (options: Options, body: Body, host: Body): void => {
  const attachments = [...options.all('network'), ...options.all('net')].map(attachment);
  const first = attachments[0] ?? { name: 'default', endpoint: {} };
  host.NetworkMode = first.name;
  // Options beside --network belong to the first one.
  const { endpoint } = first;
  put(endpoint, 'Aliases', [...options.all('network-alias'), ...options.all('net-alias')]);
  put(endpoint, 'MacAddress', options.last('mac-address'));
  const addresses: Body = {};
  put(addresses, 'IPv4Address', options.last('ip'));
  put(addresses, 'IPv6Address', options.last('ip6'));
  put(addresses, 'LinkLocalIPs', options.all('link-local-ip'));
  if (Object.keys(addresses).length > 0) endpoint.IPAMConfig = addresses;
  const isPlain = ({ name, endpoint: own }: typeof first): boolean =>
    Object.keys(own).length === 0 && (BUILT_IN_NETWORKS.has(name) || name.startsWith('container:'));
  const named = [first, ...attachments.slice(1)].filter((one) => !isPlain(one));
  if (named.length > 0) {
    body.NetworkingConfig = { EndpointsConfig: Object.fromEntries(named.map((one) => [one.name, one.endpoint])) };
  }
};

const health = (options: Options): Body | undefined => {
  if (options.is('no-healthcheck')) return { Test: ['NONE'] };
  const check: Body = {};
  const command = options.last('health-cmd');
  if (command !== undefined) check.Test = ['CMD-SHELL', command];
  for (const [option, field] of [
    ['health-interval', 'Interval'],
    ['health-timeout', 'Timeout'],
    ['health-start-period', 'StartPeriod'],
    ['health-start-interval', 'StartInterval'],
  ] as const) {
    const given = options.last(option);
    if (given !== undefined) check[field] = nanoseconds(option, given);
  }
  const retries = options.last('health-retries');
  if (retries !== undefined) check.Retries = wholeNumber('health-retries', retries);
  return Object.keys(check).length > 0 ? check : undefined;
};

/**
 * The body of POST /containers/create.
 *
 * @throws {DockerCommandError} for a value that cannot be read
 */
export const containerBody = (
  verb: 'run' | 'create',
  options: Options,
  image: string,
  command: readonly string[],
): Body => {
  const body: Body = { Image: image };
  const host: Body = {};
  put(body, 'Cmd', command);
  for (const [option, field] of [
    ['user', 'User'],
    ['workdir', 'WorkingDir'],
    ['hostname', 'Hostname'],
    ['domainname', 'Domainname'],
    ['stop-signal', 'StopSignal'],
  ] as const) {
    put(body, field, options.last(option));
  }
  const entrypoint = options.last('entrypoint');
  if (entrypoint !== undefined) body.Entrypoint = [entrypoint];
  put(
    body,
    'Env',
    options.all('env').filter((one) => one.includes('=')),
  );
  const labels = options.all('label');
  if (labels.length > 0) body.Labels = pairs(labels);
  const stopTimeout = options.last('stop-timeout');
  if (stopTimeout !== undefined) body.StopTimeout = wholeNumber('stop-timeout', stopTimeout);
  put(body, 'Healthcheck', health(options));
  if (options.is('tty')) body.Tty = true;
  if (options.is('interactive')) {
    body.OpenStdin = true;
    if (verb === 'create' || !options.is('detach')) body.StdinOnce = true;
  }

  for (const [option, field] of HOST_TEXT) put(host, field, options.last(option));
  for (const [option, field] of HOST_LIST) put(host, field, options.all(option));
  put(host, 'CapAdd', capabilities(options.all('cap-add')));
  put(host, 'CapDrop', capabilities(options.all('cap-drop')));
  for (const [option, field] of HOST_FLAG) if (options.is(option)) host[field] = true;
  for (const [option, field] of HOST_PAIRS) {
    const list = options.all(option);
    if (list.length > 0) host[field] = pairs(list);
  }
  put(host, 'DnsOptions', [...options.all('dns-opt'), ...options.all('dns-option')]);
  put(host, 'SecurityOpt', securityOptions(options.all('security-opt'), host));
  put(host, 'Devices', options.all('device').map(device));
  put(host, 'DeviceRequests', options.all('gpus').map(gpus));
  const ulimits = options.all('ulimit').map(ulimit);
  put(
    host,
    'Ulimits',
    ulimits.sort((a, b) => (String(a.Name) < String(b.Name) ? -1 : 1)),
  );
  resources(options, host);
  const [logDriver, logOptions] = [options.last('log-driver'), options.all('log-opt')];
  if (logDriver !== undefined || logOptions.length > 0)
    host.LogConfig = { Type: logDriver ?? '', Config: pairs(logOptions) };
  const restart = options.last('restart');
  if (restart !== undefined) host.RestartPolicy = restartPolicy(restart);
  volumes(options, body, host);
  const exposed: Body = Object.fromEntries(
    options.all('expose').map((port) => [port.includes('/') ? port : `${port}/tcp`, {}]),
  );
  const bindings: Record<string, Body[]> = {};
  publish(options.all('publish'), exposed, bindings);
  if (Object.keys(exposed).length > 0) body.ExposedPorts = exposed;
  if (Object.keys(bindings).length > 0) host.PortBindings = bindings;
  network(options, body, host);
  body.HostConfig = host;
  return body;
};
