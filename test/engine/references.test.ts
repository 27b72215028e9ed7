import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toCall } from '../../src/engine/call.ts';
import { classify, OPERATIONS } from '../../src/engine/classify.ts';
import { bodyKindOf, decodeBody } from '../../src/engine/decode.ts';
import { referencesOf } from '../../src/engine/references.ts';
import { GatewayError } from '../../src/errors.ts';
import { bytesOf, containerCreate, JSON_TYPE } from './targets.ts';

/** References as `role kind name @ place`. */
function refs(line: string, body = ''): string[] {
  const [method = '', target = ''] = line.split(' ');
  const called = classify(method, target);
  const decoded = body === '' ? undefined : decodeBody(called, JSON_TYPE, bytesOf(body));
  return referencesOf(called, decoded).map((r) => `${r.role} ${r.kind} ${r.name} @ ${r.at}`);
}

const ID = 'a'.repeat(64);
const CALLS: readonly [line: string, body: string, expected: readonly string[]][] = [
  // the path
  ['GET /v1.51/containers/web/json', '', ['target container web @ path.id']],
  ['GET /containers/json', '', ['target container  @ ']],
  ['GET /_ping', '', ['target system  @ ']],
  ['POST /containers/prune', '', ['target container  @ ']],
  ['DELETE /containers/web/checkpoints/c1', '', ['target container web @ path.id']],
  [
    'POST /containers/web/rename?name=web2',
    '',
    ['target container web @ path.id', 'creates container web2 @ query.name'],
  ],
  ['POST /exec/e1/start', '{}', ['target exec e1 @ path.id']],
  ['GET /exec/e1/json', '', ['target exec e1 @ path.id']],
  ['POST /exec/e1/resize?h=1&w=1', '', ['target exec e1 @ path.id']],
  ['POST /containers/web/exec', '{"Cmd":["id"]}', ['target container web @ path.id']],
  ['GET /volumes/data', '', ['target volume data @ path.name']],
  ['DELETE /networks/n', '', ['target network n @ path.id']],
  ['GET /services/s', '', ['target service s @ path.id']],
  ['GET /tasks/t', '', ['target task t @ path.id']],
  ['POST /nodes/n/update?version=1', '{"Role":"worker"}', ['target node n @ path.id']],
  ['DELETE /secrets/s', '', ['target secret s @ path.id']],
  ['POST /plugins/a/b:1/enable', '', ['target plugin a/b:1 @ path.name']],
  // images
  ['GET /images/busybox/json', '', ['target image docker.io/library/busybox:latest @ path.name']],
  ['DELETE /images/library/busybox:test', '', ['target image docker.io/library/busybox:test @ path.name']],
  [`GET /images/sha256:${ID}/json`, '', [`target image sha256:${ID} @ path.name`]],
  ['GET /images/3f57d9401f8d/json', '', ['target image sha256:3f57d9401f8d @ path.name']],
  ['GET /images/sha256:3f57/json', '', ['target image sha256:3f57 @ path.name']],
  [
    'GET /images/get?names=app&names=b:1',
    '',
    ['target image docker.io/library/app @ query.names[0]', 'target image docker.io/library/b:1 @ query.names[1]'],
  ],
  ['GET /images/get?names=0', '', ['target image sha256:0 @ query.names[0]']],
  ['POST /images/create?fromImage=busybox&tag=1', '', ['target image docker.io/library/busybox:1 @ query.fromImage']],
  ['POST /images/create?fromImage=busybox', '', ['target image docker.io/library/busybox @ query.fromImage']],
  ['POST /images/create?fromImage=busybox:1', '', ['target image docker.io/library/busybox:1 @ query.fromImage']],
  ['POST /images/create?fromImage=localhost:5000/x', '', ['target image localhost:5000/x @ query.fromImage']],
  ['POST /images/create?fromImage=abc', '', ['target image docker.io/library/abc @ query.fromImage']],
  [
    `POST /images/create?fromImage=a&tag=sha256:${ID}`,
    '',
    [`target image docker.io/library/a@sha256:${ID} @ query.fromImage`],
  ],
  ['POST /images/create?fromSrc=-&repo=a&tag=2', '', ['creates image docker.io/library/a:2 @ query.repo']],
  ['POST /images/create?fromSrc=-', '', ['target image  @ ']],
  ['POST /images/a/push?tag=1', '', ['target image docker.io/library/a:1 @ path.name']],
  ['POST /images/a/push', '', ['target image docker.io/library/a @ path.name']],
  [
    'POST /images/a:1/tag?repo=r.test/b&tag=2',
    '',
    ['target image docker.io/library/a:1 @ path.name', 'creates image r.test/b:2 @ query.repo'],
  ],
  [
    'POST /images/abc/tag?repo=abc',
    '',
    ['target image sha256:abc @ path.name', 'creates image docker.io/library/abc:latest @ query.repo'],
  ],
  [
    'POST /commit?container=web&repo=a&tag=1',
    '',
    ['target container web @ query.container', 'creates image docker.io/library/a:1 @ query.repo'],
  ],
  ['POST /commit?container=/web', 'null', ['target container web @ query.container']],
  ['GET /images/search?term=redis', '', ['target image docker.io/redis @ query.term']],
  ['GET /images/search?term=127.0.0.1:5000/redis', '', ['target image 127.0.0.1:5000/redis @ query.term']],
  ['POST /auth', '{"serveraddress":"r.test"}', ['target system r.test @ serveraddress']],
  ['GET /distribution/a/b/json', '', ['target distribution docker.io/a/b:latest @ path.name']],
  // builds
  [
    'POST /build?t=a:1&t=r.test/b',
    '',
    ['creates image docker.io/library/a:1 @ query.t[0]', 'creates image r.test/b:latest @ query.t[1]'],
  ],
  ['POST /build', '', ['target build  @ ']],
  [
    'POST /build?t=a&networkmode=container:web',
    '',
    ['creates image docker.io/library/a:latest @ query.t[0]', 'uses container web @ query.networkmode'],
  ],
  [
    'POST /build?t=a&networkmode=inner',
    '',
    ['creates image docker.io/library/a:latest @ query.t[0]', 'uses network inner @ query.networkmode'],
  ],
  [
    'POST /build?t=a&networkmode=none&cachefrom=%5B%22seed%22%5D',
    '',
    [
      'creates image docker.io/library/a:latest @ query.t[0]',
      'uses image docker.io/library/seed:latest @ query.cachefrom[0]',
    ],
  ],
  ['POST /build/cancel?id=b1', '', ['target build b1 @ query.id']],
  // bodies
  ['POST /volumes/create', '{"Name":"data"}', ['creates volume data @ Name']],
  ['POST /volumes/create', '{}', ['creates volume  @ Name']],
  [
    'POST /volumes/create',
    '{"Name":"v","ClusterVolumeSpec":{"Secrets":[{"Key":"k","Secret":"s"}]}}',
    ['creates volume v @ Name', 'uses secret s @ ClusterVolumeSpec.Secrets[0].Secret'],
  ],
  [
    'POST /networks/create',
    '{"Name":"n","ConfigFrom":{"Network":"c"}}',
    ['creates network n @ Name', 'uses network c @ ConfigFrom.Network'],
  ],
  [
    'POST /networks/n/connect',
    '{"Container":"/web","EndpointConfig":{"Links":["db:d"],"NetworkID":"m"}}',
    [
      'target network n @ path.id',
      'uses container web @ Container',
      'uses network m @ EndpointConfig.NetworkID',
      'uses container db @ EndpointConfig.Links[0]',
    ],
  ],
  [
    'POST /networks/n/disconnect',
    '{"Container":"web","Force":true}',
    ['target network n @ path.id', 'uses container web @ Container'],
  ],
  ['POST /secrets/create', '{"Name":"s","Data":""}', ['creates secret s @ Name']],
  ['POST /configs/create', '{"Name":"c"}', ['creates config c @ Name']],
  [
    'POST /plugins/pull?remote=a/b:1&name=p',
    '[]',
    ['creates plugin p @ query.name', 'uses plugin a/b:1 @ query.remote'],
  ],
  ['GET /plugins/privileges?remote=a/b', '', ['target plugin a/b @ query.remote']],
];

