// A tenant's day under `baseline`: compose in the foreground, events, disk usage and prunes, each of its own objects alone.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { must } from '../support/api.ts';
import { CLI_PLUGINS, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-daily-${IS_DENO ? 'deno' : 'node'}`;
const SESSION = 'org.testcontainers.sessionId';

describe('a tenant under baseline', { skip: skipWithoutCli }, () => {
  let two: TwoTenants;
  let tool: TwoTenants;

  before(async () => {
    const settings = { tenants: { sharedImages: ['busybox'] } };
    two = await startTwoTenants('baseline', { settings });
    tool = await startTwoTenants('testcontainers', { settings });
    await removeAll(two.engine, PREFIX);
  });
  after(async () => {
    await removeAll(two.engine, PREFIX);
    await Promise.all([two.gateway.remove(), tool.gateway.remove()]);
  });

  const cli = (who: 'alice' | 'bob', ...args: string[]): Promise<Ran> => {
    const home = join(two.gateway.dir, `home-${who}`);
    mkdirSync(home, { recursive: true });
    writeFileSync(
      join(home, 'config.json'),
      JSON.stringify(CLI_PLUGINS === undefined ? {} : { cliPluginsExtraDirs: [CLI_PLUGINS] }),
    );
    const env = { ...process.env, DOCKER_CONFIG: home, DOCKER_HOST: `unix://${join(two.gateway.dir, `${who}.sock`)}` };
    return docker(env, args);
  };

  it('runs compose up in the foreground to its end', {
    skip: CLI_PLUGINS === undefined ? 'no docker-compose here' : false,
  }, async () => {
    const file = join(two.gateway.dir, 'compose.yaml');
    writeFileSync(
      file,
      `services:\n  web:\n    image: ${IMAGE}\n    network_mode: none\n    command: ["sh", "-c", "echo it is up; sleep 1"]\n`,
    );
    const { code, stdout, stderr } = await cli('alice', 'compose', '-p', PREFIX, '-f', file, 'up');
    assert.equal(code, 0, stderr);
    assert.match(stdout + stderr, /it is up/);
    assert.doesNotMatch(stderr, /denied|error/i);
    assert.equal((await cli('alice', 'compose', '-p', PREFIX, '-f', file, 'down', '-v')).code, 0);
  });

  it('sees events and the use of the disk of its own objects alone', async () => {
    const since = Math.floor(Date.now() / 1000) - 1;
    const body = { Image: IMAGE, Cmd: ['true'], HostConfig: { NetworkMode: 'none' } };
    await must(two.alice, 'POST', `/containers/create?name=${PREFIX}-a`, body);
    await must(two.bob, 'POST', `/containers/create?name=${PREFIX}-b`, body);
    const until = Math.ceil(Date.now() / 1000) + 1;
    const { status, text } = await two.alice('GET', `/events?since=${since}&until=${until}`);
    assert.equal(status, 200);
    assert.match(text, new RegExp(`${PREFIX}-a`));
    assert.doesNotMatch(text, new RegExp(`${PREFIX}-b`));
    const df = await two.alice('GET', '/system/df');
    assert.equal(df.status, 200);
    assert.ok(df.text.includes(`${PREFIX}-a`) && !df.text.includes(`${PREFIX}-b`), df.text);
  });

  it('prunes what is its own, with docker system prune as well', async () => {
    const label = { Labels: { [SESSION]: PREFIX } };
    const make = async (api: TwoTenants['alice'], name: string) => {
      await must(api, 'POST', `/containers/create?name=${PREFIX}-${name}`, {
        Image: IMAGE,
        ...label,
        HostConfig: { NetworkMode: 'none' },
      });
      await must(api, 'POST', '/volumes/create', { Name: `${PREFIX}-${name}`, ...label });
      await must(api, 'POST', '/networks/create', {
        Name: `${PREFIX}-${name}`,
        Driver: 'bridge',
        Internal: true,
        ...label,
      });
    };
    const standing = async (name: string) =>
      (
        await Promise.all(
          [`/containers/${PREFIX}-${name}/json`, `/volumes/${PREFIX}-${name}`, `/networks/${PREFIX}-${name}`].map(
            async (path) => (await two.engine('GET', path)).status,
          ),
        )
      ).join(' ');
    for (const both of [two, tool]) {
      await make(both.alice, 'own');
      await make(both.bob, 'other');
      await make(two.engine, 'nobody');
      const filters = encodeURIComponent(JSON.stringify({ label: [`${SESSION}=${PREFIX}`] }));
      for (const kind of ['containers', 'networks', 'volumes', 'images']) {
        const all = kind === 'volumes' ? filters.replace('%7B', '%7B%22all%22%3A%5B%22true%22%5D%2C') : filters;
        const { status, text } = await both.alice('POST', `/${kind}/prune?filters=${all}`);
        assert.equal(status, 200, `${kind}: ${text}`);
      }
      assert.equal(await standing('own'), '404 404 404');
      assert.equal(await standing('other'), '200 200 200');
      assert.equal(await standing('nobody'), '200 200 200');
      await removeAll(two.engine, PREFIX);
    }
    await make(two.alice, 'own');
    await make(two.bob, 'other');
    const { code, stderr } = await cli('alice', 'system', 'prune', '-f');
    assert.equal(code, 0, stderr);
    assert.equal(await standing('own'), '404 200 404');
    assert.equal(await standing('other'), '200 200 200');
  });
});
