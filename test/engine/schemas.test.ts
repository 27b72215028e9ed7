import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { OPERATIONS } from '../../src/engine/classify.ts';
import { decodeBody } from '../../src/engine/decode.ts';
import type { Schema, StructSchema } from '../../src/engine/schema.ts';
import { foldKey } from '../../src/engine/schema.ts';
import { BODIES_REQUIRED, BODY_SCHEMAS } from '../../src/engine/schemas/bodies.ts';
import { bytesOf, JSON_TYPE, plain, targetOf } from './targets.ts';

/** Every struct that can be reached from the bodies, by name. */
function allStructs(): Map<string, StructSchema> {
  const structs = new Map<string, StructSchema>();
  const waiting: Schema[] = [...BODY_SCHEMAS.values()];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (next.kind === 'list' || next.kind === 'map') waiting.push(next.of);
    if (next.kind !== 'struct') continue;
    structs.set(next.name, next);
    for (const field of next.order) waiting.push(field.schema);
  }
  return structs;
}

test('every body of the operation table has a schema, and every schema an operation', () => {
  const used = new Set(OPERATIONS.map((o) => o.body).filter((body) => body !== undefined && body !== 'tar'));
  assert.deepEqual([...used].sort(), [...BODY_SCHEMAS.keys()].sort());
  for (const name of BODIES_REQUIRED) assert.ok(BODY_SCHEMAS.has(name), name);
});

test('fields are found by their own name and by any folded spelling of it', () => {
  for (const struct of allStructs().values()) {
    for (const field of struct.order) {
      assert.equal(struct.exact.get(field.name), field);
      for (const spelling of [
        field.name.toUpperCase(),
        field.name.toLowerCase(),
        field.name.replace(/s/gi, '\u017f').replace(/k/gi, '\u212a'),
      ]) {
        assert.equal(struct.folded.get(foldKey(spelling)), field, `${struct.name} ${spelling}`);
      }
    }
  }
});

test('structs that decide what a container reaches are marked', () => {
  const structs = allStructs();
  for (const name of [
    'HostConfig',
    'ContainerUpdateRequest',
    'Mount',
    'BindOptions',
    'VolumeOptions',
    'DriverConfig',
    'TmpfsOptions',
    'DeviceMapping',
    'DeviceRequest',
    'LogConfig',
    'PortBinding',
    'NetworkingConfig',
    'EndpointSettings',
    'EndpointIPAMConfig',
    'IPAM',
    'IPAMConfig',
    'ClusterVolumeSpec',
    'TaskSpec',
    'ContainerSpec',
    'Privileges',
    'SELinuxContext',
    'SeccompOpts',
    'AppArmorOpts',
    'CredentialSpec',
    'PluginSpec',
    'NetworkAttachmentConfig',
    'NetworkAttachmentSpec',
    'PortConfig',
    'SecretReference',
    'ConfigReference',
    'ResourceRequirements',
    'Limit',
    'Resources',
    'Ulimit',
    'CAConfig',
    'Driver',
  ]) {
    assert.equal(structs.get(name)?.secure, true, name);
  }
  for (const name of [
    'Healthcheck',
    'RestartPolicy',
    'ContainerConfig',
    'ExecStartConfig',
    'Placement',
    // A whole request: what a newer engine would read at its top is not sent.
    'ContainerCreateRequest',
    'ExecConfig',
    'NetworkCreateRequest',
    'NetworkConnectRequest',
    'VolumeCreateRequest',
    'ServiceSpec',
    'SwarmSpec',
    'SecretSpec',
    'AuthConfig',
  ]) {
    assert.equal(structs.get(name)?.secure, false, name);
  }
});

/** Request structs of the Go module github.com/moby/moby/api v1.56.0: the newest API judged, with all it added since 1.51. */
test('every field of a request of the newest API served has its place in the schema', () => {
  const rows = readFileSync(new URL('./engine-fields.tsv', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n');
  const structs = allStructs();
  for (const row of rows) {
    const [name = '', names = ''] = row.split('\t');
    const known = structs.get(name);
    assert.ok(known !== undefined, name);
    for (const field of names.split(' ')) assert.ok(known.folded.has(foldKey(field)), `${name}.${field}`);
  }
  assert.ok(rows.length > 40);
});

/** Field names in the order of the API reference, of structs where a missing one would be a hole. */
const FIELDS: readonly [struct: string, names: string][] = [
  [
    'Mount',
    'Type Source Target ReadOnly Consistency BindOptions VolumeOptions ImageOptions TmpfsOptions ClusterOptions',
  ],
  ['BindOptions', 'Propagation NonRecursive CreateMountpoint ReadOnlyNonRecursive ReadOnlyForceRecursive'],
  ['VolumeOptions', 'NoCopy Labels Subpath DriverConfig'],
  ['DeviceRequest', 'Driver Count DeviceIDs Capabilities Options'],
  ['Privileges', 'CredentialSpec SELinuxContext Seccomp AppArmor NoNewPrivileges'],
  ['VolumeCreateRequest', 'Name Driver DriverOpts Labels ClusterVolumeSpec'],
  [
    'NetworkCreateRequest',
    'Name CheckDuplicate Driver Scope EnableIPv4 EnableIPv6 IPAM Internal Attachable Ingress ConfigOnly ConfigFrom Options Labels',
  ],
  [
    'TaskSpec',
    'ContainerSpec PluginSpec NetworkAttachmentSpec Resources RestartPolicy Placement Networks LogDriver ForceUpdate Runtime',
  ],
];

for (const [name, names] of FIELDS) {
  test(`${name} has the fields of the API reference`, () => {
    assert.deepEqual(
      allStructs()
        .get(name)
        ?.order.map((f) => f.name),
      names.split(' '),
    );
  });
}

test('HostConfig has every field of the API up to 1.56, and an update those of its resources', () => {
  const structs = allStructs();
  const host = structs.get('HostConfig')?.order.map((f) => f.name) ?? [];
  const update = structs.get('ContainerUpdateRequest')?.order.map((f) => f.name) ?? [];
  assert.equal(host.length, 72);
  assert.equal(update.length, 32);
  for (const name of update) assert.ok(host.includes(name), name);
});

test('every HostConfig field is a trap at the top of a create body', () => {
  const structs = allStructs();
  const create = structs.get('ContainerCreateRequest');
  for (const field of structs.get('HostConfig')?.order ?? [])
    assert.equal(create?.exact.get(field.name)?.rule, 'trap', field.name);
});

/** One right value for each schema. */
function sample(schema: Schema): unknown {
  switch (schema.kind) {
    case 'text':
      return 'x';
    case 'choice':
      return schema.words[0];
    case 'bool':
      return true;
    case 'int':
      return 7;
    case 'float':
      return 0.5;
    case 'bytes':
      return 'eA==';
    case 'strings':
      return ['x'];
    case 'list':
      return Array.from({ length: schema.length ?? 1 }, () => sample(schema.of));
    case 'map':
      return { k: sample(schema.of) };
    case 'any':
      return 1;
    case 'struct':
      return Object.fromEntries(schema.order.filter((f) => f.rule === 'keep').map((f) => [f.name, sample(f.schema)]));
  }
}

test('a body with every field of its schema set is kept whole', () => {
  for (const [name, schema] of BODY_SCHEMAS) {
    const value = sample(schema);
    const target = targetOf({ id: 'Any', body: name });
    assert.deepEqual(plain(decodeBody(target, JSON_TYPE, bytesOf(JSON.stringify(value)))), value, name);
  }
});
