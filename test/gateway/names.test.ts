// Names an engine reads as many or in two ways, on real engines of both image stores: each is judged for every object it means,
// and the engine is sent the form that was judged.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Api, apiOver } from '../support/api.ts';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { ENGINE, IMAGE, LONG_LINES, skipWithoutEngine } from '../support/engine.ts';
import { PODMAN_LINE } from '../support/host-rules.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-names-${IS_DENO ? 'deno' : 'node'}`;
const NEW_ENGINE = process.env.DOCKGATE_TEST_DOCKER_HOST_NEW?.replace('unix://', '');
const ENGINES = [
  ['the engine', ENGINE],
  ...(NEW_ENGINE === undefined || NEW_ENGINE === '' ? [] : [['the newest engine', NEW_ENGINE]]),
] as const;

const RULES = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: one-tag }
rules:
  - { name: one, effect: allow, actions: [image.export, image.push, image.inspect, image.remove, image.tag], resources: ["image/docker.io/${PREFIX}/app:1"] }
`;
const DENY = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: not-secret }
rules:
  - { name: all, effect: allow, actions: [image.export, image.push, image.pull] }
  - { name: not, effect: deny, actions: ["image.*"], resources: ["image/docker.io/${PREFIX}/app:2*"] }
`;

/** Names in the manifest of an archive that \`docker save\` wrote. */
const tagsIn = (archive: string): string[] =>
  [
    ...new Set(
      [...archive.matchAll(/"RepoTags":\[([^\]]*)\]/g)].flatMap(([, tags]) => JSON.parse(`[${tags}]`) as string[]),
    ),
  ].sort();

for (const [title, socket] of ENGINES) {
  describe(`names of images on ${title}`, { skip: skipWithoutEngine }, () => {
    const direct = apiOver(socket as string);
    let gateway: EmbeddedTestGateway;
    let operator: Api;
    /** Calls as an identity with one policy. */
    let as: (policy: string) => Promise<(method: string, path: string) => Promise<{ status: number; text: string }>>;

    before(async () => {
      await removeAll(direct, PREFIX);
      gateway = await openEmbedded(`unix://${socket}`);
      operator = apiOver(gateway.socketPath);
      await gateway.policy('one-tag', RULES);
      await gateway.policy('not-secret', DENY);
      as = async (policy) => {
        const token = await gateway.token(policy, policy);
        return async (method, path) => {
          const headers = { authorization: `Bearer ${token}` };
          const answer = await fetch(`http://127.0.0.1:${gateway.port}${path}`, { method, headers });
          return { status: answer.status, text: await answer.text() };
        };
      };
      for (const tag of ['1', '2'])
        assert.equal((await direct('POST', `/images/${IMAGE}/tag?repo=${PREFIX}/app&tag=${tag}`)).status, 201);
    });
    after(async () => {
      await removeAll(direct, PREFIX);
      await gateway?.close();
    });

    it('a save of a repository is one of each image in it, in path and query', async () => {
      const all = [`${PREFIX}/app:1`, `${PREFIX}/app:2`];
      for (const path of [`/images/${PREFIX}/app/get`, `/images/get?names=${PREFIX}/app`]) {
        const saved = await operator('GET', path);
        assert.equal(saved.status, 200, saved.text.slice(0, 300));
        assert.deepEqual(tagsIn(saved.text), all, path);
      }
      const one = await operator('GET', `/images/get?names=${PREFIX}/app:1`);
      assert.deepEqual(tagsIn(one.text), [`${PREFIX}/app:1`]);
      const missing = await operator('GET', `/images/${PREFIX}/nosuch/get`);
      assert.notEqual(missing.status, 200, missing.text);
    });

    it('who may take one tag gets no other by the name of the repository', async () => {
      const call = await as('one-tag');
      const one = await call('GET', `/images/${PREFIX}/app:1/get`);
      assert.deepEqual(tagsIn(one.text), [`${PREFIX}/app:1`]);
      for (const path of [
        `/images/${PREFIX}/app/get`,
        `/images/${PREFIX}%2Fapp/get`,
        `/images/docker.io/${PREFIX}/app/get`,
        `/images/get?names=${PREFIX}/app`,
        `/images/get?names=${PREFIX}/app:1&names=${PREFIX}/app`,
        `/images/get?names=${PREFIX}/app:1&names=index.docker.io/${PREFIX}/app:2`,
      ]) {
        assert.equal((await call('GET', path)).status, 403, path);
      }
      assert.equal((await call('POST', `/images/${PREFIX}/app/push`)).status, 403);
      assert.equal((await call('DELETE', `/images/${PREFIX}/app`)).status, 403);
    });

    it('a rule against one tag is a rule against what means every tag', async () => {
      const call = await as('not-secret');
      for (const [method, path] of [
        ['GET', `/images/${PREFIX}/app/get`],
        ['GET', `/images/get?names=${PREFIX}/app`],
        ['POST', `/images/${PREFIX}/app/push`],
        ['POST', `/images/create?fromImage=${PREFIX}/app`],
      ] as const) {
        assert.equal((await call(method, path)).status, 403, `${method} ${path}`);
      }
      assert.equal((await call('GET', `/images/${PREFIX}/app:1/get`)).status, 200);
    });

    it('a name that reads like part of an id is judged as what the engine takes it for', async () => {
      const { Id } = (await direct('GET', `/images/${IMAGE}/json`)).json as { Id: string };
      const part = Id.replace('sha256:', '').slice(0, 12);
      const byId = await operator('GET', `/images/${part}/json`);
      assert.equal((byId.json as { Id: string }).Id, Id);
      await gateway.policy(
        'by-name',
        `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: by-name }\nrules: [{ name: a, effect: allow, actions: [image.inspect], resources: ["image/docker.io/library/${part}:latest"] }]\n`,
      );
      const named = await as('by-name');
      assert.match((await named('GET', `/images/${part}/json`)).text, /denied/);
      // Another image, under that name.
      const made = await direct('POST', `/images/create?fromSrc=-&repo=${part}&tag=latest`, {
        body: new Uint8Array(1024),
      });
      assert.equal(made.status, 200, made.text);
      const { Id: other } = (await direct('GET', `/images/${part}:latest/json`)).json as { Id: string };
      assert.notEqual(other, Id);
      try {
        const shown = await named('GET', `/images/${part}/json`);
        assert.equal((JSON.parse(shown.text) as { Id: string }).Id, other, shown.text);
        assert.match((await named('GET', `/images/sha256:${part}x/json`)).text, /denied|No such image/);
      } finally {
        await direct('DELETE', `/images/${part}:latest`);
      }
    });

    it('a pull beside an import is neither', async () => {
      const both = await operator('POST', `/images/create?fromSrc=-&repo=${PREFIX}/x&tag=1&fromImage=127.0.0.1:1/x`);
      assert.equal(both.status, 400, both.text);
    });
  });

  describe(`a repository of two tenants on ${title}`, { skip: skipWithoutEngine }, () => {
    let two: TwoTenants;
    before(async () => {
      two = await startTwoTenants('operator', { engine: socket as string });
      await removeAll(two.engine, PREFIX);
    });
    after(async () => {
      await removeAll(two.engine, PREFIX);
      await two?.gateway.remove();
    });

    it('is saved by each with its own images alone', async () => {
      for (const [tenant, tag] of [
        [two.alice, 'a'],
        [two.bob, 'b'],
      ] as const) {
        const made = await tenant('POST', `/images/${IMAGE}/tag?repo=${PREFIX}/both&tag=${tag}`);
        assert.equal(made.status, 201, made.text);
      }
      for (const path of [`/images/${PREFIX}/both/get`, `/images/get?names=${PREFIX}/both`]) {
        assert.deepEqual(tagsIn((await two.alice('GET', path)).text), [`${PREFIX}/both:a`], path);
        assert.deepEqual(tagsIn((await two.bob('GET', path)).text), [`${PREFIX}/both:b`], path);
      }
      const foreign = await two.alice('GET', `/images/get?names=${PREFIX}/both:a&names=${PREFIX}/both:b`);
      assert.equal(foreign.status, 404, foreign.text.slice(0, 200));
    });
  });
}

