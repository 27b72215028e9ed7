// dockgate version and completion: the scripts are given to the shells themselves, where they are installed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { VERSION } from '../../src/version.ts';
import { run } from '../support/gateway.ts';
import { dockgateCommand } from '../support/runtime.ts';

const dockgate = (...args: string[]) => {
  const [command, first] = dockgateCommand();
  return run(command, [...first, ...args]);
};
const has = (program: string): boolean => spawnSync(program, ['-c', 'exit']).status === 0;

describe('dockgate version', () => {
  it('prints the version, as text and as JSON', async () => {
    assert.deepEqual(await dockgate('version'), { code: 0, stdout: `${VERSION}\n`, stderr: '' });
    assert.deepEqual(JSON.parse((await dockgate('version', '--json')).stdout), { version: VERSION });
  });
});

describe('dockgate completion', () => {
  it('bash completes commands, their commands and their options', {
    skip: has('bash') ? false : 'no bash here',
  }, async () => {
    const { stdout } = await dockgate('completion', 'bash');
    const complete = (...words: string[]) =>
      spawnSync(
        'bash',
        [
          '-c',
          `${stdout}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dockgate; printf '%s\\n' "\${COMPREPLY[@]}"`,
          'sh',
          'dockgate',
          ...words,
        ],
        { encoding: 'utf8' },
      )
        .stdout.trim()
        .split('\n');
    assert.deepEqual(complete('aud'), ['audit']);
    assert.ok(complete('audit', '').includes('ls') && !complete('audit', '').includes('token'));
    assert.deepEqual(complete('audit', 'ls', '--decis'), ['--decision']);
    assert.deepEqual(complete('--data', '/x', 'audit', 'ls', '--jso'), ['--json']);
    assert.ok(complete('token', 'create', '--').includes('--ttl'));
  });

  for (const shell of ['zsh', 'fish'])
    it(`${shell} reads its script`, async () => {
      const ran = await dockgate('completion', shell);
      assert.equal(ran.code, 0, ran.stderr);
      assert.match(ran.stdout, /audit/);
      if (has(shell)) assert.equal(spawnSync(shell, ['-n'], { input: ran.stdout }).status, 0);
    });

  it('another shell is told which there are', async () => {
    const ran = await dockgate('completion', 'tcsh');
    assert.deepEqual([ran.code, ran.stderr], [2, 'dockgate: "tcsh" is none of bash, zsh and fish\n']);
  });
});
