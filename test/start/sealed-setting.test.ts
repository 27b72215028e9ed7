// Keys of the gateway's own in state.db: sealed, also those an earlier version kept in the clear.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isSettingSealed, sealedSetting } from '../../src/app/sealed-setting.ts';
import { loadSeal } from '../../src/identity/seal.ts';

test('a key is sealed where it is kept, opens again, and not with another seal key', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-sealed-'));
  const sealOf = (name: string) => loadSeal({ defaultFile: join(folder, name), inUse: false });
  const kept = new Map<string, string>();
  const settings = {
    get: (key: string) => kept.get(key),
    set: (key: string, value: string) => void kept.set(key, value),
  };
  const seal = sealOf('seal.key');
  const made = await sealedSetting(settings, seal, 'made');
  assert.equal(made.length, 32);
  assert.ok(isSettingSealed(settings, 'made'));
  assert.deepEqual(await sealedSetting(settings, seal, 'made'), Buffer.from(made));
  await assert.rejects(sealedSetting(settings, sealOf('other.key'), 'made'), { code: 'config-invalid' });
  // As an earlier version kept it: the key stays the same, or what it masked would not be found again.
  const plain = Buffer.alloc(32, 7).toString('base64url');
  kept.set('earlier', plain);
  assert.ok(!isSettingSealed(settings, 'earlier'));
  assert.deepEqual(await sealedSetting(settings, seal, 'earlier'), Buffer.alloc(32, 7));
  assert.ok(isSettingSealed(settings, 'earlier'));
  assert.ok(![...kept.values()].some((value) => value.includes(plain)));
  rmSync(folder, { recursive: true });
});
