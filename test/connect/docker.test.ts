// The real docker CLI, compose and buildx against a real engine: through `connect` and `dial-stdio`, through a gateway.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  CLI_PLUGINS,
  DOCKER_CLI,
  dockerDirect,
  ENGINE,
  IMAGE,
  removeContainers,
  skipWithoutCli,
} from '../support/engine.ts';
import { docker, type Ran, run, startGateway, type TestGateway } from '../support/gateway.ts';
import { dockgateCommand, IS_DENO } from '../support/runtime.ts';
import { type Connected, startConnect } from './program.ts';

/** How much the streams carry; 1024 shows it at length. */
const MIB = Number(process.env.DOCKGATE_TEST_CONNECT_MIB ?? '32');
const PREFIX = `dg-connect-${IS_DENO ? 'deno' : 'node'}`;

describe('the docker CLI through connect', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let connected: Connected;
  let tokenFile: string;
  let credentials: string[];
  const environments: Record<string, NodeJS.ProcessEnv> = {};
  /** Ends a test's own connect also when the test fails, or its process would keep the run. */
  const others: Connected[] = [];
  const startOther = async (args: readonly string[]): Promise<Connected> => {
    const other = await startConnect(args);
    others.push(other);
    return other;
  };

  before(async () => {
    removeContainers(PREFIX);
    // A port of its own, which it has again after a restart.
    const listen = [`https://127.0.0.1:${await freePort()}`];
    gateway = await startGateway({ engine: ENGINE as string, settings: { listen } });
    const policy = join(gateway.dir, 'unread.yaml');
    const rules = '[{ name: all, effect: allow, actions: [build.opaque, build.session, build.control] }]';
    writeFileSync(
      policy,
      `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: unread, acknowledges: [host-access] }\nrules: ${rules}\n`,
    );
    await gateway.must('policy', 'apply', '-f', policy);
    await gateway.must('identity', 'create', 'bot', '--policy', 'operator', '--policy', 'unread');
    tokenFile = join(gateway.dir, 'token');
    writeFileSync(tokenFile, await gateway.must('token', 'create', 'bot'));
    credentials = ['--token-file', tokenFile, '--ca', join(gateway.dir, 'data', 'ca.pem')];
    connected = await startConnect([`https://127.0.0.1:${gateway.port}`, ...credentials]);
    const home = mkdtempSync(join(gateway.dir, 'home-'));
    if (CLI_PLUGINS !== undefined) symlinkSync(CLI_PLUGINS, join(home, 'cli-plugins'));
    const common = { HOME: home, DOCKER_CONFIG: home };
    environments.socket = { ...common, PATH: process.env.PATH, DOCKER_HOST: `unix://${connected.socket}` };
    // In place of ssh: what the CLI asks the other side to run must be the forced command's turn.
    const bin = join(gateway.dir, 'bin');
    mkdirSync(bin);
    const [command, first] = dockgateCommand();
    writeFileSync(
      join(bin, 'ssh'),
      `#!/bin/sh\ncase "$*" in *"-- gate docker system dial-stdio") ;; *) echo "unexpected: $*" >&2; exit 9;; esac\nexec ${[command, ...first].join(' ')} dial-stdio\n`,
    );
    chmodSync(join(bin, 'ssh'), 0o755);
    environments.ssh = {
      ...common,
      PATH: `${bin}:${process.env.PATH}`,
      DOCKER_HOST: 'ssh://gate',
      DOCKGATE_HOST: `https://127.0.0.1:${gateway.port}`,
      DOCKGATE_TOKEN_FILE: tokenFile,
      DOCKGATE_CA: join(gateway.dir, 'data', 'ca.pem'),
    };
  });
  after(async () => {
    removeContainers(PREFIX);
    for (const other of others) await other.stop();
    await connected?.stop();
    await gateway?.remove();
  });

  const events = async (action: string): Promise<{ text: string; subject?: string }[]> => {
    const list = JSON.parse(await gateway.must('audit', 'ls', '--action', action, '--json')) as { subject?: string }[];
    return list.map((event) => ({ ...event, text: JSON.stringify(event) }));
  };

  for (const way of ['socket', 'ssh'] as const) {
    describe(way === 'socket' ? 'over a socket of connect' : 'over ssh:// with dial-stdio', () => {
      const name = (what: string) => `${PREFIX}-${way}-${what}`;
      const cli = (args: readonly string[], input?: string | Buffer): Promise<Ran> =>
        docker(environments[way] as NodeJS.ProcessEnv, args, input);
      const ok = async (args: readonly string[], input?: string | Buffer): Promise<string> => {
        const ran = await cli(args, input);
        assert.equal(ran.code, 0, `docker ${args.join(' ')}: ${ran.stderr}`);
        return ran.stdout;
      };

      it('version and ps answer', async () => {
        assert.match(await ok(['version']), /Server:/);
        assert.match(await ok(['ps', '-a']), /CONTAINER ID/);
      });

      it('run delivers output after standard input has ended, and the exit code', async () => {
        const RUN = ['run', '--rm', '--network', 'none'];
        assert.equal(await ok([...RUN, IMAGE, 'sh', '-c', 'sleep 1; echo late']), 'late\n');
        assert.equal(await ok([...RUN, '-i', IMAGE, 'sh', '-c', 'cat; sleep 1; echo after'], 'in\n'), 'in\nafter\n');
        const ran = await cli([...RUN, IMAGE, 'sh', '-c', 'echo out; echo err >&2; exit 7']);
        assert.deepEqual(ran, { code: 7, stdout: 'out\n', stderr: 'err\n' });
      });

      it('exec -i carries 3 MB each way', async () => {
        await ok(['run', '-d', '--network', 'none', '--name', name('exec'), IMAGE, 'sleep', '300']);
        const data = Array.from({ length: 50_000 }, (_, i) => `${i}`.padStart(59, 'x')).join('\n');
        const out = await ok(['exec', '-i', name('exec'), 'cat'], data);
        assert.ok(out === data, `${out.length} of ${data.length} bytes came back`);
      });

      it(`exec -i carries ${MIB} MiB each way at once, byte for byte`, { timeout: 600_000 }, async () => {
        const bytes = MIB * 1024 * 1024;
        const source = `yes "$(seq -s, 1 2000)" | head -c ${bytes}`;
        const [sent, echoed] = await Promise.all(
          [source, `${source} | ${DOCKER_CLI} exec -i ${name('exec')} cat`].map((command) =>
            run('sh', ['-c', `${command} | sha256sum`], {
              env: environments[way] as NodeJS.ProcessEnv,
              timeoutMs: 600_000,
            }),
          ),
        );
        assert.equal(echoed?.stdout, sent?.stdout, echoed?.stderr);
        if (way === 'socket' && existsSync('/proc/self/status')) {
          // What they hold at most does not grow with what they carry.
          for (const [who, { pid }, mostMib] of [
            ['connect', connected.process, 300],
            // Deno lets several hundred MiB of buffers that were read pile up before it collects them.
            ['the gateway', gateway.process, IS_DENO ? 1024 : 512],
          ] as const) {
            const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
            assert.ok(Number(peak) < mostMib * 1024, `${who} held ${peak} KiB`);
          }
        }
      });

      it('run -it works under a pty', async () => {
        const command = `${DOCKER_CLI} run --rm -it --network none ${IMAGE} sh -c 'tty; read x; echo got $x'`;
        const ran = await run(
          'sh',
          ['-c', `(sleep 1; echo typed; sleep 1) | script -qec "${command.replaceAll('$', '\\$')}" /dev/null`],
          { env: { ...environments[way], SHELL: '/bin/sh' } },
        );
        assert.match(ran.stdout, /\/dev\/pts\/\d+|\/dev\/console/);
        assert.match(ran.stdout, /got typed/);
      });

      it('logs -f that is cancelled ends its call at the gateway', async () => {
        const id = await ok([
          'run',
          '-d',
          '--network',
          'none',
          '--name',
          name('logs'),
          IMAGE,
          'sh',
          '-c',
          'echo one; sleep 300',
        ]);
        const child = spawn(DOCKER_CLI as string, ['logs', '-f', name('logs')], {
          env: environments[way],
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
        child.kill('SIGKILL');
        await until(`the end of ${name('logs')} in the audit`, async () =>
          (await events('container.logs')).some((e) => e.text.includes(id.trim()) && e.text.includes('caller-gone')),
        );
        dockerDirect('rm', '-fv', name('logs'), name('exec'));
      });
    });
  }

  const withPlugins = { skip: CLI_PLUGINS === undefined ? 'no buildx and compose here' : false };

  it('buildx, which can send no token, reaches the gateway with its identity', withPlugins, async () => {
    const context = mkdtempSync(join(gateway.dir, 'build-'));
    writeFileSync(join(context, 'Dockerfile'), `FROM ${IMAGE}\nCOPY Dockerfile /made\n`);
    const tag = `${PREFIX}-built`;
    const built = await docker(environments.socket as NodeJS.ProcessEnv, ['buildx', 'build', '-t', tag, context]);
    assert.equal(built.code, 0, built.stderr);
    assert.match(dockerDirect('image', 'inspect', tag), /sha256/);
    dockerDirect('rmi', '-f', tag);
    for (const action of ['build.session', 'build.control']) {
      const seen = await events(action);
      assert.ok(seen.length > 0, action);
      assert.deepEqual([...new Set(seen.map(({ subject }) => subject))], ['bot'], action);
    }
  });

  it('a client that insists on a version out of range is told Docker’s sentence and the way out', async () => {
    for (const [version, message] of [
      [
        '1.20',
        /client version 1\.20 is too old\. Minimum supported API version is 1\.24, please upgrade.*DOCKER_API_VERSION=1\.24/,
      ],
      ['1.99', /client version 1\.99 is too new\. Maximum supported API version is 1\.\d+ .*DOCKER_API_VERSION=1\.\d+/],
    ] as const) {
      const ran = await docker({ ...environments.socket, DOCKER_API_VERSION: version }, ['ps']);
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, message);
    }
  });

  it('compose works through it', withPlugins, async () => {
    const project = mkdtempSync(join(gateway.dir, 'compose-'));
    const service = { image: IMAGE, network_mode: 'none', command: 'sleep 300', container_name: `${PREFIX}-compose` };
    writeFileSync(join(project, 'compose.yaml'), JSON.stringify({ name: PREFIX, services: { one: service } }));
    const compose = async (...args: string[]): Promise<string> => {
      const ran = await docker(environments.socket as NodeJS.ProcessEnv, [
        'compose',
        '-f',
        join(project, 'compose.yaml'),
        ...args,
      ]);
      assert.equal(ran.code, 0, ran.stderr);
      return ran.stdout;
    };
    await compose('up', '-d');
    assert.match(await compose('ls'), new RegExp(PREFIX));
    assert.match(await compose('ps'), new RegExp(`${PREFIX}-compose`));
    assert.equal(await compose('exec', '-T', 'one', 'echo', 'inside'), 'inside\n');
    await compose('down', '-t', '0');
  });

  it('a token refresh and a gateway restart between requests are not noticed by a kept connection', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    const get = (path: string): Promise<[number | undefined, string]> =>
      new Promise((resolve, reject) => {
        const request = http.get({ socketPath: connected.socket, path, agent }, (answer) => {
          let text = '';
          answer.on('data', (data: Buffer) => {
            text += data.toString();
          });
          answer.on('end', () => resolve([answer.statusCode, text]));
        });
        request.on('socket', (socket) => sockets.add(socket)).on('error', reject);
      });
    assert.equal((await get('/version'))[0], 200);
    const old = readFileSync(tokenFile, 'utf8');
    await gateway.must(
      'token',
      'revoke',
      JSON.parse(Buffer.from(old.split('.')[1] as string, 'base64url').toString()).jti,
    );
    const [status, message] = await get('/version');
    assert.equal(status, 401);
    assert.match(message, /revoked/);
    writeFileSync(tokenFile, await gateway.must('token', 'create', 'bot'));
    assert.equal((await get('/version'))[0], 200);

    await gateway.stop();

    await gateway.restart();

    assert.equal((await get('/version'))[0], 200);

    assert.equal(sockets.size, 1);
    await gateway.stop();
    assert.deepEqual(await get('/version'), [
      502,
      `{"message":"nothing listens at https://127.0.0.1:${gateway.port}; start the gateway, or correct host and port"}`,
    ]);
    await gateway.restart();
    assert.equal((await docker(environments.socket as NodeJS.ProcessEnv, ['ps'])).code, 0);
    agent.destroy();
  });

  it('a client certificate is presented in place of a token', async () => {
    const folder = join(gateway.dir, 'cert');
    await gateway.must('identity', 'create', 'mtls', '--policy', 'reader');
    await gateway.must('cert', 'issue', 'mtls', '--out', folder);
    const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const other = await startOther([`https://127.0.0.1:${gateway.port}`, '--ca', ca, '--cert', cert, '--key', key]);
    const env = { ...environments.socket, DOCKER_HOST: `unix://${other.socket}` };
    const ran = await docker(env, ['volume', 'ls']);
    assert.equal(ran.code, 0, ran.stderr);
    assert.ok((await events('volume.list')).some(({ subject }) => subject === 'mtls'));
    await other.stop();
  });

  it('a refresh credential is exchanged for tokens, again when its file or the gateway’s mind changes', async () => {
    const tokensOf = async (identity: string) =>
      JSON.parse(await gateway.must('token', 'list', '--identity', identity, '--json')) as { id: string }[];
    await gateway.must('identity', 'create', 'nightly', '--policy', 'reader');
    await gateway.must('identity', 'create', 'weekly', '--policy', 'reader');
    const file = join(gateway.dir, 'bot.credential');
    writeFileSync(file, await gateway.must('credential', 'create', 'nightly'));
    const ca = join(gateway.dir, 'data', 'ca.pem');
    const url = `https://127.0.0.1:${gateway.port}`;
    const other = await startOther([url, '--ca', ca, '--credential-file', file]);
    const env = { ...environments.socket, DOCKER_HOST: `unix://${other.socket}` };
    const works = async (environment: NodeJS.ProcessEnv) => {
      const ran = await docker(environment, ['network', 'ls']);
      assert.equal(ran.code, 0, ran.stderr);
    };
    await works(env);
    const [first, ...more] = await tokensOf('nightly');
    assert.equal(more.length, 0);
    // A token that is ended from outside, and a gateway that restarts: no client notices.
    await gateway.must('token', 'revoke', first?.id as string);
    await until('the next exchange to be allowed', async () => (await docker(env, ['network', 'ls'])).code === 0);
    await gateway.stop();
    await gateway.restart();
    await works(env);
    assert.equal((await tokensOf('nightly')).length, 2);
    // Over ssh:// each command exchanges it once.
    const { DOCKGATE_TOKEN_FILE: _none, ...ssh } = environments.ssh as Record<string, string>;
    await works({ ...ssh, DOCKGATE_CREDENTIAL_FILE: file });
    assert.equal((await tokensOf('nightly')).length, 3);
    writeFileSync(file, await gateway.must('credential', 'create', 'weekly'));
    await works(env);
    assert.equal((await tokensOf('weekly')).length, 1);
    assert.ok((await events('network.list')).some(({ subject }) => subject === 'weekly'));
    await other.stop();
    writeFileSync(file, `dockgate_${'x'.repeat(49)}`);
    await assert.rejects(
      startConnect([url, '--ca', ca, '--credential-file', file]),
      /the gateway gives no token for the credential: .*\[audit [0-9a-f-]+\]/,
    );
  });

  it('a token command is run for the token, and a stopped connect leaves no socket', async () => {
    const log = join(gateway.dir, 'runs');
    const other = await startOther([
      `https://127.0.0.1:${gateway.port}`,
      '--ca',
      join(gateway.dir, 'data', 'ca.pem'),
      '--token-command',
      `echo run >> ${log}; cat ${tokenFile}`,
      '--mode',
      '0660',
    ]);
    assert.equal(statSync(other.socket).mode & 0o777, 0o660);
    const env = { ...environments.socket, DOCKER_HOST: `unix://${other.socket}` };
    assert.equal((await docker(env, ['ps'])).code, 0);
    assert.equal((await docker(env, ['ps'])).code, 0);
    assert.equal(readFileSync(log, 'utf8'), 'run\n');
    const { socket } = other;
    assert.equal(await other.stop(), 0);
    assert.ok(!existsSync(socket));
  });
});

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`waited for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** A port without a listener just now. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  return port;
}
