// References in bodies and queries: bob names alice's objects wherever the Engine API lets a call name an object, and gets what he
// gets for an object that is not there; with his own the same call works, and the engine receives its full id.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { must } from '../support/api.ts';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-refs-${IS_DENO ? 'deno' : 'node'}`;

interface Case {
  readonly title: string;
  /** Kind of the object named, by the name or id given to `call`. */
  readonly kind: 'container' | 'network' | 'volume' | 'image';
  call(name: string): readonly [method: string, path: string, body?: unknown];
  /** Answer with an object of one's own; 201 where left out. */
  readonly own?: number;
}

let count = 0;
const create = (config: (name: string) => object) => (name: string) =>
  [
    'POST',
    `/containers/create?name=${PREFIX}-made-${++count}`,
    { Image: IMAGE, Cmd: ['true'], ...config(name) },
  ] as const;
const host = (config: (name: string) => object) =>
  create((name) => ({ HostConfig: { NetworkMode: 'none', ...config(name) } }));

const CASES: readonly Case[] = [
  ...(['NetworkMode', 'PidMode', 'IpcMode'] as const).map(
    (field): Case => ({
      title: `${field} container:X`,
      kind: 'container',
      call: host((name) => ({ [field]: `container:${name}` })),
    }),
  ),
  { title: 'VolumesFrom', kind: 'container', call: host((name) => ({ VolumesFrom: [`${name}:ro`] })) },
  { title: 'VolumesFrom with a slash', kind: 'container', call: host((name) => ({ VolumesFrom: [`/${name}`] })) },
  { title: 'Links', kind: 'container', call: host((name) => ({ Links: [`${name}:db`] })) },
  {
    title: 'Links of an endpoint',
    kind: 'container',
    call: create((name) => ({
      HostConfig: { NetworkMode: `${PREFIX}-bob-n` },
      NetworkingConfig: { EndpointsConfig: { [`${PREFIX}-bob-n`]: { Links: [`${name}:db`] } } },
    })),
  },
  { title: 'NetworkMode', kind: 'network', call: create((name) => ({ HostConfig: { NetworkMode: name } })) },
  {
    title: 'EndpointsConfig',
    kind: 'network',
    call: create((name) => ({
      HostConfig: { NetworkMode: name },
      NetworkingConfig: { EndpointsConfig: { [name]: { Aliases: ['a'] } } },
    })),
  },
  { title: 'Binds', kind: 'volume', call: host((name) => ({ Binds: [`${name}:/data`] })) },
  {
    title: 'Mounts of a volume',
    kind: 'volume',
    call: host((name) => ({ Mounts: [{ Type: 'volume', Source: name, Target: '/data' }] })),
  },
  { title: 'Image', kind: 'image', call: create((name) => ({ Image: name })) },
  { title: 'commit container', kind: 'container', call: (name) => ['POST', `/commit?container=${name}`] },
  {
    title: 'connect container',
    kind: 'container',
    call: (name) => ['POST', `/networks/${PREFIX}-bob-n/connect`, { Container: name }],
    own: 200,
  },
  {
    title: 'disconnect container',
    kind: 'container',
    call: (name) => ['POST', `/networks/${PREFIX}-bob-n/disconnect`, { Container: name, Force: true }],
    own: 200,
  },
  {
    title: 'images/get names',
    kind: 'image',
    call: (name) => ['GET', `/images/get?names=${IMAGE}&names=${name}`],
    own: 200,
  },
  {
    title: 'list before',
    kind: 'container',
    call: (name) => ['GET', `/containers/json?all=1&filters=${encodeURIComponent(JSON.stringify({ before: [name] }))}`],
    own: 200,
  },
  { title: 'list since', kind: 'container', call: (name) => ['GET', `/containers/json?all=1&since=${name}`], own: 200 },
];

