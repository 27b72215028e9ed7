// The two shipped plugins, door by door; beside each denial its nearest allowed neighbour.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import bindMounts from '../../plugins/bind-mounts.ts';
import noPrivileged from '../../plugins/no-privileged.ts';
import type { AdmissionRequest, Plugin, PluginContext, Verdict } from '../../src/admission/plugin.ts';

/** The settings as the plugin's own reader gives them. */
const parse = (plugin: Plugin<never>, settings: unknown): unknown =>
  (plugin.config as { parse(input: unknown): unknown } | undefined)?.parse(settings);

const request = (action: string, body: unknown): AdmissionRequest =>
  ({ operation: { action, class: 'write' }, body, query: {}, path: {}, resources: [] }) as unknown as AdmissionRequest;

const context = (config: unknown): PluginContext<never> =>
  ({ config, annotate() {}, log() {}, signal: new AbortController().signal }) as never;

const verdict = (plugin: Plugin<never>, action: string, body: unknown, settings: unknown = {}): Verdict => {
  const config = parse(plugin, settings) ?? {};
  return plugin.validate?.(request(action, body), context(config)) as Verdict;
};

describe('no-privileged', () => {
  for (const [action, body, expected] of [
    ['container.create', { HostConfig: { Privileged: true } }, 'deny'],
    ['container.create', { HostConfig: { Privileged: false } }, 'pass'],
    ['container.create', { HostConfig: { PidMode: 'host' } }, 'deny'],
    ['container.create', { HostConfig: { PidMode: '' } }, 'pass'],
    ['container.create', { HostConfig: { NetworkMode: 'host' } }, 'deny'],
    ['container.create', { HostConfig: { NetworkMode: 'none' } }, 'pass'],
    ['container.create', {}, 'pass'],
    ['container.exec.create', { Privileged: true }, 'deny'],
    ['container.exec.create', { Privileged: false }, 'pass'],
    ['container.create', { HostConfig: { PidMode: 'HOST' } }, 'deny'],
    ['container.create', { HostConfig: { IpcMode: 'host' } }, 'deny'],
    ['container.create', { HostConfig: { UsernsMode: 'host' } }, 'deny'],
    ['container.create', { HostConfig: { CgroupnsMode: 'host' } }, 'deny'],
    ['container.create', { HostConfig: { CapAdd: ['ALL'] } }, 'deny'],
    ['container.create', { HostConfig: { CapAdd: ['cap_sys_admin'] } }, 'deny'],
    ['container.create', { HostConfig: { CapAdd: ['NET_BIND_SERVICE'] } }, 'pass'],
    ['container.create', { NetworkingConfig: { EndpointsConfig: { host: {} } } }, 'deny'],
    ['container.create', { NetworkingConfig: { EndpointsConfig: { web: {} } } }, 'pass'],
    [
      'container.create',
      { HostConfig: { Binds: ['/etc:/x'], PortBindings: { '80/tcp': [{ HostPort: '80' }] } } },
      'pass',
    ],
    ['network.connect', { Container: 'c', EndpointConfig: { NetworkID: 'host' } }, 'deny'],
    [
      'service.create',
      { Name: 's', TaskTemplate: { ContainerSpec: { Image: 'x' }, Networks: [{ Target: 'host' }] } },
      'deny',
    ],
    [
      'service.create',
      { Name: 's', TaskTemplate: { ContainerSpec: { Image: 'x' }, Networks: [{ Target: 'web' }] } },
      'pass',
    ],
    [
      'service.create',
      { Name: 's', Networks: [{ Target: 'host' }], TaskTemplate: { ContainerSpec: { Image: 'x' } } },
      'deny',
    ],
    ['service.update', { Name: 's', TaskTemplate: { ContainerSpec: { Image: 'x', CapabilityAdd: ['ALL'] } } }, 'deny'],
    [
      'service.create',
      {
        Name: 's',
        TaskTemplate: { ContainerSpec: { Image: 'x', Mounts: [{ Type: 'bind', Source: '/', Target: '/h' }] } },
      },
      'pass',
    ],
  ] as const) {
    it(`${action} ${JSON.stringify(body)} is ${expected}`, () => {
      assert.equal(verdict(noPrivileged as unknown as Plugin<never>, action, body).kind, expected);
    });
  }
});

