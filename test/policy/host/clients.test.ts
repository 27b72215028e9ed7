// Bodies as stock clients send them, zero values and all, pass baseline.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileHostSpec } from '../../../src/policy/host/index.ts';
import { alice, callOf } from './calls.ts';

const baseline = compileHostSpec({});

const cliResources = {
  ...{ CpuShares: 0, Memory: 0, NanoCpus: 0, CgroupParent: '', BlkioWeight: 0, BlkioWeightDevice: [] },
  ...{ BlkioDeviceReadBps: [], BlkioDeviceWriteBps: [], BlkioDeviceReadIOps: [], BlkioDeviceWriteIOps: [] },
  ...{ CpuPeriod: 0, CpuQuota: 0, CpuRealtimePeriod: 0, CpuRealtimeRuntime: 0, CpusetCpus: '', CpusetMems: '' },
  ...{ Devices: [], DeviceCgroupRules: null, DeviceRequests: null, MemoryReservation: 0, MemorySwap: 0 },
  ...{ MemorySwappiness: -1, OomKillDisable: false, PidsLimit: 0, Ulimits: [], CpuCount: 0, CpuPercent: 0 },
  ...{ IOMaximumIOps: 0, IOMaximumBandwidth: 0 },
};
const cliHostConfig = {
  ...{
    Binds: null,
    ContainerIDFile: '',
    LogConfig: { Type: '', Config: {} },
    NetworkMode: 'default',
    PortBindings: {},
  },
  ...{ RestartPolicy: { Name: 'no', MaximumRetryCount: 0 }, AutoRemove: true, VolumeDriver: '', VolumesFrom: null },
  ...{ ConsoleSize: [0, 0], CapAdd: null, CapDrop: null, CgroupnsMode: '', Dns: [], DnsOptions: [], DnsSearch: [] },
  ...{ ExtraHosts: null, GroupAdd: null, IpcMode: '', Cgroup: '', Links: null, OomScoreAdj: 0, PidMode: '' },
  ...{ Privileged: false, PublishAllPorts: false, ReadonlyRootfs: false, SecurityOpt: null, UTSMode: '' },
  ...{ UsernsMode: '', ShmSize: 0, Isolation: '', ...cliResources, MaskedPaths: null, ReadonlyPaths: null },
};
const cliEndpoint = {
  ...{ IPAMConfig: null, Links: null, Aliases: null, MacAddress: '', DriverOpts: null, GwPriority: 0, NetworkID: '' },
  ...{ EndpointID: '', Gateway: '', IPAddress: '', IPPrefixLen: 0, IPv6Gateway: '', GlobalIPv6Address: '' },
  ...{ GlobalIPv6PrefixLen: 0, DNSNames: null },
};
const cliConfig = {
  ...{ Hostname: '', Domainname: '', User: '', AttachStdin: false, AttachStdout: true, AttachStderr: true, Tty: false },
  ...{ OpenStdin: false, StdinOnce: false, Env: null, Cmd: ['echo', 'hi'], Image: 'busybox:test', Volumes: {} },
  ...{ WorkingDir: '', Entrypoint: null, OnBuild: null, Labels: {} },
};

