// Losing files of the data folder never makes private objects public: the ledger stands apart from the audit log, and one that is
// lost or old is made whole from what the engine's objects prove, before any tenant is served. Real engine.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { apiOver } from '../support/api.ts';
import { ENGINE, IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = 'dglost-';
const create = { Image: IMAGE, Cmd: ['true'], HostConfig: { NetworkMode: 'none' } };

const statuses = async (api: TwoTenants['alice'], targets: readonly string[]): Promise<Record<string, number>> => {
  const found: Record<string, number> = {};
  for (const target of targets) found[target] = (await api('GET', target)).status;
  return found;
};

describe('a gateway whose ledger or audit log was lost', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  const data = (): string => join(two.gateway.dir, 'data');
  const remove = (name: string): void => {
    for (const file of readdirSync(data())) if (file.startsWith(name)) rmSync(join(data(), file));
  };
  /** What alice makes, of every kind; `image` is loaded, so nothing in it says whose it is. */
  const targets = (): string[] => [
    `/containers/${PREFIX}c/json`,
    `/volumes/${PREFIX}v`,
    `/networks/${PREFIX}n`,
    `/images/${PREFIX}own:1/json`,
    `/images/${PREFIX}tag:1/json`,
  ];

  beforeEach(async () => {
    await removeAll(apiOver(ENGINE as string), PREFIX);
    two = await startTwoTenants();
    const made = async (method: string, target: string, json?: unknown): Promise<void> => {
      const { status, text } = await two.alice(method, target, json === undefined ? {} : { body: json });
      assert.ok(status < 300, `${method} ${target}: ${status} ${text}`);
    };
    await made('POST', `/containers/create?name=${PREFIX}c`, create);
    await made('POST', '/volumes/create', { Name: `${PREFIX}v` });
    await made('POST', '/networks/create', { Name: `${PREFIX}n` });
    await made('POST', `/commit?container=${PREFIX}c&repo=${PREFIX}own&tag=1`, {});
    await made('POST', `/images/${PREFIX}own:1/tag?repo=${PREFIX}tag&tag=1`);
  });
  afterEach(async () => {
    await two.gateway.remove();
  });
  after(async () => {
    await removeAll(apiOver(ENGINE as string), PREFIX);
  });

  const all = (status: number): Record<string, number> =>
    Object.fromEntries(targets().map((target) => [target, status]));

  it('a gateway whose ledger or audit log was lost keeps who owns what when audit.db is lost, as its own message advises for a damaged one', async () => {
    await two.gateway.stop('SIGKILL');
    remove('audit.db');
    await two.gateway.restart();
    assert.deepEqual(await statuses(two.bob, targets()), all(404), 'private objects stay private');
    assert.deepEqual(await statuses(two.alice, targets()), all(200), 'and their owner keeps them');
    assert.equal(
      (await two.bob('GET', `/images/${IMAGE}/json`)).status,
      200,
      'a shared image without an owner stays shared',
    );
  });

  for (const [title, files] of [
    ['ledger.db', ['ledger.db']],
    ['ledger.db and audit.db', ['ledger.db', 'audit.db']],
  ] as const) {
    it(`a gateway whose ledger or audit log was lost gives back what labels prove, and withholds images, when ${title} is lost`, async () => {
      await two.gateway.stop('SIGKILL');
      for (const file of files) remove(file);
      await two.gateway.restart();
      assert.deepEqual(await statuses(two.bob, targets()), all(404), 'private objects stay private');
      assert.deepEqual(
        await statuses(two.alice, targets()),
        { ...all(200), [targets()[3] as string]: 404, [targets()[4] as string]: 404 },
        'an image proves nothing by its labels',
      );
      const image = `/images/${PREFIX}own:1/json`;
      for (const name of [`${PREFIX}own:1`, `${PREFIX}tag:1`, IMAGE])
        assert.equal(
          (await two.bob('POST', '/containers/create', { body: { ...create, Image: name } })).status,
          404,
          name,
        );

      await two.gateway.must('tenant', 'adopt', '--tenant', 'red', '--image', `${PREFIX}own:1`);
      assert.equal((await two.alice('GET', image)).status, 200, 'an operator gives it back');
      assert.equal((await two.bob('GET', image)).status, 404);
      await two.gateway.must('tenant', 'release', '--image', IMAGE);
      assert.equal((await two.bob('GET', `/images/${IMAGE}/json`)).status, 200, 'or gives one to all');
      assert.equal((await two.bob('GET', image)).status, 404);
      assert.match(await two.gateway.must('tenant', 'withheld'), new RegExp(`${PREFIX}tag:1`));

      await two.gateway.stop();
      await two.gateway.restart();
      assert.equal((await two.bob('GET', `/images/${IMAGE}/json`)).status, 200, 'the next start finds a whole ledger');
      assert.equal((await two.bob('GET', image)).status, 404);
    });
  }

  it('looks for what an older copy of ledger.db lacks', async () => {
    await two.gateway.stop();
    const kept = mkdtempSync(join(tmpdir(), 'dg-kept-'));
    cpSync(join(data(), 'ledger.db'), join(kept, 'ledger.db'));
    await two.gateway.restart();
    assert.equal((await two.alice('POST', `/containers/create?name=${PREFIX}later`, { body: create })).status, 201);
    const tagged = await two.alice('POST', `/commit?container=${PREFIX}later&repo=${PREFIX}later&tag=1`, { body: {} });
    assert.equal(tagged.status, 201);
    await two.gateway.stop();
    remove('ledger.db');
    cpSync(join(kept, 'ledger.db'), join(data(), 'ledger.db'));
    rmSync(kept, { recursive: true });
    await two.gateway.restart();
    const later = [`/containers/${PREFIX}later/json`, `/images/${PREFIX}later:1/json`];
    assert.deepEqual(Object.values(await statuses(two.bob, later)), [404, 404]);
    assert.deepEqual(Object.values(await statuses(two.alice, later)), [200, 404]);
    assert.deepEqual(await statuses(two.alice, targets()), all(200), 'what it has stays');
  });

  it('a gateway whose ledger or audit log was lost knows whose a volume is whose name changed hands since an older copy, and one a container brought', async () => {
    const make = (api: TwoTenants['alice'], name: string) => api('POST', '/volumes/create', { body: { Name: name } });
    const bring = (api: TwoTenants['alice'], container: string, volume: string) =>
      api('POST', `/containers/create?name=${container}`, {
        body: { ...create, HostConfig: { NetworkMode: 'none', Binds: [`${volume}:/data`] } },
      });
    assert.equal((await make(two.alice, `${PREFIX}w`)).status, 201);
    await two.gateway.stop();
    const kept = mkdtempSync(join(tmpdir(), 'dg-kept-'));
    cpSync(join(data(), 'ledger.db'), join(kept, 'ledger.db'));
    await two.gateway.restart();
    for (const name of [`${PREFIX}v`, `${PREFIX}w`])
      assert.equal((await two.alice('DELETE', `/volumes/${name}`)).status, 204);
    // The engine tells when a volume was made in whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    assert.equal((await make(two.bob, `${PREFIX}v`)).status, 201);
    assert.equal((await bring(two.bob, `${PREFIX}b`, `${PREFIX}w`)).status, 201);
    assert.equal((await bring(two.bob, `${PREFIX}b2`, `${PREFIX}w`)).status, 201);
    await two.gateway.stop();
    remove('ledger.db');
    cpSync(join(kept, 'ledger.db'), join(data(), 'ledger.db'));
    rmSync(kept, { recursive: true });
    await two.gateway.restart();
    const volumes = [`/volumes/${PREFIX}v`, `/volumes/${PREFIX}w`];
    assert.deepEqual(Object.values(await statuses(two.alice, volumes)), [404, 404], 'no longer hers');
    assert.deepEqual(Object.values(await statuses(two.bob, volumes)), [200, 200], 'his');
    await two.bob('DELETE', `/containers/${PREFIX}b`);
    await two.bob('DELETE', `/containers/${PREFIX}b2`);
    assert.equal((await two.bob('DELETE', `/volumes/${PREFIX}w`)).status, 204);
  });

  it('a gateway whose ledger or audit log was lost does not take copied labels for proof', async () => {
    const labels = ((await two.engine('GET', `/containers/${PREFIX}c/json`)).json as { Config: { Labels: object } })
      .Config.Labels;
    // An image with the labels of a tenant's container, and an operator's containers: of that image, and with labels of its own.
    await two.engine('POST', `/commit?container=${PREFIX}c&repo=${PREFIX}op&tag=1`, { body: {} });
    assert.equal((await two.alice('DELETE', `/containers/${PREFIX}c`)).status, 204);
    await two.operator('POST', `/containers/create?name=${PREFIX}op1`, { body: { ...create, Image: `${PREFIX}op:1` } });
    await two.operator('POST', `/containers/create?name=${PREFIX}op2`, {
      body: { ...create, Labels: { 'dockgate.tenant': 'red' } },
    });
    await two.operator('POST', `/volumes/create`, { body: { Name: `${PREFIX}op3`, Labels: labels } });
    await two.gateway.stop();
    remove('ledger.db');
    await two.gateway.restart();
    const operators = [`/containers/${PREFIX}op1/json`, `/containers/${PREFIX}op2/json`, `/volumes/${PREFIX}op3`];
    assert.deepEqual(Object.values(await statuses(two.operator, operators)), [200, 200, 200]);
    assert.deepEqual(Object.values(await statuses(two.alice, operators)), [404, 404, 404]);
  });
});
