// Every row of the presets for a new container: each denial beside its nearest allowed neighbour.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileHostSpec } from '../../../src/policy/host/index.ts';
import { alice, callOf, create } from './calls.ts';

const baseline = compileHostSpec({ preset: 'baseline' });
const volume = (driver: unknown): unknown => [
  { Type: 'volume', Target: '/d', VolumeOptions: { DriverConfig: driver } },
];
const port = (HostPort: string): unknown => ({ PortBindings: { '80/tcp': [{ HostIp: '', HostPort }] } });
const sysctl = (name: string): unknown => ({ Sysctls: { [name]: '1' } });
const opt = (option: string): unknown => ({ SecurityOpt: [option] });
const log = (Type: string, Config: unknown = {}): unknown => ({ LogConfig: { Type, Config } });

/** HostConfig, and the field that denies it; undefined where it passes. */
const HOST: readonly (readonly [hostConfig: unknown, field?: string])[] = [
  [{ Privileged: true }, 'HostConfig.Privileged'],
  [{ Privileged: false }],
  [{ Privileged: null }],
  [{ NetworkMode: 'host' }, 'HostConfig.NetworkMode'],
  [{ NetworkMode: 'HOST' }, 'HostConfig.NetworkMode'],
  [{ NetworkMode: 'ns:/proc/1/ns/net' }, 'HostConfig.NetworkMode'],
  [{ NetworkMode: 'container:' }, 'HostConfig.NetworkMode'],
  [{ NetworkMode: 'Container:db' }, 'HostConfig.NetworkMode'],
  [{ NetworkMode: '' }],
  [{ NetworkMode: 'default' }],
  [{ NetworkMode: 'bridge' }],
  [{ NetworkMode: 'none' }],
  [{ NetworkMode: 'app-net' }],
  [{ NetworkMode: 'hosts' }],
  [{ NetworkMode: 'container:db' }],
  [{ PidMode: 'host' }, 'HostConfig.PidMode'],
  [{ PidMode: 'HOST' }, 'HostConfig.PidMode'],
  [{ PidMode: 'private' }, 'HostConfig.PidMode'],
  [{ PidMode: 'container:db' }],
  [{ PidMode: '' }],
  [{ IpcMode: 'host' }, 'HostConfig.IpcMode'],
  [{ IpcMode: 'Host' }, 'HostConfig.IpcMode'],
  [{ IpcMode: 'ns:/x' }, 'HostConfig.IpcMode'],
  [{ IpcMode: 'none' }],
  [{ IpcMode: 'private' }],
  [{ IpcMode: 'shareable' }],
  [{ IpcMode: 'container:db' }],
  [{ UTSMode: 'host' }, 'HostConfig.UTSMode'],
  [{ UTSMode: 'container:db' }, 'HostConfig.UTSMode'],
  [{ UTSMode: 'private' }],
  [{ UsernsMode: 'host' }, 'HostConfig.UsernsMode'],
  [{ UsernsMode: 'keep-id' }, 'HostConfig.UsernsMode'],
  [{ UsernsMode: '' }],
  [{ CgroupnsMode: 'host' }, 'HostConfig.CgroupnsMode'],
  [{ CgroupnsMode: 'private' }],
  [{ Cgroup: 'container:db' }, 'HostConfig.Cgroup'],
  [{ Cgroup: '' }],
  [{ CgroupParent: '/' }, 'HostConfig.CgroupParent'],
  [{ CgroupParent: 'x.slice' }, 'HostConfig.CgroupParent'],
  [{ CgroupParent: '' }],
  [{ Isolation: 'process' }, 'HostConfig.Isolation'],
  [{ Isolation: 'default' }],
  [{ ContainerIDFile: '/tmp/x' }],
  [{ ContainerIDFile: '' }],
  [{ CapAdd: ['ALL'] }, 'HostConfig.CapAdd[0]'],
  [{ CapAdd: ['all'] }, 'HostConfig.CapAdd[0]'],
  [{ CapAdd: ['CAP_ALL'] }, 'HostConfig.CapAdd[0]'],
  [{ CapAdd: 'SYS_ADMIN' }, 'HostConfig.CapAdd[0]'],
  [{ CapAdd: ['CHOWN', 'Cap_Sys_Ptrace'] }, 'HostConfig.CapAdd[1]'],
  [{ CapAdd: ['NET_ADMIN'] }, 'HostConfig.CapAdd[0]'],
  [{ CapAdd: ['BPF'] }, 'HostConfig.CapAdd[0]'],
  [{ CapAdd: [''] }, 'HostConfig.CapAdd[0]'],
  [{ CapAdd: ['CAP_CAP_CHOWN'] }, 'HostConfig.CapAdd[0]'],
  [{ CapAdd: ['chown', 'CAP_SETUID', 'cap_kill', 'NET_RAW'] }],
  [{ CapAdd: [] }],
  [{ CapDrop: ['ALL'] }],
  [{ CapDrop: 'NET_RAW' }],
  [{ Binds: ['/:/h'] }, 'HostConfig.Binds[0]'],
  [{ Binds: ['//:/h'] }, 'HostConfig.Binds[0]'],
  [{ Binds: ['/etc:/h:ro,z'] }, 'HostConfig.Binds[0]'],
  [{ Binds: ['data:/d', '/var/run/docker.sock:/s'] }, 'HostConfig.Binds[1]'],
  [{ Binds: ['data:/data:ro'] }],
  [{ Binds: ['/data'] }],
  [{ Binds: [] }],
  [{ Binds: null }],
  [{ Mounts: [{ Type: 'bind', Source: '/', Target: '/h' }] }, 'HostConfig.Mounts[0]'],
  [{ Mounts: [{ Type: 'bind', Source: '', Target: '/h' }] }, 'HostConfig.Mounts[0]'],
  [{ Mounts: [{ Type: 'BIND', Source: '/', Target: '/h' }] }, 'HostConfig.Mounts[0].Type'],
  [{ Mounts: [{ Source: '/', Target: '/h' }] }, 'HostConfig.Mounts[0].Type'],
  [{ Mounts: [{ Type: 'volume', Source: '/etc', Target: '/h' }] }, 'HostConfig.Mounts[0]'],
  [{ Mounts: [{ Type: 'volume', Source: '../etc', Target: '/h' }] }, 'HostConfig.Mounts[0]'],
  [{ Mounts: [{ Type: 'image', Source: 'busybox', Target: '/h' }] }, 'HostConfig.Mounts[0].Type'],
  [{ Mounts: [{ Type: 'npipe', Source: 'x', Target: '/h' }] }, 'HostConfig.Mounts[0].Type'],
  [{ Mounts: [{ Type: 'cluster', Source: 'x', Target: '/h' }] }, 'HostConfig.Mounts[0].Type'],
  [{ Mounts: [{ Type: 'volume', Source: 'data', Target: '/d', ReadOnly: true, Consistency: 'cached' }] }],
  [{ Mounts: [{ Type: 'volume', Target: '/d', VolumeOptions: { NoCopy: true, Labels: { a: 'b' }, Subpath: 'x' } }] }],
  [
    { Mounts: [{ Type: 'volume', Target: '/d', VolumeOptions: { Future: 1 } }] },
    'HostConfig.Mounts[0].VolumeOptions.Future',
  ],
  [{ Mounts: [{ Type: 'tmpfs', Target: '/d', TmpfsOptions: { SizeBytes: 1, Mode: 511, Options: [['exec']] } }] }],
  [
    { Mounts: volume({ Name: 'local', Options: { type: 'none', o: 'bind', device: '/' } }) },
    'HostConfig.Mounts[0].VolumeOptions.DriverConfig.Options.type',
  ],
  [
    { Mounts: volume({ Options: { device: '/dev/vda' } }) },
    'HostConfig.Mounts[0].VolumeOptions.DriverConfig.Options.device',
  ],
  [{ Mounts: volume({ Name: 'vieux/sshfs' }) }, 'HostConfig.Mounts[0].VolumeOptions.DriverConfig.Name'],
  [{ Mounts: volume({ Name: 'LOCAL' }) }, 'HostConfig.Mounts[0].VolumeOptions.DriverConfig.Name'],
  [{ Mounts: volume({ Name: 'local', Options: {} }) }],
  [{ Mounts: volume({}) }],
  [{ Mounts: volume(null) }],
  [{ Mounts: volume({ Options: { type: 'tmpfs', device: 'tmpfs', o: 'size=10m,noexec' } }) }],
  [{ VolumeDriver: 'nfs' }, 'HostConfig.VolumeDriver'],
  [{ VolumeDriver: 'local' }],
  [{ VolumesFrom: ['db:ro'] }],
  [{ Links: ['db:db'] }],
  [{ Tmpfs: { '/run': 'rw,noexec,size=65536k', '/x': '', '/y': 'exec,suid,dev,mode=1777,uid=1,gid=1,rprivate' } }],
  [{ Tmpfs: { '/run': 'rw', '/x': 'bind' } }, 'HostConfig.Tmpfs["/x"]'],
  [{ Tmpfs: { '/x': 'size=1m,remount' } }, 'HostConfig.Tmpfs["/x"]'],
  [{ Tmpfs: { '/x': 'rshared' } }, 'HostConfig.Tmpfs["/x"]'],
  [{ Tmpfs: { '/x': 'lowerdir=/' } }, 'HostConfig.Tmpfs["/x"]'],
  [
    { Mounts: [{ Type: 'tmpfs', Target: '/d', TmpfsOptions: { Options: [['exec'], ['bind']] } }] },
    'HostConfig.Mounts[0].TmpfsOptions.Options[1]',
  ],
  [
    { Devices: [{ PathOnHost: '/dev/kmsg', PathInContainer: '/dev/k', CgroupPermissions: 'r' }] },
    'HostConfig.Devices[0]',
  ],
  [{ Devices: [{ PathOnHost: '/dev' }] }, 'HostConfig.Devices[0]'],
  [{ Devices: [{}] }, 'HostConfig.Devices[0]'],
  [{ Devices: [] }],
  [{ DeviceCgroupRules: ['a *:* rwm'] }, 'HostConfig.DeviceCgroupRules'],
  [{ DeviceCgroupRules: null }],
  [{ DeviceRequests: [{ Count: -1, Capabilities: [['gpu']] }] }, 'HostConfig.DeviceRequests'],
  [{ DeviceRequests: [{}] }, 'HostConfig.DeviceRequests'],
  [
    { DeviceRequests: [{ Driver: 'cdi', DeviceIDs: ['nvidia.com/gpu=0'] }] },
    'HostConfig.DeviceRequests[0].DeviceIDs[0]',
  ],
  [{ DeviceRequests: [] }],
  [opt('seccomp=unconfined'), 'HostConfig.SecurityOpt[0]'],
  [opt('seccomp:unconfined'), 'HostConfig.SecurityOpt[0]'],
  [opt('seccomp=builtin'), 'HostConfig.SecurityOpt[0]'],
  [opt('seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'), 'HostConfig.SecurityOpt[0]'],
  [opt('apparmor=unconfined'), 'HostConfig.SecurityOpt[0]'],
  [opt('apparmor:unconfined'), 'HostConfig.SecurityOpt[0]'],
  [opt('apparmor=other'), 'HostConfig.SecurityOpt[0]'],
  [opt('apparmor='), 'HostConfig.SecurityOpt[0]'],
  [opt('apparmor=docker-default')],
  [opt('apparmor:docker-default')],
  [opt('label=disable'), 'HostConfig.SecurityOpt[0]'],
  [opt('label:disable'), 'HostConfig.SecurityOpt[0]'],
  [opt('disable'), 'HostConfig.SecurityOpt[0]'],
  [opt('label=type:spc_t'), 'HostConfig.SecurityOpt[0]'],
  [opt('label:user:system_u'), 'HostConfig.SecurityOpt[0]'],
  [opt('label=role:system_r'), 'HostConfig.SecurityOpt[0]'],
  [opt('label=filetype:x'), 'HostConfig.SecurityOpt[0]'],
  [opt('label=type:container_t')],
  [opt('label:type:container_kvm_t')],
  [opt('label=level:s0:c100,c200')],
  [opt('no-new-privileges=false'), 'HostConfig.SecurityOpt[0]'],
  [opt('no-new-privileges:0'), 'HostConfig.SecurityOpt[0]'],
  [opt('no-new-privileges='), 'HostConfig.SecurityOpt[0]'],
  [opt('no-new-privileges')],
  [opt('no-new-privileges=true')],
  [opt('no-new-privileges:true')],
  [opt('no-new-privileges=1')],
  [opt('systempaths=unconfined'), 'HostConfig.SecurityOpt[0]'],
  [opt('writable-cgroups=true'), 'HostConfig.SecurityOpt[0]'],
  [opt('writable-cgroups'), 'HostConfig.SecurityOpt[0]'],
  [opt('unmask=ALL'), 'HostConfig.SecurityOpt[0]'],
  [opt('proc-opts=hidepid=0'), 'HostConfig.SecurityOpt[0]'],
  [opt('credentialspec=file://x'), 'HostConfig.SecurityOpt[0]'],
  [opt(''), 'HostConfig.SecurityOpt[0]'],
  [opt('NO-NEW-PRIVILEGES'), 'HostConfig.SecurityOpt[0]'],
  [{ SecurityOpt: [] }],
  [{ MaskedPaths: [] }, 'HostConfig.MaskedPaths'],
  [{ MaskedPaths: ['/proc/kcore'] }, 'HostConfig.MaskedPaths'],
  [{ ReadonlyPaths: [] }, 'HostConfig.ReadonlyPaths'],
  [{ MaskedPaths: null, ReadonlyPaths: null }],
  [sysctl('kernel.shmmax'), 'HostConfig.Sysctls'],
  [sysctl('net.ipv4.ip_forward'), 'HostConfig.Sysctls'],
  [sysctl('net/ipv4/tcp_syncookies'), 'HostConfig.Sysctls'],
  [sysctl('net.ipv4.tcp_syncookies '), 'HostConfig.Sysctls'],
  [{ Sysctls: { 'kernel.core_pattern': '' } }, 'HostConfig.Sysctls'],
  [sysctl('net.ipv4.tcp_syncookies')],
  [sysctl('net.ipv4.ip_unprivileged_port_start')],
  [{ Sysctls: {} }],
  [port('22'), 'HostConfig.PortBindings["80/tcp"][0].HostPort'],
  [port('1023'), 'HostConfig.PortBindings["80/tcp"][0].HostPort'],
  [port('0022'), 'HostConfig.PortBindings["80/tcp"][0].HostPort'],
  [port('1000-1100'), 'HostConfig.PortBindings["80/tcp"][0].HostPort'],
  [port('0-65535'), 'HostConfig.PortBindings["80/tcp"][0].HostPort'],
  [port('65536'), 'HostConfig.PortBindings["80/tcp"][0].HostPort'],
  [port(' 8080'), 'HostConfig.PortBindings["80/tcp"][0].HostPort'],
  [port('8080,22'), 'HostConfig.PortBindings["80/tcp"][0].HostPort'],
  [port('1024')],
  [port('08080')],
  [port('30000-30010')],
  [port('')],
  [port('0')],
  [{ PortBindings: { '80/tcp': [] } }],
  [{ PortBindings: { '80/tcp': null } }],
  [{ PortBindings: { '80/tcp': [{}] } }],
  [{ PublishAllPorts: true }],
  [{ GroupAdd: ['0'] }],
  [{ Runtime: 'kata' }, 'HostConfig.Runtime'],
  [{ Runtime: '/tmp/containerd-shim-x-v1' }, 'HostConfig.Runtime'],
  [{ Runtime: 'runc' }, 'HostConfig.Runtime'],
  [{ Runtime: '' }],
  [{ Annotations: { 'org.systemd.property.X': '1' } }, 'HostConfig.Annotations'],
  [{ Annotations: { x: '' } }, 'HostConfig.Annotations'],
  [{ Annotations: {} }],
  [log('fluentd', { 'fluentd-address': 'tcp://x' }), 'HostConfig.LogConfig.Type'],
  [log('journald'), 'HostConfig.LogConfig.Type'],
  [log('JSON-FILE'), 'HostConfig.LogConfig.Type'],
  [log('', { 'syslog-address': 'tcp://x' }), 'HostConfig.LogConfig.Config'],
  [log('json-file', { 'max-size': '1m', 'max-file': '3' })],
  [log('local')],
  [log('none')],
  [log('', { 'max-size': '1m' })],
  [log('')],
  [{ OomScoreAdj: -1 }, 'HostConfig.OomScoreAdj'],
  [{ OomScoreAdj: 0 }],
  [{ OomScoreAdj: 1000 }],
  [{ OomKillDisable: true }, 'HostConfig.OomKillDisable'],
  [{ OomKillDisable: false }],
  [{ CpuRealtimePeriod: 1 }, 'HostConfig.CpuRealtimePeriod'],
  [{ CpuRealtimeRuntime: 950000 }, 'HostConfig.CpuRealtimeRuntime'],
  [{ CpuPeriod: 100000, CpuQuota: 50000, CpuShares: 2, CpusetCpus: '0-1' }],
  [{ Memory: 1, MemorySwap: -1, MemorySwappiness: -1, PidsLimit: -1, NanoCpus: 10_000_000 }],
  [{ NanoCpus: 9_999_999 }, 'HostConfig.NanoCpus'],
  [{ NanoCpus: 1 }, 'HostConfig.NanoCpus'],
  [{ StorageOpt: { size: '1G' } }],
  [{ StorageOpt: { 'dm.thinpooldev': 'x' } }, 'HostConfig.StorageOpt'],
  [{ BlkioDeviceReadBps: [{ Path: '/dev/sda', Rate: 1 }], BlkioWeightDevice: [{ Path: '/dev/sda', Weight: 10 }] }],
  [{ ReadonlyRootfs: true, Init: true, AutoRemove: true, RestartPolicy: { Name: 'always' } }],
  [{ Dns: ['1.1.1.1'], DnsOptions: ['x'], DnsSearch: ['x'], ExtraHosts: ['h:host-gateway'], ShmSize: 1 }],
  [{ Ulimits: [{ Name: 'nofile', Hard: 1, Soft: 1 }], ConsoleSize: [24, 80] }],
  [{ FutureField: null, FutureList: [], FutureMap: {}, FutureText: '', FutureFlag: false, FutureNumber: 0 }],
  [{ FutureField: true }, 'HostConfig.FutureField'],
  [{ FutureMap: { a: { b: [0] } } }, 'HostConfig.FutureMap'],
];