for (const [line, body, expected] of CALLS) {
  test(`referencesOf() lists what ${line} ${body} touches`, () => assert.deepEqual(refs(line, body), expected));
}

const create = (body: string): string[] => refs('POST /containers/create?name=web', body);
const first = 'creates container web @ query.name';

const CREATES: readonly [body: string, more: readonly string[]][] = [
  ['{}', []],
  ['{"Image":"busybox:test"}', ['uses image docker.io/library/busybox:test @ Image']],
  ['{"Image":"3f57d9401f8d"}', ['uses image sha256:3f57d9401f8d @ Image']],
  ['{"HostConfig":{"Binds":["/etc:/h","data:/d:ro","/anon"]}}', ['uses volume data @ HostConfig.Binds[1]']],
  [
    '{"HostConfig":{"Mounts":[{"Type":"volume","Source":"data"},{"Type":"volume"},{"Type":"bind","Source":"/"},{"Type":"image","Source":"i"},{"Type":"cluster","Source":"c"},{"Type":"tmpfs"}]}}',
    [
      'uses volume data @ HostConfig.Mounts[0]',
      'uses image docker.io/library/i:latest @ HostConfig.Mounts[3]',
      'uses volume c @ HostConfig.Mounts[4]',
    ],
  ],
  [
    '{"HostConfig":{"VolumesFrom":["/db:ro","3f57"]}}',
    ['uses container db @ HostConfig.VolumesFrom[0]', 'uses container 3f57 @ HostConfig.VolumesFrom[1]'],
  ],
  [
    '{"HostConfig":{"Links":["db:d","cache","/stored:/web/alias"]}}',
    [
      'uses container db @ HostConfig.Links[0]',
      'uses container cache @ HostConfig.Links[1]',
      'uses container stored @ HostConfig.Links[2]',
    ],
  ],
  [
    '{"HostConfig":{"NetworkMode":"container:/db","PidMode":"container:db","IpcMode":"container:db","Cgroup":"container:db"}}',
    [
      'uses container db @ HostConfig.NetworkMode',
      'uses container db @ HostConfig.PidMode',
      'uses container db @ HostConfig.IpcMode',
      'uses container db @ HostConfig.Cgroup',
    ],
  ],
  ['{"HostConfig":{"NetworkMode":"container:a:b"}}', ['uses container a:b @ HostConfig.NetworkMode']],
  ['{"HostConfig":{"NetworkMode":"inner","PidMode":"host"}}', ['uses network inner @ HostConfig.NetworkMode']],
  ['{"HostConfig":{"NetworkMode":"CONTAINER:db"}}', ['uses network CONTAINER:db @ HostConfig.NetworkMode']],
  ['{"HostConfig":{"NetworkMode":"bridge"},"NetworkingConfig":{"EndpointsConfig":{"bridge":{},"default":null}}}', []],
  ['{"HostConfig":{"NetworkMode":"host"},"NetworkingConfig":{"EndpointsConfig":{"host":{}}}}', []],
  [
    '{"HostConfig":{"NetworkMode":"default"},"NetworkingConfig":{"EndpointsConfig":{"host":{}}}}',
    ['uses network host @ NetworkingConfig.EndpointsConfig["host"]'],
  ],
  [
    '{"HostConfig":{"NetworkMode":"a"},"NetworkingConfig":{"EndpointsConfig":{"a":{"NetworkID":"b"},"c":{"NetworkID":"c","Links":["db"]}}}}',
    [
      'uses network a @ HostConfig.NetworkMode',
      'uses network b @ NetworkingConfig.EndpointsConfig["a"].NetworkID',
      'uses network c @ NetworkingConfig.EndpointsConfig["c"]',
      'uses container db @ NetworkingConfig.EndpointsConfig["c"].Links[0]',
    ],
  ],
];

