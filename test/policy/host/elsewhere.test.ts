// The same rules wherever such fields occur: updates, execs, services, volumes, builds, networks and images.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostCheck, HostSpec, Subnet } from '../../../src/policy/host/index.ts';
import { compileHostSpec, parseSubnet } from '../../../src/policy/host/index.ts';
import type { Asked } from './calls.ts';
import { alice, callOf } from './calls.ts';

const baseline = compileHostSpec({ preset: 'baseline' });
type Row = readonly [asked: Asked, field?: string | undefined];

function table(check: HostCheck, action: string, rows: readonly Row[]): void {
  for (const [asked, field] of rows) {
    const found = check(callOf(action, asked), alice);
    assert.equal(found[0]?.field, field, `${JSON.stringify(asked)} ${found[0]?.message ?? ''}`);
  }
}
const body = (value: unknown, field?: string): Row => [{ body: value, path: { id: 'x' } }, field];
const query = (value: Asked['query'], field?: string): Row => [{ query: value ?? {} }, field];

test('an update may change amounts, nothing that reaches the host', () => {
  table(baseline, 'container.update', [
    body({ Memory: 1, PidsLimit: -1, CpuQuota: 5, RestartPolicy: { Name: 'always' } }),
    body({ Devices: [{ PathOnHost: '/dev/sda' }] }, 'Devices[0]'),
    body({ CgroupParent: '/' }, 'CgroupParent'),
    body({ DeviceCgroupRules: ['a *:* rwm'] }, 'DeviceCgroupRules'),
    body({ DeviceRequests: [{ Count: -1 }] }, 'DeviceRequests'),
    body({ OomKillDisable: true }, 'OomKillDisable'),
    body({ CpuRealtimeRuntime: 1 }, 'CpuRealtimeRuntime'),
    body({ Privileged: true }, 'Privileged'),
    body({ Future: 1 }, 'Future'),
    [{}],
  ]);
});

test('an exec is not privileged, and brings no checkpoint along a start', () => {
  table(baseline, 'container.exec.create', [
    body({ Cmd: ['id'], Privileged: true }, 'Privileged'),
    body({ Cmd: ['id'], Privileged: false, User: 'root' }),
    body({ Cmd: ['id'], CapAdd: ['ALL'] }),
  ]);
  table(baseline, 'container.start', [
    [{ query: { checkpoint: 'c' } }, 'query.checkpoint'],
    [{ query: { 'checkpoint-dir': '/etc' } }, 'query.checkpoint-dir'],
    [{ query: { checkpoint: '', 'checkpoint-dir': '', detachKeys: 'ctrl-p' } }],
  ]);
  table(baseline, 'container.checkpoint.create', [
    body({ CheckpointID: 'c', CheckpointDir: '/etc' }, 'CheckpointDir'),
    body({ CheckpointID: 'c', CheckpointDir: '' }),
  ]);
  table(baseline, 'container.checkpoint.list', [[{ query: { dir: '/etc' } }, 'query.dir']]);
});

test('a list of processes is of the container alone', () => {
  for (const preset of ['baseline', 'restricted'] as const) {
    const check = compileHostSpec({ preset });
    const args = (text: string, field?: string): Row => query({ ps_args: text }, field);
    const refused = (text: string): Row => args(text, 'query.ps_args');
    table(check, 'container.top', [
      [{}],
      ...['', '-ef', 'aux', 'auxf', '-eLf', '-o pid,comm', '-eo user,pid,args', '-opid,cmd', 'axo pid,ppid,rss'].map(
        (a) => args(a),
      ),
      // Another column titled PID, no titles at all, and columns that are shifted by the blanks of one before.
      ...['-eorss=PID', '-e -o rss=PID,args', '-eo\trss=PID', 'auxh', '-e --no-headers', '-uo h -o pid'].map(refused),
      ...['-eo lstart,user,user,user,pid,args', '-eo args,pid', '-o args', '-p 1', '-e --sort -pid', 'auxk pid'].map(
        refused,
      ),
    ]);
  }
});

