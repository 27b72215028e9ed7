// The cache of verified tokens: synchronous hits, revocation and identity changes on the very next call, its bounds.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import { createTokenCache } from '../../src/identity/token-cache.ts';
import type { Principal } from '../../src/policy/types.ts';
import { basic, bearer, type IdentityRoom, openRoom } from './memory-stores.ts';

const aliceToken = async (room: IdentityRoom, ttlMs?: number) =>
  room.issuer.issue({ identity: 'alice', by: 'op', ...(ttlMs === undefined ? {} : { ttlMs }) });

/** Authenticates and insists on a synchronous answer. */
const atOnce = (room: IdentityRoom, headers: readonly string[]): Principal => {
  const answer = room.authenticator.authenticate(headers);
  assert.ok(!(answer instanceof Promise), 'the answer was not synchronous');
  return answer;
};
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as GatewayError).code;
  }
  return 'accepted';
};

describe('a verified token', () => {
  it('a verified token is answered at once and with the same principal object', async () => {
    const room = await openRoom();
    const { token } = await aliceToken(room);
    const first = await room.authenticator.authenticate(bearer(token));
    assert.equal(atOnce(room, bearer(token)), first);
    assert.ok(Object.isFrozen(first) && Object.isFrozen(first.groups) && Object.isFrozen(first.claims));
  });

  it('a verified token keeps its principal over a change to another identity, and over reads of a store that counts nothing', async () => {
    for (const counting of [true, false]) {
      const room = await openRoom({ counting });
      const { token } = await aliceToken(room);
      const first = await room.authenticator.authenticate(bearer(token));
      room.identities.change('op', { groups: ['x'] });
      assert.equal(atOnce(room, bearer(token)), first);
    }
  });

  it('a verified token asks a counting store once and any other on every call', async () => {
    for (const [counting, reads] of [
      [true, 0],
      [false, 50],
    ] as const) {
      const room = await openRoom({ counting });
      const { token } = await aliceToken(room);
      await room.authenticator.authenticate(bearer(token));
      const before = room.identities.reads;
      for (let i = 0; i < 50; i++) atOnce(room, bearer(token));
      assert.equal(room.identities.reads - before, reads);
    }
  });

  it('a verified token is another principal over Basic', async () => {
    const room = await openRoom();
    const { token } = await aliceToken(room);
    assert.equal((await room.authenticator.authenticate(bearer(token))).channel, 'bearer');
    assert.equal((await room.authenticator.authenticate(basic(token))).channel, 'basic');
    assert.equal(atOnce(room, bearer(token)).channel, 'bearer');
  });

  it('a verified token is verified anew after a minute, and when the clock went back', async () => {
    const room = await openRoom();
    const { token } = await aliceToken(room);
    await room.authenticator.authenticate(bearer(token));
    room.clock.at += 59_999;
    atOnce(room, bearer(token));
    room.clock.at += 1;
    const again = room.authenticator.authenticate(bearer(token));
    assert.ok(again instanceof Promise);
    await again;
    room.clock.at -= 1000;
    assert.ok(room.authenticator.authenticate(bearer(token)) instanceof Promise);
  });

  it('a verified token ends with its exp to the millisecond, within the minute, for calls and for streams', async () => {
    const room = await openRoom();
    const { token } = await aliceToken(room, 10_000);
    const principal = await room.authenticator.authenticate(bearer(token));
    room.clock.at += 9_999;
    atOnce(room, bearer(token));
    room.authenticator.recheck(principal);
    room.clock.at += 1;
    assert.equal(
      codeOf(() => room.authenticator.recheck(principal)),
      'token-expired',
    );
    await assert.rejects(async () => room.authenticator.authenticate(bearer(token)), { code: 'token-expired' });
    assert.equal(
      codeOf(() => room.authenticator.authenticate(bearer(token))),
      'token-expired',
    );
  });

  it('a verified token is refused on the very next call once revoked, over every channel', async () => {
    const room = await openRoom();
    const { token, record } = await aliceToken(room);
    const other = await aliceToken(room);
    const principal = await room.authenticator.authenticate(bearer(token));
    await room.authenticator.authenticate(basic(token));
    await room.authenticator.authenticate(bearer(other.token));
    room.revocations.revoke(record.id, room.clock.at);
    assert.equal(
      codeOf(() => room.authenticator.authenticate(bearer(token))),
      'token-revoked',
    );
    assert.equal(
      codeOf(() => room.authenticator.authenticate(basic(token))),
      'token-revoked',
    );
    assert.equal(
      codeOf(() => room.authenticator.recheck(principal)),
      'token-revoked',
    );
    assert.equal(atOnce(room, bearer(other.token)).subject, 'alice');
  });

  it('a verified token is refused while it is being verified', async () => {
    const room = await openRoom();
    const { token, record } = await aliceToken(room);
    const pending = room.authenticator.authenticate(bearer(token));
    room.revocations.revoke(record.id, room.clock.at);
    await assert.rejects(async () => pending, { code: 'token-revoked' });
  });

  it('a verified token is refused while its identity is disabled, and works again when it is enabled', async () => {
    for (const counting of [true, false]) {
      const room = await openRoom({ counting });
      const { token } = await aliceToken(room);
      const principal = await room.authenticator.authenticate(bearer(token));
      room.identities.setDisabled('alice', true);
      assert.equal(
        codeOf(() => room.authenticator.authenticate(bearer(token))),
        'identity-disabled',
      );
      assert.equal(
        codeOf(() => room.authenticator.bound('alice')),
        'identity-disabled',
      );
      assert.equal(
        codeOf(() => room.authenticator.recheck(principal)),
        'identity-disabled',
      );
      room.identities.setDisabled('alice', false);
      assert.equal(atOnce(room, bearer(token)).subject, 'alice');
    }
  });

  it('speaks for the groups and policies of its identity as they are now', async () => {
    const room = await openRoom();
    const { token } = await aliceToken(room);
    const before = await room.authenticator.authenticate(bearer(token));
    room.identities.change('alice', { groups: ['ops'], tenant: 'blue', policies: [] });
    const after = atOnce(room, bearer(token));
    assert.notEqual(after, before);
    assert.deepEqual([after.groups, after.tenant, after.policies], [['ops'], 'blue', []]);
    assert.equal(atOnce(room, bearer(token)), after);
  });

  it('a verified token does not speak for a new identity of the same name', async () => {
    const room = await openRoom();
    const { token } = await aliceToken(room);
    await room.authenticator.authenticate(bearer(token));
    room.identities.delete('alice');
    assert.equal(
      codeOf(() => room.authenticator.authenticate(bearer(token))),
      'identity-unknown',
    );
    room.clock.at += 5000;
    room.identities.insert({
      name: 'alice',
      groups: [],
      policies: ['operator'],
      disabled: false,
      createdAt: room.clock.at,
    });
    assert.equal(
      codeOf(() => room.authenticator.authenticate(bearer(token))),
      'identity-unknown',
    );
    room.revocations.refresh();
    assert.equal(
      codeOf(() => room.authenticator.authenticate(bearer(token))),
      'token-revoked',
    );
    const fresh = await aliceToken(room);
    assert.deepEqual((await room.authenticator.authenticate(bearer(fresh.token))).policies, ['operator']);
  });

  it('a verified token is verified once however many calls present it together', async () => {
    const room = await openRoom();
    const { token } = await aliceToken(room);
    const original = crypto.subtle.verify;
    let verifications = 0;
    crypto.subtle.verify = function (this: SubtleCrypto, ...args: Parameters<SubtleCrypto['verify']>) {
      verifications++;
      return original.apply(this, args);
    } as SubtleCrypto['verify'];
    try {
      const answers = await Promise.all(
        Array.from({ length: 50 }, async () => room.authenticator.authenticate(bearer(token))),
      );
      assert.equal(verifications, 1);
      assert.equal(new Set(answers).size, 1);
      const tampered = `${token.slice(0, -30)}${token.at(-30) === 'A' ? 'B' : 'A'}${token.slice(-29)}`;
      for (let i = 0; i < 20; i++) {
        await assert.rejects(async () => room.authenticator.authenticate(bearer(tampered)), { code: 'token-invalid' });
      }
      assert.equal(verifications, 2, 'a repeated bad token is remembered');
      for (let i = 0; i < 20; i++) {
        await assert.rejects(async () => room.authenticator.authenticate(bearer(`garbage.${i}.x`)), GatewayError);
      }
      assert.equal(verifications, 2, 'garbage costs no cryptography');
    } finally {
      crypto.subtle.verify = original;
    }
  });

  it('a verified token is not kept out later by a refusal that time heals', async () => {
    const room = await openRoom();
    room.clock.at += 120_000;
    const { token } = await aliceToken(room);
    room.clock.at -= 60_000;
    await assert.rejects(async () => room.authenticator.authenticate(bearer(token)), { code: 'token-not-yet-valid' });
    room.clock.at += 60_000;
    assert.equal((await room.authenticator.authenticate(bearer(token))).subject, 'alice');
  });
});

