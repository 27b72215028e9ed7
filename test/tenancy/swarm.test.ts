// Services, secrets, configs and tasks of two tenants in one swarm, on an engine of its own: each sees, names and changes its own
// alone, also under one stack name; what the swarm looks up by name later is sent by id or refused.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { OPERATIONS } from '../../src/engine/operations.ts';
import { admin } from '../support/admin.ts';
import { apiOver, must } from '../support/api.ts';
import { DOCKER_CLI, IMAGE } from '../support/engine.ts';
import { docker } from '../support/gateway.ts';
import { pathWithEngine, startPrivateEngine } from '../support/private-engine.ts';
import { startTwoTenants, type TwoTenants } from '../support/tenants.ts';
import { until } from '../support/until.ts';

type Who = 'alice' | 'bob';
const BOTH = ['alice', 'bob'] as const;
const KINDS = ['service', 'secret', 'config'] as const;
interface Spec {
  Name: string;
  Labels?: Record<string, string>;
  TaskTemplate: { ContainerSpec: Record<string, unknown> & { Image: string; Labels?: Record<string, string> } };
  Mode?: { Replicated: { Replicas: number } };
}
interface Service {
  ID: string;
  Version: { Index: number };
  Spec: Spec;
}
interface Task {
  ID: string;
  ServiceID: string;
  Status: { State: string; ContainerStatus?: { ContainerID: string } };
}

const found = pathWithEngine();
const skip = 'why' in found ? found.why : false;

