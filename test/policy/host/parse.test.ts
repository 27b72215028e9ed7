// Host blocks of documents: what is wrong is named with its place and a suggestion, all at once.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders of policies look like that
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Schema } from '../../../src/engine/schema.ts';
import { BODY_SCHEMAS } from '../../../src/engine/schemas/bodies.ts';
import { compileHostSpec, parseHostSpec } from '../../../src/policy/host/index.ts';
import { alice, callOf } from './calls.ts';

test('parseHostSpec() reads the blocks of the example documents', () => {
  for (const input of [
    {},
    { preset: 'baseline', binds: ['/srv/ci'], limits: { memory: '4GiB', cpus: 2, pids: 512 } },
    { exec: { privileged: false } },
    { preset: 'restricted', ports: ['30000-30999'], network: { drivers: ['bridge'] } },
    { preset: 'privileged', limits: { cpus: 0.5 }, exec: { privileged: true } },
    {
      binds: [{ path: '/srv/${principal.tenant}', readOnly: true }],
      devices: [{ gpu: 1 }, '/dev/fuse', { cdi: 'a.b/c=0' }],
    },
    { capabilities: ['cap_net_admin'], registries: ['ghcr.io/acme', 'r.test:5000', '*'], fields: ['HostConfig.New'] },
  ]) {
    const { spec, problems } = parseHostSpec(input, 'rules[0].host');
    assert.deepEqual(problems, [], JSON.stringify(input));
    compileHostSpec(spec);
  }
  assert.equal(parseHostSpec({}, 'host').spec.preset, 'baseline');
  assert.deepEqual(parseHostSpec({ capabilities: ['cap_net_admin'] }, 'host').spec.capabilities, ['NET_ADMIN']);
});

