// compose v2 and testcontainers for two tenants at once on one engine, with one project name: labels are equal, so what keeps them
// apart is the ledger alone. Names of containers, volumes and networks are the engine's: taken twice, they are a conflict.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { NODE_MODULES, skipWithoutNodeModules } from '../clients/install.ts';
import { CLI_PLUGINS, DOCKER_CLI, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran } from '../support/gateway.ts';
import { IS_DENO, ROOT } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';
import { until } from '../support/until.ts';

const PREFIX = `dg-pair-${IS_DENO ? 'deno' : 'node'}`;
const skip = skipWithoutCli !== false ? skipWithoutCli : CLI_PLUGINS === undefined ? 'no docker-compose here' : false;

type Who = 'alice' | 'bob';
const BOTH = ['alice', 'bob'] as const;
const SERVICE = { alice: 'web', bob: 'api' } as const;
/** One project name for both. */
const PROJECT = `${PREFIX}-shop`;

/** A service that says who it is. */
const service = (word: string, more: object) => ({
  image: IMAGE,
  command: ['sh', '-c', `echo ${word} is up; exec sleep 300`],
  stop_grace_period: '0s',
  ...more,
});

describe('clients of two tenants with one project name', { skip }, () => {
  let two: TwoTenants;
  before(async () => {
    two = await startTwoTenants('baseline');
    for (const who of BOTH) {
      mkdirSync(homeOf(who));
      writeFileSync(join(homeOf(who), 'config.json'), JSON.stringify({ cliPluginsExtraDirs: [CLI_PLUGINS] }));
      const volume = `${who}-data`;
      const services = {
        [SERVICE[who]]: service(`the one of ${who}`, { network_mode: 'none', volumes: [`${volume}:/data`] }),
      };
      write(who, { name: PROJECT, services, volumes: { [volume]: {} } });
    }
    // One file for both tenants, word for word: what the engine has one name space for takes the team's name into its own.
    const named = (what: string) => `${PREFIX}-\${TEAM}-${what}`;
    write('same', {
      name: `${PROJECT}-net`,
      services: {
        web: service('web', { container_name: named('web'), volumes: ['data:/data'] }),
        peer: service('peer', { container_name: named('peer') }),
      },
      networks: { default: { name: named('net'), internal: true } },
      volumes: { data: { name: named('data') } },
    });
    // And one that leaves its network to compose.
    write('plain', {
      name: `${PROJECT}-plain`,
      services: { web: service('web', { container_name: named('plain') }) },
      networks: { default: { internal: true } },
    });
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });

  const fileOf = (file: string): string => join(two.gateway.dir, `${file}.yaml`);
  const write = (file: string, content: object): void => writeFileSync(fileOf(file), JSON.stringify(content));
  const homeOf = (who: Who): string => join(two.gateway.dir, `${who}-home`);
  const envOf = (who: Who): NodeJS.ProcessEnv => {
    const home = homeOf(who);
    const host = `unix://${join(two.gateway.dir, `${who}.sock`)}`;
    return { PATH: process.env.PATH, HOME: home, DOCKER_CONFIG: home, DOCKER_HOST: host, TEAM: who };
  };
  const cli = (who: Who, ...args: string[]): Promise<Ran> => docker(envOf(who), args);
  const compose = (who: Who, file: string, ...args: string[]) => cli(who, 'compose', '-f', fileOf(file), ...args);
  const ok = async (ran: Promise<Ran>): Promise<string> => {
    const { code, stdout, stderr } = await ran;
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const both = <T>(each: (who: Who, other: Who) => Promise<T>): Promise<[T, T]> =>
    Promise.all([each('alice', 'bob'), each('bob', 'alice')]);
  const nameOf = (who: Who): string => `${PROJECT}-${SERVICE[who]}-1`;
  /** Container and volume of one, at the engine itself. */
  const standing = async (who: Who): Promise<readonly unknown[]> => {
    const container = await two.engine('GET', `/containers/${nameOf(who)}/json`);
    const volume = await two.engine('GET', `/volumes/${PROJECT}_${who}-data`);
    const { Id, State } = (container.json ?? {}) as { Id?: string; State?: { StartedAt: string } };
    return [container.status, Id, State?.StartedAt, volume.status];
  };

  it('both come up at once, and each sees its own', async () => {
    await both((who) => ok(compose(who, who, 'up', '-d')));
    await both(async (who, other) => {
      const logs = () => ok(cli(who, 'compose', '-p', PROJECT, 'logs', '--no-log-prefix'));
      await until('the service has said something', async () => (await logs()) !== '');
      const [ls, ps, logged, said] = await Promise.all([
        ok(cli(who, 'compose', 'ls', '-a', '--format', 'json')),
        ok(compose(who, who, 'ps', '-a', '--format', '{{.Name}}')),
        logs(),
        ok(compose(who, who, 'exec', '-T', SERVICE[who], 'echo', 'hi')),
      ]);
      // The file a project came from is in its labels as well.
      const [project, ...more] = JSON.parse(ls) as { Name: string; Status: string; ConfigFiles: string }[];
      assert.deepEqual([project?.Name, project?.Status, more.length], [PROJECT, 'running(1)', 0]);
      assert.doesNotMatch(ls, new RegExp(`${other}\\.yaml`));
      assert.equal(ps, `${nameOf(who)}\n`);
      assert.equal(logged, `the one of ${who} is up\n`);
      assert.equal(said, 'hi\n');
    });
  });

  it('what is the other\u2019s is no orphan, and down with everything takes its own alone', async () => {
    const before = { alice: await standing('alice'), bob: await standing('bob') };
    const told = await both(async (who) => (await compose(who, who, 'up', '-d', '--remove-orphans')).stderr);
    for (const words of told) assert.doesNotMatch(words, /orphan|Recreate|Remov/);
    assert.deepEqual([await standing('alice'), await standing('bob')], [before.alice, before.bob]);

    await ok(compose('alice', 'alice', 'up', '-d', '--force-recreate'));
    assert.deepEqual(await standing('bob'), before.bob);
    const { stderr } = await compose('alice', 'alice', 'down', '-v', '--remove-orphans', '--rmi', 'all');
    assert.doesNotMatch(stderr, /api|bob/);
    assert.deepEqual(await standing('alice'), [404, undefined, undefined, 404]);
    assert.deepEqual(await standing('bob'), before.bob);
    assert.equal((await two.engine('GET', `/images/${IMAGE}/json`)).status, 200);
    // By the project's name alone, without a file: nothing of bob's is found under it.
    await ok(cli('alice', 'compose', '-p', PROJECT, 'down', '-v', '--remove-orphans'));
    assert.deepEqual(await standing('bob'), before.bob);
  });

  it('a container\u2019s name that is taken is a conflict that names no owner, and taking it down removes nothing', async () => {
    const before = await standing('bob');
    const up = await compose('alice', 'bob', 'up', '-d');
    assert.equal(up.code, 1);
    assert.match(up.stderr, /must be unique|already in use/);
    assert.doesNotMatch(up.stderr, /blue|[0-9a-f]{64}/);
    await ok(compose('alice', 'bob', 'down', '-v'));
    assert.deepEqual(await standing('bob'), before);
    await ok(compose('bob', 'bob', 'down', '-v'));
    assert.deepEqual(await standing('bob'), [404, undefined, undefined, 404]);
  });

  it('one compose file serves both tenants by names with the team in them: each has a network of its own with its own names', async () => {
    await both((who) => ok(compose(who, 'same', 'up', '-d')));
    const addresses = await both((who) => ok(compose(who, 'same', 'exec', '-T', 'web', 'ping', '-c1', '-w5', 'peer')));
    const [alices, bobs] = addresses.map((text) => /^PING peer \(([0-9.]+)\)/.exec(text)?.[1] ?? text);
    assert.notEqual(alices, bobs);
    await ok(compose('alice', 'same', 'down', '-v', '--remove-orphans'));
    await ok(compose('bob', 'same', 'exec', '-T', 'web', 'ping', '-c1', '-w5', 'peer'));
    assert.deepEqual(
      (await Promise.all(['alice', 'bob'].map((who) => two.engine('GET', `/networks/${PREFIX}-${who}-net`)))).map(
        ({ status }) => status,
      ),
      [404, 200],
    );
    await ok(compose('bob', 'same', 'down', '-v'));
  });

  it('a network that compose names after the project is a conflict for the second', async () => {
    await ok(compose('alice', 'plain', 'up', '-d'));
    const up = await compose('bob', 'plain', 'up', '-d');
    assert.equal(up.code, 1);
    assert.match(up.stderr, /network with name \S+-plain_default already exists/);
    assert.doesNotMatch(up.stderr, /red|[0-9a-f]{64}/);
    await ok(compose('bob', 'plain', 'down', '-v'));
    assert.equal((await two.engine('GET', `/networks/${PROJECT}-plain_default`)).status, 200);
    await ok(compose('alice', 'plain', 'down', '-v'));
  });

  it('testcontainers of both at once: each finds, uses again and cleans up its own', {
    skip: skipWithoutNodeModules,
  }, async () => {
    const script = join(ROOT, 'test', 'clients', 'scripts', 'testcontainers-beside.cjs');
    const runners = BOTH.map((who) => {
      const env = envOf(who);
      env.PATH = `${dirname(DOCKER_CLI as string)}:${env.PATH}`;
      Object.assign(env, { NODE_PATH: NODE_MODULES, TESTCONTAINERS_RYUK_DISABLED: 'true' });
      env.TESTCONTAINERS_HOST_OVERRIDE = '127.0.0.1';
      const args = [script, two.gateway.dir, `${who}.yaml`, PROJECT];
      const child = spawn(join(ROOT, 'node_modules', '.bin', 'node'), args, { env, stdio: 'pipe' });
      let told = '';
      let output = '';
      child.stdout.on('data', (data: Buffer) => {
        told += data.toString();
      });
      child.stderr.on('data', (data: Buffer) => {
        output += data.toString();
      });
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
      const line = async (number: number): Promise<Told> => {
        await until(`line ${number} of ${who}`, () => told.split('\n').length > number || child.exitCode !== null);
        assert.ok(told.split('\n').length > number, `${who}: ${told}${output}`);
        return JSON.parse(told.split('\n')[number - 1] as string) as Told;
      };
      return { child, line, ended };
    });
    const [alice, bob] = runners as [(typeof runners)[0], (typeof runners)[0]];
    try {
      const [alices, bobs] = await Promise.all([alice.line(1), bob.line(1)]);
      for (const { made, seen, reached } of [alices, bobs]) {
        assert.deepEqual(reached, [true, true, 0]);
        // Two of its own, and the one of its compose project.
        assert.equal(seen.length, 3);
        assert.ok(made.every((id) => seen.includes(id)));
      }
      assert.equal(new Set([...alices.seen, ...bobs.seen]).size, 6);
      alice.child.stdin.end('go\n');
      assert.equal((await alice.line(2)).left, 0);
      assert.equal(await alice.ended, 0);
      for (const id of bobs.seen) {
        const { json } = await two.engine('GET', `/containers/${id}/json`);
        assert.equal((json as { State?: { Running: boolean } }).State?.Running, true);
      }
      assert.equal((await two.engine('GET', `/networks/${bobs.network}`)).status, 200);
      assert.equal((await two.engine('GET', `/networks/${alices.network}`)).status, 404);
      bob.child.stdin.end('go\n');
      assert.equal((await bob.line(2)).left, 0);
      assert.equal(await bob.ended, 0);
    } finally {
      for (const { child } of runners) child.kill('SIGKILL');
    }
  });
});

/** What the script prints. */
interface Told {
  readonly made: readonly string[];
  readonly seen: readonly string[];
  readonly network: string;
  readonly reached: readonly unknown[];
  readonly left: number;
}
