// The package as it is published and put into the image: the bundle without the sources, run by a user who is not root, with
// the image's own settings file and health check. The engine is the built-in STAND-IN. The image is node's: Node alone.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { type Standin, startStandin } from '../../src/standin/standin.ts';
import { CLI_PLUGINS, DOCKER_CLI } from '../support/engine.ts';
import { type Ran, run } from '../support/gateway.ts';
import { IS_DENO, ROOT } from '../support/runtime.ts';
import { until } from '../support/until.ts';

const DOCKERFILE = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
const COMPOSE = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8')) as {
  services: { dockgate: Record<string, unknown> & { volumes: string[] } };
};
/** `nobody`, where the test may choose. */
const NOBODY = process.getuid?.() === 0 ? 65534 : undefined;

/** The last instruction of a name, its JSON form read. */
function instruction(name: string): string[] {
  const lines = DOCKERFILE.replaceAll('\\\n', ' ').split('\n');
  const line = lines.filter((l) => l.startsWith(`${name} `)).at(-1) ?? '';
  return JSON.parse(/\[.*\]/.exec(line)?.[0] ?? '[]') as string[];
}

describe('the bundle', { skip: IS_DENO ? 'the bundle is for Node' : false }, () => {
  // Not below TMPDIR: that folder belongs to the test's user alone.
  const home = mkdtempSync('/tmp/dg-bundle-');
  const app = join(home, 'app');
  const settings = join(home, 'dockgate.yaml');
  let engine: Standin;
  let gateway: ChildProcess;
  let log = '';
  const env = { PATH: process.env.PATH, HOME: home, NODE_ENV: 'production', DOCKGATE_CONFIG: settings };
  const dockgate = (...args: string[]): Promise<Ran> =>
    run(process.execPath, [join(app, 'bin', 'dockgate.js'), ...args], {
      env,
      ...(NOBODY === undefined ? {} : { uid: NOBODY }),
    });

  before(async () => {
    chmodSync(home, 0o755);
    const built = spawnSync(process.execPath, [join(ROOT, 'scripts/build.ts'), join(app, 'dist')], {
      encoding: 'utf8',
    });
    assert.equal(built.status, 0, built.stderr);
    cpSync(join(ROOT, 'bin'), join(app, 'bin'), { recursive: true });
    cpSync(join(app, 'dist/package.json'), join(app, 'package.json'));
    engine = await startStandin(join(home, 'engine.sock'));
    chmodSync(join(home, 'engine.sock'), 0o777);
    mkdirSync(join(home, 'data'));
    if (NOBODY !== undefined) chownSync(join(home, 'data'), NOBODY, NOBODY);
    // The image's own settings, its paths put here.
    const text = readFileSync(join(ROOT, 'examples/container.yaml'), 'utf8')
      .replace('/var/run/docker.sock', join(home, 'engine.sock'))
      .replace('data: /data', `data: ${home}/data`)
      .replace('0.0.0.0:2376', '127.0.0.1:0');
    assert.ok(text.includes(`${home}/data`) && text.includes('127.0.0.1:0'));
    writeFileSync(settings, `${text}plugins: [{ use: no-privileged }, { use: bind-mounts, config: { roots: [] } }]\n`);
    gateway = spawn(process.execPath, [join(app, 'bin', 'dockgate.js'), ...instruction('CMD')], {
      env,
      cwd: home,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(NOBODY === undefined ? {} : { uid: NOBODY, gid: NOBODY }),
    });
    for (const stream of [gateway.stdout, gateway.stderr])
      stream?.on('data', (data: Buffer) => {
        log += data;
      });
    await until('the bundle to be ready', () => {
      if (gateway.exitCode !== null) throw new Error(`it ended with ${gateway.exitCode}: ${log}`);
      return log.includes('"msg":"ready"');
    });
  });
  after(async () => {
    if (gateway !== undefined && gateway.exitCode === null) {
      const ended = once(gateway, 'exit');
      gateway.kill('SIGTERM');
      await ended;
    }
    await engine?.close();
    rmSync(home, { recursive: true, force: true });
  });

  it('the bundle is healthy by the image’s own health check while it runs', async () => {
    const check = instruction('HEALTHCHECK');
    assert.equal(check[0], 'dockgate');
    const ran = await dockgate(...check.slice(1));
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
  });

  it('the bundle has commands, plugins, migrations, the audit writer and its reader with it', async () => {
    const made = await dockgate('identity', 'create', 'me', '--policy', 'operator');
    assert.equal(made.code, 0, made.stderr);
    const token = await dockgate('token', 'create', 'me');
    assert.equal(token.code, 0, token.stderr);
    const plugins = await dockgate('plugin', 'list', '--json');
    assert.deepEqual(
      (JSON.parse(plugins.stdout) as { name: string }[]).map((p) => p.name),
      ['no-privileged', 'bind-mounts'],
    );
    const port = /"port":(\d+)/.exec(log)?.[1];
    const asked = await run('curl', [
      '-sS',
      '--cacert',
      join(home, 'data', 'ca.pem'),
      '-H',
      `Authorization: Bearer ${token.stdout.trim()}`,
      `https://localhost:${port}/version`,
    ]);
    if (asked.code !== -1) assert.match(asked.stdout, /stand-in|ApiVersion/i, asked.stderr);
    const audit = await dockgate('audit', 'ls', '--json');
    assert.ok((JSON.parse(audit.stdout) as unknown[]).length > 1);
    assert.equal((await dockgate('--help')).code, 0);
  });

  it('exports the gateway for embedding and the plugin types', async () => {
    const manifest = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8')) as { exports: Record<string, string> };
    assert.deepEqual(Object.keys(manifest.exports), ['.', './plugin', './testing', './package.json']);
    mkdirSync(join(home, 'user', 'node_modules'), { recursive: true });
    symlinkSync(app, join(home, 'user', 'node_modules', 'dockgate'));
    const script = join(home, 'user', 'use.mjs');
    writeFileSync(
      script,
      `import * as main from 'dockgate'; import * as plugin from 'dockgate/plugin'; console.log(typeof main.createGateway, typeof main.loadConfig, typeof plugin.parseBind);`,
    );
    const ran = await run(process.execPath, [script], { env });
    assert.deepEqual([ran.code, ran.stdout], [0, 'function function function\n'], ran.stderr);
  });

  it('the bundle is unhealthy when it does not run', async () => {
    const ended = once(gateway, 'exit');
    gateway.kill('SIGTERM');
    assert.equal((await ended)[0], 0, log);
    const ran = await dockgate(...instruction('HEALTHCHECK').slice(1));
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^dockgate: no gateway answers at /);
  });
});

