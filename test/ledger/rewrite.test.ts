import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toCall } from '../../src/engine/call.ts';
import { classify } from '../../src/engine/classify.ts';
import type { Json } from '../../src/engine/types.ts';
import { withId } from '../../src/ledger/rewrite.ts';

/** Method, target and body; the place of the reference; what stands there afterwards. */
const CASES: readonly [title: string, target: string, body: Json | undefined, at: string, expected: unknown][] = [
  ['a path', 'POST /containers/web/stop', undefined, 'path.id', { path: { id: 'ID' } }],
  ['a commit', 'POST /commit?container=web', undefined, 'query.container', { query: { container: ['ID'] } }],
  [
    'a build in the network of a container',
    'POST /build?networkmode=container:web',
    undefined,
    'query.networkmode',
    { query: { networkmode: ['container:ID'] } },
  ],
  ...(['NetworkMode', 'PidMode', 'IpcMode', 'Cgroup'] as const).map(
    (field) =>
      [
        field,
        'POST /containers/create',
        { HostConfig: { [field]: 'container:web' } },
        `HostConfig.${field}`,
        { body: { HostConfig: { [field]: 'container:ID' } } },
      ] as [string, string, Json, string, unknown],
  ),
  [
    'VolumesFrom with a mode',
    'POST /containers/create',
    { HostConfig: { VolumesFrom: ['web:ro'] } },
    'HostConfig.VolumesFrom[0]',
    { body: { HostConfig: { VolumesFrom: ['ID:ro'] } } },
  ],
  [
    'a link without an alias',
    'POST /containers/create',
    { HostConfig: { Links: ['other:o', 'web'] } },
    'HostConfig.Links[1]',
    { body: { HostConfig: { Links: ['other:o', 'ID:web'] } } },
  ],
  [
    'a link in the stored form',
    'POST /containers/create',
    { HostConfig: { Links: ['/web:/me/db'] } },
    'HostConfig.Links[0]',
    { body: { HostConfig: { Links: ['ID:db'] } } },
  ],
  [
    'the container of a connect',
    'POST /networks/n/connect',
    { Container: 'web' },
    'Container',
    { body: { Container: 'ID' } },
  ],
];

describe('withId()', () => {
  for (const [title, line, body, at, expected] of CASES) {
    it(title, () => {
      const [method = '', target = ''] = line.split(' ');
      const call = toCall(classify(method, target), body);
      const reference = call.resources.find((one) => one.at === at);
      assert.ok(reference, `the call names nothing at ${at}`);
      assert.deepEqual(JSON.parse(JSON.stringify(withId(call, reference, 'ID'))), {
        ...JSON.parse(JSON.stringify(call)),
        ...(expected as object),
      });
    });
  }

  it('a network named by the key of its settings', () => {
    const body = { NetworkingConfig: { EndpointsConfig: { 'a.b': { Aliases: ['x'] }, other: {} } } };
    const call = toCall(classify('POST', '/containers/create'), body);
    const reference = call.resources.find(({ name }) => name === 'a.b');
    assert.ok(reference);
    const { body: changed } = withId(call, reference, 'ID');
    assert.deepEqual(JSON.parse(JSON.stringify(changed)), {
      NetworkingConfig: { EndpointsConfig: { ID: { Aliases: ['x'] }, other: {} } },
    });
  });

  it('withId() leaves the call it was given as it is', () => {
    const call = toCall(classify('POST', '/containers/create'), { HostConfig: { PidMode: 'container:web' } });
    withId(call, call.resources.find(({ at }) => at === 'HostConfig.PidMode') as never, 'ID');
    assert.equal(JSON.stringify(call.body), '{"HostConfig":{"PidMode":"container:web"}}');
  });
});
