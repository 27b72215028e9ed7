// image-signatures before a real engine that pulls from a registry: what is signed with a configured key, for this very repository and
// digest, is pulled and made, pinned to that digest; everything else is refused. Signatures here are made in cosign's documented
// form; with DOCKGATE_TEST_COSIGN and DOCKGATE_TEST_REGISTRY the real programs make and keep them too.
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { admin } from '../support/admin.ts';
import { type Answer, type Api, apiOver } from '../support/api.ts';
import { ENGINE, IMAGE, removeContainers, skipWithoutCli, skipWithoutEngine } from '../support/engine.ts';
import { docker, run, startGateway, type TestGateway } from '../support/gateway.ts';
import { type ImageRegistry, startImageRegistry } from '../support/image-registry.ts';
import { skipWithoutRegistry, startRegistry, type TestRegistry } from '../support/registry.ts';
import { IS_DENO } from '../support/runtime.ts';

const P = `dg-sign-${IS_DENO ? 'd' : 'n'}-`;
const COSIGN = process.env.DOCKGATE_TEST_COSIGN;

/** A gateway whose callers may all, with `rules` for the images of a registry. */
async function gatewayFor(host: string, keyFiles: (dir: string) => readonly string[]): Promise<TestGateway> {
  const { mkdtempSync } = await import('node:fs');
  const { tmpdir } = await import('node:os');
  const dir = mkdtempSync(join(tmpdir(), 'dg-'));
  const gateway = await startGateway({
    engine: ENGINE as string,
    dir,
    unix: ['op', 'alice'].map((name) => ({ name, identity: name })),
    settings: {
      plugins: [
        {
          use: 'image-signatures',
          needs: ['engine:image.inspect', `net:http://${host}`],
          timeoutMs: 10_000,
          config: {
            rules: [{ images: [`${host}/signed/*`, `${host}/moved/*`], keys: keyFiles(dir) }],
            insecure: [host],
            maxAgeS: 1,
          },
        },
      ],
    },
  });
  await admin(gateway, 'POST', '/identities', { name: 'op', policies: ['operator'] });
  await admin(gateway, 'POST', '/identities', { name: 'alice', policies: ['operator'], tenant: 'red' });
  return gateway;
}

const callsOf = (gateway: TestGateway, who: string): Api => apiOver(join(gateway.dir, `${who}.sock`));
const pull = (api: Api, image: string, tag: string): Promise<Answer> =>
  api('POST', `/images/create?fromImage=${encodeURIComponent(image)}&tag=${encodeURIComponent(tag)}`);
const create = (api: Api, Image: string, name: string): Promise<Answer> =>
  api('POST', `/containers/create?name=${P}${name}`, { body: { Image, HostConfig: { NetworkMode: 'none' } } });

async function removeImages(engine: Api, host: string): Promise<void> {
  const { json } = await engine('GET', '/images/json');
  for (const { RepoTags, RepoDigests } of json as { RepoTags?: string[]; RepoDigests?: string[] }[])
    for (const name of [...(RepoTags ?? []), ...(RepoDigests ?? [])])
      if (name.startsWith(host)) await engine('DELETE', `/images/${name}?force=1`);
}

