// The real docker CLI against a real engine through dockgate: over HTTPS with a token, and over an identity-bound socket.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-cli-${IS_DENO ? 'deno' : 'node'}`;
const RUN = ['run', '--rm', '--network', 'none'];

describe('the docker CLI through dockgate', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  const environments: Record<string, NodeJS.ProcessEnv> = {};

  before(async () => {
    gateway = await startGateway({
      engine: ENGINE as string,
      unix: [{ name: 'ci', identity: 'ci' }],
      settings: { plugins: [{ use: 'no-privileged' }] },
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    await gateway.must('identity', 'create', 'ci', '--policy', 'baseline', '--tenant', 'acme');
    environments.https = gateway.dockerEnv(await gateway.must('token', 'create', 'ci'));
    environments.unix = { PATH: process.env.PATH, HOME: gateway.dir, DOCKER_HOST: `unix://${gateway.dir}/ci.sock` };
    environments.operator = gateway.dockerEnv(await gateway.must('token', 'create', 'op'));
  });
  after(async () => {
    removeContainers(PREFIX);
    await gateway?.remove();
  });

  for (const channel of ['https', 'unix'] as const) {
    describe(`over ${channel}`, () => {
      const name = (what: string) => `${PREFIX}-${channel}-${what}`;
      const cli = (args: readonly string[], input?: string | Buffer): Promise<Ran> =>
        docker(environments[channel] as NodeJS.ProcessEnv, args, input);
      const ok = async (args: readonly string[], input?: string | Buffer): Promise<string> => {
        const ran = await cli(args, input);
        assert.equal(ran.code, 0, `docker ${args.join(' ')}: ${ran.stderr}`);
        return ran.stdout;
      };

      it('version, info and ps answer', async () => {
        assert.match(await ok(['version']), /Server:/);
        assert.match(await ok(['info']), /Server Version/);
        assert.match(await ok(['ps', '-a']), /CONTAINER ID/);
      });

      it('run prints what the container prints', async () => {
        assert.equal(
          await ok([...RUN, '--name', name('run'), IMAGE, 'echo', 'hello from inside']),
          'hello from inside\n',
        );
      });

      it('run hands on the exit code and standard error', async () => {
        const ran = await cli([...RUN, IMAGE, 'sh', '-c', 'echo out; echo err >&2; exit 7']);
        assert.deepEqual(ran, { code: 7, stdout: 'out\n', stderr: 'err\n' });
      });

      it('run -i delivers output that comes after standard input was closed', async () => {
        const out = await ok([...RUN, '-i', IMAGE, 'sh', '-c', 'cat; sleep 1; echo after'], 'from stdin\n');
        assert.equal(out, 'from stdin\nafter\n');
      });

      it('exec -i carries 3 MB each way', async () => {
        await ok(['run', '-d', '--network', 'none', '--name', name('exec'), IMAGE, 'sleep', '300']);
        const data = randomBytes(1024 * 1024)
          .toString('hex')
          .concat('x'.repeat(1024 * 1024));
        const out = await ok(['exec', '-i', name('exec'), 'cat'], data);
        assert.ok(out === data, `${out.length} of ${data.length} bytes came back`);
        assert.equal(await ok(['exec', name('exec'), 'echo', 'plain']), 'plain\n');
        assert.equal((await cli(['exec', '-d', name('exec'), 'true'])).code, 0);
      });

      it('logs -f follows to the end of the container', async () => {
        await ok([
          'run',
          '-d',
          '--network',
          'none',
          '--name',
          name('logs'),
          IMAGE,
          'sh',
          '-c',
          'echo one; sleep 1; echo two',
        ]);
        assert.equal(await ok(['logs', '-f', name('logs')]), 'one\ntwo\n');
      });

      it('cp copies in and out', async () => {
        const folder = join(gateway.dir, `cp-${channel}`);
        mkdirSync(folder);
        writeFileSync(join(folder, 'in.txt'), 'carried\n');
        const asOperator = (args: string[]) => docker(environments.operator as NodeJS.ProcessEnv, args);
        // Archives pass through unread, so `baseline` does not hold them: this is the operator's part.
        assert.equal((await asOperator(['cp', join(folder, 'in.txt'), `${name('exec')}:/tmp/in.txt`])).code, 0);
        assert.equal((await asOperator(['cp', `${name('exec')}:/tmp/in.txt`, join(folder, 'out.txt')])).code, 0);
        assert.equal(readFileSync(join(folder, 'out.txt'), 'utf8'), 'carried\n');
        const missing = await asOperator(['cp', `${name('exec')}:/tmp/absent`, join(folder, 'absent')]);
        assert.notEqual(missing.code, 0);
        assert.ok(!existsSync(join(folder, 'absent')));
      });

      it('events and stats stream', async () => {
        const since = Math.floor(Date.now() / 1000) - 60;
        const operator = environments.operator as NodeJS.ProcessEnv;
        const events = await docker(operator, ['events', '--since', String(since), '--until', String(since + 61)]);
        assert.equal(events.code, 0, events.stderr);
        assert.match(events.stdout, /container (create|start)/);
        assert.match(await ok(['stats', '--no-stream', name('exec')]), new RegExp(name('exec')));
      });

      it('the pull of an absent image shows the engine’s own error', async () => {
        const ran = await docker(environments.operator as NodeJS.ProcessEnv, ['pull', '127.0.0.1:1/absent:none']);
        assert.notEqual(ran.code, 0);
        assert.match(ran.stderr, /connection refused|dial tcp/);
        const run = await cli(['inspect', 'no-such-thing-anywhere']);
        assert.match(run.stderr, /No such object|no such object/i);
      });

      it('stop and rm end it', async () => {
        await ok(['stop', '-t', '0', name('exec')]);
        await ok(['rm', '-v', name('exec'), name('logs')]);
        assert.equal(dockerDirect('ps', '-aq', '--filter', `name=${name('')}`).trim(), '');
      });

      for (const [title, flag, field] of [
        ['--privileged', ['--privileged'], 'HostConfig.Privileged'],
        ['-v /:/host', ['-v', '/:/host'], 'HostConfig.Binds[0]'],
        ['--pid host', ['--pid', 'host'], 'HostConfig.PidMode'],
        [
          '--mount of the docker socket',
          ['--mount', 'type=bind,src=/var/run/docker.sock,dst=/s'],
          'HostConfig.Mounts[0]',
        ],
        ['--cap-add SYS_ADMIN', ['--cap-add', 'SYS_ADMIN'], 'HostConfig.CapAdd'],
      ] as const) {
        it(`run ${title} is denied with the field and an audit id`, async () => {
          const ran = await cli([...RUN, '--name', name('denied'), ...flag, IMAGE, 'true']);
          assert.notEqual(ran.code, 0);
          assert.match(ran.stderr, /denied by (policy|plugin)/);
          assert.ok(ran.stderr.includes(field), ran.stderr);
          const id = /\[audit ([0-9a-f-]{36})\]/.exec(ran.stderr)?.[1];
          assert.ok(id !== undefined, ran.stderr);
          const rows = JSON.parse(await gateway.must('audit', 'show', id, '--json')) as
            | Record<string, unknown>[]
            | { events: Record<string, unknown>[] };
          const list = Array.isArray(rows) ? rows : rows.events;
          assert.deepEqual(
            list.map((r) => [r.subject, r.action, r.decision]),
            [['ci', 'container.create', 'deny']],
          );
          assert.equal(dockerDirect('ps', '-aq', '--filter', `name=${name('denied')}`).trim(), '');
        });
      }
    });
  }

  it('run -it works under a pty', async () => {
    const command = `docker run --rm -it --network none ${IMAGE} sh -c 'tty; stty size; read x; echo got $x'`;
    const script = `stty rows 33 cols 97; ${command.replace('docker', process.env.DOCKGATE_TEST_DOCKER_CLI ?? 'docker')}`;
    const env = { ...environments.https, SHELL: '/bin/sh' } as NodeJS.ProcessEnv;
    const { run } = await import('../support/gateway.ts');
    const ran = await run(
      'sh',
      ['-c', `(sleep 3; echo typed; sleep 1) | script -qec "${script.replaceAll('$', '\\$')}" /dev/null`],
      { env },
    );
    assert.match(ran.stdout, /\/dev\/pts\/\d+|\/dev\/console/);
    assert.match(ran.stdout, /got typed/);
  });

  it('a caller without a token, and one whose token was revoked, are told so', async () => {
    const env = gateway.dockerEnv('nonsense');
    const wrong = await docker(env, ['ps']);
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.stderr, /token/);
    const token = await gateway.must('token', 'create', 'ci');
    const works = gateway.dockerEnv(token);
    assert.equal((await docker(works, ['ps'])).code, 0);
    const id = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()).jti as string;
    await gateway.must('token', 'revoke', id);
    const revoked = await docker(works, ['ps']);
    assert.notEqual(revoked.code, 0);
    assert.match(revoked.stderr, /revoked/);
  });
});
