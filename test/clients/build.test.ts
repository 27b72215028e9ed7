// `docker build` both ways against a real engine: the classic builder under policy, and BuildKit, which is read and judged, or
// passes unread where a rule names build.opaque.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CLI_PLUGINS, dockerDirect, ENGINE, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran, run, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO, ROOT } from '../support/runtime.ts';
import { callerOverAll, clientEnv } from './channels.ts';

const PREFIX = `dg-build-${IS_DENO ? 'deno' : 'node'}`;
const SECRET = 'hunter2-not-for-the-log';
const skipWithoutBuildx =
  skipWithoutCli !== false ? skipWithoutCli : CLI_PLUGINS === undefined ? 'no docker-buildx here' : false;

interface Row {
  readonly action: string;
  readonly decision: string;
  readonly code?: string | null;
  readonly stage: string;
  readonly detail?: Record<string, unknown>;
}

describe('docker build through dockgate', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let context: string;
  let bk: Awaited<ReturnType<typeof callerOverAll>>;
  const env: Record<string, NodeJS.ProcessEnv> = {};
  const build = (who: string, args: readonly string[], more: NodeJS.ProcessEnv): Promise<Ran> =>
    docker({ ...env[who], ...more }, ['build', ...args]);
  const classic = (who: string, ...args: string[]) => build(who, args, { DOCKER_BUILDKIT: '0' });
  const buildKit = (who: string, ...args: string[]) => build(who, args, {});
  const rowsOf = async (...filter: string[]): Promise<Row[]> =>
    JSON.parse(await gateway.must('audit', 'ls', '--rows', '--limit', '500', '--json', ...filter));

  before(async () => {
    const names = ['op', 'base', 'bk'];
    gateway = await startGateway({
      engine: ENGINE as string,
      unix: names.map((name) => ({ name, identity: name })),
    });
    await gateway.must('policy', 'apply', '-f', join(ROOT, 'examples', 'buildkit.yaml'));
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    await gateway.must('identity', 'create', 'base', '--policy', 'baseline');
    await gateway.must('identity', 'create', 'bk', '--policy', 'baseline', '--policy', 'buildkit');
    for (const identity of names) env[identity] = clientEnv(gateway, 'unix', { identity, token: '' });
    bk = await callerOverAll(gateway, 'bk');
    for (const channel of ['mtls', 'bearer', 'connect'] as const) env[channel] = clientEnv(gateway, channel, bk);
    context = join(gateway.dir, 'context');
    mkdirSync(context);
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM ${IMAGE}\nARG SECRET\nCOPY file /file\nRUN cat /file > /built\nCMD ["cat", "/built"]\n`,
    );
    writeFileSync(join(context, 'file'), `content of ${PREFIX}\n`);
  });
  after(async () => {
    const images = dockerDirect('images', '-q', '--filter', `reference=${PREFIX}*`).split('\n').filter(Boolean);
    if (images.length > 0) dockerDirect('rmi', '-f', ...new Set(images));
    await bk?.stop();
    await gateway?.remove();
  });

  describe('the classic builder', () => {
    for (const who of ['base', 'bearer']) {
      it(`builds, tags and streams its context (${who})`, async () => {
        const tag = `${PREFIX}-${who}`;
        const ran = await classic(who, '--network', 'none', '-t', tag, context);
        assert.equal(ran.code, 0, ran.stderr);
        assert.match(ran.stdout, /Successfully tagged/);
        assert.equal(dockerDirect('run', '--rm', '--network', 'none', tag), `content of ${PREFIX}\n`);
      });
    }

    it('the classic builder carries a context of 40 MB', async () => {
      const large = join(gateway.dir, 'large');
      mkdirSync(large);
      writeFileSync(join(large, 'Dockerfile'), `FROM ${IMAGE}\nCOPY big /big\n`);
      writeFileSync(join(large, 'big'), Buffer.alloc(40 * 1024 * 1024, 'x'));
      const ran = await classic('base', '-t', `${PREFIX}-large`, large);
      assert.equal(ran.code, 0, ran.stderr);
      const size = dockerDirect('run', '--rm', '--network', 'none', `${PREFIX}-large`, 'wc', '-c', '/big');
      assert.match(size, /^41943040 /);
    });

    it('the value of a build argument is not in the audit, its name is', async () => {
      const ran = await classic(
        'base',
        '--build-arg',
        `SECRET=${SECRET}`,
        '--network',
        'none',
        '-t',
        `${PREFIX}-arg`,
        context,
      );
      assert.equal(ran.code, 0, ran.stderr);
      const text = JSON.stringify(await rowsOf('--action', 'build.run'));
      assert.ok(!text.includes(SECRET));
      assert.match(text, /SECRET/);
    });

    for (const [title, args, field] of [
      ['--network host', ['--network', 'host'], 'query.networkmode'],
      ['--network container:x', ['--network', 'container:x'], 'query.networkmode'],
      ['--cgroup-parent', ['--cgroup-parent', '/system.slice'], 'query.cgroupparent'],
      ['--security-opt', ['--security-opt', 'seccomp=unconfined'], 'query.securityopt'],
      ['--cache-from another registry', ['--cache-from', 'registry.example.test/x'], 'query.cachefrom'],
    ] as const) {
      it(`${title} is denied under baseline, naming ${field}`, async () => {
        const ran = await classic('base', ...args, '-t', `${PREFIX}-denied`, context);
        assert.notEqual(ran.code, 0);
        assert.ok(ran.stderr.includes(`denied by policy baseline: ${field}`), ran.stderr);
        assert.match(ran.stderr, /\[audit [0-9a-f-]{36}\]/);
        assert.equal(dockerDirect('images', '-q', `${PREFIX}-denied`).trim(), '');
      });
    }

    it('a context the engine would fetch is denied under baseline', async () => {
      // The docker CLI fetches such contexts itself; other clients send the address on.
      const url = 'http://docker/build?version=1&t=x&remote=http%3A%2F%2F127.0.0.1%3A9%2Fcontext.tar';
      const ran = await run('curl', ['-sS', '-X', 'POST', '--unix-socket', `${gateway.dir}/base.sock`, url]);
      assert.match(ran.stdout, /denied by policy baseline: query\.remote makes the engine fetch/);
    });

    it('--add-host, --platform, --label and --shm-size pass', async () => {
      const args = ['--add-host', 'a:127.0.0.1', '--platform', 'linux/amd64', '--label', 'x=y', '--shm-size', '64m'];
      const ran = await classic('base', ...args, '--network', 'none', '-t', `${PREFIX}-options`, context);
      assert.equal(ran.code, 0, ran.stderr);
    });

    it('a build that fails shows the engine’s own error', async () => {
      const broken = join(gateway.dir, 'broken');
      mkdirSync(broken);
      writeFileSync(join(broken, 'Dockerfile'), `FROM ${IMAGE}\nRUN exit 3\n`);
      const ran = await classic('base', '--force-rm', '--network', 'none', broken);
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, /returned a non-zero code: 3/);
    });

    it('builder prune asks the engine itself, under operator', async () => {
      // With a plugin at hand the CLI hands the command to it.
      const plain = { ...env.op, DOCKER_CONFIG: gateway.dir, DOCKER_BUILDKIT: '0' };
      const ran = await docker(plain, ['builder', 'prune', '-f', '--filter', 'until=240h']);
      assert.equal(ran.code, 0, ran.stderr);
      assert.match(ran.stdout, /Total reclaimed space: 0B/);
      assert.deepEqual([...new Set((await rowsOf('--action', 'build.prune')).map((row) => row.decision))], ['allow']);
    });
  });

  describe('BuildKit', { skip: skipWithoutBuildx }, () => {
    for (const who of ['base', 'op']) {
      it(`is read for ${who}, and no builder container is made`, async () => {
        const ran = await buildKit(who, '--network', 'none', '-t', `${PREFIX}-read-${who}`, context);
        assert.equal(ran.code, 0, ran.stderr);
        assert.equal(dockerDirect('ps', '-aq', '--filter', 'name=buildx_buildkit').trim(), '');
        const rows = await rowsOf('--subject', who, '--action', 'build.control');
        assert.ok(rows.length > 0);
        for (const row of rows) assert.equal(row.detail?.unread, undefined);
      });
    }

    it('a builder container of its own is refused with what to do', async () => {
      const create = ['buildx', 'create', '--name', `${PREFIX}-builder`, '--driver', 'docker-container', '--bootstrap'];
      const ran = await docker(env.base as NodeJS.ProcessEnv, create);
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, /docker buildx use default.*DOCKER_BUILDKIT=0.*build\.opaque/);
      assert.equal(dockerDirect('ps', '-aq', '--filter', 'name=buildx_buildkit').trim(), '');
    });

    it('over HTTPS with a header alone buildx, which sends none, hears how to come in', async () => {
      const ran = await buildKit('bearer', '-t', `${PREFIX}-refused`, context);
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, /no credentials were sent/);
      assert.match(ran.stderr, /such as buildx, needs the certificate or a socket/);
    });

    for (const [who, how] of [
      ['bk', 'a bound socket'],
      ['mtls', 'a client certificate'],
      ['connect', 'connect, which presents the token buildx cannot'],
    ] as const) {
      it(`builds with build.opaque over ${how}, and the audit marks every part of it unread`, async () => {
        const ran = await buildKit(
          who,
          '--network',
          'none',
          '--build-arg',
          `SECRET=${SECRET}`,
          '-t',
          `${PREFIX}-bk-${who}`,
          context,
        );
        assert.equal(ran.code, 0, ran.stderr);
        assert.equal(dockerDirect('run', '--rm', '--network', 'none', `${PREFIX}-bk-${who}`), `content of ${PREFIX}\n`);
        for (const action of ['build.control', 'build.session']) {
          const rows = await rowsOf('--subject', 'bk', '--action', action);
          const intents = rows.filter((row) => row.stage === 'intent');
          assert.ok(intents.length > 0, action);
          for (const row of intents) assert.equal(row.detail?.unread, 'build.opaque', JSON.stringify(row));
          assert.ok(!JSON.stringify(rows).includes(SECRET));
        }
      });
    }

    it('builder prune goes to BuildKit, unread with build.opaque and read without it', async () => {
      const prune = ['builder', 'prune', '-f', '--filter', 'until=240h'];
      const ran = await docker(env.bk as NodeJS.ProcessEnv, prune);
      assert.equal(ran.code, 0, ran.stderr);
      assert.match(ran.stdout, /Total:\s+0B/);
      const read = await docker(env.op as NodeJS.ProcessEnv, prune);
      assert.equal(read.code, 0, read.stderr);
      assert.match(read.stdout, /Total:\s+0B/);
    });

    it('a failing build shows its own error', async () => {
      const ran = await buildKit('bk', '--network', 'none', '--no-cache', join(gateway.dir, 'broken'));
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, /exit code: 3/);
    });
  });
});