test('volumes are local, without options or a tmpfs', () => {
  const opts = (DriverOpts: unknown, option?: string): Row =>
    body({ Name: 'v', Driver: 'local', DriverOpts }, option && `DriverOpts.${option}`);
  table(baseline, 'volume.create', [
    body({ Name: 'v' }),
    body({ Name: 'v', Driver: '' }),
    body({ Name: 'v', Driver: 'rexray' }, 'Driver'),
    body({ Name: 'v', Driver: 'Local' }, 'Driver'),
    body({ Name: 'v', ClusterVolumeSpec: null }),
    body({ Name: 'v', ClusterVolumeSpec: {} }, 'ClusterVolumeSpec'),
    body({ Name: 'v', ClusterVolumeSpec: { Group: 'x' } }, 'ClusterVolumeSpec'),
    body({ Name: 'v', Future: 'x' }),
    opts({}),
    opts(null),
    opts({ size: '10G' }),
    opts({ type: 'tmpfs', device: 'tmpfs' }),
    opts({ type: 'tmpfs', device: 'tmpfs', o: 'size=100m,uid=1000,noexec' }),
    opts({ type: 'tmpfs', device: 'tmpfs', o: '' }),
    opts({ type: 'tmpfs', device: 'tmpfs', o: 'bind' }, 'o'),
    opts({ type: 'tmpfs', device: 'tmpfs', o: 'size=1m,rbind' }, 'o'),
    opts({ type: 'tmpfs', device: 'tmpfs', o: 'size=1m,remount' }, 'o'),
    opts({ type: 'tmpfs', device: 'tmpfs', o: 'move' }, 'o'),
    opts({ type: 'tmpfs', device: 'tmpfs', o: 'shared' }, 'o'),
    opts({ type: 'tmpfs', device: 'tmpfs', o: 'addr=10.0.0.1' }, 'o'),
    opts({ type: 'tmpfs', device: 'tmpfs', O: 'bind' }, 'O'),
    opts({ type: 'tmpfs', device: '/' }, 'type'),
    opts({ type: 'tmpfs' }, 'type'),
    opts({ type: 'none', o: 'bind', device: '/' }, 'type'),
    opts({ type: 'bind', o: 'rbind', device: '/' }, 'type'),
    opts({ o: 'bind', device: '/etc' }, 'o'),
    opts({ type: 'nfs', o: 'addr=10.0.0.1', device: ':/' }, 'type'),
    opts({ type: 'overlay', o: 'lowerdir=/:/etc', device: 'overlay' }, 'type'),
    opts({ type: 'proc', device: 'proc' }, 'type'),
    opts({ type: 'ext4', device: '/dev/vda' }, 'type'),
    opts({ mountpoint: '/' }, 'mountpoint'),
  ]);
});

const task = (ContainerSpec: unknown, more: object = {}): unknown => ({
  Name: 's',
  TaskTemplate: { ContainerSpec: { Image: 'nginx', ...(ContainerSpec as object) }, ...more },
});
const SPEC = 'TaskTemplate.ContainerSpec';