test('baseline judges every field of HostConfig by its value', () => {
  for (const [hostConfig, field] of HOST) {
    const found = baseline(create(hostConfig), alice).map((violation) => violation.field);
    assert.equal(found[0], field, JSON.stringify(hostConfig));
  }
});

/** The rest of a create body. */
const CONFIG: readonly (readonly [config: Record<string, unknown>, field?: string])[] = [
  [{ Volumes: { '/data': {} } }],
  [{ Volumes: { '/:/h': {} } }, 'Volumes'],
  [{ Volumes: { data: {} } }, 'Volumes'],
  [{ Volumes: { '/x/..': {} } }, 'Volumes'],
  [{ User: 'root', Env: ['HostConfig={"Privileged":true}'], Labels: { 'HostConfig.Privileged': 'true' } }],
  [{ MacAddress: '02:42:ac:11:00:02', NetworkDisabled: true, Healthcheck: { Test: ['CMD', 'true'] }, OnBuild: ['x'] }],
  [{ name: 'x', platform: 'linux/amd64', FutureTop: '' }],
  // Left out of what is sent, so there is nothing to judge.
  [{ FutureTop: 'x' }],
  [{ NetworkingConfig: { EndpointsConfig: { host: {} } } }, 'NetworkingConfig.EndpointsConfig["host"]'],
  [{ NetworkingConfig: { EndpointsConfig: { a: {}, Host: null } } }, 'NetworkingConfig.EndpointsConfig["Host"]'],
  [{ NetworkingConfig: { EndpointsConfig: { a: { Aliases: ['db'], IPAMConfig: { IPv4Address: '10.1.0.2' } } } } }],
  [{ NetworkingConfig: { EndpointsConfig: { a: null } } }],
  [
    { NetworkingConfig: { EndpointsConfig: { a: { NetworkID: 'host' } } } },
    'NetworkingConfig.EndpointsConfig["a"].NetworkID',
  ],
  [
    { NetworkingConfig: { EndpointsConfig: { a: { DriverOpts: { 'com.docker.network.endpoint.sysctls': 'x=1' } } } } },
    'NetworkingConfig.EndpointsConfig["a"].DriverOpts',
  ],
  [{ NetworkingConfig: { EndpointsConfig: { a: { DriverOpts: { 'com.docker.network.endpoint.ifname': 'eth1' } } } } }],
  [
    { NetworkingConfig: { EndpointsConfig: { a: { DriverOpts: {}, Future: 1 } } } },
    'NetworkingConfig.EndpointsConfig["a"].Future',
  ],
  [{ NetworkingConfig: { EndpointsConfig: {} } }],
  [{ NetworkingConfig: null }],
];

