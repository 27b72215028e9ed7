// Signing keys from outside: turned while tokens are out, published as RFC 7517, sealed on disk. No engine is asked.
import assert from 'node:assert/strict';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import Database from 'better-sqlite3';
import { createRemoteJWKSet, customFetch, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { type AuditView, admin, auditOf } from '../support/admin.ts';
import { run, startGateway, type TestGateway } from '../support/gateway.ts';
import { dockgateCommand } from '../support/runtime.ts';
import { exchange } from '../support/token-endpoint.ts';

interface ListedKey {
  readonly kid: string;
  readonly state: string;
}

describe('signing keys', () => {
  let gateway: TestGateway;
  const token = async (more: Record<string, unknown> = {}): Promise<string> =>
    (await admin<{ token: string }>(gateway, 'POST', '/tokens', { identity: 'op', ...more })).token;
  const listed = async (): Promise<readonly ListedKey[]> =>
    (await admin<{ keys: ListedKey[] }>(gateway, 'GET', '/keys')).keys;
  const published = async (): Promise<string> => {
    const ca = join(gateway.dir, 'data', 'ca.pem');
    const { default: https } = await import('node:https');
    return new Promise((resolve, reject) => {
      const at = {
        host: '127.0.0.1',
        port: gateway.port,
        path: '/.well-known/jwks.json',
        ca: readFileSync(ca),
        agent: false,
      };
      https
        .get(at, (answer) => {
          let text = '';
          answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
          answer.on('end', () => resolve(text));
        })
        .on('error', reject);
    });
  };
  const seal = () => join(gateway.dir, 'data', 'seal.key');
  /** Starts the gateway where it must not start; what it said. */
  const mustNotStart = async (env: NodeJS.ProcessEnv = {}): Promise<string> => {
    const [command, first] = dockgateCommand();
    const ran = await run(command, [...first, 'serve', '--config', gateway.configFile], {
      env: { ...process.env, ...env },
    });
    assert.notEqual(ran.code, 0);
    return ran.stderr.trim();
  };

  before(async () => {
    gateway = await startGateway({ engine: join(tmpdir(), 'dg-no-engine.sock') });
    await admin(gateway, 'POST', '/identities', { name: 'op', policies: ['operator'] });
  });
  after(async () => gateway?.remove());

  it('turn while tokens are out: old and new ones verify with the published set', async () => {
    const before = await token();
    const next = (await listed()).find(({ state }) => state === 'next')?.kid;
    const turned = JSON.parse(await gateway.must('key', 'rotate', '--json')) as ListedKey[];
    assert.deepEqual(turned.map(({ state }) => state).sort(), ['active', 'next', 'retiring']);
    assert.equal(turned.find(({ state }) => state === 'active')?.kid, next);
    const after_ = await token();
    assert.equal(decodeProtectedHeader(after_).kid, next);
    const set = createRemoteJWKSet(new URL('https://127.0.0.1/jwks'), {
      [customFetch]: async () => new Response(await published()),
    });
    for (const one of [before, after_]) {
      const { payload } = await jwtVerify(one, set, { algorithms: ['Ed25519'] });
      assert.equal(payload.sub, 'op');
      assert.equal((await exchange(gateway, one)).status, 200);
    }
    assert.equal((JSON.parse(await published()) as { keys: unknown[] }).keys.length, 3);
    assert.ok(!(await published()).includes('"d"'));
    const row = (await auditOf(gateway, 'local')).find(
      ({ action, decision }) => action === 'key.rotate' && decision === 'allow',
    );
    assert.ok(row);
  });

  it('hand a certificate binding on when a token is exchanged', async () => {
    const folder = join(gateway.dir, 'op-cert');
    await gateway.must('cert', 'issue', 'op', '--out', folder);
    const bound = await gateway.must('token', 'create', 'op', '--bind-cert', join(folder, 'cert.pem'));
    const without = await exchange(gateway, bound);
    assert.deepEqual([without.status, without.body.error], [400, 'invalid_request']);
    const made = await exchange(gateway, bound, {}, folder);
    assert.equal(made.status, 200, JSON.stringify(made.body));
    assert.deepEqual(decodeJwt(made.body.access_token as string).cnf, decodeJwt(bound).cnf);
  });

  it('signing keys are sealed on disk, and an open database of an earlier version is sealed at the start', async () => {
    await gateway.stop();
    const file = join(gateway.dir, 'data', 'state.db');
    const database = new Database(file);
    const rows = database.prepare('SELECT kid, private_jwk AS sealed, state FROM signing_key').all() as {
      kid: string;
      sealed: string;
      state: string;
    }[];
    for (const { sealed, state } of rows) assert.match(sealed, state === 'retiring' ? /^$/ : /^eyJ[^{"]+$/);
    // The next key as an earlier version kept it.
    const { privateJwk, publicJwk, kid } = await openKey();
    const insert = `INSERT INTO signing_key (kid, algorithm, private_jwk, public_jwk, state, created_at, state_at)
      VALUES (?, 'Ed25519', ?, ?, 'active', ?, ?)`;
    database.prepare(insert).run(kid, privateJwk, publicJwk, Date.now(), Date.now());
    database.close();
    await gateway.restart();
    assert.equal((await listed()).find(({ state }) => state === 'active')?.kid, kid);
    await gateway.stop();
    const reopened = new Database(file);
    const { sealed } = reopened.prepare('SELECT private_jwk AS sealed FROM signing_key WHERE kid = ?').get(kid) as {
      sealed: string;
    };
    assert.match(sealed, /^eyJ[^{"]+$/);
    // For the last start below: a month has passed.
    reopened.prepare('UPDATE signing_key SET state_at = 0 WHERE kid = ?').run(kid);
    reopened.close();
  });

  it('say in one sentence when the seal key is missing or wrong, and take it from file or environment', async () => {
    const kept = join(gateway.dir, 'kept.key');
    renameSync(seal(), kept);
    assert.match(
      await mustNotStart(),
      /^dockgate: the signing keys are sealed and the key in \S+seal\.key is missing; restore it[^\n]*$/,
    );
    writeFileSync(seal(), Buffer.alloc(32, 7).toString('base64'));
    assert.match(
      await mustNotStart(),
      /^dockgate: the signing keys are sealed with another key than the one in \S+seal\.key[^\n]*$/,
    );
    rmSync(seal());
    const key = readFileSync(kept, 'utf8').trim();
    const config = readFileSync(gateway.configFile, 'utf8');
    writeFileSync(gateway.configFile, `${config}keySeal: { file: ./kept.key }\n`);
    assert.match(
      await mustNotStart({ DOCKGATE_SEAL_KEY: key }),
      /keySeal\.file and DOCKGATE_SEAL_KEY both give a seal key/,
    );
    await gateway.restart();
    await token();
    // The key of a month ago was followed by the next one, which was published all the while.
    assert.deepEqual((await listed()).map(({ state }) => state).sort(), [
      'active',
      'next',
      'retiring',
      'retiring',
      'retiring',
    ]);
    const { events } = await admin<{ events: AuditView[] }>(gateway, 'GET', '/audit?action=key.rotate');
    assert.deepEqual(events[0]?.detail, { by: 'age' });
  });
});

async function openKey(): Promise<{ kid: string; privateJwk: string; publicJwk: string }> {
  const { calculateJwkThumbprint, exportJWK, generateKeyPair } = await import('jose');
  const pair = await generateKeyPair('Ed25519', { extractable: true });
  const { kty, crv, x } = await exportJWK(pair.publicKey);
  const publicJwk = { kty, crv, x } as { kty: string; crv: string; x: string };
  return {
    kid: await calculateJwkThumbprint(publicJwk),
    privateJwk: JSON.stringify(await exportJWK(pair.privateKey)),
    publicJwk: JSON.stringify(publicJwk),
  };
}
