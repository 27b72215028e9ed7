// The stand-in engine over its socket: what the docker CLI and other clients rely on, and that it says what it is.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Standin, startStandin } from '../../src/standin/standin.ts';

const dir = mkdtempSync(join(tmpdir(), 'dg-si-'));
const socketPath = join(dir, 'e.sock');
let standin: Standin;
before(async () => {
  standin = await startStandin(socketPath);
});
after(async () => {
  await standin.close();
  rmSync(dir, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are read field by field below
  readonly json: any;
}

/** One ordinary call; `onHead` is called when the head of the answer is there. */
const call = (method: string, path: string, body?: unknown, onHead?: () => void): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      text === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) };
    const outgoing = request({ socketPath, method, path, headers, agent: false }, (incoming) => {
      onHead?.();
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
      incoming.on('end', () => {
        const all = Buffer.concat(chunks).toString();
        const isJson = incoming.headers['content-type'] === 'application/json';
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          text: all,
          json: isJson && !all.includes('}\r\n{') && all !== '' ? JSON.parse(all) : undefined,
        });
      });
    });
    outgoing.on('error', reject).end(text);
  });

interface Hijack {
  readonly status: string;
  readonly head: string;
  readonly bytes: Buffer;
}

/** An upgraded call: sends the pieces in turn, then ends its side, and reads until the engine ends its own. */
const hijack = (path: string, body: string, pieces: readonly string[], split = 0): Promise<Hijack> =>
  new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    const chunks: Buffer[] = [];
    let isSent = false;
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
    socket.write(head + body.slice(0, body.length - split));
    if (split > 0) setTimeout(() => socket.write(body.slice(-split)), 30);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (isSent || !Buffer.concat(chunks).includes('\r\n\r\n')) return;
      isSent = true;
      for (const piece of pieces) socket.write(piece);
      socket.end();
    });
    socket.on('error', reject).on('end', () => {
      socket.end();
      const all = Buffer.concat(chunks);
      const at = all.indexOf('\r\n\r\n');
      const text = all.subarray(0, at).toString();
      resolve({ status: text.slice(9, 12), head: text, bytes: all.subarray(at + 4) });
    });
  });

/** Both streams of multiplexed bytes. */
const demultiplex = (bytes: Buffer): { stdout: string; stderr: string } => {
  const out = { stdout: '', stderr: '' };
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4);
    out[bytes[at] === 1 ? 'stdout' : 'stderr'] += bytes.subarray(at + 8, at + 8 + length).toString();
    at += 8 + length;
  }
  return out;
};

const create = async (body: Record<string, unknown>, name = ''): Promise<string> => {
  const { status, json } = await call('POST', `/v1.51/containers/create${name && `?name=${name}`}`, {
    Image: 'alpine',
    ...body,
  });
  assert.equal(status, 201, JSON.stringify(json));
  return json.Id;
};
/** Creates, starts, waits; gives exit code and logs. */
const run = async (cmd: string[], more: Record<string, unknown> = {}) => {
  const id = await create({ Cmd: cmd, ...more });
  await call('POST', `/containers/${id}/start`);
  const { json } = await call('POST', `/containers/${id}/wait`);
  const options = { agent: false };
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    request({ socketPath, path: `/containers/${id}/logs?stdout=1&stderr=1`, ...options }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)));
    })
      .on('error', reject)
      .end();
  });
  return {
    code: json.StatusCode as number,
    ...(more.Tty ? { stdout: bytes.toString(), stderr: '' } : demultiplex(bytes)),
  };
};

