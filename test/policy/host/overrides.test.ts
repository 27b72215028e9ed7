// What restricted and hardened add, and what the overrides of a policy change: each with its nearest refusal.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders of policies look like that
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { HostSpec } from '../../../src/policy/host/index.ts';
import { compileHostSpec, describePreset, HOST_PRESETS } from '../../../src/policy/host/index.ts';
import type { Asked } from './calls.ts';
import { alice, callOf, create } from './calls.ts';

type Row = readonly [hostConfig: unknown, field?: string | undefined];

function table(spec: HostSpec, rows: readonly Row[], config: Readonly<Record<string, unknown>> = {}): void {
  const check = compileHostSpec(spec);
  for (const [hostConfig, field] of rows) {
    const found = check(create(hostConfig, config), alice);
    assert.equal(found[0]?.field, field, `${JSON.stringify(hostConfig)} ${found[0]?.message ?? ''}`);
  }
}
const asks = (spec: HostSpec, action: string, asked: Asked): string | undefined =>
  compileHostSpec(spec)(callOf(action, asked), alice)[0]?.field;

const SAFE = { CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'], Memory: 1, PidsLimit: 1 };
const HOST_PORT = 'HostConfig.PortBindings["80/tcp"][0].HostPort';
const port = (HostPort: string): unknown => ({ ...SAFE, PortBindings: { '80/tcp': [{ HostPort }] } });

test('restricted asks for what baseline only allows', () => {
  const user = { User: '1000:1000' };
  table(
    { preset: 'restricted' },
    [
      [SAFE],
      [{ ...SAFE, CapDrop: 'all' }],
      [{ ...SAFE, CapDrop: ['CHOWN'] }, 'HostConfig.CapDrop'],
      [{ ...SAFE, CapDrop: null }, 'HostConfig.CapDrop'],
      [{ ...SAFE, CapAdd: ['net_bind_service'] }],
      [{ ...SAFE, CapAdd: ['CHOWN'] }, 'HostConfig.CapAdd[0]'],
      [{ ...SAFE, SecurityOpt: ['no-new-privileges:true', 'label=level:s0'] }],
      [{ ...SAFE, SecurityOpt: [] }, 'HostConfig.SecurityOpt'],
      [{ ...SAFE, SecurityOpt: ['no-new-privileges', 'no-new-privileges=false'] }, 'HostConfig.SecurityOpt[1]'],
      [{ ...SAFE, Memory: 0 }, 'HostConfig.Memory'],
      [{ ...SAFE, Memory: undefined }, 'HostConfig.Memory'],
      [{ ...SAFE, PidsLimit: 0 }, 'HostConfig.PidsLimit'],
      [{ ...SAFE, PidsLimit: -1 }, 'HostConfig.PidsLimit'],
      [{ ...SAFE, PidsLimit: null }, 'HostConfig.PidsLimit'],
      [{ ...SAFE, VolumesFrom: ['db'] }, 'HostConfig.VolumesFrom'],
      [{ ...SAFE, Links: ['db'] }, 'HostConfig.Links'],
      [{ ...SAFE, VolumesFrom: [], Links: null }],
      [{ ...SAFE, GroupAdd: ['0'] }, 'HostConfig.GroupAdd[0]'],
      [{ ...SAFE, GroupAdd: ['29', 'root'] }, 'HostConfig.GroupAdd[1]'],
      [{ ...SAFE, GroupAdd: ['+00'] }, 'HostConfig.GroupAdd[0]'],
      [{ ...SAFE, GroupAdd: ['1000', '2000'] }],
      // The image may give any name the number of root's group.
      [{ ...SAFE, GroupAdd: ['1000', 'audio'] }, 'HostConfig.GroupAdd[1]'],
      [{ ...SAFE, GroupAdd: ['2147483648'] }, 'HostConfig.GroupAdd[0]'],
      [{ ...SAFE, MemorySwap: -1 }, 'HostConfig.MemorySwap'],
      [{ ...SAFE, Memory: 2 ** 50, MemorySwap: 2 ** 50 }],
      [{ ...SAFE, Memory: 2 ** 50 + 1 }, 'HostConfig.Memory'],
      [{ ...SAFE, PidsLimit: 4194304 }],
      [{ ...SAFE, PidsLimit: 4194305 }, 'HostConfig.PidsLimit'],
      [{ ...SAFE, PublishAllPorts: true }, 'HostConfig.PublishAllPorts'],
      [port('8080'), HOST_PORT],
      [port(''), HOST_PORT],
      [port('0'), HOST_PORT],
      [
        {
          ...SAFE,
          Mounts: [{ Type: 'volume', Target: '/d', VolumeOptions: { DriverConfig: { Options: { size: '1g' } } } }],
        },
        'HostConfig.Mounts[0].VolumeOptions.DriverConfig.Options.size',
      ],
      [{ ...SAFE, Binds: ['data:/d'], ReadonlyRootfs: false }],
    ],
    user,
  );
  for (const [User, fine] of [
    // Without a group, and by the name of one, the image says which: root's where it knows none.
    ['1000', false],
    ['1000:', false],
    ['1000:1000', true],
    ['1000:audio', false],
    ['1000:1000:1000', false],
    ['2147483647:2147483647', true],
    ['2147483648:1000', false],
    ['4294967296:1000', false],
    ['1000:4294967296', false],
    ['', false],
    ['root', false],
    ['0', false],
    ['00', false],
    ['+0', false],
    ['-0', false],
    ['0:1000', false],
    ['1000:0', false],
    ['1000:root', false],
    ['1000:00', false],
    ['nobody', false],
    [' 1000', false],
    [undefined, false],
  ] as const) {
    table({ preset: 'restricted' }, [[SAFE, fine ? undefined : 'User']], { User });
  }
  const links = { User: '1000:1000', NetworkingConfig: { EndpointsConfig: { a: { Links: ['db'] } } } };
  table({ preset: 'restricted' }, [[SAFE, 'NetworkingConfig.EndpointsConfig["a"].Links']], links);
});

test('restricted judges execs, updates, volumes and services the same', () => {
  const spec: HostSpec = { preset: 'restricted' };
  const exec = (User: string): string | undefined =>
    asks(spec, 'container.exec.create', { body: { Cmd: ['x'], User } });
  assert.equal(exec(''), undefined);
  assert.equal(exec('1000:1000'), undefined);
  assert.equal(exec('1000'), 'User');
  assert.equal(exec('0'), 'User');
  assert.equal(exec('root'), 'User');
  const update = (body: unknown): string | undefined => asks(spec, 'container.update', { body });
  assert.equal(update({ PidsLimit: null, Memory: 0 }), undefined);
  assert.equal(update({ PidsLimit: 5, Memory: 5 }), undefined);
  assert.equal(update({ PidsLimit: 0 }), 'PidsLimit');
  assert.equal(update({ PidsLimit: -1 }), 'PidsLimit');
  assert.equal(update({ Memory: -1 }), 'Memory');
  const opts = { type: 'tmpfs', device: 'tmpfs' };
  assert.equal(asks(spec, 'volume.create', { body: { Name: 'v', DriverOpts: opts } }), 'DriverOpts.type');
  assert.equal(asks(spec, 'volume.create', { body: { Name: 'v', DriverOpts: {} } }), undefined);
  const good = {
    Image: 'nginx',
    User: '1000:1000',
    CapabilityDrop: ['CAP_ALL'],
    Privileges: { NoNewPrivileges: true },
  };
  const service = (spec_: object, Limits: object = { MemoryBytes: 1, Pids: 1 }): string | undefined =>
    asks(spec, 'service.create', {
      body: { Name: 's', TaskTemplate: { ContainerSpec: spec_, Resources: { Limits } } },
    });
  assert.equal(service({ ...good, CapabilityDrop: ['ALL'] }), undefined);
  assert.equal(service(good), undefined);
  assert.equal(service({ ...good, CapabilityDrop: [] }), 'TaskTemplate.ContainerSpec.CapabilityDrop');
  assert.equal(service({ ...good, User: '' }), 'TaskTemplate.ContainerSpec.User');
  assert.equal(service({ ...good, Groups: ['0'] }), 'TaskTemplate.ContainerSpec.Groups[0]');
  assert.equal(service({ ...good, Privileges: null }), 'TaskTemplate.ContainerSpec.Privileges.NoNewPrivileges');
  assert.equal(service(good, { MemoryBytes: 1 }), 'TaskTemplate.Resources.Limits.Pids');
  assert.equal(asks(spec, 'service.create', { body: { Name: 's' } }), 'TaskTemplate.Resources.Limits.MemoryBytes');
});

test('hardened asks for a read-only root and an image by its digest', () => {
  const digest = `busybox@sha256:${'a'.repeat(64)}`;
  const host = { ...SAFE, ReadonlyRootfs: true };
  table({ preset: 'hardened' }, [[host], [SAFE, 'HostConfig.ReadonlyRootfs']], { User: '1:1', Image: digest });
  table({ preset: 'hardened' }, [[host]], { User: '1:1', Image: `sha256:${'a'.repeat(64)}` });
  for (const Image of ['busybox:test', 'busybox', 'a'.repeat(12), `busybox:sha256-${'a'.repeat(64)}`]) {
    table({ preset: 'hardened' }, [[host, 'Image']], { User: '1:1', Image });
  }
});

test('privileged checks nothing but the limits a policy sets beside it', () => {
  const everything = { Privileged: true, Binds: ['/:/h'], PidMode: 'host', Future: 1, CapAdd: ['ALL'] };
  table({ preset: 'privileged' }, [[everything]]);
  table({ preset: 'privileged', limits: { memory: '1GiB' } }, [
    [everything, 'HostConfig.Memory'],
    [{ ...everything, Memory: 1024 }],
  ]);
  const exec = { body: { Cmd: ['x'], Privileged: true } };
  assert.equal(asks({ preset: 'privileged' }, 'container.exec.create', exec), undefined);
  assert.equal(
    asks({ preset: 'privileged', exec: { privileged: false } }, 'container.exec.create', exec),
    'Privileged',
  );
  assert.equal(asks({ preset: 'baseline', exec: { privileged: true } }, 'container.exec.create', exec), undefined);
});

test('listed folders may be mounted, on segment borders, and never a socket', () => {
  const all = (path: string) => ({ path, subpaths: true });
  const binds = [all('/srv/ci'), { path: '/srv/ro', readOnly: true }, all('/var'), all('/srv/ro/rw')];
  const at = 'HostConfig.Binds[0]';
  table({ binds }, [
    [{ Binds: ['/srv/ci:/x'] }],
    [{ Binds: ['/srv/ci/a/b:/x:ro,rprivate'] }],
    [{ Binds: ['/srv/./ci//a/../b/:/x'] }],
    [{ Binds: ['/srv/ci2:/x'] }, at],
    [{ Binds: ['/srv:/x'] }, at],
    [{ Binds: ['/srv/ci/..:/x'] }, at],
    [{ Binds: ['/srv/ci/../../etc:/x'] }, at],
    [{ Binds: ['/SRV/ci:/x'] }, at],
    [{ Binds: ['/srv/ci:/x:rshared'] }, at],
    [{ Binds: ['/srv/ci:/x:slave'] }, at],
    [{ Binds: ['/srv/ci:/x:z'] }],
    [{ Binds: ['/srv/ro:/x'] }, at],
    [{ Binds: ['/srv/ro:/x:rw'] }, at],
    [{ Binds: ['/srv/ro/a:/x:ro'] }],
    [{ Binds: ['/srv/ro/a:/x:ro,Z'] }, at],
    [{ Binds: ['/srv/ro/rw/a:/x'] }],
    [{ Binds: ['/srv/ro/rwx:/x'] }, at],
    [{ Binds: ['/var:/x'] }, at],
    [{ Binds: ['/var/run:/x'] }, at],
    [{ Binds: ['/var/run/docker.sock:/x'] }, at],
    [{ Binds: ['/var/run/./docker.sock/:/x'] }, at],
    [{ Binds: ['/var/run/docker:/x'] }, at],
    [{ Binds: ['/var/run/docker/plugins:/x'] }, at],
    [{ Binds: ['/var/run/user/1000:/x'] }, at],
    [{ Binds: ['/var/run/user/1000/docker.sock:/x'] }, at],
    [{ Binds: ['/var/run/user/1000/pulse:/x'] }],
    [{ Binds: ['/var/log:/x:ro'] }],
    [{ Binds: ['/srv/ci/home/.docker:/x'] }, at],
    [{ Binds: ['/srv/ci/home/.docker/run:/x'] }, at],
    [{ Binds: ['/srv/ci/podman.sock:/x'] }, at],
    [{ Binds: ['/srv/ci/app.sock:/x'] }],
    [{ Mounts: [{ Type: 'bind', Source: '/srv/ci/a', Target: '/x' }] }],
    [{ Mounts: [{ Type: 'bind', Source: '/srv/ci/a', Target: '/x', BindOptions: { Propagation: 'rprivate' } }] }],
    [
      { Mounts: [{ Type: 'bind', Source: '/srv/ci/a', Target: '/x', BindOptions: { Propagation: 'rshared' } }] },
      'HostConfig.Mounts[0].BindOptions.Propagation',
    ],
    [{ Mounts: [{ Type: 'bind', Source: '/srv/ro', Target: '/x' }] }, 'HostConfig.Mounts[0]'],
    [{ Mounts: [{ Type: 'bind', Source: '/srv/ro', Target: '/x', ReadOnly: true }] }],
    [
      {
        Mounts: [
          {
            Type: 'bind',
            Source: '/srv/ro',
            Target: '/x',
            ReadOnly: true,
            BindOptions: { ReadOnlyNonRecursive: true },
          },
        ],
      },
      'HostConfig.Mounts[0].BindOptions.ReadOnlyNonRecursive',
    ],
    [
      {
        Mounts: [
          { Type: 'bind', Source: '/srv/ro', Target: '/x', ReadOnly: true, BindOptions: { CreateMountpoint: true } },
        ],
      },
      'HostConfig.Mounts[0].BindOptions.CreateMountpoint',
    ],
    [{ Mounts: [{ Type: 'bind', Source: '/etc', Target: '/x' }] }, 'HostConfig.Mounts[0]'],
    [{ Mounts: [{ Type: 'bind', Source: 'srv/ci', Target: '/x' }] }, 'HostConfig.Mounts[0]'],
  ]);
  const [found] = compileHostSpec({ binds })(create({ Binds: ['/etc:/x'] }), alice);
  assert.match(found?.message ?? '', /\(allowed: below \/srv\/ci, \/srv\/ro \(read-only\), \/var or \/srv\/ro\/rw\)$/);
});

test('a writable folder is mounted as itself alone: what is below it may be a link', () => {
  const at = 'HostConfig.Binds[0]';
  const volume = (device: string, o = 'bind') => ({ Name: 'v', DriverOpts: { type: 'none', o, device } });
  const binds = ['/srv/ci', { path: '/srv/ro', readOnly: true }, { path: '/srv/open', subpaths: true }, '/srv/ro/rw'];
  table({ binds }, [
    [{ Binds: ['/srv/ci:/x'] }],
    [{ Binds: ['/srv/ci/:/x:ro'] }],
    [{ Binds: ['/srv/ci/job/..:/x'] }],
    [{ Binds: ['/srv/ci/job:/x'] }, at],
    [{ Binds: ['/srv/ci/job:/x:ro'] }, at],
    [{ Binds: ['/srv/ci/./job/a:/x'] }, at],
    [{ Mounts: [{ Type: 'bind', Source: '/srv/ci/job', Target: '/x' }] }, 'HostConfig.Mounts[0]'],
    [{ Mounts: [{ Type: 'bind', Source: '/srv/ci', Target: '/x' }] }],
    [{ Binds: ['/srv/ro/job:/x:ro'] }],
    [{ Binds: ['/srv/open/job:/x'] }],
    [{ Binds: ['/srv/ro/rw:/x'] }],
    [{ Binds: ['/srv/ro/rw/job:/x:ro'] }, at],
  ]);
  // A folder below a writable one is no safer for being listed, read-only or not.
  const nested = { binds: ['/srv', { path: '/srv/ro', readOnly: true }, { path: '/srv/open', subpaths: true }] };
  table(nested, [
    [{ Binds: ['/srv:/x'] }],
    [{ Binds: ['/srv/ro:/x:ro'] }, at],
    [{ Binds: ['/srv/open:/x'] }, at],
    [{ Binds: ['/srv/open/a:/x'] }, at],
  ]);
  table(
    {
      binds: [
        { path: '/srv', subpaths: true },
        { path: '/srv/ro', readOnly: true },
      ],
    },
    [[{ Binds: ['/srv/ro:/x:ro'] }], [{ Binds: ['/srv/ro:/x'] }, at], [{ Binds: ['/srv/a:/x'] }]],
  );
  table({ binds: [{ path: '/srv/ro', readOnly: true, subpaths: false }] }, [
    [{ Binds: ['/srv/ro:/x:ro'] }],
    [{ Binds: ['/srv/ro/a:/x:ro'] }, at],
  ]);
  const [found] = compileHostSpec({ binds })(create({ Binds: ['/srv/ci/job:/x'] }), alice);
  assert.match(
    found?.message ?? '',
    /may be a link to anywhere \(allowed: \/srv\/ci itself; or all below it where .*subpaths: true\)$/,
  );
  const used = (device: string): boolean => {
    const call = create({ Binds: ['v:/v'] });
    const driver = { name: 'local', options: volume(device).DriverOpts };
    const resources = call.resources.map((ref) => (ref.kind === 'volume' ? { ...ref, id: 'v', driver } : ref));
    return compileHostSpec({ binds })({ ...call, resources }, alice).length === 0;
  };
  assert.deepEqual([used('/srv/ci'), used('/srv/ci/job'), used('/srv/open/job')], [true, false, true]);
});

test('a folder may name its caller, whose attributes fill one path segment or none', () => {
  const at = 'HostConfig.Binds[0]';
  table({ binds: ['/srv/${principal.tenant}'] }, [[{ Binds: ['/srv/red:/x'] }], [{ Binds: ['/srv/blue:/x'] }, at]]);
  table({ binds: ['/srv/${principal.claims.team}'] }, [[{ Binds: ['/srv/blue:/x'] }], [{ Binds: ['/srv:/x'] }, at]]);
  for (const name of ['bad', 'number', 'absent', 'constructor']) {
    table({ binds: [`/srv/\${principal.claims.${name}}`] }, [
      [{ Binds: ['/srv:/x'] }, at],
      [{ Binds: ['/:/x'] }, at],
    ]);
  }
});

test('the gateway keeps its own socket and data from every mount', () => {
  const site = { protectedPaths: ['/srv/data'], sockets: ['/srv/dockgate/gw.sock'], networks: [] };
  const check = compileHostSpec({ binds: [{ path: '/srv', subpaths: true }] });
  const denied = (path: string): boolean => check(create({ Binds: [`${path}:/x`] }), alice, site).length > 0;
  assert.ok(denied('/srv'));
  assert.ok(denied('/srv/dockgate'));
  assert.ok(denied('/srv/dockgate/gw.sock'));
  assert.ok(denied('/srv/data/db'));
  assert.ok(!denied('/srv/dockgate2'));
  // A socket of one identity is listed to be mounted; the policy then says which.
  const listed = compileHostSpec({ binds: ['/srv/dockgate/gw.sock'] });
  assert.deepEqual(listed(create({ Binds: ['/srv/dockgate/gw.sock:/run/gw.sock'] }), alice, site), []);
  const data = compileHostSpec({ binds: ['/srv/data'] });
  assert.match(data(create({ Binds: ['/srv/data:/x'] }), alice, site)[0]?.message ?? '', /files of the gateway/);
});

test('listed ports replace those of the preset', () => {
  table({ ports: [443, '30000-30999', '31000-31005'] }, [
    [port('443')],
    [port('30000')],
    [port('30990-31002')],
    [port('31006'), HOST_PORT],
    [port('444'), HOST_PORT],
    [port('8080'), HOST_PORT],
    [port('')],
  ]);
  table({ ports: [] }, [[port('8080'), HOST_PORT], [port('')]]);
  table({ preset: 'restricted', ports: ['30000-30999'] }, [[port('30000')], [port(''), HOST_PORT]], { User: '1:1' });
  table({ preset: 'restricted', ports: [0] }, [[port('')], [{ ...SAFE, PublishAllPorts: true }]], { User: '1:1' });
});

test('lists of names let exactly those through', () => {
  const hash = createHash('sha256').update('{"defaultAction":"SCMP_ACT_ERRNO"}').digest('hex');
  const opt = (option: string): unknown => ({ SecurityOpt: [option] });
  const device = (PathOnHost: string, CgroupPermissions = 'rwm'): unknown => ({
    Devices: [{ PathOnHost, CgroupPermissions }],
  });
  const gpus = (more: object): unknown => ({ DeviceRequests: [{ Capabilities: [['gpu']], ...more }] });
  const cases: readonly (readonly [HostSpec, fine: unknown, refused: unknown])[] = [
    [{ capabilities: ['net_admin'] }, { CapAdd: ['CAP_NET_ADMIN', 'CHOWN'] }, { CapAdd: ['SYS_ADMIN'] }],
    [{ capabilities: ['ALL'] }, { CapAdd: ['all', 'SYS_ADMIN'] }, { Privileged: true }],
    [{ capabilities: ['SYS_ADMIN'] }, { CapAdd: ['SYS_ADMIN'] }, { CapAdd: ['ALL'] }],
    [
      { sysctls: ['net.core.somaxconn'] },
      { Sysctls: { 'net.core.somaxconn': '1' } },
      { Sysctls: { 'net.core.x': '1' } },
    ],
    [{ sysctls: ['net.core.*'] }, { Sysctls: { 'net.core.x': '1' } }, { Sysctls: { 'net.corex': '1' } }],
    [{ runtimes: ['kata'] }, { Runtime: 'kata' }, { Runtime: 'kata2' }],
    [
      { annotations: ['io.kubernetes.*'] },
      { Annotations: { 'io.kubernetes.x': '1' } },
      { Annotations: { 'io.kube': '1' } },
    ],
    [
      { logDrivers: ['syslog'] },
      { LogConfig: { Type: 'syslog', Config: { 'syslog-address': 'x' } } },
      { LogConfig: { Type: 'gelf' } },
    ],
    [
      { logDrivers: ['syslog'] },
      { LogConfig: { Type: '' } },
      { LogConfig: { Type: '', Config: { 'syslog-address': 'x' } } },
    ],
    [
      { seccompProfiles: [hash] },
      opt('seccomp={"defaultAction":"SCMP_ACT_ERRNO"}'),
      opt('seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'),
    ],
    [{ seccompProfiles: [hash] }, {}, opt('seccomp=builtin')],
    [{ seccompProfiles: ['builtin'] }, opt('seccomp=builtin'), opt('seccomp=unconfined')],
    [{ seccompProfiles: ['unconfined'] }, opt('seccomp=unconfined'), opt('seccomp=builtin')],
    [{ seccompProfiles: ['unconfined'] }, opt('seccomp:unconfined'), opt('apparmor=unconfined')],
    [{ apparmorProfiles: ['web'] }, opt('apparmor=web'), opt('apparmor=unconfined')],
    [
      { mountTypes: ['image'] },
      { Mounts: [{ Type: 'image', Source: 'a', Target: '/x', ImageOptions: { Subpath: 'y' } }] },
      { Mounts: [{ Type: 'npipe', Target: '/x' }] },
    ],
    [{ devices: ['/dev/fuse'] }, device('/dev/fuse'), device('/dev/fuse2')],
    [{ devices: ['/dev/fuse'] }, device('/dev//./fuse', 'r'), device('/dev/fuse/../kmsg')],
    [{ devices: [{ path: '/dev/snd', permissions: 'r' }] }, device('/dev/snd', 'r'), device('/dev/snd', 'rw')],
    [{ devices: [{ path: '/dev/snd', permissions: 'r' }] }, device('/dev/snd', 'r'), device('/dev/snd', '')],
    [{ devices: [{ gpu: 1 }] }, gpus({ Count: 1 }), gpus({ Count: 2 })],
    [{ devices: [{ gpu: 1 }] }, gpus({ DeviceIDs: ['0'] }), gpus({ DeviceIDs: ['0', '1'] })],
    [{ devices: [{ gpu: 1 }] }, gpus({}), gpus({ Count: -1 })],
    [{ devices: [{ gpu: 'all' }] }, gpus({ Count: -1 }), gpus({ Count: -1, Options: { x: 'y' } })],
    [{ devices: [{ gpu: 1 }] }, gpus({ Driver: 'nvidia', Count: 1 }), gpus({ Driver: 'evil', Count: 1 })],
    [
      { devices: [{ gpu: 1 }] },
      gpus({ Count: 1, Capabilities: [['gpu', 'utility']] }),
      gpus({ Count: 1, Capabilities: [['tpu']] }),
    ],
    [
      { devices: [{ cdi: 'nvidia.com/gpu=0' }] },
      { DeviceRequests: [{ Driver: 'cdi', DeviceIDs: ['nvidia.com/gpu=0'] }] },
      { DeviceRequests: [{ Driver: 'cdi', DeviceIDs: ['nvidia.com/gpu=all'] }] },
    ],
    [{ fields: ['HostConfig.NewField'] }, { NewField: 1 }, { NewField2: 1 }],
    [{ fields: ['HostConfig.Mounts[].New'] }, { Mounts: [{ Type: 'tmpfs', Target: '/x', New: 1 }] }, { New: 1 }],
  ];
  for (const [spec, fine, refused] of cases) {
    const check = compileHostSpec(spec);
    const shown = `${JSON.stringify(spec)} ${JSON.stringify(fine)} ${JSON.stringify(refused)}`;
    assert.deepEqual(check(create(fine), alice), [], shown);
    assert.notDeepEqual(check(create(refused), alice), [], shown);
  }
});

test('a listed field is let through, a known one is judged all the same', () => {
  const check = compileHostSpec({ fields: ['HostConfig.Privileged', 'query.rollback'] });
  assert.equal(check(create({ Privileged: true }), alice).length, 1);
  const rollback = callOf('service.update', { body: {}, path: { id: 's' }, query: { rollback: 'previous' } });
  assert.deepEqual(check(rollback, alice), []);
});

test('networks and registries take their own lists', () => {
  const net = (spec: HostSpec, body: object): string | undefined =>
    asks(spec, 'network.create', { body: { Name: 'n', ...body } });
  assert.equal(net({ network: { drivers: ['macvlan'] } }, { Driver: 'macvlan' }), undefined);
  assert.equal(net({ networkDrivers: ['macvlan'] }, { Driver: 'ipvlan' }), 'Driver');
  assert.equal(net({ networkDrivers: ['macvlan'] }, { Driver: 'macvlan', Options: { parent: 'eth0' } }), 'Options');
  assert.equal(net({ network: { options: ['parent'] } }, { Options: { parent: 'eth0' } }), undefined);
  assert.equal(
    net({ network: { subnets: ['8.8.0.0/16'] } }, { IPAM: { Config: [{ Subnet: '8.8.8.0/24' }] } }),
    undefined,
  );
  const pull = (registries: string[], fromImage: string): string | undefined =>
    asks({ registries }, 'image.pull', { query: { fromImage } });
  assert.equal(pull(['ghcr.io/acme'], 'ghcr.io/acme/app'), undefined);
  assert.equal(pull(['ghcr.io/acme'], 'ghcr.io/acme'), undefined);
  assert.equal(pull(['ghcr.io/acme'], 'ghcr.io/acmex/app'), 'query.fromImage');
  assert.equal(pull(['ghcr.io/acme'], 'busybox'), 'query.fromImage');
  assert.equal(pull(['docker.io/library'], 'busybox'), undefined);
  assert.equal(pull(['docker.io/library'], 'evil/busybox'), 'query.fromImage');
  assert.equal(pull(['r.test:5000'], 'r.test:5000/a/b:1'), undefined);
  assert.equal(pull(['r.test:5000'], 'r.test/a/b:1'), 'query.fromImage');
  assert.equal(pull(['*'], 'anything.test/x'), undefined);
  assert.equal(pull([], 'busybox'), 'query.fromImage');
});

test('limits must be set at creation and cannot be lifted afterwards', () => {
  const limits = { memory: '4GiB', cpus: 2, pids: 512 };
  const set = { Memory: 4294967296, NanoCpus: 2e9, PidsLimit: 512 };
  table({ limits }, [
    [set],
    [{ ...set, Memory: 4294967297 }, 'HostConfig.Memory'],
    [{ ...set, Memory: 0 }, 'HostConfig.Memory'],
    [{ ...set, MemorySwap: 8589934592 }],
    [{ ...set, MemorySwap: 8589934593 }, 'HostConfig.MemorySwap'],
    [{ ...set, MemorySwap: -1 }, 'HostConfig.MemorySwap'],
    [{ ...set, PidsLimit: 513 }, 'HostConfig.PidsLimit'],
    [{ ...set, PidsLimit: -1 }, 'HostConfig.PidsLimit'],
    [{ ...set, PidsLimit: 0 }, 'HostConfig.PidsLimit'],
    [{ ...set, NanoCpus: 2000000001 }, 'HostConfig.NanoCpus'],
    [{ ...set, NanoCpus: 0 }, 'HostConfig.NanoCpus'],
    [{ ...set, NanoCpus: 9_999_999 }, 'HostConfig.NanoCpus'],
    [{ ...set, NanoCpus: 10_000_000 }],
    [{ ...set, NanoCpus: 0, CpuQuota: 999 }, 'HostConfig.CpuQuota'],
    [{ ...set, NanoCpus: 0, CpuQuota: 200000 }],
    [{ ...set, NanoCpus: 0, CpuQuota: 200001 }, 'HostConfig.CpuQuota'],
    [{ ...set, NanoCpus: 0, CpuQuota: 100000, CpuPeriod: 50000 }],
    [{ ...set, NanoCpus: 0, CpuQuota: 100001, CpuPeriod: 50000 }, 'HostConfig.CpuQuota'],
    [{ ...set, NanoCpus: 0, CpuQuota: -1 }, 'HostConfig.NanoCpus'],
    [undefined, 'HostConfig.Memory'],
  ]);
  const huge = callOf('container.create', { body: { Image: 'a', HostConfig: { ...set } } });
  const patched = { ...huge, body: { Image: 'a', HostConfig: { ...set, Memory: 2n ** 62n } } as never };
  assert.equal(compileHostSpec({ limits })(patched, alice)[0]?.field, 'HostConfig.Memory');
  const update = (body: unknown): string | undefined => asks({ limits }, 'container.update', { body });
  for (const [body, field] of [
    [{}],
    [{ Memory: 0, NanoCpus: 0, CpuQuota: 0, CpuPeriod: 0, PidsLimit: null, MemorySwap: 0 }],
    [{ Memory: 4294967296, NanoCpus: 1e9, PidsLimit: 1 }],
    [{ Memory: 4294967297 }, 'Memory'],
    [{ Memory: -1 }, 'Memory'],
    [{ MemorySwap: -1 }, 'MemorySwap'],
    [{ PidsLimit: 0 }, 'PidsLimit'],
    [{ PidsLimit: -1 }, 'PidsLimit'],
    [{ PidsLimit: 513 }, 'PidsLimit'],
    [{ NanoCpus: 3e9 }, 'NanoCpus'],
    [{ NanoCpus: 1 }, 'NanoCpus'],
    [{ NanoCpus: -1 }, 'NanoCpus'],
    [{ CpuQuota: -1 }, 'CpuQuota'],
    [{ CpuQuota: 1000 }, 'CpuQuota'],
    [{ CpuPeriod: 1000 }, 'CpuQuota'],
    [{ CpuPeriod: 100000, CpuQuota: 200000 }],
    [{ CpuPeriod: 1000, CpuQuota: 200000 }, 'CpuQuota'],
  ] as const) {
    assert.equal(update(body), field, JSON.stringify(body));
  }
  const service = (Limits: object): string | undefined =>
    asks({ limits }, 'service.create', {
      body: { TaskTemplate: { ContainerSpec: { Image: 'a' }, Resources: { Limits } } },
    });
  assert.equal(service({ MemoryBytes: 1, NanoCPUs: 2e9, Pids: 1 }), undefined);
  assert.equal(service({ MemoryBytes: 1, NanoCPUs: 3e9, Pids: 1 }), 'TaskTemplate.Resources.Limits.NanoCPUs');
  assert.equal(service({ NanoCPUs: 1e9, Pids: 1 }), 'TaskTemplate.Resources.Limits.MemoryBytes');
});

test('every preset is described row by row', () => {
  for (const preset of HOST_PRESETS) {
    const rows = describePreset(preset);
    assert.ok(rows.every((row) => row.fields.length > 0 && row.allowed !== ''));
  }
  const user = (preset: 'baseline' | 'restricted'): string | undefined =>
    describePreset(preset).find((row) => row.fields.includes('User'))?.allowed;
  assert.equal(user('baseline'), 'anything');
  assert.equal(user('restricted'), 'the numbers of a user and a group other than root, 1000:1000');
});
