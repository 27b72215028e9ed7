// Objects made before the gateway came have no owner and are invisible until an operator gives them to a tenant.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { must } from '../support/api.ts';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-adopt-${IS_DENO ? 'deno' : 'node'}`;

describe('dockgate tenant', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  before(async () => {
    two = await startTwoTenants();
    const Labels = { 'com.docker.compose.project': `${PREFIX}-shop` };
    const { engine } = two;
    await must(engine, 'POST', '/volumes/create', { Name: `${PREFIX}-data`, Labels });
    await must(engine, 'POST', '/networks/create', { Name: `${PREFIX}-net`, Internal: true, Labels });
    await must(engine, 'POST', `/containers/create?name=${PREFIX}-web`, {
      Image: IMAGE,
      Labels,
      HostConfig: { NetworkMode: 'none', Binds: [`${PREFIX}-data:/data`, '/anonymous'] },
    });
    await must(engine, 'POST', `/containers/create?name=${PREFIX}-other`, { Image: IMAGE });
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });

  it('adopts a compose project whole, across a restart, and gives nothing away twice', async () => {
    const paths = [`/containers/${PREFIX}-web/json`, `/volumes/${PREFIX}-data`, `/networks/${PREFIX}-net`];
    for (const path of paths) assert.equal((await two.alice('GET', path)).status, 404, path);
    const shown = await two.gateway.must('tenant', 'adopt', '--tenant', 'red', '--compose-project', `${PREFIX}-shop`);
    for (const name of ['web', 'data', 'net']) assert.match(shown, new RegExp(`${PREFIX}-${name}`));
    await two.gateway.stop();
    await two.gateway.restart();
    for (const path of paths) {
      assert.equal((await two.alice('GET', path)).status, 200, path);
      assert.equal((await two.bob('GET', path)).status, 404, path);
    }
    const again = await two.gateway.must('tenant', 'adopt', '--tenant', 'red', '--compose-project', `${PREFIX}-shop`);
    assert.match(again, /nothing new/);
    const refused = await two.gateway.dockgate('tenant', 'adopt', '--tenant', 'blue', '--container', `${PREFIX}-web`);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /belongs to tenant red/);
    assert.equal((await two.alice('GET', `/containers/${PREFIX}-other/json`)).status, 404);
  });

  it('refuses what is not there, and says what it needs', async () => {
    const none = await two.gateway.dockgate('tenant', 'adopt', '--tenant', 'red', '--container', `${PREFIX}-none`);
    assert.match(none.stderr, /no container dg-adopt-\w+-none/);
    const nothing = await two.gateway.dockgate('tenant', 'adopt', '--tenant', 'red');
    assert.equal(nothing.code, 2);
    const host = await two.gateway.dockgate('tenant', 'adopt', '--tenant', 'red', '--network', 'host');
    assert.equal(host.code, 1);
  });

  it('lists tenants, their identities and what they own', async () => {
    assert.match(await two.gateway.must('tenant', 'list'), /blue[\s\S]*red/);
    assert.match(await two.gateway.must('tenant', 'show', 'red'), /alice/);
    const objects = JSON.parse(await two.gateway.must('tenant', 'objects', 'red', '--json')) as {
      kind: string;
      owner: string;
      auditId: string;
    }[];
    assert.deepEqual(objects.map(({ kind }) => kind).sort(), ['container', 'network', 'volume', 'volume']);
    const [first] = objects;
    assert.equal(first?.owner, 'local');
    assert.match(await two.gateway.must('audit', 'show', first?.auditId ?? ''), /adopt/);
    assert.equal((await two.gateway.dockgate('tenant', 'show', 'green')).code, 1);
  });
});