test('baseline judges the rest of a create body', () => {
  for (const [config, field] of CONFIG) {
    const found = baseline(create({ NetworkMode: 'none' }, config), alice).map((violation) => violation.field);
    assert.equal(found[0], field, JSON.stringify(config));
  }
});

test('every field that is wrong is named at once, with what would be allowed', () => {
  const found = baseline(create({ Binds: ['/:/h'], Privileged: true, PidMode: 'host' }), alice);
  assert.deepEqual(
    found.map(({ message }) => message),
    [
      'HostConfig.Privileged is true (allowed: false)',
      'HostConfig.PidMode is "host" (allowed: empty or container:NAME)',
      'HostConfig.Binds[0] mounts host path "/" (allowed: none; use a named volume)',
    ],
  );
  for (const { message } of found) assert.ok(!message.endsWith('.'), message);
});

test('an empty CgroupnsMode is refused where the API version reads it as host', () => {
  const body = { Image: 'a', HostConfig: { CgroupnsMode: '' } };
  const at = (apiVersion: string, given: unknown = body): number =>
    baseline(callOf('container.create', { body: given, apiVersion }), alice).length;
  assert.equal(at('1.40'), 1);
  assert.equal(at('1.41'), 0);
  assert.equal(at('1.51'), 0);
  assert.equal(at('1.40', { Image: 'a', HostConfig: { CgroupnsMode: 'private' } }), 0);
  assert.equal(at('1.40', { Image: 'a' }), 1);
});

