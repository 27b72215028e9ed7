// One process per data folder, whatever way the one before went.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { lockDataDir } from '../../src/store/open.ts';
import { ROOT, scriptCommand } from '../support/runtime.ts';

const inFolder = (body: (folder: string) => void | Promise<void>) => async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-lock-'));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

describe('lockDataDir()', () => {
  it(
    'holds the folder against the same process until released',
    inFolder((folder) => {
      const lock = lockDataDir(folder);
      assert.throws(() => lockDataDir(folder), {
        code: 'store-locked',
        message: new RegExp(`^process ${process.pid} already runs`),
      });
      lock.release();
      lock.release();
      lockDataDir(folder).release();
    }),
  );
  it(
    'holds one folder and not its neighbour',
    inFolder((folder) => {
      const one = lockDataDir(join(folder, 'one'));
      const two = lockDataDir(join(folder, 'two'));
      one.release();
      two.release();
    }),
  );
  it(
    'holds against another process, names it, and is free at once after kill -9',
    inFolder(async (folder) => {
      const [command, args] = scriptCommand(`${ROOT}test/store/hold-lock.ts`);
      const child = spawn(command, [...args, join(folder, 'data')], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        const [line] = (await once(child.stdout, 'data')) as [Buffer];
        assert.equal(String(line).trim(), 'held');
        assert.throws(() => lockDataDir(join(folder, 'data')), {
          code: 'store-locked',
          message: new RegExp(`^process ${child.pid} already runs a gateway on the data folder .*data: stop it first`),
        });
      } finally {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      lockDataDir(join(folder, 'data')).release();
    }),
  );
  it(
    'a lock file that holds something else is not taken for a lock',
    inFolder((folder) => {
      writeFileSync(join(folder, 'lock.db'), 'words\n'.repeat(500));
      assert.throws(() => lockDataDir(folder), { code: 'config-invalid', message: /cannot be locked/ });
    }),
  );
});