const SENT: readonly (readonly [client: string, action: string, body: unknown, query?: Record<string, string>])[] = [
  [
    'docker run',
    'container.create',
    { ...cliConfig, HostConfig: cliHostConfig, NetworkingConfig: { EndpointsConfig: { default: cliEndpoint } } },
    { name: 'x', platform: 'linux/amd64' },
  ],
  [
    'docker run -p 8080:80 -v data:/d --memory 512m --tmpfs /t',
    'container.create',
    {
      ...cliConfig,
      ExposedPorts: { '80/tcp': {} },
      HostConfig: {
        ...cliHostConfig,
        Binds: ['data:/d'],
        PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] },
        Memory: 536870912,
        Tmpfs: { '/t': '' },
        SecurityOpt: [],
      },
    },
  ],
  [
    'docker-py run',
    'container.create',
    {
      ...{ Hostname: null, Domainname: null, ExposedPorts: null, User: null, Tty: false, OpenStdin: false },
      ...{ StdinOnce: false, AttachStdin: false, AttachStdout: false, AttachStderr: false, Env: null, Cmd: ['true'] },
      ...{ Image: 'busybox:test', Volumes: null, NetworkDisabled: false, Entrypoint: null, WorkingDir: null },
      ...{ HostConfig: { NetworkMode: 'default' }, NetworkingConfig: null, MacAddress: null, Labels: null },
      ...{ StopSignal: null, Healthcheck: null, StopTimeout: null, Runtime: null },
    },
  ],
  [
    'docker-java (testcontainers)',
    'container.create',
    {
      ...{ Hostname: null, User: null, Env: ['A=b'], Cmd: null, Image: 'redis:7', Volumes: {}, Labels: { a: 'b' } },
      ExposedPorts: { '6379/tcp': {} },
      HostConfig: {
        ...{ Binds: [], BlkioWeight: null, CapAdd: null, CgroupParent: null, Devices: null, DeviceRequests: null },
        ...{ Links: [], LogConfig: null, Memory: null, MemorySwappiness: null, NetworkMode: null, PidMode: null },
        ...{ PortBindings: { '6379/tcp': [{ HostIp: '', HostPort: '' }] }, Privileged: null, PublishAllPorts: null },
        ...{ Runtime: null, SecurityOpt: null, Sysctls: null, UsernsMode: null, VolumesFrom: [], DiskQuota: null },
        ...{ ExtraHosts: [], OomKillDisable: null, ReadonlyRootfs: null, KernelMemory: null, Isolation: null },
      },
      NetworkingConfig: { EndpointsConfig: {} },
    },
  ],
  [
    'testcontainers for node',
    'container.create',
    {
      ...{ Image: 'redis:7', Env: [], Labels: { 'org.testcontainers': 'true' }, ExposedPorts: { '6379/tcp': {} } },
      ...{ name: undefined, platform: undefined },
      HostConfig: { PortBindings: { '6379/tcp': [{ HostPort: '0' }] }, AutoRemove: false, Privileged: undefined },
    },
  ],
  [
    'docker compose up',
    'container.create',
    {
      ...cliConfig,
      ...{ Labels: { 'com.docker.compose.project': 'p' }, StopTimeout: null, Healthcheck: { Test: ['CMD', 'true'] } },
      HostConfig: {
        ...cliHostConfig,
        ...{ NetworkMode: 'p_default', RestartPolicy: { Name: 'unless-stopped' }, Annotations: null, StorageOpt: null },
        ...{ Sysctls: {}, Tmpfs: null, Runtime: '', Init: null },
        Mounts: [{ Type: 'volume', Source: 'p_db', Target: '/var/lib/db', VolumeOptions: {} }],
      },
      NetworkingConfig: { EndpointsConfig: { p_default: { ...cliEndpoint, Aliases: ['p-db-1', 'db'] } } },
    },
  ],
  [
    'docker update',
    'container.update',
    {
      ...cliResources,
      PidsLimit: null,
      MemorySwappiness: null,
      OomKillDisable: null,
      Memory: 1073741824,
      RestartPolicy: { Name: '', MaximumRetryCount: 0 },
    },
  ],
  [
    'docker exec',
    'container.exec.create',
    {
      User: '',
      Privileged: false,
      Tty: false,
      AttachStdin: false,
      AttachStderr: true,
      AttachStdout: true,
      Detach: false,
      DetachKeys: '',
      Env: null,
      WorkingDir: '',
      Cmd: ['echo', '--privileged'],
    },
  ],
  [
    'docker-py exec',
    'container.exec.create',
    {
      Container: 'x',
      User: 'root',
      Privileged: false,
      Tty: false,
      AttachStdin: false,
      AttachStdout: true,
      AttachStderr: true,
      Cmd: ['id'],
      Env: null,
    },
  ],
  ['docker exec (start)', 'container.exec.start', { Detach: false, Tty: true, ConsoleSize: [24, 80] }],
  [
    'docker volume create',
    'volume.create',
    { Driver: 'local', DriverOpts: {}, Labels: { o: 'bind', device: '/' }, Name: 'v' },
  ],
  ['docker-py volume', 'volume.create', { Name: null, Driver: null, DriverOpts: null }],
  [
    'docker network create',
    'network.create',
    {
      Driver: 'bridge',
      Scope: '',
      IPAM: { Driver: 'default', Options: {}, Config: [] },
      Internal: false,
      Attachable: false,
      Ingress: false,
      ConfigOnly: false,
      ConfigFrom: null,
      Options: {},
      Labels: {},
      Name: 'n',
    },
  ],
  [
    'docker compose network',
    'network.create',
    {
      CheckDuplicate: true,
      Driver: 'bridge',
      EnableIPv6: false,
      IPAM: null,
      Internal: false,
      Attachable: false,
      Ingress: false,
      ConfigOnly: false,
      ConfigFrom: null,
      Options: null,
      Labels: {},
      Name: 'p_default',
    },
  ],
  [
    'docker network connect',
    'network.connect',
    { Container: 'c', EndpointConfig: { ...cliEndpoint, IPAMConfig: {}, Aliases: ['x'], DriverOpts: {} } },
  ],
  ['docker build', 'build.run', undefined, { dockerfile: 'Dockerfile', t: 'foo', version: '1' }],
  [
    'docker build, older',
    'build.run',
    undefined,
    {
      buildargs: '{}',
      cachefrom: '[]',
      cgroupparent: '',
      cpuperiod: '0',
      cpuquota: '0',
      cpusetcpus: '',
      cpusetmems: '',
      cpushares: '0',
      dockerfile: 'Dockerfile',
      labels: '{}',
      memory: '0',
      memswap: '0',
      networkmode: 'default',
      rm: '1',
      shmsize: '0',
      t: 'foo',
      target: '',
      ulimits: 'null',
      version: '1',
    },
  ],
  [
    'docker build with DOCKER_BUILDKIT=0',
    'build.run',
    undefined,
    {
      buildargs: '{"A":"b"}',
      cachefrom: '[]',
      cgroupparent: '',
      dockerfile: 'Dockerfile',
      labels: '{}',
      networkmode: 'default',
      rm: '1',
      shmsize: '0',
      t: 'foo',
      ulimits: '[]',
      version: '1',
    },
  ],
  ['docker pull', 'image.pull', undefined, { fromImage: 'docker.io/library/busybox', tag: 'latest' }],
  [
    'docker service create',
    'service.create',
    {
      Name: 's',
      Labels: {},
      TaskTemplate: {
        ContainerSpec: {
          Image: 'nginx:latest',
          Init: false,
          Mounts: [{ Type: 'volume', Source: 'x', Target: '/y' }],
          DNSConfig: {},
        },
        Resources: { Limits: { MemoryBytes: 1073741824 }, Reservations: {} },
        Placement: {},
        ForceUpdate: 0,
      },
      Mode: { Replicated: {} },
      EndpointSpec: {
        Mode: 'vip',
        Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' }],
      },
    },
  ],
  [
    'docker service update',
    'service.update',
    {
      Name: 's',
      Labels: null,
      TaskTemplate: {
        ContainerSpec: {
          Image: 'nginx:2',
          Isolation: 'default',
          Privileges: { CredentialSpec: null, SELinuxContext: null, NoNewPrivileges: false },
        },
        ForceUpdate: 0,
        Runtime: 'container',
      },
      Mode: {},
      UpdateConfig: { Parallelism: 1 },
    },
    { version: '1', registryAuthFrom: 'spec' },
  ],
];

test('bodies of stock clients pass baseline', () => {
  for (const [client, action, body, query] of SENT) {
    const found = baseline(callOf(action, { body, query: query ?? {}, path: { id: 'x' } }), alice);
    assert.deepEqual(found, [], client);
  }
});

test('nothing is allocated for a clean call: the answer is one frozen empty list', () => {
  const [, action, body] = SENT[0] as (typeof SENT)[number];
  const call = callOf(action, { body });
  assert.equal(baseline(call, alice), baseline(call, alice));
  assert.ok(Object.isFrozen(baseline(call, alice)));
});
