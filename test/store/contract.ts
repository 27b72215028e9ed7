// What every store of identities, tokens, keys and policies does, whatever it keeps them in.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type {
  CertificateRecord,
  CredentialRecord,
  IdentityRecord,
  SocketRecord,
  TokenRecord,
} from '../../src/identity/stores.ts';
import type { Store } from '../../src/store/open.ts';

export const NOW = Date.UTC(2030, 0, 1);

export const alice: IdentityRecord = {
  name: 'alice',
  tenant: 'red',
  groups: ['dev', 'ops'],
  policies: ['baseline'],
  disabled: false,
  createdAt: NOW,
};
export const bob: IdentityRecord = { name: 'bob', groups: [], policies: [], disabled: true, createdAt: NOW + 1 };

export const tokenOf = (id: string, identity: string, more: Partial<TokenRecord> = {}): TokenRecord => ({
  id,
  identity,
  issuedAt: NOW,
  expiresAt: NOW + 3_600_000,
  issuedBy: 'op',
  ...more,
});

const code = (wanted: string, message?: RegExp) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, wanted);
  if (message !== undefined) assert.match((error as Error).message, message);
  return true;
};

/** @param open a new, empty store for each test */
export function storeContract(name: string, open: () => { store: Store; done: () => void }): void {
  const test = (title: string, body: (store: Store) => void): void => {
    it(title, () => {
      const { store, done } = open();
      try {
        body(store);
      } finally {
        store.close();
        done();
      }
    });
  };

  describe(`${name}: identities`, () => {
    test('identities come back as they were given, with and without a tenant', ({ identities }) => {
      identities.insert(alice);
      identities.insert(bob);
      assert.deepEqual(identities.get('alice'), alice);
      assert.deepEqual(identities.get('bob'), bob);
      assert.equal('tenant' in (identities.get('bob') ?? {}), false);
    });
    test('identities are listed by name', ({ identities }) => {
      identities.insert(bob);
      identities.insert(alice);
      assert.deepEqual(identities.list(), [alice, bob]);
    });
    test('a taken name is a conflict and changes nothing; its neighbour is not', ({ identities }) => {
      identities.insert(alice);
      assert.throws(() => identities.insert({ ...alice, tenant: 'blue' }), code('conflict', /alice/));
      assert.equal(identities.get('alice')?.tenant, 'red');
      identities.insert({ ...alice, name: 'alice2' });
    });
    test('names are told apart by case and by every character', ({ identities }) => {
      identities.insert(alice);
      for (const other of ['Alice', 'alice ', 'alic', 'alicé', "alice'--", '']) {
        assert.equal(identities.get(other), undefined, other);
      }
    });
    test('identities are disabled and enabled again', ({ identities }) => {
      identities.insert(alice);
      identities.setDisabled('alice', true);
      assert.equal(identities.get('alice')?.disabled, true);
      identities.setDisabled('alice', false);
      assert.deepEqual(identities.get('alice'), alice);
    });
    test('an unknown identity cannot be disabled or deleted', ({ identities }) => {
      assert.throws(() => identities.setDisabled('nobody', true), code('not-found', /nobody/));
      assert.throws(() => identities.delete('nobody'), code('not-found', /nobody/));
      assert.equal(identities.get('nobody'), undefined);
    });
    test('identities are given a limit for the life of their tokens, and have it taken away', ({ identities }) => {
      identities.insert({ ...alice, maxTtlMs: 60_000 });
      assert.equal(identities.get('alice')?.maxTtlMs, 60_000);
      identities.setMaxTtl('alice', 90_000);
      assert.equal(identities.get('alice')?.maxTtlMs, 90_000);
      identities.setMaxTtl('alice', undefined);
      assert.deepEqual(identities.get('alice'), alice);
      assert.throws(() => identities.setMaxTtl('nobody', 1), code('not-found', /nobody/));
    });
    test('deleting one revokes its tokens, keeps earlier revocations, and leaves those of others', (store) => {
      store.identities.insert(alice);
      store.identities.insert(bob);
      store.tokens.insert(tokenOf('t1', 'alice'));
      store.tokens.insert(tokenOf('t2', 'alice', { revokedAt: NOW + 5 }));
      store.tokens.insert(tokenOf('t3', 'bob'));
      store.identities.delete('alice');
      assert.equal(store.identities.get('alice'), undefined);
      assert.ok((store.tokens.get('t1')?.revokedAt ?? 0) > 0);
      assert.equal(store.tokens.get('t2')?.revokedAt, NOW + 5);
      assert.equal(store.tokens.get('t3')?.revokedAt, undefined);
      // The name given anew does not bring them back.
      store.identities.insert(alice);
      assert.ok((store.tokens.get('t1')?.revokedAt ?? 0) > 0);
    });
    test('every change raises the generation, reading and refusals do not', ({ identities }) => {
      const before = identities.generation ?? Number.NaN;
      identities.insert(alice);
      identities.setDisabled('alice', true);
      identities.delete('alice');
      assert.equal(identities.generation, before + 3);
      identities.get('alice');
      identities.list();
      assert.throws(() => identities.delete('alice'));
      assert.equal(identities.generation, before + 3);
    });
  });

  describe(`${name}: tokens`, () => {
    test('tokens come back as they were given, with and without a scope', ({ tokens }) => {
      const scoped = tokenOf('t1', 'alice', { scope: ['container.*', 'image.pull'] });
      tokens.insert(scoped);
      tokens.insert(tokenOf('t2', 'alice'));
      tokens.insert(tokenOf('t3', 'alice', { scope: [] }));
      assert.deepEqual(tokens.get('t1'), scoped);
      assert.deepEqual(tokens.get('t2'), tokenOf('t2', 'alice'));
      assert.deepEqual(tokens.get('t3')?.scope, [], 'an empty scope is not a missing one');
      assert.equal(tokens.get('t4'), undefined);
    });
    test('tokens are listed newest first, all or of one identity', ({ tokens }) => {
      tokens.insert(tokenOf('t1', 'alice', { issuedAt: NOW }));
      tokens.insert(tokenOf('t2', 'bob', { issuedAt: NOW + 1 }));
      tokens.insert(tokenOf('t3', 'alice', { issuedAt: NOW + 2 }));
      const ids = (filter?: { identity?: string }) => tokens.list(filter).map((t) => t.id);
      assert.deepEqual(ids(), ['t3', 't2', 't1']);
      assert.deepEqual(ids({ identity: 'alice' }), ['t3', 't1']);
      assert.deepEqual(ids({ identity: 'carol' }), []);
    });
    test('an id is given once', ({ tokens }) => {
      tokens.insert(tokenOf('t1', 'alice'));
      assert.throws(() => tokens.insert(tokenOf('t1', 'bob')), code('conflict', /t1/));
      assert.equal(tokens.get('t1')?.identity, 'alice');
    });
    test('tokens come back with their details and what they were made from', ({ tokens }) => {
      const child = tokenOf('t1', 'alice', {
        authorizationDetails: [{ type: 'docker', resources: ['container/ci-*'], host: { preset: 'baseline' } }],
        ancestors: ['t0', 'c0'],
      });
      tokens.insert(child);
      assert.deepEqual(tokens.get('t1'), child);
    });
    test('tokens are revoked by identity and age, those alone', ({ tokens }) => {
      tokens.insert(tokenOf('t1', 'alice'));
      tokens.insert(tokenOf('t2', 'alice', { issuedAt: NOW + 10 }));
      tokens.insert(tokenOf('t3', 'bob'));
      tokens.insert(tokenOf('t4', 'alice', { revokedAt: NOW + 1 }));
      assert.equal(tokens.revokeIssuedBefore('alice', NOW + 10, NOW + 20), 1);
      assert.deepEqual(
        ['t1', 't2', 't3', 't4'].map((id) => tokens.get(id)?.revokedAt),
        [NOW + 20, undefined, undefined, NOW + 1],
      );
    });
    test('tokens are forgotten some time after their end, as credentials and counts are', (store) => {
      store.tokens.insert(tokenOf('t1', 'alice'));
      store.tokens.insert(tokenOf('t2', 'alice', { expiresAt: NOW + 10 }));
      store.tokenUse.add(
        new Map([
          ['t1', { lastUsedAt: NOW + 30, calls: 1, denials: 0 }],
          ['t2', { lastUsedAt: NOW, calls: 1, denials: 0 }],
        ]),
        1,
      );
      for (const kept of [store.tokens, store.credentials, store.tokenUse]) kept.forget(NOW + 20);
      assert.deepEqual(
        store.tokens.list().map(({ id }) => id),
        ['t1'],
      );
      assert.deepEqual([store.tokenUse.get('t1')?.calls, store.tokenUse.get('t2')], [1, undefined]);
    });
    test('revoking again keeps the first time; an unknown token is not found', ({ tokens }) => {
      tokens.insert(tokenOf('t1', 'alice'));
      tokens.revoke('t1', NOW + 10);
      tokens.revoke('t1', NOW + 20);
      assert.equal(tokens.get('t1')?.revokedAt, NOW + 10);
      assert.throws(() => tokens.revoke('t2', NOW), code('not-found', /t2/));
    });
    test('revoked ones are told until they expire', ({ tokens }) => {
      tokens.insert(tokenOf('t1', 'alice', { expiresAt: NOW + 100 }));
      tokens.insert(tokenOf('t2', 'alice', { expiresAt: NOW + 200 }));
      tokens.insert(tokenOf('t3', 'alice', { expiresAt: NOW + 300 }));
      tokens.revoke('t1', NOW + 1);
      tokens.revoke('t2', NOW + 1);
      assert.deepEqual([...tokens.revoked(NOW)].sort(), ['t1', 't2']);
      assert.deepEqual(tokens.revoked(NOW + 100), ['t2']);
      assert.deepEqual(tokens.revoked(NOW + 200), []);
    });
  });

  describe(`${name}: client certificates`, () => {
    const one: CertificateRecord = {
      serial: '4f1d',
      identity: 'alice',
      thumbprint: 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2',
      issuedAt: NOW,
      expiresAt: NOW + 3_600_000,
      issuedBy: 'op',
    };
    test('client certificates come back as they were given, newest first, all or those of an identity', ({
      certificates,
    }) => {
      const two = { ...one, serial: '50', identity: 'bob', issuedAt: NOW + 1 };
      certificates.insert(one);
      certificates.insert(two);
      assert.deepEqual(certificates.get('4f1d'), one);
      assert.deepEqual(certificates.list(), [two, one]);
      assert.deepEqual(certificates.list({ identity: 'alice' }), [one]);
      assert.throws(() => certificates.insert({ ...one, identity: 'bob' }), code('conflict', /4f1d/));
    });
    test('client certificates are revoked once, and remembered as revoked until they have expired', ({
      certificates,
    }) => {
      certificates.insert(one);
      certificates.revoke('4f1d', NOW + 5);
      certificates.revoke('4f1d', NOW + 9);
      assert.equal(certificates.get('4f1d')?.revokedAt, NOW + 5);
      assert.deepEqual(certificates.revoked(NOW), ['4f1d']);
      assert.deepEqual(certificates.revoked(NOW + 3_600_000), []);
      assert.throws(() => certificates.revoke('4f1', NOW), code('not-found', /4f1/));
    });
    test('client certificates end with their identity, which also forgets its sockets', ({
      certificates,
      identities,
      sockets,
    }) => {
      identities.insert(alice);
      certificates.insert(one);
      certificates.insert({ ...one, serial: '50', identity: 'bob' });
      sockets.insert({ path: '/run/a.sock', identity: 'alice', mode: 0o600, createdAt: NOW, createdBy: 'op' });
      sockets.insert({ path: '/run/b.sock', identity: 'bob', mode: 0o600, createdAt: NOW, createdBy: 'op' });
      assert.equal(sockets.list().length, 2);
      identities.delete('alice');
      assert.deepEqual(
        certificates.list().map(({ serial, revokedAt }) => [serial, revokedAt !== undefined]),
        [
          ['50', false],
          ['4f1d', true],
        ],
      );
      assert.deepEqual(
        sockets.list().map(({ path }) => path),
        ['/run/b.sock'],
      );
    });
  });

  describe(`${name}: sockets`, () => {
    test('sockets are remembered by path and removed', ({ sockets }) => {
      const one: SocketRecord = {
        path: '/run/ci.sock',
        identity: 'ci',
        mode: 0o660,
        group: 'docker-ci',
        createdAt: NOW,
        createdBy: 'op',
      };
      sockets.insert(one);
      assert.deepEqual(sockets.get('/run/ci.sock'), one);
      assert.throws(() => sockets.insert({ ...one, identity: 'bob' }), code('conflict', /ci\.sock/));
      assert.equal(sockets.list().length, 1);
      sockets.remove('/run/ci.sock');
      assert.deepEqual(sockets.list(), []);
      assert.throws(() => sockets.remove('/run/ci.sock'), code('not-found', /ci\.sock/));
    });
  });

  describe(`${name}: signing keys`, () => {
    test('signing keys come back oldest first, replaced by key id, and changed all or not at all', ({ keys }) => {
      const key = (kid: string, createdAt: number, state: 'active' | 'next' | 'retiring') => ({
        kid,
        algorithm: 'Ed25519' as const,
        privateJwk: '{"d":"x"}',
        publicJwk: '{"x":"y"}',
        state,
        createdAt,
        stateAt: createdAt,
      });
      keys.apply({ put: [key('b', NOW + 1, 'next'), key('a', NOW, 'active')] });
      assert.deepEqual(keys.list(), [key('a', NOW, 'active'), key('b', NOW + 1, 'next')]);
      keys.apply({ put: [key('a', NOW, 'retiring'), key('c', NOW + 2, 'next')], remove: ['b'] });
      assert.deepEqual(keys.list(), [key('a', NOW, 'retiring'), key('c', NOW + 2, 'next')]);
      const broken = { ...key('d', NOW, 'next'), publicJwk: null as unknown as string };
      assert.throws(() => keys.apply({ put: [key('e', NOW, 'next'), broken], remove: ['a'] }));
      assert.deepEqual(
        keys.list().map(({ kid }) => kid),
        ['a', 'c'],
      );
    });
  });

  describe(`${name}: credentials`, () => {
    const credentialOf = (id: string, identity: string, more: Partial<CredentialRecord> = {}): CredentialRecord => ({
      id,
      identity,
      hash: `hash of ${id}`,
      createdAt: NOW,
      expiresAt: NOW + 3_600_000,
      createdBy: 'op',
      uses: 0,
      ...more,
    });
    const details = [{ type: 'docker' as const, actions: ['container.*'] }];
    test('credentials come back as they were given, by id and by hash', ({ credentials }) => {
      const narrow = credentialOf('c1', 'alice', { scope: [], authorizationDetails: details });
      credentials.insert(narrow);
      credentials.insert(credentialOf('c2', 'bob'));
      assert.deepEqual(credentials.get('c1'), narrow);
      assert.deepEqual(credentials.byHash('hash of c2'), credentialOf('c2', 'bob'));
      assert.equal(credentials.byHash('hash of C2'), undefined);
      assert.throws(() => credentials.insert(credentialOf('c3', 'bob', { hash: 'hash of c1' })));
      assert.deepEqual(
        credentials.list({ identity: 'bob' }).map(({ id }) => id),
        ['c2'],
      );
    });
    test('credentials are counted, revoked once, by id and by age, and with their identity', (store) => {
      const { credentials } = store;
      store.identities.insert(alice);
      credentials.insert(credentialOf('c1', 'alice'));
      credentials.insert(credentialOf('c2', 'alice', { createdAt: NOW + 10 }));
      credentials.insert(credentialOf('c3', 'bob'));
      credentials.used('c1', NOW + 5);
      credentials.used('c1', NOW + 6);
      assert.deepEqual([credentials.get('c1')?.uses, credentials.get('c1')?.lastUsedAt], [2, NOW + 6]);
      assert.equal(credentials.revokeIssuedBefore('alice', NOW + 10, NOW + 20), 1);
      credentials.revoke('c1', NOW + 30);
      assert.equal(credentials.get('c1')?.revokedAt, NOW + 20);
      assert.deepEqual(credentials.revoked(NOW), ['c1']);
      assert.throws(() => credentials.revoke('c9', NOW), code('not-found', /c9/));
      store.identities.delete('alice');
      assert.deepEqual([...credentials.revoked(NOW)].sort(), ['c1', 'c2']);
    });
  });

  describe(`${name}: use of tokens`, () => {
    test('adds up, and remembers how far the log is counted', ({ tokenUse }) => {
      assert.equal(tokenUse.countedTo(), 0);
      assert.equal(tokenUse.get('t1'), undefined);
      tokenUse.add(new Map([['t1', { lastUsedAt: NOW + 5, calls: 3, denials: 1 }]]), 7);
      tokenUse.add(
        new Map([
          ['t1', { lastUsedAt: NOW, calls: 2, denials: 0 }],
          ['t2', { lastUsedAt: NOW, calls: 1, denials: 1 }],
        ]),
        9,
      );
      assert.deepEqual(tokenUse.get('t1'), { lastUsedAt: NOW + 5, calls: 5, denials: 1 });
      assert.equal(tokenUse.countedTo(), 9);
    });
  });

  describe(`${name}: policies`, () => {
    const policy = (documentName: string, source = `source of ${documentName}`) => ({
      kind: 'Policy' as const,
      name: documentName,
      source,
    });
    test('an empty store is at revision 0', ({ policies }) => {
      assert.deepEqual(policies.current(), { revision: 0, documents: [] });
      assert.deepEqual(policies.history('a'), []);
    });
    test('what is applied together is one revision, and the newest of each name is in force', ({ policies }) => {
      assert.equal(policies.apply([policy('b'), policy('a')], 'op', NOW), 1);
      assert.equal(policies.apply([policy('a', 'second')], 'op2', NOW + 1), 2);
      const { revision, documents } = policies.current();
      assert.equal(revision, 2);
      assert.deepEqual(
        documents.map((d) => [d.name, d.source, d.revision, d.by, d.at]),
        [
          ['a', 'second', 2, 'op2', NOW + 1],
          ['b', 'source of b', 1, 'op', NOW],
        ],
      );
    });
    test('applying nothing is no revision', ({ policies }) => {
      policies.apply([policy('a')], 'op', NOW);
      assert.equal(policies.apply([], 'op', NOW), 1);
      assert.equal(policies.current().revision, 1);
    });
    test('a name given twice at once is refused and nothing of it stays', ({ policies }) => {
      policies.apply([policy('a')], 'op', NOW);
      assert.throws(() => policies.apply([policy('b'), policy('c'), policy('b')], 'op', NOW), code('conflict', /b/));
      assert.deepEqual(
        policies.current().documents.map((d) => d.name),
        ['a'],
      );
      assert.equal(policies.current().revision, 1);
    });
    test('a removed document is out of force, stays in the history, and may come back', ({ policies }) => {
      policies.apply([policy('a', 'first'), policy('b')], 'op', NOW);
      assert.equal(policies.remove('a', 'op', NOW + 1), 2);
      assert.deepEqual(
        policies.current().documents.map((d) => d.name),
        ['b'],
      );
      assert.throws(() => policies.remove('a', 'op', NOW + 2), code('not-found', /a/));
      assert.throws(() => policies.remove('c', 'op', NOW + 2), code('not-found', /c/));
      assert.equal(policies.current().revision, 2);
      assert.equal(policies.apply([policy('a', 'third')], 'op', NOW + 3), 3);
      assert.deepEqual(
        policies.history('a').map((d) => [d.revision, d.source, d.deleted]),
        [
          [3, 'third', false],
          [2, 'first', true],
          [1, 'first', false],
        ],
      );
    });
    test('a name may change its kind', ({ policies }) => {
      policies.apply([policy('a')], 'op', NOW);
      policies.remove('a', 'op', NOW);
      policies.apply([{ kind: 'Binding', name: 'a', source: 'x' }], 'op', NOW);
      assert.deepEqual(
        policies.current().documents.map((d) => d.kind),
        ['Binding'],
      );
    });
  });

  describe(`${name}: settings`, () => {
    test('settings are remembered, replaced, and told apart', ({ settings }) => {
      assert.equal(settings.get('a'), undefined);
      settings.set('a', '1');
      settings.set('b', '');
      settings.set('a', '2');
      assert.equal(settings.get('a'), '2');
      assert.equal(settings.get('b'), '');
    });
  });
}