for (const [body, more] of CREATES) {
  test(`referencesOf() lists what a create with ${body} touches`, () =>
    assert.deepEqual(create(body), [first, ...more]));
}

test('referencesOf() lists what a service touches', () => {
  const body = {
    Name: 's',
    Networks: [{ Target: 'n2' }],
    TaskTemplate: {
      ContainerSpec: {
        Image: 'app',
        Mounts: [{ Type: 'volume', Source: 'v' }],
        Secrets: [{ SecretID: 'x', SecretName: 'y' }],
        Configs: [{ ConfigID: 'z' }],
        Privileges: { CredentialSpec: { Config: 'k' } },
      },
      Networks: [{ Target: 'n1' }, { Target: 'host' }],
    },
  };
  const expected = [
    'uses image docker.io/library/app:latest @ TaskTemplate.ContainerSpec.Image',
    'uses volume v @ TaskTemplate.ContainerSpec.Mounts[0]',
    'uses secret x @ TaskTemplate.ContainerSpec.Secrets[0].SecretID',
    'uses secret y @ TaskTemplate.ContainerSpec.Secrets[0].SecretName',
    'uses config z @ TaskTemplate.ContainerSpec.Configs[0].ConfigID',
    'uses config k @ TaskTemplate.ContainerSpec.Privileges.CredentialSpec.Config',
    'uses network n1 @ TaskTemplate.Networks[0].Target',
    'uses network host @ TaskTemplate.Networks[1].Target',
    'uses network n2 @ Networks[0].Target',
  ];
  assert.deepEqual(refs('POST /services/create', JSON.stringify(body)), ['creates service s @ Name', ...expected]);
  assert.deepEqual(refs('POST /services/s1/update?version=1', JSON.stringify(body)), [
    'target service s1 @ path.id',
    ...expected,
  ]);
});

