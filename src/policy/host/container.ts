// The tables of HostConfig, Config and an update: every field the engine knows, free or with its check. A field in no
// table is refused unless it is empty. The order of the tables is that of the preset's description.
import { unknownFieldsOf } from '../../engine/decode.ts';
import { isEqualJson } from '../../engine/equal-json.ts';
import { containerCreateRequest } from '../../engine/schemas/container.ts';
import { hostConfig, hostConfigFields } from '../../engine/schemas/host-config.ts';
import type { EngineCall, Json, JsonObject } from '../../engine/types.ts';
import { blockDevices, nanoCpus, sysctlsCheck, ulimits } from './amounts.ts';
import { deviceCgroupRules, deviceRequestsCheck, devicesCheck } from './devices.ts';
import { checkPinned } from './images.ts';
import { containersInUseCheck } from './in-use.ts';
import {
  capabilitiesCheck,
  checkUser,
  dropsAll,
  groupsCheck,
  ipcMode,
  isNoNewPrivileges,
  isolation,
  keysIn,
  logCheck,
  maskedPaths,
  mustBeFalse,
  networkMode,
  oomScoreAdj,
  pidMode,
  privateMode,
  runtimeCheck,
  securityOptCheck,
  storageOpt,
} from './isolation.ts';
import { ceilingsOf, checkCreated, checkUpdated } from './limits.ts';
import { bindsCheck, mountsCheck, tmpfsCheck, volumeDriver, volumePaths, volumesInUseCheck } from './mounts.ts';
import { networkingConfigCheck, networksInUseCheck } from './networks.ts';
import { portBindingsCheck, publishAllCheck } from './ports.ts';
import type { Check, Report, Rows } from './report.ts';
import { checkedRows, empty, look, oneOfWords, quote, walk } from './report.ts';
import type { HostRules } from './rules.ts';
import { isNamed } from './rules.ts';

/** Judges one call of an operation. */
export type CallCheck = (call: EngineCall, report: Report) => void;

const EMPTY: JsonObject = Object.freeze({});
/** The body as an object, empty where there is none: the engine then takes zero values. */
export const bodyOf = (call: EngineCall): JsonObject => objectIn(call.body);
/** A value as an object, empty where it is none; the walk over the tables has then refused it. */
export const objectIn = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : EMPTY;

type Row = readonly [string, Check | null];
const free = (...fields: string[]): Row[] => fields.map((field) => [field, null] as const);

const THROTTLE = blockDevices('Rate');

/** The struct Resources: part of HostConfig, and what an update may change. Amounts go to `limits`. */
function resourceRows(rules: HostRules): Row[] {
  return [
    ['CgroupParent', empty('empty')],
    ['Devices', devicesCheck(rules)],
    ['DeviceCgroupRules', deviceCgroupRules],
    ['DeviceRequests', deviceRequestsCheck(rules)],
    ['OomKillDisable', mustBeFalse],
    ['CpuRealtimePeriod', empty('0')],
    ['CpuRealtimeRuntime', empty('0')],
    ['BlkioWeightDevice', blockDevices('Weight')],
    ['BlkioDeviceReadBps', THROTTLE],
    ['BlkioDeviceWriteBps', THROTTLE],
    ['BlkioDeviceReadIOps', THROTTLE],
    ['BlkioDeviceWriteIOps', THROTTLE],
    ['Ulimits', ulimits],
    ['NanoCpus', nanoCpus],
    ...free('CpuShares', 'Memory', 'BlkioWeight', 'CpuPeriod', 'CpuQuota', 'CpusetCpus', 'CpusetMems'),
    ...free('KernelMemory', 'KernelMemoryTCP', 'MemoryReservation', 'MemorySwap', 'MemorySwappiness', 'PidsLimit'),
    ...free('CpuCount', 'CpuPercent', 'IOMaximumIOps', 'IOMaximumBandwidth'),
  ];
}

