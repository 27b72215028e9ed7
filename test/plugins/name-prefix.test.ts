// Names of new things, and of volumes that a mount makes; beside each denial its nearest allowed neighbour.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JsonObject } from '../../src/plugin.ts';
import { pluginTable } from '../support/plugin-table.ts';

const RED = { tenant: 'red' };
const box = (HostConfig: object = {}) => ({ Image: 'x', HostConfig });
const missing = 'name-prefix-missing';
const spec = (Name: string, Source: string) => ({
  Name,
  TaskTemplate: { ContainerSpec: { Image: 'x', Mounts: [{ Type: 'volume', Source, Target: '/v' }] } },
});

describe('name-prefix', () => {
  const ask = pluginTable('name-prefix');
  const prefix = '{tenant}-';
  for (const [call, body, verdict] of [
    ['POST /containers/create?name=red-web', box(), 'pass'],
    ['POST /containers/create?name=web', box(), missing],
    ['POST /containers/create?name=redweb', box(), missing],
    ['POST /containers/create', box(), missing],
    ['POST /containers/create?name=/red-web', box(), 'pass'],
    ['POST /containers/create?name=red-web', box({ Binds: ['data:/v'] }), missing],
    ['POST /containers/create?name=red-web', box({ Binds: ['red-data:/v:ro'] }), 'pass'],
    ['POST /containers/create?name=red-web', box({ Binds: ['/srv:/v'] }), 'pass'],
    ['POST /containers/create?name=red-web', box({ Mounts: [{ Type: 'volume', Source: 'd', Target: '/v' }] }), missing],
    ['POST /containers/create?name=red-web', box({ Mounts: [{ Type: 'volume', Target: '/v' }] }), 'pass'],
    ['POST /containers/c/rename?name=web', undefined, missing],
    ['POST /containers/c/rename?name=red-web', undefined, 'pass'],
    ['POST /volumes/create', { Name: 'v' }, missing],
    ['POST /volumes/create', { Name: 'red-v' }, 'pass'],
    ['POST /networks/create', { Name: 'n' }, missing],
    ['POST /networks/create', { Name: 'red-n' }, 'pass'],
    ['POST /services/create', spec('s', 'red-v'), missing],
    ['POST /services/create', spec('red-s', 'v'), missing],
    ['POST /services/create', spec('red-s', 'red-v'), 'pass'],
  ] as const) {
    it(`${verdict}: ${call} ${JSON.stringify(body)}`, async () => {
      const told = await ask({ call, body, config: { prefix }, principal: RED });
      assert.equal(told.verdict, verdict, told.message);
    });
  }
  it('name-prefix refuses a caller whose prefix is no name', async () => {
    const call = 'POST /containers/create?name=x';
    const config = { prefix: '{subject}-' };
    for (const [subject, verdict] of [
      ['repo:x/y', 'name-prefix-unknown'],
      ['{tenant}', 'name-prefix-unknown'],
      ['ann', missing],
    ] as const) {
      assert.equal((await ask({ call, body: box(), config, principal: { subject } })).verdict, verdict);
    }
    assert.equal((await ask({ call, body: box(), config: { prefix } })).verdict, 'name-prefix-unknown');
  });
  it('adds it to names, to volumes in mounts, and gives a name where there is none', async () => {
    const config = { prefix, mode: 'add' };
    const told = await ask({
      call: 'POST /containers/create?name=web',
      body: box({
        Binds: ['data:/v:ro', 'red-x:/x', '/srv:/s'],
        Mounts: [{ Type: 'volume', Source: 'd', Target: '/d' }],
      }),
      config,
      principal: RED,
    });
    assert.equal(told.verdict, 'pass', told.message);
    assert.deepEqual(told.query.name, ['red-web']);
    const host = (told.body as JsonObject).HostConfig as JsonObject;
    assert.deepEqual(host.Binds, ['red-data:/v:ro', 'red-x:/x', '/srv:/s']);
    assert.equal(((host.Mounts as readonly JsonObject[])[0] as JsonObject).Source, 'red-d');
    const unnamed = await ask({ call: 'POST /containers/create', body: box(), config, principal: RED });
    assert.deepEqual(unnamed.query.name, ['red-00000000000a']);
  });
});