test('services are judged like containers', () => {
  const rows: readonly Row[] = [
    body(task({})),
    body(task({ Mounts: [{ Type: 'bind', Source: '/', Target: '/h' }] }), `${SPEC}.Mounts[0]`),
    body(task({ Mounts: [{ Type: 'Bind', Source: '/', Target: '/h' }] }), `${SPEC}.Mounts[0]`),
    body(
      task({
        Mounts: [
          { Type: 'volume', Source: 'v', Target: '/h' },
          { Type: 'tmpfs', Target: '/t' },
        ],
      }),
    ),
    body(
      task({ Mounts: [{ Type: 'volume', Target: '/h', VolumeOptions: { DriverConfig: { Name: 'nfs' } } }] }),
      `${SPEC}.Mounts[0].VolumeOptions.DriverConfig.Name`,
    ),
    body(task({ CapabilityAdd: ['CAP_SYS_ADMIN'] }), `${SPEC}.CapabilityAdd[0]`),
    body(task({ CapabilityAdd: ['CAP_CHOWN'], CapabilityDrop: ['ALL'] })),
    body(task({ Sysctls: { 'kernel.msgmax': '1' } }), `${SPEC}.Sysctls`),
    body(task({ Sysctls: { 'net.ipv4.tcp_syncookies': '1' } })),
    body(task({ Isolation: 'hyperv' }), `${SPEC}.Isolation`),
    body(task({ OomScoreAdj: -5 }), `${SPEC}.OomScoreAdj`),
    body(task({ Ulimits: [{ Name: 'nofile', Hard: 1, Soft: 1 }], OomScoreAdj: 5 })),
    body(task({ Privileges: { SELinuxContext: { Disable: true } } }), `${SPEC}.Privileges.SELinuxContext.Disable`),
    body(task({ Privileges: { SELinuxContext: { Type: 'spc_t' } } }), `${SPEC}.Privileges.SELinuxContext.Type`),
    body(task({ Privileges: { SELinuxContext: { User: 'x' } } }), `${SPEC}.Privileges.SELinuxContext.User`),
    body(task({ Privileges: { SELinuxContext: { Type: 'container_t', Level: 's0:c1' } } })),
    body(task({ Privileges: { Seccomp: { Mode: 'unconfined' } } }), `${SPEC}.Privileges.Seccomp.Mode`),
    body(task({ Privileges: { Seccomp: { Mode: 'custom', Profile: 'e30=' } } }), `${SPEC}.Privileges.Seccomp.Mode`),
    body(task({ Privileges: { Seccomp: { Mode: 'default' }, AppArmor: { Mode: 'default' } } })),
    body(task({ Privileges: { AppArmor: { Mode: 'disabled' } } }), `${SPEC}.Privileges.AppArmor.Mode`),
    body(task({ Privileges: { CredentialSpec: { File: 'x' } } }), `${SPEC}.Privileges.CredentialSpec.File`),
    body(task({ Privileges: { CredentialSpec: null, NoNewPrivileges: true } })),
    body(task({ Secrets: [{ File: { Name: 'x', UID: '0', GID: '0', Mode: 292 }, SecretID: 'a', SecretName: 'b' }] })),
    body(task({ Future: 1 }), `${SPEC}.Future`),
    body(task({ Image: 'registry.evil.test/x' }), `${SPEC}.Image`),
    body(task({}, { Networks: [{ Target: 'host' }] }), 'TaskTemplate.Networks[0].Target'),
    body(task({}, { Networks: [{ Target: 'app', Aliases: ['a'] }] })),
    body(task({}, { Networks: [{ Target: 'app', DriverOpts: { x: 'y' } }] }), 'TaskTemplate.Networks[0].DriverOpts'),
    body({ ...(task({}) as object), Networks: [{ Target: 'HOST' }] }, 'Networks[0].Target'),
    body(task({}, { Runtime: 'plugin' }), 'TaskTemplate.Runtime'),
    body(task({}, { Runtime: 'attachment' }), 'TaskTemplate.Runtime'),
    body(task({}, { Runtime: 'container' })),
    body(task({}, { PluginSpec: { remote: 'x' } }), 'TaskTemplate.PluginSpec'),
    body(task({}, { NetworkAttachmentSpec: { ContainerID: 'x' } }), 'TaskTemplate.NetworkAttachmentSpec'),
    body(task({}, { LogDriver: { Name: 'syslog' } }), 'TaskTemplate.LogDriver.Name'),
    body(task({}, { LogDriver: { Options: { 'gelf-address': 'x' } } }), 'TaskTemplate.LogDriver.Options'),
    body(task({}, { LogDriver: { Name: 'json-file', Options: { 'max-size': '1m' } } })),
    body(
      task(
        {},
        { Resources: { Reservations: { GenericResources: [{ DiscreteResourceSpec: { Kind: 'GPU', Value: 1 } }] } } },
      ),
      'TaskTemplate.Resources.Reservations.GenericResources',
    ),
    body(task({}, { Resources: { Limits: { MemoryBytes: 1 }, Reservations: { NanoCPUs: 1 } } })),
    body(
      {
        ...(task({}) as object),
        EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 80, PublishMode: 'host' }] },
      },
      'EndpointSpec.Ports[0].PublishedPort',
    ),
    body(
      { ...(task({}) as object), EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 443 }] } },
      'EndpointSpec.Ports[0].PublishedPort',
    ),
    body({ ...(task({}) as object), EndpointSpec: { Ports: [{ TargetPort: 80, PublishMode: 'host' }] } }),
    body({
      ...(task({}) as object),
      EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080, PublishMode: 'host' }] },
    }),
  ];
  table(baseline, 'service.create', rows);
  table(baseline, 'service.update', rows);
  table(baseline, 'service.update', [
    [{ body: task({}), path: { id: 's' }, query: { rollback: 'previous', version: '1' } }, 'query.rollback'],
    [{ body: task({}), path: { id: 's' }, query: { rollback: '', version: '1' } }],
  ]);
});

