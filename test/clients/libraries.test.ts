// docker-py, dockerode, testcontainers and the Go SDK: each plays its script straight against the engine and through the gateway, as
// `operator` and as the preset made for it; the two must tell the same, but for calls on which a library forgets its header.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ENGINE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { run, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO, ROOT } from '../support/runtime.ts';
import { authorizationOf, type ClientChannel, callerOverAll, clientEnv } from './channels.ts';
import { plainText } from './docker-commands.ts';
import { GO_SDK, NODE_MODULES, PYTHON, skipWithoutGo, skipWithoutNodeModules, skipWithoutPython } from './install.ts';

const PREFIX = `dg-lib-${IS_DENO ? 'deno' : 'node'}`;
const SCRIPTS = join(ROOT, 'test', 'clients', 'scripts');
const NODE = join(ROOT, 'node_modules', '.bin', 'node');

interface Library {
  readonly name: string;
  readonly skip: false | string;
  readonly command: readonly string[];
  readonly channels: readonly ClientChannel[];
  /** Steps on which the library sends no header, whatever it was told to send. */
  readonly headerless: readonly string[];
}
const LIBRARIES: readonly Library[] = [
  {
    name: 'docker-py',
    skip: skipWithoutPython,
    command: [PYTHON as string, join(SCRIPTS, 'docker_py.py')],
    channels: ['bearer', 'basic', 'mtls', 'unix', 'connect'],
    headerless: ['attach socket'],
  },
  {
    name: 'dockerode',
    skip: skipWithoutNodeModules,
    command: [NODE, join(SCRIPTS, 'dockerode.cjs')],
    channels: ['bearer', 'basic', 'mtls', 'unix', 'connect'],
    headerless: [],
  },
  // It sends no header of its own.
  {
    name: 'testcontainers',
    skip: skipWithoutNodeModules,
    command: [NODE, join(SCRIPTS, 'testcontainers.cjs')],
    channels: ['mtls', 'unix', 'connect'],
    headerless: [],
  },
  {
    name: 'go-sdk',
    skip: skipWithoutGo,
    command: [GO_SDK as string],
    channels: ['bearer', 'mtls', 'unix', 'connect'],
    headerless: [],
  },
];

describe('client libraries through dockgate', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let caller: Awaited<ReturnType<typeof callerOverAll>>;

  before(async () => {
    removeContainers(PREFIX);
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'op', identity: 'op' }] });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    caller = await callerOverAll(gateway, 'op');
  });
  after(async () => {
    removeContainers(PREFIX);
    await caller?.stop();
    await gateway?.remove();
  });

  async function play(
    { name, command }: Library,
    channel: string,
    env: NodeJS.ProcessEnv,
  ): Promise<Map<string, string>> {
    const prefix = `${PREFIX}-${name}-${channel}`;
    const [program, ...args] = command as [string, ...string[]];
    const more = {
      ...(NODE_MODULES === undefined ? {} : { NODE_PATH: NODE_MODULES }),
      TESTCONTAINERS_RYUK_DISABLED: 'true',
      TESTCONTAINERS_HOST_OVERRIDE: '127.0.0.1',
    };
    const ran = await run(program, [...args, prefix], { env: { ...env, ...more }, timeoutMs: 90_000 });
    assert.equal(ran.code, 0, `${name} over ${channel}: ${ran.stdout}\n${ran.stderr}`);
    const lines = plainText(ran.stdout, {}).trim().split('\n');
    return new Map(lines.map((line) => [Object.keys(JSON.parse(line))[0] as string, line]));
  }

  for (const library of LIBRARIES) {
    it(`${library.name} is told the same as by the engine`, { skip: library.skip }, async () => {
      const straight = { PATH: process.env.PATH, HOME: gateway.dir, DOCKER_HOST: `unix://${ENGINE}` };
      const [direct, ...through] = await Promise.all([
        play(library, 'direct', straight),
        ...library.channels.map((channel) => {
          const authorization = authorizationOf(channel, caller.token);
          return play(library, channel, {
            ...clientEnv(gateway, channel, caller),
            ...(authorization === undefined ? {} : { CLIENT_AUTHORIZATION: authorization }),
          });
        }),
      ]);
      assert.ok(direct.size > 3);
      for (const [i, told] of through.entries()) {
        const channel = library.channels[i] as ClientChannel;
        const expected = new Map(direct);
        if (authorizationOf(channel, '') !== undefined) {
          for (const step of library.headerless) {
            assert.match(told.get(step) ?? '', /401/, `${step} over ${channel}`);
            expected.delete(step);
            told.delete(step);
          }
        }
        const wrong = [...expected.keys()].filter((step) => told.get(step) !== expected.get(step));
        const shown = wrong.map((step) => `direct:  ${expected.get(step)}\nthrough: ${told.get(step)}`).join('\n');
        assert.deepEqual([wrong, [...told.keys()]], [[], [...expected.keys()]], `${channel}\n${shown}`);
      }
    });
  }

  it('the Go SDK is told which rule denied a call, which field and the audit id', { skip: skipWithoutGo }, async () => {
    await gateway.must('identity', 'create', 'base', '--policy', 'baseline');
    const token = await gateway.must('token', 'create', 'base');
    const env = clientEnv(gateway, 'bearer', { identity: 'base', token });
    const more = { CLIENT_AUTHORIZATION: authorizationOf('bearer', token), DENIED: '1' };
    const ran = await run(GO_SDK as string, [`${PREFIX}-go-sdk`], { env: { ...env, ...more } });
    assert.match(
      (JSON.parse(ran.stdout) as { denied: { error: string } }).denied.error,
      /denied by policy baseline: HostConfig\.Privileged .*\[audit [0-9a-f-]{36}\]/,
    );
  });
});
