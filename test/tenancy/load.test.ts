// `docker load` of tenants: the names inside an archive are judged before the engine has any of it, layers are what their
// configuration says, and what was loaded is the loader's.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { must } from '../support/api.ts';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';
import { until } from '../support/until.ts';

const PREFIX = `dg-load-${IS_DENO ? 'deno' : 'node'}`;
const MAX_BYTES = 16 * 1024 * 1024;
const sha = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

/** An image of one layer with one file, as docker save writes it. */
function image(tag: string, content: string, more: { labels?: object; layer?: Buffer } = {}): Buffer {
  const layer = Buffer.concat([tarEntry('file', content), Buffer.alloc(1024)]);
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['/file'], Labels: more.labels ?? {} },
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha(layer)}`] },
  });
  const manifest = [{ Config: 'c.json', RepoTags: [tag], Layers: ['l.tar'] }];
  const entries = [tarEntry('c.json', config), tarEntry('l.tar', more.layer ?? layer)];
  return Buffer.concat([...entries, tarEntry('manifest.json', JSON.stringify(manifest)), Buffer.alloc(1024)]);
}

describe('docker load of tenants', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  before(async () => {
    two = await startTwoTenants('operator', { settings: { limits: { loadBytes: MAX_BYTES } } });
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });
  const load = (who: 'alice' | 'bob', body: Buffer) => two[who]('POST', '/images/load', { body });
  const layersOf = async (tag: string): Promise<unknown> =>
    ((await two.engine('GET', `/images/${tag}/json`)).json as { RootFS?: unknown }).RootFS;
  const idOf = async (tag: string): Promise<string | undefined> =>
    ((await two.engine('GET', `/images/${tag}/json`)).json as { Id?: string }).Id;

  it('what alice loads is alice\u2019s, and bob loads nothing over it', async () => {
    const tag = `${PREFIX}-alice:1`;
    const loaded = await load('alice', image(tag, 'one'));
    assert.match(loaded.text, new RegExp(`Loaded image: ${tag}`), loaded.text);
    const before = await idOf(tag);
    assert.equal((await two.alice('GET', `/images/${tag}/json`)).status, 200);
    assert.equal((await two.bob('GET', `/images/${tag}/json`)).status, 404);
    const over = await load('bob', image(tag, 'other'));
    assert.equal(over.status, 409, over.text);
    assert.match(over.text, /is in use and not yours to change/);
    assert.equal(await idOf(tag), before);
    // Nor over a name without an owner; her own she replaces.
    assert.equal((await load('bob', image(IMAGE, 'other'))).status, 409);
    assert.equal((await load('alice', image(tag, 'two'))).status, 200);
    assert.notEqual(await idOf(tag), before);
    await must(two.alice, 'DELETE', `/images/${tag}`);
    assert.equal((await load('bob', image(tag, 'other'))).status, 200);
    assert.equal((await two.alice('GET', `/images/${tag}/json`)).status, 404);
  });

  it('what docker save gave comes back, compressed or not', async () => {
    const tag = `${PREFIX}-saved:1`;
    await must(two.alice, 'POST', `/images/${IMAGE}/tag?repo=${PREFIX}-saved&tag=1`);
    const saved = await new Promise<Buffer>((resolve, reject) => {
      const path = `/images/get?names=${encodeURIComponent(tag)}`;
      http.get({ socketPath: join(two.gateway.dir, 'alice.sock'), path, agent: false }, (answer) => {
        const pieces: Buffer[] = [];
        answer.on('data', (piece: Buffer) => pieces.push(piece));
        answer.on('end', () => resolve(Buffer.concat(pieces)));
        answer.on('error', reject);
      });
    });
    for (const body of [saved, gzipSync(saved, { level: 1 })]) {
      await must(two.alice, 'DELETE', `/images/${tag}`);
      const loaded = await load('alice', body);
      assert.match(loaded.text, /Loaded image/, loaded.text);
      // Its id is not the same in every image store.
      assert.deepEqual(await layersOf(tag), await layersOf(IMAGE));
    }
  });

  it('a layer of another\u2019s is not had by naming it', async () => {
    // An engine takes a layer it has for one that is named, and does not read what came.
    assert.equal((await load('alice', image(`${PREFIX}-secret:1`, 'the secret of alice'))).status, 200);
    const stolen = image(`${PREFIX}-stolen:1`, 'the secret of alice', { layer: tarEntry('file', 'guess') });
    const answer = await load('bob', stolen);
    assert.equal(answer.status, 400, answer.text);
    assert.match(answer.text, /layer 0 of image 0 is not what its configuration names/);
    assert.equal(await idOf(`${PREFIX}-stolen:1`), undefined);
  });

  it('an archive that cannot be read for certain, or is too large, is refused before the engine has it', async () => {
    const good = image(`${PREFIX}-bad:1`, 'x');
    const large = tarEntry('l.tar', '');
    large.write((10 * 1024 ** 3).toString(8).padStart(12, '0'), 124, 'latin1');
    large.write('        ', 148);
    large.write(
      `${large
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    );
    for (const [title, body, status] of [
      ['cut off', good.subarray(0, 2000), 400],
      ['a broken compression', gzipSync(good).subarray(0, 300), 400],
      ['no archive', Buffer.from('nothing '.repeat(500)), 400],
      ['10 GiB announced', large, 413],
      ['more than the limit, compressed', gzipSync(tarEntry('l.tar', Buffer.alloc(MAX_BYTES + 1)), { level: 1 }), 413],
      ['labels of another tenant', image(`${PREFIX}-bad:1`, 'x', { labels: { 'dockgate.tenant': 'red' } }), 403],
    ] as const) {
      const answer = await load('bob', body);
      assert.equal(answer.status, status, `${title}: ${answer.text}`);
    }
    assert.equal(await idOf(`${PREFIX}-bad:1`), undefined);
    assert.equal(
      (await load('bob', image(`${PREFIX}-own:1`, 'x', { labels: { 'dockgate.tenant': 'blue' } }))).status,
      200,
    );
  });

  it('docker load runs once at a time for each tenant; a load that stalls gives its place back', async () => {
    const half = image(`${PREFIX}-slow:1`, 'x').subarray(0, 600);
    const slow = http.request({
      socketPath: join(two.gateway.dir, 'bob.sock'),
      method: 'POST',
      path: '/images/load',
      agent: false,
      headers: { 'content-type': 'application/x-tar', 'content-length': '100000' },
    });
    slow.on('error', () => {});
    slow.write(half);
    const second = await until('the second is refused', async () => {
      const answer = await load('bob', image(`${PREFIX}-second:1`, 'x'));
      return answer.status === 429 ? answer : undefined;
    });
    assert.match(second.headers['retry-after'] ?? '', /^\d+$/);
    assert.equal((await load('alice', image(`${PREFIX}-beside:1`, 'x'))).status, 200);
    slow.destroy();
    await until('bob loads again', async () => (await load('bob', image(`${PREFIX}-third:1`, 'x'))).status === 200);
  });

  it('a gateway that is killed in the middle leaves nothing, and loads again', async () => {
    const tag = `${PREFIX}-killed:1`;
    const whole = image(tag, 'x');
    const slow = http.request({
      socketPath: join(two.gateway.dir, 'bob.sock'),
      method: 'POST',
      path: '/images/load',
      agent: false,
      headers: { 'content-type': 'application/x-tar', 'content-length': String(whole.length) },
    });
    slow.on('error', () => {});
    slow.write(whole.subarray(0, -600));
    await until('it has begun', async () => (await load('bob', image(`${PREFIX}-other:1`, 'x'))).status === 429);
    await two.gateway.stop('SIGKILL');
    slow.destroy();
    await two.gateway.restart();
    assert.deepEqual(readdirSync(join(two.gateway.dir, 'data', 'spool')), []);
    assert.equal(await idOf(tag), undefined);
    assert.equal((await load('bob', whole)).status, 200);
  });

  it('what is loaded must fit the quotas of images', async () => {
    await two.gateway.must('tenant', 'create', 'blue', '--quota', 'image-bytes=64KiB');
    const large = await load('bob', image(`${PREFIX}-large:1`, 'x'.repeat(70_000)));
    assert.equal(large.status, 403, large.text);
    assert.match(large.text, /quota of tenant blue is 64 KiB of images/);
    assert.equal((await load('bob', image(`${PREFIX}-small:1`, 'x'.repeat(3_000)))).status, 200);
  });

  it('the audit names what was loaded', async () => {
    const rows = await two.gateway.must('audit', 'ls', '--subject', 'alice', '--action', 'image.load');
    assert.match(rows, new RegExp(`image/docker.io/library/${PREFIX}-secret:1`));
  });
});