describe('bound()', () => {
  it('bound() names the identity of a socket, the same object until the identity changes', async () => {
    const room = await openRoom();
    const first = room.authenticator.bound('alice');
    assert.deepEqual(
      { ...first, claims: { ...first.claims } },
      {
        subject: 'alice',
        issuer: 'https://gate.example',
        tenant: 'red',
        groups: ['dev'],
        policies: ['baseline'],
        channel: 'socket',
        claims: {},
      },
    );
    assert.equal(room.authenticator.bound('alice'), first);
    room.identities.change('alice', { groups: [] });
    assert.notEqual(room.authenticator.bound('alice'), first);
  });

  it('bound() refuses an identity there is not, before and after it was deleted', async () => {
    const room = await openRoom();
    assert.equal(
      codeOf(() => room.authenticator.bound('nobody')),
      'identity-unknown',
    );
    room.authenticator.bound('alice');
    room.identities.delete('alice');
    assert.equal(
      codeOf(() => room.authenticator.bound('alice')),
      'identity-unknown',
    );
  });
});

describe('createTokenCache()', () => {
  it('never holds more than it may, and keeps what is used', () => {
    const cache = createTokenCache<number, string>(10);
    cache.set('kept', 0);
    for (let i = 0; i < 1000; i++) {
      cache.set(`k${i}`, i);
      assert.equal(cache.get('kept'), 0);
      assert.ok(cache.size <= 10, String(cache.size));
    }
    assert.equal(cache.get('k1'), undefined);
    assert.equal(cache.get('k999'), 999);
  });

  it('createTokenCache() keeps refusals apart: a flood of them pushes nothing out and is bounded itself', () => {
    const cache = createTokenCache<number, string>(10);
    cache.set('good', 1);
    for (let i = 0; i < 5000; i++) cache.refuse(`bad${i}`, 'no');
    assert.equal(cache.get('good'), 1);
    assert.equal(cache.refusal('bad0'), undefined);
    assert.equal(cache.refusal('bad4999'), 'no');
  });

  it('runs the work of a key once at a time and again after a failure', async () => {
    const cache = createTokenCache<number, string>();
    let runs = 0;
    const work = async () => {
      runs++;
      await null;
      if (runs === 1) throw new Error('first');
      return runs;
    };
    const results = await Promise.allSettled([cache.once('k', work), cache.once('k', work)]);
    assert.deepEqual(
      results.map((result) => result.status),
      ['rejected', 'rejected'],
    );
    assert.equal(await cache.once('k', work), 2);
  });
});