describe('a swarm of two tenants', { skip }, () => {
  let engine: Awaited<ReturnType<typeof startPrivateEngine>> | undefined;
  let two: TwoTenants;
  /** Ids by tenant and kind. */
  const ids = {} as Record<Who, Record<(typeof KINDS)[number] | 'task', string>>;
  let startedAt = 0;

  const spec = (name: string, container: object = {}, more: object = {}): Spec => ({
    Name: name,
    TaskTemplate: {
      ContainerSpec: {
        Image: IMAGE,
        Command: ['sh', '-c', `echo hello from ${name}; exec sleep 300`],
        StopSignal: 'SIGKILL',
        ...container,
      },
      ...more,
    },
    Mode: { Replicated: { Replicas: 1 } },
  });
  const running = (who: Who, service: string, count = 1): Promise<Task[]> =>
    until(`${count} tasks of ${service} run`, async () => {
      const filters = encodeURIComponent(JSON.stringify({ service: [service] }));
      const tasks = await must<Task[]>(two[who], 'GET', `/tasks?filters=${filters}`);
      const left = tasks.filter(({ Status }) => Status.State === 'running');
      return left.length === count ? left : undefined;
    });

  before(async () => {
    engine = await startPrivateEngine({ ...('path' in found ? found : {}), isAlone: true });
    await must(apiOver(engine.socket), 'POST', '/swarm/init', { ListenAddr: '127.0.0.1', AdvertiseAddr: '127.0.0.1' });
    startedAt = Math.floor(Date.now() / 1000);
    two = await startTwoTenants('operator', { engine: engine.socket });
    await Promise.all(
      BOTH.map(async (who) => {
        const make = (kind: string) =>
          must<{ ID: string }>(two[who], 'POST', `/${kind}s/create`, {
            Name: `${who}-${kind}`,
            Data: Buffer.from(`${kind} of ${who}\n`).toString('base64'),
          });
        const [secret, config] = await Promise.all([make('secret'), make('config')]);
        const file = { UID: '0', GID: '0', Mode: 292 };
        const service = await must<{ ID: string }>(
          two[who],
          'POST',
          '/services/create',
          spec(`${who}-service`, {
            Secrets: [{ SecretID: secret.ID, SecretName: `${who}-secret`, File: { Name: 's', ...file } }],
            Configs: [{ ConfigID: config.ID.slice(0, 10), ConfigName: `${who}-config`, File: { Name: '/c', ...file } }],
            Command: ['sh', '-c', 'cat /run/secrets/s /c; exec sleep 300'],
          }),
        );
        const [task] = await running(who, `${who}-service`);
        ids[who] = { service: service.ID, secret: secret.ID, config: config.ID, task: (task as Task).ID };
      }),
    );
  });
  after(async () => {
    await two?.gateway.remove();
    if (engine !== undefined) {
      await apiOver(engine.socket)('POST', '/swarm/leave?force=1');
      await engine.stop();
    }
  });

  it('each lists, reads and follows its own alone', async () => {
    for (const who of BOTH) {
      const other = who === 'alice' ? 'bob' : 'alice';
      for (const kind of KINDS) {
        const list = await must<{ ID: string; Spec: Spec }[]>(two[who], 'GET', `/${kind}s`);
        assert.deepEqual(
          list.map(({ ID, Spec }) => [ID, Spec.Labels?.['dockgate.owner']]),
          [[ids[who][kind], who]],
        );
      }
      const tasks = await must<Task[]>(two[who], 'GET', '/tasks');
      assert.deepEqual(
        tasks.map(({ ID, ServiceID }) => [ID, ServiceID]),
        [[ids[who].task, ids[who].service]],
      );
      assert.equal((await two[who]('GET', `/tasks/${ids[who].task.slice(0, 12)}`)).status, 200);
      for (const path of [`/services/${who}-service/logs?stdout=1`, `/tasks/${ids[who].task}/logs?stdout=1`]) {
        const logs = await until('the task has spoken', async () => {
          const { text } = await two[who]('GET', path);
          return text.includes('config of') && text;
        });
        assert.ok(logs.includes(`secret of ${who}`) && !logs.includes(other), logs);
      }
      const until_ = Math.floor(Date.now() / 1000) + 1;
      const { text } = await two[who]('GET', `/events?since=${startedAt}&until=${until_}`);
      assert.doesNotMatch(text, new RegExp(`${other}|"node"|"container"`));
      for (const kind of KINDS) assert.match(text, new RegExp(`"Type":"${kind}","Action":"create"`));
    }
  });

  it('a tenant sees neither nodes nor the swarm, and the containers of tasks have no owner', async () => {
    const [node] = await must<{ ID: string }[]>(two.engine, 'GET', '/nodes');
    assert.deepEqual(await must(two.alice, 'GET', '/nodes'), []);
    const engineWide = OPERATIONS.filter(
      ({ resource, action }) => resource === 'swarm' || (resource === 'node' && action !== 'node.list'),
    );
    assert.ok(engineWide.length >= 10);
    for (const { method, path, body, action } of engineWide) {
      const query = action === 'node.update' || action === 'swarm.update' ? '?version=1' : '';
      const answer = await two.alice(method, path.replace('{id}', node?.ID ?? '') + query, {
        body: body === undefined ? undefined : {},
      });
      // `docker inspect` goes on to the next kind after a 404 alone.
      assert.equal(answer.status, action === 'node.inspect' ? 404 : 403, `${path}: ${answer.text}`);
      assert.match(answer.text, /ask an operator/);
    }
    const mesh = { Name: 'mesh', Driver: 'overlay', Ingress: true };
    assert.equal((await two.alice('POST', '/networks/create', { body: mesh })).status, 403);
    const { Swarm } = await must<{ Swarm: object }>(two.alice, 'GET', '/info');
    assert.deepEqual(Swarm, { LocalNodeState: 'active', NodeID: '', NodeAddr: '', ControlAvailable: true });

    const all = await must<{ Id: string; Labels: Record<string, string> }[]>(two.engine, 'GET', '/containers/json');
    assert.equal(all.length, 2);
    for (const who of BOTH) {
      assert.deepEqual(await must(two[who], 'GET', '/containers/json?all=1'), []);
      const own = all.find(({ Labels }) => Labels['com.docker.swarm.service.id'] === ids[who].service);
      assert.equal(own?.Labels['dockgate.tenant'], who === 'alice' ? 'red' : 'blue');
      assert.equal(own?.Labels['dockgate.audit-id'], '');
      assert.equal((await two[who]('GET', `/containers/${own?.Id}/json`)).status, 404);
    }
    // A container on a network of the swarm shows no node's address.
    await must(two.alice, 'POST', '/networks/create', { Name: 'alice-net', Driver: 'overlay', Attachable: true });
    assert.equal((await two.bob('GET', '/networks/alice-net')).status, 404);
    assert.equal((await two.bob('POST', '/networks/create', { body: { Name: 'alice-net' } })).status, 409);
    assert.ok(!('Peers' in (await must(two.alice, 'GET', '/networks/alice-net?verbose=1'))));
  });

  for (const operation of OPERATIONS.filter(
    ({ path, resource, served }) => served && path.includes('{id}') && [...KINDS, 'task'].includes(resource as 'task'),
  )) {
    it(`${operation.method} ${operation.path}: bob gets the same answer for alice's object as for a missing one`, async () => {
      const kind = operation.resource as 'task' | 'service';
      const id = ids.alice[kind];
      const body = operation.method !== 'POST' ? undefined : kind === 'service' ? spec('x') : { Name: `alice-${kind}` };
      const ask = (name: string) => {
        const query = operation.method === 'POST' ? '?version=1' : operation.stream === 'response' ? '?stdout=1' : '';
        return two.bob(operation.method, operation.path.replace('{id}', name) + query, { body });
      };
      const names = kind === 'task' ? [] : [[`alice-${kind}`, `nobody-${kind}`]];
      const nobody = randomBytes(20).toString('hex');
      for (const [theirs, none] of [...[25, 12, 4].map((n) => [id.slice(0, n), nobody.slice(0, n)]), ...names]) {
        const [foreign, missing] = [await ask(theirs as string), await ask(none as string)];
        const told = (text: string) => text.replaceAll(theirs as string, 'NAME').replaceAll(none as string, 'NAME');
        assert.equal(foreign.status, 404, foreign.text);
        assert.equal(told(foreign.text).replace(/ \[audit .*\]/, ''), told(missing.text).replace(/ \[audit .*\]/, ''));
      }
    });
  }

  it('a service names nothing of another tenant\u2019s, and a list is asked for nothing of it', async () => {
    await must(two.alice, 'POST', `/images/${IMAGE}/tag?repo=alice-image&tag=1`);
    await must(two.alice, 'POST', '/volumes/create', { Name: 'alice-volume' });
    const file = { Name: 's', UID: '0', GID: '0', Mode: 292 };
    const secret = (SecretID: string, SecretName: string) => ({ Secrets: [{ SecretID, SecretName, File: file }] });
    const volume = (Source: string) => ({ Mounts: [{ Type: 'volume', Source, Target: '/v' }] });
    for (const [title, container, more, status] of [
      ['secret', secret(ids.alice.secret, 'alice-secret'), {}, 404],
      ['secret by its name', secret(ids.bob.secret, 'alice-secret'), {}, 404],
      ['image', { Image: 'alice-image:1' }, {}, 404],
      ['network', {}, { Networks: [{ Target: 'alice-net' }] }, 404],
      ['volume', volume('alice-volume'), {}, 403],
      // Not even one without an owner: another tenant may own it when a task starts.
      ['volume without an owner', volume('bob-volume'), {}, 403],
      ['label', { Labels: { 'dockgate.audit-id': ids.alice.service } }, {}, 403],
      [
        'label of a volume',
        { Mounts: [{ Type: 'volume', Target: '/v', VolumeOptions: { Labels: { 'dockgate.audit-id': 'x' } } }] },
        {},
        403,
      ],
    ] as const) {
      const answer = await two.bob('POST', '/services/create', { body: spec('bob-thief', container, more) });
      assert.equal(answer.status, status, `${title}: ${answer.text}`);
    }
    for (const filter of [{ service: ['alice-service'] }, { service: ['nobody'] }, { node: ['self'] }]) {
      const answer = await two.bob('GET', `/tasks?filters=${encodeURIComponent(JSON.stringify(filter))}`);
      assert.equal(answer.status, 404, answer.text);
    }
    // Neither its name nor the start of its id is bob's to take.
    for (const name of ['alice-service', ids.alice.service, ids.alice.service.slice(0, 8)]) {
      const answer = await two.bob('POST', '/services/create', { body: spec(name) });
      assert.equal(answer.status, 409, answer.text);
      assert.match(answer.text, /name conflicts with an existing object/);
    }
    assert.equal((await two.bob('GET', '/services')).text.includes('thief'), false);
  });

  it('a service keeps its image when another tenant takes the name, and its tasks when nothing changed', async () => {
    const { ID } = await must<{ ID: string }>(two.alice, 'POST', '/services/create', {
      ...spec('alice-pinned', { Image: 'alice-image:1' }),
    });
    const [first] = await running('alice', ID);
    await must(two.alice, 'DELETE', '/images/alice-image:1');
    await must(two.bob, 'POST', `/images/${IMAGE}/tag?repo=alice-image&tag=1`);
    const shown = await must<Service>(two.alice, 'GET', `/services/${ID}`);
    assert.match(shown.Spec.TaskTemplate.ContainerSpec.Image, /^sha256:[0-9a-f]{64}$/);
    // As tools do: what was shown goes back with another number of replicas.
    shown.Spec.Mode = { Replicated: { Replicas: 2 } };
    await must(two.alice, 'POST', `/services/${ID}/update?version=${shown.Version.Index}`, shown.Spec);
    const tasks = await running('alice', ID, 2);
    assert.ok(tasks.some((task) => task.ID === first?.ID));
    await must(two.alice, 'DELETE', `/services/${ID}`);
    assert.equal((await two.alice('GET', `/services/${ID}`)).status, 404);
  });

  it('a quota a service would get round refuses services; others leave them alone', async () => {
    await admin(two.gateway, 'POST', '/tenants', { name: 'red', quota: {} });
    const make = () => two.alice('POST', '/services/create', { body: spec('counted', {}) });
    const set = (quota: Record<string, number | null>) => admin(two.gateway, 'PATCH', '/tenants/red', { quota });
    for (const key of ['containers', 'running', 'ports', 'volumes', 'memory', 'swap', 'pids', 'write-layer-bytes']) {
      await set({ [key]: 100 });
      const { status, text } = await make();
      assert.equal(status, 403, `${key}: ${text}`);
      assert.match(
        text,
        new RegExp(`the quota of tenant red counts ${key}, and what a service starts cannot be counted`),
      );
      await set({ [key]: null });
    }
    await set({ images: 100, networks: 100 });
    const made = await make();
    assert.equal(made.status, 201, made.text);
    await must(two.alice, 'DELETE', `/services/${(made.json as { ID: string }).ID}`);
    await set({ images: null, networks: null });
  });

  it('what an operator removes is gone for its tenant', async () => {
    await must(
      two.operator,
      'DELETE',
      `/secrets/${(await must<{ ID: string }>(two.alice, 'POST', '/secrets/create', { Name: 'short', Data: 'eA==' })).ID}`,
    );
    await until('the ledger knows', async () => (await two.alice('GET', '/secrets/short')).status === 404);
  });

  it('stacks of one name are each tenant\u2019s own', {
    skip: DOCKER_CLI === undefined && 'no docker CLI here',
  }, async () => {
    const cli = async (who: Who, ...args: string[]): Promise<string> => {
      const home = join(two.gateway.dir, `${who}-home`);
      const host = `unix://${join(two.gateway.dir, `${who}.sock`)}`;
      const ran = await docker({ PATH: process.env.PATH, HOME: home, DOCKER_CONFIG: home, DOCKER_HOST: host }, args);
      if (ran.code !== 0) throw new Error(ran.stderr);
      return ran.stdout;
    };
    await Promise.all(
      BOTH.map((who) => {
        mkdirSync(join(two.gateway.dir, `${who}-home`));
        const file = join(two.gateway.dir, `${who}-stack.yaml`);
        const service = { image: IMAGE, command: ['sleep', '300'], stop_signal: 'SIGKILL', networks: ['hosts'] };
        const networks = { hosts: { external: true, name: 'host' } };
        writeFileSync(file, JSON.stringify({ version: '3.8', services: { [`of-${who}`]: service }, networks }));
        return cli(who, 'stack', 'deploy', '--detach', '--prune', '--resolve-image', 'never', '-c', file, 'shop');
      }),
    );
    for (const who of BOTH) {
      assert.equal(await cli(who, 'stack', 'services', 'shop', '--format', '{{.Name}}'), `shop_of-${who}\n`);
      assert.match(
        await cli(who, 'stack', 'ps', 'shop', '--format', '{{.Name}}'),
        new RegExp(`^shop_of-${who}\\.1\n$`),
      );
    }
    // Asked for a name alone, the CLI looks for it kind after kind.
    await assert.rejects(cli('alice', 'inspect', 'bob-service'), /[Nn]o such object: bob-service/);
    assert.equal(await cli('bob', 'inspect', '--format', '{{.ID}}', 'bob-service'), `${ids.bob.service}\n`);
    await cli('alice', 'stack', 'rm', '--detach', 'shop');
    const left = await must<Service[]>(two.engine, 'GET', '/services');
    assert.deepEqual(left.map(({ Spec }) => Spec.Name).sort(), ['alice-service', 'bob-service', 'shop_of-bob']);
    await cli('bob', 'stack', 'rm', '--detach', 'shop');
  });
});
