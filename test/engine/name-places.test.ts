// Every place of a JSON body where an object is named, derived from the schemas: each text is named to policy or stands among those that
// are no names, and what is judged is the form that is sent. Path and query have their test in canonical-names.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toCall } from '../../src/engine/call.ts';
import { canonicalImage } from '../../src/engine/canonical-names.ts';
import type { EngineCall, Json, ResourceRef } from '../../src/engine/types.ts';
import { settleNames } from '../../src/gateway/settle-names.ts';
import type { EngineClient } from '../../src/proxy/engine-client.ts';
import type { EngineDefaults } from '../../src/proxy/engine-defaults.ts';
import { bodyWith, NAME, namedAt, type TextPlace, textPlaces } from './name-places.ts';

/** Operation, place, kind. */
const NAMED: readonly string[] = [
  'SystemAuth serveraddress system',
  'ContainerCreate Image image',
  'ContainerCreate HostConfig.Binds[] volume',
  'ContainerCreate HostConfig.NetworkMode network',
  'ContainerCreate HostConfig.VolumesFrom[] container',
  'ContainerCreate HostConfig.CgroupnsMode container',
  'ContainerCreate HostConfig.IpcMode container',
  'ContainerCreate HostConfig.Cgroup container',
  'ContainerCreate HostConfig.Links[] container',
  'ContainerCreate HostConfig.PidMode container',
  'ContainerCreate HostConfig.UTSMode container',
  'ContainerCreate HostConfig.UsernsMode container',
  'ContainerCreate HostConfig.Mounts[].Source volume',
  'ContainerCreate NetworkingConfig.EndpointsConfig{key} network',
  'ContainerCreate NetworkingConfig.EndpointsConfig{}.Links[] container',
  'ContainerCreate NetworkingConfig.EndpointsConfig{}.NetworkID network',
  'VolumeCreate Name volume',
  'VolumeCreate ClusterVolumeSpec.Secrets[].Secret secret',
  'VolumeUpdate Spec.Secrets[].Secret secret',
  'NetworkCreate Name network',
  'NetworkCreate ConfigFrom.Network network',
  'NetworkConnect Container container',
  'NetworkConnect EndpointConfig.Links[] container',
  'NetworkConnect EndpointConfig.NetworkID network',
  'NetworkDisconnect Container container',
  'ServiceCreate Name service',
  'ServiceCreate TaskTemplate.ContainerSpec.Image image',
  'ServiceCreate TaskTemplate.ContainerSpec.Privileges.CredentialSpec.Config config',
  'ServiceCreate TaskTemplate.ContainerSpec.Mounts[].Source volume',
  'ServiceCreate TaskTemplate.ContainerSpec.Secrets[].SecretID secret',
  'ServiceCreate TaskTemplate.ContainerSpec.Secrets[].SecretName secret',
  'ServiceCreate TaskTemplate.ContainerSpec.Configs[].ConfigID config',
  'ServiceCreate TaskTemplate.ContainerSpec.Configs[].ConfigName config',
  'ServiceCreate TaskTemplate.PluginSpec.remote plugin',
  'ServiceCreate TaskTemplate.NetworkAttachmentSpec.ContainerID container',
  'ServiceCreate TaskTemplate.Networks[].Target network',
  'ServiceCreate Networks[].Target network',
  'ServiceUpdate TaskTemplate.ContainerSpec.Image image',
  'ServiceUpdate TaskTemplate.ContainerSpec.Privileges.CredentialSpec.Config config',
  'ServiceUpdate TaskTemplate.ContainerSpec.Mounts[].Source volume',
  'ServiceUpdate TaskTemplate.ContainerSpec.Secrets[].SecretID secret',
  'ServiceUpdate TaskTemplate.ContainerSpec.Secrets[].SecretName secret',
  'ServiceUpdate TaskTemplate.ContainerSpec.Configs[].ConfigID config',
  'ServiceUpdate TaskTemplate.ContainerSpec.Configs[].ConfigName config',
  'ServiceUpdate TaskTemplate.PluginSpec.remote plugin',
  'ServiceUpdate TaskTemplate.NetworkAttachmentSpec.ContainerID container',
  'ServiceUpdate TaskTemplate.Networks[].Target network',
  'ServiceUpdate Networks[].Target network',
  'SecretCreate Name secret',
  'ConfigCreate Name config',
];

