// Tokens made from tokens and from credentials: what may be had, what stays above it, and what ends it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeJwt } from 'jose';
import { createGrants, type Grants, MAX_GRANTS } from '../../src/identity/grants.ts';
import { createRefreshCredentials, isSecret, type RefreshCredentials } from '../../src/identity/refresh-credentials.ts';
import type { DockerAuthorization } from '../../src/policy/types.ts';
import { bearer, type IdentityRoom, openRoom } from './memory-stores.ts';

interface GrantRoom extends IdentityRoom {
  readonly grants: Grants;
  readonly refreshCredentials: RefreshCredentials;
}

async function openGrantRoom(): Promise<GrantRoom> {
  const room = await openRoom();
  const now = () => room.clock.at;
  const { credentials, identities, issuer, authenticator } = room;
  const refreshCredentials = createRefreshCredentials({ credentials, identities, now });
  const grants = createGrants({ issuer, authenticator, refreshCredentials, credentials, identities, now });
  return { ...room, grants, refreshCredentials };
}

const details = (...actions: string[]): readonly DockerAuthorization[] => [{ type: 'docker', actions }];
const MINUTE = 60_000;

describe('exchange()', () => {
  it('exchange() gives a shorter token with the ceilings above it inside', async () => {
    const room = await openGrantRoom();
    const parent = await room.issuer.issue({ identity: 'alice', scope: ['class:read'], by: 'op' });
    const made = await room.grants.exchange({
      subjectToken: parent.token,
      authorizationDetails: details('container.*'),
    });
    const claims = decodeJwt(made.token);
    assert.equal((claims.exp as number) - (claims.iat as number), 600);
    assert.deepEqual(claims.act, { sub: 'alice' });
    // The scope is the token's own as well: once is enough.
    assert.deepEqual(claims.parents, [{ jti: parent.record.id }]);
    assert.deepEqual(made.record.ancestors, [parent.record.id]);
    const principal = await room.authenticator.authenticate(bearer(made.token));
    assert.deepEqual(principal.scope, ['class:read']);
    assert.deepEqual(principal.authorizationDetails, details('container.*'));
    assert.deepEqual(principal.ancestors, [{ id: parent.record.id, ceiling: {} }]);
  });

  it('exchange() keeps a ceiling that is nowhere else, when the records are gone', async () => {
    const room = await openGrantRoom();
    const parent = await room.issuer.issue({ identity: 'alice', authorizationDetails: details('image.*'), by: 'op' });
    const made = await room.grants.exchange({
      subjectToken: parent.token,
      authorizationDetails: details('image.list'),
    });
    const principal = await room.authenticator.authenticate(bearer(made.token));
    assert.deepEqual(principal.ancestors?.[0]?.ceiling, { authorizationDetails: details('image.*') });
  });

  it('exchange() says each ceiling once, however long the chain', async () => {
    const room = await openGrantRoom();
    const wide = Array.from({ length: 10 }, (_, i) => `container/${'x'.repeat(60)}-${i}`);
    const parent = await room.issuer.issue({
      identity: 'alice',
      authorizationDetails: [{ type: 'docker', resources: wide }],
      by: 'op',
    });
    let token = (await room.grants.exchange({ subjectToken: parent.token, scope: ['container.*'] })).token;
    const narrow = { authorizationDetails: [{ type: 'docker' as const, resources: wide.slice(0, 9) }] };
    token = (await room.grants.exchange({ subjectToken: token, ...narrow })).token;
    token = (await room.grants.exchange({ subjectToken: token, scope: ['container.list'] })).token;
    const { parents } = decodeJwt(token) as { parents: Record<string, unknown>[] };
    assert.deepEqual(
      parents.map(({ jti: _, ...ceiling }) => Object.keys(ceiling)),
      [['scope'], ['authorization_details'], []],
    );
    const principal = await room.authenticator.authenticate(bearer(token));
    assert.deepEqual(
      principal.ancestors?.map(({ ceiling }) => Object.keys(ceiling)),
      [['scope'], ['authorizationDetails'], []],
    );
  });

  const refused: readonly (readonly [string, Parameters<Grants['exchange']>[0], string])[] = [
    ['a wider scope', { subjectToken: '', scope: ['container.stop'] }, 'grant-too-wide'],
    ['wider details', { subjectToken: '', authorizationDetails: details('*') }, 'grant-too-wide'],
  ];
  for (const [title, request, code] of refused) {
    it(`exchange() refuses ${title}`, async () => {
      const room = await openGrantRoom();
      const asked = {
        identity: 'alice',
        scope: ['class:read'],
        authorizationDetails: details('container.*'),
        by: 'op',
      };
      const { token: subjectToken } = await room.issuer.issue(asked);
      await assert.rejects(room.grants.exchange({ ...request, subjectToken }), { code });
    });
  }

  it('never outlives its parent, and is refused when that is at its end', async () => {
    const room = await openGrantRoom();
    const parent = await room.issuer.issue({ identity: 'alice', ttlMs: 5 * MINUTE, by: 'op' });
    const made = await room.grants.exchange({ subjectToken: parent.token, ttlMs: 60 * MINUTE });
    assert.equal(made.record.expiresAt, parent.record.expiresAt);
    room.clock.at = parent.record.expiresAt - 500;
    await assert.rejects(room.grants.exchange({ subjectToken: parent.token }), { code: 'grant-invalid' });
    room.clock.at = parent.record.expiresAt;
    await assert.rejects(room.grants.exchange({ subjectToken: parent.token }), { code: 'token-expired' });
  });

  it('exchange() ends every token of the chain below one that is revoked, and none above', async () => {
    const room = await openGrantRoom();
    const tokens = [(await room.issuer.issue({ identity: 'alice', by: 'op' })).token];
    for (let i = 0; i < 4; i++) {
      tokens.push((await room.grants.exchange({ subjectToken: tokens[i] as string })).token);
    }
    await assert.rejects(room.grants.exchange({ subjectToken: tokens[4] as string }), {
      code: 'grant-invalid',
      message: /chain of 4/,
    });
    const principals = await Promise.all(tokens.map((token) => room.authenticator.authenticate(bearer(token))));
    room.revocations.revoke(decodeJwt(tokens[2] as string).jti as string, room.clock.at);
    const states = principals.map((principal) => {
      try {
        room.authenticator.recheck(principal);
        return 'good';
      } catch (error) {
        return (error as { code: string }).code;
      }
    });
    assert.deepEqual(states, ['good', 'good', 'token-revoked', 'token-revoked', 'token-revoked']);
  });

  it('exchange() names who acts, and who acted before', async () => {
    const room = await openGrantRoom();
    const [parent, actor] = await Promise.all(
      ['alice', 'op'].map((identity) => room.issuer.issue({ identity, by: 'op' })),
    );
    const first = await room.grants.exchange({
      subjectToken: parent?.token as string,
      actorToken: actor?.token as string,
    });
    assert.equal(first.actor, 'op');
    assert.equal((await room.authenticator.authenticate(bearer(first.token))).actor, 'op');
    const second = await room.grants.exchange({ subjectToken: first.token });
    assert.equal((await room.authenticator.authenticate(bearer(second.token))).actor, undefined);
    assert.equal(decodeJwt(second.token).sub, 'alice');
    assert.deepEqual(decodeJwt(second.token).act, { sub: 'alice', act: { sub: 'op' } });
    await assert.rejects(room.grants.exchange({ subjectToken: first.token, actorToken: 'x.y.z' }), {
      code: 'token-malformed',
    });
  });

  it('exchange() of a token bound to a certificate is refused without it', async () => {
    const room = await openGrantRoom();
    const bound = await room.issuer.issue({ identity: 'alice', boundTo: 'A'.repeat(43), by: 'op' });
    // Without its certificate a bound token names no identity.
    await assert.rejects(room.grants.exchange({ subjectToken: bound.token }), { code: /certificate/ as never });
  });

  it('slows down the identity that asks for very many tokens, and no other', async () => {
    const room = await openGrantRoom();
    const [alice, op] = await Promise.all(['alice', 'op'].map((identity) => room.issuer.issue({ identity, by: 'op' })));
    const ask = (of: typeof alice) => room.grants.exchange({ subjectToken: of?.token as string });
    for (let i = 0; i < MAX_GRANTS; i++) await ask(alice);
    await assert.rejects(ask(alice), { code: 'rate-limited', message: /^alice had 120 tokens within a minute/ });
    await ask(op);
    room.clock.at += 60_000;
    await ask(alice);
  });

  it('exchange() is refused once the identity is disabled', async () => {
    const room = await openGrantRoom();
    const parent = await room.issuer.issue({ identity: 'alice', by: 'op' });
    room.identities.setDisabled('alice', true);
    await assert.rejects(room.grants.exchange({ subjectToken: parent.token }), { code: 'identity-disabled' });
  });
});