describe('bind-mounts', () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-binds-'));
  const root = join(dir, 'ci');
  mkdirSync(join(root, 'sub'), { recursive: true });
  mkdirSync(join(dir, 'ci2'));
  symlinkSync('/etc', join(root, 'out'));
  after(() => rmSync(dir, { recursive: true, force: true }));
  const settings = { roots: [root, { path: join(root, 'fixed'), readOnly: true }] };
  const create = (HostConfig: unknown) => ['container.create', { HostConfig }] as const;
  const inline = (Options: unknown) =>
    create({ Mounts: [{ Type: 'volume', Target: '/x', VolumeOptions: { DriverConfig: { Name: 'local', Options } } }] });

  for (const [title, [action, body], expected] of [
    ['a bind of the root itself', create({ Binds: [`${root}:/x`] }), 'pass'],
    ['a bind below it', create({ Binds: [`${root}/sub:/x`] }), 'pass'],
    ['a bind of what begins alike', create({ Binds: [`${dir}/ci2:/x`] }), 'deny'],
    ['a bind that climbs out', create({ Binds: [`${root}/../ci2:/x`] }), 'deny'],
    ['a bind of /', create({ Binds: ['/:/x'] }), 'deny'],
    ['a bind through a link out of the root', create({ Binds: [`${root}/out:/x`] }), 'deny'],
    ['a bind below such a link', create({ Binds: [`${root}/out/ssl:/x`] }), 'deny'],
    ['a named volume', create({ Binds: ['data:/x'] }), 'pass'],
    ['a writable bind of a read-only root', create({ Binds: [`${root}/fixed:/x`] }), 'deny'],
    ['a read-only bind of it', create({ Binds: [`${root}/fixed:/x:ro`] }), 'pass'],
    ['a Mount of /', create({ Mounts: [{ Type: 'bind', Source: '/', Target: '/x' }] }), 'deny'],
    ['a Mount below the root', create({ Mounts: [{ Type: 'bind', Source: root, Target: '/x' }] }), 'pass'],
    ['an inline volume bound to /', inline({ type: 'none', o: 'bind', device: '/' }), 'deny'],
    ['an inline volume bound below the root', inline({ type: 'none', o: 'bind', device: root }), 'pass'],
    ['an inline tmpfs volume', inline({ type: 'tmpfs', device: 'tmpfs' }), 'pass'],
    ['an inline volume of a relative folder', inline({ type: 'none', o: 'bind', device: 'etc' }), 'deny'],
    [
      'an inline overlay of the host',
      inline({ type: 'overlay', device: 'overlay', o: `lowerdir=/etc:${root}` }),
      'deny',
    ],
    ['an inline tmpfs that is a bind', inline({ type: 'tmpfs', device: '/', o: 'bind' }), 'deny'],
    ['an inline disk', inline({ type: 'ext4', device: '/dev/sda1' }), 'deny'],
    ['an inline file system of the kernel', inline({ type: 'proc', device: 'proc' }), 'deny'],
    ['an inline share of another machine', inline({ type: 'nfs', device: ':/x', o: 'addr=192.0.2.1' }), 'pass'],
    ['an inline share that is a bind', inline({ type: 'nfs', device: '/etc', o: 'bind' }), 'deny'],
    [
      'commas in the target of a mount',
      create({ Mounts: [{ Type: 'volume', Source: 'v', Target: '/x,volume-opt=device=/etc' }] }),
      'deny',
    ],
    ['a socket below a root', create({ Binds: [`${root}/docker.sock:/x`] }), 'deny'],
    ['other fields a preset would refuse', create({ Privileged: true, CapAdd: ['ALL'] }), 'pass'],
    [
      'a volume with an overlay',
      ['volume.create', { Name: 'v', DriverOpts: { type: 'overlay', device: 'overlay', o: 'lowerdir=/etc' } }],
      'deny',
    ],
    [
      'a volume of a relative folder',
      ['volume.create', { Name: 'v', DriverOpts: { type: 'none', o: 'bind', device: 'etc' } }],
      'deny',
    ],
    [
      'a volume bound below the root',
      ['volume.create', { Name: 'v', DriverOpts: { type: 'none', o: 'bind', device: `${root}/sub` } }],
      'pass',
    ],
    [
      'a volume bound to /',
      ['volume.create', { Name: 'v', DriverOpts: { type: 'none', o: 'bind', device: '/' } }],
      'deny',
    ],
    ['a plain volume', ['volume.create', { Name: 'v' }], 'pass'],
    [
      'a service that mounts /',
      [
        'service.create',
        { TaskTemplate: { ContainerSpec: { Mounts: [{ Type: 'bind', Source: '/', Target: '/x' }] } } },
      ],
      'deny',
    ],
  ] as const) {
    it(`${title}: ${expected}`, () => {
      const result = verdict(bindMounts as unknown as Plugin<never>, action, body, settings);
      assert.equal(result.kind, expected, JSON.stringify(result));
    });
  }

  it('bind-mounts makes a writable bind of a read-only root read-only when told to', () => {
    const config = parse(bindMounts as unknown as Plugin<never>, {
      roots: [{ path: '/srv/ci', readOnly: true }],
      writable: 'make-read-only',
    });
    const changes = bindMounts.mutate(
      request('container.create', { HostConfig: { Binds: ['/srv/ci/a:/x:z'] } }),
      context(config) as never,
    );
    assert.deepEqual(changes, [{ op: 'replace', path: '/body/HostConfig/Binds/0', value: '/srv/ci/a:/x:ro,z' }]);
  });

  for (const wrong of [
    {},
    { roots: 'x' },
    { roots: ['relative'] },
    { roots: [], more: 1 },
    { roots: [{ path: '/a', readonly: true }] },
  ]) {
    it(`bind-mounts refuses the settings ${JSON.stringify(wrong)}`, () => {
      assert.throws(() => parse(bindMounts as unknown as Plugin<never>, wrong));
    });
  }
});

