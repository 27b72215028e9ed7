// Room for uploads: what was written is read again in parts, nothing is left of it, and a disk that takes no more is told in words.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { createSpool } from '../../src/store/spool.ts';
import { IS_DENO } from '../support/runtime.ts';

describe('the spool', () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-spool-'));
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('the spool gives parts of what was written, has no name on the disk, and begins empty', async () => {
    const folder = join(dir, 'whole');
    mkdirSync(folder);
    writeFileSync(join(folder, 'left-by-another'), 'x');
    const spool = createSpool(folder);
    const file = await spool.create();
    const bytes = Buffer.alloc(600_000, Buffer.from('0123456789'));
    await file.write(bytes.subarray(0, 7));
    await file.write(bytes.subarray(7));
    assert.equal(file.size, bytes.length);
    assert.deepEqual(readdirSync(folder), []);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    const pieces: Uint8Array[] = [];
    for await (const piece of file.read(5, 500_000)) pieces.push(piece);
    assert.ok(Buffer.concat(pieces).equals(bytes.subarray(5, 500_005)));
    await file.close();
    await file.close();
  });

  it('a disk that takes no more is a reason the caller can act on', () => {
    const source = new URL('../../src/store/spool.ts', import.meta.url).href;
    const script = `import(${JSON.stringify(source)}).then(async ({ createSpool }) => {
      const file = await createSpool(${JSON.stringify(join(dir, 'full'))}).create();
      for (let i = 0; i < 8; i++) await file.write(Buffer.alloc(1 << 18));
    }).catch(({ code, status, message }) => console.log(JSON.stringify({ code, status, message })))`.replaceAll(
      '\n',
      ' ',
    );
    const args = IS_DENO ? ['eval', script] : ['--input-type=module', '--eval', script];
    // The limit of a file's size stands for the full disk: that needs no rights.
    const ran = spawnSync('sh', ['-c', 'trap "" XFSZ; ulimit -f 1024; exec "$@"', 'sh', process.execPath, ...args], {
      encoding: 'utf8',
    });
    const told = JSON.parse(ran.stdout) as { code: string; status: number; message: string };
    assert.deepEqual([told.code, told.status], ['storage-full', 507], ran.stderr);
    assert.match(
      told.message,
      /^the gateway has no space to judge this archive \(\w+\), try again later or ask an operator$/,
    );
  });
});