/** Texts that name no object of the engine: struct and field. */
const NO_NAMES: ReadonlySet<string> = new Set(
  [
    'AuthConfig.username AuthConfig.password AuthConfig.auth AuthConfig.email AuthConfig.identitytoken',
    'AuthConfig.registrytoken ContainerCreateRequest.Hostname ContainerCreateRequest.Domainname',
    'ContainerCreateRequest.User ContainerCreateRequest.ExposedPorts{key} ContainerCreateRequest.Env',
    'ContainerCreateRequest.Cmd Healthcheck.Test ContainerCreateRequest.Volumes{key}',
    'ContainerCreateRequest.WorkingDir ContainerCreateRequest.Entrypoint ContainerCreateRequest.MacAddress',
    'ContainerCreateRequest.OnBuild ContainerCreateRequest.Labels{key} ContainerCreateRequest.Labels{}',
    'ContainerCreateRequest.StopSignal ContainerCreateRequest.Shell HostConfig.ContainerIDFile LogConfig.Type',
    'LogConfig.Config{key} LogConfig.Config{} HostConfig.PortBindings{key} PortBinding.HostIp PortBinding.HostPort',
    'RestartPolicy.Name HostConfig.VolumeDriver HostConfig.Annotations{key} HostConfig.Annotations{}',
    'HostConfig.CapAdd HostConfig.CapDrop HostConfig.Dns HostConfig.DnsOptions HostConfig.DnsSearch',
    'HostConfig.ExtraHosts HostConfig.GroupAdd HostConfig.SecurityOpt HostConfig.StorageOpt{key}',
    'HostConfig.StorageOpt{} HostConfig.Tmpfs{key} HostConfig.Tmpfs{} HostConfig.Sysctls{key} HostConfig.Sysctls{}',
    'HostConfig.Runtime HostConfig.Isolation HostConfig.CgroupParent WeightDevice.Path ThrottleDevice.Path',
    'HostConfig.CpusetCpus HostConfig.CpusetMems DeviceMapping.PathOnHost DeviceMapping.PathInContainer',
    'DeviceMapping.CgroupPermissions HostConfig.DeviceCgroupRules DeviceRequest.Driver DeviceRequest.DeviceIDs',
    'DeviceRequest.Capabilities DeviceRequest.Options{key} DeviceRequest.Options{} Ulimit.Name Mount.Type',
    'Mount.Target Mount.Consistency BindOptions.Propagation VolumeOptions.Labels{key} VolumeOptions.Labels{}',
    'VolumeOptions.Subpath DriverConfig.Name DriverConfig.Options{key} DriverConfig.Options{} ImageOptions.Subpath',
    'TmpfsOptions.Options HostConfig.MaskedPaths HostConfig.ReadonlyPaths EndpointIPAMConfig.IPv4Address',
    'EndpointIPAMConfig.IPv6Address EndpointIPAMConfig.LinkLocalIPs EndpointSettings.Aliases',
    'EndpointSettings.MacAddress EndpointSettings.DriverOpts{key} EndpointSettings.DriverOpts{}',
    'EndpointSettings.EndpointID EndpointSettings.Gateway EndpointSettings.IPAddress EndpointSettings.IPv6Gateway',
    'EndpointSettings.GlobalIPv6Address EndpointSettings.DNSNames ContainerUpdateRequest.CgroupParent',
    'ContainerUpdateRequest.CpusetCpus ContainerUpdateRequest.CpusetMems ContainerUpdateRequest.DeviceCgroupRules',
    'ExecConfig.User ExecConfig.DetachKeys ExecConfig.Env ExecConfig.WorkingDir ExecConfig.Cmd',
    'CheckpointCreateRequest.CheckpointID CheckpointCreateRequest.CheckpointDir CopyConfig.Resource',
    'ContainerConfig.Hostname ContainerConfig.Domainname ContainerConfig.User ContainerConfig.ExposedPorts{key}',
    'ContainerConfig.Env ContainerConfig.Cmd ContainerConfig.Image ContainerConfig.Volumes{key}',
    'ContainerConfig.WorkingDir ContainerConfig.Entrypoint ContainerConfig.MacAddress ContainerConfig.OnBuild',
    'ContainerConfig.Labels{key} ContainerConfig.Labels{} ContainerConfig.StopSignal ContainerConfig.Shell',
    'VolumeCreateRequest.Driver VolumeCreateRequest.DriverOpts{key} VolumeCreateRequest.DriverOpts{}',
    'VolumeCreateRequest.Labels{key} VolumeCreateRequest.Labels{} ClusterVolumeSpec.Group AccessMode.Scope',
    'AccessMode.Sharing TypeMount.FsType TypeMount.MountFlags Topology.Segments{key} Topology.Segments{}',
    'VolumeSecret.Key ClusterVolumeSpec.Availability NetworkCreateRequest.Driver NetworkCreateRequest.Scope',
    'IPAM.Driver IPAM.Options{key} IPAM.Options{} IPAMConfig.Subnet IPAMConfig.IPRange IPAMConfig.Gateway',
    'IPAMConfig.AuxiliaryAddresses{key} IPAMConfig.AuxiliaryAddresses{} NetworkCreateRequest.Options{key}',
    'NetworkCreateRequest.Options{} NetworkCreateRequest.Labels{key} NetworkCreateRequest.Labels{}',
    'PluginPrivilege.Name PluginPrivilege.Description PluginPrivilege.Value SwarmInitRequest.ListenAddr',
    'SwarmInitRequest.AdvertiseAddr SwarmInitRequest.DataPathAddr SwarmSpec.Name SwarmSpec.Labels{key}',
    'SwarmSpec.Labels{} ExternalCA.URL ExternalCA.Options{key} ExternalCA.Options{} ExternalCA.CACert',
    'CAConfig.SigningCACert CAConfig.SigningCAKey Driver.Name Driver.Options{key} Driver.Options{}',
    'SwarmInitRequest.DefaultAddrPool SwarmJoinRequest.ListenAddr SwarmJoinRequest.AdvertiseAddr',
    'SwarmJoinRequest.DataPathAddr SwarmJoinRequest.RemoteAddrs SwarmJoinRequest.JoinToken',
    'SwarmUnlockRequest.UnlockKey NodeSpec.Name NodeSpec.Labels{key} NodeSpec.Labels{} ServiceSpec.Labels{key}',
    'ServiceSpec.Labels{} ContainerSpec.Labels{key} ContainerSpec.Labels{} ContainerSpec.Command ContainerSpec.Args',
    'ContainerSpec.Hostname ContainerSpec.Env ContainerSpec.Dir ContainerSpec.User ContainerSpec.Groups',
    'CredentialSpec.File CredentialSpec.Registry SELinuxContext.User SELinuxContext.Role SELinuxContext.Type',
    'SELinuxContext.Level SeccompOpts.Mode AppArmorOpts.Mode ContainerSpec.StopSignal ContainerSpec.Hosts',
    'DNSConfig.Nameservers DNSConfig.Search DNSConfig.Options FileTarget.Name FileTarget.UID FileTarget.GID',
    'ContainerSpec.Isolation ContainerSpec.Sysctls{key} ContainerSpec.Sysctls{} ContainerSpec.CapabilityAdd',
    'ContainerSpec.CapabilityDrop PluginSpec.name RuntimePrivilege.name RuntimePrivilege.description',
    'RuntimePrivilege.value PluginSpec.env NamedGenericResource.Kind NamedGenericResource.Value',
    'DiscreteGenericResource.Kind TaskRestartPolicy.Condition Placement.Constraints SpreadOver.SpreadDescriptor',
    'Platform.Architecture Platform.OS NetworkAttachmentConfig.Aliases NetworkAttachmentConfig.DriverOpts{key}',
    'NetworkAttachmentConfig.DriverOpts{} TaskSpec.Runtime UpdateConfig.FailureAction UpdateConfig.Order',
    'PortConfig.Name ServiceSpec.Name SecretSpec.Labels{key} SecretSpec.Labels{} SecretSpec.Name',
    'ConfigSpec.Labels{key} ConfigSpec.Labels{} ConfigSpec.Name',
  ].flatMap((line) => line.split(' ')),
);

