// What stands around builds: bake, du, prune and history of buildx, docker compose with builds, SSH agents, and an engine whose
// BuildKit is too old to be held to a list of sources. Drives real engines and clients.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { clientEnv } from '../clients/channels.ts';
import { CLI_PLUGINS, dockerDirect, ENGINE, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-bx-${IS_DENO ? 'deno' : 'node'}`;
const skip = skipWithoutCli !== false ? skipWithoutCli : CLI_PLUGINS === undefined ? 'no docker-buildx here' : false;
const OLD_ENGINE = process.env.DOCKGATE_TEST_DOCKER_HOST_20?.replace('unix://', '');

describe('buildx and compose through dockgate', { skip }, () => {
  let gateway: TestGateway;
  let folder: string;
  let env: NodeJS.ProcessEnv;
  const must = async (...args: string[]): Promise<Ran> => {
    const ran = await docker(env, args);
    assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`);
    return ran;
  };
  before(async () => {
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'alice', identity: 'alice' }] });
    await gateway.must('tenant', 'create', 'red');
    await gateway.must('identity', 'create', 'alice', '--policy', 'baseline', '--tenant', 'red');
    env = clientEnv(gateway, 'unix', { identity: 'alice', token: '' });
    folder = join(gateway.dir, 'project');
    mkdirSync(folder);
    writeFileSync(join(folder, 'Dockerfile'), `FROM ${IMAGE}\nCOPY file /file\nRUN cat /file\nCMD ["cat", "/file"]\n`);
    writeFileSync(join(folder, 'file'), `content of ${PREFIX}\n`);
  });
  after(async () => {
    const images = dockerDirect('images', '-q', '--filter', `reference=${PREFIX}*`).split('\n').filter(Boolean);
    if (images.length > 0) dockerDirect('rmi', '-f', ...new Set(images));
    await gateway?.remove();
  });

  it('bake builds several targets, one from another', async () => {
    const file = join(folder, 'bake.json');
    const target = { context: folder, network: 'none' };
    writeFileSync(
      file,
      JSON.stringify({
        group: { default: { targets: ['a', 'b'] } },
        target: {
          a: { ...target, tags: [`${PREFIX}-a`] },
          b: { ...target, tags: [`${PREFIX}-b`], contexts: { base: 'target:a' } },
        },
      }),
    );
    await must('buildx', 'bake', '--allow', `fs.read=${folder}`, '-f', file);
    assert.equal(dockerDirect('run', '--rm', '--network', 'none', `${PREFIX}-b`), `content of ${PREFIX}\n`);
  });

  it('compose builds, brings up and takes down', async () => {
    const file = join(folder, 'compose.yaml');
    const service = { image: `${PREFIX}-web`, build: { context: folder, network: 'none' }, network_mode: 'none' };
    writeFileSync(file, JSON.stringify({ name: PREFIX, services: { web: service } }));
    await must('compose', '-f', file, 'build');
    const up = await must('compose', '-f', file, 'up', '--build');
    assert.match(up.stdout, new RegExp(`content of ${PREFIX}`));
    await must('compose', '-f', file, 'down');
  });

  it('history lists, shows and forgets one’s own builds', async () => {
    await must('build', '--network', 'none', '--no-cache', '-t', `${PREFIX}-history`, folder);
    const list = (await must('buildx', 'history', 'ls', '--format', '{{.Ref}}')).stdout.trim().split('\n');
    assert.ok(list.length > 0);
    assert.match((await must('buildx', 'history', 'logs')).stderr, new RegExp(`content of ${PREFIX}`));
    await must('buildx', 'history', 'rm', '--all');
    assert.equal((await must('buildx', 'history', 'ls', '--format', '{{.Ref}}')).stdout.trim(), '');
  });

  it('--load, an inline cache, --check, --call and a metadata file are at hand', async () => {
    const build = (...args: string[]) => must('buildx', 'build', '--network', 'none', ...args, folder);
    const file = join(gateway.dir, 'metadata.json');
    await build('--load', '-t', `${PREFIX}-load`, '--metadata-file', file);
    const { 'containerimage.config.digest': config = '', 'containerimage.digest': digest = '' } = JSON.parse(
      readFileSync(file, 'utf8'),
    ) as Record<string, string>;
    const id = dockerDirect('inspect', '-f', '{{.Id}}', `${PREFIX}-load`).trim();
    assert.ok([config, digest].includes(id), `${id} is neither ${config} nor ${digest}`);
    await build('--cache-to', 'type=inline', '-t', `${PREFIX}-inline`);
    await build('--cache-from', `type=registry,ref=${PREFIX}-inline`, '-t', `${PREFIX}-inline`);
    await build('--check');
    assert.match((await build('--call', 'targets')).stdout, /\(default\)/);
    const out = join(gateway.dir, 'out');
    await build('-o', `type=local,dest=${out}`);
    assert.equal(readFileSync(join(out, 'file'), 'utf8'), `content of ${PREFIX}\n`);
  });

  it('a cache written to a folder is the client’s own, where the engine’s store writes one', async () => {
    const cache = join(gateway.dir, 'cache');
    const args = ['buildx', 'build', '--network', 'none', '--progress', 'plain'];
    const ran = await docker(env, [...args, '--cache-to', `type=local,dest=${cache},mode=max`, folder]);
    // The client itself asks for containerd's store.
    if (ran.code !== 0) assert.match(ran.stderr, /Cache export is not supported for the docker driver/);
    else assert.ok(existsSync(join(cache, 'index.json')));
  });

  it('du and prune speak of no cache of others', async () => {
    assert.match((await must('buildx', 'du')).stdout, /Total:\s+0B/);
    assert.match((await must('buildx', 'prune', '-f')).stdout, /Total:\s+0B/);
    assert.match((await must('builder', 'prune', '-f')).stdout, /Total:\s+0B/);
  });

  it('an SSH agent of the client’s is at hand in a step', async () => {
    const path = join(gateway.dir, 'agent.sock');
    // An agent without keys: it answers every question with an empty list.
    const agent = net.createServer((socket) => {
      socket.on('data', () => socket.write(Buffer.from([0, 0, 0, 5, 12, 0, 0, 0, 0])));
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => agent.listen(path, resolve));
    const context = join(gateway.dir, 'ssh');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), `FROM ${IMAGE}\nRUN --mount=type=ssh test -S "$SSH_AUTH_SOCK"\n`);
    const ran = await docker(env, ['build', '--network', 'none', '--no-cache', '--ssh', `default=${path}`, context]);
    agent.close();
    assert.equal(ran.code, 0, ran.stderr);
  });

  it('policy explain and the tests of a policy know builds', async () => {
    const file = join(gateway.dir, 'request.json');
    writeFileSync(file, JSON.stringify({ method: 'POST', target: '/grpc', body: { entitlements: ['network.host'] } }));
    const told = await gateway.dockgate('policy', 'explain', '--as', 'alice', '--request', file);
    assert.match(told.stdout + told.stderr, /network\.host is not among its build\.entitlements/);
    writeFileSync(
      file,
      JSON.stringify({ method: 'POST', target: '/grpc', body: { tags: ['docker.io/library/app:1'] } }),
    );
    assert.match((await gateway.dockgate('policy', 'explain', '--as', 'alice', '--request', file)).stdout, /^ALLOW/m);
  });
});