describe('image-signatures', { skip: skipWithoutEngine }, () => {
  const pairs = {
    ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ed: generateKeyPairSync('ed25519'),
    rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    other: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  };
  let registry: ImageRegistry;
  let gateway: TestGateway;
  let engine: Api;
  let op: Api;
  /** A signature as cosign keeps it: what may be wrong with it, can be said. */
  function signed(
    name: string,
    key: KeyObject,
    more: { digest?: string; reference?: string; type?: string; blob?: Buffer } = {},
  ) {
    const [repository = ''] = name.split(':');
    const digest = registry.digest(name);
    const payload = Buffer.from(
      JSON.stringify({
        critical: {
          identity: { 'docker-reference': more.reference ?? `${registry.host}/${repository}` },
          image: { 'docker-manifest-digest': more.digest ?? digest },
          type: more.type ?? 'cosign container image signature',
        },
        optional: null,
      }),
    );
    const mediaType = 'application/vnd.dev.cosign.simplesigning.v1+json';
    const made = sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', payload, key).toString('base64');
    registry.put(`${repository}:${digest.replace(':', '-')}.sig`, {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...registry.keep(Buffer.from('{}')) },
      layers: [
        {
          mediaType,
          ...registry.keep(more.blob ?? payload),
          annotations: { 'dev.cosignproject.cosign/signature': made },
        },
      ],
    });
  }
  const image = (name: string): string => `${registry.host}/${name}`;

  before(async () => {
    engine = apiOver(ENGINE as string);
    removeContainers(P);
    const names = ['ec', 'ed', 'rsa', 'none', 'other', 'digest', 'name', 'type', 'blob', 'tenant', 'cli'].map(
      (one) => `signed/${one}:1`,
    );
    registry = await startImageRegistry(
      Object.fromEntries(
        [...names, 'moved/app:1', 'moved/app:2', 'unknown/app:1'].map((name) => [name, { Cmd: [name] }]),
      ),
    );
    gateway = await gatewayFor(registry.host, (dir) =>
      (['ec', 'ed', 'rsa'] as const).map((name) => {
        const file = join(dir, `${name}.pub`);
        writeFileSync(file, pairs[name].publicKey.export({ type: 'spki', format: 'pem' }));
        return file;
      }),
    );
    op = callsOf(gateway, 'op');
    for (const name of ['ec', 'ed', 'rsa'] as const) signed(`signed/${name}:1`, pairs[name].privateKey);
    const { ec, other } = pairs;
    signed('signed/tenant:1', ec.privateKey);
    signed('signed/cli:1', ec.privateKey);
    signed('signed/other:1', other.privateKey);
    signed('signed/digest:1', ec.privateKey, { digest: registry.digest('signed/ec:1') });
    signed('signed/name:1', ec.privateKey, { reference: `${registry.host}/signed/ec` });
    signed('signed/type:1', ec.privateKey, { type: 'another' });
    signed('signed/blob:1', ec.privateKey, { blob: Buffer.from('{}') });
    signed('moved/app:1', ec.privateKey);
  });
  after(async () => {
    removeContainers(P);
    if (registry !== undefined) await removeImages(engine, registry.host);
    await gateway?.remove();
    await registry?.close();
  });

  for (const name of ['ec', 'ed', 'rsa']) {
    it(`a signature by a key of the kind ${name}: pulled and made by its digest`, async () => {
      const pulled = await pull(op, image(`signed/${name}`), '1');
      assert.equal(pulled.status, 200, pulled.text);
      const digest = registry.digest(`signed/${name}:1`);
      assert.match(pulled.text, new RegExp(`Digest: ${digest}`));
      const made = await create(op, image(`signed/${name}:1`), name);
      assert.equal(made.status, 201, made.text);
      const { json } = await engine('GET', `/containers/${P}${name}/json`);
      assert.equal((json as { Config: { Image: string } }).Config.Image, `${image(`signed/${name}`)}@${digest}`);
    });
  }

  for (const [name, words] of [
    ['none', /it has no signature/],
    ['other', /no configured key made its signature/],
    ['digest', /another digest is signed/],
    ['name', /it was signed as \S+\/signed\/ec/],
    ['type', /what is signed is no image/],
    ['blob', /no configured key made its signature/],
  ] as const) {
    it(`neither pulls nor makes what has a wrong signature: ${name}`, async () => {
      const answer = await pull(op, image(`signed/${name}`), '1');
      assert.equal(answer.status, 403, answer.text);
      assert.match(answer.text, words);
      assert.match(answer.text, /denied by plugin image-signatures: .*\[audit /);
      // Also where the engine has it already, by its tag or by its digest.
      await pull(engine, image(`signed/${name}`), '1');
      for (const reference of [
        image(`signed/${name}:1`),
        `${image(`signed/${name}`)}@${registry.digest(`signed/${name}:1`)}`,
      ])
        assert.equal((await create(op, reference, 'no')).status, 403, reference);
    });
  }

  it('an image without a rule, by its id, made here, or by every tag is refused', async () => {
    assert.match((await pull(op, image('unknown/app'), '1')).text, /there is no key/);
    assert.match((await create(op, IMAGE, 'no')).text, /there is no key/);
    const { json } = await engine('GET', `/images/${IMAGE}/json`);
    assert.equal((await create(op, (json as { Id: string }).Id, 'no')).status, 403);
    assert.equal((await op('POST', `/images/create?fromImage=${encodeURIComponent(image('signed/ec'))}`)).status, 403);
    await engine('POST', `/images/${IMAGE}/tag?repo=${encodeURIComponent(image('signed/forged'))}&tag=1`);
    const forged = await create(op, image('signed/forged:1'), 'no');
    assert.equal(forged.status, 403, forged.text);
    assert.match(forged.text, /has no digest of a registry/);
  });

  it('a tag that moves between the look at its signature and its use changes nothing', async () => {
    const digest = registry.digest('moved/app:1');
    const pulled = await pull(op, image('moved/app'), '1');
    assert.equal(pulled.status, 200, pulled.text);
    registry.put('moved/app:1', 'moved/app:2');
    const moved = await pull(op, image('moved/app'), '1');
    assert.equal(moved.status, 403, moved.text);
    // Another caller has the engine move its tag as well.
    await pull(engine, image('moved/app'), '1');
    const made = await create(op, image('moved/app:1'), 'no');
    assert.equal(made.status, 403, made.text);
    const pinned = await create(op, `${image('moved/app')}@${digest}`, 'pinned');
    assert.equal(pinned.status, 201, pinned.text);
  });

  it('docker create pulls what is not there, and makes it by its digest', { skip: skipWithoutCli }, async () => {
    const env = { PATH: process.env.PATH, HOME: gateway.dir, DOCKER_HOST: `unix://${join(gateway.dir, 'op.sock')}` };
    const made = await docker(env, ['create', '--network', 'none', '--name', `${P}cli`, image('signed/cli:1')]);
    assert.equal(made.code, 0, made.stderr);
    const refused = await docker(env, ['create', '--network', 'none', image('signed/other:1')]);
    assert.match(refused.stderr, /no configured key made its signature; sign it with cosign/);
  });

  it("a tenant's container is made of what was verified as well", async () => {
    const alice = callsOf(gateway, 'alice');
    const pulled = await pull(alice, image('signed/tenant'), '1');
    assert.equal(pulled.status, 200, pulled.text);
    const made = await create(alice, image('signed/tenant:1'), 'tenant');
    assert.equal(made.status, 201, made.text);
    const { json } = await engine('GET', `/containers/${P}tenant/json`);
    assert.match((json as { Config: { Image: string } }).Config.Image, /@?sha256:/);
    assert.equal((await create(alice, image('signed/none:1'), 'no')).status, 403);
  });

  it('nothing passes while the registry does not answer', async () => {
    await registry.close();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const made = await create(op, image('signed/ec:1'), 'no');
    assert.equal(made.status, 403, made.text);
    assert.match(made.text, /image-signatures/);
  });
});