test('builds reach neither the host nor other containers, and fetch no context', () => {
  table(baseline, 'build.run', [
    query({ networkmode: 'host' }, 'query.networkmode'),
    query({ networkmode: 'Host' }, 'query.networkmode'),
    query({ networkmode: 'container:db' }, 'query.networkmode'),
    query({ networkmode: 'none' }),
    query({ networkmode: '' }),
    query({ networkmode: 'app-net' }),
    query({ remote: 'https://example.test/repo.git' }, 'query.remote'),
    query({ remote: 'git@example.test:x.git' }, 'query.remote'),
    query({ remote: 'Client-Session' }, 'query.remote'),
    query({ remote: 'client-session' }),
    query({ version: '2' }, 'query.version'),
    query({ version: '1' }),
    query({ version: '' }),
    query({ session: 'x' }, 'query.session'),
    query({ session: '' }),
    query({ remote: '' }),
    query({ cgroupparent: '/' }, 'query.cgroupparent'),
    query({ cgroupparent: '' }),
    query({ securityopt: ['', 'seccomp=unconfined'] }, 'query.securityopt'),
    query({ outputs: '[{"Type":"local","Attrs":{"dest":"/x"}}]' }, 'query.outputs'),
    query({ outputs: '[{"Type":"image","Attrs":{"push":"true","name":"x"}}]' }, 'query.outputs'),
    query({ outputs: 'null' }),
    query({ outputs: ' [ ] ' }),
    query({ isolation: 'hyperv' }, 'query.isolation'),
    query({ isolation: 'default' }),
    query({ cachefrom: '["registry.evil.test/x"]' }, 'query.cachefrom[0]'),
    query({ cachefrom: '["app:1","docker.io/library/x"]' }),
    query({ extrahosts: ['h:host-gateway', 'x:1.2.3.4'], buildargs: '{"remote":"x"}', labels: '{}', ulimits: '[]' }),
    query({ future: 'x' }, 'query.future'),
    query({ t: ['a:1', 'registry.evil.test/x:1'], memory: '1', platform: 'linux/arm64', pull: '1', squash: '1' }),
  ]);
});