describe('the stand-in engine', () => {
  it('the stand-in engine says what it is and negotiates the version', async () => {
    const ping = await call('HEAD', '/_ping');
    assert.deepEqual([ping.status, ping.headers['api-version'], ping.headers.ostype], [200, '1.51', 'linux']);
    assert.match((await call('GET', '/version')).json.Version, /dockgate-standin/);
    assert.equal((await call('GET', '/v1.44/info')).json.ServerVersion, 'dockgate-standin');
    assert.match((await call('GET', '/v1.52/info')).json.message, /too new\. Maximum supported API version is 1\.51/);
    assert.match((await call('GET', '/v1.23/info')).json.message, /too old/);
  });

  const missing: [string, string, number, RegExp][] = [
    ['GET', '/containers/nope/json', 404, /No such container: nope/],
    ['POST', '/containers/nope/start', 404, /No such container/],
    ['GET', '/images/nginx/json', 404, /No such image: nginx/],
    ['POST', '/images/create?fromImage=nginx&tag=latest', 404, /reaches no registry, it has only alpine/],
    ['GET', '/networks/nope', 404, /network nope not found/],
    ['POST', '/build', 501, /stand-in engine cannot build/],
    ['GET', '/nonsense', 501, /a real Docker Engine is needed/],
  ];
  for (const [method, path, status, message] of missing) {
    it(`the stand-in engine answers ${status} to ${method} ${path}`, async () => {
      const answer = await call(method, path);
      assert.equal(answer.status, status);
      assert.match(answer.json.message, message);
    });
  }

  const commands: [string[], string, string, number][] = [
    [['echo', 'a', 'b'], 'a b\n', '', 0],
    [['echo', '-n', 'a'], 'a', '', 0],
    [['true'], '', '', 0],
    [['/bin/false'], '', '', 1],
    [['hostname'], 'box\n', '', 0],
    [['id'], 'uid=0(root) gid=0(root) groups=0(root)\n', '', 0],
    [['printenv', 'FOO'], 'bar\n', '', 0],
    [['ls', '/etc'], 'hostname\nhosts\nos-release\n', '', 0],
    [['ls', '/srv'], '', 'ls: /srv: No such file or directory\n', 1],
    [['cat'], '', '', 0],
    [['cat', '/etc/hostname'], 'box\n', '', 0],
    [['cat', '/etc/shadow'], '', "cat: can't open '/etc/shadow': No such file or directory\n", 1],
    [['sh', '-c', 'echo a; echo b >&2; exit 3; echo c'], 'a\n', 'b\n', 3],
    [['sh', '-c', 'true && echo yes || echo no; false && echo yes || echo no'], 'yes\nno\n', '', 0],
    [['sh', '-c', `echo "$FOO x" '$FOO' \${FOO}y "a\\"b"`], 'bar x $FOO bary a"b\n', '', 0],
    [['sh', '-c', 'sleep 0.01; nope'], '', 'sh: nope: not found\n', 127],
    [['sh', '-c', 'echo a | cat'], '', "sh: the stand-in's shell has no |\n", 2],
    [['sh', '-c', 'echo "open'], '', `sh: the stand-in's shell has no "\n`, 2],
  ];
  for (const [cmd, stdout, stderr, code] of commands) {
    it(`runs ${JSON.stringify(cmd)}`, async () => {
      assert.deepEqual(await run(cmd, { Hostname: 'box', Env: ['FOO=bar'] }), { stdout, stderr, code });
    });
  }

  it('touches nothing of the machine', async () => {
    const file = join(dir, 'kept');
    writeFileSync(file, 'secret');
    assert.equal((await run(['cat', file])).code, 1);
    assert.equal((await run(['printenv', 'HOME'])).stdout, '/root\n');
  });

  it('serves `run`: attach, then wait whose head is there at once, then start; and all output after the caller ended its side', async () => {
    const id = await create({ Cmd: ['sh', '-c', 'sleep 0.05; echo out; echo err >&2; exit 7'] });
    const attached = hijack(`/v1.51/containers/${id}/attach?stream=1&stdout=1&stderr=1`, '', []);
    let isHeadThere: () => void = () => {};
    const head = new Promise<void>((resolve) => {
      isHeadThere = resolve;
    });
    const waited = call('POST', `/containers/${id}/wait?condition=next-exit`, undefined, () => isHeadThere());
    await head;
    assert.equal((await call('POST', `/containers/${id}/start`)).status, 204);
    assert.equal((await call('POST', `/containers/${id}/start`)).status, 304);
    const { status, head: answer, bytes } = await attached;
    assert.equal(status, '101');
    assert.match(answer, /application\/vnd\.docker\.multiplexed-stream/);
    assert.deepEqual(demultiplex(bytes), { stdout: 'out\n', stderr: 'err\n' });
    assert.equal((await waited).json.StatusCode, 7);
  });

  it('the stand-in engine takes input until the caller ends it, in an attach and in an exec, its body in one piece or two', async () => {
    const id = await create({ Cmd: ['cat'], OpenStdin: true, AttachStdin: true }, 'reader');
    const attached = hijack(`/containers/${id}/attach?stream=1&stdin=1&stdout=1`, '', ['one\n', 'two\n']);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await call('POST', `/containers/${id}/start`);
    assert.equal(demultiplex((await attached).bytes).stdout, 'one\ntwo\n');
    const keeper = await create({ Cmd: ['sleep', '60'] });
    await call('POST', `/containers/${keeper}/start`);
    for (const split of [0, 5]) {
      const exec = await call('POST', `/containers/${keeper}/exec`, {
        Cmd: ['cat'],
        AttachStdin: true,
        AttachStdout: true,
      });
      assert.equal(exec.status, 201);
      const { status, bytes } = await hijack(
        `/exec/${exec.json.Id}/start`,
        '{"Detach":false,"Tty":false}',
        ['x\n'],
        split,
      );
      assert.equal(status, '101');
      assert.equal(demultiplex(bytes).stdout, 'x\n');
      assert.equal((await call('GET', `/exec/${exec.json.Id}/json`)).json.ExitCode, 0);
    }
    assert.equal((await call('DELETE', `/containers/${keeper}`)).status, 409);
    assert.equal((await call('DELETE', `/containers/${keeper}?force=1`)).status, 204);
  });

  it('the stand-in engine is a terminal where one is asked for: echo, prompt, CR LF, Ctrl-D', async () => {
    const id = await create({ Cmd: ['sh'], Tty: true, OpenStdin: true });
    await call('POST', `/containers/${id}/start`);
    const { head, bytes } = await hijack(`/containers/${id}/attach?stream=1&stdin=1&stdout=1&logs=1`, '', [
      'echx\x7fo hi\r',
      '\x04',
    ]);
    assert.match(head, /application\/vnd\.docker\.raw-stream/);
    assert.equal(bytes.toString(), '/ # echx\b \bo hi\r\nhi\r\n/ # ');
  });

  it('the stand-in engine answers an unknown program as the engine does: 400 at start, 127 in an exec', async () => {
    const id = await create({ Cmd: ['nope'] });
    const start = await call('POST', `/containers/${id}/start`);
    assert.equal(start.status, 400);
    assert.match(start.json.message, /exec: "nope": executable file not found in \$PATH/);
    const keeper = await create({ Cmd: ['sleep', '60'], HostConfig: { AutoRemove: true } });
    await call('POST', `/containers/${keeper}/start`);
    const { json } = await call('POST', `/containers/${keeper}/exec`, { Cmd: ['nope'], AttachStdout: true });
    const { bytes } = await hijack(`/exec/${json.Id}/start`, '{}', []);
    assert.match(demultiplex(bytes).stdout, /OCI runtime exec failed.*"nope"/);
    assert.equal((await call('GET', `/exec/${json.Id}/json`)).json.ExitCode, 127);
    assert.equal((await call('POST', `/containers/${keeper}/kill?signal=NONSENSE`)).status, 400);
    assert.equal((await call('POST', `/containers/${keeper}/stop`)).status, 204);
    assert.equal((await call('GET', `/containers/${keeper}/json`)).status, 404, 'removed by itself');
  });

  it('lists with filters, and inspects what was asked for', async () => {
    const id = await create({ Labels: { team: 'red' }, HostConfig: { Privileged: true }, Cmd: ['true'] }, 'labelled');
    const list = async (filters: unknown, all = 1) =>
      (await call('GET', `/containers/json?all=${all}&filters=${encodeURIComponent(JSON.stringify(filters))}`))
        .json as { Id: string }[];
    assert.deepEqual(
      (await list({ label: ['team=red'] })).map((row) => row.Id),
      [id],
    );
    assert.deepEqual(
      (await list({ label: { 'team=red': true } })).map((row) => row.Id),
      [id],
    );
    assert.deepEqual(await list({ label: ['team=blue'] }), []);
    assert.deepEqual(await list({ name: ['labelled'] }, 0), []);
    const { json } = await call('GET', '/containers/labelled/json');
    assert.deepEqual([json.Id, json.State.Status, json.HostConfig.Privileged], [id, 'created', true]);
    assert.equal((await call('POST', '/containers/create?name=labelled', { Image: 'alpine' })).status, 409);
    assert.equal((await call('POST', '/containers/create?name=other', { Image: 'nginx' })).status, 404);
  });

  it('the stand-in engine follows logs and tells of events until the caller goes away', async () => {
    const id = await create({ Cmd: ['sh', '-c', 'echo 1; sleep 0.05; echo 2'] });
    const events = new Promise<string>((resolve) => {
      const outgoing = request({ socketPath, path: '/events', agent: false }, (incoming) => {
        let text = '';
        incoming.on('error', () => {});
        incoming.on('data', (chunk) => {
          text += chunk;
          if (!text.includes('"die"')) return;
          outgoing.destroy();
          resolve(text);
        });
      });
      outgoing.on('error', () => {}).end();
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    await call('POST', `/containers/${id}/start`);
    const logs = await call('GET', `/containers/${id}/logs?stdout=1&follow=1`);
    assert.match(logs.text, /1\n.*2\n/s);
    assert.match(await events, /"Action":"start"/);
    assert.match((await call('GET', `/containers/${id}/logs?stdout=1&tail=1`)).text, /^[^1]{8}2\n$/s);
  });

  it('the stand-in engine refuses a body that is no JSON, also on an upgraded call, and goes on', async () => {
    const { status, head } = await hijack('/exec/x/start', '{', []);
    assert.equal(status, '400', head);
    assert.equal((await call('GET', '/_ping')).text, 'OK');
  });
});

describe('startStandin()', () => {
  it('startStandin() makes a socket for its owner alone, takes over a dead one, and not a live one', async () => {
    assert.equal((statSync(socketPath).mode & 0o777).toString(8), '600');
    await assert.rejects(startStandin(socketPath), { code: 'conflict' });
    await assert.rejects(startStandin(`/tmp/${'x'.repeat(110)}`), { code: 'config-invalid' });
    const path = join(dir, 'dead.sock');
    writeFileSync(path, '');
    await assert.rejects(startStandin(path), { code: 'conflict' }, 'a file that is no socket');
    rmSync(path);
    // A renamed socket is left behind when its server closes: as after kill -9.
    const server = createServer().listen(`${path}.live`);
    await once(server, 'listening');
    renameSync(`${path}.live`, path);
    await new Promise((resolve) => server.close(resolve));
    assert.ok(existsSync(path));
    const other = await startStandin(path);
    await other.close();
    assert.ok(!existsSync(path));
  });

  it('startStandin() lets a test answer in its place', async () => {
    const path = join(dir, 'faulty.sock');
    const other = await startStandin(path, {
      intercept: (incoming) => incoming.url === '/info' && Boolean(incoming.socket.destroy()),
    });
    try {
      await assert.rejects(
        new Promise((resolve, reject) => {
          request({ socketPath: path, path: '/info', agent: false }, resolve).on('error', reject).end();
        }),
      );
    } finally {
      await other.close();
    }
  });
});

const onPath = spawnSync('sh', ['-c', 'command -v docker']).stdout?.toString().trim() ?? '';
const cli = process.env.DOCKGATE_TEST_DOCKER_CLI || onPath;
if (cli === '')
  console.log('SKIPPED: no docker CLI on PATH and no DOCKGATE_TEST_DOCKER_CLI; the stand-in was not driven by it');

describe('the docker CLI on the stand-in engine', { skip: cli === '' ? 'no docker CLI' : false }, () => {
  /** Runs the CLI with `input` as its standard input. */
  const docker = (args: string[], input = ''): Promise<{ code: number | null; stdout: string; stderr: string }> =>
    new Promise((resolve) => {
      const env = { PATH: process.env.PATH ?? '', DOCKER_HOST: `unix://${socketPath}`, DOCKER_CONFIG: dir };
      const child = spawn(cli, args, { env });
      let [stdout, stderr] = ['', ''];
      const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
      child.stdout.on('data', (chunk) => {
        stdout += chunk;
      });
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      child.on('close', (code) => {
        clearTimeout(timer);
        resolve({ code, stdout, stderr });
      });
      child.stdin.end(input);
    });

  const rows: [string, string[], string, number, RegExp][] = [
    ['version', ['version'], '', 0, /dockgate-standin/],
    ['info', ['info'], '', 0, /Server Version: dockgate-standin/],
    ['images', ['images'], '', 0, /busybox\s+latest/],
    ['run', ['run', '--rm', 'alpine', 'echo', 'hello'], '', 0, /^hello\n$/],
    ['run with an exit code', ['run', '--rm', 'alpine', 'sh', '-c', 'exit 9'], '', 9, /^$/],
    ['run -i', ['run', '--rm', '-i', 'busybox', 'cat'], 'fed\n', 0, /^fed\n$/],
    ['run -t', ['run', '--rm', '-t', 'alpine', 'echo', 'tty'], '', 0, /^tty\r\n$/],
    ['run of an unknown program', ['run', '--rm', 'alpine', 'nope'], '', 127, /executable file not found/],
    ['run of an unknown image', ['run', 'nginx'], '', 125, /reaches no registry/],
    ['pull', ['pull', 'alpine'], '', 0, /up to date for alpine:latest/],
    [
      'run -d',
      ['run', '-d', '--name', 'bg', 'alpine', 'sh', '-c', 'echo started; sleep 60'],
      '',
      0,
      /^[0-9a-f]{64}\n$/,
    ],
    ['ps', ['ps'], '', 0, /Up .*bg/],
    ['logs', ['logs', 'bg'], '', 0, /^started\n$/],
    ['exec', ['exec', 'bg', 'hostname'], '', 0, /^[0-9a-f]{12}\n$/],
    ['exec -i', ['exec', '-i', 'bg', 'cat'], 'fed\n', 0, /^fed\n$/],
    ['exec of an unknown program', ['exec', 'bg', 'nope'], '', 127, /executable file not found/],
    ['inspect', ['inspect', '-f', '{{.State.Status}}', 'bg'], '', 0, /^running\n$/],
    ['stop', ['stop', 'bg'], '', 0, /bg/],
    ['wait', ['wait', 'bg'], '', 0, /^143\n$/],
    ['start', ['start', 'bg'], '', 0, /bg/],
    ['rm -f', ['rm', '-f', 'bg'], '', 0, /bg/],
    ['inspect of nothing', ['inspect', 'bg'], '', 1, /[Nn]o such object: bg/],
  ];
  it('runs the everyday commands', async () => {
    for (const [name, args, input, code, output] of rows) {
      const result = await docker(args, input);
      assert.equal(result.code, code, `${name}: ${result.stdout}${result.stderr}`);
      assert.match(result.stdout + (code === 0 ? '' : result.stderr), output, name);
    }
  });
});