describe('tenants that must not meet', { skip }, () => {
  let gateway: TestGateway;
  before(async () => {
    const names = ['alice', 'op'];
    gateway = await startGateway({
      engine: ENGINE as string,
      settings: { tenants: { distrust: true } },
      unix: names.map((name) => ({ name, identity: name })),
    });
    await gateway.must('tenant', 'create', 'red');
    await gateway.must('identity', 'create', 'alice', '--policy', 'baseline', '--tenant', 'red');
    await gateway.must('identity', 'create', 'op', '--policy', 'baseline');
  });
  after(() => gateway?.remove());

  it('have no BuildKit, and the builder without it; who has no tenant has both', async () => {
    const folder = join(gateway.dir, 'context');
    mkdirSync(folder);
    writeFileSync(join(folder, 'Dockerfile'), `FROM ${IMAGE}\nRUN true\n`);
    const build = (identity: string, more: NodeJS.ProcessEnv = {}) =>
      docker({ ...clientEnv(gateway, 'unix', { identity, token: '' }), ...more }, [
        'build',
        '--network',
        'none',
        folder,
      ]);
    const refused = await build('alice');
    assert.notEqual(refused.code, 0);
    assert.match(
      refused.stderr,
      /tenants of this engine must not meet \(tenants\.distrust\); build with DOCKER_BUILDKIT=0/,
    );
    const classic = await build('alice', { DOCKER_BUILDKIT: '0' });
    assert.equal(classic.code, 0, classic.stderr);
    const operator = await build('op');
    assert.equal(operator.code, 0, operator.stderr);
  });
});

describe('an engine of the 20.10 line', {
  skip: skip !== false ? skip : OLD_ENGINE === undefined ? 'none here' : false,
}, () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startGateway({
      engine: OLD_ENGINE as string,
      unix: ['base', 'op'].map((name) => ({ name, identity: name })),
    });
    await gateway.must('identity', 'create', 'base', '--policy', 'baseline');
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
  });
  after(() => gateway?.remove());

  it('builds for a caller without limits, and refuses a source policy that engine would ignore', async () => {
    const folder = join(gateway.dir, 'context');
    mkdirSync(folder);
    writeFileSync(join(folder, 'Dockerfile'), `FROM ${IMAGE}\nRUN true\n`);
    const build = (identity: string, more: NodeJS.ProcessEnv = {}) =>
      docker({ ...clientEnv(gateway, 'unix', { identity, token: '' }), ...more }, [
        'build',
        '--network',
        'none',
        folder,
      ]);
    const refused = await build('base');
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /cannot be held to a list of sources.*DOCKER_BUILDKIT=0 \[audit /);
    const allowed = await build('op');
    assert.equal(allowed.code, 0, allowed.stderr);
    const classic = await build('base', { DOCKER_BUILDKIT: '0' });
    assert.equal(classic.code, 0, classic.stderr);
  });
});