describe('refresh()', () => {
  it('refresh() gives a short token under the ceiling of the credential, and counts it', async () => {
    const room = await openGrantRoom();
    const { secret, record } = room.refreshCredentials.create({ identity: 'alice', scope: ['class:read'], by: 'op' });
    const made = await room.grants.refresh({ secret, scope: ['container.list'] });
    const claims = decodeJwt(made.token);
    assert.equal((claims.exp as number) - (claims.iat as number), 900);
    assert.deepEqual(claims.parents, [{ jti: record.id, scope: 'class:read' }]);
    assert.equal(room.credentials.get(record.id)?.uses, 1);
    assert.ok(!JSON.stringify(room.credentials.list()).includes(secret));
    await assert.rejects(room.grants.refresh({ secret, scope: ['*'] }), { code: 'grant-too-wide' });
  });

  it('refresh() ends its tokens with the credential', async () => {
    const room = await openGrantRoom();
    const { secret, record } = room.refreshCredentials.create({ identity: 'alice', by: 'op' });
    const { token } = await room.grants.refresh({ secret });
    const child = await room.grants.exchange({ subjectToken: token });
    await room.authenticator.authenticate(bearer(child.token));
    room.revocations.revoke(record.id, room.clock.at);
    for (const made of [token, child.token]) {
      await assert.rejects(async () => room.authenticator.authenticate(bearer(made)), { code: 'token-revoked' });
    }
    await assert.rejects(room.grants.refresh({ secret }), { code: 'client-invalid', message: /revoked/ });
  });

  it('refresh() refuses a text that is no credential, an expired one, and one whose identity is gone', async () => {
    const room = await openGrantRoom();
    const { secret } = room.refreshCredentials.create({ identity: 'alice', ttlMs: 60 * MINUTE, by: 'op' });
    const refuse = (of: string, message: RegExp, clientId?: string) =>
      assert.rejects(room.grants.refresh({ secret: of, clientId }), { code: 'client-invalid', message });
    await refuse('', /copied whole/);
    await refuse(secret.slice(0, -1), /copied whole/);
    await refuse(secret.toUpperCase(), /copied whole/);
    await refuse(room.refreshCredentials.create({ identity: 'op', by: 'op' }).secret, /another client_id/, 'alice');
    room.identities.setDisabled('alice', true);
    await refuse(secret, /disabled/);
    room.identities.setDisabled('alice', false);
    room.clock.at += 60 * MINUTE;
    await refuse(secret, /expired/);
    room.clock.at -= 30 * MINUTE;
    room.identities.change('alice', { createdAt: room.clock.at });
    await refuse(secret, /identity of the credential is gone/);
  });

  it('refresh() is never longer than the credential lives', async () => {
    const room = await openGrantRoom();
    const { secret, record } = room.refreshCredentials.create({ identity: 'alice', ttlMs: 5 * MINUTE, by: 'op' });
    assert.ok((await room.grants.refresh({ secret, ttlMs: 60 * MINUTE })).record.expiresAt <= record.expiresAt);
  });
});