for (const { line, socket, skip } of [...LONG_LINES, PODMAN_LINE]) {
  describe(`images in bodies on ${line}`, { skip }, () => {
    const direct = apiOver(socket as string);
    const isPodman = line === 'Podman';
    let gateway: EmbeddedTestGateway;
    let create: (policy: string, image: string) => Promise<{ status: number; text: string }>;
    before(async () => {
      gateway = await openEmbedded(`unix://${socket}`);
      await gateway.policy(
        'hub',
        'apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: hub }\nrules: [{ name: run, effect: allow, actions: [container.create], resources: ["container/*", "image/docker.io/*"], host: { preset: baseline } }]\n',
      );
      create = async (policy, Image) => {
        const answer = await fetch(`http://127.0.0.1:${gateway.port}/v1.41/containers/create`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${await gateway.token(policy, policy)}`,
            'content-type': 'application/json',
          },
          body: JSON.stringify({ Image, Cmd: ['true'], HostConfig: { NetworkMode: 'none' } }),
        });
        return { status: answer.status, text: await answer.text() };
      };
      const tagged = await direct('POST', `/v1.41/images/${IMAGE}/tag?repo=localhost/${PREFIX}-own&tag=latest`);
      assert.equal(tagged.status, 201, tagged.text);
    });
    after(async () => {
      await direct('DELETE', `/v1.41/images/localhost/${PREFIX}-own:latest`);
      await gateway?.close();
    });
    const made = async ({ status, text }: { status: number; text: string }) => {
      assert.equal(status, 201, text);
      const { Id } = JSON.parse(text) as { Id: string };
      const shown = (await direct('GET', `/v1.41/containers/${Id}/json`)).json as {
        Image: string;
        Config: { Image: string };
      };
      await direct('DELETE', `/v1.41/containers/${Id}?force=1`);
      return { id: shown.Image.replace('sha256:', ''), name: shown.Config.Image };
    };

    it('are taken as they were judged, and shown as they always were', async () => {
      const { Id } = (await direct('GET', `/v1.41/images/docker.io/library/${IMAGE}/json`)).json as { Id: string };
      const id = Id.replace('sha256:', '');
      for (const spelling of [IMAGE, `library/${IMAGE}`, `docker.io/${IMAGE}`, `index.docker.io/library/${IMAGE}`]) {
        const container = await made(await create('hub', spelling));
        assert.deepEqual(container, { id, name: isPodman ? `docker.io/library/${IMAGE}` : spelling });
      }
      for (const part of [id, id.slice(0, 12)]) assert.equal((await made(await create('operator', part))).id, id);
    });
    it('are none of another registry that a short name might be', async () => {
      assert.equal((await create('hub', `localhost/${PREFIX}-own`)).status, 403);
      assert.equal((await create('hub', `${PREFIX}-own`)).status, 404);
      await made(await create('operator', `localhost/${PREFIX}-own`));
    });
  });
}
