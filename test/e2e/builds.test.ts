// Classic builds of callers without a tenant, on real engines and Podman: what a Dockerfile takes from obeys the policy's images,
// registries and sources where it names any, and a caller whose rules say nothing of images builds as ever.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { HOST_LINES, type HostRulesGateway, PODMAN_LINE, startHostRules } from '../support/host-rules.ts';
import { type ImageRegistry, startImageRegistry } from '../support/image-registry.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';

const PREFIX = `dg-hb-${IS_DENO ? 'deno' : 'node'}`;
const context = (dockerfile: string): Buffer =>
  Buffer.concat([tarEntry('file', 'content'), tarEntry('Dockerfile', dockerfile), Buffer.alloc(1024)]);

for (const { line, socket, skip } of HOST_LINES) {
  describe(`classic builds under policy, on ${line}`, { skip }, () => {
    const isPodman = line === PODMAN_LINE.line;
    let host: HostRulesGateway;
    let registry: ImageRegistry;
    before(async () => {
      registry = await startImageRegistry({
        'plain:1': { Env: ['U=http://127.0.0.1:1'] },
        'trigger:1': { OnBuild: ['COPY --from=127.0.0.2:1/other:1 / /'] },
        'adds:1': { OnBuild: ['ADD http://127.0.0.1:1/x /'] },
      });
      const here = `["docker.io/library/busybox", "${registry.host}"]`;
      host = await startHostRules(socket as string, {
        baseline: '',
        free: '- { name: free, effect: allow, actions: ["*"] }',
        team: `- { name: team, effect: allow, actions: [build.run], resources: ["image/docker.io/library/busybox:*", "image/docker.io/library/${PREFIX}-*"] }`,
        deny: '- { name: all, effect: allow, actions: ["*"] }\n- { name: no, effect: deny, actions: ["*"], resources: ["image/docker.io/library/busybox:*"] }',
        listed: `- { name: b, effect: allow, actions: [build.run], host: { preset: baseline, registries: ${here}, sources: ["192.0.2.9", "*.invalid", localhost] } }`,
      });
    });
    after(async () => {
      for (const tag of ['1', '2']) await host?.engine('DELETE', `/v1.41/images/${PREFIX}-x:${tag}?force=1`);
      for (const name of ['plain', 'trigger', 'adds'])
        await host?.engine('DELETE', `/v1.41/images/${registry.host}/${name}:1?force=1`);
      await host?.remove();
      await registry?.close();
    });
    const build = (who: string, dockerfile: string, query = '') =>
      host.as(who)('POST', `/v1.41/build?t=${PREFIX}-x:1&networkmode=none${query}`, { body: context(dockerfile) });
    const isBuilt = (text: string): boolean => /Successfully built|Successfully tagged|"aux":\{"ID"/.test(text);

    it('a caller whose rules say nothing of images builds as ever', async () => {
      const built = await build('free', 'FROM busybox:test\nCOPY file /\n');
      assert.ok(isBuilt(built.text), built.text);
    });
    it('a base image must be one of the rule’s', async () => {
      assert.ok(isBuilt((await build('team', 'FROM busybox:test\n')).text));
      const built = await build('team', `FROM busybox:test\nCOPY --from=registry.test/x:1 / /\n`);
      assert.equal(built.status, 403, built.text);
      assert.match(
        built.text,
        /Dockerfile line 2 names image \\"registry\.test\/x:1\\" \(allowed: image\/docker\.io\/library\/busybox/,
      );
    });
    it('a deny rule speaks of base images too', async () => {
      const built = await build('deny', 'ARG A=box\nFROM busy$A:test\n');
      assert.equal(built.status, 403, built.text);
      assert.match(built.text, /rule no denies build\.run on image/);
    });
    if (isPodman) {
      it('no build under a preset, for it has the network of the host', async () => {
        for (const who of ['baseline', 'listed']) {
          const built = await build(who, 'FROM busybox:test\nRUN ip -o link\n');
          assert.equal(built.status, 403, built.text);
          assert.match(
            built.text,
            /query\.networkmode has no say on Podman, whose builds are on the network of the host/,
          );
        }
      });
      for (const name of [
        '["http://127.0.0.1:1/x","/etc/shadow"]',
        'http://127.0.0.1:1/x',
        '../../etc/shadow',
        'Dockerfile.in',
      ]) {
        it(`the Dockerfile ${name} is refused`, async () => {
          const built = await build('team', 'FROM busybox:test\n', `&dockerfile=${encodeURIComponent(name)}`);
          assert.ok(built.status === 400 || built.status === 403, `${built.status} ${built.text}`);
          assert.doesNotMatch(built.text, /root:/);
        });
      }
      return;
    }
    it('a registry must be one of the rule’s', async () => {
      assert.ok(isBuilt((await build('baseline', 'FROM busybox:test\n')).text));
      const built = await build('baseline', `FROM ${registry.host}/plain:1\n`);
      assert.equal(built.status, 403, built.text);
      assert.match(built.text, /Dockerfile line 1 is .* of the registry/);
      assert.deepEqual(registry.seen, []);
    });
    it('an image that is not there is fetched and looked at before the engine builds on it', async () => {
      const built = await build('listed', `FROM ${registry.host}/plain:1\nCOPY file /\n`);
      assert.ok(isBuilt(built.text), built.text);
      assert.ok(
        registry.seen.some((one) => one.endsWith('/v2/plain/manifests/1')),
        registry.seen.join(),
      );
      const before = registry.seen.length;
      assert.ok(isBuilt((await build('listed', `FROM ${registry.host}/plain:1\nCOPY file /\n`)).text));
      assert.equal(registry.seen.length, before);
      assert.ok(isBuilt((await build('listed', `FROM ${registry.host}/plain:1\nCOPY file /\n`, '&pull=1')).text));
      assert.ok(registry.seen.length > before);
    });
    it('what its triggers take is judged', async () => {
      const triggered = await build('listed', `FROM ${registry.host}/trigger:1\n`);
      assert.equal(triggered.status, 403, triggered.text);
      assert.match(triggered.text, /trigger 1 of the image of Dockerfile line 1 is \\"127\.0\.0\.2:1\/other:1\\"/);
      const added = await build('listed', `FROM ${registry.host}/adds:1\n`);
      assert.equal(added.status, 403, added.text);
      assert.match(added.text, /trigger 1 .* engine's own machine/);
      const filled = await build('listed', `FROM ${registry.host}/plain:1\nADD $U/x /\n`);
      assert.match(filled.text, /Dockerfile line 2 fetches .*engine's own machine/);
    });
    it('a registry that does not have it answers in the engine’s words', async () => {
      const built = await build('listed', `FROM ${registry.host}/none:1\n`);
      assert.equal(built.status, 404, built.text);
      assert.match(built.text, /not found|manifest unknown/i);
    });
    for (const [title, dockerfile, expected] of [
      ['a listed host', 'ADD http://192.0.2.9:1/x /', undefined],
      ['a host below a listed one', 'ADD http://a.invalid/x /', undefined],
      [
        'a host that is not listed',
        'ADD http://192.0.2.8/x /',
        /line 2 makes the engine fetch .*allowed: 192\.0\.2\.9/,
      ],
      ['a listed name of the engine’s own machine', 'ADD http://localhost:1/x /', /line 2 fetches .* own machine/],
    ] as const) {
      it(`ADD from ${title}`, async () => {
        if (expected === undefined) {
          // Nothing listens there: all that can be seen is that the engine tries.
          const call = build('listed', `FROM busybox:test\n${dockerfile}\n`);
          const built = await Promise.race([
            call,
            new Promise<undefined>((resolve) => setTimeout(resolve, 1500, undefined)),
          ]);
          assert.ok(built === undefined || (built.status !== 403 && built.status !== 400), built?.text);
        } else {
          const built = await build('listed', `FROM busybox:test\n${dockerfile}\n`);
          assert.equal(built.status, 403, built.text);
          assert.match(built.text, expected);
        }
      });
    }
  });
}
