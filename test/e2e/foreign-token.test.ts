// A proxy's own callers bring tokens of the proxy's, and it passes them on: beside a certificate, or on a socket bound to an
// identity, they are no second identity. One that could be ours must be good, and of the same identity.
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type AuditView, admin } from '../support/admin.ts';
import { issueTo } from '../support/certificates.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startIssuer, type TestIssuer } from '../support/oidc-issuer.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = (header: object, claims: object): string => {
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac('sha256', randomBytes(32)).update(signed).digest('base64url')}`;
};
/** As Portainer makes them. */
const PORTAINER = { id: 1, username: 'admin', role: 1, scope: 'default', forceChangePassword: false, exp: 4e9, iat: 1 };
const HS256 = { alg: 'HS256', typ: 'JWT' };

describe('a token beside an identity the channel has proved', () => {
  let engine: ScriptedEngine;
  let issuer: TestIssuer;
  let gateway: TestGateway;
  let folder: string;
  let ours: { iss: string; aud: string };

  before(async () => {
    engine = await startScriptedEngine((request) => request.answer(200, '{}'));
    issuer = await startIssuer();
    await issuer.addKey('k', 'RS256');
    gateway = await startGateway({
      engine: engine.url.replace('unix://', ''),
      unix: [{ name: 'proxy', identity: 'proxy' }],
      settings: {
        issuers: [
          {
            name: 'ci',
            issuer: issuer.url,
            audience: 'https://dockgate.test',
            insecureHttp: true,
            rules: [{ name: 'all', when: { sub: 'job' }, identity: 'proxy' }],
          },
        ],
      },
    });
    for (const name of ['proxy', 'bob']) await admin(gateway, 'POST', '/identities', { name, policies: ['operator'] });
    folder = (await issueTo(gateway, 'proxy')).folder;
    const own = await tokenOf('proxy');
    ours = JSON.parse(Buffer.from(own.split('.')[1] ?? '', 'base64url').toString()) as typeof ours;
  });
  after(async () => {
    await gateway?.remove();
    await issuer?.stop();
    await engine?.close();
  });

  const tokenOf = async (identity: string, more: object = {}) =>
    (await admin<{ token: string }>(gateway, 'POST', '/tokens', { identity, ...more })).token;
  type Told = { status: number; message: string; row: AuditView | undefined };
  const ask = (channel: 'certificate' | 'socket', authorization: string | readonly string[]): Promise<Told> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: authorization as string };
      const onAnswer = (response: http.IncomingMessage) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', async () => {
          const { message = '' } = JSON.parse(text === '' ? '{}' : text) as { message?: string };
          const path = `/audit/${String(response.headers['dockgate-audit-id'])}`;
          const { events } = await admin<{ events: AuditView[] }>(gateway, 'GET', path);
          resolve({ status: response.statusCode ?? 0, message, row: events[0] });
        });
      };
      const request =
        channel === 'socket'
          ? http.get({ socketPath: join(gateway.dir, 'proxy.sock'), path: '/info', agent: false, headers }, onAnswer)
          : https.get(
              {
                host: '127.0.0.1',
                port: gateway.port,
                path: '/info',
                agent: false,
                ca: readFileSync(join(gateway.dir, 'data', 'ca.pem'), 'utf8'),
                cert: readFileSync(join(folder, 'cert.pem'), 'utf8'),
                key: readFileSync(join(folder, 'key.pem'), 'utf8'),
                headers,
              },
              onAnswer,
            );
      request.on('error', reject);
    });

  for (const channel of ['certificate', 'socket'] as const) {
    it(`on a ${channel}, one of the proxy's own is dropped, noted, and never seen by the engine`, async () => {
      const foreign = [
        jwt(HS256, PORTAINER),
        jwt({ alg: 'HS512' }, { ...PORTAINER, iss: 'https://elsewhere.test' }),
        jwt({ alg: 'ES512', kid: 'x' }, { iss: 'https://elsewhere.test', aud: ['other'] }),
      ];
      for (const token of foreign) {
        const { status, message, row } = await ask(channel, `Bearer ${token}`);
        assert.equal(status, 200, message);
        assert.equal(row?.subject, 'proxy');
        const kept = row?.detail?.ignoredToken as { algorithm: string } | undefined;
        assert.match(String(kept?.algorithm), /^(HS|ES)\d+$/);
        assert.ok(!JSON.stringify(row).includes(token.split('.')[2] as string), 'the audit keeps no token');
      }
      assert.doesNotMatch(engine.wire(), /authorization/i);
    });

    it(`on a ${channel}, one that could be ours must be good and of the same identity`, async () => {
      const own = await tokenOf('proxy');
      const parts = own.split('.');
      const turned = `${parts[0]}.${parts[1]}.${parts[2]?.startsWith('A') ? 'B' : 'A'}${parts[2]?.slice(1)}`;
      const rsa = { alg: 'RS256', kid: 'k', typ: 'JWT' };
      const refused: Readonly<Record<string, string | readonly string[]>> = {
        'of another identity': `Bearer ${await tokenOf('bob')}`,
        'with our issuer and a signature that is wrong': `Bearer ${turned}`,
        'with our issuer and an algorithm that is not ours': `Bearer ${jwt(HS256, { ...PORTAINER, iss: ours.iss })}`,
        'with our algorithm and another issuer': `Bearer ${jwt({ alg: 'EdDSA' }, { iss: 'https://elsewhere.test' })}`,
        'meant for our audience': `Bearer ${jwt(HS256, { ...PORTAINER, aud: ours.aud })}`,
        'of a configured issuer, its signature wrong': `Bearer ${jwt(rsa, { iss: issuer.url, sub: 'job' })}`,
        'of a configured issuer, by HMAC': `Bearer ${jwt(HS256, { iss: issuer.url, sub: 'job' })}`,
        'with the algorithm of a configured issuer': `Bearer ${jwt(rsa, { iss: 'https://elsewhere.test' })}`,
        'without a signature': `Bearer ${encode({ alg: 'none' })}.${encode(PORTAINER)}.`,
        'with an issuer that is no text': `Bearer ${jwt(HS256, { ...PORTAINER, iss: [ours.iss] })}`,
        'cut short': `Bearer ${own.slice(0, -20)}`,
        'that begins as our refresh credentials do': 'Bearer dockgate_x',
        'of no scheme we know': 'Digest x',
        'sent twice': [`Bearer ${own}`, `Bearer ${jwt(HS256, PORTAINER)}`],
      };
      for (const [what, authorization] of Object.entries(refused)) {
        const { status, message } = await ask(channel, authorization);
        assert.equal(status, 401, `${what}: ${status} ${message}`);
      }
      assert.equal((await ask(channel, `Bearer ${own}`)).status, 200);
      assert.equal((await ask(channel, 'Bearer x')).status, 200, 'a word is no token of ours');
    });

    it(`on a ${channel}, an expired or revoked one of ours is refused, and a narrow one narrows`, async () => {
      const made = await admin<{ token: string; id: string }>(gateway, 'POST', '/tokens', { identity: 'proxy' });
      await admin(gateway, 'DELETE', `/tokens/${made.id}`);
      assert.equal((await ask(channel, `Bearer ${made.token}`)).status, 401);
      const narrow = await tokenOf('proxy', { scope: ['container.list'] });
      assert.equal((await ask(channel, `Bearer ${narrow}`)).status, 403);
    });
  }
});
