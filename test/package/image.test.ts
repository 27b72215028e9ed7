// The container image without a registry of images: the whole Dockerfile, word for word, on a base made from this machine's
// Node, npm and the test image, built by the engine's classic builder and run as compose.yaml runs it, in front of that engine.
// Its first stage asks the registry of npm, by the machine's own settings.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { DOCKER_CLI, dockerDirect, ENGINE, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { type Ran, run } from '../support/gateway.ts';
import { npmFolder, registrySettings } from '../support/npm.ts';
import { IS_DENO, ROOT } from '../support/runtime.ts';
import { until } from '../support/until.ts';

const BASE = 'dg-image-base:test';
const BUILT = 'dg-image:test';
const NAME = 'dg-image';
const NPM = npmFolder();

const skip =
  skipWithoutCli ||
  (IS_DENO
    ? 'the image is for Node'
    : NPM === undefined
      ? 'no npm here'
      : spawnSync('ldd', [process.execPath]).status !== 0
        ? 'no ldd here'
        : false);

describe('the container image', { skip }, () => {
  const context = mkdtempSync(join(tmpdir(), 'dg-image-'));
  const docker = (args: readonly string[]): Promise<Ran> =>
    run(DOCKER_CLI as string, ['-H', `unix://${ENGINE}`, ...args], {
      env: { PATH: process.env.PATH, HOME: context, DOCKER_BUILDKIT: '0' },
      timeoutMs: 300_000,
    });
  after(() => {
    spawnSync(DOCKER_CLI as string, ['-H', `unix://${ENGINE}`, 'rm', '-fv', NAME]);
    spawnSync(DOCKER_CLI as string, ['-H', `unix://${ENGINE}`, 'rmi', '-f', BUILT, BASE]);
    spawnSync(DOCKER_CLI as string, ['-H', `unix://${ENGINE}`, 'volume', 'rm', NAME]);
    rmSync(context, { recursive: true, force: true });
  });

  it('builds, becomes healthy without rights, serves, and stops cleanly', { timeout: 400_000 }, async () => {
    // The base: Node and the libraries it is linked with, npm with the machine's settings, a user `node`, and a shell for RUN.
    const root = join(context, 'root');
    const put = (file: string, at = file) => {
      mkdirSync(dirname(join(root, at)), { recursive: true });
      cpSync(realpathSync(file), join(root, at), { recursive: true });
    };
    put(process.execPath, '/usr/local/bin/node');
    for (const [, file] of execFileSync('ldd', [process.execPath], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g))
      put(file as string);
    // Names are looked up by libraries that are loaded later.
    for (const file of globSync('/{lib,usr/lib}/*-linux-gnu/libnss_{dns,files}.so.2')) put(file);
    put(NPM as string, '/usr/local/lib/node_modules/npm');
    for (const name of ['npm', 'npx'])
      symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(root, 'usr/local/bin', name));
    const { registry, authorities } = registrySettings();
    if (authorities !== undefined) put(authorities, '/etc/npm-ca.pem');
    mkdirSync(join(root, 'usr/local/etc'), { recursive: true });
    writeFileSync(
      join(root, 'usr/local/etc/npmrc'),
      `registry=${registry}\nupdate-notifier=false\n${authorities === undefined ? '' : 'cafile=/etc/npm-ca.pem\n'}`,
    );
    mkdirSync(join(root, 'usr/bin'), { recursive: true });
    symlinkSync('/bin/env', join(root, 'usr/bin/env'));
    mkdirSync(join(root, 'etc'), { recursive: true });
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\nnode:x:1000:1000::/:/bin/sh\n');
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
    writeFileSync(join(context, 'Dockerfile.base'), `FROM ${IMAGE}\nCOPY root /\nENV PATH=/usr/local/bin:/bin\n`);

    // What a clean clone holds, and .dockerignore leaves in.
    const checkout = join(context, 'checkout');
    const ignored = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n').filter(Boolean);
    cpSync(ROOT, checkout, {
      recursive: true,
      filter: (path) => !ignored.some((name) => path === join(ROOT, name)),
    });
    const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
    writeFileSync(join(checkout, 'Dockerfile'), dockerfile.replaceAll(/^FROM node:24-slim\b/gm, `FROM ${BASE}`));
    assert.equal(dockerfile.match(/^FROM /gm)?.length, 2);

    const base = await docker([
      'build',
      '-q',
      '--network',
      'none',
      '-t',
      BASE,
      '-f',
      join(context, 'Dockerfile.base'),
      context,
    ]);
    assert.equal(base.code, 0, base.stderr);
    // The engine of the tests has no bridge: npm in the first stage uses the machine's network.
    const image = await docker(['build', '--network', 'host', '-t', BUILT, checkout]);
    assert.equal(image.code, 0, image.stdout + image.stderr);

    const group = String(statSync(ENGINE as string).gid);
    const started = await docker([
      ...['run', '-d', '--name', NAME, '--network', 'none', '--read-only', '--cap-drop', 'ALL', '--group-add', group],
      ...['--security-opt', 'no-new-privileges:true', '--user', 'node', '--health-interval', '1s'],
      ...['-v', `${ENGINE}:/var/run/docker.sock`, '-v', `${NAME}:/data`],
      ...['-v', `${join(ROOT, 'examples/container.yaml')}:/etc/dockgate/dockgate.yaml:ro`, BUILT],
    ]);
    assert.equal(started.code, 0, started.stderr);
    await until('it to be healthy', () => {
      const [status, health] = dockerDirect('inspect', '-f', '{{.State.Status}} {{.State.Health.Status}}', NAME)
        .trim()
        .split(' ');
      if (status !== 'running') throw new Error(`it is ${status}: ${dockerDirect('logs', NAME)}`);
      return health === 'healthy';
    });
    const inside = async (...args: string[]) => {
      const ran = await docker(['exec', NAME, ...args]);
      assert.equal(ran.code, 0, ran.stderr);
      return ran.stdout.trim();
    };
    assert.equal(await inside('id', '-u'), '1000');
    await inside('dockgate', 'identity', 'create', 'me', '--policy', 'operator');
    const token = await inside('dockgate', 'token', 'create', 'me');
    const ask = `require('https').get({ host: 'localhost', port: 2376, path: '/containers/json', ca: require('fs').readFileSync('/data/ca.pem'), headers: { authorization: 'Bearer ' + process.argv[1] } }, (a) => { let t = ''; a.on('data', (d) => (t += d)).on('end', () => console.log(a.statusCode, JSON.parse(t).some((c) => c.Names[0] === '/${NAME}'))); })`;
    assert.equal(await inside('node', '-e', ask, token), '200 true', 'it sees itself through itself');
    assert.match(await inside('dockgate', 'audit', 'ls'), /me +container\.list .*allow +200/);

    assert.equal((await docker(['stop', NAME])).code, 0);
    assert.equal(dockerDirect('inspect', '-f', '{{.State.ExitCode}}', NAME).trim(), '0');
  });
});
