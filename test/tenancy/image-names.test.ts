// What one tenant does to an image shows to another by none of its names, and takes nothing of the other's along. On both image stores.
import assert from 'node:assert/strict';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { admin } from '../support/admin.ts';
import { type Answer, type Api, must } from '../support/api.ts';
import { ENGINE, IMAGE, NEW_LINE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';
import { until } from '../support/until.ts';

const PREFIX = `dg-names-${IS_DENO ? 'deno' : 'node'}`;
const context = (dockerfile: string): Buffer => Buffer.concat([tarEntry('Dockerfile', dockerfile), Buffer.alloc(1024)]);
const stores = [
  { store: 'the engine’s own', socket: ENGINE, skip: skipWithoutEngine },
  { store: 'containerd’s', socket: NEW_LINE.socket, skip: NEW_LINE.skip },
];

const build = async (api: Api, from: string, query: string): Promise<string> => {
  const { status, text } = await api('POST', `/build?rm=1&${query}`, {
    body: context(`FROM ${from}\nENV STEP=${Math.random()}\nENV LAST=1\n`),
  });
  assert.equal(status, 200, text);
  return /Successfully built ([0-9a-f]{12})/.exec(text)?.[1] ?? assert.fail(text);
};

for (const { store, socket, skip } of stores) {
  describe(`names of images in two tenants, in ${store} store`, { skip }, () => {
    let two: TwoTenants;
    const name = (what: string): string => `${PREFIX}-${what}`;
    before(async () => {
      two = await startTwoTenants('operator', { engine: socket as string });
      await removeAll(two.engine, PREFIX);
    });
    after(async () => {
      if (two === undefined) return;
      await removeAll(two.engine, PREFIX);
      await two.gateway.remove();
    });

    it('an event of an image bob holds by its id tells bob no name of alice’s, and alice hers', async () => {
      const since = Math.floor(Date.now() / 1000);
      const { Id } = await must<{ Id: string }>(two.bob, 'POST', `/containers/create?name=${name('c')}`, {
        Image: IMAGE,
        HostConfig: { NetworkMode: 'none' },
      });
      const made = await must<{ Id: string }>(two.bob, 'POST', `/commit?container=${Id}`);
      // Beside the gateway an operator gives it to alice under a name.
      await must(two.engine, 'POST', `/images/${made.Id}/tag?repo=${name('alices')}&tag=1`);
      await two.gateway.must('tenant', 'adopt', '--tenant', 'red', '--image', `${name('alices')}:1`);
      await must(two.alice, 'POST', `/images/${name('alices')}:1/tag?repo=${name('secret')}&tag=1`);
      const end = Math.floor(Date.now() / 1000) + 2;
      const of = async (who: 'alice' | 'bob') => (await two[who]('GET', `/events?since=${since}&until=${end}`)).text;
      const [alices, bobs] = await Promise.all([of('alice'), of('bob')]);
      assert.match(alices, new RegExp(name('secret')));
      assert.ok(bobs.includes(made.Id), 'what he made');
      assert.ok(!bobs.includes(name('secret')) && !bobs.includes(name('alices')), bobs);
    });

    it('a removal takes along the images of a build of its own, and leaves those bob built', async () => {
      const isThere = async (id: string): Promise<boolean> =>
        (await two.engine('GET', `/images/${id}/json`)).status === 200;
      const bobs = await build(two.bob, IMAGE, '');
      // Beside the gateway an operator builds on it, and gives that to alice.
      await build(two.engine, bobs, `t=${name('child')}:1`);
      await two.gateway.must('tenant', 'adopt', '--tenant', 'red', '--image', `${name('child')}:1`);
      await must(two.alice, 'DELETE', `/images/${name('child')}:1`);
      assert.equal((await two.alice('GET', `/images/${name('child')}:1/json`)).status, 404);
      assert.equal((await two.bob('GET', `/images/${bobs}/json`)).status, 200, 'bob’s is there');

      await build(two.alice, IMAGE, `t=${name('own')}:1`);
      const layers = await must<{ Id: string; CreatedBy: string }[]>(
        two.engine,
        'GET',
        `/images/${name('own')}:1/history`,
      );
      // The first step, which labels alone make, may be that of other builds of hers too.
      const steps = layers.filter(({ CreatedBy }) => CreatedBy.includes('ENV '));
      assert.equal(steps.length, 2, JSON.stringify(layers));
      await must(two.alice, 'DELETE', `/images/${name('own')}:1`);
      for (const { Id } of steps) assert.equal(await isThere(Id), false, 'its steps are gone');
    });

    it('what a build that was given up was to make is not alice’s when an operator makes it', async () => {
      const tag = name('given-up');
      const images = async (): Promise<number> => {
        const { usage } = (await admin(two.gateway, 'GET', '/tenants/red')) as { usage: { images: number } };
        return usage.images;
      };
      await admin(two.gateway, 'POST', '/tenants', { name: 'red', quota: {} });
      const before = await images();
      const request = http.request({
        socketPath: join(two.gateway.dir, 'alice.sock'),
        method: 'POST',
        path: `/build?rm=1&nocache=1&networkmode=none&t=${tag}:1`,
        headers: { 'content-type': 'application/x-tar' },
        agent: false,
      });
      request.on('error', () => {});
      request.end(context(`FROM ${IMAGE}\nRUN sleep 100\n`));
      await until('its name is taken', async () => (await images()) > before);
      request.destroy();
      await until('the gateway has looked', async () => (await images()) === before);
      await build(two.engine, IMAGE, `t=${tag}:1`);
      await must(two.engine, 'POST', `/images/${IMAGE}/tag?repo=${tag}&tag=2`);
      // Events were heard once the last of them is: alice's own.
      await must(two.alice, 'POST', `/images/${IMAGE}/tag?repo=${name('heard')}&tag=1`);
      const owned = await two.gateway.must('tenant', 'objects', 'red', '--json');
      assert.ok(!owned.includes(`${tag}:1`), owned);
      assert.ok(owned.includes(name('heard')));
      assert.equal((await two.alice('DELETE', `/images/${tag}:1`)).status, 409, 'not hers to remove');
      assert.equal((await two.bob('GET', `/images/${tag}:1/json`)).status, 200, 'and all tenants may use it');
    });

    it('what she imports is hers by the mark of the call', async () => {
      const { status, text } = await two.alice(
        'POST',
        `/images/create?fromSrc=-&repo=${name('imported')}&tag=1&changes=${encodeURIComponent('ENV A=1')}`,
        { body: context('x') },
      );
      assert.equal(status, 200, text);
      const shown = await must<{ Config: { Labels: Record<string, string>; Env: string[] } }>(
        two.alice,
        'GET',
        `/images/${name('imported')}:1/json`,
      );
      assert.equal(shown.Config.Labels['dockgate.tenant'], 'red');
      assert.ok(shown.Config.Env.includes('A=1'));
      assert.equal((await two.bob('GET', `/images/${name('imported')}:1/json`)).status, 404);
    });
  });
}

describe('names that tenants may give images', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  const own = (who: string): string => `${PREFIX}-${who}/app`;
  before(async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: people write it so
    const names = [`docker.io/${PREFIX}-${'${tenant}'}/*`, `${PREFIX}-common`];
    two = await startTwoTenants('operator', { settings: { tenants: { names } } });
    await removeAll(two.engine, PREFIX);
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });

  it('names that tenants may give images are those of the setting, whatever call gives them', async () => {
    const { Id } = await must<{ Id: string }>(two.alice, 'POST', '/containers/create', {
      Image: IMAGE,
      HostConfig: { NetworkMode: 'none' },
    });
    const give = async (name: string): Promise<Record<string, Answer>> => ({
      tag: await two.alice('POST', `/images/${IMAGE}/tag?repo=${encodeURIComponent(name)}&tag=t`),
      commit: await two.alice('POST', `/commit?container=${Id}&repo=${encodeURIComponent(name)}&tag=c`),
      import: await two.alice('POST', `/images/create?fromSrc=-&repo=${encodeURIComponent(name)}&tag=i`, {
        body: context('x'),
      }),
      build: await two.alice('POST', `/build?t=${encodeURIComponent(`${name}:b`)}`, {
        body: context(`FROM ${IMAGE}\n`),
      }),
    });
    for (const name of [`${PREFIX}-public`, own('blue'), `docker.io/library/${PREFIX}-x`, `r.test/${PREFIX}-red/app`]) {
      for (const [call, { status, text }] of Object.entries(await give(name))) {
        assert.equal(status, 403, `${call} ${name}: ${text}`);
        assert.match(text, /is not one that tenant red may give \(allowed: .*-red\/\*, .*; setting tenants\.names\)/);
      }
    }
    for (const name of [own('red'), `${PREFIX}-common`]) {
      for (const [call, { status, text }] of Object.entries(await give(name)))
        assert.ok(status < 300 && !text.includes('errorDetail'), `${call} ${name}: ${text}`);
    }
    const operators = await two.operator('POST', `/images/${IMAGE}/tag?repo=${PREFIX}-public&tag=o`);
    assert.equal(operators.status, 201, 'an operator gives any');
  });
});
