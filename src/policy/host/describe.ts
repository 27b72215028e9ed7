// The presets in words, row by row, for documentation and explanations. Values come from the tables the checks use.

import type { PresetValues } from './presets.ts';
import {
  PRESET_VALUES,
  SAFE_APPARMOR_PROFILES,
  SAFE_LOG_DRIVERS,
  SAFE_NETWORK_DRIVERS,
  SAFE_SELINUX_TYPES,
  SAFE_SUBNETS,
  SAFE_SYSCTLS,
} from './presets.ts';
import type { HostPreset } from './spec.ts';

export interface PresetRow {
  /** Fields as the Engine API spells them. */
  readonly fields: readonly string[];
  readonly allowed: string;
  /** Key of the host block that allows more (or, for `limits`, less). */
  readonly override?: string;
}

const row = (fields: readonly string[], allowed: string, override?: string): PresetRow => ({
  fields,
  allowed,
  ...(override === undefined ? {} : { override }),
});

/** What a preset allows. Fields that are free are listed in the last row; a field in no row is refused. */
export function describePreset(preset: HostPreset): readonly PresetRow[] {
  if (preset === 'privileged') return [row(['*'], 'everything', 'limits')];
  const values: PresetValues = PRESET_VALUES[preset];
  const needed = (is: boolean, text: string, otherwise: string): string => (is ? text : otherwise);
  return [
    row(['Privileged'], 'false'),
    row(['exec Privileged'], 'false', 'exec.privileged'),
    row(
      ['NetworkMode', 'EndpointsConfig', 'service Networks'],
      'anything but host; containers and networks of the caller',
    ),
    row(['PidMode'], 'empty, container:NAME of the caller'),
    row(['IpcMode'], 'empty, none, private, shareable, container:NAME of the caller'),
    row(['UTSMode', 'UsernsMode', 'CgroupnsMode'], 'empty, private; below API 1.41 CgroupnsMode must be private'),
    row(['Cgroup', 'CgroupParent'], 'empty'),
    row(['Isolation'], 'empty, default'),
    row(['CapAdd', 'CapabilityAdd'], values.capabilities.join(', '), 'capabilities'),
    row(['CapDrop', 'CapabilityDrop'], needed(values.needsDropAll, 'must contain ALL', 'anything')),
    row(
      ['Binds', 'Mounts type bind'],
      'none; writable folders of a policy as themselves, read-only ones with all below them',
      'binds',
    ),
    row(['Mounts type volume and tmpfs', 'Tmpfs', 'Volumes'], 'anything, by one plain path and name each'),
    row(['Env without a value'], 'anything; on Podman none, which would fill it in from its own environment'),
    row(['templates in a service, tag of a log'], 'one value each, in Env, Hostname and tag alone'),
    row(['Mounts type image'], 'none', 'mountTypes'),
    row(['Mounts type npipe and cluster', 'ClusterVolumeSpec'], 'none'),
    row(['VolumeDriver', 'Driver of volumes', 'DriverConfig.Name'], 'empty, local'),
    row(
      ['DriverOpts', 'DriverConfig.Options'],
      needed(values.volumeOptions, 'size; type=tmpfs with device=tmpfs', 'none'),
    ),
    row(['VolumesFrom', 'Links'], needed(values.otherContainers, 'containers of the caller', 'none')),
    row(['Devices', 'DeviceRequests'], 'none', 'devices'),
    row(['DeviceCgroupRules', 'GenericResources'], 'none'),
    row(['SecurityOpt seccomp', 'Privileges.Seccomp'], 'the default of the engine', 'seccompProfiles'),
    row(
      ['SecurityOpt apparmor'],
      `the default of the engine, ${SAFE_APPARMOR_PROFILES.join(', ')}`,
      'apparmorProfiles',
    ),
    row(['SecurityOpt label', 'Privileges.SELinuxContext'], `level; type ${SAFE_SELINUX_TYPES.join(', ')}`),
    row(['SecurityOpt no-new-privileges'], needed(values.needsNoNewPrivileges, 'must be true', 'absent, true')),
    row(['SecurityOpt, anything else'], 'none'),
    row(['MaskedPaths', 'ReadonlyPaths'], 'null'),
    row(['any field of HostConfig'], 'what the engine itself fills in for a container that asks for nothing'),
    row(['stop, kill, rename, remove, exec and the like'], 'any container of the caller', 'remakes'),
    row(['Sysctls'], SAFE_SYSCTLS.join(', '), 'sysctls'),
    row(
      ['PortBindings', 'PublishAllPorts', 'EndpointSpec.Ports'],
      [...values.ports, ...(values.ephemeralPorts ? ['ports the engine picks'] : [])].join(', ') || 'none',
      'ports',
    ),
    row(
      ['User'],
      needed(values.needsNonRoot, 'the numbers of a user and a group other than root, 1000:1000', 'anything'),
    ),
    row(['GroupAdd', 'Groups'], needed(values.needsNonRoot, 'numbers of groups other than root', 'anything')),
    row(['Runtime'], 'empty', 'runtimes'),
    row(['Annotations'], 'none', 'annotations'),
    row(['LogConfig', 'LogDriver'], `the default of the engine, ${SAFE_LOG_DRIVERS.join(', ')}`, 'logDrivers'),
    row(['OomKillDisable', 'CpuRealtimePeriod', 'CpuRealtimeRuntime'], 'unset'),
    row(['OomScoreAdj'], '0 and above'),
    row(['StorageOpt'], 'size'),
    row(['ReadonlyRootfs', 'ReadOnly'], needed(values.needsReadonlyRootfs, 'must be true', 'anything')),
    row(['Memory', 'PidsLimit'], needed(values.needsMemoryAndPids, 'must be set', 'anything'), 'limits'),
    row(['NanoCpus', 'CpuQuota'], 'anything from 0.01 CPUs on, below which engines round to no limit', 'limits'),
    row(['max-buffer-size, max-size of a log', 'size of a tmpfs'], 'up to 4m, 10g; anything above 0'),
    row(['Path of BlkioDevice...'], 'devices below /dev'),
    row(['Ulimits'], 'anything but rtprio, rttime and nice'),
    row(['Image of a container or service'], needed(values.needsDigest, 'must name a digest', 'anything')),
    row(['push', 'search', 'Image of a service'], values.registries.join(', '), 'registries'),
    row(
      ['fromImage', 'distribution', 'auth'],
      `${values.registries.join(', ')}; where the policy lists none, any with credentials of the caller's own`,
      'registries',
    ),
    row(['fromSrc'], '-, an upload'),
    row(
      ['build networkmode'],
      'anything but host and container:NAME; no build on Podman, which has the network of the host',
    ),
    row(['build remote', 'cgroupparent', 'securityopt', 'outputs'], 'empty; remote client-session and upload-request'),
    row(['FROM and COPY --from of a Dockerfile'], values.registries.join(', '), 'registries'),
    row(['ADD of an address in a Dockerfile'], 'none', 'sources'),
    row(['build dockerfile', 'extrahosts'], 'a file of the context; NAME:ADDRESS'),
    row(['network Driver'], SAFE_NETWORK_DRIVERS.join(', '), 'network.drivers'),
    row(['network Options', 'end point DriverOpts'], 'mtu; ifname', 'network.options'),
    row(['network Subnet'], SAFE_SUBNETS.join(', '), 'network.subnets'),
    row(['network Scope swarm', 'Ingress', 'ConfigOnly', 'ConfigFrom', 'IPAM.Driver'], 'none'),
    row(['checkpoint', 'checkpoint-dir', 'service rollback'], 'none; rollback by fields: [query.rollback]', 'fields'),
    row(
      [
        'all other known fields of the Engine API, such as Env, Cmd, Labels, RestartPolicy, Dns, ExtraHosts, ShmSize, Ulimits',
      ],
      'anything',
    ),
    row(['fields no table knows'], 'empty', 'fields'),
  ];
}