const WRONG: readonly (readonly [input: unknown, problem: RegExp])[] = [
  ['baseline', /^host must be an object, got "baseline"$/],
  [null, /^host must be an object, got null$/],
  [{ prest: 'baseline' }, /^host\.prest is not known \(did you mean preset\?\)$/],
  [{ preset: 'base' }, /^host\.preset must be one of baseline, restricted, hardened, privileged, got "base"/],
  [{ preset: 'hardend' }, /\(did you mean hardened\?\)$/],
  [{ binds: '/srv' }, /^host\.binds must be a list/],
  [{ binds: ['srv'] }, /^host\.binds\[0\] must be an absolute path/],
  [{ binds: ['/'] }, /^host\.binds\[0\] must be an absolute path below \//],
  [{ binds: ['/srv/..'] }, /^host\.binds\[0\] must be/],
  [{ binds: ['/srv/${owner}'] }, /^host\.binds\[0\] must be/],
  [{ binds: ['/srv/${principal.constructor}'] }, /^host\.binds\[0\] must be/],
  [{ binds: ['/run/docker.sock'] }, /^host\.binds\[0\] reaches the socket of an engine/],
  [{ binds: ['/var/run/docker'] }, /reaches the socket/],
  [
    { binds: [{ path: '/srv', readonly: true }] },
    /^host\.binds\[0\]\.readonly is not known \(did you mean readOnly\?\)$/,
  ],
  [{ binds: [{ path: '/srv', readOnly: 'yes' }] }, /^host\.binds\[0\]\.readOnly must be true or false/],
  [{ ports: [70000] }, /^host\.ports\[0\] must be a port/],
  [{ ports: ['9-8'] }, /^host\.ports\[0\] must be a port/],
  [{ ports: [-1] }, /^host\.ports\[0\] must be a port/],
  [{ devices: ['/etc'] }, /^host\.devices\[0\] must be a path like \/dev\/fuse/],
  [{ devices: [{ gpu: 0 }] }, /^host\.devices\[0\]/],
  [{ devices: [{ gpu: 1, path: '/dev/x' }] }, /^host\.devices\[0\]/],
  [
    { capabilities: ['SYS_ADMN'] },
    /^host\.capabilities\[0\] is no capability: "SYS_ADMN" \(did you mean SYS_ADMIN\?\)$/,
  ],
  [{ sysctls: ['*'] }, /^host\.sysctls\[0\] must be a name/],
  [{ sysctls: ['a*b'] }, /^host\.sysctls\[0\]/],
  [{ seccompProfiles: ['confined'] }, /^host\.seccompProfiles\[0\] must be the SHA-256/],
  [{ apparmorProfiles: ['unconfined'] }, /^host\.apparmorProfiles\[0\]/],
  [{ mountTypes: ['bind'] }, /^host\.mountTypes\[0\] must be "image"/],
  [{ network: { driver: [] } }, /^host\.network\.driver is not known \(did you mean drivers\?\)$/],
  [{ network: { subnets: ['10.0.0.0'] } }, /^host\.network\.subnets\[0\]/],
  [{ registries: ['https://ghcr.io'] }, /^host\.registries\[0\] must be a registry/],
  [{ limits: { memory: '4GB' } }, /^host\.limits\.memory must be bytes or a size like 512MiB or 4GiB, got "4GB"$/],
  [{ limits: { memory: 0 } }, /^host\.limits\.memory/],
  [{ limits: { cpu: 1 } }, /^host\.limits\.cpu is not known \(did you mean cpus\?\)$/],
  [{ limits: { cpus: '2' } }, /^host\.limits\.cpus/],
  [{ limits: { pids: 1.5 } }, /^host\.limits\.pids/],
  [{ exec: { privileged: 'no' } }, /^host\.exec\.privileged must be true or false/],
  [{ fields: ['*'] }, /^host\.fields\[0\]/],
  [{ preset: 'privileged', binds: ['/srv'] }, /^host\.binds has no effect with the preset privileged/],
];

test('parseHostSpec() names what is wrong', () => {
  for (const [input, problem] of WRONG) {
    const { problems } = parseHostSpec(input, 'host');
    assert.ok(problems.length > 0, JSON.stringify(input));
    assert.match(problems[0] as string, problem);
    assert.ok(!(problems[0] as string).endsWith('.'));
  }
  const { problems } = parseHostSpec({ preset: 'x', binds: ['y'], limits: { pids: 0 }, z: 1 }, 'host');
  assert.equal(problems.length, 4);
});

test('parseHostSpec() is not led by prototypes', () => {
  const input = JSON.parse('{"__proto__":{"preset":"privileged"},"constructor":1}') as unknown;
  const { spec, problems } = parseHostSpec(input, 'host');
  assert.equal(spec.preset, 'baseline');
  assert.equal(problems.length, 2);
});

test('compileHostSpec() throws rather than drop a limit it cannot read', () => {
  assert.throws(() => compileHostSpec({ limits: { memory: '4 gigs' } }), /limits\.memory is not valid/);
  assert.throws(() => compileHostSpec({ preset: 'privileged', limits: { pids: 0 } }), /limits\.pids is not valid/);
  assert.throws(() => compileHostSpec({ binds: ['relative'] }), /binds is not valid/);
  assert.throws(() => compileHostSpec({ ports: ['x'] }), /ports is not valid/);
});

/** Values of a schema with one field set at a time, so that every denial is seen. */
function samples(schema: Schema): readonly unknown[] {
  switch (schema.kind) {
    case 'struct':
      return schema.order
        .filter((field) => field.rule === 'keep')
        .flatMap((field) => samples(field.schema).map((value) => ({ [field.name]: value })));
    case 'list':
      return schema.length === undefined ? samples(schema.of).map((value) => [value]) : [Array(schema.length).fill(1)];
    case 'map':
      return samples(schema.of).map((value) => ({ key: value }));
    case 'strings':
      return [['x']];
    case 'choice':
      return [schema.words[0]];
    case 'bool':
      return [true];
    case 'int':
    case 'float':
      return [1];
    case 'bytes':
      return ['eA=='];
    default:
      return ['x'];
  }
}

test('every field the decoder knows is in a table', () => {
  const check = compileHostSpec({});
  let seen = 0;
  for (const [action, name] of [
    ['container.create', 'ContainerCreateRequest'],
    ['container.update', 'ContainerUpdateRequest'],
    ['container.exec.create', 'ExecConfig'],
    ['service.create', 'ServiceSpec'],
    ['volume.create', 'VolumeCreateRequest'],
    ['network.create', 'NetworkCreateRequest'],
    ['network.connect', 'NetworkConnectRequest'],
  ] as const) {
    const base = callOf(action, { body: { Image: 'a' }, path: { id: 'x' } });
    for (const body of samples(BODY_SCHEMAS.get(name) as Schema)) {
      const found = check({ ...base, body: body as never }, alice);
      assert.deepEqual(
        found.filter(({ message }) => message.includes('does not know')),
        [],
        JSON.stringify(body),
      );
      seen += 1;
    }
  }
  assert.ok(seen > 250, String(seen));
});
