// Which gateway `doctor` and `tenant check` look at when no address is given: the one the other commands would talk to.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, describe, it } from 'node:test';
import { run } from '../support/gateway.ts';
import { dockgateCommand } from '../support/runtime.ts';

describe('doctor and tenant check without an address', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-which-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const settings = (file: string, engine: string) =>
    writeFileSync(join(folder, file), `engine: unix:///${engine}.sock\nlisten: [{ unix: ./x.sock }]\n`);
  settings('dockgate.yaml', 'nowhere/here');
  settings('other.yaml', 'nowhere/other');
  const docker = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };
  const config = { DOCKGATE_CONFIG: 'other.yaml' };
  const host = { DOCKGATE_HOST: 'https://127.0.0.1:1' };

  for (const [name, cwd, env, args, address] of [
    ['./dockgate.yaml', folder, docker, [], 'unix:///nowhere/here.sock'],
    ['DOCKGATE_CONFIG before it', folder, { ...docker, ...config }, [], 'unix:///nowhere/other.sock'],
    ['DOCKGATE_HOST before both', folder, { ...docker, ...config, ...host }, [], 'https://127.0.0.1:1'],
    ['--config before all', folder, { ...docker, ...host }, ['--config', 'other.yaml'], 'unix:///nowhere/other.sock'],
    [
      'an address before all',
      folder,
      { ...docker, ...host },
      ['unix:///nowhere/mine.sock'],
      'unix:///nowhere/mine.sock',
    ],
    ['DOCKER_HOST when there is none of them', '/', docker, [], 'unix:///nowhere/docker.sock'],
  ] as const)
    for (const command of [['doctor'], ['tenant', 'check']])
      it(`${command.join(' ')} takes ${name}`, async () => {
        const [program, first] = dockgateCommand();
        const clean = { PATH: process.env.PATH, HOME: folder, DENO_DIR: process.env.DENO_DIR, ...env };
        const ran = await run(
          'sh',
          ['-c', 'cd "$0" && exec "$@"', cwd, program, ...first, ...command, ...args, '--json'],
          {
            env: clean,
          },
        );
        const { findings } = JSON.parse(ran.stdout) as { findings: readonly { address: string }[] };
        assert.equal(findings[0]?.address, address, ran.stdout + ran.stderr);
      });
});
