// Every quota against a real engine, of a tenant and of each of its identities: what fits is made, one more is refused with the
// quota and its use, and another identity of the tenant is held by the one and not by the other.
import assert from 'node:assert/strict';
import http from 'node:http';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { admin, until } from '../support/admin.ts';
import { type Answer, type Api, apiOver } from '../support/api.ts';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-quota-${IS_DENO ? 'deno' : 'node'}`;
const MIB = 1024 * 1024;
const LEVELS = [
  ['quota', 'tenant red'],
  ['identityQuota', 'identity alice of tenant red'],
] as const;

type Call = (who: Api) => Promise<Answer>;
const create =
  (name: string, host: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Call =>
  (who) =>
    who('POST', `/v1.41/containers/create?name=${PREFIX}-${name}`, {
      body: { Image: IMAGE, Cmd: ['sleep', '300'], HostConfig: { NetworkMode: 'none', ...host }, ...more },
    });
const act =
  (name: string, verb: string, body?: unknown): Call =>
  (who) =>
    who('POST', `/v1.41/containers/${PREFIX}-${name}/${verb}`, { body });
const volume =
  (name: string): Call =>
  (who) =>
    who('POST', '/v1.41/volumes/create', { body: { Name: `${PREFIX}-${name}` } });
const network =
  (name: string): Call =>
  (who) =>
    who('POST', '/v1.41/networks/create', { body: { Name: `${PREFIX}-${name}`, Driver: 'bridge', Internal: true } });
const tag =
  (name: string): Call =>
  (who) =>
    who('POST', `/v1.41/images/${IMAGE}/tag?repo=${PREFIX}-${name}&tag=1`);
const ports = (...list: number[]) => ({
  NetworkMode: 'bridge',
  PortBindings: Object.fromEntries(list.map((port) => [`${port}/tcp`, [{ HostIp: '127.0.0.1', HostPort: '' }]])),
});

interface Row {
  readonly quota: Record<string, string | number>;
  /** What there is room for. */
  readonly fits: readonly Call[];
  /** What there is none for, with the words that follow whose quota it is. */
  readonly over: readonly (readonly [Call, RegExp])[];
  /** What there is none for whichever identity asks: alice's container counts for alice. */
  readonly hers?: readonly Call[];
  /** What another identity has room for while alice has none; else the first of what she has none for. */
  readonly others?: readonly Call[];
  /** What stays allowed when all is in use. */
  readonly still?: readonly Call[];
}

const ROWS: Readonly<Record<string, Row>> = {
  containers: {
    quota: { containers: 1 },
    fits: [create('a')],
    over: [[create('b'), /is 1 container, 1 in use and 1 more asked for/]],
    still: [act('a', 'start'), act('a', 'restart?t=0'), act('a', `rename?name=${PREFIX}-z`)],
  },
  running: {
    quota: { running: 1 },
    fits: [create('a'), create('b'), act('a', 'start')],
    over: [
      [act('b', 'start'), /is 1 running container, 1 in use/],
      [act('b', 'restart'), /is 1 running container, 1 in use/],
    ],
    hers: [act('b', 'start'), act('b', 'restart')],
    others: [create('k'), act('k', 'start')],
    still: [act('a', 'restart?t=0'), act('a', 'pause'), act('a', 'unpause'), act('a', 'exec', { Cmd: ['true'] })],
  },
  memory: {
    quota: { memory: '64MiB' },
    fits: [create('a', { Memory: 48 * MIB })],
    over: [
      [create('b', { Memory: 17 * MIB }), /is 64 MiB of memory, 48 MiB in use and 17 MiB more/],
      [create('b'), /counts memory, .* HostConfig.Memory has no limit/],
      [act('a', 'update', { Memory: 65 * MIB }), /is 64 MiB of memory, 48 MiB in use and 17 MiB more/],
      [create('b', { Memory: 6 * MIB, MemorySwap: 7 * MIB }), /is 0 bytes of swap/],
    ],
    hers: [act('a', 'update', { Memory: 65 * MIB }), act('a', 'update', { MemorySwap: -1 })],
    still: [act('a', 'update', { Memory: 64 * MIB }), act('a', 'start')],
  },
  cpus: {
    quota: { cpus: 0.5 },
    fits: [create('a', { NanoCpus: 3e8 })],
    over: [
      [create('b', { CpuQuota: 30_000 }), /is 0.5 CPUs, 0.3 in use and 0.3 more/],
      [create('b', { CpuPeriod: 10_000 }), /counts cpus, .* HostConfig.NanoCpus has no limit/],
      [act('a', 'update', { NanoCpus: 6e8 }), /is 0.5 CPUs, 0.3 in use and 0.3 more/],
    ],
    hers: [act('a', 'update', { NanoCpus: 6e8 })],
    still: [act('a', 'update', { NanoCpus: 5e8 }), act('a', 'start')],
  },
  pids: {
    quota: { pids: 100 },
    fits: [create('a', { PidsLimit: 60 })],
    over: [
      [create('b', { PidsLimit: 41 }), /is 100 processes, 60 in use and 41 more/],
      [create('b', { PidsLimit: -1 }), /counts pids, .* HostConfig.PidsLimit has no limit/],
      [act('a', 'update', { PidsLimit: 0 }), /PidsLimit has no limit/],
    ],
    hers: [act('a', 'update', { PidsLimit: 101 }), act('a', 'update', { PidsLimit: 0 })],
    still: [act('a', 'update', { PidsLimit: 100 }), act('a', 'start')],
  },
  ports: {
    quota: { ports: 2 },
    fits: [create('a', ports(80, 81))],
    over: [
      [create('b', ports(80)), /is 2 published ports, 2 in use and 1 more/],
      [create('b', { PortBindings: { '80/tcp': [{ HostPort: '30000-30009' }] } }), /2 in use and 1 more/],
      [create('b', { PortBindings: { '80/tcp': [] } }), /2 in use and 1 more/],
      [create('b', { PublishAllPorts: true }), /PublishAllPorts does not say how many/],
      [create('b', { NetworkMode: 'host' }), /on the network of the host a container takes any/],
    ],
    still: [create('c', { NetworkMode: 'bridge' }), act('a', 'start')],
  },
  volumes: {
    quota: { volumes: 2 },
    fits: [create('a', { Binds: [`${PREFIX}-v1:/v`] }, { Volumes: { '/v': {}, '/w': {} } })],
    over: [
      [volume('v2'), /is 2 volumes, 2 in use and 1 more/],
      [create('b', { Binds: [`${PREFIX}-v2:/v`, `${PREFIX}-v3:/w`] }), /2 in use and 2 more/],
      [create('b', {}, { Volumes: { '/a': {} } }), /2 in use and 1 more/],
      [create('b', { Mounts: [{ Type: 'volume', Target: '/a' }] }), /2 in use and 1 more/],
    ],
    still: [create('c', { Binds: [`${PREFIX}-v1:/v`] }, { Volumes: { '/v': {} } }), volume('v1')],
  },
  networks: {
    quota: { networks: 1 },
    fits: [network('n1')],
    over: [[network('n2'), /is 1 network, 1 in use and 1 more/]],
    still: [create('a', { NetworkMode: `${PREFIX}-n1` })],
  },
  images: {
    quota: { images: 1 },
    fits: [tag('i1')],
    over: [[tag('i2'), /is 1 image, 1 in use and 1 more/]],
    still: [create('a')],
  },
};

describe('quotas of a tenant and of its identities', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  let carol: Api;
  const set = (limits: Record<string, Record<string, string | number | null>>) =>
    admin(two.gateway, 'PATCH', '/tenants/red', limits);
  const messageOf = ({ json }: Answer) => (json as { message: string }).message;

  before(async () => {
    two = await startTwoTenants();
    await removeAll(two.engine, PREFIX);
    await admin(two.gateway, 'POST', '/tenants', { name: 'red' });
    await admin(two.gateway, 'POST', '/identities', { name: 'carol', policies: ['operator'], tenant: 'red' });
    const path = join(two.gateway.dir, 'carol.sock');
    await admin(two.gateway, 'POST', '/sockets', { path, identity: 'carol' });
    carol = apiOver(path);
  });
  afterEach(async () => {
    const none = Object.fromEntries(
      [...Object.keys(ROWS), 'builds', 'streams', 'rate'].map((key) => [key, null] as const),
    );
    await set({ quota: none, identityQuota: none });
    await removeAll(two.engine, PREFIX);
    await until('an empty ledger', async () => {
      const { usage } = await admin<{ usage: Record<string, number> }>(two.gateway, 'GET', '/tenants/red');
      return Object.values(usage).every((amount) => amount === 0);
    });
  });
  after(async () => {
    await two?.gateway.remove();
  });

  for (const [level, whose] of LEVELS) {
    for (const [name, { quota, fits, over, still = [], hers = [], others }] of Object.entries(ROWS)) {
      it(`${name} of ${whose} are counted`, async () => {
        await set({ [level]: quota });
        for (const call of fits) {
          const { status, text } = await call(two.alice);
          assert.ok(status < 300, text);
        }
        for (const [call, words] of over) {
          const refused = await call(two.alice);
          assert.equal(refused.status, 403, refused.text);
          assert.match(messageOf(refused), words);
          assert.ok(messageOf(refused).includes(`the quota of ${whose} `), refused.text);
        }
        for (const call of still) {
          const { status, text } = await call(two.alice);
          assert.ok(status < 400, text);
        }
        for (const call of hers) {
          const refused = await call(carol);
          assert.equal(refused.status, 403, refused.text);
          assert.ok(messageOf(refused).includes(`the quota of ${whose} `), refused.text);
        }
        const [[first]] = over as readonly [readonly [Call, RegExp]];
        for (const call of level === 'quota' ? [first] : (others ?? [first])) {
          const { status, text } = await call(carol);
          assert.ok(level === 'quota' ? status === 403 : status < 300, text);
        }
      });
    }
  }

  it('an upload that is refused on its way keeps no share', async () => {
    const refused = await two.alice('POST', `/v1.41/build?t=${PREFIX}-b:1`, { body: Buffer.alloc(1024, 'x') });
    assert.match(messageOf(refused), /it is no tar archive/);
    const { usage } = await admin<{ usage: Record<string, number> }>(two.gateway, 'GET', '/tenants/red');
    assert.equal(usage.images, 0);
  });

  /** A call that goes on until it is given up. */
  const open = (method: string, path: string): Promise<http.ClientRequest> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/x-tar' };
      const call = http.request({
        ...{ socketPath: join(two.gateway.dir, 'alice.sock'), method, path, headers, agent: false },
      });
      call.on('error', () => {});
      call.once('response', ({ statusCode }) =>
        statusCode === 200 ? resolve(call) : reject(new Error(`${statusCode}`)),
      );
      if (method === 'POST') {
        // An upload that does not end is under way once it is on the connection.
        call.write(tarEntry('file', 'content'.repeat(1000)).subarray(0, 1024), () => resolve(call));
      } else call.end();
    });

  for (const [level, whose] of LEVELS) {
    for (const [key, method, path, words] of [
      ['streams', 'GET', '/v1.41/events', '1 stream at once'],
      ['builds', 'POST', `/v1.41/build?t=${PREFIX}-b:1`, '1 build at once'],
    ] as const) {
      it(`${key} at once of ${whose} are counted`, async () => {
        await set({ [level]: { [key]: 1 } });
        const first = await open(method, path);
        const again = (who: Api, until = '') =>
          who(method, `${path}${until}`, method === 'POST' ? { body: Buffer.alloc(1024) } : {});
        const ended = method === 'GET' ? '?until=1' : '';
        const refused = await until('a refusal', async () => {
          const answer = await again(two.alice, ended);
          return answer.status === 429 ? answer : undefined;
        });
        assert.match(messageOf(refused), new RegExp(`the quota of ${whose} is ${words}, and as many are open`));
        assert.ok(Number(refused.headers['retry-after']) >= 1);
        const other = await again(carol, ended);
        assert.equal(other.status === 429, level === 'quota');
        first.destroy();
        await until('room for another', async () => (await again(two.alice, ended)).status !== 429);
      });
    }

    it(`requests a second of ${whose} are counted`, async () => {
      // Over a minute until the next one fits, however busy the machine is.
      await set({ [level]: { rate: 0.01 } });
      const answers = await Promise.all(Array.from({ length: 3 }, () => two.alice('GET', '/v1.41/containers/json')));
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 429, 429]);
      const refused = answers.find(({ status }) => status === 429);
      assert.match(messageOf(refused as Answer), new RegExp(`${whose} may make 0.01 a second .* try again in \\d+ s`));
      assert.ok(Number(refused?.headers['retry-after']) >= 1);
      assert.equal((await carol('GET', '/v1.41/containers/json')).status, level === 'quota' ? 429 : 200);
    });
  }
});
