// Shares against a real engine: many creates at once never exceed a quota by one, a killed gateway loses and leaks nothing,
// defaults are filled in, updates cannot lift them, and what happens past the gateway is counted. Each quota: quotas.test.ts.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { admin, until } from '../support/admin.ts';
import { type Answer, apiOver } from '../support/api.ts';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-share-${IS_DENO ? 'deno' : 'node'}`;
/** What this file's tenant has: other tests have tenants of the same name. */
const OWN = JSON.stringify({ label: ['dockgate.tenant=red'], name: [PREFIX] });
const MIB = 1024 * 1024;

describe('shares of a tenant', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  const body = (more: Record<string, unknown> = {}) => ({
    Image: IMAGE,
    Cmd: ['sleep', '300'],
    HostConfig: { NetworkMode: 'none', ...more },
  });
  const create = (name: string, more: Record<string, unknown> = {}) =>
    two.alice('POST', `/v1.41/containers/create?name=${PREFIX}-${name}`, { body: body(more) });
  const messageOf = (answer: { json: unknown }) => (answer.json as { message: string }).message;
  const usage = async () => (await admin<{ usage: Record<string, number> }>(two.gateway, 'GET', '/tenants/red')).usage;
  type Limits = Record<string, string | number | null>;
  const set = (quota: Limits, more: { identityQuota?: Limits; defaults?: Limits } = {}) =>
    admin(two.gateway, 'PATCH', '/tenants/red', { quota, ...more });
  const make = (name: string, more: Record<string, unknown> = {}) => must(create(name, more), 201);
  const must = async (call: Promise<Answer>, status: number) => {
    const answer = await call;
    assert.equal(answer.status, status, answer.text);
    return answer;
  };
  const updater =
    (name: string) =>
    (given: Record<string, unknown>): Promise<Answer> =>
      two.alice('POST', `/v1.41/containers/${PREFIX}-${name}/update`, { body: given });
  const hostOf = async (name: string) =>
    ((await two.engine('GET', `/containers/${PREFIX}-${name}/json`)).json as { HostConfig: Record<string, number> })
      .HostConfig;

  before(async () => {
    two = await startTwoTenants();
    await removeAll(two.engine, PREFIX);
    await two.gateway.must('tenant', 'create', 'red', '--quota', 'containers=20');
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });

  it('200 creates at once against a quota of 20 make exactly 20', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => create(`many-${i}`)));
    const byStatus = new Map<number, number>();
    for (const { status } of answers) byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    assert.deepEqual(Object.fromEntries(byStatus), { 201: 20, 403: 180 });
    const refused = answers.find(({ status }) => status === 403);
    assert.match(
      messageOf(refused as never),
      /the quota of tenant red is 20 containers, 20 in use and 1 more asked for/,
    );
    assert.equal((await usage()).containers, 20);
  });

  it('another tenant is not touched by it', async () => {
    const made = await two.bob('POST', `/v1.41/containers/create?name=${PREFIX}-bob`, { body: body() });
    assert.equal(made.status, 201);
  });

  it('a gateway that is killed in the middle of creates leaks no share and loses none', async () => {
    await set({ containers: 30 });
    const racing = Array.from({ length: 10 }, (_, i) => create(`kill-${i}`).catch(() => undefined));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await two.gateway.stop('SIGKILL');
    await Promise.all(racing);
    await two.gateway.restart();
    // The engine may still be at work on what it was asked for; what it makes late is its maker's as well.
    const own = await until('the same count', async () => {
      const { json } = await two.alice('GET', '/v1.41/containers/json?all=1');
      const all = await two.engine('GET', `/containers/json?all=1&filters=${OWN}`);
      const { containers } = await usage();
      const isSame = [json, all.json].every((list) => (list as unknown[]).length === containers);
      return isSame && containers;
    });
    assert.ok(own >= 20 && own <= 30, `${own}`);
  });

  it('what is removed is free again', async () => {
    for (const { Id } of (await two.alice('GET', '/v1.41/containers/json?all=1')).json as { Id: string }[])
      assert.equal((await two.alice('DELETE', `/v1.41/containers/${Id}?force=1`)).status, 204);
    assert.equal((await usage()).containers, 0);
  });

  it('where memory counts, a container must say how much, or gets the default', async () => {
    await set({ memory: '256MiB', pids: 100, cpus: 1 }, { defaults: { pids: 40, cpus: 0.25 } });
    const silent = await create('silent');
    assert.equal(silent.status, 403);
    assert.match(messageOf(silent), /HostConfig.Memory has no limit \(docker --memory\)/);
    const first = await create('first', { Memory: 128 * MIB });
    assert.equal(first.status, 201);
    const seen = await two.engine('GET', `/containers/${PREFIX}-first/json`);
    const { HostConfig } = seen.json as { HostConfig: { PidsLimit: number; NanoCpus: number } };
    assert.deepEqual([HostConfig.PidsLimit, HostConfig.NanoCpus], [40, 250_000_000]);
    const second = await create('second', { Memory: 129 * MIB });
    assert.match(messageOf(second), /256 MiB of memory, 128 MiB in use and 129 MiB more asked for/);
    assert.equal((await usage()).memory, 128 * MIB);
  });

  it('what is filled in is judged as if it had been asked for', async () => {
    const text = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: capped }
rules:
  - { name: run, effect: allow, actions: [container.create], host: { preset: baseline, limits: { pids: 30 } } }
`;
    await admin(two.gateway, 'POST', '/policies', { sources: [{ text }] });
    await admin(two.gateway, 'POST', '/identities', { name: 'carol', policies: ['capped'], tenant: 'red' });
    const path = join(two.gateway.dir, 'carol.sock');
    await admin(two.gateway, 'POST', '/sockets', { path, identity: 'carol' });
    const carol = apiOver(path);
    const make = (name: string) =>
      carol('POST', `/v1.41/containers/create?name=${PREFIX}-${name}`, { body: body({ Memory: 16 * MIB }) });
    // The tenant's default of 40 is more than the rule allows; 20 is within it.
    const denied = await make('over');
    assert.equal(denied.status, 403);
    assert.match(messageOf(denied), /PidsLimit/);
    await set({}, { defaults: { pids: 20 } });
    const made = await make('within');
    assert.equal(made.status, 201, made.text);
    const seen = await two.engine('GET', `/containers/${PREFIX}-within/json`);
    assert.equal((seen.json as { HostConfig: { PidsLimit: number } }).HostConfig.PidsLimit, 20);
    assert.equal((await carol('DELETE', `/v1.41/containers/${PREFIX}-within`)).status, 403);
    await two.alice('DELETE', `/v1.41/containers/${PREFIX}-within`);
    await set({}, { defaults: { pids: 40 } });
  });

  it('where memory counts, there is no more swap than the quota gives', async () => {
    assert.equal((await hostOf('first')).MemorySwap, 128 * MIB, 'of itself the engine makes it twice the memory');
    assert.equal((await usage()).swap, 0);
    for (const [MemorySwap, said] of [
      [129 * MIB, /0 bytes of swap, 0 bytes in use and 97 MiB more asked for/],
      [-1, /HostConfig.MemorySwap below 0 is no limit/],
    ] as const) {
      assert.match(messageOf(await must(create('swaps', { Memory: 32 * MIB, MemorySwap }), 403)), said);
      // The engine reads any case of a field's name.
      assert.match(messageOf(await must(create('swaps', { memory: 32 * MIB, memoryswap: MemorySwap }), 403)), said);
    }
    await set({ swap: '64MiB' });
    await make('swaps', { Memory: 32 * MIB, MemorySwap: 96 * MIB });
    assert.equal((await usage()).swap, 64 * MIB);
    assert.match(
      messageOf(await must(create('swaps-too', { Memory: 32 * MIB, MemorySwap: 32 * MIB + 4096 }), 403)),
      /64 MiB of swap, 64 MiB in use and 4 KiB more/,
    );
    await must(two.alice('DELETE', `/v1.41/containers/${PREFIX}-swaps`), 204);
  });

  it('an update cannot lift what was given', async () => {
    const update = updater('first');
    assert.match(messageOf(await update({ Memory: 512 * MIB })), /256 MiB of memory/);
    assert.match(messageOf(await update({ PidsLimit: -1 })), /PidsLimit has no limit/);
    assert.match(messageOf(await update({ MemorySwap: -1 })), /MemorySwap below 0 is no limit/);
    assert.match(messageOf(await update({ memoryswap: 193 * MIB })), /64 MiB of swap, 0 bytes in use and 65 MiB/);
    await must(update({ MemorySwap: 192 * MIB }), 200);
    assert.equal((await usage()).swap, 64 * MIB);
    // As `docker update --memory` sends it: what may be swapped out stays as much.
    await must(update({ Memory: 200 * MIB, MemorySwap: 0 }), 200);
    const { Memory, MemorySwap } = await hostOf('first');
    assert.deepEqual([Memory, MemorySwap], [200 * MIB, 264 * MIB]);
    assert.equal((await usage()).memory, 200 * MIB);
    assert.equal((await usage()).swap, 64 * MIB);
    assert.equal((await update({ Memory: 1 })).status, 400, 'the engine refuses it');
    assert.equal((await usage()).memory, 200 * MIB);
    await must(update({ Memory: 200 * MIB, MemorySwap: 200 * MIB }), 200);
    assert.equal((await usage()).swap, 0);
  });

  it('a period of its own cannot stretch the CPUs that were given', async () => {
    await make('period', { Memory: 6 * MIB, CpuQuota: 100_000, CpuPeriod: 1_000_000 });
    const update = updater('period');
    // 100 CPUs of the first, with what is there already.
    assert.match(messageOf(await update({ CpuPeriod: 1000 })), /quota of tenant red is 1 CPUs, 0.35 in use/);
    assert.match(messageOf(await update({ CpuQuota: 1_000_000 })), /quota of tenant red is 1 CPUs, 0.35 in use/);
    assert.match(messageOf(await update({ CpuQuota: -1 })), /NanoCpus has no limit/);
    await must(update({ CpuQuota: 200_000 }), 200);
    assert.equal((await usage()).cpus, 0.45e9);
    await must(update({ CpuPeriod: 500_000 }), 200);
    assert.equal((await usage()).cpus, 0.65e9);
    await must(two.alice('DELETE', `/v1.41/containers/${PREFIX}-period`), 204);
  });

  it('halves of a CPU limit that came before the quota are counted together', async () => {
    await set({ cpus: null }, { defaults: { cpus: null } });
    await make('halves', { Memory: 6 * MIB });
    await must(updater('halves')({ CpuPeriod: 50_000 }), 200);
    await must(updater('halves')({ CpuQuota: 100_000 }), 200);
    assert.equal((await usage()).cpus, 2.25e9);
    await must(two.alice('DELETE', `/v1.41/containers/${PREFIX}-halves`), 204);
    await set({ cpus: 1 }, { defaults: { cpus: 0.25 } });
  });

  it('a change made at the engine itself is counted as the engine has it', async () => {
    const change = (more: Record<string, unknown>) =>
      must(two.engine('POST', `/v1.41/containers/${PREFIX}-first/update`, { body: more }), 200);
    await change({ Memory: 220 * MIB, MemorySwap: 230 * MIB, PidsLimit: 50 });
    await until('the change', async () => {
      const { memory, swap, pids } = await usage();
      return memory === 220 * MIB && swap === 10 * MIB && pids === 50;
    });
    // While the gateway does not follow it as well.
    await two.gateway.stop('SIGKILL');
    await change({ Memory: 128 * MIB, MemorySwap: 128 * MIB, PidsLimit: 40 });
    await two.gateway.restart();
    await must(two.alice('GET', '/v1.41/containers/json'), 200);
    const { memory, swap, pids } = await usage();
    assert.deepEqual([memory, swap, pids], [128 * MIB, 0, 40]);
  });

  it('running containers are counted as they start and end, also behind the gateway', async () => {
    await set({ running: 1, memory: null, pids: null, cpus: null, swap: null });
    assert.equal((await create('run-a')).status, 201);
    assert.equal((await create('run-b')).status, 201);
    const start = (name: string) => two.alice('POST', `/v1.41/containers/${PREFIX}-${name}/start`);
    const started = await Promise.all([start('run-a'), start('run-b')]);
    assert.deepEqual(started.map(({ status }) => status).sort(), [204, 403]);
    const other = started[0]?.status === 204 ? 'run-b' : 'run-a';
    assert.match(messageOf(await start(other)), /1 running container, 1 in use/);
    const running = other === 'run-a' ? 'run-b' : 'run-a';
    assert.equal((await start(running)).status, 304);
    await two.engine('POST', `/containers/${PREFIX}-${running}/kill`);
    for (let i = 0; (await start(other)).status !== 204; i++) {
      assert.ok(i < 100, 'the end of the other was not noticed');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal((await usage()).running, 1);
  });

  it('a container that its restart policy starts again keeps its place', async () => {
    await set({ running: 2 });
    const command = { ...body({ RestartPolicy: { Name: 'always' } }), Cmd: ['false'] };
    const made = await two.alice('POST', `/v1.41/containers/create?name=${PREFIX}-again`, { body: command });
    assert.equal(made.status, 201);
    assert.equal((await two.alice('POST', `/v1.41/containers/${PREFIX}-again/start`)).status, 204);
    for (let i = 0; ; i++) {
      const { json } = await two.engine('GET', `/containers/${PREFIX}-again/json`);
      const { RestartCount, State } = json as { RestartCount: number; State: { Restarting: boolean } };
      if (RestartCount >= 3 && State.Restarting) break;
      assert.ok(i < 400, 'it was not started again');
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    for (const name of ['run-a', 'run-b']) {
      const { status } = await two.alice('POST', `/v1.41/containers/${PREFIX}-${name}/start`);
      assert.ok(status === 304 || status === 403, `${name}: ${status}`);
    }
    assert.equal((await usage()).running, 2);
    await two.engine('DELETE', `/containers/${PREFIX}-again?force=1`);
  });

  it('bytes of images count once for each image, and what is over is refused before the next one', async () => {
    await set({ 'image-bytes': '1MiB' });
    const content = randomBytes(MIB + 4096);
    const bring = (name: string, bytes: Buffer = content) =>
      two.alice('POST', `/v1.41/images/create?fromSrc=-&repo=${PREFIX}-${name}&tag=1`, {
        body: Buffer.concat([tarEntry('file', bytes), Buffer.alloc(1024)]),
      });
    const name = (source: string, repo: string) =>
      two.alice('POST', `/v1.41/images/${source}/tag?repo=${PREFIX}-${repo}&tag=1`);
    // How large a new one becomes is not known before.
    await must(bring('large'), 200);
    const bytes = await until('its size', async () => (await usage())['image-bytes'] || undefined);
    assert.ok(bytes >= content.length && bytes < 1.1 * content.length, `${bytes}`);
    await must(name(`${PREFIX}-large:1`, 'again'), 201);
    assert.deepEqual([(await usage())['image-bytes'], (await usage()).images], [bytes, 2]);
    const full = /the quota of tenant red is 1 MiB of images, and \d+ (bytes|KiB) in use/;
    for (const [what, call] of [
      ['import', bring('more', Buffer.alloc(1))],
      ['pull', two.alice('POST', '/v1.41/images/create?fromImage=registry.invalid/none&tag=1')],
      ['commit', two.alice('POST', `/v1.41/commit?container=${PREFIX}-first&repo=${PREFIX}-more&tag=1`)],
      ['build', two.alice('POST', `/v1.41/build?t=${PREFIX}-more:1`, { body: Buffer.alloc(1024) })],
    ] as const) {
      assert.match(messageOf(await must(call, 403)), full, what);
    }
    // Of what is there already the size is known.
    const shared = await must(name(IMAGE, 'shared'), 403);
    assert.match(messageOf(shared), /1 MiB of images, \d+ (bytes|KiB) in use and .* more asked for/);
    await must(two.alice('DELETE', `/v1.41/images/${PREFIX}-large:1`), 200);
    assert.equal((await usage())['image-bytes'], bytes, 'it still has a name');
    await must(two.alice('DELETE', `/v1.41/images/${PREFIX}-again:1`), 200);
    assert.equal((await usage())['image-bytes'], 0);
    await must(bring('large'), 200);
    await until('its size', async () => (await usage())['image-bytes'] || undefined);
    // Removed beside the gateway.
    await must(two.engine('DELETE', `/images/${PREFIX}-large:1`), 200);
    await until('its end', async () => (await usage())['image-bytes'] === 0);
    await set({ 'image-bytes': null });
  });

  it('bytes of write layers are measured in the background, and more is refused when they are over', async () => {
    await set({ 'write-layer-bytes': '1MiB', running: null });
    const writing = { ...body(), Cmd: ['dd', 'if=/dev/zero', 'of=/file', 'bs=1024', 'count=1100'] };
    const path = `/v1.41/containers/create?name=${PREFIX}-writes`;
    await must(two.alice('POST', path, { body: writing }), 201);
    await make('reads');
    await must(two.alice('POST', `/v1.41/containers/${PREFIX}-writes/start`), 204);
    await until('the measure', async () => ((await usage())['write-layer-bytes'] ?? 0) >= 1100 * 1024);
    const full = /the quota of tenant red is 1 MiB of write layers, and \d+ (bytes|KiB) in use/;
    assert.match(messageOf(await must(create('more'), 403)), full);
    for (const verb of ['start', 'restart'])
      assert.match(messageOf(await must(two.alice('POST', `/v1.41/containers/${PREFIX}-reads/${verb}`), 403)), full);
    const shown = await two.gateway.must('tenant', 'show', 'red');
    assert.match(shown, /1 MiB of write layers/);
    await must(two.alice('DELETE', `/v1.41/containers/${PREFIX}-writes`), 204);
    await must(two.alice('POST', `/v1.41/containers/${PREFIX}-reads/start`), 204);
    await must(two.alice('DELETE', `/v1.41/containers/${PREFIX}-reads?force=1`), 204);
    await set({ 'write-layer-bytes': null });
  });

  it('racing calls never take more than the quota, and what a kill leaves behind counts as the engine has it', async () => {
    const quota = { containers: 5, running: 2, memory: 256 * MIB };
    await removeAll(two.engine, PREFIX);
    await until('an empty ledger', async () => (await usage()).containers === 0);
    await set({ ...quota, swap: null });
    type Seen = { State: { Running: boolean }; HostConfig: { Memory: number; MemorySwap: number } };
    const truth = async () => {
      const { json } = await two.engine('GET', `/containers/json?all=1&filters=${OWN}`);
      const looks = (json as { Id: string }[]).map(({ Id }) => two.engine('GET', `/containers/${Id}/json`));
      const there = (await Promise.all(looks)).filter(({ status }) => status === 200).map((one) => one.json as Seen);
      return {
        containers: there.length,
        running: there.filter(({ State }) => State.Running).length,
        memory: there.reduce((sum, { HostConfig }) => sum + HostConfig.Memory, 0),
        swap: there.reduce((sum, { HostConfig }) => sum + HostConfig.MemorySwap - HostConfig.Memory, 0),
      };
    };
    const call = (i: number): Promise<unknown> => {
      const name = `race-${i % 6}`;
      const Memory = (16 + ((i * 37) % 90)) * MIB;
      const path = `/v1.41/containers/${PREFIX}-${name}`;
      switch (i % 5) {
        case 0:
          return two.alice('DELETE', `${path}?force=1`);
        case 1:
          return two.alice('POST', `${path}/start`);
        case 2:
          return two.alice('POST', `${path}/update`, { body: { Memory } });
        default:
          return create(name, { Memory });
      }
    };
    const answered = (from: number, to: number) =>
      Promise.all(Array.from({ length: to - from }, (_, i) => call(from + i).catch(() => undefined)));
    let isOver = false;
    const watch = (async () => {
      while (!isOver) {
        // Not all is looked at in one moment: what was removed meanwhile may be counted beside what took its place.
        const { running } = await truth();
        assert.ok(running <= quota.running, `${running} running`);
      }
    })();
    for (let round = 0; round < 3; round++) {
      await answered(round * 30, round * 30 + 30);
      const [now, counted] = [await truth(), await usage()];
      for (const key of ['containers', 'running', 'memory'] as const) {
        assert.ok(now[key] <= quota[key], `${key}: ${now[key]}`);
        assert.ok((counted[key] ?? 0) >= now[key], `${key}: ${counted[key]} counted of ${now[key]}`);
      }
      assert.equal(now.swap, 0);
    }
    isOver = true;
    await watch;
    const racing = answered(90, 130);
    await until('a call under way', async () => (await truth()).containers > 0);
    await two.gateway.stop('SIGKILL');
    await racing;
    await two.gateway.restart();
    await must(two.alice('GET', '/v1.41/containers/json'), 200);
    // The engine may still be at work on what it was asked for.
    const now = await until('the same count', async () => {
      const [there, counted] = [await truth(), await usage()];
      return (
        (['containers', 'running', 'memory', 'swap'] as const).every((key) => counted[key] === there[key]) && there
      );
    });
    assert.ok(now.containers <= quota.containers && now.memory <= quota.memory);
    await set({ containers: null, running: null, memory: null });
  });

  it('usage over time comes from the same store, and a tenant in use is not deleted', async () => {
    const points = JSON.parse(
      await two.gateway.must('tenant', 'usage', 'red', '--since', '1h', '--step', '1s', '--json'),
    ) as { usage: { containers: number } }[];
    assert.ok(Math.max(...points.map((point) => point.usage.containers)) >= 1);
    const refused = await two.gateway.dockgate('tenant', 'delete', 'red');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /still has objects/);
  });
});
