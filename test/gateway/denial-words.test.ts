// What a denial tells: every field that stands in the way at once, of the nearest rule of all bound policies, and before any
// object the call names is looked up.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { admin } from '../support/admin.ts';
import { type Api, apiOver } from '../support/api.ts';
import { ENGINE, IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';

const MOUNTS = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: mounts }
rules:
  - name: sources
    effect: allow
    actions: [container.create]
    host: { preset: baseline, binds: [{ path: /srv/ci, readOnly: true }] }
`;

describe('a denial', { skip: skipWithoutEngine }, () => {
  let gateway: TestGateway;
  const callers: Record<string, Api> = {};
  const create = (who: string, host: object, image = IMAGE) =>
    (callers[who] as Api)('POST', '/containers/create', { body: { Image: image, HostConfig: host } });

  before(async () => {
    gateway = await startGateway({
      engine: ENGINE as string,
      unix: ['ci', 'tenant'].map((name) => ({ name, identity: name })),
    });
    await admin(gateway, 'POST', '/policies', { sources: [{ text: MOUNTS }] });
    await admin(gateway, 'POST', '/identities', { name: 'ci', policies: ['baseline', 'mounts'] });
    await admin(gateway, 'POST', '/identities', { name: 'tenant', policies: ['baseline'], tenant: 'red' });
    for (const name of ['ci', 'tenant']) callers[name] = apiOver(join(gateway.dir, `${name}.sock`));
  });
  after(() => gateway.remove());

  it('a denial tells every field that stands in the way in one answer', async () => {
    const { status, text } = await create('tenant', {
      Privileged: true,
      Binds: ['/:/host'],
      PidMode: 'host',
      CapAdd: ['SYS_ADMIN'],
    });
    assert.equal(status, 403);
    for (const field of ['Privileged', 'Binds[0]', 'PidMode', 'CapAdd[0]']) {
      assert.ok(text.includes(`HostConfig.${field}`), `${field} is not told: ${text}`);
    }
    assert.equal(text.match(/denied by policy baseline/g)?.length, 1, text);
  });

  it('a denial names the nearest rule of all bound policies', async () => {
    const writable = await create('ci', { Binds: ['/srv/ci/app:/src'] });
    assert.match(writable.text, /denied by policy mounts, rule sources: .*writable \(allowed: read-only\)/);
    const elsewhere = await create('ci', { Binds: ['/srv/other:/src:ro'] });
    assert.match(elsewhere.text, /denied by policy mounts, rule sources: .*\(allowed: below \/srv\/ci/);
    const allowed = await create('ci', { NetworkMode: 'none', Binds: ['/srv/ci/app:/src:ro'] });
    assert.equal(allowed.status, 201, allowed.text);
    await apiOver(ENGINE as string)('DELETE', `/containers/${(allowed.json as { Id: string }).Id}`);
  });

  it('a denial of the builder container of buildx comes before it is looked up, so that no builder is pulled', async () => {
    const ask = callers.tenant as Api;
    const { status, text } = await ask('GET', '/containers/buildx_buildkit_default/json');
    assert.equal(status, 403, text);
    assert.match(text, /would let BuildKit build unread.*DOCKER_BUILDKIT=0/);
    assert.equal((await ask('GET', '/containers/buildx_other/json')).status, 404);
  });

  it('a denial comes before the objects a tenant names are looked up', async () => {
    for (const host of [{ Privileged: true }, { Privileged: true, NetworkMode: 'nosuch' }, { Binds: ['/:/host'] }]) {
      const { status, text } = await create('tenant', host, 'nosuch:1');
      assert.equal(status, 403, text);
      assert.match(text, /HostConfig\.(Privileged|Binds)/);
    }
    const missing = await create('tenant', { NetworkMode: 'none' }, 'nosuch:1');
    assert.equal(missing.status, 404, missing.text);
    assert.match(missing.text, /No such image: nosuch:1/);
  });
});
