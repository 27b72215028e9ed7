// Fields an old API version would drop: which one of a body asks for the newest version.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newestField, withoutAutoRemove, withoutIgnored } from '../../src/engine/field-versions.ts';
import type { Json } from '../../src/engine/types.ts';
import { containerCreate, plain, targetOf } from './targets.ts';

const create = containerCreate();
const service = targetOf({ id: 'ServiceCreate', body: 'ServiceSpec' });
const update = targetOf({ id: 'ServiceUpdate', body: 'ServiceSpec' });
const spec = (ContainerSpec: Json): Json => ({ TaskTemplate: { ContainerSpec } });

const ROWS: readonly (readonly [title: string, target: typeof create, body: Json, minor: number | undefined])[] = [
  ['nothing', create, { Image: 'a' }, undefined],
  [
    'a mount that must be read-only below',
    create,
    { HostConfig: { Mounts: [{ BindOptions: { ReadOnlyForceRecursive: true } }] } },
    44,
  ],
  [
    'the same, said to be false',
    create,
    { HostConfig: { Mounts: [{ BindOptions: { ReadOnlyForceRecursive: false } }] } },
    undefined,
  ],
  [
    'the second of two mounts',
    create,
    { HostConfig: { Mounts: [{}, { BindOptions: { ReadOnlyForceRecursive: true } }] } },
    44,
  ],
  ['part of a volume', create, { HostConfig: { Mounts: [{ VolumeOptions: { Subpath: 'a' } }] } }, 45],
  ['a mask of file modes', create, { HostConfig: { Umask: 63 } }, 56],
  ['no new privileges', service, spec({ Privileges: { NoNewPrivileges: true } }), 44],
  ['no new privileges of an update', update, spec({ Privileges: { NoNewPrivileges: true } }), 44],
  ['new privileges', service, spec({ Privileges: { NoNewPrivileges: false } }), undefined],
  ['a seccomp profile', service, spec({ Privileges: { Seccomp: { Mode: 'custom' } } }), 44],
  ['an AppArmor mode', service, spec({ Privileges: { AppArmor: { Mode: 'disabled' } } }), 44],
  ['capabilities', service, spec({ CapabilityDrop: ['ALL'] }), 41],
  ['ulimits', service, spec({ Ulimits: [{ Name: 'nofile', Hard: 1, Soft: 1 }] }), 41],
  ['a limit of processes', service, { TaskTemplate: { Resources: { Limits: { Pids: 5 } } } }, 41],
  ['a job without settings', service, { Mode: { GlobalJob: {} } }, 41],
  ['the newer of two', service, spec({ CapabilityDrop: ['ALL'], OomScoreAdj: -5 }), 46],
  ['options of a tmpfs', service, spec({ Mounts: [{ TmpfsOptions: { Options: [['noexec']] } }] }), 46],
  ['swap', service, { TaskTemplate: { Resources: { SwapBytes: 1 } } }, 52],
  ['the fields of a service in a container', create, { TaskTemplate: { Resources: { SwapBytes: 1 } } }, undefined],
];

for (const [title, target, body, minor] of ROWS) {
  test(`newestField() finds ${minor === undefined ? 'nothing' : `1.${minor}`} in ${title}`, () => {
    assert.equal(newestField({ operation: target.operation, body })?.minor, minor);
  });
}

test('withoutAutoRemove() changes that one field, and no body that has it not', () => {
  const body = { Image: 'a', HostConfig: { AutoRemove: true, Init: true } };
  assert.deepEqual(plain(withoutAutoRemove(body)), { Image: 'a', HostConfig: { AutoRemove: false, Init: true } });
  for (const same of [{ Image: 'a' }, { HostConfig: null }, { HostConfig: { AutoRemove: false } }, null, undefined])
    assert.equal(withoutAutoRemove(same), same);
});

test('withoutIgnored() leaves out what a version does not read, and tells where', () => {
  const of = (id: string, body: object, minor: number) => {
    const operation = { id } as Parameters<typeof withoutIgnored>[0]['operation'];
    const done = withoutIgnored({ operation, body: body as Json }, minor);
    return [plain(done.body), done.places];
  };
  const mount = { Type: 'bind', Source: '/a', Target: '/a', ReadOnly: true };
  const swarm = (BindOptions: object) => ({ TaskTemplate: { ContainerSpec: { Mounts: [{ ...mount, BindOptions }] } } });
  assert.deepEqual(of('ServiceCreate', swarm({ ReadOnlyForceRecursive: true, NonRecursive: true }), 56), [
    swarm({ NonRecursive: true }),
    ['TaskTemplate.ContainerSpec.Mounts[0].BindOptions.ReadOnlyForceRecursive'],
  ]);
  const create = {
    Image: 'a',
    Healthcheck: { Test: ['NONE'], StartInterval: 1 },
    HostConfig: {
      Annotations: { a: 'b' },
      ConsoleSize: [1, 2],
      Mounts: [{ Type: 'bind' }, { Type: 'bind', BindOptions: { CreateMountpoint: true, Propagation: 'private' } }],
    },
    NetworkingConfig: { EndpointsConfig: { n: { MacAddress: '02:00:00:00:00:01', GwPriority: 3, Aliases: ['x'] } } },
  };
  assert.deepEqual(of('ContainerCreate', create, 41), [
    {
      Image: 'a',
      Healthcheck: { Test: ['NONE'] },
      HostConfig: { Mounts: [{ Type: 'bind' }, { Type: 'bind', BindOptions: { Propagation: 'private' } }] },
      NetworkingConfig: { EndpointsConfig: { n: { Aliases: ['x'] } } },
    },
    [
      'HostConfig.Mounts[1].BindOptions.CreateMountpoint',
      'HostConfig.Annotations',
      'Healthcheck.StartInterval',
      'NetworkingConfig.EndpointsConfig["n"].MacAddress',
      'NetworkingConfig.EndpointsConfig["n"].GwPriority',
    ],
  ]);
  assert.deepEqual(of('ContainerCreate', create, 44)[1], ['NetworkingConfig.EndpointsConfig["n"].GwPriority']);
  assert.deepEqual(of('ContainerCreate', create, 48), [create, []]);
  assert.deepEqual(of('NetworkCreate', { Name: 'n', EnableIPv4: true }, 47), [{ Name: 'n' }, ['EnableIPv4']]);
  assert.deepEqual(of('NetworkCreate', { Name: 'n', EnableIPv4: true }, 48), [{ Name: 'n', EnableIPv4: true }, []]);
  assert.deepEqual(of('NetworkConnect', { EndpointConfig: { MacAddress: 'a' } }, 43)[1], ['EndpointConfig.MacAddress']);
  assert.deepEqual(of('ContainerUpdate', { Memory: 1 }, 24), [{ Memory: 1 }, []]);
});