test('the network of the host is found by its id once objects are resolved', () => {
  const call = create({ NetworkMode: '90b8d0fb143c' });
  const resolved = { ...call, resources: call.resources.map((ref) => ({ ...ref, resolvedName: 'host' })) };
  assert.equal(baseline(call, alice).length, 0);
  assert.match(baseline(resolved, alice)[0]?.message ?? '', /^HostConfig\.NetworkMode joins the network of the host/);
});

test('a long value is shortened and many violations are capped', () => {
  const found = baseline(create({ CapAdd: Array.from({ length: 100 }, () => 'X'.repeat(500)) }), alice);
  assert.equal(found.length, 32);
  assert.ok(found.every(({ message }) => message.length < 600));
});

test('a body that a plugin left with wrong types is refused, not skipped', () => {
  const call = create({});
  for (const host of [
    { Privileged: 'true' },
    { Privileged: 1 },
    { NetworkMode: ['host'] },
    { CapAdd: { 0: 'ALL' } },
    { Binds: '/:/h' },
    { Mounts: { Type: 'bind' } },
    { Devices: 'x' },
    { Sysctls: ['x'] },
    { OomScoreAdj: '-1000' },
    { PortBindings: [1] },
    { MaskedPaths: 'x' },
    { LogConfig: 'syslog' },
    ['x'],
  ]) {
    const broken = { ...call, body: { Image: 'a', HostConfig: host } as never };
    assert.ok(baseline(broken, alice).length > 0, JSON.stringify(host));
  }
});
