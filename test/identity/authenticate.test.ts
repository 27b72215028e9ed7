// Which requests name a caller and which are refused, with which code: a table of bad tokens beside their good neighbours.
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { importJWK, type JWK, type JWTHeaderParameters, SignJWT } from 'jose';
import { GatewayError } from '../../src/errors.ts';
import type { Principal } from '../../src/policy/types.ts';
import { AUDIENCE, basic, bearer, type IdentityRoom, ISSUER, openRoom } from './memory-stores.ts';

const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

const refused = async (room: IdentityRoom, headers: readonly string[]): Promise<GatewayError> => {
  try {
    await room.authenticator.authenticate(headers);
  } catch (error) {
    assert.ok(error instanceof GatewayError, String(error));
    return error;
  }
  assert.fail('accepted');
};

/** Basic credentials whose base64 would need padding, without it. */
const unpadded = (token: string): string => {
  const user = 'x'.repeat((3 - (token.length % 3)) % 3);
  return btoa(`${user}:${token}`).replace(/=+$/, '');
};

/** Claims and header of a token our issuer could have made, to be spoilt one at a time. */
const goodClaims = (room: IdentityRoom): Record<string, unknown> => {
  const iat = room.clock.at / 1000;
  return { iss: ISSUER, aud: AUDIENCE, sub: 'alice', jti: 'j1', iat, exp: iat + 600, client_id: 'alice' };
};
const goodHeader = (room: IdentityRoom): JWTHeaderParameters => ({
  typ: 'at+jwt',
  alg: 'Ed25519',
  kid: room.keys.rows[0]?.kid as string,
});

/** Signs anything at all with the gateway's own key. */
const signOwn = async (room: IdentityRoom, claims: Record<string, unknown>, header: JWTHeaderParameters) => {
  const key = await importJWK(JSON.parse(room.keys.rows[0]?.privateJwk as string) as JWK, 'Ed25519');
  return new SignJWT(claims).setProtectedHeader(header).sign(key);
};

