// What follows from an image of a tenant's is the tenant's: its id and every start of it, the digests of its repositories, its
// manifests, names others give it; and a shared image stays so, under any name a tenant gives it. On both image
// stores: the engine's own and, on the newest line, containerd's.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Answer, must } from '../support/api.ts';
import { ENGINE, IMAGE, NEW_LINE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-content-${IS_DENO ? 'deno' : 'node'}`;
const context = (dockerfile: string): Buffer => Buffer.concat([tarEntry('Dockerfile', dockerfile), Buffer.alloc(1024)]);
const create = { Image: IMAGE, Cmd: ['true'], HostConfig: { NetworkMode: 'none' } };
const stores = [
  { store: 'the engine’s own', socket: ENGINE, skip: skipWithoutEngine },
  { store: 'containerd’s', socket: NEW_LINE.socket, skip: NEW_LINE.skip },
];

interface Shown {
  readonly Id: string;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
}

for (const { store, socket, skip } of stores) {
  describe(`an image of alice’s, in ${store} store`, { skip }, () => {
    let two: TwoTenants;
    let count = 0;
    const name = (what: string): string => `${PREFIX}-${what}`;
    const inspect = async (reference: string): Promise<Shown> =>
      must<Shown>(two.engine, 'GET', `/images/${encodeURIComponent(reference)}/json`);
    /** A private image of its own content, under a name. */
    const commit = async (what: string): Promise<Shown> => {
      const { Id } = await must<{ Id: string }>(two.alice, 'POST', '/containers/create', {
        ...create,
        Env: [`X=${what}`],
      });
      await must(two.alice, 'POST', `/commit?container=${Id}&repo=${name(what)}&tag=1`);
      await two.alice('DELETE', `/containers/${Id}`);
      return inspect(`${name(what)}:1`);
    };
    /** Every way to use an image by a reference, as bob. */
    const ways = async (reference: string): Promise<Record<string, number>> => {
      const asked = encodeURIComponent(reference).replaceAll('%2F', '/');
      const given: Record<string, Promise<Answer>> = {
        inspect: two.bob('GET', `/images/${asked}/json`),
        manifests: two.bob('GET', `/images/${asked}/json?manifests=1`),
        history: two.bob('GET', `/images/${asked}/history`),
        save: two.bob('GET', `/images/${asked}/get`),
        'save names': two.bob('GET', `/images/get?names=${encodeURIComponent(reference)}`),
        tag: two.bob('POST', `/images/${asked}/tag?repo=${name('stolen')}&tag=1`),
        create: two.bob('POST', `/containers/create?name=${name(`c${count++}`)}`, {
          body: { ...create, Image: reference },
        }),
        build: two.bob('POST', '/build?rm=1', { body: context(`FROM ${reference}\nLABEL a=b\n`) }),
        remove: two.bob('DELETE', `/images/${asked}`),
      };
      const found: Record<string, number> = {};
      for (const [way, answer] of Object.entries(given)) {
        const { status, text } = await answer;
        // A build is under way when its Dockerfile is judged, and asks a registry for what is not there.
        found[way] = way === 'build' && !/Successfully built/.test(text) ? 404 : status;
      }
      return found;
    };
    const closed = async (reference: string, why: string): Promise<void> => {
      for (const [way, status] of Object.entries(await ways(reference)))
        assert.equal(status, 404, `${why}: ${way} by ${reference}`);
    };

    before(async () => {
      two = await startTwoTenants('operator', { engine: socket as string });
      await removeAll(two.engine, PREFIX);
    });
    after(async () => {
      if (two === undefined) return;
      await removeAll(two.engine, PREFIX);
      await two.gateway.remove();
    });

    it('is not bob’s by its name, its id, starts of it, nor any digest the engine shows', async () => {
      const { Id, RepoDigests } = await commit('a');
      const digits = Id.replace('sha256:', '');
      const digest = `${name('a')}@${Id}`;
      for (const reference of [`${name('a')}:1`, Id, digits, digits.slice(0, 12), `sha256:${digits.slice(0, 20)}`])
        await closed(reference, 'one of its own');
      for (const reference of [digest, `docker.io/library/${digest}`, `${name('a')}:1@${Id}`, ...RepoDigests])
        await closed(reference, 'a digest');
    });

    it('is not bob’s by the digest of anything it is made of', async () => {
      const { Id } = await commit('b');
      const saved = await two.alice('GET', `/images/${name('b')}:1/get`);
      assert.equal(saved.status, 200);
      const digests = new Set([...saved.text.matchAll(/[0-9a-f]{64}/g)].map(([digest]) => digest));
      assert.ok(digests.size > 0, Id);
      for (const digest of digests) {
        const free = await inspect(IMAGE);
        if (digest === free.Id.replace('sha256:', '')) continue;
        const { status } = await two.bob('GET', `/images/sha256:${digest}/json`);
        assert.equal(status, 404, digest);
      }
    });

    it('is not shared by a name an operator gives it beside the gateway', async () => {
      const { Id } = await commit('c');
      await must(two.engine, 'POST', `/images/${name('c')}:1/tag?repo=${name('public')}&tag=1`);
      for (const reference of [`${name('public')}:1`, `${name('public')}@${Id}`, Id])
        await closed(reference, 'given a name');
    });

    it('stays alice’s when its name goes to another image, and when the name is removed while a container has it', async () => {
      const first = await commit('d');
      const second = await commit('d2');
      await must(two.alice, 'POST', `/images/${second.Id}/tag?repo=${name('d')}&tag=1`);
      await closed(first.Id, 'replaced');
      assert.equal((await two.alice('GET', `/images/${first.Id}/json`)).status, 200, 'hers still');
      await must(two.alice, 'POST', `/images/${first.Id}/tag?repo=${name('d')}&tag=1`);
      await must(two.alice, 'POST', `/images/${second.Id}/tag?repo=${name('d')}&tag=1`);
      assert.equal((await two.alice('GET', `/images/${first.Id}/json`)).status, 200, 'and when it goes again');

      const made = await commit('e');
      await must(two.alice, 'POST', `/containers/create?name=${name('user')}`, {
        ...create,
        Image: `${name('e')}:1`,
      });
      await two.alice('DELETE', `/images/${name('e')}:1?force=1`);
      await closed(made.Id, 'removed');
    });

    it('is not bob’s when it has no name, nor when it was loaded', async () => {
      const { Id } = await must<{ Id: string }>(two.alice, 'POST', '/containers/create', { ...create, Env: ['X=f'] });
      const image = await must<{ Id: string }>(two.alice, 'POST', `/commit?container=${Id}`);
      await closed(image.Id, 'without a name');
      const source = await commit('g');
      const saved = await two.alice('GET', `/images/${name('g')}:1/get`);
      assert.equal(saved.status, 200);
      await closed(source.Id, 'saved');
    });

    it('does not show in bob’s lists, whatever is asked for', async () => {
      const { Id } = await commit('h');
      for (const query of [
        '',
        'all=1',
        'digests=1',
        'manifests=1',
        'shared-size=1',
        `filters=${encodeURIComponent(JSON.stringify({ reference: [name('h')] }))}`,
        `filters=${encodeURIComponent(JSON.stringify({ label: ['dockgate.tenant=red'] }))}`,
      ]) {
        const { text } = await two.bob('GET', `/images/json?${query}`);
        assert.ok(!text.includes(Id) && !text.includes(name('h')), query);
      }
      for (const path of ['/system/df', '/system/df?type=image&verbose=1'])
        assert.ok(!(await two.bob('GET', path)).text.includes(name('h')), path);
    });

    it('a shared image stays shared under the names alice gives it', async () => {
      const { Id } = await inspect(IMAGE);
      await must(two.alice, 'POST', `/images/${IMAGE}/tag?repo=${name('own-busybox')}&tag=1`);
      for (const reference of [IMAGE, Id, Id.replace('sha256:', '').slice(0, 12)]) {
        assert.equal((await two.bob('GET', `/images/${reference}/json`)).status, 200, reference);
        assert.equal(
          (
            await two.bob('POST', `/containers/create?name=${name(`c${count++}`)}`, {
              body: { ...create, Image: reference },
            })
          ).status,
          201,
        );
      }
      const shown = (await two.bob('GET', `/images/${IMAGE}/json`)).text;
      assert.ok(!shown.includes(name('own-busybox')), 'without her name for it');
      assert.equal((await two.bob('GET', `/images/${name('own-busybox')}:1/json`)).status, 404);
      assert.equal((await two.bob('GET', `/images/${name('own-busybox')}@${Id}/json`)).status, 404);
      await two.alice('DELETE', `/images/${name('own-busybox')}:1`);
      assert.equal((await two.bob('GET', `/images/${IMAGE}/json`)).status, 200);
    });
  });
}
