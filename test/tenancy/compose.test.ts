// compose v2 for two tenants at once on one engine: each sees and takes down its own. Names of containers and volumes are the
// engine's, so the same project name twice is a conflict, told without saying whose it is.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CLI_PLUGINS, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-compose-${IS_DENO ? 'deno' : 'node'}`;
const skip = skipWithoutCli !== false ? skipWithoutCli : CLI_PLUGINS === undefined ? 'no docker-compose here' : false;

describe('compose for two tenants', { skip }, () => {
  let two: TwoTenants;
  before(async () => {
    two = await startTwoTenants('baseline');
    for (const project of ['red', 'blue']) {
      const file = { image: IMAGE, command: ['sleep', '300'], network_mode: 'none', volumes: ['data:/data'] };
      writeFileSync(
        join(two.gateway.dir, `${project}.yaml`),
        JSON.stringify({ name: `${PREFIX}-${project}`, services: { web: file }, volumes: { data: {} } }),
      );
    }
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });

  const cli = (who: 'alice' | 'bob', ...args: string[]): Promise<Ran> => {
    const home = join(two.gateway.dir, `${who}-home`);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'config.json'), JSON.stringify({ cliPluginsExtraDirs: [CLI_PLUGINS] }));
    const host = `unix://${join(two.gateway.dir, `${who}.sock`)}`;
    return docker({ PATH: process.env.PATH, HOME: home, DOCKER_CONFIG: home, DOCKER_HOST: host }, args);
  };
  const compose = (who: 'alice' | 'bob', project: string, ...args: string[]) =>
    cli(who, 'compose', '-f', join(two.gateway.dir, `${project}.yaml`), ...args);
  const ok = async (ran: Promise<Ran>): Promise<string> => {
    const { code, stdout, stderr } = await ran;
    assert.equal(code, 0, stderr);
    return stdout;
  };

  it('both come up at once, and each sees its own', async () => {
    await Promise.all([ok(compose('alice', 'red', 'up', '-d')), ok(compose('bob', 'blue', 'up', '-d'))]);
    for (const [who, mine, other] of [
      ['alice', 'red', 'blue'],
      ['bob', 'blue', 'red'],
    ] as const) {
      const shown = `${await ok(cli(who, 'ps', '-a', '--format', '{{.Names}}'))}${await ok(cli(who, 'compose', 'ls', '-a'))}`;
      assert.ok(shown.includes(`${PREFIX}-${mine}`) && !shown.includes(`${PREFIX}-${other}`), shown);
    }
    assert.equal(await ok(compose('alice', 'red', 'exec', '-T', 'web', 'echo', 'hi')), 'hi\n');
  });

  it('the same project name is a conflict that names nobody, and down takes nothing of the other\u2019s', async () => {
    const up = await compose('bob', 'red', 'up', '-d');
    assert.equal(up.code, 1);
    assert.match(up.stderr, /must be unique|already in use/);
    assert.doesNotMatch(up.stderr, /alice|[0-9a-f]{64}/);
    await ok(compose('bob', 'red', 'down', '-v', '-t', '0'));
    assert.equal(await ok(compose('alice', 'red', 'exec', '-T', 'web', 'echo', 'still here')), 'still here\n');
  });

  it('recreates, and takes down its own alone', async () => {
    await ok(compose('alice', 'red', 'up', '-d', '--force-recreate', '-t', '0'));
    await ok(compose('bob', 'blue', 'down', '-v', '-t', '0'));
    assert.match(await ok(cli('alice', 'ps', '--format', '{{.Names}}')), new RegExp(`^${PREFIX}-red-web-1\n$`));
    await ok(compose('alice', 'red', 'down', '-v', '-t', '0'));
    assert.equal(await ok(cli('alice', 'volume', 'ls', '-q')), '');
  });
});
