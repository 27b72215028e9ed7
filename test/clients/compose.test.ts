// docker compose v2 through the gateway: up, ps, logs, exec, run, stop, down, and what it may not do.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CLI_PLUGINS, dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO, ROOT } from '../support/runtime.ts';
import { CLIENT_CHANNELS, callerOverAll, clientEnv } from './channels.ts';

const PREFIX = `dg-compose-${IS_DENO ? 'deno' : 'node'}`;
const skip = skipWithoutCli !== false ? skipWithoutCli : CLI_PLUGINS === undefined ? 'no docker-compose here' : false;

const FILE = `services:
  web:
    image: ${IMAGE}
    network_mode: none
    init: true
    command: ["sh", "-c", "echo web is up; exec sleep 300"]
    volumes: ["data:/data"]
  host:
    image: ${IMAGE}
    network_mode: none
    command: ["sh", "-c", "echo second is up; exec sleep 300"]
    stop_grace_period: 1s
volumes:
  data: {}
`;

describe('docker compose through dockgate', { skip }, () => {
  let gateway: TestGateway;
  let team: Awaited<ReturnType<typeof callerOverAll>>;

  before(async () => {
    const names = ['team', 'bk'];
    gateway = await startGateway({ engine: ENGINE as string, unix: names.map((name) => ({ name, identity: name })) });
    await gateway.must('policy', 'apply', '-f', join(ROOT, 'examples', 'buildkit.yaml'));
    await gateway.must('identity', 'create', 'team', '--policy', 'compose');
    await gateway.must('identity', 'create', 'bk', '--policy', 'compose', '--policy', 'buildkit');
    team = await callerOverAll(gateway, 'team');
  });
  after(async () => {
    removeContainers(PREFIX);
    await team?.stop();
    await gateway?.remove();
  });

  const projectOf = (name: string, text: string): string => {
    const folder = join(gateway.dir, `project-${name}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'compose.yaml'), text);
    return folder;
  };

  for (const channel of CLIENT_CHANNELS) {
    it(`docker compose through dockgate carries a project from up to down (${channel})`, async () => {
      const env = clientEnv(gateway, channel, team);
      const project = `${PREFIX}-${channel}`;
      const folder = projectOf(channel, FILE);
      const compose = (...args: string[]): Promise<Ran> =>
        docker(env, ['compose', '-p', project, '--project-directory', folder, '--progress', 'plain', ...args]);
      const ok = async (...args: string[]): Promise<string> => {
        const ran = await compose(...args);
        assert.equal(ran.code, 0, `compose ${args.join(' ')}: ${ran.stderr}${ran.stdout}`);
        return ran.stdout;
      };
      await ok('up', '-d');
      assert.match(await ok('ps', '--format', '{{.Name}} {{.State}}'), new RegExp(`${project}-web-1 running`));
      const logs = await ok('logs', '--no-log-prefix');
      assert.match(logs, /web is up/);
      assert.match(logs, /second is up/);
      assert.equal(await ok('exec', '-T', 'web', 'sh', '-c', 'echo inside > /data/x; cat /data/x'), 'inside\n');
      const failed = await compose('exec', '-T', 'web', 'sh', '-c', 'exit 6');
      assert.equal(failed.code, 6);
      await ok('cp', 'web:/data/x', join(folder, 'x'));
      assert.equal(readFileSync(join(folder, 'x'), 'utf8'), 'inside\n');
      // A header is a header: the rest is played with one of the two.
      if (channel !== 'basic') {
        assert.equal(await ok('run', '--rm', '-T', 'web', 'cat', '/data/x'), 'inside\n');
        await ok('top');
        await ok('pause', 'web');
        await ok('unpause', 'web');
        await ok('restart', '-t', '0', 'web');
        await ok('stop', '-t', '0');
      }
      await ok('down', '-v', '-t', '0');
      assert.equal(dockerDirect('ps', '-aq', '--filter', `name=${project}`).trim(), '');
      assert.equal(dockerDirect('volume', 'ls', '-q', '--filter', `name=${project}`).trim(), '');
    });
  }

  it('up in the foreground attaches and ends with its services', async () => {
    const env = clientEnv(gateway, 'bearer', team);
    const folder = projectOf(
      'foreground',
      `services:\n  once:\n    image: ${IMAGE}\n    network_mode: none\n    command: ["sh", "-c", "sleep 1; echo attached output; exit 3"]\n`,
    );
    const at = ['compose', '-p', `${PREFIX}-foreground`, '--project-directory', folder];
    const ran = await docker(env, [...at, 'up', '--exit-code-from', 'once']);
    assert.equal(ran.code, 3, ran.stderr);
    assert.match(ran.stdout, /attached output/);
    assert.equal((await docker(env, [...at, 'down'])).code, 0);
  });

  it('pull is carried to the engine, whose own error comes back', async () => {
    const folder = projectOf('pull', 'services:\n  app:\n    image: 127.0.0.1:1/absent:1\n');
    const at = ['compose', '-p', `${PREFIX}-pull`, '--project-directory', folder, 'pull'];
    const straight = { ...clientEnv(gateway, 'unix', team), DOCKER_HOST: `unix://${ENGINE}` };
    const [through, direct] = await Promise.all([docker(clientEnv(gateway, 'bearer', team), at), docker(straight, at)]);
    const last = (text: string) => text.trim().split('\n').at(-1);
    assert.match(direct.stderr, /connection refused/);
    assert.deepEqual([through.code, last(through.stderr)], [direct.code, last(direct.stderr)]);
  });

  it('a service that reaches the host is denied with field and audit id', async () => {
    const env = clientEnv(gateway, 'bearer', team);
    const folder = projectOf(
      'denied',
      FILE.replace('"data:/data"', '"/:/host"').replace(/volumes:\n {2}data: \{\}\n/, ''),
    );
    const ran = await docker(env, ['compose', '-p', `${PREFIX}-denied`, '--project-directory', folder, 'up', '-d']);
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /denied by policy compose: HostConfig\.(Binds|Mounts)\[0\].*\[audit [0-9a-f-]{36}\]/);
  });

  describe('build', () => {
    const built = (name: string) =>
      `services:\n  app:\n    image: ${PREFIX}-${name}\n    network_mode: none\n    build:\n      network: none\n      dockerfile_inline: |\n        FROM ${IMAGE}\n        RUN echo built > /built\n`;
    const at = (name: string) => [
      ...['compose', '-p', `${PREFIX}-${name}`, '--project-directory', projectOf(name, built(name)), 'build'],
    ];
    after(() => {
      const images = dockerDirect('images', '-q', '--filter', `reference=${PREFIX}*`).split('\n').filter(Boolean);
      if (images.length > 0) dockerDirect('rmi', '-f', ...new Set(images));
    });

    it('goes through BuildKit as it is read, and no builder container is made', async () => {
      const ran = await docker(clientEnv(gateway, 'unix', team), at('read'));
      assert.equal(ran.code, 0, ran.stderr);
      assert.notEqual(dockerDirect('images', '-q', `${PREFIX}-read`).trim(), '');
      assert.equal(dockerDirect('ps', '-aq', '--filter', 'name=buildx_buildkit').trim(), '');
    });

    it('goes through with build.opaque', async () => {
      const ran = await docker(clientEnv(gateway, 'unix', { identity: 'bk', token: '' }), at('opaque'));
      assert.equal(ran.code, 0, ran.stderr);
      assert.notEqual(dockerDirect('images', '-q', `${PREFIX}-opaque`).trim(), '');
    });
  });
});
