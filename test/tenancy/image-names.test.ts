// What one tenant does to an image shows to another by none of its names, and takes nothing of the other's along. On both image stores.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Api, must } from '../support/api.ts';
import { ENGINE, IMAGE, NEW_LINE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-names-${IS_DENO ? 'deno' : 'node'}`;
const context = (dockerfile: string): Buffer => Buffer.concat([tarEntry('Dockerfile', dockerfile), Buffer.alloc(1024)]);
const stores = [
  { store: 'the engine’s own', socket: ENGINE, skip: skipWithoutEngine },
  { store: 'containerd’s', socket: NEW_LINE.socket, skip: NEW_LINE.skip },
];

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
      const until = Math.floor(Date.now() / 1000) + 2;
      const of = async (who: 'alice' | 'bob') => (await two[who]('GET', `/events?since=${since}&until=${until}`)).text;
      const [alices, bobs] = await Promise.all([of('alice'), of('bob')]);
      assert.match(alices, new RegExp(name('secret')));
      assert.ok(bobs.includes(made.Id), 'what he made');
      assert.ok(!bobs.includes(name('secret')) && !bobs.includes(name('alices')), bobs);
    });

    it('a removal takes along the images of a build of its own, and leaves those bob built', async () => {
      const build = async (api: Api, from: string, query: string): Promise<string> => {
        const { status, text } = await api('POST', `/build?rm=1&${query}`, {
          body: context(`FROM ${from}\nENV STEP=${Math.random()}\nENV LAST=1\n`),
        });
        assert.equal(status, 200, text);
        return /Successfully built ([0-9a-f]{12})/.exec(text)?.[1] ?? assert.fail(text);
      };
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
  });
}
