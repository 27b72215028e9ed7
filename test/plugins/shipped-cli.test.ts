// Shipped plugins as a person at the docker CLI meets them, before a real engine: what passes, what is refused and how it reads,
// and what the audit keeps of it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';

const P = `dg-ship-${IS_DENO ? 'd' : 'n'}-`;

describe('shipped plugins at the docker CLI', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let env: NodeJS.ProcessEnv = {};
  before(async () => {
    gateway = await startGateway({
      engine: ENGINE as string,
      settings: {
        plugins: [
          { use: 'image-sources', config: { allow: ['busybox'] } },
          { use: 'resource-limits', config: { memory: { default: '64m', max: '128m' }, pids: { max: 100 } } },
          { use: 'label-policy', config: { required: { owner: '[a-z]+' } } },
          { use: 'exec-guard', config: { commands: [['echo', '...']] } },
        ],
      },
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    env = gateway.dockerEnv(await gateway.must('token', 'create', 'op'));
  });
  after(async () => {
    removeContainers(P);
    await gateway?.remove();
  });

  const run = (name: string, image: string, ...flags: string[]): Promise<Ran> =>
    docker(env, ['run', '-d', '--network', 'none', '--name', `${P}${name}`, ...flags, image, 'sleep', '300']);
  /** The denial as it reads, and that the audit has it under the id the caller was told. */
  async function refused(ran: Ran, words: RegExp): Promise<void> {
    assert.notEqual(ran.code, 0, ran.stdout);
    assert.match(ran.stderr, words);
    const [, id] = /\[audit ([0-9a-f-]{36})\]/.exec(ran.stderr) ?? [];
    assert.ok(id, ran.stderr);
    const shown = await gateway.must('audit', 'show', id);
    assert.match(shown, /plugin-denied/);
  }

  it('a container within all of them runs, with the limits filled in', async () => {
    const ran = await run('ok', IMAGE, '--label', 'owner=red');
    assert.equal(ran.code, 0, ran.stderr);
    const format = '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}';
    const { stdout } = await docker(env, ['inspect', '--format', format, `${P}ok`]);
    assert.equal(stdout.trim(), '67108864 100');
    const exec = await docker(env, ['exec', `${P}ok`, 'echo', 'hello']);
    assert.equal(exec.stdout, 'hello\n', exec.stderr);
  });
  it('image-sources refuses another image', async () =>
    refused(
      await run('image', 'alpine:3', '--label', 'owner=red'),
      /denied by plugin image-sources: .*"docker\.io\/library\/alpine:3" \(allowed: busybox\)/,
    ));
  it('resource-limits refuses more than its ceiling', async () =>
    refused(
      await run('memory', IMAGE, '--label', 'owner=red', '--memory', '129m'),
      /denied by plugin resource-limits: HostConfig\.Memory is 135266304 \(at most 134217728, which is 128m\)/,
    ));
  it('label-policy refuses a container without its label', async () =>
    refused(
      await run('label', IMAGE),
      /denied by plugin label-policy: Labels must have "owner": add --label owner=VALUE/,
    ));
  it('exec-guard refuses a shell in the container that runs', async () =>
    refused(
      await docker(env, ['exec', `${P}ok`, 'sh', '-c', 'id']),
      /denied by plugin exec-guard: Cmd is "sh -c id" \(allowed: echo \.\.\.\)/,
    ));
});
