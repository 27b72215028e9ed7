// The key ring: states and turns of the signing keys, and the seal on their private parts.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { isSealed, loadSeal, type Seal } from '../../src/identity/seal.ts';
import { createKeyRing, type KeyRing } from '../../src/identity/signing-keys.ts';
import { memoryKeys } from './memory-stores.ts';

const DAY = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'dg-keys-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const sealOf = (key: Buffer): Seal =>
  loadSeal({ value: key.toString('base64'), defaultFile: join(folder, 'none'), inUse: false });

function room(seal?: Seal) {
  const keys = memoryKeys();
  const clock = { at: Date.UTC(2030, 0, 1) };
  const open = (with_: Seal | undefined = seal): KeyRing =>
    createKeyRing({ keys, now: () => clock.at, maxTtlMs: 7 * DAY, ...(with_ === undefined ? {} : { seal: with_ }) });
  const states = (ring: KeyRing) => ring.list().map(({ state }) => state);
  return { keys, clock, open, states };
}

describe('createKeyRing()', () => {
  it('publishes the next key before it signs, and the retiring one until its tokens have ended', async () => {
    const { open, clock, states, keys } = room();
    const ring = open();
    assert.equal(await ring.ensure(), false);
    assert.deepEqual(states(ring).sort(), ['active', 'next']);
    const before = ring.signer().kid;
    const next = ring.list().find(({ state }) => state === 'next')?.kid;
    clock.at += 1000;
    assert.equal(await ring.rotate(), next);
    assert.deepEqual(states(ring).sort(), ['active', 'next', 'retiring']);
    assert.equal(ring.jwks().keys.length, 3);
    assert.ok(ring.verifier(before));
    assert.equal(
      keys.rows.find(({ kid }) => kid === before)?.privateJwk,
      '',
      'what signs no more keeps no private part',
    );
    clock.at += 7 * DAY + 120_000;
    await ring.ensure();
    assert.ok(ring.verifier(before));
    clock.at += 1;
    await ring.ensure();
    assert.equal(ring.verifier(before), undefined);
    assert.equal(keys.rows.length, 2);
  });

  it('turns by age while it runs, once', async () => {
    const { open, clock } = room();
    const ring = open();
    await ring.ensure();
    const first = ring.signer().kid;
    clock.at += 30 * DAY;
    assert.equal(await ring.ensure(), false);
    clock.at += 1;
    assert.deepEqual(await Promise.all([ring.ensure(), ring.ensure()]), [true, false]);
    assert.notEqual(ring.signer().kid, first);
  });

  it('turns one after the other when asked twice at once', async () => {
    const { open, states } = room();
    const ring = open();
    await ring.ensure();
    const kids = await Promise.all([ring.rotate(), ring.rotate()]);
    assert.equal(new Set(kids).size, 2);
    assert.deepEqual(states(ring).sort(), ['active', 'next', 'retiring', 'retiring']);
  });

  it('createKeyRing() takes over the keys of an earlier version: the newest signs, the others retire', async () => {
    const { open, clock, states, keys } = room();
    const old = open();
    await old.ensure();
    // As it was: every key active, none next, all open.
    const [a, b] = keys.rows;
    keys.apply({
      put: [
        {
          ...(a as never as (typeof keys.rows)[0]),
          state: 'active',
          createdAt: clock.at - DAY,
          stateAt: clock.at - DAY,
        },
        { ...(b as never as (typeof keys.rows)[0]), state: 'active' },
      ],
    });
    const ring = open(sealOf(randomBytes(32)));
    await ring.ensure();
    assert.deepEqual(states(ring).sort(), ['active', 'next', 'retiring']);
    assert.ok(
      keys.rows.every(({ privateJwk, state }) => (state === 'retiring' ? privateJwk === '' : isSealed(privateJwk))),
    );
    const { kid, key } = ring.signer();
    await new SignJWT({}).setProtectedHeader({ alg: 'Ed25519', kid }).sign(key);
  });
});

