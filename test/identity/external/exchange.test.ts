// A job's token exchanged for one of ours: only where it speaks for an identity, never for longer or for more, and ended by
// whatever ends the job's own.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createGrants, type GrantParts, type Grants } from '../../../src/identity/grants.ts';
import { startIssuer, type TestIssuer } from '../../support/oidc-issuer.ts';
import { type ExternalRoom, openExternalRoom, settingOf } from './room.ts';

const AS_ALICE = [{ name: 'as-alice', when: [], identity: 'alice', groups: [], policies: [] }];

describe('a token of an external issuer at the token endpoint', () => {
  let issuer: TestIssuer;
  before(async () => {
    issuer = await startIssuer();
    await issuer.addKey('k1');
  });
  after(() => issuer.stop());

  const open = async (changes = {}): Promise<ExternalRoom & { grants: Grants }> => {
    const room = await openExternalRoom(issuer, [settingOf(issuer, { rules: AS_ALICE, ...changes })]);
    const { issuer: own, authenticator, identities } = room;
    const unused = {} as Pick<GrantParts, 'refreshCredentials' | 'credentials'>;
    const grants = createGrants({ ...unused, issuer: own, authenticator, identities, now: () => room.clock.at });
    return { ...room, grants };
  };

  it('becomes a narrower one that ends no later than it', async () => {
    const room = await open();
    const subjectToken = await issuer.sign('k1', room.claims());
    const made = await room.grants.exchange({ subjectToken, scope: ['container.list'], ttlMs: 86_400_000 });
    const child = await room.principal(made.token);
    assert.deepEqual([child.subject, child.scope], ['alice', ['container.list']]);
    const parent = await room.principal(subjectToken);
    assert.ok((child.expiresAt as number) <= (parent.expiresAt as number));
    assert.deepEqual(made.origin, parent.origin);
    assert.equal(made.parent, 'test:j1');
  });

  it('a blocked token or subject ends the tokens made from it, and no others', async () => {
    const room = await open();
    const { token } = await room.grants.exchange({ subjectToken: await issuer.sign('k1', room.claims()) });
    const grandchild = await room.grants.exchange({ subjectToken: token });
    const other = await room.grants.exchange({
      subjectToken: await issuer.sign('k1', room.claims({ jti: 'j9', sub: 'b' })),
    });
    const own = await room.issuer.issue({ identity: 'alice', by: 'op' });
    for (const [kind, value] of [
      ['token', 'j1'],
      ['subject', 'job'],
    ] as const) {
      const block = { issuer: 'test', kind, value };
      room.blocks.add({ ...block, createdAt: 0, createdBy: 'op' });
      for (const text of [token, grandchild.token]) assert.equal((await room.refusal(text)).code, 'token-revoked');
      for (const text of [other.token, own.token]) assert.equal((await room.principal(text)).subject, 'alice');
      room.blocks.remove(block);
      assert.equal((await room.principal(grandchild.token)).subject, 'alice');
    }
  });

  it('a token of an external issuer at the token endpoint is refused when it names no identity of the gateway, comes from elsewhere, or is bound to another proof', async () => {
    const named = await open({ rules: settingOf(issuer).rules });
    const plain = await issuer.sign('k1', named.claims());
    await assert.rejects(named.grants.exchange({ subjectToken: plain }), { code: 'grant-invalid' });
    const room = await open({ replay: 'one-source' });
    await room.grants.exchange({ subjectToken: plain, source: '10.0.0.1' });
    await assert.rejects(room.grants.exchange({ subjectToken: plain, source: '10.0.0.2' }), { code: 'token-replayed' });
    const dpop = await issuer.sign('k1', room.claims({ jti: 'd', cnf: { jkt: 'x' } }));
    await assert.rejects(room.grants.exchange({ subjectToken: dpop, source: '10.0.0.1' }), { code: 'token-invalid' });
  });

  it('claims that would be a ceiling in a token of ours mean nothing in it, and widen nothing', async () => {
    const room = await open();
    const subjectToken = await issuer.sign(
      'k1',
      room.claims({
        scope: 'openid profile',
        authorization_details: [{ type: 'x' }],
        parents: [{ jti: 'p' }],
        act: { sub: 'op' },
      }),
    );
    const principal = await room.principal(subjectToken);
    assert.equal(principal.scope, undefined);
    assert.equal(principal.authorizationDetails, undefined);
    assert.equal(principal.ancestors, undefined);
  });
});
