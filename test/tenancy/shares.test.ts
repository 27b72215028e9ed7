// Shares against a real engine: many creates at once never exceed a quota by one, a killed gateway loses and leaks nothing,
// defaults are filled in, updates cannot lift them, and rates are told when to come back.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { apiOver } from '../support/api.ts';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-share-${IS_DENO ? 'deno' : 'node'}`;
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
  const usage = async () =>
    (JSON.parse(await two.gateway.must('tenant', 'show', 'red', '--json')) as { usage: Record<string, number> }).usage;
  const set = (...args: string[]) => two.gateway.must('tenant', 'set', 'red', ...args);

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
    await set('--quota', 'containers=30');
    const racing = Array.from({ length: 10 }, (_, i) => create(`kill-${i}`).catch(() => undefined));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await two.gateway.stop('SIGKILL');
    await Promise.all(racing);
    await two.gateway.restart();
    const { json } = await two.alice('GET', '/v1.41/containers/json?all=1');
    const own = (json as unknown[]).length;
    assert.equal((await usage()).containers, own);
    assert.ok(own >= 20 && own <= 30, `${own}`);
    const all = await two.engine('GET', `/containers/json?all=1&filters={"label":["dockgate.tenant=red"]}`);
    assert.equal((all.json as unknown[]).length, own);
  });

  it('what is removed is free again', async () => {
    for (const { Id } of (await two.alice('GET', '/v1.41/containers/json?all=1')).json as { Id: string }[])
      assert.equal((await two.alice('DELETE', `/v1.41/containers/${Id}?force=1`)).status, 204);
    assert.equal((await usage()).containers, 0);
  });

  it('where memory counts, a container must say how much, or gets the default', async () => {
    await set('--quota', 'memory=256MiB,pids=100,cpus=1', '--default', 'pids=40,cpus=0.25');
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
    const file = join(two.gateway.dir, 'capped.yaml');
    writeFileSync(
      file,
      `apiVersion: dockgate/v1
kind: Policy
metadata: { name: capped }
rules:
  - { name: run, effect: allow, actions: [container.create], host: { preset: baseline, limits: { pids: 30 } } }
`,
    );
    await two.gateway.must('policy', 'apply', '-f', file);
    await two.gateway.must('identity', 'create', 'carol', '--policy', 'capped', '--tenant', 'red');
    const path = join(two.gateway.dir, 'carol.sock');
    await two.gateway.must('socket', 'add', '--identity', 'carol', '--path', path);
    const carol = apiOver(path);
    const make = (name: string) =>
      carol('POST', `/v1.41/containers/create?name=${PREFIX}-${name}`, { body: body({ Memory: 16 * MIB }) });
    // The tenant's default of 40 is more than the rule allows; 20 is within it.
    const denied = await make('over');
    assert.equal(denied.status, 403);
    assert.match(messageOf(denied), /PidsLimit/);
    await set('--default', 'pids=20');
    const made = await make('within');
    assert.equal(made.status, 201, made.text);
    const seen = await two.engine('GET', `/containers/${PREFIX}-within/json`);
    assert.equal((seen.json as { HostConfig: { PidsLimit: number } }).HostConfig.PidsLimit, 20);
    assert.equal((await carol('DELETE', `/v1.41/containers/${PREFIX}-within`)).status, 403);
    await two.alice('DELETE', `/v1.41/containers/${PREFIX}-within`);
    await set('--default', 'pids=40');
  });

  it('an update cannot lift what was given', async () => {
    const update = (given: Record<string, unknown>) =>
      two.alice('POST', `/v1.41/containers/${PREFIX}-first/update`, { body: given });
    assert.match(messageOf(await update({ Memory: 512 * MIB, MemorySwap: -1 })), /256 MiB of memory/);
    assert.match(messageOf(await update({ PidsLimit: -1 })), /PidsLimit has no limit/);
    assert.equal((await update({ Memory: 200 * MIB, MemorySwap: -1 })).status, 200);
    assert.equal((await usage()).memory, 200 * MIB);
    assert.equal((await update({ Memory: 1 })).status, 400, 'the engine refuses it');
    assert.equal((await usage()).memory, 200 * MIB);
  });

  it('a period of its own cannot stretch the CPUs that were given', async () => {
    const made = await create('period', { Memory: 6 * MIB, CpuQuota: 100_000, CpuPeriod: 1_000_000 });
    assert.equal(made.status, 201);
    const update = (given: Record<string, unknown>) =>
      two.alice('POST', `/v1.41/containers/${PREFIX}-period/update`, { body: given });
    // 100 CPUs of the first, with what is there already.
    assert.match(messageOf(await update({ CpuPeriod: 1000 })), /CpuQuota and CpuPeriod .* together/);
    assert.match(messageOf(await update({ CpuQuota: 50_000 })), /CpuQuota and CpuPeriod .* together/);
    assert.match(messageOf(await update({ CpuQuota: 100_000, CpuPeriod: 1000 })), /quota of tenant red is 1 CPUs/);
    assert.equal((await update({ CpuQuota: 200_000, CpuPeriod: 1_000_000 })).status, 200);
    assert.equal((await usage()).cpus, 0.45e9);
  });

  it('running containers are counted as they start and end, also behind the gateway', async () => {
    await set('--quota', 'running=1,memory=none,pids=none,cpus=none');
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
    await set('--quota', 'running=2');
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

  it('where ports count, each one must be named', async () => {
    await set('--quota', 'ports=1,running=none');
    const all = await create('ports', { PublishAllPorts: true });
    assert.equal(all.status, 403);
    assert.match(messageOf(all), /PublishAllPorts does not say how many/);
    const none = await create('ports', { PublishAllPorts: false });
    assert.equal(none.status, 201);
    await set('--quota', 'ports=none');
  });

  it('each identity of a tenant has a share of its own', async () => {
    await set('--quota', 'running=none', '--identity-quota', 'volumes=1');
    const volume = (name: string) =>
      two.alice('POST', '/v1.41/volumes/create', { body: { Name: `${PREFIX}-${name}` } });
    assert.equal((await volume('v1')).status, 201);
    assert.match(messageOf(await volume('v2')), /identity alice of tenant red is 1 volume, 1 in use/);
    await set('--identity-quota', 'volumes=none');
  });

  it('too many requests are told when to come back, and streams how many there may be', async () => {
    await set('--quota', 'rate=5,streams=1');
    const answers = await Promise.all(Array.from({ length: 30 }, () => two.alice('GET', '/v1.41/containers/json')));
    const refused = answers.filter(({ status }) => status === 429);
    assert.ok(refused.length >= 15, `${refused.length}`);
    assert.match(messageOf(refused[0] as never), /tenant red may make 5 a second .* try again in \d+ s/);
    assert.ok(Number(refused[0]?.headers['retry-after']) >= 1);
    await set('--quota', 'rate=none,streams=none');
    assert.equal((await two.alice('GET', '/v1.41/containers/json')).status, 200);
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