test('networks are bridges without options, in private ranges', () => {
  const net = (more: object, field?: string): Row => body({ Name: 'n', ...more }, field);
  const subnet = (Subnet: string, field?: string): Row =>
    net({ IPAM: { Config: [{ Subnet }] } }, field && 'IPAM.Config[0].Subnet');
  table(baseline, 'network.create', [
    net({}),
    net({ Driver: 'bridge', Internal: true, Labels: { driver: 'macvlan' }, Attachable: true, EnableIPv6: true }),
    net({ Driver: 'host' }, 'Driver'),
    net({ Driver: 'macvlan' }, 'Driver'),
    net({ Driver: 'ipvlan' }, 'Driver'),
    net({ Driver: 'overlay' }, 'Driver'),
    net({ Driver: 'Bridge' }, 'Driver'),
    net({ Scope: 'swarm' }, 'Scope'),
    net({ Scope: 'local' }),
    net({ Ingress: true }, 'Ingress'),
    net({ ConfigOnly: true }, 'ConfigOnly'),
    net({ ConfigFrom: { Network: 'x' } }, 'ConfigFrom'),
    net({ ConfigFrom: { Network: '' } }),
    net({ Options: { 'com.docker.network.bridge.name': 'docker0' } }, 'Options'),
    net({ Options: { 'com.docker.network.bridge.host_binding_ipv4': '' } }, 'Options'),
    net({ Options: { parent: 'eth0' } }, 'Options'),
    net({ Options: { 'com.docker.network.driver.mtu': '1400' } }),
    net({ IPAM: { Driver: 'evil' } }, 'IPAM.Driver'),
    net({ IPAM: { Driver: 'default', Options: { x: 'y' } } }, 'IPAM.Options'),
    net({
      IPAM: { Config: [{ Gateway: '172.20.0.1', AuxiliaryAddresses: { a: '172.20.0.2' }, Subnet: '172.20.0.0/24' }] },
    }),
    net({ IPAM: { Config: [{ Subnet: '172.20.0.0/24', Gateway: '8.8.8.8' }] } }, 'IPAM.Config[0].Gateway'),
    net({ IPAM: { Config: [{ Subnet: '172.20.0.0/24', Gateway: '10.0.0.1' }] } }, 'IPAM.Config[0].Gateway'),
    // Private ranges the engine does not pick from itself are those the host reaches elsewhere.
    subnet('10.213.5.0/24', 'x'),
    subnet('172.16.0.0/16', 'x'),
    subnet('172.16.0.0/12', 'x'),
    subnet('172.31.255.0/24'),
    subnet('172.32.0.0/24', 'x'),
    subnet('192.167.0.0/16', 'x'),
    subnet('100.64.0.0/24', 'x'),
    subnet('198.18.0.0/24', 'x'),
    subnet('192.0.2.0/24'),
    subnet('172.28.0.0/16'),
    subnet('192.168.7.0/24'),
    subnet('fd00:1::/64', 'x'),
    subnet('2001:db8::/64'),
    subnet('8.8.8.0/24', 'x'),
    subnet('0.0.0.0/1', 'x'),
    subnet('10.0.0.0/7', 'x'),
    subnet('169.254.169.0/24', 'x'),
    subnet('2a00:1450::/32', 'x'),
    subnet('::/1', 'x'),
    subnet('::ffff:10.0.0.0/120', 'x'),
    subnet('010.0.0.0/8', 'x'),
    net({ Future: true }),
    net({ IPAM: { Config: [{ Future: true }] } }, 'IPAM.Config[0].Future'),
  ]);
  table(baseline, 'network.connect', [
    [{ path: { id: 'net' }, body: { Container: 'c', EndpointConfig: { Aliases: ['a'] } } }],
    [{ path: { id: 'host' }, body: { Container: 'c' } }, 'path.id'],
    [
      { path: { id: 'net' }, body: { Container: 'c', EndpointConfig: { DriverOpts: { x: '1' } } } },
      'EndpointConfig.DriverOpts',
    ],
    [{ path: { id: 'net' }, body: { Container: 'c', EndpointConfig: { Future: 1 } } }, 'EndpointConfig.Future'],
  ]);
});