describe('the shipped plugins on objects that exist', () => {
  const shown = (kind: string, name: string, at: string, over: object): AdmissionRequest['resources'][number] =>
    ({ kind, name, at, ...over }) as AdmissionRequest['resources'][number];
  const made = (HostConfig: object, mounts: object[] = []) => ({
    made: { user: '', host: HostConfig, mounts, networks: [], joins: [] },
  });
  const judged = (plugin: unknown, body: unknown, resources: AdmissionRequest['resources'], settings: unknown = {}) => {
    const one = plugin as Plugin<never>;
    const asked = { ...request('container.create', body), resources };
    return one.validate?.(
      asked,
      context((one.config as { parse(input: unknown): unknown }).parse(settings)),
    ) as Verdict;
  };
  it('no-privileged knows the network of the host by its id, and containers that hold the host', () => {
    const network = { HostConfig: { NetworkMode: 'beef' } };
    const by = (resolvedName: string) => [
      shown('network', 'beef', 'HostConfig.NetworkMode', { id: 'beef', resolvedName }),
    ];
    assert.equal(judged(noPrivileged, network, by('host')).kind, 'deny');
    assert.equal(judged(noPrivileged, network, by('web')).kind, 'pass');
    const join = { HostConfig: { PidMode: 'container:agent' } };
    const agent = (host: object) => [shown('container', 'agent', 'HostConfig.PidMode', { id: 'a', ...made(host) })];
    assert.equal(judged(noPrivileged, join, agent({ PidMode: 'host' })).kind, 'deny');
    assert.equal(judged(noPrivileged, join, agent({ Privileged: true })).kind, 'deny');
    assert.equal(judged(noPrivileged, join, agent({ PidMode: '' })).kind, 'pass');
  });
  it('bind-mounts knows what volumes and containers bring along', () => {
    const settings = { roots: [{ path: '/srv/ci', readOnly: true }] };
    const use = { HostConfig: { Binds: ['v:/v'] } };
    const volume = (options: object) => [
      shown('volume', 'v', 'HostConfig.Binds[0]', { id: 'v', driver: { name: 'local', options } }),
    ];
    assert.equal(judged(bindMounts, use, volume({ type: 'none', o: 'bind', device: '/etc' }), settings).kind, 'deny');
    assert.equal(
      judged(bindMounts, use, volume({ type: 'none', o: 'bind,ro', device: '/srv/ci' }), settings).kind,
      'pass',
    );
    assert.equal(judged(bindMounts, use, volume({}), settings).kind, 'pass');
    const from = { HostConfig: { VolumesFrom: ['agent'] } };
    const agent = (source: string) => [
      shown('container', 'agent', 'HostConfig.VolumesFrom[0]', {
        id: 'a',
        ...made({}, [{ type: 'bind', source, target: '/t', readOnly: true, propagation: 'rprivate' }]),
      }),
    ];
    assert.equal(judged(bindMounts, from, agent('/etc'), settings).kind, 'deny');
    assert.equal(judged(bindMounts, from, agent('/srv/ci/a'), settings).kind, 'pass');
  });
});