test('referencesOf() refuses names it cannot read with certainty', () => {
  for (const body of [
    '{"HostConfig":{"Binds":["/a:/b:/c"]}}',
    '{"HostConfig":{"Binds":["./x:/c"]}}',
    '{"HostConfig":{"VolumesFrom":[""]}}',
    '{"HostConfig":{"Links":[":x"]}}',
    '{"Image":"a b"}',
  ]) {
    assert.throws(() => create(body), GatewayError, body);
  }
  assert.throws(() => refs('POST /images/create?fromImage=a:1&tag=2'), GatewayError);
  assert.throws(() => refs('POST /images/a:1/push?tag=2'), GatewayError);
});

test('every operation served names at least one object, and its body has a kind', () => {
  for (const operation of OPERATIONS) {
    const path: Record<string, string> = {};
    for (const [, name] of operation.path.matchAll(/\{(\w+)/g)) path[name as string] = 'x1y';
    const found = referencesOf(
      { operation, action: operation.action, apiVersion: undefined, path, query: {} },
      undefined,
    );
    assert.ok(found.length > 0, operation.id);
    assert.ok(Object.isFrozen(found) && Object.isFrozen(found[0]));
    assert.ok(['none', 'json', 'opaque'].includes(bodyKindOf(operation)));
    const named = Object.keys(path).filter((name) => name === 'id' || name === 'name');
    for (const name of named)
      assert.ok(
        found.some((r) => r.at === `path.${name}` && r.role === 'target'),
        operation.id,
      );
  }
});

test('toCall() freezes everything that is judged', () => {
  const target = containerCreate({ name: ['web'] });
  const body = decodeBody(
    target,
    JSON_TYPE,
    bytesOf('{"Labels":{"a":"b"},"HostConfig":{"Mounts":[{"Type":"tmpfs"}]}}'),
  );
  const call = toCall(target, body);
  const waiting: unknown[] = [call];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next !== 'object' || next === null || next === call.operation) continue;
    assert.ok(Object.isFrozen(next));
    waiting.push(...Object.values(next));
  }
  assert.equal(call.opaque, false);
  assert.equal(call.resources[0]?.name, 'web');
});

test('toCall() marks uploads as opaque', () => {
  assert.equal(toCall(classify('POST', '/build?t=a'), undefined).opaque, true);
  assert.equal(toCall(classify('POST', '/images/create?fromSrc=-&repo=a'), undefined).opaque, true);
  assert.equal(toCall(classify('POST', '/images/create?fromImage=a'), undefined).opaque, false);
});