test('images come from and go to listed registries only', () => {
  const from = (fromImage: string, field?: string): Row => query({ fromImage, tag: '1' }, field);
  table(baseline, 'image.pull', [
    from('busybox'),
    from('docker.io/library/busybox'),
    from('index.docker.io/x/y'),
    from('acme/app'),
    from('127.0.0.1:48923/x', 'query.fromImage'),
    from('localhost/x', 'query.fromImage'),
    from('ghcr.io/acme/app', 'query.fromImage'),
    from('Evil/app', 'query.fromImage'),
    from('docker.io:443/x/y', 'query.fromImage'),
    from('docker.io.evil.test/x', 'query.fromImage'),
  ]);
  table(baseline, 'image.import', [
    query({ fromSrc: '-', repo: 'x' }),
    query({ fromSrc: 'http://x/a.tar' }, 'query.fromSrc'),
    query({ fromSrc: '127.0.0.1/a.tar' }, 'query.fromSrc'),
    query({ fromSrc: 'file:///etc/passwd' }, 'query.fromSrc'),
    query({ fromSrc: ['-', 'http://x/'] }, 'query.fromSrc'),
  ]);
  for (const action of ['image.push', 'image.distribution']) {
    table(baseline, action, [[{ path: { name: 'acme/app' } }], [{ path: { name: '127.0.0.1:48923/x' } }, 'path.name']]);
  }
  table(baseline, 'image.search', [query({ term: 'redis' }), query({ term: '127.0.0.1:48923/x' }, 'query.term')]);
  table(baseline, 'system.auth', [
    body({ username: 'u', password: 'secret' }),
    body({ serveraddress: 'https://index.docker.io/v1/' }),
    body({ serveraddress: 'docker.io' }),
    body({ serveraddress: 'http://127.0.0.1:48923' }, 'serveraddress'),
    body({ serveraddress: 'https://docker.io@evil.test/' }, 'serveraddress'),
    body({ serveraddress: 'docker.io\\@evil.test' }, 'serveraddress'),
    body({ serveraddress: 'evil.test/docker.io' }, 'serveraddress'),
    body({ serveraddress: 'https://https://docker.io' }, 'serveraddress'),
  ]);
  const found = baseline(callOf('system.auth', { body: { password: 'secret', serveraddress: 'evil.test' } }), alice);
  assert.ok(!JSON.stringify(found).includes('secret'));
});

test('actions without a table are left to the rule, but for unknown fields of secure structs', () => {
  assert.deepEqual(baseline(callOf('container.stop', {}), alice), []);
  assert.deepEqual(baseline(callOf('secret.create', { body: { Name: 's', Data: 'eA==' } }), alice), []);
  assert.deepEqual(baseline(callOf('secret.create', { body: { Name: 's', Future: 1 } }), alice), []);
  const [found] = baseline(callOf('secret.create', { body: { Name: 's', Driver: { Future: 1 } } }), alice);
  // A driver of a secret is refused whole.
  assert.equal(found?.field, 'Driver');
});

test('a subnet over one the host has already is refused, unless the policy lists one within it', () => {
  const networks = ['192.168.1.7/24', '10.9.0.0/16', '2001:db8:1::/48'].map((range) => parseSubnet(range) as Subnet);
  const site = { protectedPaths: [], sockets: [], networks };
  const refused = (spec: HostSpec, config: object): boolean => {
    const call = callOf('network.create', { body: { Name: 'n', IPAM: { Config: [config] } } });
    return compileHostSpec(spec)(call, alice, site).length > 0;
  };
  const lists = (...subnets: string[]): HostSpec => ({ network: { subnets } });
  for (const [spec, config, isRefused] of [
    [{}, { Subnet: '192.168.1.0/24' }, true],
    [{}, { Subnet: '192.168.0.0/16' }, true],
    [{}, { Subnet: '192.168.1.128/25' }, true],
    [{}, { Subnet: '192.168.2.0/24' }, false],
    [{}, { Subnet: '172.28.0.0/16' }, false],
    [{}, { Subnet: '192.168.2.0/24', Gateway: '192.168.1.1' }, true],
    [{}, { Subnet: '2001:db8:1:2::/64' }, true],
    [{}, { Subnet: '2001:db8:2::/64' }, false],
    [lists('10.0.0.0/8'), { Subnet: '10.9.1.0/24' }, true],
    [lists('10.0.0.0/8'), { Subnet: '10.8.1.0/24' }, false],
    [lists('10.9.1.0/24'), { Subnet: '10.9.1.0/24' }, false],
    [lists('10.9.1.0/24'), { Subnet: '10.9.0.0/16' }, true],
  ] as const)
    assert.equal(refused(spec, config), isRefused, JSON.stringify([spec, config]));
});
