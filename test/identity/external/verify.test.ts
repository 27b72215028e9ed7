// Which tokens of an external issuer are taken: a table of spoilt ones beside their good neighbours, algorithm confusion and
// key confusion, against a real issuer on loopback.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { exportSPKI, generateKeyPair, type JWTHeaderParameters, SignJWT } from 'jose';
import { GatewayError } from '../../../src/errors.ts';
import { blocksInSettings, createBlocks } from '../../../src/identity/external/blocks.ts';
import { openStore } from '../../../src/store/open.ts';
import { JWKS, startIssuer, type TestIssuer } from '../../support/oidc-issuer.ts';
import { AUDIENCE, openExternalRoom, settingOf } from './room.ts';

const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a token of an external issuer', () => {
  let issuer: TestIssuer;
  let publicKey: CryptoKey;
  before(async () => {
    issuer = await startIssuer();
    publicKey = await issuer.addKey('k1');
    await issuer.addKey('ec', 'ES256');
    await issuer.addKey('ed', 'Ed25519');
    await issuer.addKey('hidden', 'RS256', { publish: false });
  });
  after(() => issuer.stop());

  it('becomes a principal under the name of its issuer, with what the rule says', async () => {
    const rule = {
      name: 'deploy',
      when: [{ claim: 'repo', kind: 'equals' as const, values: ['acme/app'] }],
      subject: `ci:\${repo}`,
      tenant: `t-\${org}`,
      owner: `\${run}`,
      groups: ['ci'],
      policies: ['baseline'],
    };
    const room = await openExternalRoom(issuer, [settingOf(issuer, { rules: [rule] })]);
    const claims = room.claims({ repo: 'acme/app', org: 7, run: '99', secret: 'x', owner: 'somebody' });
    const principal = await room.principal(await issuer.sign('k1', claims));
    const { claims: kept, ...rest } = principal;
    assert.deepEqual(rest, {
      subject: 'ci:acme/app',
      issuer: issuer.url,
      tenant: 't-7',
      groups: ['ci'],
      policies: ['baseline'],
      tokenId: 'test:j1',
      expiresAt: ((claims.exp as number) + 30) * 1000,
      channel: 'bearer',
      origin: {
        issuer: 'test',
        iss: issuer.url,
        subject: 'job',
        rule: 'deploy',
        claims: { sub: 'job', repo: 'acme/app', org: '7', run: '99' },
      },
    });
    assert.equal(kept.owner, '99', 'the owner is the mapping’s word, not the token’s');
    assert.equal(kept.repo, 'acme/app');
  });

  it('a token of an external issuer may name an identity of this gateway, which keeps its own attributes and its own issuer', async () => {
    const rules = [{ name: 'as-alice', when: [], identity: 'alice', groups: [], policies: [] }];
    const room = await openExternalRoom(issuer, [settingOf(issuer, { rules })]);
    const token = await issuer.sign('k1', room.claims());
    const principal = await room.principal(token);
    assert.equal(principal.subject, 'alice');
    assert.equal(principal.issuer, room.issuer.issuer);
    assert.deepEqual([principal.tenant, principal.groups, principal.policies], ['red', ['dev'], ['baseline']]);
    assert.equal(principal.origin?.rule, 'as-alice');
    room.identities.setDisabled('alice', true);
    assert.equal((await room.refusal(token)).code, 'identity-disabled');
    assert.throws(() => room.authenticator.recheck(principal), { code: 'identity-disabled' });
    room.identities.setDisabled('alice', false);
    room.authenticator.recheck(principal);
    room.identities.delete('alice');
    assert.equal((await room.refusal(token)).code, 'identity-unknown');
  });

  it('lives no longer for an identity than that identity’s tokens may', async () => {
    const rules = [{ name: 'as-alice', when: [], identity: 'alice', groups: [], policies: [] }];
    const room = await openExternalRoom(issuer, [settingOf(issuer, { rules })]);
    const token = await issuer.sign('k1', room.claims());
    const unlimited = await room.principal(token);
    assert.equal(unlimited.expiresAt, room.clock.at + 330_000);
    room.identities.change('alice', { maxTtlMs: 60_000 });
    const limited = await room.principal(token);
    assert.equal(limited.expiresAt, room.clock.at + 60_000);
    room.clock.at += 60_000;
    assert.equal((await room.refusal(token)).code, 'token-expired');
    assert.throws(() => room.authenticator.recheck(limited), { code: 'token-expired' });
    room.identities.change('alice', { maxTtlMs: undefined } as never);
    assert.equal((await room.principal(token)).subject, 'alice');
  });

  it('a token of an external issuer is answered synchronously once verified, with the same principal', async () => {
    const room = await openExternalRoom(issuer);
    const token = await issuer.sign('k1', room.claims());
    const first = await room.principal(token);
    assert.equal(room.authenticator.authenticate(['authorization', `Bearer ${token}`]), first);
  });

  type Spoil = (claims: Record<string, unknown>, header: Record<string, unknown>, nowS: number) => void;
  const rows: [string, Spoil, string | undefined][] = [
    ['as it should be', () => {}, undefined],
    ['our audience among several', (c) => Object.assign(c, { aud: ['account', AUDIENCE] }), undefined],
    ['another audience', (c) => Object.assign(c, { aud: 'https://other.example' }), 'token-invalid'],
    [
      'an audience that begins with ours',
      (c) => Object.assign(c, { aud: `${AUDIENCE}.evil.example` }),
      'token-invalid',
    ],
    ['no audience', (c) => delete c.aud, 'token-invalid'],
    ['an empty list of audiences', (c) => Object.assign(c, { aud: [] }), 'token-invalid'],
    ['an issuer with a slash more', (c) => Object.assign(c, { iss: `${c.iss}/` }), 'token-invalid'],
    ['no issuer', (c) => delete c.iss, 'token-invalid'],
    ['an issuer that is a list', (c) => Object.assign(c, { iss: [c.iss] }), 'token-invalid'],
    ['no exp', (c) => delete c.exp, 'token-invalid'],
    ['no iat', (c) => delete c.iat, 'token-invalid'],
    ['an exp that is a text', (c) => Object.assign(c, { exp: String(c.exp) }), 'token-invalid'],
    ['expired 29 s ago', (c, _h, now) => Object.assign(c, { iat: now - 300, exp: now - 29 }), undefined],
    ['expired 31 s ago', (c, _h, now) => Object.assign(c, { iat: now - 300, exp: now - 31 }), 'token-expired'],
    ['nbf in 29 s', (c, _h, now) => Object.assign(c, { nbf: now + 29 }), undefined],
    ['nbf in 31 s', (c, _h, now) => Object.assign(c, { nbf: now + 31 }), 'token-not-yet-valid'],
    ['iat in 29 s', (c, _h, now) => Object.assign(c, { iat: now + 29 }), undefined],
    ['iat in 31 s', (c, _h, now) => Object.assign(c, { iat: now + 31 }), 'token-not-yet-valid'],
    ['a life of an hour', (c, _h, now) => Object.assign(c, { exp: now + 3600 }), undefined],
    ['a life of an hour and a second', (c, _h, now) => Object.assign(c, { exp: now + 3601 }), 'token-invalid'],
    ['an exp before iat', (c, _h, now) => Object.assign(c, { iat: now, exp: now - 5 }), 'token-invalid'],
    ['no jti', (c) => delete c.jti, undefined],
    ['a jti that is a number', (c) => Object.assign(c, { jti: 7 }), 'token-invalid'],
    ['a logout event', (c) => Object.assign(c, { events: {} }), 'token-invalid'],
    ['typ JWT in lower case', (_c, h) => Object.assign(h, { typ: 'jwt' }), undefined],
    ['typ at+jwt', (_c, h) => Object.assign(h, { typ: 'at+jwt' }), undefined],
    ['no typ', (_c, h) => Object.assign(h, { typ: undefined }), undefined],
    ['typ of another purpose', (_c, h) => Object.assign(h, { typ: 'dpop+jwt' }), 'token-invalid'],
    ['typ logout+jwt', (_c, h) => Object.assign(h, { typ: 'logout+jwt' }), 'token-invalid'],
    ['crit', (_c, h) => Object.assign(h, { crit: ['b64'], b64: true }), 'token-invalid'],
    ['a jku', (_c, h) => Object.assign(h, { jku: 'http://127.0.0.1:1/keys' }), undefined],
    ['an x5t', (_c, h) => Object.assign(h, { x5t: 'abc' }), undefined],
    ['an unknown kid', (_c, h) => Object.assign(h, { kid: 'k2' }), 'token-key-unknown'],
    ['the kid of a key of another type', (_c, h) => Object.assign(h, { kid: 'ec' }), 'token-key-unknown'],
    ['no kid, with one key that fits', (_c, h) => Object.assign(h, { kid: undefined }), undefined],
    ['a kid that is a number', (_c, h) => Object.assign(h, { kid: 7 }), 'token-invalid'],
  ];
  for (const [name, spoil, code] of rows) {
    it(code === undefined ? `is taken: ${name}` : `is refused: ${name}: ${code}`, async () => {
      const room = await openExternalRoom(issuer);
      const claims = room.claims();
      const header: Record<string, unknown> = {};
      spoil(claims, header, room.clock.at / 1000);
      const token = await issuer.sign('k1', claims, header as Partial<JWTHeaderParameters>);
      if (code === undefined) assert.equal((await room.principal(token)).subject, 'test:job');
      else assert.equal((await room.refusal(token)).code, code);
    });
  }

  it('a token with an algorithm that is not pinned is refused, whichever key signed it', async () => {
    const room = await openExternalRoom(issuer);
    const claims = room.claims();
    const spki = await exportSPKI(publicKey);
    const head = (alg: string) => `${b64({ typ: 'JWT', alg, kid: 'k1' })}.${b64(claims)}`;
    const hmac = (input: string, secret: string | Buffer) =>
      `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
    const modulus = Buffer.from((issuer.jwks[0] as { n: string }).n, 'base64url');
    const tokens: [string, string][] = [
      ['none', `${head('none')}.`],
      ['none with a signature', `${head('none')}.AAAA`],
      ['None', `${head('None')}.AAAA`],
      ['HS256 under the public key as PEM', hmac(head('HS256'), spki)],
      ['HS256 under the public key without its last line', hmac(head('HS256'), spki.trim())],
      ['HS256 under the modulus', hmac(head('HS256'), modulus)],
      ['HS256 under the JWK', hmac(head('HS256'), JSON.stringify(issuer.jwks[0]))],
      ['ES256, which the issuer has a key for', await issuer.sign('ec', claims)],
      ['Ed25519, which the issuer has a key for', await issuer.sign('ed', claims)],
      ['rs256 in lower case', `${head('rs256')}.AAAA`],
    ];
    for (const [name, token] of tokens) {
      const error = await room.refusal(token);
      assert.ok(['token-invalid', 'token-malformed'].includes(error.code), `${name}: ${error.code}`);
    }
    // The neighbour: the same keys, when their algorithms are pinned.
    const wide = await openExternalRoom(issuer, [settingOf(issuer, { algorithms: ['RS256', 'ES256', 'EdDSA'] })]);
    for (const kid of ['k1', 'ec', 'ed'])
      assert.equal((await wide.principal(await issuer.sign(kid, claims))).subject, 'test:job');
  });

  it('a token with a key of its own is refused, and that key is not fetched', async () => {
    const room = await openExternalRoom(issuer);
    const thief = await startIssuer();
    try {
      await thief.addKey('k1');
      const [jwk] = thief.jwks as [Record<string, string>];
      for (const header of [{ jwk }, { jku: `${thief.url}${JWKS}` }, { x5u: `${thief.url}/x5u` }, { x5c: ['MII'] }]) {
        const token = await thief.sign('k1', room.claims(), header as Partial<JWTHeaderParameters>);
        assert.equal((await room.refusal(token)).code, 'token-invalid');
      }
      assert.equal(thief.requests.size, 0);
    } finally {
      await thief.stop();
    }
  });

  it('a token of an external issuer is refused when a key of one issuer signs for another, or for this gateway', async () => {
    const other = await startIssuer();
    try {
      await other.addKey('k1');
      const room = await openExternalRoom(issuer, [settingOf(issuer), settingOf(other, { name: 'other' })]);
      assert.equal((await room.refusal(await other.sign('k1', room.claims()))).code, 'token-invalid');
      const own = room.claims({ iss: room.issuer.issuer, aud: room.issuer.audience, sub: 'alice' });
      for (const typ of ['JWT', 'at+jwt']) {
        assert.equal((await room.refusal(await issuer.sign('k1', own, { typ }))).code, 'token-invalid');
      }
      assert.equal((await room.principal(await other.sign('k1', room.claims({ iss: other.url })))).issuer, other.url);
      const stranger = await room.refusal(await issuer.sign('k1', room.claims({ iss: 'https://stranger.example' })));
      assert.equal(stranger.code, 'token-invalid');
      assert.match(stranger.message, /iss/);
    } finally {
      await other.stop();
    }
  });

  const sets: [
    string,
    (jwk: Record<string, unknown>, twin: Record<string, unknown>) => unknown[],
    string | undefined,
  ][] = [
    ['the key alone', (jwk) => [jwk], undefined],
    ['the key without alg and use', ({ alg: _a, use: _u, ...jwk }) => [jwk], undefined],
    [
      'an EC key of the same kid beside it',
      (jwk) => [{ kty: 'EC', crv: 'P-256', kid: 'k1', x: 'AA', y: 'AA' }, jwk],
      undefined,
    ],
    [
      'a secret of the same kid beside it',
      (jwk) => [{ kty: 'oct', k: 'c2VjcmV0', kid: 'k1', alg: 'HS256' }, jwk],
      undefined,
    ],
    ['an encryption key of the same kid beside it', (jwk, twin) => [{ ...twin, use: 'enc' }, jwk], undefined],
    [
      'garbage beside it',
      (jwk) => [null, 7, 'x', [], {}, { kty: 'RSA' }, { kty: 'RSA', n: 'A', e: 'AQAB' }, jwk],
      undefined,
    ],
    ['another RSA key of the same kid beside it', (jwk, twin) => [jwk, twin], 'token-invalid'],
    ['the same key twice', (jwk) => [jwk, jwk], 'token-invalid'],
    ['the key for another algorithm', (jwk) => [{ ...jwk, alg: 'PS256' }], 'token-key-unknown'],
    ['the key for encryption', (jwk) => [{ ...jwk, use: 'enc' }], 'token-key-unknown'],
    ['the key for signing only', (jwk) => [{ ...jwk, key_ops: ['sign'] }], 'token-key-unknown'],
    ['a key of 1024 bits', (jwk) => [{ ...jwk, n: (jwk.n as string).slice(0, 171) }], 'token-key-unknown'],
    ['no key', () => [], 'token-key-unknown'],
  ];
  for (const [name, make, code] of sets) {
    it(`${code === undefined ? 'is taken' : `is refused (${code})`} when the key set holds ${name}`, async () => {
      const held = await startIssuer();
      try {
        await held.addKey('k1');
        const [jwk] = held.jwks as [Record<string, unknown>];
        const twin = { ...(issuer.jwks[0] as Record<string, unknown>), kid: 'k1' };
        held.jwks = make(jwk, twin);
        const room = await openExternalRoom(held);
        const token = await held.sign('k1', room.claims());
        if (code === undefined) assert.equal((await room.principal(token)).subject, 'test:job');
        else assert.equal((await room.refusal(token)).code, code);
      } finally {
        await held.stop();
      }
    });
  }

  it('a token of an external issuer is refused without a kid when two keys could be meant', async () => {
    const room = await openExternalRoom(issuer, [settingOf(issuer)]);
    issuer.jwks.push({ ...(issuer.jwks[0] as object), kid: 'k1b' });
    try {
      const pair = await generateKeyPair('RS256');
      const token = await new SignJWT(room.claims()).setProtectedHeader({ alg: 'RS256' }).sign(pair.privateKey);
      assert.equal((await room.refusal(token)).code, 'token-invalid');
    } finally {
      issuer.jwks.pop();
    }
  });

  it('made of anything at all is refused with a 401, and never a fault of ours', async () => {
    const room = await openExternalRoom(issuer);
    await room.external.refresh();
    const good = await issuer.sign('k1', room.claims());
    const [head = '', body = '', signature = ''] = good.split('.');
    const part = fc.oneof(
      fc.constantFrom(head, body, signature, '', 'e30', 'bnVsbA', 'W10', 'eyJpc3MiOm51bGx9'),
      fc.json().map((text) => Buffer.from(text).toString('base64url')),
      fc
        .dictionary(fc.constantFrom('iss', 'alg', 'kid', 'typ', 'crit', 'exp', 'aud', '__proto__'), fc.jsonValue())
        .map(b64),
      fc.constant(body).map((text) => b64({ ...JSON.parse(Buffer.from(text, 'base64url').toString()), exp: 1e300 })),
      fc.string({ maxLength: 60 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 5 }), async (parts) => {
        const token = parts.join('.');
        if (token === good) return;
        await assert.rejects(room.principal(token), (error) => error instanceof GatewayError && error.status === 401);
      }),
      { numRuns: 500 },
    );
  });

  it('a token longer than 8 KiB is refused unread', async () => {
    const room = await openExternalRoom(issuer);
    const token = await issuer.sign('k1', room.claims({ pad: 'x'.repeat(8000) }));
    assert.equal((await room.refusal(token)).code, 'token-malformed');
  });

  it('an unmapped token is told no reason; the reason stands in the audit alone', async () => {
    const rules = [
      {
        name: 'main',
        when: [{ claim: 'ref', kind: 'equals' as const, values: ['refs/heads/main'] }],
        subject: `x:\${sub}`,
        groups: [],
        policies: [],
      },
      {
        name: 'any-ref',
        when: [{ claim: 'ref', kind: 'glob' as const, values: ['refs/heads/*'] }],
        subject: `y:\${sub}`,
        groups: [],
        policies: [],
      },
    ];
    const room = await openExternalRoom(issuer, [settingOf(issuer, { rules })]);
    const unmapped = await room.refusal(await issuer.sign('k1', room.claims({ ref: 'refs/tags/v1', email: 'a@b' })));
    assert.equal(unmapped.code, 'identity-not-mapped');
    assert.equal(unmapped.status, 401);
    assert.doesNotMatch(unmapped.message, /refs|main|ref /);
    assert.deepEqual(unmapped.audit, {
      issuer: 'test',
      tokenId: 'test:j1',
      claims: { sub: 'job', ref: 'refs/tags/v1' },
      notes: [
        'rule main: ref is "refs/tags/v1", not one of refs/heads/main',
        'rule any-ref: ref is "refs/tags/v1", not like refs/heads/*',
      ],
    });
    const ambiguous = await room.refusal(await issuer.sign('k1', room.claims({ ref: 'refs/heads/main' })));
    assert.equal(ambiguous.code, 'identity-ambiguous');
    assert.deepEqual(ambiguous.audit?.notes, ['rules main and any-ref both match']);
    // A refusal that was kept says the same, and keeps its details for the audit.
    const again = await room.refusal(await issuer.sign('k1', room.claims({ ref: 'refs/heads/main' })));
    assert.deepEqual(again.audit, ambiguous.audit);
    assert.equal(
      (await room.principal(await issuer.sign('k1', room.claims({ ref: 'refs/heads/dev' })))).subject,
      'y:job',
    );
  });

  it('a token of an external issuer is good at one address only, where the settings say so', async () => {
    const room = await openExternalRoom(issuer, [settingOf(issuer, { replay: 'one-source' })]);
    const token = await issuer.sign('k1', room.claims());
    const principal = await room.principal(token, '10.0.0.1');
    assert.equal(await room.principal(token, '10.0.0.1'), principal);
    const error = await room.refusal(token, '10.0.0.2');
    assert.equal(error.code, 'token-replayed');
    assert.deepEqual(error.audit, { issuer: 'test', tokenId: 'test:j1', firstSource: '10.0.0.1' });
    assert.equal(await room.principal(token, '10.0.0.1'), principal);
    const another = await issuer.sign('k1', room.claims({ jti: 'j2' }));
    assert.equal((await room.principal(another, '10.0.0.2')).subject, 'test:job');
    assert.equal(
      (await room.refusal(await issuer.sign('k1', room.claims({ jti: undefined })), '10.0.0.2')).code,
      'token-invalid',
    );
    // A reload forgets nothing of it.
    room.reload(settingOf(issuer, { replay: 'one-source' }));
    assert.equal((await room.refusal(token, '10.0.0.3')).code, 'token-replayed');
  });

  it('a reload counts from the next call: for new rules, for kept refusals, and for live streams', async () => {
    const room = await openExternalRoom(issuer);
    const token = await issuer.sign('k1', room.claims({ ref: 'dev' }));
    const principal = await room.principal(token);
    const narrow = [
      {
        name: 'main',
        when: [{ claim: 'ref', kind: 'equals' as const, values: ['main'] }],
        subject: `test:\${sub}`,
        groups: [],
        policies: ['baseline'],
      },
    ];
    room.reload(settingOf(issuer, { rules: narrow }));
    assert.throws(() => room.authenticator.recheck(principal), { code: 'identity-not-mapped' });
    assert.equal((await room.refusal(token)).code, 'identity-not-mapped');
    room.reload(settingOf(issuer));
    room.authenticator.recheck(principal);
    assert.equal((await room.principal(token)).subject, 'test:job');
    room.reload();
    assert.throws(() => room.authenticator.recheck(principal), { code: 'identity-not-mapped' });
    assert.equal((await room.refusal(token)).status, 401);
  });

  it('a token of an external issuer is refused when it, its sub or its subject is blocked here, and nothing else is', async () => {
    const room = await openExternalRoom(issuer);
    const token = await issuer.sign('k1', room.claims());
    const principal = await room.principal(token);
    const since = { createdAt: room.clock.at, createdBy: 'op' };
    for (const block of [
      { issuer: 'test', kind: 'token' as const, value: 'j1' },
      { issuer: 'test', kind: 'subject' as const, value: 'job' },
      { issuer: 'test', kind: 'subject' as const, value: 'test:job' },
    ]) {
      room.blocks.add({ ...block, ...since });
      assert.equal((await room.refusal(token)).code, 'token-revoked');
      assert.throws(() => room.authenticator.recheck(principal), { code: 'token-revoked' });
      room.blocks.remove(block);
      assert.equal(await room.principal(token), principal);
      room.authenticator.recheck(principal);
    }
    for (const [kind, value, name] of [
      ['token', 'j2', 'test'],
      ['token', 'job', 'test'],
      ['subject', 'j1', 'test'],
      ['subject', 'job', 'other'],
    ] as const) {
      room.blocks.add({ issuer: name, kind, value, ...since });
    }
    assert.equal(await room.principal(token), principal);
    assert.throws(() => room.blocks.remove({ issuer: 'test', kind: 'token', value: 'j1' }), { code: 'not-found' });
    // A block of a token is forgotten when no such token can live.
    room.blocks.add({ issuer: 'test', kind: 'token', value: 'j3', ...since, until: room.clock.at + 1000 });
    assert.equal(room.blocks.list().length, 5);
    room.clock.at += 1000;
    assert.equal(room.blocks.list().length, 4);
    for (let i = room.blocks.list().length; i < 1000; i++) {
      room.blocks.add({ issuer: 'test', kind: 'token', value: `n${i}`, ...since });
    }
    assert.throws(() => room.blocks.add({ issuer: 'test', kind: 'token', value: 'one-more', ...since }), {
      code: 'conflict',
    });
  });

  it('blocks outlive the process', () => {
    const store = openStore(':memory:');
    const block = { issuer: 'test', kind: 'subject' as const, value: 'job', createdAt: 1, createdBy: 'op' };
    createBlocks(blocksInSettings(store.settings)).add(block);
    assert.deepEqual(createBlocks(blocksInSettings(store.settings)).list(), [block]);
    store.close();
  });

  const names: [string, string, boolean][] = [
    ['plain', 'prod', true],
    ['with a space', 'my prod', true],
    ['in another script', 'продакшн', true],
    ['with a star', 'prod*', false],
    ['with a dollar', 'prod$', false],
    ['with a line break', 'prod\nx', false],
    ['with a letter that turns the line around', 'prod\u202edorp', false],
    ['with a letter that cannot be seen', 'pr\u200bod', false],
    ['in two spellings', 'cafe\u0301', false],
    ['in one spelling', 'caf\u00e9', true],
    ['with the character that ends its place', 'a:b', false],
    ['empty', '', false],
    ['of 600 characters', 'x'.repeat(600), false],
  ];
  for (const [name, env, isTaken] of names) {
    it(`${isTaken ? 'is taken' : 'is refused'} when the claim that fills its subject is ${name}`, async () => {
      const rules = [{ name: 'r', when: [], subject: `ci:\${env}:\${sub}`, groups: [], policies: [] }];
      const room = await openExternalRoom(issuer, [settingOf(issuer, { rules })]);
      const token = await issuer.sign('k1', room.claims({ env }));
      if (isTaken) assert.equal((await room.principal(token)).subject, `ci:${env}:job`);
      else assert.equal((await room.refusal(token)).code, 'identity-not-mapped');
    });
  }

  it('gets no tenant that an identity of this gateway could not have', async () => {
    const rules = [{ name: 'r', when: [], subject: `ci:\${sub}`, tenant: `\${t}`, groups: [], policies: [] }];
    const room = await openExternalRoom(issuer, [settingOf(issuer, { rules })]);
    assert.equal((await room.principal(await issuer.sign('k1', room.claims({ t: 'red' })))).tenant, 'red');
    for (const t of ['red/blue', 'r d', '-red', 'r'.repeat(129)]) {
      assert.equal((await room.refusal(await issuer.sign('k1', room.claims({ t })))).code, 'identity-not-mapped', t);
    }
  });

  it('never gets the name an identity of this gateway could have', async () => {
    const rules = [{ name: 'r', when: [], subject: `\${sub}`, groups: [], policies: ['operator'] }];
    const room = await openExternalRoom(issuer, [settingOf(issuer, { rules })]);
    for (const sub of ['alice', 'op', 'f1c4f64e-2c0c-4cda-8c9f-9f3f8f3a2b0e']) {
      const error = await room.refusal(await issuer.sign('k1', room.claims({ sub })));
      assert.equal(error.code, 'identity-not-mapped');
      assert.match(String(error.audit?.notes), /could be taken for an identity/);
    }
    assert.equal((await room.principal(await issuer.sign('k1', room.claims({ sub: 'repo:a' })))).subject, 'repo:a');
  });

  it('a stream of it ends with the token, what its clock is forgiven included', async () => {
    const room = await openExternalRoom(issuer);
    const principal = await room.principal(await issuer.sign('k1', room.claims()));
    room.clock.at += 329_000;
    room.authenticator.recheck(principal);
    room.clock.at += 31_000;
    assert.throws(() => room.authenticator.recheck(principal), { code: 'token-expired' });
  });
});
