// What happens behind the gateway's back, between its steps, and while it is dead: a name that changes hands between judge and
// send, an object removed or renamed at the engine, and a kill between intent and outcome.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Api, apiOver, must } from '../support/api.ts';
import { ENGINE, IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';
import { until } from '../support/until.ts';

const PREFIX = `dg-race-${IS_DENO ? 'deno' : 'node'}`;
/** Rounds of a name changing hands, and how many at once. */
const ROUNDS = Number(process.env.DOCKGATE_TEST_SWAP_ROUNDS ?? 50);
const LANES = Number(process.env.DOCKGATE_TEST_SWAP_LANES ?? 4);

const create = (api: Api, name: string, more: object = {}) =>
  must<{ Id: string }>(api, 'POST', `/containers/create?name=${PREFIX}-${name}`, {
    Image: IMAGE,
    Cmd: ['sleep', '300'],
    HostConfig: { NetworkMode: 'none', ...more },
  });

describe('names that change hands', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  before(async () => {
    two = await startTwoTenants();
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });

  /** One round; true when alice got the container's name. */
  async function swap(round: number): Promise<boolean> {
    // New names each round: an engine may keep a name for ever whose container was renamed and removed at once.
    const name = `swap-${round}-${process.pid}`;
    const swapped = `${PREFIX}-swapped-${round}`;
    const volume = `${PREFIX}-vol-${round}`;
    // Bob has the names; while his calls are on their way they are given up, and alice takes them.
    const [{ Id: bobs }] = await Promise.all([
      create(two.bob, name),
      must(two.bob, 'POST', '/volumes/create', { Name: volume }),
    ]);
    const asked = Promise.all([
      two.bob('GET', `/containers/${PREFIX}-${name}/json`),
      two.bob('GET', `/volumes/${volume}`),
      two.bob('POST', `/containers/${PREFIX}-${name}/rename?name=${swapped}`),
    ]);
    const given = Promise.all([
      two.bob('DELETE', `/containers/${bobs}?force=1`),
      two.bob('DELETE', `/volumes/${volume}`),
    ]);
    const takes = async (): Promise<string | undefined> => {
      for (let attempt = 0; attempt < 20; attempt++) {
        const [container, taken] = await Promise.all([
          two.alice('POST', `/containers/create?name=${PREFIX}-${name}`, { body: { Image: IMAGE } }),
          two.alice('POST', '/volumes/create', { body: { Name: volume } }),
        ]);
        if (container.status === 201) {
          if (taken.status !== 201)
            await until(
              'alice has the volume',
              async () => (await two.alice('POST', '/volumes/create', { body: { Name: volume } })).status === 201,
            );
          return (container.json as { Id: string }).Id;
        }
        if (taken.status === 201) continue;
      }
      return undefined;
    };
    const [[container, shown, renamed], , alices] = await Promise.all([asked, given, takes()]);
    const seen = container.json as { Id?: string };
    if (container.status === 200) assert.equal(seen.Id, bobs, `round ${round}`);
    if (shown.status === 200) {
      const labels = (shown.json as { Labels: Record<string, string> }).Labels;
      assert.equal(labels['dockgate.tenant'], 'blue', `round ${round}: ${shown.text}`);
    }
    assert.ok([204, 404, 409, 500].includes(renamed.status), renamed.text);
    if (alices !== undefined) {
      const mine = await must<{ Name: string }>(two.engine, 'GET', `/containers/${alices}/json`);
      assert.equal(mine.Name, `/${PREFIX}-${name}`, `round ${round}: bob renamed what is alice's`);
      assert.equal((await two.bob('GET', `/containers/${PREFIX}-${name}/json`)).status, 404);
    }
    await until('both names are free again', async () => {
      const paths = [`/containers/${PREFIX}-${name}`, `/containers/${swapped}`, `/volumes/${volume}`];
      const gone = await Promise.all(paths.map((path) => two.engine('DELETE', `${path}?force=1`)));
      // A removal by force of a volume that is not there is a success.
      return gone.slice(0, 2).every(({ status }) => status === 404) && gone[2]?.status === 204;
    });
    await until('the gateway knows', async () => (await two.bob('GET', `/volumes/${volume}`)).status === 404);
    return alices !== undefined;
  }

  it(`bob never reaches what alice makes under a name that was his, in ${ROUNDS} rounds`, async () => {
    let next = 0;
    let taken = 0;
    // Each lane has names of its own; together they keep the engine busy, and the gateway's steps interleave more.
    const lane = async (): Promise<void> => {
      while (next < ROUNDS) if (await swap(next++)) taken++;
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    assert.ok(taken > 0, 'the names never changed hands');
  });

  it('what is removed or renamed at the engine leaves no stale right', async () => {
    const { Id } = await create(two.alice, 'behind');
    await must(two.engine, 'POST', `/containers/${Id}/rename?name=${PREFIX}-moved`);
    await until(
      'the new name is known',
      async () => (await two.alice('GET', `/containers/${PREFIX}-moved/json`)).status === 200,
    );
    assert.equal((await two.alice('GET', `/containers/${PREFIX}-behind/json`)).status, 404);
    await must(two.engine, 'DELETE', `/containers/${Id}?force=1`);
    // Another caller makes one under the same name, and a volume under the name of one that is gone.
    await must(two.engine, 'POST', `/containers/create?name=${PREFIX}-moved`, { Image: IMAGE });
    assert.equal((await two.alice('GET', `/containers/${PREFIX}-moved/json`)).status, 404);

    await must(two.alice, 'POST', '/volumes/create', { Name: `${PREFIX}-behind` });
    await must(two.engine, 'DELETE', `/volumes/${PREFIX}-behind`);
    await must(two.engine, 'POST', '/volumes/create', { Name: `${PREFIX}-behind` });
    await until(
      'the volume has no owner',
      async () => (await two.alice('GET', `/volumes/${PREFIX}-behind`)).status === 404,
    );
  });

  it('an exec instance belongs to its container\u2019s tenant', async () => {
    const { Id } = await create(two.alice, 'exec');
    await must(two.alice, 'POST', `/containers/${Id}/start`);
    const exec = await must<{ Id: string }>(two.alice, 'POST', `/containers/${Id}/exec`, {
      Cmd: ['echo', 'hello'],
      AttachStdout: true,
    });
    assert.equal((await two.bob('GET', `/exec/${exec.Id}/json`)).status, 404);
    assert.equal((await two.bob('POST', `/exec/${exec.Id}/start`, { body: { Detach: false } })).status, 404);
    const ran = await two.alice('POST', `/exec/${exec.Id}/start`, { body: { Detach: false } });
    assert.match(ran.text, /hello/);
  });
});

describe('a kill between intent and outcome', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants | undefined;
  let stalling: net.Server | undefined;
  const sockets = new Set<net.Socket>();
  after(async () => {
    await removeAll(apiOver(ENGINE as string), `${PREFIX}-kill`);
    await two?.gateway.remove();
    stalling?.close();
    for (const socket of sockets) socket.destroy();
  });

  it('what was made is found by its maker after the restart, and what was not is free', async () => {
    // Between gateway and engine: answers to a creation are held back, so that the gateway dies before it has them.
    let holdBack = false;
    let heldBack = 0;
    stalling = net.createServer((caller) => {
      const engine = net.connect(ENGINE as string);
      sockets.add(caller).add(engine);
      let isCreate = false;
      caller.on('data', (data: Buffer) => {
        if (/^POST (?:\/v1\.\d+)?\/(containers|networks|volumes)\/create/.test(data.toString('latin1')))
          isCreate = holdBack;
        engine.write(data);
      });
      engine.on('data', (data: Buffer) => {
        if (isCreate) heldBack++;
        else caller.write(data);
      });
      for (const [a, b] of [
        [caller, engine],
        [engine, caller],
      ] as const) {
        a.on('close', () => b.destroy());
        a.on('error', () => b.destroy());
      }
    });
    const socket = join(tmpdir(), `${PREFIX}-${process.pid}.sock`);
    await new Promise<void>((resolve) => stalling?.listen(socket, resolve));
    two = await startTwoTenants('operator', { engine: socket });
    const { alice, bob, gateway } = two;
    await must(alice, 'GET', '/containers/json');
    holdBack = true;
    const send = (path: string, body: object) => {
      const request = http.request({
        socketPath: join(gateway.dir, 'alice.sock'),
        method: 'POST',
        path,
        agent: false,
        headers: { 'content-type': 'application/json' },
      });
      request.on('error', () => {});
      request.end(JSON.stringify(body));
    };
    send(`/containers/create?name=${PREFIX}-kill-c`, {
      Image: IMAGE,
      HostConfig: { NetworkMode: 'none', Binds: [`${PREFIX}-kill-implicit:/v`] },
    });
    send('/networks/create', { Name: `${PREFIX}-kill-n`, Internal: true });
    send('/volumes/create', { Name: `${PREFIX}-kill-v` });
    // The engine refuses this one: nothing may be left of it.
    send(`/containers/create?name=${PREFIX}-kill-none`, {
      Image: 'none-such',
      HostConfig: { Binds: [`${PREFIX}-kill-free:/v`] },
    });
    await until('the engine has answered', () => heldBack >= 3);
    await until(
      'all is made',
      async () => (await apiOver(ENGINE as string)('GET', `/containers/${PREFIX}-kill-c/json`)).status === 200,
    );
    await gateway.stop('SIGKILL');
    holdBack = false;
    await gateway.restart();
    const found = await must<{ Id: string }>(alice, 'GET', `/containers/${PREFIX}-kill-c/json`);
    assert.match(found.Id, /^[0-9a-f]{64}$/);
    await must(alice, 'GET', `/networks/${PREFIX}-kill-n`);
    await must(alice, 'GET', `/volumes/${PREFIX}-kill-v`);
    await must(alice, 'GET', `/volumes/${PREFIX}-kill-implicit`);
    for (const path of [
      `/containers/${PREFIX}-kill-c/json`,
      `/networks/${PREFIX}-kill-n`,
      `/volumes/${PREFIX}-kill-v`,
    ]) {
      assert.equal((await bob('GET', path)).status, 404, path);
    }
    await must(bob, 'POST', '/volumes/create', { Name: `${PREFIX}-kill-free` });
    const report = await gateway.must('audit', 'verify').catch(() => 'no such command');
    assert.doesNotMatch(report, /broken|wrong/i);
  });
});
