// Nothing ends unowned, and nothing passes a quota by coming at once or without a name: two calls of one tenant for one new name,
// images that are committed, built and imported without a name, and calls of unknown outcome. Real engine.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { admin } from '../support/admin.ts';
import { must } from '../support/api.ts';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';
import { until } from '../support/until.ts';

const PREFIX = `dg-unowned-${IS_DENO ? 'deno' : 'node'}`;
const create = { Image: IMAGE, Cmd: ['true'], HostConfig: { NetworkMode: 'none' } };
const context = (dockerfile: string): Buffer => Buffer.concat([tarEntry('Dockerfile', dockerfile), Buffer.alloc(1024)]);
const ROUNDS = 8;

describe('what tenants make', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  before(async () => {
    two = await startTwoTenants();
    await removeAll(two.engine, PREFIX);
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });
  const name = (what: string): string => `${PREFIX}-${what}`;
  const set = (quota: object): Promise<unknown> => admin(two.gateway, 'PATCH', '/tenants/red', { quota });
  const imagesInUse = async (): Promise<number> => {
    const { usage } = (await admin(two.gateway, 'GET', '/tenants/red')) as { usage: { images: number } };
    return usage.images;
  };

  it('two creates of one volume at once are answered alike, and it is owned once', async () => {
    for (let i = 0; i < ROUNDS; i++) {
      const volume = name(`v${i}`);
      const answers = await Promise.all(
        [1, 2, 3].map(() => two.alice('POST', '/volumes/create', { body: { Name: volume } })),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        [201, 201, 201],
        answers.map(({ text }) => text).join(),
      );
      const owned = await two.gateway.must('tenant', 'objects', 'red', '--json');
      assert.equal((JSON.parse(owned) as { id: string }[]).filter(({ id }) => id === volume).length, 1);
      assert.equal((await two.bob('GET', `/volumes/${volume}`)).status, 404);
    }
  });

  it('a volume two containers bring at once is owned though the first of them is refused', async () => {
    for (let i = 0; i < ROUNDS; i++) {
      const volume = name(`w${i}`);
      const bring = (container: string, Image = IMAGE) =>
        two.alice('POST', `/containers/create?name=${container}`, {
          body: { ...create, Image, HostConfig: { NetworkMode: 'none', Binds: [`${volume}:/data`] } },
        });
      const answers = await Promise.all([bring(name('same')), bring(name('same')), bring(name(`other${i}`))]);
      assert.ok(answers.some(({ status }) => status === 409) && answers.some(({ status }) => status === 201));
      assert.equal((await two.alice('GET', `/volumes/${volume}`)).status, 200, 'hers');
      assert.equal((await two.bob('GET', `/volumes/${volume}`)).status, 404, 'not his');
      await two.alice('DELETE', `/containers/${name('same')}`);
    }
  });

  it('the quota of images counts those without a name, and what comes at once', async () => {
    const { Id } = await must<{ Id: string }>(two.alice, 'POST', `/containers/create?name=${name('q')}`, create);
    await admin(two.gateway, 'POST', '/tenants', { name: 'red', quota: {} }).catch(() => undefined);
    const used = await imagesInUse();
    await set({ images: used + 2 });
    const makers = [
      () => two.alice('POST', `/commit?container=${Id}&changes=${encodeURIComponent(`ENV A=${Math.random()}`)}`),
      () => two.alice('POST', '/build?rm=1&nocache=1', { body: context(`FROM ${IMAGE}\nENV A=${Math.random()}\n`) }),
      () => two.alice('POST', '/images/create?fromSrc=-', { body: context(String(Math.random())) }),
      () => two.alice('POST', `/commit?container=${Id}&repo=${name('qi')}&tag=${Math.random()}`),
    ];
    const answers = await Promise.all([...makers, ...makers].map((make) => make()));
    const made = answers.filter(({ status, text }) => status < 300 && !text.includes('errorDetail')).length;
    assert.ok(made <= 2, `${made} were made of 2: ${answers.map(({ status }) => status).join()}`);
    assert.ok(answers.some(({ status, text }) => status === 403 && text.includes('images')));
    assert.ok((await imagesInUse()) <= used + 2);
    await set({ images: null });
  });

  it('an image without a name whose maker was killed is its tenant’s', async () => {
    const { Id } = await must<{ Id: string }>(two.alice, 'POST', `/containers/create?name=${name('k')}`, create);
    const mark = `killed=${Math.random()}`;
    const target = `/commit?container=${Id}&changes=${encodeURIComponent(`LABEL ${mark}`)}`;
    const lost = two.alice('POST', target).catch(() => undefined);
    // By its mark: other tests make images in this engine meanwhile.
    const marked = `/images/json?filters=${encodeURIComponent(JSON.stringify({ label: [mark] }))}`;
    const made = await until('an image', async () => (await must<{ Id: string }[]>(two.engine, 'GET', marked))[0]);
    await two.gateway.stop('SIGKILL');
    await lost;
    await two.gateway.restart();
    assert.equal((await two.alice('GET', `/images/${made.Id}/json`)).status, 200);
    assert.equal((await two.bob('GET', `/images/${made.Id}/json`)).status, 404);
  });
});