const places = textPlaces().filter(({ field }) => field !== '');

test('each text of each body is a name that policy is given, or none', () => {
  const found: string[] = [];
  const unknown: string[] = [];
  for (const place of places) {
    const named = namedAt(place);
    if (named !== undefined) found.push(`${place.operation.id} ${place.path} ${named.ref.kind}`);
    else if (!NO_NAMES.has(place.field)) unknown.push(`${place.operation.id} ${place.path}`);
  }
  assert.deepEqual(found, NAMED);
  assert.deepEqual(unknown, [], 'say in NO_NAMES that these name no object, or name them in references.ts');
});

/** The text that is sent at the place of a reference. */
function sentAt(call: EngineCall, { at, kind }: ResourceRef): string {
  let value: Json | undefined = call.body;
  const steps = [...at.matchAll(/\[("(?:[^"\\]|\\.)*"|\d+)\]|[^.[\]]+/g)].map(([part, index]) =>
    index === undefined ? part : String(JSON.parse(index)),
  );
  for (const step of steps) {
    const inner = (value as Record<string, Json | undefined>)[step];
    // The key of an end point is the name.
    if (inner === null && kind === 'network') return step;
    value = inner;
  }
  return typeof value === 'object' && value !== null ? String((value as { Source?: unknown }).Source) : String(value);
}

const IMAGES = [
  'busybox',
  'busybox:1',
  'library/busybox',
  'docker.io/busybox',
  'index.docker.io/library/busybox:1',
  'a/b',
  'Registry.test/a',
  'localhost/a',
  'localhost:5000/a:1',
  'xn--bcher-kva.test/a',
  `a@sha256:${'b'.repeat(64)}`,
  `a:1@sha256:${'b'.repeat(64)}`,
  `sha256:${'c'.repeat(64)}`,
  'c'.repeat(64),
];

const callAt = ({ operation, path }: TextPlace, text: string, beside: object): EngineCall => {
  const inPath = Object.fromEntries(
    [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name as string, 'x']),
  );
  const target = { operation, action: operation.action, apiVersion: undefined, path: inPath, query: {} };
  return toCall(target, bodyWith(path, text, beside as Record<string, Json>));
};
const engines = (kind: 'docker' | 'podman') => ({
  engine: { fetchJson: async () => ({ status: 404, body: new Uint8Array(0) }) } as unknown as EngineClient,
  engineDefaults: { kind: async () => kind } as EngineDefaults,
});

test('what is judged is the form that is sent, for each name of a body', async () => {
  for (const place of places) {
    const named = namedAt(place);
    if (named === undefined) continue;
    const isMount = place.path.endsWith('Mounts[].Source');
    for (const [text, beside] of [
      ...(isMount ? [[NAME, { Type: 'volume' }] as const] : []),
      ...(named.ref.kind === 'image' || isMount ? IMAGES.map((text) => [text, { Type: 'image' }] as const) : []),
    ]) {
      for (const kind of ['docker', 'podman'] as const) {
        const call = await settleNames(callAt(place, text, beside), engines(kind));
        const ref = call.resources.find(
          ({ kind: what, role }) => role !== 'target' && (what === 'image' || what === 'volume'),
        ) as ResourceRef;
        const sent = sentAt(call, ref);
        // Docker reads each spelling in one way, which canonicalImage is held to on real engines (test/gateway/names.test.ts).
        assert.equal(
          kind === 'docker' && ref.kind === 'image' ? canonicalImage(sent) : sent,
          ref.name,
          `${place.path} ${text} ${kind}`,
        );
        if (kind === 'docker') assert.equal(sent, text);
      }
    }
  }
});
