// What our own issuer signs, for whom it refuses to, what it publishes, and how its keys live.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { createIssuer } from '../../src/identity/issue-token.ts';
import { createRevocations } from '../../src/identity/revocation.ts';
import { AUDIENCE, bearer, ISSUER, memoryIdentities, memoryTokens, openRoom } from './memory-stores.ts';

const DAY_MS = 86_400_000;

describe('issue()', () => {
  it('signs an access token with the claims of RFC 9068 and stores its record', async () => {
    const room = await openRoom();
    const { token, record } = await room.issuer.issue({
      identity: 'alice',
      ttlMs: 900_000,
      scope: ['container.list', 'class:read'],
      by: 'op',
    });
    assert.deepEqual(decodeProtectedHeader(token), { typ: 'at+jwt', alg: 'Ed25519', kid: room.keys.rows[0]?.kid });
    const iat = room.clock.at / 1000;
    assert.deepEqual(decodeJwt(token), {
      iss: ISSUER,
      aud: AUDIENCE,
      sub: 'alice',
      jti: record.id,
      iat,
      exp: iat + 900,
      client_id: 'alice',
      scope: 'container.list class:read',
      tenant: 'red',
      groups: ['dev'],
    });
    assert.deepEqual(room.tokens.get(record.id), {
      id: record.id,
      identity: 'alice',
      scope: ['container.list', 'class:read'],
      issuedAt: room.clock.at,
      expiresAt: room.clock.at + 900_000,
      issuedBy: 'op',
    });
    assert.match(record.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  });

  it('signs tokens that any client can verify with the published keys', async () => {
    const room = await openRoom();
    const { token } = await room.issuer.issue({ identity: 'alice', by: 'op' });
    const { keys } = room.issuer.jwks();
    for (const key of keys) assert.deepEqual(Object.keys(key).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x']);
    const { payload } = await jwtVerify(token, createLocalJWKSet({ keys }), { currentDate: new Date(room.clock.at) });
    assert.equal(payload.exp, room.clock.at / 1000 + 3600, 'one hour when nothing is asked for');
  });

  const rows: [string, Parameters<Awaited<ReturnType<typeof openRoom>>['issuer']['issue']>[0], string | undefined][] = [
    ['24 h for any identity', { identity: 'alice', ttlMs: DAY_MS, by: 'op' }, undefined],
    ['24 h and a second for any identity', { identity: 'alice', ttlMs: DAY_MS + 1000, by: 'op' }, 'input-invalid'],
    ['7 days for an operator', { identity: 'op', ttlMs: 7 * DAY_MS, by: 'op' }, undefined],
    ['7 days and a second for an operator', { identity: 'op', ttlMs: 7 * DAY_MS + 1000, by: 'op' }, 'input-invalid'],
    ['a second', { identity: 'alice', ttlMs: 1000, by: 'op' }, undefined],
    ['less than a second', { identity: 'alice', ttlMs: 999, by: 'op' }, 'input-invalid'],
    ['a negative life', { identity: 'alice', ttlMs: -5000, by: 'op' }, 'input-invalid'],
    ['no number', { identity: 'alice', ttlMs: Number.NaN, by: 'op' }, 'input-invalid'],
    ['an unknown identity', { identity: 'nobody', by: 'op' }, 'not-found'],
    ['one scope', { identity: 'alice', scope: ['container.list'], by: 'op' }, undefined],
    ['a scope the callback refuses', { identity: 'alice', scope: ['nonsense'], by: 'op' }, 'input-invalid'],
    ['a scope with a space, two when read back', { identity: 'alice', scope: ['a b'], by: 'op' }, 'input-invalid'],
    ['an empty scope pattern', { identity: 'alice', scope: [''], by: 'op' }, 'input-invalid'],
    ['no scope pattern at all', { identity: 'alice', scope: [], by: 'op' }, 'input-invalid'],
    ['65 scope patterns', { identity: 'alice', scope: Array(65).fill('container.list'), by: 'op' }, 'input-invalid'],
  ];
  for (const [name, request, code] of rows) {
    it(`${code === undefined ? 'accepts' : 'refuses'} ${name}`, async () => {
      const checkScope = (pattern: string) => (pattern === 'nonsense' ? 'no such action' : undefined);
      const room = await openRoom({ issuer: { checkScope } });
      if (code === undefined) {
        const { token } = await room.issuer.issue(request);
        assert.equal((await room.authenticator.authenticate(bearer(token))).subject, request.identity);
        return;
      }
      await assert.rejects(room.issuer.issue(request), { code });
      assert.equal(room.tokens.list().length, 0);
    });
  }

  it('issue() refuses a disabled identity and names a scope that is at fault', async () => {
    const room = await openRoom({ issuer: { checkScope: () => 'no such action' } });
    await assert.rejects(room.issuer.issue({ identity: 'alice', scope: ['x"y'], by: 'op' }), /"x\\"y".*characters/);
    await assert.rejects(room.issuer.issue({ identity: 'alice', scope: ['xy'], by: 'op' }), /"xy".*no such action/);
    room.identities.setDisabled('alice', true);
    await assert.rejects(room.issuer.issue({ identity: 'alice', by: 'op' }), { code: 'conflict' });
  });
});

describe('ensureKey()', () => {
  it('ensureKey() makes one key on first start and finds it again on the second', async () => {
    const room = await openRoom();
    const { token } = await room.issuer.issue({ identity: 'alice', by: 'op' });
    const parts = {
      issuer: ISSUER,
      audience: AUDIENCE,
      keys: room.keys,
      tokens: room.tokens,
      identities: room.identities,
    };
    const again = createIssuer({ ...parts, now: () => room.clock.at });
    await again.ensureKey();
    assert.deepEqual(room.keys.rows.map(({ state }) => state).sort(), ['active', 'next']);
    assert.deepEqual(again.jwks(), room.issuer.jwks());
    assert.ok(again.verifier(decodeProtectedHeader(token).kid as string));
  });

  it('signs with a new key after 30 days and verifies with the old one as long as its tokens live', async () => {
    const room = await openRoom();
    room.clock.at += 30 * DAY_MS - 1000;
    await room.issuer.ensureKey();
    const before = await room.issuer.issue({ identity: 'op', ttlMs: 7 * DAY_MS, by: 'op' });
    assert.equal(room.keys.rows.length, 2);
    room.clock.at += 2000;
    await room.issuer.ensureKey();
    const after = await room.issuer.issue({ identity: 'op', by: 'op' });
    assert.equal(room.keys.rows.length, 3);
    assert.notEqual(decodeProtectedHeader(after.token).kid, decodeProtectedHeader(before.token).kid);
    for (const { token } of [before, after]) await room.authenticator.authenticate(bearer(token));
    assert.equal(room.issuer.jwks().keys.length, 3);
    room.clock.at += 7 * DAY_MS + 121_000;
    await room.issuer.ensureKey();
    assert.equal(room.issuer.jwks().keys.length, 2);
  });

  it('ensureKey() refuses to sign before it was called', async () => {
    const tokens = memoryTokens();
    const room = await openRoom();
    const identities = memoryIdentities(tokens);
    identities.insert({ name: 'a', groups: [], policies: [], disabled: false, createdAt: 0 });
    const issuer = createIssuer({ issuer: ISSUER, audience: AUDIENCE, keys: room.keys, tokens, identities });
    await assert.rejects(issuer.issue({ identity: 'a', by: 'op' }), { code: 'internal' });
  });

  it('ensureKey() makes no key that leaves the room in an error or in the published set', async () => {
    const room = await openRoom();
    const { d } = JSON.parse(room.keys.rows[0]?.privateJwk as string) as { d: string };
    assert.ok(d.length > 40);
    assert.ok(!JSON.stringify(room.issuer.jwks()).includes(d));
  });
});

describe('createRevocations()', () => {
  it('createRevocations() knows at start what was revoked before, also within the tolerance after exp', async () => {
    const room = await openRoom();
    const { record } = await room.issuer.issue({ identity: 'alice', ttlMs: 10_000, by: 'op' });
    room.tokens.revoke(record.id, room.clock.at);
    room.clock.at += 35_000;
    assert.ok(createRevocations(room.tokens, room.credentials, () => room.clock.at).isRevoked(record.id));
    room.clock.at += 200_000;
    assert.ok(!createRevocations(room.tokens, room.credentials, () => room.clock.at).isRevoked(record.id));
  });

  it('stores, tells its listeners once, and refuses a token there is not', async () => {
    const room = await openRoom();
    const { record } = await room.issuer.issue({ identity: 'alice', by: 'op' });
    const told: (string | undefined)[] = [];
    const stop = room.revocations.onChange((id) => told.push(id));
    room.revocations.revoke(record.id, 1);
    room.revocations.revoke(record.id, 2);
    room.revocations.refresh();
    stop();
    room.revocations.refresh();
    assert.deepEqual(told, [record.id, undefined]);
    assert.equal(room.tokens.get(record.id)?.revokedAt, 1);
    assert.throws(() => room.revocations.revoke('nothing', 1), { code: 'not-found' });
    assert.ok(!room.revocations.isRevoked('nothing'));
  });

  it('forgets what has expired when it grows', async () => {
    const room = await openRoom();
    const ids: string[] = [];
    for (let i = 0; i < 1100; i++) {
      const record = {
        id: `t${i}`,
        identity: 'alice',
        issuedAt: 0,
        expiresAt: i < 1000 ? room.clock.at + 1000 : Infinity,
        issuedBy: 'op',
      };
      room.tokens.insert(record);
      if (i === 1000) room.clock.at += 500_000;
      room.revocations.revoke(record.id, room.clock.at);
      ids.push(record.id);
    }
    assert.ok(!room.revocations.isRevoked('t0'));
    assert.ok(room.revocations.isRevoked('t1099') && room.revocations.isRevoked('t1000'));
  });
});
