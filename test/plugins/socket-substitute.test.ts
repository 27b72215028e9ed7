// socket-substitute before a real engine: a container that binds the engine's socket gets one that speaks for its maker, with the
// credentials it was made with and no more, for as long as these and the container last. What stands in the container is reached
// by its own path there, /proc/PID/root.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { admin } from '../support/admin.ts';
import { type Answer, type Api, apiOver } from '../support/api.ts';
import { ENGINE, IMAGE, removeContainers, skipWithoutEngine } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { until } from '../support/until.ts';

const P = `dg-sock-${IS_DENO ? 'd' : 'n'}-`;
const SOCKET = '/var/run/docker.sock';
const RULES = `
  - { name: all, effect: allow, actions: ["container.*", "system.*"], host: { preset: baseline } }`;

describe('socket-substitute', { skip: skipWithoutEngine }, () => {
  let gateway: TestGateway;
  let engine: Api;
  const folder = (): string => join(gateway.dir, 'data', 'own-sockets');
  const sockets = (): readonly string[] =>
    existsSync(folder()) ? readdirSync(folder()).filter((name) => name.endsWith('.sock')) : [];

  before(async () => {
    engine = apiOver(ENGINE as string);
    removeContainers(P);
    gateway = await startGateway({
      engine: ENGINE as string,
      unix: ['ci', 'other', 'alice', 'bob'].map((name) => ({ name, identity: name })),
      settings: {
        plugins: [
          { use: 'socket-substitute', needs: ['sockets'], config: { for: ['ci', 'tenant/*'] } },
          { use: 'no-privileged' },
          { use: 'bind-mounts', config: { roots: [] } },
        ],
      },
    });
    const file = join(gateway.dir, 'workers.yaml');
    writeFileSync(file, `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: workers }\nrules:${RULES}\n`);
    await gateway.must('policy', 'apply', '-f', file);
    for (const [name, tenant] of [['ci'], ['other'], ['alice', 'red'], ['bob', 'blue']])
      await admin(gateway, 'POST', '/identities', { name, policies: ['workers'], tenant });
  });
  after(async () => {
    removeContainers(P);
    await gateway?.remove();
  });

  /** Calls by a bound socket, with a token where one is named. */
  const as = (name: string, token?: string): Api => {
    const api = apiOver(join(gateway.dir, `${name}.sock`));
    return token === undefined
      ? api
      : (method, path, options = {}) =>
          api(method, path, { ...options, headers: { ...options.headers, authorization: `Bearer ${token}` } });
  };
  const bound = (bind: string): object => ({
    Image: IMAGE,
    Cmd: ['sleep', '300'],
    HostConfig: { NetworkMode: 'none', Binds: [bind] },
  });
  const create = (caller: Api, name: string, body: object = bound(`${SOCKET}:${SOCKET}`)): Promise<Answer> =>
    caller('POST', `/v1.44/containers/create?name=${P}${name}`, { body });
  async function started(caller: Api, name: string, body?: object): Promise<string> {
    const made = await create(caller, name, body);
    assert.equal(made.status, 201, made.text);
    const ran = await caller('POST', `/v1.44/containers/${P}${name}/start`);
    assert.equal(ran.status, 204, ran.text);
    return (made.json as { Id: string }).Id;
  }
  /** Calls as a program in the container makes them. */
  async function inside(id: string, target = SOCKET): Promise<Api> {
    const { json } = await engine('GET', `/containers/${id}/json`);
    return apiOver(`/proc/${(json as { State: { Pid: number } }).State.Pid}/root${target}`);
  }
  const token = async (...words: string[]): Promise<string> => gateway.must('token', 'create', ...words);

  it('every form of a bind gets a socket of its own, which does what its maker may and no more', async () => {
    const id = await started(as('ci'), 'one');
    const made = (await engine('GET', `/containers/${id}/json`)).json as { Mounts: { Source: string }[] };
    assert.match(made.Mounts[0]?.Source ?? '', /\/own-sockets\/[0-9a-f]{24}\.sock$/);
    const own = await inside(id);
    assert.equal((await own('GET', '/v1.44/containers/json')).status, 200);
    assert.equal((await create(own, 'child', { Image: IMAGE, HostConfig: { NetworkMode: 'none' } })).status, 201);
    const privileged = await create(own, 'no', { Image: IMAGE, HostConfig: { Privileged: true } });
    assert.equal(privileged.status, 403, privileged.text);
    assert.equal((await create(own, 'no', bound('/etc:/e'))).status, 403);
    assert.equal((await own('GET', '/v1.44/volumes')).status, 403);
    // A container made by way of it binds the socket as well: the same credentials again.
    const nested = await inside(await started(own, 'nested'));
    assert.equal((await nested('GET', '/v1.44/containers/json')).status, 200);
    assert.equal((await nested('GET', '/v1.44/volumes')).status, 403);
    const mount = (Source: string) => ({
      Image: IMAGE,
      Cmd: ['sleep', '300'],
      HostConfig: { NetworkMode: 'none', Mounts: [{ Type: 'bind', Source, Target: '/s' }] },
    });
    for (const [at, body] of [
      ['mount', mount('/run/docker.sock')],
      ['spelling', mount('//var/./run/../run/docker.sock/')],
      ['engine', mount(ENGINE as string)],
      ['own', mount(join(gateway.dir, 'ci.sock'))],
      ['read-only', bound('/run/docker.sock:/s:ro')],
    ] as const) {
      const other = await inside(await started(as('ci'), at, body), '/s');
      assert.equal((await other('GET', '/v1.44/containers/json')).status, 200, at);
    }
  });

  it('the audit tells the change, and each call that came by the socket', async () => {
    const shown = await gateway.must('audit', 'ls', '--json', '--action', 'container.create', '--limit', '50');
    assert.match(shown, /own-socket|own-sockets\/[0-9a-f]{24}\.sock:\/var\/run\/docker\.sock/);
    assert.match(shown, /"before": "\/var\/run\/docker\.sock:\/var\/run\/docker\.sock"/);
    assert.match(shown, /"listener": "unix:[^"]*own-sockets/);
    assert.match(await gateway.must('audit', 'ls', '--json', '--action', 'socket.substitute'), /"subject": "ci"/);
  });

  it('what else reaches a socket is judged as ever, also the path of one that is there', async () => {
    const [path = ''] = sockets();
    for (const bind of [
      `${folder()}/${path}:/s`,
      `${folder()}:/s`,
      `${join(gateway.dir, 'data')}:/s`,
      `${join(gateway.dir, 'bob.sock')}:/s`,
      '/var/run:/s',
      '/run:/s',
      `${folder()}/${'0'.repeat(24)}.sock:/s`,
    ]) {
      for (const who of ['ci', 'other', 'alice']) {
        const { status, text } = await create(as(who), 'no', bound(bind));
        assert.equal(status, 403, `${who} ${bind}: ${text}`);
      }
    }
    // The plugin is not for this caller.
    assert.equal((await create(as('other'), 'no')).status, 403);
  });

  it('a token that may less does not get at the power of a container made with another', async () => {
    const wide = await token('ci');
    const narrow = await token('ci', '--scope', 'container.*', '--ttl', '1h');
    const id = await started(as('ci', wide), 'wide');
    const exec = { body: { Cmd: ['true'] } };
    for (const who of [as('ci', narrow), as('other')]) {
      const refused = await who('POST', `/v1.44/containers/${id}/exec`, exec);
      assert.equal(refused.status, 403);
      assert.match(refused.text, /a socket that speaks for other credentials than yours/);
      const from = { Image: IMAGE, HostConfig: { NetworkMode: 'none', VolumesFrom: [`${P}wide`] } };
      assert.equal((await create(who, 'no', from)).status, 403);
    }
    assert.equal((await as('ci', wide)('POST', `/v1.44/containers/${id}/exec`, exec)).status, 201);
    // No token is taken beside the socket.
    const own = await inside(id);
    const { status } = await own('GET', '/v1.44/containers/json', { headers: { authorization: `Bearer ${narrow}` } });
    assert.equal(status, 401);
  });

  it("a token's scope, its end and its revocation hold in the container", async () => {
    const listing = await token('ci', ...['list', 'create', 'start'].flatMap((one) => ['--scope', `container.${one}`]));
    const own = await inside(await started(as('ci', listing), 'scope'));
    assert.equal((await own('GET', '/v1.44/containers/json')).status, 200);
    const removed = await own('DELETE', `/v1.44/containers/${P}scope?force=1`);
    assert.equal(removed.status, 403, removed.text);
    assert.match(removed.text, /scope/);

    const short = await inside(await started(as('ci', await token('ci', '--ttl', '2s')), 'short'));
    assert.equal((await short('GET', '/v1.44/containers/json')).status, 200);
    await until('the token has expired', async () => (await short('GET', '/v1.44/containers/json')).status === 401);

    const gone = await token('ci');
    const revoked = await inside(await started(as('ci', gone), 'revoked'));
    assert.equal((await revoked('GET', '/v1.44/containers/json')).status, 200);
    const { jti } = JSON.parse(Buffer.from(gone.split('.')[1] ?? '', 'base64url').toString()) as { jti: string };
    await gateway.must('token', 'revoke', jti);
    assert.equal((await revoked('GET', '/v1.44/containers/json')).status, 401);
  });

  it("tenants: each container's socket shows its tenant's own", async () => {
    const [alice, bob] = await Promise.all(['alice', 'bob'].map(async (who) => inside(await started(as(who), who))));
    for (const [own, name] of [
      [alice, 'alice'],
      [bob, 'bob'],
    ] as const) {
      const { json } = await (own as Api)('GET', '/v1.44/containers/json');
      assert.deepEqual(
        (json as { Names: string[] }[]).map(({ Names }) => Names[0]),
        [`/${P}${name}`],
      );
    }
    assert.equal((await (alice as Api)('GET', `/v1.44/containers/${P}bob/json`)).status, 404);
    assert.equal((await (alice as Api)('DELETE', `/v1.44/containers/${P}bob?force=1`)).status, 404);
  });

  it('the socket goes with its container, and a call that makes none leaves none', async () => {
    const before = sockets().length;
    assert.equal((await create(as('ci'), 'none', { ...bound(`${SOCKET}:/s`), Image: 'no-such:image' })).status, 404);
    await until('no socket is left', () => sockets().length === before);
    const id = await started(as('ci'), 'leaves');
    assert.equal(sockets().length, before + 1);
    assert.equal((await as('ci')('DELETE', `/v1.44/containers/${id}?force=1`)).status, 204);
    await until('the socket is gone', () => sockets().length === before);
  });

  it('after a kill -9 the sockets of containers that are there are opened again, and no others', async () => {
    const kept = await started(as('ci'), 'kept');
    const lost = await started(as('ci'), 'lost');
    const short = await token('ci', '--ttl', '1h');
    const id = await started(as('ci', short), 'kept-token');
    const count = sockets().length;
    await gateway.stop('SIGKILL');
    writeFileSync(join(folder(), 'stray.sock'), '');
    await engine('DELETE', `/containers/${lost}?force=1`);
    await gateway.restart();
    await until('the lost one is gone', () => sockets().length === count - 1);
    for (const one of [kept, id]) {
      assert.equal(
        (await as('ci', one === id ? short : undefined)('POST', `/v1.44/containers/${one}/restart?t=0`)).status,
        204,
      );
      const own = await inside(one);
      assert.equal((await own('GET', '/v1.44/containers/json')).status, 200);
      assert.equal((await own('GET', '/v1.44/volumes')).status, 403);
    }
  });

  it('an identity that is disabled, or whose bound socket is gone, has no sockets in containers', async () => {
    await admin(gateway, 'POST', '/identities', { name: 'leaver', policies: ['workers'], tenant: 'green' });
    const path = join(gateway.dir, 'leaver.sock');
    await gateway.must('socket', 'add', '--identity', 'leaver', '--path', path, '--mode', '0600');
    const own = await inside(await started(apiOver(path), 'leaver'));
    assert.equal((await own('GET', '/v1.44/containers/json')).status, 200);
    await gateway.must('identity', 'disable', 'leaver');
    assert.equal((await own('GET', '/v1.44/containers/json')).status, 401);
    await gateway.must('identity', 'enable', 'leaver');
    assert.equal((await own('GET', '/v1.44/containers/json')).status, 200);
    await gateway.must('socket', 'remove', path);
    await assert.rejects(own('GET', '/v1.44/containers/json'));
  });
});
