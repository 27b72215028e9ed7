// Defaults and ceilings, in every spelling the engine has for them; beside each denial its nearest allowed neighbour.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JsonObject } from '../../src/plugin.ts';
import { pluginTable, table } from '../support/plugin-table.ts';

const M = 1024 ** 2;
const ALL = {
  memory: { default: '64m', max: '128m' },
  cpus: { default: 0.5, max: 2 },
  pids: { max: 100 },
  shm: { max: '32m' },
  ulimits: { nofile: { default: 256, max: 1024 } },
};
const create = 'POST /containers/create';
const update = 'POST /containers/c/update';
const host = (HostConfig: object) => ({ Image: 'x', HostConfig });
const task = (Resources: object, spec: object = {}) => ({
  Name: 's',
  TaskTemplate: { ContainerSpec: { Image: 'x', ...spec }, Resources },
});
const over = 'limit-exceeded';

describe('resource-limits', () => {
  const ask = pluginTable('resource-limits');
  table(ask, [
    [create, { Image: 'x' }, ALL, 'pass'],
    [create, host({ Memory: 128 * M }), ALL, 'pass'],
    [create, host({ Memory: 128 * M + 1 }), ALL, over],
    [create, host({ Memory: -1 }), ALL, over],
    [create, host({ Memory: 64 * M, MemorySwap: 256 * M }), ALL, 'pass'],
    [create, host({ Memory: 64 * M, MemorySwap: 256 * M + 1 }), ALL, over],
    [create, host({ Memory: 64 * M, MemorySwap: -1 }), ALL, over],
    [create, host({ NanoCpus: 2e9 }), ALL, 'pass'],
    [create, host({ NanoCpus: 2e9 + 1 }), ALL, over],
    [create, host({ CpuQuota: 200_000 }), ALL, 'pass'],
    [create, host({ CpuQuota: 200_001 }), ALL, over],
    [create, host({ CpuQuota: 20_000, CpuPeriod: 10_000 }), ALL, 'pass'],
    [create, host({ CpuQuota: 20_001, CpuPeriod: 10_000 }), ALL, over],
    [create, host({ CpuQuota: -1 }), ALL, over],
    [create, host({ CpuPeriod: 10_000 }), ALL, 'pass'],
    [create, host({ PidsLimit: 100 }), ALL, 'pass'],
    [create, host({ PidsLimit: 101 }), ALL, over],
    [create, host({ PidsLimit: -1 }), ALL, over],
    [create, host({ ShmSize: 32 * M }), ALL, 'pass'],
    [create, host({ ShmSize: 32 * M + 1 }), ALL, over],
    [create, host({ Ulimits: [{ Name: 'nofile', Soft: 1024, Hard: 1024 }] }), ALL, 'pass'],
    [create, host({ Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 1025 }] }), ALL, over],
    [create, host({ Ulimits: [{ Name: 'nofile', Soft: -1, Hard: -1 }] }), ALL, over],
    [create, host({ Ulimits: [{ Name: 'core', Soft: -1, Hard: -1 }] }), ALL, 'pass'],
    [update, {}, ALL, 'pass'],
    [update, { Memory: 128 * M }, ALL, 'pass'],
    [update, { Memory: 129 * M }, ALL, over],
    [update, { Memory: -1 }, ALL, over],
    [update, { MemorySwap: -1 }, ALL, over],
    [update, { PidsLimit: 0 }, ALL, over],
    [update, { PidsLimit: 100 }, ALL, 'pass'],
    [update, { CpuQuota: 1000 }, ALL, over],
    [update, { CpuPeriod: 1000 }, ALL, over],
    [update, { CpuQuota: 1000, CpuPeriod: 1000 }, ALL, 'pass'],
    ['POST /services/create', task({}), ALL, 'pass'],
    ['POST /services/create', task({ Limits: { MemoryBytes: 128 * M } }), ALL, 'pass'],
    ['POST /services/create', task({ Limits: { MemoryBytes: 129 * M } }), ALL, over],
    ['POST /services/create', task({ Limits: { NanoCPUs: 3e9 } }), ALL, over],
    ['POST /services/create', task({ Limits: { Pids: 101 } }), ALL, over],
    ['POST /services/create', task({}, { Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 2000 }] }), ALL, over],
    [create, { Image: 'x' }, {}, 'pass'],
  ]);

  it('fills in what the caller left out, and nothing else', async () => {
    const filled = async (body: object): Promise<JsonObject> =>
      ((await ask({ call: create, body, config: ALL })).body as JsonObject).HostConfig as JsonObject;
    const nofile = [{ Name: 'nofile', Soft: 256, Hard: 256 }];
    const all = { Memory: 64 * M, NanoCpus: 5e8, PidsLimit: 100, ShmSize: 32 * M, Ulimits: nofile };
    assert.equal(JSON.stringify(sorted(await filled({ Image: 'x' }))), JSON.stringify(sorted(all)));
    const given = { ...all, Memory: 100 * M };
    assert.equal(JSON.stringify(sorted(await filled(host({ Memory: 100 * M })))), JSON.stringify(sorted(given)));
    assert.equal((await filled(host({ CpuPeriod: 10_000 }))).CpuQuota, 5000);
    const service = (await ask({ call: 'POST /services/create', body: task({}), config: ALL })).body as JsonObject;
    const { Limits } = (service.TaskTemplate as JsonObject).Resources as JsonObject;
    assert.deepEqual({ ...(Limits as JsonObject) }, { MemoryBytes: 64 * M, NanoCPUs: 5e8, Pids: 100 });
  });

  it('resource-limits does not load with a default above its ceiling', async () => {
    const config = { memory: { default: '2g', max: '1g' } };
    await assert.rejects(ask({ call: create, body: { Image: 'x' }, config }), /the default of memory is above its max/);
  });
});

const sorted = (value: object): object =>
  Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