describe('image-signatures with cosign and a registry of their own', {
  skip:
    skipWithoutEngine || skipWithoutRegistry || (COSIGN === undefined ? 'no cosign here: DOCKGATE_TEST_COSIGN' : false),
}, () => {
  let registry: TestRegistry;
  let gateway: TestGateway;
  let engine: Api;
  after(async () => {
    removeContainers(P);
    if (registry !== undefined) await removeImages(engine, registry.address);
    await gateway?.remove();
    registry?.stop();
  });

  it('an image that cosign signed is pulled and made, its unsigned neighbour is not', async () => {
    engine = apiOver(ENGINE as string);
    registry = await startRegistry();
    let keys = '';
    gateway = await gatewayFor(registry.address, (dir) => {
      keys = dir;
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      writeFileSync(join(dir, 'first.pub'), pair.publicKey.export({ type: 'spki', format: 'pem' }));
      return [join(dir, 'first.pub')];
    });
    const cosign = async (...words: string[]) => {
      const ran = await run(COSIGN as string, words, {
        env: { PATH: process.env.PATH, HOME: keys, COSIGN_PASSWORD: '', DOCKER_CONFIG: keys },
      });
      assert.equal(ran.code, 0, ran.stderr);
    };
    await cosign('generate-key-pair', '--output-key-prefix', join(keys, 'cosign'));
    await gateway.stop();
    // The key that the settings name is cosign's own from here on.
    const { copyFileSync } = await import('node:fs');
    copyFileSync(join(keys, 'cosign.pub'), join(keys, 'first.pub'));
    await gateway.restart();
    const op = callsOf(gateway, 'op');
    for (const name of ['yes', 'no']) {
      const repo = `${registry.address}/signed/${name}`;
      await engine('POST', `/images/${IMAGE}/tag?repo=${encodeURIComponent(repo)}&tag=1`);
      const pushed = await engine('POST', `/images/${repo}/push?tag=1`, { headers: { 'x-registry-auth': 'e30=' } });
      assert.match(pushed.text, /sha256:[0-9a-f]{64}/);
      await engine('DELETE', `/images/${repo}:1?force=1`);
    }
    const words = ['--key', join(keys, 'cosign.key'), '--tlog-upload=false', '--allow-insecure-registry', '-y'];
    await cosign('sign', ...words, `${registry.address}/signed/yes:1`);
    const pulled = await pull(op, `${registry.address}/signed/yes`, '1');
    assert.equal(pulled.status, 200, pulled.text);
    const made = await create(op, `${registry.address}/signed/yes:1`, 'cosign');
    assert.equal(made.status, 201, made.text);
    const refused = await pull(op, `${registry.address}/signed/no`, '1');
    assert.equal(refused.status, 403, refused.text);
    assert.match(refused.text, /it has no signature/);
  });
});
