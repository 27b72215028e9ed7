// The package as npm packs it from a clean clone, installed into an empty folder without any registry: commands, plugins, types
// and examples work there, on Node and on Deno. What a bare machine does with it is a step of .ci/run of its own.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { VERSION } from '../../src/version.ts';
import { type Ran, run } from '../support/gateway.ts';
import { npmFolder } from '../support/npm.ts';
import { IS_DENO, ROOT } from '../support/runtime.ts';
import { until } from '../support/until.ts';

const NPM = npmFolder();
const skip: false | string = IS_DENO ? 'shown on Node' : NPM === undefined ? 'no npm here' : false;
const BIN = join(ROOT, 'node_modules/.bin');
/** Deno itself: npm's `deno` is a script that starts it, and a signal to that script never reaches it. */
const DENO = join(ROOT, 'node_modules/deno/deno');

describe('the packed package', { skip }, () => {
  const home = mkdtempSync(join(tmpdir(), 'dg-pack-'));
  const user = join(home, 'user');
  const installed = join(user, 'node_modules/dockgate');
  const env: NodeJS.ProcessEnv = { PATH: `${BIN}:${process.env.PATH}`, HOME: home, XDG_RUNTIME_DIR: home };
  const npm = (cwd: string, ...args: string[]): Promise<Ran> =>
    run('sh', ['-c', 'cd "$0" && exec "$@"', cwd, process.execPath, join(NPM as string, 'bin/npm-cli.js'), ...args], {
      env,
      timeoutMs: 120_000,
    });

  before(async () => {
    const clone = join(home, 'clone');
    const leftOut = ['.git', 'node_modules', 'dist', 'data'].map((name) => join(ROOT, name));
    cpSync(ROOT, clone, { recursive: true, filter: (path) => !leftOut.includes(path) });
    symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
    const packed = await npm(clone, 'pack', '--silent', '--pack-destination', home);
    assert.deepEqual([packed.code, packed.stdout.trim()], [0, `dockgate-${VERSION}.tgz`], packed.stderr);
    mkdirSync(user);
    // Offline: what is installed needs nothing but itself.
    const ran = await npm(user, 'install', '--offline', '--no-audit', '--no-fund', join(home, packed.stdout.trim()));
    assert.deepEqual([ran.code, ran.stderr], [0, ''], ran.stdout);
    assert.match(ran.stdout, /added 1 package/);
  });
  after(() => rmSync(home, { recursive: true, force: true }));

  it('the packed package holds all it needs, and asks for nothing to be installed or run', () => {
    const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Record<string, object>;
    for (const key of ['dependencies', 'optionalDependencies', 'peerDependencies', 'bundleDependencies'])
      assert.equal(manifest[key], undefined, `${key}: what the bundle holds belongs to devDependencies`);
    for (const script of ['preinstall', 'install', 'postinstall'])
      assert.ok(!Object.hasOwn(manifest.scripts ?? {}, script), script);
    assert.equal(existsSync(join(installed, 'binding.gyp')), false);
    assert.deepEqual(readdirSync(installed).sort(), [
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'bin',
      'dist',
      'docs',
      'examples',
      'package.json',
    ]);
    assert.ok(existsSync(join(installed, 'examples/policies/ci.yaml')));
    for (const name of ['settings', 'policy']) {
      const schema = JSON.parse(readFileSync(join(installed, `dist/schemas/${name}.json`), 'utf8')) as {
        $schema: string;
      };
      assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema');
    }
    const notices = readFileSync(join(installed, 'dist/THIRD-PARTY.txt'), 'utf8');
    for (const name of ['better-sqlite3', 'hono', 'zod', 'jose'])
      assert.match(notices, new RegExp(`^${name} \\d`, 'm'));
    assert.doesNotMatch(notices, /undefined/);
  });

  it('judges its own examples, and finds its plugins by name', async () => {
    const dockgate = (...args: string[]) => run(join(user, 'node_modules/.bin/dockgate'), args, { env });
    assert.equal((await dockgate('--version')).stdout.trim(), VERSION);
    for (const policy of readdirSync(join(installed, 'examples/policies'))) {
      const ran = await dockgate('policy', 'test', join(installed, 'examples/policies', policy));
      assert.equal(ran.code, 0, ran.stdout + ran.stderr);
    }
  });

  for (const [runtime, args] of [
    ['Node', [process.execPath]],
    ['Deno', [DENO, 'run', '-A']],
  ] as const) {
    it(`starts on ${runtime}, with a plugin by name`, { timeout: 100_000 }, async () => {
      const [program = '', ...first] = args;
      const data = join(home, `data ${runtime}`);
      const child = spawn(
        program,
        [...first, join(installed, 'bin/dockgate.js'), 'start', '--listen', 'https://127.0.0.1:0', '--data', data],
        { cwd: user, env, stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let text = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => {
          text += chunk;
        });
      const ended = once(child, 'exit');
      try {
        await until('the welcome', () => {
          if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${text}`);
          return text.includes('Stop with Ctrl-C');
        });
        const plugins = await run(join(user, 'node_modules/.bin/dockgate'), ['plugin', 'list', '--data', data], {
          env,
        });
        assert.match(plugins.stdout, /no-privileged/, plugins.stderr);
      } finally {
        child.kill('SIGTERM');
      }
      assert.deepEqual(await ended, [0, null], text);
    });
  }

  it('compiles for a TypeScript user, strictly and with nothing else installed', async () => {
    writeFileSync(join(user, 'plugin.mts'), PLUGIN);
    writeFileSync(join(user, 'embed.mts'), EMBED);
    const options = ['--strict', '--module', 'nodenext', '--moduleResolution', 'nodenext', '--noEmit'];
    const compile = (...args: string[]) =>
      run('sh', ['-c', 'cd "$0" && exec "$@"', user, join(BIN, 'tsc'), ...options, ...args], { env });
    writeFileSync(join(user, 'plugin.test.mts'), TESTS);
    const good = await compile('--types', '', 'plugin.mts', 'embed.mts', 'plugin.test.mts');
    assert.deepEqual([good.code, good.stdout], [0, '']);
    // The declarations say something: a plugin that is none is told.
    writeFileSync(join(user, 'wrong.mts'), PLUGIN.replace("kind: 'pass'", "kind: 'perhaps'"));
    const wrong = await compile('wrong.mts');
    assert.match(wrong.stdout, /wrong\.mts.*perhaps/s);
  });

  it('runs what such a user wrote', async () => {
    const script = join(user, 'use.mjs');
    writeFileSync(
      script,
      "import { createGateway, loadConfig, GatewayError } from 'dockgate'; import { parseBind } from 'dockgate/plugin'; console.log(typeof createGateway, typeof loadConfig, typeof GatewayError, parseBind('/a:/b:ro').source);",
    );
    for (const args of [[process.execPath], [DENO, 'run', '-A']]) {
      const [program = '', ...first] = args;
      const ran = await run(program, [...first, script], { env });
      assert.deepEqual([ran.code, ran.stdout.trim()], [0, 'function function function /a'], ran.stderr);
    }
  });

  it('tests a plugin with the runtime’s own test runner', async () => {
    writeFileSync(join(user, 'plugin.mts'), PLUGIN);
    const file = join(user, 'plugin.test.mts');
    writeFileSync(file, TESTS);
    // Without what the runner of this file set, or the other would report to it.
    const { NODE_TEST_CONTEXT: _, ...own } = env;
    for (const [program, ...args] of [
      [process.execPath, '--test', '--test-reporter=spec', file],
      [DENO, 'test', '-A', '--no-check', file],
    ]) {
      const ran = await run(program as string, args, { env: own });
      assert.equal(ran.code, 0, ran.stdout + ran.stderr);
      assert.match(ran.stdout, /another folder/);
    }
  });
});

const PLUGIN = `import { parseBind, type Plugin } from 'dockgate/plugin';
export default {
  meta: { name: 'mine', version: '1.0.0', apiVersion: 1, description: 'refuses binds of /etc' },
  match: { actions: ['container.create'] },
  validate(request) {
    const asked: string = request.principal.subject;
    return parseBind(asked).source === '/etc' ? { kind: 'deny', code: 'no-etc', message: asked } : { kind: 'pass' };
  },
} satisfies Plugin;
`;
const TESTS = `import { pluginTests } from 'dockgate/testing';
pluginTests(new URL('./plugin.mts', import.meta.url), {
  valid: [{ name: 'another folder', action: 'container.create', principal: { subject: '/srv:/x' } }],
  invalid: [{ name: 'etc', action: 'container.create', principal: { subject: '/etc:/x' }, code: 'no-etc' }],
});
`;
const EMBED = `import { createGateway, type Config, type EmbeddedGateway, GatewayError, loadConfig } from 'dockgate';
const config: Config = loadConfig('dockgate.yaml');
const gateway: EmbeddedGateway = await createGateway(config);
const answer: Response = await gateway.fetch(new Request('http://x/_ping'));
if (!answer.ok) throw new GatewayError('internal', String(gateway.active));
await gateway.close();
`;