describe('the seal', () => {
  it('the seal keeps private parts out of the store and opens them again', async () => {
    const seal = sealOf(randomBytes(32));
    const { open, keys } = room(seal);
    await open().ensure();
    assert.ok(keys.rows.every(({ privateJwk }) => isSealed(privateJwk) && !privateJwk.includes('"d"')));
    const ring = open();
    await ring.ensure();
    assert.ok(ring.signer());
  });

  it('a seal with another key is told in one sentence, and nothing is written with it', async () => {
    const { open, keys } = room(sealOf(randomBytes(32)));
    await open().ensure();
    const before = structuredClone(keys.rows);
    await assert.rejects(open(sealOf(randomBytes(32))).ensure(), {
      code: 'config-invalid',
      message: /^the signing keys are sealed with another key than the one in DOCKGATE_SEAL_KEY; give/,
    });
    assert.deepEqual(keys.rows, before);
    await assert.rejects(createKeyRing({ keys, now: Date.now, maxTtlMs: DAY }).ensure(), { code: 'config-invalid' });
  });

  it('the seal of a damaged row is told', async () => {
    const seal = sealOf(randomBytes(32));
    const { open, keys } = room(seal);
    await open().ensure();
    keys.apply({ put: keys.rows.map((row) => ({ ...row, privateJwk: `${row.privateJwk.slice(0, -4)}AAAA` })) });
    await assert.rejects(open().ensure(), { code: 'store-corrupt' });
    keys.apply({ put: keys.rows.map((row) => ({ ...row, privateJwk: 'no.jwe' })) });
    await assert.rejects(open().ensure(), { code: 'store-corrupt' });
  });

  it('key is made on first use, for its owner alone, and found again', async () => {
    const path = join(folder, 'made.key');
    const sealed = await loadSeal({ defaultFile: path, inUse: false }).seal('secret');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(Buffer.from(readFileSync(path, 'utf8').trim(), 'base64url').length, 32);
    assert.equal(await loadSeal({ defaultFile: path, inUse: true }).open(sealed), 'secret');
  });

  const key = randomBytes(32);
  const good: readonly (readonly [string, string])[] = [
    ['base64', key.toString('base64')],
    ['base64url', key.toString('base64url')],
    ['hex', key.toString('hex')],
    ['a line end after it', `${key.toString('hex')}\n`],
  ];
  for (const [title, text] of good) {
    it(`key is read from a file in ${title}`, async () => {
      const seal = loadSeal({ file: file('good.key', text), defaultFile: join(folder, 'none'), inUse: true });
      assert.equal(await seal.open(await sealOf(key).seal('x')), 'x');
    });
  }

  const bad: readonly (readonly [string, Parameters<typeof loadSeal>[0], RegExp])[] = [
    [
      'a word',
      { value: 'correct horse battery staple', defaultFile: '', inUse: false },
      /DOCKGATE_SEAL_KEY holds no seal key/,
    ],
    ['31 bytes', { value: randomBytes(31).toString('base64'), defaultFile: '', inUse: false }, /32 random bytes/],
    ['an empty file', { file: file('empty.key', ''), defaultFile: '', inUse: false }, /empty\.key holds no seal key/],
    ['two places', { value: key.toString('hex'), file: 'x', defaultFile: '', inUse: false }, /give one of them/],
    [
      'no file where one is named',
      { file: join(folder, 'gone'), defaultFile: '', inUse: false },
      /gone is missing; put it there/,
    ],
    ['a folder', { file: folder, defaultFile: '', inUse: false }, /cannot be read \(EISDIR\)/],
    [
      'a lost default file',
      { defaultFile: join(folder, 'lost'), inUse: true },
      /keys are sealed and the key in .*lost is missing; restore it/,
    ],
  ];
  for (const [title, sources, message] of bad) {
    it(`key is refused: ${title}`, () => {
      assert.throws(() => loadSeal(sources), { code: 'config-invalid', message });
    });
  }
});