describe('Dockerfile and compose.yaml', () => {
  it('the image runs as a user that is not root, with a health check and one volume', () => {
    const lines = DOCKERFILE.split('\n');
    assert.ok(lines.includes('USER node'));
    assert.ok(lines.indexOf('USER node') < lines.findIndex((l) => l.startsWith('ENTRYPOINT')));
    assert.ok(lines.includes('VOLUME /data'));
    assert.deepEqual(instruction('ENTRYPOINT'), ['dockgate']);
    assert.deepEqual(instruction('CMD'), ['serve']);
    for (const [, from, path] of DOCKERFILE.matchAll(/^COPY (--from=build )?(\S+)/gm)) {
      if (from === undefined && path !== '.') assert.ok(existsSync(join(ROOT, path as string)), path);
    }
  });

  it('compose.yaml gives away nothing but the socket, and its settings file is valid', async () => {
    const { dockgate } = COMPOSE.services;
    assert.deepEqual(
      [dockgate.read_only, dockgate.cap_drop, dockgate.security_opt, dockgate.user, dockgate.ports],
      [true, ['ALL'], ['no-new-privileges:true'], 'node', ['127.0.0.1:2376:2376']],
    );
    const mount = dockgate.volumes.find((v) => v.endsWith(':/etc/dockgate/dockgate.yaml:ro')) as string;
    const { checkConfig } = await import('../../src/config/config.ts');
    assert.deepEqual(checkConfig(join(ROOT, mount.split(':')[0] as string)), []);
  });

  const compose = DOCKER_CLI !== undefined && CLI_PLUGINS !== undefined;
  it('docker compose reads it', { skip: compose ? false : 'no docker compose here' }, async () => {
    const config = mkdtempSync(join(process.env.TMPDIR ?? '/tmp', 'dg-compose-'));
    writeFileSync(join(config, 'config.json'), JSON.stringify({ cliPluginsExtraDirs: [CLI_PLUGINS] }));
    const read = (env: Record<string, string>) =>
      run(DOCKER_CLI as string, ['compose', '-f', join(ROOT, 'compose.yaml'), 'config', '--format', 'json'], {
        env: { PATH: process.env.PATH, HOME: config, DOCKER_CONFIG: config, ...env },
      });
    const good = await read({ DOCKER_GID: '999' });
    assert.equal(good.code, 0, good.stderr);
    const { services } = JSON.parse(good.stdout) as { services: { dockgate: { group_add: string[] } } };
    assert.deepEqual(services.dockgate.group_add, ['999']);
    const without = await read({});
    assert.notEqual(without.code, 0);
    assert.match(without.stderr, /the group of \/var\/run\/docker\.sock/);
  });
});