describe('references in bodies and queries', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  const ids: Record<string, string> = {};
  before(async () => {
    two = await startTwoTenants();
    for (const who of ['alice', 'bob'] as const) {
      const api = two[who];
      const name = `${PREFIX}-${who}`;
      const made = await must<{ Id: string }>(api, 'POST', `/containers/create?name=${name}-c`, {
        Image: IMAGE,
        Cmd: ['sleep', '300'],
        HostConfig: { NetworkMode: 'none', IpcMode: 'shareable' },
      });
      await must(api, 'POST', `/containers/${made.Id}/start`);
      const other = await must<{ Id: string }>(api, 'POST', '/networks/create', { Name: `${name}-n`, Internal: true });
      await must(api, 'POST', '/volumes/create', { Name: `${name}-v` });
      await must(api, 'POST', `/commit?container=${made.Id}&repo=${name}-i&tag=1`);
      ids[`${who} container`] = made.Id;
      ids[`${who} network`] = other.Id;
    }
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });

  const nameOf = (who: string, kind: Case['kind']) => `${PREFIX}-${who}-${kind[0]}${kind === 'image' ? ':1' : ''}`;
  const told = (text: string) =>
    text.replace(/ \[audit [0-9a-f-]+\]/, '').replaceAll(/dg-refs-\w+-(alice|nobody)-/g, 'NAME-');

  for (const { title, kind, call, own } of CASES) {
    it(`${title}: bob gets the same answer for alice's object as for a missing one`, async () => {
      const [method, path, body] = call(nameOf('alice', kind));
      const foreign = await two.bob(method, path, body === undefined ? {} : { body });
      if (kind === 'volume') {
        // A volume that is not there is made: what tells a taken name from a free one is the same conflict for all.
        assert.equal(foreign.status, 409, foreign.text);
        assert.match(foreign.text, /volume name must be unique/);
        return;
      }
      const [, missingPath, missingBody] = call(nameOf('nobody', kind));
      const missing = await two.bob(method, missingPath, missingBody === undefined ? {} : { body: missingBody });
      assert.equal(foreign.status, 404, foreign.text);
      assert.deepEqual([foreign.status, told(foreign.text)], [missing.status, told(missing.text)]);
      const id = ids[`alice ${kind}`];
      if (id === undefined) return;
      const [, idPath, idBody] = call(id.slice(0, 12));
      assert.equal((await two.bob(method, idPath, idBody === undefined ? {} : { body: idBody })).status, 404);
    });
    it(`${title}: with one's own it works`, async () => {
      for (const name of [nameOf('bob', kind), ids[`bob ${kind}`], ids[`bob ${kind}`]?.slice(0, 12)]) {
        if (name === undefined) continue;
        const [method, path, body] = call(name);
        const answer = await two.bob(method, path, body === undefined ? {} : { body });
        // A container without a network reaches the engine, which says so.
        if (/private \(none\) mode|not connected/.test(answer.text)) continue;
        assert.equal(answer.status, own ?? 201, `${name}: ${answer.text}`);
      }
    });
  }

  it('the engine receives full ids, and shows the names of networks', async () => {
    const made = await must<{ Id: string }>(two.bob, 'POST', `/containers/create?name=${PREFIX}-full`, {
      Image: IMAGE,
      HostConfig: {
        NetworkMode: ids['bob network']?.slice(0, 8),
        PidMode: `container:${PREFIX}-bob-c`,
        VolumesFrom: [`${PREFIX}-bob-c:ro`],
      },
      NetworkingConfig: { EndpointsConfig: { [ids['bob network']?.slice(0, 8) as string]: { Aliases: ['x'] } } },
    });
    const shown = await must<{
      HostConfig: { NetworkMode: string; PidMode: string; VolumesFrom: string[] };
      NetworkSettings: { Networks: object };
    }>(two.engine, 'GET', `/containers/${made.Id}/json`);
    assert.equal(shown.HostConfig.PidMode, `container:${ids['bob container']}`);
    assert.deepEqual(shown.HostConfig.VolumesFrom, [`${ids['bob container']}:ro`]);
    assert.equal(shown.HostConfig.NetworkMode, ids['bob network']);
    assert.deepEqual(Object.keys(shown.NetworkSettings.Networks), [`${PREFIX}-bob-n`]);
  });

  it('labels of the gateway tell whose it is and cannot be set', async () => {
    const { Config } = await must<{ Config: { Labels: Record<string, string> } }>(
      two.engine,
      'GET',
      `/containers/${PREFIX}-bob-c/json`,
    );
    assert.equal(Config.Labels['dockgate.tenant'], 'blue');
    assert.equal(Config.Labels['dockgate.owner'], 'bob');
    assert.match(Config.Labels['dockgate.audit-id'] ?? '', /^[0-9a-f-]{36}$/);
    for (const [labels, status] of [
      [{ 'dockgate.tenant': 'red' }, 403],
      [{ 'Dockgate.Tenant': 'red' }, 403],
      [{ 'dockgate.other': '1' }, 403],
      // What inspect shows of one's own: tools that recreate a container send it again.
      [Config.Labels, 201],
      [{ dockgate: '1' }, 201],
    ] as const) {
      const { status: got, text } = await two.bob('POST', `/containers/create?name=${PREFIX}-label-${++count}`, {
        body: { Image: IMAGE, Labels: labels },
      });
      assert.equal(got, status, text);
    }
    const volume = await two.bob('POST', '/volumes/create', {
      body: { Name: `${PREFIX}-l`, Labels: { 'dockgate.tenant': 'red' } },
    });
    assert.equal(volume.status, 403);
    const commit = await two.bob('POST', `/commit?container=${PREFIX}-bob-c&changes=LABEL%20dockgate.tenant%3Dred`);
    assert.equal(commit.status, 403);
  });

  it('a taken name is a conflict, whichever tenant has it', async () => {
    for (const [path, body] of [
      [`/containers/create?name=${PREFIX}-alice-c`, { Image: IMAGE }],
      ['/networks/create', { Name: `${PREFIX}-alice-n` }],
      ['/volumes/create', { Name: `${PREFIX}-alice-v` }],
      [`/images/${IMAGE}/tag?repo=${PREFIX}-alice-i&tag=1`, undefined],
      [`/commit?container=${PREFIX}-bob-c&repo=${PREFIX}-alice-i&tag=1`, undefined],
      [`/images/${IMAGE}/tag?repo=busybox&tag=test`, undefined],
      [`/containers/${PREFIX}-bob-c/rename?name=${PREFIX}-alice-c`, undefined],
    ] as const) {
      const answer = await two.bob('POST', path, body === undefined ? {} : { body });
      assert.equal(answer.status, 409, `${path}: ${answer.text}`);
      for (const id of Object.values(ids)) assert.ok(!answer.text.includes(id), answer.text);
      assert.doesNotMatch(answer.text, /red|alice@|tenant/);
    }
  });

  it('the start of an id that is there is no name to take; what merely reads like one is', async () => {
    const network = (name: string) => ['/networks/create', { Name: name, Internal: true }] as const;
    const container = (name: string) => [`/containers/create?name=${name}`, { Image: IMAGE }] as const;
    const rename = (name: string) => [`/containers/${ids['bob container']}/rename?name=${name}`, undefined] as const;
    for (const [call, kind] of [
      [network, 'network'],
      [container, 'container'],
      [rename, 'container'],
    ] as const) {
      for (const digits of [64, 12, 6]) {
        const [path, body] = call(ids[`alice ${kind}`]?.slice(0, digits) as string);
        const answer = await two.bob('POST', path, { body });
        assert.equal(answer.status, 409, `${path}: ${answer.text}`);
        assert.match(answer.text, /already (in use|exists)/);
      }
    }
    const free = randomBytes(6).toString('hex');
    const made = await must<{ Id: string }>(two.bob, 'POST', ...network(free));
    await must(two.bob, 'DELETE', `/networks/${free}`);
    assert.equal((await two.engine('GET', `/networks/${made.Id}`)).status, 404);
  });
});
