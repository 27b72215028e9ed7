// Builds of tenants: what a Dockerfile takes from must be the tenant's or shared, in every way to write it, and tags of others stay.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { must } from '../support/api.ts';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-build-${IS_DENO ? 'deno' : 'node'}`;
const context = (dockerfile: string, name = 'Dockerfile') =>
  Buffer.concat([tarEntry('file', 'content'), tarEntry(name, dockerfile), Buffer.alloc(1024)]);

describe('builds of tenants', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  before(async () => {
    two = await startTwoTenants('baseline');
    await must(two.alice, 'POST', `/images/${IMAGE}/tag?repo=${PREFIX}-alice&tag=1`);
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });
  const build = (who: 'alice' | 'bob', tag: string, body: Buffer, query = '') =>
    two[who]('POST', `/build?t=${PREFIX}-${tag}${query}`, { body });

  it('a build on a shared image gives the tenant its tag, with labels', async () => {
    const built = await build('bob', 'bob:1', context(`FROM ${IMAGE}\nCOPY file /file\n`));
    assert.match(built.text, /Successfully built/);
    const image = await must<{ Config: { Labels: Record<string, string> } }>(
      two.bob,
      'GET',
      `/images/${PREFIX}-bob:1/json`,
    );
    assert.equal(image.Config.Labels['dockgate.tenant'], 'blue');
    assert.equal((await two.alice('GET', `/images/${PREFIX}-bob:1/json`)).status, 404);
  });
  it('a build on an image of one\u2019s own, compressed, from another file', async () => {
    const body = gzipSync(context(`ARG B\nFROM $B\nLABEL a=b\n`, 'sub/Build'));
    const args = encodeURIComponent(JSON.stringify({ B: `${PREFIX}-bob:1` }));
    const built = await build('bob', 'bob:2', body, `&dockerfile=sub/Build&buildargs=${args}`);
    assert.match(built.text, /Successfully built/, built.text);
  });
  for (const [title, dockerfile] of [
    ['FROM', `FROM ${PREFIX}-alice:1\n`],
    ['FROM by an argument', `ARG A=${PREFIX}-alice\nFROM $A:1\n`],
    ['a later stage', `FROM ${IMAGE}\nFROM ${PREFIX}-alice:1 AS x\n`],
    ['COPY --from', `FROM ${IMAGE}\nCOPY --from=${PREFIX}-alice:1 /bin/sh /sh\n`],
  ] as const) {
    it(`${title} of another tenant's image gives nothing`, async () => {
      const built = await build('bob', 'stolen:1', context(dockerfile));
      assert.ok(built.status >= 400, `${built.status} ${built.text}`);
      assert.match(built.text, /pull access denied/);
      assert.equal((await two.engine('GET', `/images/${PREFIX}-stolen:1/json`)).status, 404);
    });
  }
  it('another tenant\u2019s tag is not built over', async () => {
    const { Id } = await must<{ Id: string }>(two.alice, 'GET', `/images/${PREFIX}-alice:1/json`);
    const built = await build('bob', 'bob:3', context(`FROM ${IMAGE}\nLABEL evil=1\n`), `&t=${PREFIX}-alice:1`);
    assert.equal(built.status, 409, built.text);
    assert.equal((await must<{ Id: string }>(two.alice, 'GET', `/images/${PREFIX}-alice:1/json`)).Id, Id);
  });
  it('a context the engine would fetch is refused, whatever policy says', async () => {
    const built = await two.bob(
      'POST',
      `/build?t=${PREFIX}-bob:5&remote=${encodeURIComponent('http://127.0.0.1:1/x')}`,
    );
    assert.equal(built.status, 403, built.text);
  });
  it('an archive that cannot be read for certain is refused', async () => {
    const built = await build('bob', 'bob:4', Buffer.from('no archive '.repeat(200)));
    assert.equal(built.status, 400);
    assert.match(built.text, /cannot be judged/);
  });
});
