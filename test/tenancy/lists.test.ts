// Lists and streams show a tenant its own: items, counts, sizes, events, and what it may know of the engine.
import assert from 'node:assert/strict';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { must } from '../support/api.ts';
import { ENGINE, IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';
import { until } from '../support/until.ts';

const PREFIX = `dg-lists-${IS_DENO ? 'deno' : 'node'}`;
type Row = Record<string, unknown>;

describe('lists and streams', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  const own: Record<string, string[]> = { alice: [], bob: [] };
  before(async () => {
    two = await startTwoTenants();
    // One made beside the gateway, without an owner.
    await must(two.engine, 'POST', `/containers/create?name=${PREFIX}-nobody`, { Image: IMAGE });
    await must(two.engine, 'POST', '/volumes/create', { Name: `${PREFIX}-nobody` });
    for (const who of ['alice', 'bob'] as const) {
      for (const n of [1, 2, 3]) {
        const made = await must<{ Id: string }>(two[who], 'POST', `/containers/create?name=${PREFIX}-${who}-${n}`, {
          Image: IMAGE,
          Cmd: ['sleep', '300'],
          HostConfig: { NetworkMode: 'none', Binds: [`${PREFIX}-${who}-implicit:/a`, '/anonymous'] },
        });
        own[who]?.push(made.Id);
      }
      await must(two[who], 'POST', `/containers/${PREFIX}-${who}-1/start`);
      await must(two[who], 'POST', '/volumes/create', { Name: `${PREFIX}-${who}-v` });
      await must(two[who], 'POST', '/networks/create', { Name: `${PREFIX}-${who}-n`, Internal: true });
      await must(two[who], 'POST', `/images/${IMAGE}/tag?repo=${PREFIX}-${who}&tag=1`);
    }
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });

  const names = (rows: readonly Row[]) => rows.map(({ Names }) => (Names as string[])[0]?.slice(1)).sort();

  it('containers: own ones alone, with every filter and limit', async () => {
    const list = (query: string) => must<Row[]>(two.alice, 'GET', `/containers/json?${query}`);
    const all = [1, 2, 3].map((n) => `${PREFIX}-alice-${n}`);
    assert.deepEqual(names(await list('all=1')), all);
    assert.deepEqual(names(await list('')), all.slice(0, 1));
    assert.deepEqual(names(await list('limit=2')), all.slice(1), 'the newest two, whatever others made since');
    assert.deepEqual(names(await list('limit=100')), all);
    const filtered = (filters: object) => list(`all=1&filters=${encodeURIComponent(JSON.stringify(filters))}`);
    assert.deepEqual(names(await filtered({ label: ['dockgate.tenant=blue'] })), []);
    assert.deepEqual(names(await filtered({ name: [PREFIX] })), all);
    assert.deepEqual(names(await filtered({ id: own.bob })), []);
    assert.deepEqual(names(await filtered({ before: [`${PREFIX}-alice-3`] })), all.slice(0, 2));
    // Bob's are newer than all of alice's: a limit that counted them would leave nothing.
    assert.deepEqual(names(await list('limit=1')), all.slice(2));
    assert.ok((await must<Row[]>(two.operator, 'GET', '/containers/json?all=1')).length >= 7, 'an operator sees all');
  });

  it('volumes: named, implicit and anonymous ones of one\u2019s own', async () => {
    const { Volumes } = await must<{ Volumes: Row[] }>(two.alice, 'GET', '/volumes');
    const found = Volumes.map(({ Name }) => Name as string);
    assert.deepEqual(found.filter((name) => name.startsWith(PREFIX)).sort(), [
      `${PREFIX}-alice-implicit`,
      `${PREFIX}-alice-v`,
    ]);
    assert.equal(found.length, 5, 'and three without a name');
    assert.equal((await two.bob('GET', `/volumes/${found.find((name) => !name.startsWith(PREFIX))}`)).status, 404);
    assert.equal((await two.alice('GET', `/volumes/${PREFIX}-nobody`)).status, 404);
  });

  it('networks: own ones and those every engine has', async () => {
    const list = await must<Row[]>(two.alice, 'GET', '/networks');
    assert.deepEqual(
      list
        .map(({ Name }) => Name as string)
        .filter((name) => name !== 'bridge')
        .sort(),
      [`${PREFIX}-alice-n`, 'host', 'none'],
    );
    const none = list.find(({ Name }) => Name === 'none') as Row;
    const shown = await must<{ Name: string; Containers: object }>(two.alice, 'GET', `/networks/${none.Id as string}`);
    assert.equal(shown.Name, 'none');
    assert.ok(
      Object.keys(shown.Containers).every((id) => own.alice?.includes(id)),
      JSON.stringify(shown.Containers),
    );
  });

  it('images: own names and shared ones', async () => {
    const tagsOf = (rows: readonly Row[]) => rows.flatMap(({ RepoTags }) => RepoTags as string[]);
    const tags = tagsOf(await must<Row[]>(two.alice, 'GET', '/images/json'));
    assert.ok(tags.includes(`${PREFIX}-alice:1`) && tags.includes(IMAGE), tags.join());
    assert.ok(!tags.includes(`${PREFIX}-bob:1`), tags.join());
    const inspected = await must<{ RepoTags: string[] }>(two.alice, 'GET', `/images/${IMAGE}/json`);
    assert.ok(!inspected.RepoTags.includes(`${PREFIX}-bob:1`));
    const history = await must<Row[]>(two.alice, 'GET', `/images/${IMAGE}/history`);
    assert.ok(!JSON.stringify(history).includes(`${PREFIX}-bob`));
  });

  it('an image others use is not removed, an own name is', async () => {
    for (const path of [`/images/${IMAGE}`, `/images/${IMAGE}?force=1`]) {
      const refused = await two.alice('DELETE', path);
      assert.equal(refused.status, 409, refused.text);
    }
    const { Id } = await must<{ Id: string }>(two.alice, 'GET', `/images/${IMAGE}/json`);
    assert.equal((await two.alice('DELETE', `/images/${Id}?force=1`)).status, 409, 'by its id it would take all names');
    assert.equal((await two.alice('DELETE', `/images/${PREFIX}-bob:1?force=1`)).status, 404);
    await must(two.alice, 'POST', `/images/${IMAGE}/tag?repo=${PREFIX}-alice&tag=gone`);
    await must(two.alice, 'DELETE', `/images/${PREFIX}-alice:gone`);
    assert.equal((await two.alice('GET', `/images/${PREFIX}-alice:gone/json`)).status, 404);
    await must(two.bob, 'GET', `/images/${PREFIX}-bob:1/json`);
  });

  it('system/df and info count one\u2019s own', async () => {
    const df = await must<{ Containers: Row[]; Volumes: Row[]; Images: Row[]; BuildCache: Row[] }>(
      two.alice,
      'GET',
      '/system/df',
    );
    assert.deepEqual(
      names(df.Containers),
      [1, 2, 3].map((n) => `${PREFIX}-alice-${n}`),
    );
    assert.equal(df.Volumes.length, 5);
    assert.deepEqual(df.BuildCache, []);
    assert.ok(!JSON.stringify(df).includes(`${PREFIX}-bob`));
    const info = await must<Row>(two.alice, 'GET', '/info');
    assert.deepEqual(
      [info.Containers, info.ContainersRunning, info.ContainersStopped, info.ContainersPaused],
      [3, 1, 2, 0],
    );
    const real = await must<Row>(two.engine, 'GET', '/info');
    assert.equal(info.OSType, real.OSType);
    assert.equal(info.ServerVersion, real.ServerVersion);
    const text = JSON.stringify(info);
    for (const secret of [real.DockerRootDir, real.ID, `"Name":"${real.Name}"`, real.KernelVersion])
      assert.ok(!text.includes(secret as string), String(secret));
    const version = await must<Row>(two.alice, 'GET', '/version');
    assert.ok(typeof version.ApiVersion === 'string' && typeof version.Os === 'string');
    assert.ok(!JSON.stringify(version).includes(real.KernelVersion as string));
  });

  it('engine-wide operations are not served, nor are lists of what is not a tenant\u2019s', async () => {
    for (const [method, path] of [
      ['GET', '/swarm'],
      ['POST', '/swarm/leave'],
      ['GET', '/plugins/x/json'],
    ] as const) {
      const answer = await two.alice(method, path);
      assert.ok(answer.status === 403 || answer.status === 404, `${path}: ${answer.status} ${answer.text}`);
    }
    assert.deepEqual(await must(two.alice, 'GET', '/plugins'), []);
  });

  it('events: live ones and earlier ones of one\u2019s own, also of what is gone', async () => {
    const seen = { alice: '', bob: '' };
    const requests = (['alice', 'bob'] as const).map((who) => {
      const request = http.get({ socketPath: join(two.gateway.dir, `${who}.sock`), path: '/events', agent: false });
      request.on('response', (response) => response.on('data', (data: Buffer) => (seen[who] += data.toString())));
      request.on('error', () => {});
      return request;
    });
    try {
      const { Id } = await until('the stream shows a creation', async () => {
        const made = await must<{ Id: string }>(two.bob, 'POST', `/containers/create?name=${PREFIX}-event`, {
          Image: IMAGE,
        });
        if (seen.bob.includes(made.Id)) return made;
        await new Promise((resolve) => setTimeout(resolve, 100));
        await must(two.bob, 'DELETE', `/containers/${made.Id}`);
        return seen.bob.includes(made.Id) ? made : undefined;
      });
      await two.bob('DELETE', `/containers/${Id}`);
      await must(two.bob, 'POST', '/volumes/create', { Name: `${PREFIX}-bob-event` });
      await must(two.bob, 'DELETE', `/volumes/${PREFIX}-bob-event`);
      const lines = () =>
        seen.bob
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line) as Row);
      await until('bob sees the end of what is gone', () =>
        ['container', 'volume'].every((type) => lines().some((e) => e.Type === type && e.Action === 'destroy')),
      );
      assert.equal(seen.alice, '');
    } finally {
      for (const request of requests) request.destroy();
    }
    const now = Math.floor(Date.now() / 1000) + 1;
    const past = async (who: 'alice' | 'bob') => (await two[who]('GET', `/events?since=0&until=${now}`)).text;
    assert.match(await past('bob'), new RegExp(`${PREFIX}-bob-event`));
    const alices = await past('alice');
    assert.ok(!alices.includes(`${PREFIX}-bob`) && !alices.includes(`${PREFIX}-event`), alices);
    assert.ok(alices.includes(`${PREFIX}-alice-1`));
    for (const line of alices.split('\n').filter(Boolean)) {
      const { Type, Actor } = JSON.parse(line) as { Type: string; Actor: { ID: string } };
      if (Type === 'container') assert.ok(own.alice?.includes(Actor.ID));
    }
  });

  it('prunes take one\u2019s own and leave the others\u2019', async () => {
    const { ContainersDeleted } = await must<{ ContainersDeleted: string[] }>(two.alice, 'POST', '/containers/prune');
    assert.deepEqual([...ContainersDeleted].sort(), own.alice?.slice(1).sort());
    const left = await must<Row[]>(two.engine, 'GET', '/containers/json?all=1');
    assert.deepEqual(
      names(left).filter((name) => name?.startsWith(PREFIX)),
      [`${PREFIX}-alice-1`, ...[1, 2, 3].map((n) => `${PREFIX}-bob-${n}`), `${PREFIX}-nobody`],
    );
    const pruned = await must<{ VolumesDeleted: string[] | null }>(
      two.alice,
      'POST',
      `/volumes/prune?filters=${encodeURIComponent('{"all":["true"]}')}`,
    );
    assert.ok(pruned.VolumesDeleted?.includes(`${PREFIX}-alice-v`));
    assert.ok(!pruned.VolumesDeleted?.some((name) => name.includes('bob') || name.includes('nobody')));
    await must(two.bob, 'GET', `/volumes/${PREFIX}-bob-v`);
    await must(two.engine, 'GET', `/volumes/${PREFIX}-nobody`);
    const networks = await must<{ NetworksDeleted: string[] | null }>(two.alice, 'POST', '/networks/prune');
    assert.deepEqual(networks.NetworksDeleted, [`${PREFIX}-alice-n`]);
    assert.deepEqual(await must(two.alice, 'POST', '/build/prune'), { CachesDeleted: null, SpaceReclaimed: 0 });
    assert.equal((await two.alice('POST', '/containers/prune?filters=%7B%22weird%22%3A%5B%22x%22%5D%7D')).status, 400);
    assert.ok(ENGINE !== undefined);
  });
});