describe('createRefreshCredentials()', () => {
  it('createRefreshCredentials() makes secrets a scanner knows by their form, each another', async () => {
    const room = await openGrantRoom();
    const secrets = Array.from(
      { length: 50 },
      () => room.refreshCredentials.create({ identity: 'alice', by: 'op' }).secret,
    );
    assert.equal(new Set(secrets).size, 50);
    for (const secret of secrets) {
      assert.match(secret, /^dockgate_[0-9A-Za-z]{49}$/);
      assert.ok(isSecret(secret));
      const at = 12;
      const typo = `${secret.slice(0, at)}${secret[at] === 'x' ? 'y' : 'x'}${secret.slice(at + 1)}`;
      assert.ok(!isSecret(typo), typo);
    }
  });

  it('createRefreshCredentials() refuses an unknown or disabled identity and a life of no sense', async () => {
    const room = await openGrantRoom();
    const create = (identity: string, ttlMs?: number) => () =>
      room.refreshCredentials.create({ identity, ttlMs, by: 'op' });
    assert.throws(create('nobody'), { code: 'not-found' });
    for (const ttlMs of [0, -1, Number.NaN, 59_999, 367 * 86_400_000]) {
      assert.throws(create('alice', ttlMs), { code: 'input-invalid' });
    }
    create('alice', 60_000)();
    create('alice', 366 * 86_400_000)();
    room.identities.setDisabled('alice', true);
    assert.throws(create('alice'), { code: 'conflict' });
  });
});
