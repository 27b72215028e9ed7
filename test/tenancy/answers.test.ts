// What a tenant reads of the engine's answers: fields that are named and no others, of shared images and networks nothing that tells of
// others, refusals without ids and names of others, and filters that answer alike for what is another's and what is not there. On
// real engines of both image stores; what engines do not do on request is answered by a scripted STAND-IN.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { must } from '../support/api.ts';
import { ENGINE, IMAGE, NEW_LINE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-answers-${IS_DENO ? 'deno' : 'node'}`;
const create = { Image: IMAGE, Cmd: ['true'], HostConfig: { NetworkMode: 'none' } };
const stores = [
  { store: 'the engine’s own', socket: ENGINE, skip: skipWithoutEngine },
  { store: 'containerd’s', socket: NEW_LINE.socket, skip: NEW_LINE.skip },
];
const filters = (given: object): string => `filters=${encodeURIComponent(JSON.stringify(given))}`;

for (const { store, socket, skip } of stores) {
  describe(`answers to tenants, images in ${store} store`, { skip }, () => {
    let two: TwoTenants;
    let alices = '';
    const name = (what: string): string => `${PREFIX}-${what}`;
    before(async () => {
      two = await startTwoTenants('operator', { engine: socket as string });
      await removeAll(two.engine, PREFIX);
      const made = await must<{ Id: string }>(two.alice, 'POST', `/containers/create?name=${name('c')}`, create);
      alices = made.Id;
      await must(two.alice, 'POST', `/commit?container=${alices}&repo=${name('i')}&tag=1`);
      await must(two.bob, 'POST', `/containers/create?name=${name('b')}`, create);
    });
    after(async () => {
      if (two === undefined) return;
      await removeAll(two.engine, PREFIX);
      await two.gateway.remove();
    });

    it('hide of a shared image how many containers use it, which, and when it was last named', async () => {
      for (const path of [
        '/images/json',
        '/images/json?manifests=1',
        '/images/json?shared-size=1',
        `/images/${IMAGE}/json?manifests=1`,
      ]) {
        const { status, text } = await two.bob('GET', path);
        assert.equal(status, 200, path);
        assert.ok(!text.includes(alices), path);
        assert.ok(!/"Containers":\s*[1-9]/.test(text), path);
        assert.ok(!/"LastTagTime":\s*"(?!0001)/.test(text), path);
      }
    });

    it('sum up in system df what is the tenant’s, in either form', async () => {
      for (const path of ['/v1.44/system/df', '/system/df', '/system/df?verbose=1', '/system/df?type=container']) {
        const { status, text, json } = await two.bob('GET', path);
        assert.equal(status, 200, path);
        assert.ok(!text.includes(alices) && !text.includes(name('c')) && !text.includes(name('i')), path);
        const usage = (json as { ContainerUsage?: { TotalCount: number; Items?: unknown } }).ContainerUsage;
        if (usage === undefined) continue;
        assert.equal(usage.TotalCount, 1, path);
        assert.equal('Items' in usage, path.includes('verbose'), path);
      }
    });

    it('are the same for a filter that names what is alice’s and one that names nothing', async () => {
      const told = async (target: string): Promise<string> => {
        const { status, text } = await two.bob('GET', target);
        return `${status} ${text.replace(/ \[audit [0-9a-f-]+\]/, '')}`;
      };
      const image = `${name('i')}:1`;
      const { Id } = await must<{ Id: string }>(two.engine, 'GET', `/images/${image}/json`);
      const none = {
        image: `${name('x')}:1`,
        id: `sha256:${'f'.repeat(64)}`,
        container: name('x'),
        full: 'f'.repeat(64),
      };
      const pairs: readonly (readonly [string, string, string])[] = [
        ...(['before', 'since'] as const).flatMap((key): [string, string, string][] => [
          [`/images/json?${filters({ [key]: [image] })}`, `/images/json?${filters({ [key]: [none.image] })}`, image],
          [`/images/json?${filters({ [key]: [Id] })}`, `/images/json?${filters({ [key]: [none.id] })}`, Id],
          [
            `/containers/json?all=1&${filters({ [key]: [alices] })}`,
            `/containers/json?all=1&${filters({ [key]: [none.full] })}`,
            alices,
          ],
          [
            `/containers/json?all=1&${filters({ [key]: [name('c')] })}`,
            `/containers/json?all=1&${filters({ [key]: [none.container] })}`,
            name('c'),
          ],
          [`/containers/json?all=1&${key}=${name('c')}`, `/containers/json?all=1&${key}=${none.container}`, name('c')],
        ]),
        [
          `/containers/json?all=1&${filters({ ancestor: [image] })}`,
          `/containers/json?all=1&${filters({ ancestor: [none.image] })}`,
          image,
        ],
        [
          `/containers/json?all=1&${filters({ ancestor: [Id] })}`,
          `/containers/json?all=1&${filters({ ancestor: [none.id] })}`,
          Id,
        ],
        [
          `/containers/json?all=1&${filters({ volume: [name('c')] })}`,
          `/containers/json?all=1&${filters({ volume: [none.container] })}`,
          name('c'),
        ],
        [
          `/containers/json?all=1&${filters({ network: [name('c')] })}`,
          `/containers/json?all=1&${filters({ network: [none.container] })}`,
          name('c'),
        ],
        [
          `/images/json?${filters({ reference: [name('i')] })}`,
          `/images/json?${filters({ reference: [name('x')] })}`,
          name('i'),
        ],
        [`/networks?${filters({ name: [name('c')] })}`, `/networks?${filters({ name: [none.container] })}`, name('c')],
      ];
      for (const [theirs, nobodys, asked] of pairs) {
        const digits = asked.replace('sha256:', '');
        const [a, b] = [await told(theirs), await told(nobodys)].map((text) =>
          [asked, digits, none.image, none.container, none.id, none.full, name('x')].reduce(
            (left, word) => left.replaceAll(word, 'NAME'),
            text,
          ),
        );
        assert.equal(a, b, theirs);
      }
    });

    it('the nearest filters of a tenant’s own lists work', async () => {
      const list = async (given: object): Promise<readonly unknown[]> =>
        must<readonly unknown[]>(two.bob, 'GET', `/containers/json?all=1&${filters(given)}`);
      assert.equal((await list({ ancestor: [IMAGE] })).length, 1);
      assert.equal((await list({ ancestor: [IMAGE.split(':')[0] as string] })).length, 0, 'another tag');
      assert.equal((await list({ since: [name('b')] })).length, 0);
      const since = await two.alice('GET', `/images/json?${filters({ since: [IMAGE] })}`);
      assert.ok(since.text.includes(name('i')), 'alice’s image is newer');
    });
  });
}

describe('answers of an engine newer than the gateway', () => {
  let engine: ScriptedEngine;
  let two: TwoTenants;
  const alices = 'a'.repeat(64);
  const bobs = 'b'.repeat(64);
  let refusal = { status: 500, message: '' };
  const NEWS = { Neighbours: [alices] };
  before(async () => {
    let next = alices;
    engine = await startScriptedEngine((r) => {
      const json = (value: unknown, status = 200): void =>
        r.answer(status, JSON.stringify(value), ['Content-Type: application/json']);
      if (r.target.includes('/events')) return;
      if (r.target.endsWith('/version')) {
        json({
          ApiVersion: '1.60',
          MinAPIVersion: '1.24',
          Components: [{ Name: 'Engine', Version: '99', Details: { ...NEWS } }],
          ...NEWS,
        });
        return;
      }
      if (r.target.includes('/containers/create')) json({ Id: next, Warnings: [] }, 201);
      else if (r.target.includes('/start')) json({ message: refusal.message }, refusal.status);
      else if (r.target.includes('/containers/json'))
        json(
          [alices, bobs].map((Id) => ({ Id, Names: [`/${Id === alices ? 'web-1' : 'b'}`], State: 'created', ...NEWS })),
        );
      else if (/\/containers\/[ab]{64}\/json/.test(r.target)) {
        const Id = r.target.includes(bobs) ? bobs : alices;
        json({ Id, Name: Id === alices ? '/web-1' : '/b', Mounts: [], HostConfig: {}, State: {}, ...NEWS });
      } else if (r.target.includes('/images/json'))
        json([{ Id: 'sha256:1', RepoTags: ['busybox:1'], RepoDigests: [], ...NEWS }]);
      else if (r.target.includes('/images/'))
        json({ Id: 'sha256:1', RepoTags: ['busybox:1'], RepoDigests: [], ...NEWS });
      else if (r.target.includes('/networks'))
        json([{ Id: 'n', Name: 'bridge', Driver: 'bridge', Containers: {}, Status: { IPAM: { x: 12 } }, ...NEWS }]);
      else if (r.target.includes('/volumes')) json({ Volumes: [], Warnings: null, ...NEWS });
      else if (r.target.includes('/info') || r.target.includes('/df')) json({ ...NEWS });
      else json([]);
    });
    two = await startTwoTenants('operator', { engine: engine.address.path as string });
    const body = { body: { Image: 'busybox:1' } };
    const first = await two.alice('POST', '/containers/create?name=web-1', body);
    assert.equal(first.status, 201, first.text);
    next = bobs;
    assert.equal((await two.bob('POST', '/containers/create?name=b', body)).status, 201);
  });
  after(async () => {
    await two?.gateway.remove();
    await engine?.close();
  });

  for (const path of [
    '/containers/json?all=1',
    '/containers/b/json',
    '/images/json',
    '/images/busybox:1/json',
    '/images/busybox:1/history',
    '/networks',
    '/volumes',
    '/info',
    '/version',
    '/system/df',
  ]) {
    it(`GET ${path} shows no field that is not named`, async () => {
      const { status, text } = await two.bob('GET', path);
      assert.equal(status, 200, text);
      assert.ok(!text.includes('Neighbours') && !text.includes('"Status":{'), text);
    });
  }

  const refusals: readonly (readonly [string, string])[] = [
    [`driver failed: endpoint held by container ${alices}`, 'driver failed: endpoint held by container …'],
    [`conflict with ${alices.slice(0, 12)}`, 'conflict with …'],
    ['network has active endpoints (name:"web-1" id:"x")', 'network has active endpoints (name:"…" id:"x")'],
    ['address in use by container "op-database"', 'address in use by container "…"'],
    ['lock held by web-1, try later', 'lock held by …, try later'],
    [`cannot link to /web-1/x as ${bobs}`, `cannot link to /…/x as ${bobs}`],
    [`service "abcdefghijklmnopqrstuvwxy" uses it`, 'service "…" uses it'],
    ['task 0123456789abcdefghijklmno failed', 'task … failed'],
    [`cannot start b (${bobs.slice(0, 12)}): no such file`, `cannot start b (${bobs.slice(0, 12)}): no such file`],
    ['OCI runtime create failed: exec: "foo": not found', 'OCI runtime create failed: exec: "foo": not found'],
  ];
  for (const [message, shown] of refusals) {
    it(`a refusal loses what is not the caller’s: ${message.slice(0, 60)}`, async () => {
      for (const status of [400, 403, 404, 409, 500, 503]) {
        refusal = { status, message };
        const answer = await two.bob('POST', '/containers/b/start');
        assert.equal(answer.status, status);
        assert.equal((answer.json as { message: string }).message, shown);
      }
    });
  }
});
