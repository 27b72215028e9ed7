// Images that may read a Dockerfile in the engine's builder, where they do what they like: which a `# syntax=` line may name, and what a
// client may put in their place. Drives a real engine with a real docker. No image here is a frontend: one that is run fails there.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { clientEnv } from '../clients/channels.ts';
import { CLI_PLUGINS, dockerDirect, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const TAG = `dg-bkf-${IS_DENO ? 'deno' : 'node'}`;
const skip = skipWithoutCli !== false ? skipWithoutCli : CLI_PLUGINS === undefined ? 'no docker-buildx here' : false;
const EVIL = `evil/front:${TAG}`;
const PLAIN = `docker/dockerfile:${TAG}`;
/** What BuildKit says of an image that was run as a frontend and is none. */
const WAS_RUN =
  /frontend grpc server closed|did not complete successfully|no such file or directory|network bridge not found/;

describe('frontends of a tenant', { skip }, () => {
  let two: TwoTenants;
  let env: NodeJS.ProcessEnv;
  const build = (name: string, dockerfile: string, ...args: string[]): Promise<Ran> => {
    const folder = join(two.gateway.dir, name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'Dockerfile'), dockerfile);
    return docker(env, ['buildx', 'build', '--network', 'none', '--progress', 'plain', '--no-cache', ...args, folder]);
  };

  before(async () => {
    two = await startTwoTenants('baseline');
    env = clientEnv(two.gateway, 'unix', { identity: 'alice', token: '' });
    for (const name of [EVIL, PLAIN]) dockerDirect('tag', IMAGE, name);
  });
  after(async () => {
    for (const name of [EVIL, PLAIN, `${PLAIN}-mine`]) {
      try {
        dockerDirect('rmi', name);
      } catch {
        // A test that failed made none.
      }
    }
    await two?.gateway.remove();
  });

  it('a # syntax line of an image that is among the sources alone is refused, by whichever name', async () => {
    for (const name of [EVIL, `docker.io/${EVIL}`, `index.docker.io/${EVIL}`]) {
      const ran = await build('evil', `# syntax=${name}\nFROM ${IMAGE}\n`);
      assert.notEqual(ran.code, 0);
      assert.match(
        ran.stderr,
        /denied by policy baseline: frontend docker\.io\/evil\/front:\S+ is not among its build\.frontends \(allowed: docker\.io\/docker\/dockerfile:/,
      );
      assert.doesNotMatch(ran.stderr, WAS_RUN);
    }
  });

  it('a # syntax line of a frontend that is allowed is followed', async () => {
    const ran = await build('plain', `# syntax=${PLAIN}\nFROM ${IMAGE}\n`);
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, WAS_RUN);
    assert.doesNotMatch(ran.stderr, /denied/);
  });

  it('the same image is an ordinary source', async () => {
    const ran = await build('source', `FROM ${EVIL}\nRUN true\n`);
    assert.equal(ran.code, 0, ran.stderr);
  });

  it('an image the tenant gave the name of a frontend is none', async () => {
    assert.equal((await docker(env, ['tag', IMAGE, `${PLAIN}-mine`])).code, 0);
    const ran = await build('mine', `# syntax=${PLAIN}-mine\nFROM ${IMAGE}\n`);
    assert.notEqual(ran.code, 0);
    assert.match(
      ran.stderr,
      /frontend docker\.io\/docker\/dockerfile:\S+-mine(?:@\S+)? was made here, .*; it is not among/,
    );
    assert.doesNotMatch(ran.stderr, WAS_RUN);
  });

  it('a context of the client by the name of a frontend is not run in its place', async () => {
    const front = join(two.gateway.dir, 'front');
    mkdirSync(front, { recursive: true });
    for (const name of [PLAIN, `docker.io/${PLAIN}`, EVIL]) {
      const ran = await build(
        'named',
        `# syntax=${name}\nFROM ${IMAGE}\nRUN echo built\n`,
        '--build-context',
        `${name}=${front}`,
      );
      assert.equal(ran.code, 0, ran.stderr);
      assert.doesNotMatch(ran.stderr, WAS_RUN);
    }
  });

  it('a frontend is not replaced by an argument beside it', async () => {
    const front = join(two.gateway.dir, 'front');
    const ran = await build(
      'argument',
      `FROM ${IMAGE}\n`,
      ...['--build-arg', `BUILDKIT_SYNTAX=${PLAIN}`, '--build-context', `docker.io/${PLAIN}=${front}`],
    );
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /stands in the place of the frontend/);
  });
});
