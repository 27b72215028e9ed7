// What one tenant does to an image shows to another by none of its names, and takes nothing of the other's along. On both image stores.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { must } from '../support/api.ts';
import { ENGINE, IMAGE, NEW_LINE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-names-${IS_DENO ? 'deno' : 'node'}`;
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
  });
}