export function hostConfigRows(rules: HostRules): Rows {
  const others = rules.values.otherContainers ? null : empty('none');
  return new Map<string, Check | null>([
    ['Privileged', mustBeFalse],
    ['NetworkMode', networkMode],
    ['PidMode', pidMode],
    ['IpcMode', ipcMode],
    ['UTSMode', privateMode],
    ['UsernsMode', privateMode],
    ['CgroupnsMode', privateMode],
    ['Cgroup', empty('empty')],
    ['Isolation', isolation],
    ['CapAdd', capabilitiesCheck(rules)],
    ['Binds', bindsCheck(rules)],
    ['Mounts', mountsCheck(rules)],
    ['Tmpfs', tmpfsCheck],
    ['VolumeDriver', volumeDriver],
    ['VolumesFrom', others],
    ['Links', others],
    ['SecurityOpt', securityOptCheck(rules)],
    ['MaskedPaths', maskedPaths],
    ['ReadonlyPaths', maskedPaths],
    [
      'Sysctls',
      sysctlsCheck(rules.sysctls, oneOfWords([...rules.sysctls.exact, ...rules.sysctls.prefixes.map((p) => `${p}*`)])),
    ],
    ['PortBindings', portBindingsCheck(rules)],
    ['PublishAllPorts', publishAllCheck(rules)],
    ['GroupAdd', rules.values.needsNonRoot ? groupsCheck : null],
    ['Runtime', runtimeCheck(rules)],
    ['Annotations', keysIn(rules.annotations, 'those listed in the policy')],
    ['LogConfig', logCheck(rules, 'Type', 'Config')],
    ['OomScoreAdj', oomScoreAdj],
    ['StorageOpt', storageOpt],
    ...resourceRows(rules),
    ...free('CapDrop', 'ReadonlyRootfs', 'Init', 'AutoRemove', 'RestartPolicy', 'ConsoleSize', 'ShmSize'),
    // The client writes that file; the engine keeps its name and no more.
    ...free('ContainerIDFile'),
    ...free('Dns', 'DnsOptions', 'DnsSearch', 'ExtraHosts', 'Umask'),
  ]);
}

