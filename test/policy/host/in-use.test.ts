// Objects a call uses may have been made without this gateway: what a host preset says of them at use.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineCall, ResourceRef } from '../../../src/engine/types.ts';
import { compilePolicies } from '../../../src/policy/compile.ts';
import { compileHostSpec } from '../../../src/policy/host/index.ts';
import { alice, callOf, create } from './calls.ts';

const baseline = compileHostSpec({
  preset: 'baseline',
  binds: [
    { path: '/srv/ci', subpaths: true },
    { path: '/srv/ro', readOnly: true },
  ],
});

/** The call as it is once its volumes were looked up. */
const withDriver = (call: EngineCall, driver: ResourceRef['driver']): EngineCall => ({
  ...call,
  resources: call.resources.map((ref) =>
    ref.kind === 'volume' && driver !== undefined ? { ...ref, id: ref.name, driver } : ref,
  ),
});
const options = (values: Record<string, string>): ResourceRef['driver'] => ({ name: 'local', options: values });

const rows: readonly [name: string, driver: ResourceRef['driver'], isAllowed: boolean][] = [
  ['one that is yet to be made', undefined, true],
  ['a plain one', options({}), true],
  ['a bind of the root', options({ type: 'none', o: 'bind', device: '/' }), false],
  ['a bind of a listed folder', options({ type: 'none', o: 'bind', device: '/srv/ci/a' }), true],
  ['a bind beside a listed folder', options({ type: 'none', o: 'bind', device: '/srv/ci2' }), false],
  ['a bind that leaves a listed folder', options({ type: 'none', o: 'bind', device: '/srv/ci/../../etc' }), false],
  ['a writable bind of a read-only folder', options({ type: 'none', o: 'bind', device: '/srv/ro' }), false],
  ['a read-only bind of a read-only folder', options({ type: 'none', o: 'bind,ro', device: '/srv/ro' }), true],
  ['a disk', options({ type: 'ext4', device: '/dev/sda1' }), false],
  ['an overlay of the host', options({ type: 'overlay', o: 'lowerdir=/,upperdir=/u,workdir=/w', device: 'x' }), false],
  ['a share of another machine', options({ type: 'nfs', o: 'addr=192.0.2.1', device: ':/x' }), false],
  ['a tmpfs', options({ type: 'tmpfs', device: 'tmpfs', o: 'size=1m' }), true],
  ['one of another driver', { name: 'rexray', options: {} }, false],
];

test('a volume is judged by the options it was made with, wherever it is used', () => {
  const service = callOf('service.create', {
    body: {
      Name: 's',
      TaskTemplate: { ContainerSpec: { Image: 'busybox', Mounts: [{ Type: 'volume', Source: 'v', Target: '/v' }] } },
    },
  });
  const calls: readonly [string, EngineCall][] = [
    ['HostConfig.Binds[0]', create({ Binds: ['v:/v'] })],
    ['HostConfig.Mounts[0]', create({ Mounts: [{ Type: 'volume', Source: 'v', Target: '/v' }] })],
    ['TaskTemplate.ContainerSpec.Mounts[0]', service],
  ];
  for (const [name, driver, isAllowed] of rows) {
    for (const [field, call] of calls) {
      const found = baseline(withDriver(call, driver), alice);
      assert.equal(found[0]?.field.startsWith(field), isAllowed ? undefined : true, `${name} in ${field}`);
      assert.deepEqual(compileHostSpec({ preset: 'privileged' })(withDriver(call, driver), alice), []);
    }
  }
});

test('volumes and networks are looked up for a host preset and for nothing else', () => {
  const call = create(
    { Binds: ['v:/v', '/srv/ci:/c'], NetworkMode: 'beef' },
    {
      NetworkingConfig: { EndpointsConfig: { web: {}, beef: {} } },
    },
  );
  const needed = (host: string): readonly string[] => {
    const source = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: p }
rules: [{ name: r, effect: allow, actions: ["*"]${host} }]
`;
    const set = compilePolicies([{ kind: 'Policy', name: 'p', source }], 1);
    return set
      .forPolicies(alice, ['p'])
      .needsResolution(call)
      .map(({ kind, name }) => `${kind}/${name}`);
  };
  assert.deepEqual(needed(', host: { preset: baseline }'), ['volume/v', 'network/beef', 'network/web']);
  assert.deepEqual(needed(', host: { preset: privileged }'), []);
  assert.deepEqual(needed(''), []);
});

test('a network is judged by its driver wherever it is joined', () => {
  const withNetwork = (call: EngineCall, networkDriver: string): EngineCall => ({
    ...call,
    resources: call.resources.map((ref) => (ref.kind === 'network' ? { ...ref, id: 'f', networkDriver } : ref)),
  });
  const joins: readonly [string, EngineCall][] = [
    ['HostConfig.NetworkMode', create({ NetworkMode: 'web' })],
    ['NetworkingConfig.EndpointsConfig', create({}, { NetworkingConfig: { EndpointsConfig: { web: {} } } })],
    ['path.id', callOf('network.connect', { body: { Container: 'c' }, path: { id: 'web' } })],
  ];
  const listed = compileHostSpec({ preset: 'baseline', networkDrivers: ['macvlan'] });
  for (const [field, call] of joins) {
    const named = {
      ...call,
      resources: [...call.resources, { kind: 'network', name: 'web', at: field, role: 'uses' }],
    };
    for (const [driver, isAllowed] of [
      ['bridge', true],
      ['null', true],
      ['', true],
      ['macvlan', false],
      ['ipvlan', false],
      ['overlay', false],
      ['some/plugin', false],
    ] as const) {
      const found = baseline(withNetwork(named as EngineCall, driver), alice);
      assert.equal(found[0]?.field.startsWith(field), isAllowed ? undefined : true, `${driver} in ${field}`);
    }
    assert.deepEqual(listed(withNetwork(named as EngineCall, 'macvlan'), alice), []);
    assert.equal(listed(withNetwork(named as EngineCall, 'ipvlan'), alice).length > 0, true);
  }
  const service = callOf('service.create', {
    body: { Name: 's', TaskTemplate: { ContainerSpec: { Image: 'busybox' }, Networks: [{ Target: 'web' }] } },
  });
  assert.deepEqual(baseline(withNetwork(service, 'overlay'), alice), []);
  assert.match(baseline(withNetwork(service, 'macvlan'), alice)[0]?.message ?? '', /driver "macvlan" \(allowed: /);
});
