// Where the keys come from and how long they serve: rotation, outage, storms, and an issuer that misbehaves.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { certificateFiles, ensureAuthority, ensureServerCertificate } from '../../../src/identity/certificates.ts';
import { createFetchJson } from '../../../src/identity/external/fetch-json.ts';
import { COOLDOWN_MS, FRESH_MS, STALE_MS } from '../../../src/identity/external/key-set.ts';
import type { KeySource } from '../../../src/identity/external/setting.ts';
import { makeLookalike } from '../../support/lookalike.ts';
import { DISCOVERY, JWKS, startIssuer, type TestIssuer } from '../../support/oidc-issuer.ts';
import { makeOutsideCa } from '../../support/outside-ca.ts';
import { type ExternalRoom, openExternalRoom, settingOf } from './room.ts';

describe('the keys of an external issuer', () => {
  let issuer: TestIssuer;
  before(async () => {
    issuer = await startIssuer();
    await issuer.addKey('k1');
    await issuer.addKey('k2', 'RS256', { publish: false });
  });
  after(() => issuer.stop());
  beforeEach(() => {
    issuer.requests.clear();
    issuer.answers.clear();
  });

  const fetched = (path = JWKS) => issuer.requests.get(path) ?? 0;
  /** Tokens of one key, each another one. */
  const tokens = async (room: ExternalRoom, kid: string, count: number): Promise<string[]> =>
    Promise.all(Array.from({ length: count }, (_, i) => issuer.sign(kid, room.claims({ jti: `${kid}-${i}` }))));

  it('the keys of an external issuer are fetched ahead, once, and never for a request', async () => {
    const room = await openExternalRoom(issuer);
    assert.equal(room.external.states()[0]?.status, 'pending');
    await room.external.refresh();
    for (const token of await tokens(room, 'k1', 20)) await room.principal(token);
    assert.equal(fetched(), 1);
    assert.equal(fetched(DISCOVERY), 1);
    const [state] = room.external.states();
    assert.equal(state?.status, 'ready');
    assert.deepEqual(state?.kids, ['k1']);
    assert.equal(state?.fetchedAt, room.clock.at);
  });

  it('the keys of an external issuer are waited for together when many tokens come before the first fetch has ended', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    issuer.answers.set(JWKS, (response) => void held.then(() => response.end(JSON.stringify({ keys: issuer.jwks }))));
    const room = await openExternalRoom(issuer);
    const callers = (await tokens(room, 'k1', 30)).map((token) => room.principal(token));
    release();
    assert.equal(new Set((await Promise.all(callers)).map(({ subject }) => subject)).size, 1);
    assert.equal(fetched(), 1);
  });

  it('10 000 unknown kids cost one fetch, then one per cooldown, and no memory', async () => {
    const room = await openExternalRoom(issuer);
    await room.external.refresh();
    room.clock.at += COOLDOWN_MS;
    const [head, body, signature] = (await issuer.sign('k1', room.claims())).split('.') as [string, string, string];
    const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as Record<string, unknown>;
    const of = (kid: string) =>
      `${Buffer.from(JSON.stringify({ ...header, kid })).toString('base64url')}.${body}.${signature}`;
    const storm = async (name: string) => {
      const codes = await Promise.all(
        Array.from({ length: 5000 }, (_, i) => room.refusal(of(`${name}-${i}`)).then(({ code }) => code)),
      );
      assert.deepEqual([...new Set(codes)], ['token-key-unknown']);
    };
    await storm('a');
    assert.equal(fetched(), 2);
    await storm('b');
    assert.equal(fetched(), 2, 'the cooldown holds');
    assert.deepEqual(room.external.states()[0]?.kids, ['k1']);
    room.clock.at += COOLDOWN_MS;
    await storm('c');
    assert.equal(fetched(), 3);
    assert.equal((await room.principal(await issuer.sign('k1', room.claims()))).subject, 'test:job');
  });

  it('a new key is found at its first token, and a withdrawn one ends with the next fetch', async () => {
    const rotating = await startIssuer();
    try {
      await rotating.addKey('old');
      const room = await openExternalRoom(rotating);
      await room.external.refresh();
      await rotating.addKey('new');
      room.clock.at += COOLDOWN_MS;
      const fresh = await rotating.sign('new', room.claims());
      assert.equal((await room.principal(fresh)).subject, 'test:job');
      assert.equal((await room.principal(await rotating.sign('old', room.claims({ jti: 'o1' })))).subject, 'test:job');
      rotating.removeKey('old');
      room.clock.at += FRESH_MS;
      assert.equal(
        (await room.refusal(await rotating.sign('old', room.claims({ jti: 'o2' })))).code,
        'token-key-unknown',
      );
      assert.deepEqual(room.external.states()[0]?.kids, ['new']);
    } finally {
      await rotating.stop();
    }
  });

  it('an unknown kid refused within the cooldown is found after it, for a refusal of it is not kept', async () => {
    const rotating = await startIssuer();
    try {
      await rotating.addKey('old');
      const room = await openExternalRoom(rotating);
      await room.external.refresh();
      await rotating.addKey('new');
      const token = await rotating.sign('new', room.claims());
      assert.equal((await room.refusal(token)).code, 'token-key-unknown');
      room.clock.at += COOLDOWN_MS;
      assert.equal((await room.principal(token)).subject, 'test:job');
    } finally {
      await rotating.stop();
    }
  });

  it('serve for a day while the issuer is away, and not longer', async () => {
    const away = await startIssuer();
    await away.addKey('k1');
    const room = await openExternalRoom(away);
    await room.external.refresh();
    const fetchedAt = room.clock.at;
    await away.stop();
    const take = async (jti: string) => room.principal(await away.sign('k1', room.claims({ jti })));
    room.clock.at = fetchedAt + FRESH_MS;
    assert.equal((await take('a')).subject, 'test:job');
    const [stale] = room.external.states();
    assert.equal(stale?.status, 'stale');
    assert.match(stale?.error ?? '', /cannot be reached/);
    assert.ok(room.errors.length > 0);
    room.clock.at = fetchedAt + STALE_MS - 1000;
    assert.equal((await take('b')).subject, 'test:job');
    await room.external.refresh();
    room.clock.at = fetchedAt + STALE_MS;
    const error = await room.refusal(await away.sign('k1', room.claims({ jti: 'c' })));
    assert.equal(error.code, 'issuer-unavailable');
    assert.equal(error.status, 503);
    assert.match(String(error.audit?.keys), /cannot be reached/);
    assert.equal(room.external.states()[0]?.status, 'down');
    // Back again: the next token after the cooldown finds it.
    await away.resume();
    room.clock.at += COOLDOWN_MS;
    assert.equal((await take('d')).subject, 'test:job');
    assert.equal(room.external.states()[0]?.status, 'ready');
    await away.stop();
  });

  it('a reload during an outage loses no keys of an issuer that stays the same', async () => {
    const away = await startIssuer();
    await away.addKey('k1');
    const room = await openExternalRoom(away);
    await room.external.refresh();
    await away.stop();
    room.clock.at += FRESH_MS;
    room.reload(settingOf(away, { maxLifetimeMs: 600_000 }));
    await room.external.refresh();
    assert.equal((await room.principal(await away.sign('k1', room.claims()))).subject, 'test:job');
    room.reload(settingOf(away, { algorithms: ['ES256'] }));
    assert.equal((await room.refusal(await away.sign('k1', room.claims({ jti: 'x' })))).code, 'token-invalid');
  });

  it('an issuer that takes all its keys away means it', async () => {
    const room = await openExternalRoom(issuer);
    await room.external.refresh();
    issuer.answers.set(JWKS, (response) => response.end('{"keys":[]}'));
    room.clock.at += FRESH_MS;
    assert.equal((await room.refusal(await issuer.sign('k1', room.claims()))).code, 'token-key-unknown');
    assert.equal(room.external.states()[0]?.status, 'down');
  });

  const faults: [string, (response: import('node:http').ServerResponse) => void, RegExp, string?][] = [
    ['redirects to another host', (r) => r.writeHead(302, { location: 'http://localhost:1/jwks' }).end(), /redirects/],
    ['redirects on its own host', (r) => r.writeHead(301, { location: '/other' }).end(), /redirects/],
    ['answers 500', (r) => r.writeHead(500).end('{"keys":[]}'), /answered 500/],
    ['answers 204', (r) => r.writeHead(204).end(), /answered 204/],
    ['sends no JSON', (r) => r.end('<html>'), /not JSON/],
    ['sends a list', (r) => r.end('[]'), /no key set/],
    ['sends null', (r) => r.end('null'), /no key set/],
    ['sends more than the limit', (r) => r.end(JSON.stringify({ keys: [], pad: 'x'.repeat(70_000) })), /larger than/],
    ['never stops sending', (r) => void pour(r), /larger than/],
    ['answers too slowly', () => {}, /did not answer within/],
    ['sends its answer drop by drop', (r) => void drip(r), /did not answer within/],
    ['breaks off', (r) => void r.write('{"keys":', () => r.destroy()), /broke off|cannot be reached/],
    ['compresses', (r) => r.writeHead(200, { 'content-encoding': 'gzip' }).end('x'), /encoding/],
  ];
  for (const path of [JWKS, DISCOVERY]) {
    for (const [name, answer, why] of faults) {
      it(`an issuer whose ${path} ${name} costs its own tokens only, and is told of`, async () => {
        issuer.answers.set(path, answer);
        const room = await openExternalRoom(issuer, [settingOf(issuer)], {
          maxBytes: 64 * 1024,
          // Short only where time itself is the fault: a loaded machine must not turn the others into it.
          timeoutMs: /within/.test(why.source) ? 250 : 30_000,
        });
        const error = await room.refusal(await issuer.sign('k1', room.claims()));
        assert.equal(error.code, 'issuer-unavailable');
        assert.doesNotMatch(error.message, /127|http|redirect/);
        const expected =
          path === DISCOVERY && /no key set/.test(why.source) ? /discovery document|another issuer/ : why;
        assert.match(room.external.states()[0]?.error ?? '', expected);
        // Our own tokens do not notice.
        const own = await room.issuer.issue({ identity: 'alice', by: 'op' });
        assert.equal((await room.principal(own.token)).subject, 'alice');
      });
    }
  }

  const discoveries: [string, (url: string) => Record<string, unknown>, RegExp][] = [
    ['another issuer', (url) => ({ issuer: `${url}/`, jwks_uri: `${url}${JWKS}` }), /speaks for another issuer/],
    ['no issuer', (url) => ({ jwks_uri: `${url}${JWKS}` }), /speaks for another issuer/],
    ['no jwks_uri', (url) => ({ issuer: url }), /no https jwks_uri/],
    ['keys on another host', (url) => ({ issuer: url, jwks_uri: 'https://keys.example/jwks' }), /keys on keys.example/],
    ['keys on another port', (url) => ({ issuer: url, jwks_uri: 'http://127.0.0.1:1/jwks' }), /keys on 127.0.0.1:1/],
    [
      'keys over plain http elsewhere',
      (url) => ({ issuer: url, jwks_uri: 'http://10.0.0.1/jwks' }),
      /no https jwks_uri/,
    ],
    ['keys in a file', (url) => ({ issuer: url, jwks_uri: 'file:///etc/passwd' }), /no https jwks_uri/],
    ['keys behind a password', (url) => ({ issuer: url, jwks_uri: url.replace('//', '//a:b@') }), /no https jwks_uri/],
  ];
  for (const [name, document, why] of discoveries) {
    it(`a discovery document with ${name} is not followed`, async () => {
      issuer.answers.set(DISCOVERY, (response) => response.end(JSON.stringify(document(issuer.url))));
      const room = await openExternalRoom(issuer);
      assert.equal((await room.refusal(await issuer.sign('k1', room.claims()))).code, 'issuer-unavailable');
      assert.match(room.external.states()[0]?.error ?? '', why);
      assert.equal(fetched(), 0);
    });
  }

  it('the keys of an external issuer may lie on another host when the settings name it', async () => {
    const keys = await startIssuer();
    try {
      issuer.answers.set(DISCOVERY, (response) =>
        response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: `${keys.url}${JWKS}` })),
      );
      keys.jwks = issuer.jwks;
      const room = await openExternalRoom(issuer, [settingOf(issuer, { jwksHosts: [new URL(keys.url).host] })]);
      assert.equal((await room.principal(await issuer.sign('k1', room.claims()))).subject, 'test:job');
    } finally {
      await keys.stop();
    }
  });

  it('a slow issuer delays no other caller: other issuers and cached tokens answer meanwhile', async () => {
    const slow = await startIssuer();
    await slow.addKey('k1');
    slow.answers.set(DISCOVERY, () => {});
    try {
      const room = await openExternalRoom(issuer, [settingOf(issuer), settingOf(slow, { name: 'slow' })]);
      const waiting = room.refusal(await slow.sign('k1', room.claims({ iss: slow.url })));
      assert.equal((await room.principal(await issuer.sign('k1', room.claims()))).subject, 'test:job');
      await slow.stop();
      assert.equal((await waiting).code, 'issuer-unavailable');
    } finally {
      await slow.stop().catch(() => {});
    }
  });

  describe('from a file, a fixed address, and over TLS', () => {
    const dir = mkdtempSync(join(tmpdir(), 'dg-issuer-'));
    after(() => rmSync(dir, { recursive: true, force: true }));
    const roomOf = (keys: KeySource, changes = {}) =>
      openExternalRoom(issuer, [settingOf(issuer, { keys, ...changes })]);

    it('a file of keys needs no network', async () => {
      const path = join(dir, 'jwks.json');
      writeFileSync(path, JSON.stringify({ keys: issuer.jwks }));
      const room = await roomOf({ kind: 'file', path });
      assert.equal((await room.principal(await issuer.sign('k1', room.claims()))).subject, 'test:job');
      assert.equal(issuer.requests.size, 0);
      const missing = await roomOf({ kind: 'file', path: join(dir, 'nothing.json') });
      assert.equal((await missing.refusal(await issuer.sign('k1', room.claims()))).code, 'issuer-unavailable');
    });

    it('a fixed address needs no discovery, and may want a token of ours', async () => {
      const bearerFile = join(dir, 'token');
      writeFileSync(bearerFile, 'sesame\n');
      issuer.answers.set(JWKS, (response, request) => {
        const isAllowed = request.headers.authorization === 'Bearer sesame';
        response.writeHead(isAllowed ? 200 : 401).end(JSON.stringify({ keys: issuer.jwks }));
      });
      const keys: KeySource = { kind: 'url', url: `${issuer.url}${JWKS}` };
      const room = await roomOf(keys, { bearerFile });
      assert.equal((await room.principal(await issuer.sign('k1', room.claims()))).subject, 'test:job');
      assert.equal(fetched(DISCOVERY), 0);
      const without = await roomOf(keys);
      assert.equal((await without.refusal(await issuer.sign('k1', room.claims()))).code, 'issuer-unavailable');
    });

    it('plain http is never fetched unless that was asked for on loopback', async () => {
      for (const url of [`${issuer.url}${JWKS}`, 'http://keys.example/jwks']) {
        const room = await roomOf({ kind: 'url', url }, { insecureHttp: url.includes('example') });
        assert.equal((await room.refusal(await issuer.sign('k1', room.claims()))).code, 'issuer-unavailable');
        assert.match(room.external.states()[0]?.error ?? '', /no https address/);
      }
      assert.equal(fetched(), 0);
    });

    it('a certificate that only bears the name of the private CA is not trusted', async () => {
      const authority = await makeOutsideCa({ name: 'Corp CA' });
      const secure = await startIssuer({ tls: makeLookalike('Corp CA', 'localhost') });
      try {
        await secure.addKey('k1');
        const url = `${secure.url.replace('127.0.0.1', 'localhost')}${JWKS}`;
        const fetched = createFetchJson()(url, { ca: authority.pem, insecureHttp: false });
        await assert.rejects(fetched, { code: 'issuer-unavailable', message: /cannot be reached/ });
        assert.equal(secure.requests.size, 0);
      } finally {
        await secure.stop();
      }
    });

    it('a private CA is trusted when named, and no certificate otherwise', async () => {
      await ensureAuthority(dir);
      await ensureServerCertificate(dir, { names: [] });
      const files = certificateFiles(dir);
      const secure = await startIssuer({
        tls: { cert: readFileSync(files.cert, 'utf8'), key: readFileSync(files.key, 'utf8') },
      });
      try {
        await secure.addKey('k1');
        const secureSetting = settingOf(secure, { insecureHttp: false });
        const trusting = await openExternalRoom(secure, [{ ...secureSetting, ca: files.ca }]);
        assert.equal((await trusting.principal(await secure.sign('k1', trusting.claims()))).subject, 'test:job');
        const wary = await openExternalRoom(secure, [secureSetting]);
        assert.equal((await wary.refusal(await secure.sign('k1', wary.claims()))).code, 'issuer-unavailable');
        assert.match(wary.external.states()[0]?.error ?? '', /cannot be reached/);
      } finally {
        await secure.stop();
      }
    });
  });
});

/** Sends without end until the other side has had enough. */
function pour(response: import('node:http').ServerResponse): void {
  response.on('error', () => {});
  const chunk = ' '.repeat(16 * 1024);
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more);
  more();
}

/** One byte at a time, forever. */
function drip(response: import('node:http').ServerResponse): void {
  response.on('error', () => {});
  const timer = setInterval(() => response.write(' '), 20);
  response.on('close', () => clearInterval(timer));
}
