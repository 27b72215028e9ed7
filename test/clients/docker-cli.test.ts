// The docker CLI, command by command: what it says straight against the engine it says through the gateway as `operator`.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DOCKER_CLI, dockerDirect, ENGINE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { type Ran, run, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { CLIENT_CHANNELS, callerOverAll, clientEnv } from './channels.ts';
import { plainText, STEPS, splitArguments } from './docker-commands.ts';

/**
 * How the token of Basic or a certificate is read is the same for all commands: they play the first ones alone. What `connect`
 * carries differs by command: its first ones run, exec, copy both ways, start, attach and load an image.
 */
const STEPS_OF: Partial<Record<string, number>> = {
  basic: 24,
  mtls: 24,
  connect: STEPS.findIndex(({ args }) => args.startsWith('load ')) + 1,
};
/** Half a minute on a quiet machine. */
const TIMEOUT_MS = 400_000;
const PREFIX = `dg-cmd-${IS_DENO ? 'deno' : 'node'}`;

describe('every command of the docker CLI', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let caller: Awaited<ReturnType<typeof callerOverAll>>;
  let told: ReadonlyMap<string, readonly string[]>;
  let scratch: string;

  before(
    async () => {
      gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'op', identity: 'op' }] });
      await gateway.must('identity', 'create', 'op', '--policy', 'operator');
      caller = await callerOverAll(gateway, 'op');
      scratch = mkdtempSync(join(tmpdir(), 'cmd-'));
      removeContainers(PREFIX);
      const folder = join(scratch, 'config');
      mkdirSync(folder);
      const straight = { PATH: process.env.PATH, HOME: folder, DOCKER_CONFIG: folder, DOCKER_HOST: `unix://${ENGINE}` };
      // Side by side: each has names of its own, and what one waits for the others use.
      const played = await Promise.all([
        play('direct', straight),
        ...CLIENT_CHANNELS.map((channel) => play(channel, clientEnv(gateway, channel, caller))),
      ]);
      told = new Map(['direct', ...CLIENT_CHANNELS].map((channel, i) => [channel, played[i] as readonly string[]]));
    },
    { timeout: TIMEOUT_MS },
  );
  after(async () => {
    removeContainers(PREFIX);
    const left = dockerDirect('images', '-q', '--filter', `reference=${PREFIX}*`).split('\n').filter(Boolean);
    if (left.length > 0) dockerDirect('rmi', '-f', ...new Set(left));
    await caller?.stop();
    await gateway?.remove();
  });

  async function play(channel: string, env: NodeJS.ProcessEnv): Promise<readonly string[]> {
    const names = { $P: `${PREFIX}-${channel}`, $D: join(scratch, channel) };
    const startedAt = String(Math.floor(Date.now() / 1000));
    mkdirSync(names.$D);
    const lines: string[] = [];
    const nextSecond = () => String(Math.floor(Date.now() / 1000) + 1);
    for (const { args, input } of STEPS.slice(0, STEPS_OF[channel])) {
      const filled = args
        .replaceAll('$P', names.$P)
        .replaceAll('$D', names.$D)
        .replaceAll('$T', startedAt)
        .replaceAll('$N', nextSecond());
      const once = (): Promise<Ran> =>
        run(DOCKER_CLI as string, splitArguments(filled), { env, ...(input === undefined ? {} : { input }) });
      let ran = await once();
      // The engine prunes for one caller at a time.
      while (/a prune operation is already running/.test(ran.stderr)) ran = await once();
      const text = `${ran.code}\n${ran.stdout}\n${ran.stderr}`;
      lines.push(plainText(text.replaceAll(env.DOCKER_HOST as string, 'HOST'), names));
    }
    return lines;
  }

  for (const channel of CLIENT_CHANNELS) {
    it(`every command of the docker CLI reads the same through the gateway (${channel})`, () => {
      const direct = told.get('direct') as readonly string[];
      const through = told.get(channel) as readonly string[];
      const wrong: string[] = [];
      for (const [i, { args }] of STEPS.slice(0, through.length).entries()) {
        if (through[i] !== direct[i]) wrong.push(`docker ${args}\n  direct:  ${direct[i]}\n  through: ${through[i]}`);
      }
      assert.equal(wrong.length, 0, wrong.join('\n'));
    });
  }
});