/** HostConfig without the fields that say what the engine would fill in anyway, as `inspect` shows them of any container. */
function withoutDefaults(value: Json, defaults: JsonObject | undefined): Json {
  if (defaults === undefined || typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const asked: Record<string, Json | undefined> = Object.create(null);
  for (const [name, item] of Object.entries(value as JsonObject)) {
    if (!(Object.hasOwn(defaults, name) && isEqualJson(item, defaults[name]))) asked[name] = item;
  }
  return asked;
}

/** Config, the part of a create body beside HostConfig: what runs in the container. */
function configRows(rules: HostRules): Rows {
  const host = checkedRows(hostConfigRows(rules), Object.keys(hostConfigFields));
  return new Map<string, Check | null>([
    ['Volumes', volumePaths],
    ['HostConfig', (value, at, report) => look(host, withoutDefaults(value, report.defaults), at, report)],
    ['NetworkingConfig', networkingConfigCheck(rules)],
    ...free('Hostname', 'Domainname', 'User', 'AttachStdin', 'AttachStdout', 'AttachStderr', 'ExposedPorts', 'Tty'),
    ...free('OpenStdin', 'StdinOnce', 'Env', 'Cmd', 'Healthcheck', 'ArgsEscaped', 'Image', 'WorkingDir', 'Entrypoint'),
    ...free('NetworkDisabled', 'MacAddress', 'OnBuild', 'Labels', 'StopSignal', 'StopTimeout', 'Shell'),
    // dockerode repeats its query in the body; no engine reads it there.
    ...free('name', 'platform'),
  ]);
}

/** Below this minor version an empty CgroupnsMode means the host's on machines with cgroup v1. */
const FIRST_MINOR_WITH_PRIVATE_CGROUPNS = 41;

/** What an image brings and the engine gives its containers, as if the call had named it. Those of OCI's own images say nothing to a runtime. */
function checkImageAnnotations(rules: HostRules, call: EngineCall, body: JsonObject, report: Report): void {
  for (const name of call.imageAnnotations ?? []) {
    if (name.startsWith('org.opencontainers.image.') || isNamed(rules.annotations, name)) continue;
    const why = `brings the annotation ${quote(name)}, which this engine gives its containers`;
    report.deny('Image', body.Image ?? '', `${why} (allowed: those listed in the policy's annotations)`);
  }
}

export function containerCreate(rules: HostRules): CallCheck {
  const rows = checkedRows(configRows(rules), containerCreateRequest.exact.keys());
  const checkVolumes = volumesInUseCheck(rules);
  const checkNetworks = networksInUseCheck(rules);
  const checkContainers = containersInUseCheck(rules);
  const ceilings = ceilingsOf(rules.limits, rules.values);
  return (call, report) => {
    const body = bodyOf(call);
    const host = objectIn(body.HostConfig);
    const asked = objectIn(withoutDefaults(host, call.defaults));
    if (typeof host.Runtime === 'string') report.runtime = host.Runtime;
    look(rows, body, '', report);
    for (const { path, struct } of unknownFieldsOf(call)) {
      // Those of smaller structs are found while going through them.
      if (struct === hostConfig.name) {
        const name = path.slice('HostConfig.'.length);
        if (Object.hasOwn(asked, name) || !Object.hasOwn(host, name)) report.unknown(path, asked[name] ?? '?');
      } else if (struct === containerCreateRequest.name) report.unknown(path, body[path] ?? '?');
    }
    checkNetworks(call, report);
    checkContainers(call, report);
    checkVolumes(call, report);
    checkImageAnnotations(rules, call, body, report);
    if (ceilings !== undefined) checkCreated(ceilings, host, 'HostConfig.', report);
    if (rules.preset !== 'baseline') checkRestricted(rules, body, host, report);
    const minor =
      call.apiVersion === undefined ? FIRST_MINOR_WITH_PRIVATE_CGROUPNS : Number(call.apiVersion.split('.')[1]);
    const isSharedAnyway = call.defaults?.CgroupnsMode === 'host';
    if (!(minor >= FIRST_MINOR_WITH_PRIVATE_CGROUPNS) && (host.CgroupnsMode ?? '') === '' && !isSharedAnyway) {
      const why = `is empty, which means host in API ${call.apiVersion} (allowed: private, or API 1.41 and later)`;
      report.deny('HostConfig.CgroupnsMode', '', why);
    }
  };
}

/** What restricted and hardened ask for beside refusing more. */
function checkRestricted(rules: HostRules, body: JsonObject, host: JsonObject, report: Report): void {
  const { values } = rules;
  if (values.needsNonRoot) checkUser(body.User, 'User', report);
  if (values.needsDropAll && !dropsAll(host.CapDrop)) {
    report.deny('HostConfig.CapDrop', host.CapDrop ?? null, 'does not contain ALL (allowed: ["ALL"])');
  }
  const options = Array.isArray(host.SecurityOpt) ? (host.SecurityOpt as readonly Json[]) : [];
  if (values.needsNoNewPrivileges && !options.some(isNoNewPrivileges)) {
    report.deny(
      'HostConfig.SecurityOpt',
      host.SecurityOpt ?? null,
      'lacks no-new-privileges (allowed: ["no-new-privileges"])',
    );
  }
  if (values.needsReadonlyRootfs && host.ReadonlyRootfs !== true) {
    report.deny('HostConfig.ReadonlyRootfs', host.ReadonlyRootfs ?? false, 'is false (allowed: true)');
  }
  if (values.needsDigest) checkPinned(body.Image, 'Image', report);
}

export function containerUpdate(rules: HostRules): CallCheck {
  const rows: Rows = new Map([...resourceRows(rules), ...free('RestartPolicy')]);
  const ceilings = ceilingsOf(rules.limits, rules.values);
  return (call, report) => {
    const body = bodyOf(call);
    walk(rows, body, '', report);
    if (ceilings !== undefined) checkUpdated(ceilings, body, report);
  };
}

const EXEC_FREE = free('User', 'Tty', 'ConsoleSize', 'AttachStdin', 'AttachStderr', 'AttachStdout', 'Detach');

/** An exec without a user runs as the container's, which was judged when that was made. */
export function execCreate(rules: HostRules): CallCheck {
  const rows: Rows = new Map([
    ...EXEC_FREE,
    ...free('DetachKeys', 'Env', 'WorkingDir', 'Cmd', 'Container'),
    ['Privileged', rules.execPrivileged ? null : mustBeFalse] as const,
  ]);
  return (call, report) => {
    const body = bodyOf(call);
    walk(rows, body, '', report);
    if (rules.values.needsNonRoot && (body.User ?? '') !== '') checkUser(body.User, 'User', report);
  };
}