describe('authenticate()', () => {
  it('authenticate() names the caller of a token of our issuer, with the identity as it is now', async () => {
    const room = await openRoom();
    const { token, record } = await room.issuer.issue({ identity: 'alice', by: 'op', scope: ['container.*'] });
    const principal = await room.authenticator.authenticate(bearer(token));
    const { claims, ...rest } = principal;
    assert.deepEqual(rest, {
      subject: 'alice',
      issuer: ISSUER,
      tenant: 'red',
      groups: ['dev'],
      policies: ['baseline'],
      tokenId: record.id,
      scope: ['container.*'],
      expiresAt: record.expiresAt,
      channel: 'bearer',
    } satisfies Omit<Principal, 'claims'>);
    assert.equal(claims.client_id, 'alice');
  });

  const presentations: [string, (token: string) => string[], string | undefined][] = [
    ['Bearer', bearer, undefined],
    ['bearer in lower case', (t) => ['authorization', `bearer ${t}`], undefined],
    ['BEARER with two spaces', (t) => ['AUTHORIZATION', `BEARER  ${t}`], undefined],
    ['Basic with any user', (t) => basic(t, 'whoever'), undefined],
    ['basic in lower case', (t) => ['authorization', basic(t)[1]?.replace('Basic', 'basic') as string], undefined],
    ['Basic with an empty user', (t) => basic(t, ''), undefined],
    ['Basic with a UTF-8 user', (t) => basic(t, 'zoë'), undefined],
    ['no Authorization header', () => ['Host', 'x'], 'token-missing'],
    ['Proxy-Authorization alone', (t) => ['Proxy-Authorization', `Bearer ${t}`], 'token-missing'],
    ['an empty header', () => ['Authorization', ''], 'token-malformed'],
    ['the scheme alone', () => ['Authorization', 'Bearer'], 'token-malformed'],
    ['the scheme and a space', () => ['Authorization', 'Bearer '], 'token-malformed'],
    ['the token without a scheme', (t) => ['Authorization', t], 'token-malformed'],
    ['another scheme', (t) => ['Authorization', `Token ${t}`], 'token-malformed'],
    ['a tab after the scheme', (t) => ['Authorization', `Bearer\t${t}`], 'token-malformed'],
    ['two tokens in one header', (t) => ['Authorization', `Bearer ${t}, Bearer ${t}`], 'token-malformed'],
    ['a trailing space', (t) => ['Authorization', `Bearer ${t} `], 'token-malformed'],
    ['two headers', (t) => [...bearer(t), ...bearer(t)], 'token-ambiguous'],
    ['two headers in different case', (t) => [...bearer(t), 'aUTHORIZATION', 'Basic eDp5'], 'token-ambiguous'],
    ['an empty header beside a good one', (t) => [...bearer(t), 'Authorization', ''], 'token-ambiguous'],
    ['Basic with an empty password', () => basic(''), 'token-malformed'],
    ['Basic without a colon', (t) => ['authorization', `Basic ${btoa(t)}`], 'token-malformed'],
    ['Basic that is not base64', (t) => ['authorization', `Basic x:${t}`], 'token-malformed'],
    ['Basic without its padding', (t) => ['authorization', `Basic ${unpadded(t)}`], 'token-malformed'],
    [
      'Basic in the url alphabet',
      () => ['authorization', `Basic ${btoa('x:???>>>').replaceAll('/', '_')}`],
      'token-malformed',
    ],
    ['Basic that is not UTF-8', (t) => ['authorization', `Basic ${btoa(`\xff:${t}`)}`], 'token-malformed'],
    ['the token as Basic user', (t) => ['authorization', `Basic ${btoa(`${t}:x`)}`], 'token-malformed'],
    ['a colon before the token', (t) => basic(t, 'x:'), 'token-malformed'],
    ['64 KiB of token', () => bearer('a'.repeat(65_536)), 'token-malformed'],
    ['64 KiB of Basic', () => basic('a'.repeat(65_536)), 'token-malformed'],
    ['a word', () => bearer('hunter2'), 'token-malformed'],
    ['four parts', (t) => bearer(`${t}.e30`), 'token-malformed'],
    ['no signature', (t) => bearer(t.slice(0, t.lastIndexOf('.') + 1)), 'token-malformed'],
    ['no payload', (t) => bearer(`${t.split('.')[0]}..${t.split('.')[2]}`), 'token-malformed'],
    ['a header that is no object', (t) => bearer(`${b64([1])}.${t.split('.').slice(1).join('.')}`), 'token-malformed'],
    ['padding after the signature', (t) => bearer(`${t}==`), 'token-malformed'],
  ];
  for (const [name, headers, code] of presentations) {
    it(code === undefined ? `accepts ${name}` : `refuses ${name}: ${code}`, async () => {
      const room = await openRoom();
      const { token } = await room.issuer.issue({ identity: 'alice', by: 'op' });
      if (code === undefined) {
        assert.equal((await room.authenticator.authenticate(headers(token))).subject, 'alice');
        return;
      }
      const error = await refused(room, headers(token));
      assert.equal(error.code, code);
      assert.equal(error.status, 401);
      assert.ok(!error.message.includes(token) && !error.message.endsWith('.'), error.message);
    });
  }

  type Spoil = (claims: Record<string, unknown>, header: Record<string, unknown>, room: IdentityRoom) => void;
  const claimRows: [string, Spoil, string | undefined][] = [
    ['as our issuer makes it', () => {}, undefined],
    [
      'alg EdDSA, the older name',
      (_c, h) => {
        h.alg = 'EdDSA';
      },
      undefined,
    ],
    [
      'our audience among several',
      (c) => {
        c.aud = ['other', AUDIENCE];
      },
      undefined,
    ],
    [
      'another audience',
      (c) => {
        c.aud = 'other';
      },
      'token-invalid',
    ],
    [
      'a longer audience',
      (c) => {
        c.aud = `${AUDIENCE}2`;
      },
      'token-invalid',
    ],
    [
      'no audience',
      (c) => {
        delete c.aud;
      },
      'token-invalid',
    ],
    [
      'an empty audience list',
      (c) => {
        c.aud = [];
      },
      'token-invalid',
    ],
    [
      'another issuer',
      (c) => {
        c.iss = 'https://evil.example';
      },
      'token-invalid',
    ],
    [
      'the issuer with a slash',
      (c) => {
        c.iss = `${ISSUER}/`;
      },
      'token-invalid',
    ],
    [
      'the issuer in a list',
      (c) => {
        c.iss = [ISSUER];
      },
      'token-invalid',
    ],
    [
      'no subject',
      (c) => {
        delete c.sub;
      },
      'token-invalid',
    ],
    [
      'an empty subject',
      (c) => {
        c.sub = '';
      },
      'token-invalid',
    ],
    [
      'no jti',
      (c) => {
        delete c.jti;
      },
      'token-invalid',
    ],
    [
      'a jti that is no text',
      (c) => {
        c.jti = 1;
      },
      'token-invalid',
    ],
    [
      'no exp',
      (c) => {
        delete c.exp;
      },
      'token-invalid',
    ],
    [
      'an exp that is text',
      (c) => {
        c.exp = String(c.exp);
      },
      'token-invalid',
    ],
    [
      'no iat',
      (c) => {
        delete c.iat;
      },
      'token-invalid',
    ],
    [
      'a second left',
      (c) => {
        c.exp = (c.iat as number) + 1;
      },
      undefined,
    ],
    [
      'expired just now',
      (c) => {
        c.exp = c.iat as number;
        c.iat = (c.iat as number) - 100;
      },
      'token-expired',
    ],
    [
      'good in 29 s',
      (c) => {
        c.nbf = (c.iat as number) + 29;
      },
      undefined,
    ],
    [
      'good in 31 s',
      (c) => {
        c.nbf = (c.iat as number) + 31;
      },
      'token-not-yet-valid',
    ],
    [
      'issued in 29 s',
      (c) => {
        c.iat = (c.iat as number) + 29;
      },
      undefined,
    ],
    [
      'issued in 31 s',
      (c) => {
        c.iat = (c.iat as number) + 31;
      },
      'token-not-yet-valid',
    ],
    [
      'ending before it began',
      (c) => {
        c.exp = c.iat;
      },
      'token-expired',
    ],
    [
      'a life of 7 days',
      (c) => {
        c.exp = (c.iat as number) + 604_800;
      },
      undefined,
    ],
    [
      'a life of 7 days and a second',
      (c) => {
        c.exp = (c.iat as number) + 604_801;
      },
      'token-invalid',
    ],
    [
      'a scope that is a list',
      (c) => {
        c.scope = ['a'];
      },
      'token-invalid',
    ],
    [
      'an unknown identity',
      (c) => {
        c.sub = 'mallory';
      },
      'identity-unknown',
    ],
    [
      'the identity in upper case',
      (c) => {
        c.sub = 'Alice';
      },
      'identity-unknown',
    ],
    [
      'a token from before its identity',
      (c) => {
        c.iat = (c.iat as number) - 3;
      },
      'identity-unknown',
    ],
    [
      'typ JWT',
      (_c, h) => {
        h.typ = 'JWT';
      },
      'token-invalid',
    ],
    [
      'typ AT+JWT',
      (_c, h) => {
        h.typ = 'AT+JWT';
      },
      'token-invalid',
    ],
    [
      'typ application/at+jwt',
      (_c, h) => {
        h.typ = 'application/at+jwt';
      },
      'token-invalid',
    ],
    [
      'no typ',
      (_c, h) => {
        delete h.typ;
      },
      'token-invalid',
    ],
    [
      'an unknown kid',
      (_c, h) => {
        h.kid = 'other';
      },
      'token-invalid',
    ],
    [
      'a kid that is a path',
      (_c, h) => {
        h.kid = '../../../dev/null';
      },
      'token-invalid',
    ],
    [
      'a kid of Object',
      (_c, h) => {
        h.kid = '__proto__';
      },
      'token-invalid',
    ],
    [
      'no kid',
      (_c, h) => {
        delete h.kid;
      },
      'token-invalid',
    ],
    [
      'its own key in jwk',
      (_c, h, r) => {
        h.jwk = JSON.parse(r.keys.rows[0]?.publicJwk as string);
      },
      'token-invalid',
    ],
    [
      'a jku',
      (_c, h) => {
        h.jku = 'https://evil.example/jwks';
      },
      'token-invalid',
    ],
    [
      'an x5u',
      (_c, h) => {
        h.x5u = 'https://evil.example/c';
      },
      'token-invalid',
    ],
    [
      'an x5c',
      (_c, h) => {
        h.x5c = ['AA=='];
      },
      'token-invalid',
    ],
  ];
  for (const [name, spoil, code] of claimRows) {
    it(`${code === undefined ? 'accepts' : 'refuses'} a signed token with ${name}${code ? `: ${code}` : ''}`, async () => {
      const room = await openRoom();
      const claims = goodClaims(room);
      const header = goodHeader(room);
      if (name.startsWith('expired')) room.identities.change('alice', { createdAt: 0 });
      spoil(claims, header, room);
      const token = await signOwn(room, claims, header);
      if (code === undefined) {
        assert.equal((await room.authenticator.authenticate(bearer(token))).subject, 'alice');
        return;
      }
      const error = await refused(room, bearer(token));
      assert.equal(error.code, code);
      for (const secret of [token, 'evil', 'mallory', '/dev/null']) assert.ok(!error.message.includes(secret));
    });
  }

  const forgeries: [string, (room: IdentityRoom, good: string) => string | Promise<string>][] = [
    ['alg none without signature', (r) => `${b64({ ...goodHeader(r), alg: 'none' })}.${b64(goodClaims(r))}.`],
    [
      'alg none with a signature',
      (r, t) => `${b64({ ...goodHeader(r), alg: 'none' })}.${b64(goodClaims(r))}.${t.split('.')[2]}`,
    ],
    ['alg NonE', (r) => `${b64({ ...goodHeader(r), alg: 'NonE' })}.${b64(goodClaims(r))}.`],
    ['no alg', (r, t) => `${b64({ ...goodHeader(r), alg: undefined })}.${b64(goodClaims(r))}.${t.split('.')[2]}`],
    ...['x', 'publicJwk'].map((of): [string, (r: IdentityRoom) => string] => [
      `HS256 with the public key (${of})`,
      (r) => {
        const jwk = r.keys.rows[0]?.publicJwk as string;
        const secret = of === 'x' ? Buffer.from((JSON.parse(jwk) as { x: string }).x, 'base64url') : jwk;
        const input = `${b64({ ...goodHeader(r), alg: 'HS256' })}.${b64(goodClaims(r))}`;
        return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
      },
    ]),
    [
      'HMAC of 64 bytes under alg Ed25519',
      (r) => {
        const secret = Buffer.from((JSON.parse(r.keys.rows[0]?.publicJwk as string) as { x: string }).x, 'base64url');
        const input = `${b64(goodHeader(r))}.${b64(goodClaims(r))}`;
        return `${input}.${createHmac('sha512', secret).update(input).digest('base64url')}`;
      },
    ],
    [
      'RS256 under our kid',
      async (r) => {
        const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
        return new SignJWT(goodClaims(r)).setProtectedHeader({ ...goodHeader(r), alg: 'RS256' }).sign(privateKey);
      },
    ],
    [
      'ES256 under our kid',
      async (r) => {
        const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
        return new SignJWT(goodClaims(r)).setProtectedHeader({ ...goodHeader(r), alg: 'ES256' }).sign(privateKey);
      },
    ],
    [
      'the key of another gateway under our kid',
      async (r) => {
        const other = await openRoom();
        return signOwn(other, goodClaims(r), goodHeader(r));
      },
    ],
    ['crit', (r, t) => `${b64({ ...goodHeader(r), crit: ['exp'] })}.${t.split('.').slice(1).join('.')}`],
    [
      'b64 false',
      (r, t) => `${b64({ ...goodHeader(r), b64: false, crit: ['b64'] })}.${t.split('.').slice(1).join('.')}`,
    ],
    [
      'another payload under a good signature',
      (r, t) => `${t.split('.')[0]}.${b64({ ...goodClaims(r), sub: 'op' })}.${t.split('.')[2]}`,
    ],
    ['a changed signature', (_r, t) => `${t.slice(0, -20)}${t.at(-20) === 'A' ? 'B' : 'A'}${t.slice(-19)}`],
    ['a signature of zeros', (_r, t) => `${t.slice(0, t.lastIndexOf('.') + 1)}${'A'.repeat(86)}`],
    [
      'unused bits set in the signature',
      (_r, t) => {
        const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
        return `${t.slice(0, -1)}${alphabet[alphabet.indexOf(t.at(-1) as string) + 1]}`;
      },
    ],
    [
      'a header of 4 KiB',
      (r, t) => `${b64({ ...goodHeader(r), fill: 'x'.repeat(4096) })}.${t.split('.').slice(1).join('.')}`,
    ],
  ];
  for (const [name, forge] of forgeries) {
    it(`authenticate() refuses a forgery: ${name}`, async () => {
      const room = await openRoom();
      const { token } = await room.issuer.issue({ identity: 'alice', by: 'op' });
      const forged = await forge(room, token);
      const error = await refused(room, bearer(forged));
      assert.ok(['token-invalid', 'token-malformed'].includes(error.code), error.code);
      assert.equal((await refused(room, basic(forged))).status, 401);
      assert.equal((await room.authenticator.authenticate(bearer(token))).subject, 'alice');
    });
  }

  it('authenticate() takes the longest token it allows, and not a byte more', async () => {
    const first = await openRoom();
    const { token } = await first.issuer.issue({ identity: 'alice', by: 'op' });
    for (const [maxTokenBytes, code] of [
      [token.length, 'token-invalid'],
      [token.length - 1, 'token-malformed'],
    ] as const) {
      const room = await openRoom({ maxTokenBytes });
      assert.equal((await refused(room, bearer(token))).code, code);
      assert.equal((await refused(room, basic(token))).code, code);
    }
  });

  it('authenticate() reads an empty scope as a ceiling that lets nothing through', async () => {
    const room = await openRoom();
    const token = await signOwn(room, { ...goodClaims(room), scope: '' }, goodHeader(room));
    assert.deepEqual((await room.authenticator.authenticate(bearer(token))).scope, []);
  });
});

describe('challengeFor()', () => {
  it('challengeFor() gives no error when no credentials were sent', async () => {
    const room = await openRoom();
    assert.equal(room.authenticator.challengeFor(await refused(room, [])), 'Bearer realm="dockgate"');
  });

  it('challengeFor() gives the RFC 6750 error and a description without quotes or line ends', async () => {
    const room = await openRoom();
    const say = (code: 'token-expired' | 'token-ambiguous', message: string) =>
      room.authenticator.challengeFor(new GatewayError(code, message));
    assert.equal(
      say('token-expired', 'it "ended"\r\nX-Evil: 1 \\ é'),
      `Bearer realm="dockgate", error="invalid_token", error_description="it 'ended'''X-Evil: 1 ' '"`,
    );
    assert.match(say('token-ambiguous', 'two'), /error="invalid_request"/);
  });
});
