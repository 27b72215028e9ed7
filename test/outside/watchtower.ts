// Watchtower itself, under the preset made for it: it replaces a container by a newer image, and leaves one alone that it could not
// make again. By hand, with an engine and both programs at hand:
//   DOCKGATE_TEST_DOCKER_HOST=unix://... DOCKGATE_TEST_REGISTRY=registry node test/outside/watchtower.ts watchtower [watchtower-of-another-line]
// `go build` in a clone of containrrr/watchtower (v1.7.1) or of the maintained fork nicholas-fedor/watchtower gives the program.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { admin } from '../support/admin.ts';
import { type Api, apiOver, must } from '../support/api.ts';
import { ENGINE, IMAGE } from '../support/engine.ts';
import { run, startGateway } from '../support/gateway.ts';
import { startRegistry } from '../support/registry.ts';
import { removeAll } from '../support/tenants.ts';

const PREFIX = 'dg-watchtower';
const BINDS = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: watchtower-srv }
rules:
  - name: replace
    effect: allow
    actions: [container.create, container.start, container.update, network.connect, container.stop, container.kill, container.rename, container.remove, network.disconnect]
    host: { preset: baseline, remakes: true, binds: [{ path: /srv/${PREFIX}, subpaths: true }] }
`;

interface Shown {
  readonly Id: string;
  readonly Image: string;
  readonly HostConfig: { readonly Memory: number; readonly RestartPolicy: { readonly Name: string } };
}

const engine = apiOver(ENGINE as string);
const registry = await startRegistry();
const gateway = await startGateway({
  engine: ENGINE as string,
  unix: ['w', 'srv'].map((name) => ({ name, identity: name })),
});
await admin(gateway, 'POST', '/policies', { sources: [{ text: BINDS }] });
await admin(gateway, 'POST', '/identities', { name: 'w', policies: ['watchtower'] });
await admin(gateway, 'POST', '/identities', { name: 'srv', policies: ['watchtower', 'watchtower-srv'] });

/** The image under `app:1` in the registry is newer than the one a container runs. */
async function publish(image: string): Promise<void> {
  const repo = `${registry.address}/app`;
  const retag = (from: string) => must(engine, 'POST', `/images/${from}/tag?repo=${repo}&tag=1`);
  const auth = { 'x-registry-auth': Buffer.from('{}').toString('base64url') };
  const push = async () => {
    const pushed = await engine('POST', `/images/${repo}/push?tag=1`, { headers: auth });
    assert.doesNotMatch(pushed.text, /errorDetail/);
  };
  // Pushed as well: the newer line looks at images alone of which a registry gave a digest.
  await retag(image);
  await push();
  const made = await must<{ Id: string }>(engine, 'POST', '/containers/create', {
    Image: image,
    Cmd: [`v${Date.now()}`],
  });
  const newer = await must<{ Id: string }>(engine, 'POST', `/commit?container=${made.Id}&repo=${PREFIX}-newer&tag=1`);
  await must(engine, 'DELETE', `/containers/${made.Id}`);
  await retag(newer.Id);
  await push();
  await retag(image);
  await must(engine, 'DELETE', `/images/${PREFIX}-newer:1`);
}

const shown = (name: string) => must<Shown>(engine, 'GET', `/containers/${PREFIX}-${name}/json`);
const watch = (program: string, identity: string, name: string, api?: string) =>
  run(program, ['--run-once', '--cleanup', '--enable-lifecycle-hooks', '--stop-timeout', '2s', `${PREFIX}-${name}`], {
    env: {
      PATH: process.env.PATH,
      HOME: gateway.dir,
      DOCKER_HOST: `unix://${join(gateway.dir, `${identity}.sock`)}`,
      ...(api === undefined ? {} : { DOCKER_API_VERSION: api }),
    },
  });

const make = async (api: Api, name: string, host: object) => {
  const body = {
    Image: `${registry.address}/app:1`,
    Cmd: ['sleep', '900'],
    HostConfig: { NetworkMode: 'none', Memory: 64e6, RestartPolicy: { Name: 'unless-stopped' }, ...host },
  };
  await must(api, 'POST', `/containers/create?name=${PREFIX}-${name}`, body);
  await must(api, 'POST', `/containers/${PREFIX}-${name}/start`);
  return shown(name);
};

try {
  for (const program of process.argv.slice(2)) {
    for (const api of ['1.44', '1.40', undefined]) {
      await removeAll(engine, PREFIX);
      const { Id: base } = await must<{ Id: string }>(engine, 'GET', `/images/${IMAGE}/json`);
      await publish(base);
      const plain = await make(engine, 'plain', { Binds: [`${PREFIX}-v:/data`] });
      const bound = await make(engine, 'bound', { Binds: [`/srv/${PREFIX}/data:/data`] });
      const reach = await make(engine, 'reach', { Binds: ['/etc:/host:ro'] });

      for (const [identity, name] of [
        ['w', 'plain'],
        ['w', 'bound'],
        ['srv', 'bound'],
        ['srv', 'reach'],
      ] as const) {
        const before = await shown(name);
        const { stderr } = await watch(program, identity, name, api);
        const after = await shown(name);
        const isReplaced = after.Id !== before.Id && after.Image !== before.Image;
        const isKept = after.Id === before.Id;
        const expected = (identity === 'w' && name === 'plain') || (identity === 'srv' && name === 'bound');
        console.log(
          `${program} API ${api ?? 'its own'} as ${identity}: ${name} ${isReplaced ? 'replaced' : isKept ? 'left alone' : 'changed'}`,
        );
        assert.ok(expected ? isReplaced : isKept, stderr);
        assert.equal(after.HostConfig.RestartPolicy.Name, 'unless-stopped');
        assert.equal(after.HostConfig.Memory, 64e6);
      }
      assert.ok(plain.Id !== '' && bound.Id !== '' && reach.Id !== '');
    }
  }
} finally {
  await removeAll(engine, PREFIX);
  for (const tag of [`${registry.address}/app:1`]) await engine('DELETE', `/images/${tag}?force=1`);
  await gateway.remove();
  registry.stop();
}
