// Unix sockets bound to an identity, made and removed while the gateway runs: their file, their life, their refusals.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { admin, auditOf, until } from '../support/admin.ts';
import { CLI_PLUGINS, DOCKER_CLI, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-sock-${IS_DENO ? 'deno' : 'node'}`;
/** A group of this machine that is not the process's own, and that it may give files to. */
const OTHER_GROUP =
  process.getuid?.() === 0
    ? readFileSync('/etc/group', 'utf8')
        .split('\n')
        .map((line) => line.split(':'))
        .find(([, , gid]) => gid !== undefined && Number(gid) > 0 && Number(gid) !== process.getgid?.())
    : undefined;

describe('sockets bound to an identity', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let folder: string;
  before(async () => {
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'config', identity: 'ci' }] });
    folder = join(gateway.dir, 'run');
    mkdirSync(folder, { mode: 0o755 });
    for (const name of ['ci', 'bob']) {
      await admin(gateway, 'POST', '/identities', { name, tenant: 'acme', policies: ['baseline'] });
    }
  });
  after(async () => {
    removeContainers(PREFIX);
    await gateway?.remove();
  });

  const at = (name: string) => join(folder, `${name}.sock`);
  const add = (path: string, more: object = {}) =>
    admin(gateway, 'POST', '/sockets', { path, identity: 'ci', ...more });
  const remove = (path: string) => admin(gateway, 'DELETE', `/sockets?path=${encodeURIComponent(path)}`);
  const cli = (path: string, args: readonly string[], input?: string): Promise<Ran> =>
    docker({ PATH: process.env.PATH, HOME: folder, DOCKER_HOST: `unix://${path}` }, args, input);
  const statusAt = (path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      http
        .get({ socketPath: path, path: '/info', host: 'x', agent: false }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        })
        .on('error', reject);
    });

  it('socket add, list and remove: the docker CLI is the identity, and the file is there and gone', async () => {
    const path = at('life');
    const said = await gateway.must('socket', 'add', '--identity', 'ci', '--path', path, '--mode', '0660');
    assert.equal(said, `export DOCKER_HOST=unix://${path}`);
    assert.equal(statSync(path).mode & 0o777, 0o660);
    const ran = await cli(
      path,
      ['run', '--rm', '-i', '--network', 'none', '--name', `${PREFIX}-run`, IMAGE, 'cat'],
      'hi\n',
    );
    assert.deepEqual([ran.stdout, ran.stderr], ['hi\n', '']);
    const created = (await auditOf(gateway, 'ci')).find((row) => row.action === 'container.create');
    assert.equal(created?.detail?.listener, `unix:${path}`);
    assert.match(await gateway.must('socket', 'list'), new RegExp(`${path} +ci +0660 +- +listening`));
    await gateway.must('socket', 'remove', path);
    assert.equal(existsSync(path), false);
    assert.equal(JSON.parse(await gateway.must('socket', 'list', '--json')).length, 0);
    await assert.rejects(statusAt(path));
  });

  it('every mode is what was asked for, and at no moment more', async () => {
    const seen = new Set<string>();
    let watching = true;
    const path = at('mode');
    const watch = (async () => {
      while (watching) {
        for (let i = 0; i < 20; i++) {
          const stat = statSync(path, { throwIfNoEntry: false });
          if (stat !== undefined) seen.add((stat.mode & 0o777).toString(8));
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    for (const mode of ['0600', '0620', '0640']) {
      await add(path, { mode });
      assert.equal(statSync(path).mode & 0o777, Number.parseInt(mode, 8));
      await remove(path);
    }
    watching = false;
    await watch;
    // The owner's rights alone, or one of those asked for: nothing for others, ever.
    for (const mode of seen) assert.ok(['600', '620', '640'].includes(mode), mode);
  });

  it('the group is that asked for, by name and by number', {
    skip: OTHER_GROUP === undefined ? 'only root may give files to any group' : false,
  }, async () => {
    const [name = '', , gid = ''] = OTHER_GROUP ?? [];
    for (const group of [name, gid]) {
      await add(at('group'), { mode: '0660', group });
      const { gid: given, mode } = statSync(at('group'));
      assert.deepEqual([given, mode & 0o777], [Number(gid), 0o660]);
      await remove(at('group'));
    }
  });

  it('buildx, which can send no header, is known on it', {
    skip: CLI_PLUGINS === undefined ? 'no buildx here' : false,
  }, async () => {
    mkdirSync(join(folder, '.docker'));
    symlinkSync(CLI_PLUGINS as string, join(folder, '.docker', 'cli-plugins'));
    writeFileSync(join(folder, 'Dockerfile'), `FROM ${IMAGE}\n`);
    await add(at('buildx'));
    try {
      const ran = await cli(at('buildx'), ['build', '-q', folder]);
      assert.equal(ran.code, 0, ran.stderr);
      const rows = await auditOf(gateway, 'ci');
      assert.ok(rows.some((row) => row.action.startsWith('build.') && row.decision === 'allow'));
    } finally {
      await remove(at('buildx'));
    }
  });

  it('a bound socket is there again after a restart, also after kill -9', async () => {
    await add(at('again'), { mode: '0660' });
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await gateway.stop(signal);
      assert.equal(existsSync(at('again')), signal === 'SIGKILL');
      await gateway.restart();
      assert.equal(await statusAt(at('again')), 200);
      assert.equal(statSync(at('again')).mode & 0o777, 0o660);
    }
    await remove(at('again'));
  });

  it('a bound socket that cannot be opened again is told and does not keep the gateway from starting', async () => {
    await add(at('blocked'));
    await add(at('fine'));
    await gateway.stop();
    writeFileSync(at('blocked'), 'mine');
    await gateway.restart();
    assert.equal(await statusAt(at('fine')), 200);
    assert.equal(readFileSync(at('blocked'), 'utf8'), 'mine');
    assert.match(await gateway.must('socket', 'list'), /failed: cannot listen on .*a file that is not a socket/);
    await remove(at('blocked'));
    assert.equal(readFileSync(at('blocked'), 'utf8'), 'mine');
    await remove(at('fine'));
    rmSync(at('blocked'));
  });

  it('a disabled identity is refused at its next request, and a deleted one loses its sockets', async () => {
    await add(at('bob'), { identity: 'bob' });
    assert.equal(await statusAt(at('bob')), 200);
    await admin(gateway, 'POST', '/identities/bob/disable', {});
    assert.equal(await statusAt(at('bob')), 401);
    await admin(gateway, 'POST', '/identities/bob/enable', {});
    assert.equal(await statusAt(at('bob')), 200);
    await admin(gateway, 'DELETE', '/identities/bob');
    await until('the socket is gone', () => !existsSync(at('bob')));
    const { sockets } = await admin<{ sockets: unknown[] }>(gateway, 'GET', '/sockets');
    assert.deepEqual(sockets, []);
  });

  it('removing one ends what is open on it', async () => {
    const name = `${PREFIX}-stream`;
    await add(at('stream'));
    assert.equal(
      (await cli(at('stream'), ['run', '-d', '--network', 'none', '--name', name, IMAGE, 'sleep', '300'])).code,
      0,
    );
    const child = spawn(DOCKER_CLI as string, ['logs', '-f', name], {
      env: { PATH: process.env.PATH, HOME: folder, DOCKER_HOST: `unix://${at('stream')}` },
      stdio: 'ignore',
    });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    await until('the stream opens', async () =>
      (await auditOf(gateway, 'ci')).some((row) => row.action === 'container.logs' && row.stage === 'stream-open'),
    );
    await remove(at('stream'));
    await ended;
  });

  describe('is refused, with nothing changed, when', () => {
    const refused = async (path: string, said: RegExp, more: object = {}): Promise<void> => {
      await assert.rejects(add(path, more), said);
      const { sockets } = await admin<{ sockets: unknown[] }>(gateway, 'GET', '/sockets');
      assert.deepEqual(sockets, []);
    };
    it('a file, a folder or a link is in its place', async () => {
      writeFileSync(at('file'), 'mine');
      await refused(at('file'), /422.*not a socket/);
      assert.equal(readFileSync(at('file'), 'utf8'), 'mine');
      mkdirSync(at('folder'));
      await refused(at('folder'), /422.*not a socket/);
      symlinkSync(at('nowhere'), at('link'));
      await refused(at('link'), /422.*not a socket/);
      assert.equal(existsSync(at('nowhere')), false);
    });
    it('another process listens there', async () => {
      const server = net.createServer().listen(at('busy'));
      await new Promise((resolve) => server.once('listening', resolve));
      try {
        await refused(at('busy'), /422.*another process listens/);
      } finally {
        await new Promise((resolve) => server.close(resolve));
      }
    });
    it('the path belongs to the engine, the admin socket or the settings, also by another name', async () => {
      symlinkSync(gateway.dir, join(folder, 'alias'));
      await refused(ENGINE as string, /422.*engine's own socket/);
      await refused(join(gateway.dir, 'data', 'admin.sock'), /422.*admin socket/);
      await refused(join(gateway.dir, 'config.sock'), /422.*settings file/);
      await refused(join(folder, 'alias', 'config.sock'), /422.*settings file/);
    });
    it('others could put another socket there, or there is no folder', async () => {
      const open = join(folder, 'open');
      mkdirSync(open);
      chmodSync(open, 0o777);
      await refused(join(open, 'x.sock'), /422.*others may write/);
      chmodSync(open, 0o775);
      await refused(join(open, 'x.sock'), /422.*others may write/);
      // As in /tmp: who may write there may not take away what is another's.
      chmodSync(open, 0o1777);
      await add(join(open, 'x.sock'));
      await remove(join(open, 'x.sock'));
      await refused(join(folder, 'none', 'x.sock'), /422.*there is no folder/);
    });
    it('identity, group, mode or path are none', async () => {
      await refused(at('x'), /404.*no identity nobody/, { identity: 'nobody' });
      await refused(at('x'), /422.*there is no group/, { group: 'no-such-group-here' });
      assert.equal(existsSync(at('x')), false);
      await refused(at('x'), /422.*octal mode/, { mode: '0777' });
      await refused(at('x'), /422.*octal mode/, { mode: '0460' });
      await refused('relative.sock', /422.*absolute/);
      await refused(`${folder}/../x.sock`, /422.*without \. and \.\./);
      await refused(`/${'x'.repeat(103)}`, /422.*at most 103 bytes/);
    });
    it('it is there already', async () => {
      await add(at('twice'));
      await assert.rejects(add(at('twice')), /409.*already is a socket/);
      assert.equal(await statusAt(at('twice')), 200);
      await remove(at('twice'));
    });
  });
});
