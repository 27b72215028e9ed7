// An engine reached through ssh: a real sshd on the loopback, with keys of its own, and docker over there; what the gateway says
// where the host key, the keys, docker or the engine are missing. Without OpenSSH's programs only the arguments are looked at.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseEngineAddress } from '../../src/config/address.ts';
import { createEngineClient } from '../../src/proxy/engine-client.ts';
import type { EngineAddress } from '../../src/proxy/types.ts';
import { sshArguments, sshTrouble } from '../../src/runtime/ssh.ts';
import { DOCKER_CLI, ENGINE, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, startGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';

const SSHD = '/usr/sbin/sshd';
const SSH = '/usr/bin/ssh';
const skip = existsSync(SSHD) && existsSync(SSH) ? skipWithoutCli : 'no OpenSSH server and client here';
const QUERY = { method: 'GET', target: '/version', headers: [], body: undefined } as const;

/** Starts sshd on a free port of the loopback; `there` is the environment of what it runs. */
async function startSshd(
  folder: string,
  there: Readonly<Record<string, string>>,
): Promise<{ port: number; process: ChildProcess; log(): string }> {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as net.AddressInfo;
  await new Promise((done) => probe.close(done));
  const config = join(folder, `sshd-${port}`);
  const set = Object.entries(there).map(([name, value]) => `${name}=${value}`);
  writeFileSync(
    config,
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${join(folder, 'host')}`,
      `AuthorizedKeysFile ${join(folder, 'user.pub')}`,
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin yes',
      'StrictModes no',
      'PidFile none',
      `SetEnv ${set.join(' ')}`,
      '',
    ].join('\n'),
  );
  const child = spawn(SSHD, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  await until('sshd', () => {
    if (child.exitCode !== null) throw new Error(`sshd ended: ${said}`);
    return said.includes('listening');
  });
  return { port, process: child, log: () => said };
}

describe('an engine through ssh', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-ssh-'));
  const servers: ChildProcess[] = [];
  const oldPath = process.env.PATH;
  const user = userInfo().username;
  let port = 0;
  let log: () => string;
  before(async () => {
    for (const name of ['host', 'user', 'stranger'])
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
    const PATH = `${dirname(DOCKER_CLI as string)}:/usr/bin:/bin`;
    const first = await startSshd(folder, { PATH, DOCKER_HOST: `unix://${ENGINE}` });
    servers.push(first.process);
    ({ port, log } = first);
    // The user's own settings of ssh, as ~/.ssh/config would hold them.
    writeFileSync(join(folder, 'known'), `${known(port)}`);
    settings(join(folder, 'user'));
    const program = join(folder, 'bin');
    mkdirSync(program);
    writeFileSync(join(program, 'ssh'), `#!/bin/sh\nexec ${SSH} -F ${join(folder, 'settings')} "$@"\n`);
    chmodSync(join(program, 'ssh'), 0o755);
    process.env.PATH = `${program}:${oldPath}`;
  });
  after(() => {
    process.env.PATH = oldPath;
    for (const server of servers) server.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  const known = (at: number) => `[127.0.0.1]:${at} ${readFileSync(join(folder, 'host.pub'), 'utf8')}`;
  const settings = (key: string) =>
    writeFileSync(
      join(folder, 'settings'),
      `IdentityFile ${key}\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile ${join(folder, 'known')}\nGlobalKnownHostsFile /dev/null\n`,
    );
  const address = (at: number = port): EngineAddress => ({ kind: 'ssh', host: '127.0.0.1', port: at, user });
  const logins = () => log().split('Accepted publickey').length - 1;
  const refusal = async (at?: number): Promise<string> => {
    const client = createEngineClient(address(at));
    try {
      await client.fetchJson(QUERY);
      return 'it answered';
    } catch (error) {
      return (error as Error).message;
    } finally {
      await client.close();
    }
  };

  it('an engine through ssh answers, one connection after the other being used again, and is closed with the client', async () => {
    const client = createEngineClient(address());
    const before = logins();
    for (let i = 0; i < 3; i++) {
      const answer = await client.fetchJson(QUERY);
      assert.equal(answer.status, 200);
      assert.match(Buffer.from(answer.body).toString(), /"ApiVersion"/);
    }
    assert.equal(logins() - before, 1);
    const many = await Promise.all(Array.from({ length: 12 }, () => client.fetchJson(QUERY)));
    assert.ok(many.every(({ status }) => status === 200));
    await client.close();
    await until(
      'the end of every ssh',
      () => !execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).includes(`-p ${port} --`),
    );
  });

  it('an engine through ssh carries a container whose input is closed, through the whole gateway', async () => {
    let gateway: TestGateway | undefined;
    try {
      gateway = await startGateway({ engine: `ssh://${user}@127.0.0.1:${port}` });
      await gateway.must('identity', 'create', 'op', '--policy', 'operator');
      const env = gateway.dockerEnv(await gateway.must('token', 'create', 'op'));
      const input = 'x'.repeat(3_000_000);
      const ran = await docker(env, ['run', '-i', '--rm', '--network', 'none', IMAGE, 'wc', '-c'], input);
      assert.deepEqual([ran.code, ran.stdout.trim()], [0, '3000000'], ran.stderr);
    } finally {
      await gateway?.remove();
    }
  });

  it('an engine through ssh says in a sentence what is missing', async () => {
    settings(join(folder, 'stranger'));
    assert.match(await refusal(), /ssh is not let in: .* takes none of the keys/);
    settings(join(folder, 'user'));
    writeFileSync(join(folder, 'known'), '');
    assert.match(await refusal(), /does not know the engine's machine by this host key/);
    const bare = await startSshd(folder, { PATH: join(folder, 'nothing'), DOCKER_HOST: `unix://${ENGINE}` });
    const empty = await startSshd(folder, {
      PATH: `${dirname(DOCKER_CLI as string)}:/usr/bin:/bin`,
      DOCKER_HOST: `unix://${folder}/none.sock`,
    });
    servers.push(bare.process, empty.process);
    writeFileSync(join(folder, 'known'), known(port) + known(bare.port) + known(empty.port) + known(1));
    assert.match(await refusal(bare.port), /no docker command/);
    assert.match(await refusal(empty.port), /no engine listens there/);
    assert.match(await refusal(1), /refuses ssh at this port/);
    const path = process.env.PATH;
    process.env.PATH = join(folder, 'nothing');
    assert.match(await refusal(), /no ssh program on the PATH/);
    process.env.PATH = path;
    assert.equal(await refusal(), 'it answered');
  });

  it('an engine through ssh tells an answer that the network cut off from one that is whole', async () => {
    const cut = await startSshd(folder, {
      PATH: `${dirname(DOCKER_CLI as string)}:/usr/bin:/bin`,
      DOCKER_HOST: `unix://${ENGINE}`,
    });
    servers.push(cut.process);
    writeFileSync(join(folder, 'known'), known(port) + known(cut.port));
    const client = createEngineClient(address(cut.port));
    const events = client.fetchJson({ ...QUERY, target: '/events' }, { timeoutMs: 20_000 });
    const ended = assert.rejects(events, /engine/);
    await until('the call', () => cut.log().includes('Accepted publickey'));
    for (const pid of execFileSync('pgrep', ['-f', `^${SSH} .* -p ${cut.port} `], { encoding: 'utf8' }).split('\n'))
      if (pid !== '') process.kill(Number(pid), 'SIGKILL');
    await ended;
    await client.close();
  });
});

it('parseEngineAddress() reads ssh:// as Docker does, and nothing that a shell or ssh would read as more', () => {
  const read = (text: string) => parseEngineAddress(text, (path) => path);
  assert.deepEqual(read('ssh://build'), { kind: 'ssh', host: 'build' });
  assert.deepEqual(read('ssh://me@build_box:2222'), { kind: 'ssh', host: 'build_box', user: 'me', port: 2222 });
  assert.deepEqual(read('ssh://me@[::1]/run/user/1000/docker.sock'), {
    kind: 'ssh',
    host: '::1',
    user: 'me',
    path: '/run/user/1000/docker.sock',
  });
  for (const [text, fault] of [
    ['ssh://', /names no host/],
    ['ssh://me@', /names no host/],
    ['ssh://me:secret@build', /holds a password/],
    ['ssh://-oProxyCommand=x', /neither a host name/],
    ['ssh://-l@build', /not a user name/],
    ['ssh://build:0', /out of range/],
    ['ssh://build:99999', /out of range/],
    ['ssh://build/run/a b.sock', /letters, digits/],
    ['ssh://build/run/$(id).sock', /letters, digits/],
    ['ssh://build/../x', /letters, digits/],
    ['ssh://build?x', /neither a host name/],
  ] as const)
    assert.match(String(read(text)), fault, text);
});

it('sshArguments() never prompts and names the remote socket', () => {
  assert.deepEqual(sshArguments({ kind: 'ssh', host: 'h', user: 'u', port: 22, path: '/run/d.sock' }).slice(-12), [
    ...['-T', '-l', 'u', '-p', '22', '--', 'h'],
    ...['docker', '--host', 'unix:///run/d.sock', 'system', 'dial-stdio'],
  ]);
  assert.equal(sshTrouble('', 127), 'ssh is let in, but there is no docker command on the PATH there');
});
