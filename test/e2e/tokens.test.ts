// The life of tokens from outside: narrowed, exchanged, had for a credential, counted and revoked, with the real docker CLI.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { decodeJwt } from 'jose';
import { admin, auditOf, until } from '../support/admin.ts';
import { DOCKER_CLI, dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { ACCESS_TOKEN, askToken, EXCHANGE, exchange } from '../support/token-endpoint.ts';

const PREFIX = `dg-tok-${IS_DENO ? 'deno' : 'node'}`;
const CI = `${PREFIX}-ci-1`;
const WEB = `${PREFIX}-web`;

interface ListedToken {
  readonly id: string;
  readonly identity: string;
  readonly state: string;
  readonly parent: string | null;
  readonly lastUsedAt: string | null;
  readonly calls: number;
  readonly denials: number;
}

describe('tokens', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  const cli = (token: string, ...args: string[]) => docker(gateway.dockerEnv(token), args);
  const idOf = (token: string): string => decodeJwt(token).jti as string;
  const listed = async (identity: string): Promise<readonly ListedToken[]> =>
    (await admin<{ tokens: ListedToken[] }>(gateway, 'GET', `/tokens?identity=${identity}`)).tokens;
  /** A `logs -f` that is open, as the caller of a token; resolves when it ended. */
  const follow = async (subject: string, token: string): Promise<{ ended: Promise<void> }> => {
    const open = async () =>
      (await auditOf(gateway, subject)).filter((row) => row.stage === 'stream-open' && row.tokenId === idOf(token))
        .length;
    const before = await open();
    const child = spawn(DOCKER_CLI as string, ['logs', '-f', CI], { env: gateway.dockerEnv(token), stdio: 'ignore' });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    await until('the stream is open', async () => (await open()) > before);
    return { ended };
  };
  const endsOf = async (subject: string): Promise<unknown[]> =>
    (await auditOf(gateway, subject)).map((row) => row.detail?.end).filter((end) => end !== undefined);

  before(async () => {
    removeContainers(PREFIX);
    for (const name of [CI, WEB]) dockerDirect('run', '-d', '--network', 'none', '--name', name, IMAGE, 'sleep', '600');
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'bot', identity: 'bot' }] });
    await gateway.must('identity', 'create', 'bot', '--policy', 'operator', '--max-ttl', '2h');
  });
  after(async () => {
    removeContainers(PREFIX);
    await gateway?.remove();
  });

  it('narrowed by actions, resources and a host preset do no more than they say', async () => {
    const token = await gateway.must(
      ...['token', 'create', 'bot', '--action', 'container.*', '--resource', `container/${PREFIX}-ci-*`],
      ...['--resource', 'image/docker.io/library/*', '--host-preset', 'baseline'],
    );
    assert.equal((await cli(token, 'logs', CI)).code, 0);
    assert.match((await cli(token, 'logs', WEB)).stderr, /denied by the token's ceiling: path\.id names container/);
    assert.match((await cli(token, 'images')).stderr, /denied by the token's ceiling: it covers container\.\*/);
    // By its id a container is judged by its name.
    const [ci, web] = [CI, WEB].map((name) => dockerDirect('inspect', '-f', '{{.Id}}', name).trim()) as [
      string,
      string,
    ];
    assert.equal((await cli(token, 'logs', ci)).code, 0);
    assert.match((await cli(token, 'logs', web)).stderr, /denied by the token's ceiling/);
    const run = ['run', '--rm', '--network', 'none', '--name', `${PREFIX}-ci-2`];
    assert.match((await cli(token, ...run, '--privileged', IMAGE, 'true')).stderr, /ceiling: HostConfig\.Privileged/);
    assert.equal((await cli(token, ...run, IMAGE, 'true')).code, 0);
    // A narrowed operator is no operator.
    const ran = await gateway.dockgate('token', 'create', 'bot', '--action', 'container.craete');
    assert.match(ran.stderr, /did you mean container\.create/);
  });

  it('exchange for a narrower one, and never for a wider one', async () => {
    const parent = await gateway.must('token', 'create', 'bot', '--scope', 'class:read', '--scope', 'container.*');
    const made = await exchange(gateway, parent, {
      scope: 'container.list container.inspect container.logs',
      expires_in: '60',
    });
    assert.equal(made.status, 200);
    assert.equal(made.headers['cache-control'], 'no-store');
    const { access_token: child = '', ...rest } = made.body;
    assert.deepEqual(rest, {
      issued_token_type: ACCESS_TOKEN,
      token_type: 'Bearer',
      expires_in: 60,
      scope: 'container.list container.inspect container.logs',
    });
    const claims = decodeJwt(child);
    assert.deepEqual(claims.act, { sub: 'bot' });
    assert.equal((await cli(child, 'ps')).code, 0);
    assert.match((await cli(child, 'stop', CI)).stderr, /denied by the token's scope/);
    const row = (await auditOf(gateway, 'bot')).find(({ action }) => action === 'token.exchange');
    assert.equal(row?.tokenId, idOf(parent));

    const details = JSON.stringify([{ type: 'docker', resources: [`container/${CI}`] }]);
    const grandchild = await exchange(gateway, child, { authorization_details: details });
    assert.equal(grandchild.body.scope, 'container.list container.inspect container.logs', 'the ceiling above is kept');
    assert.match((await cli(grandchild.body.access_token as string, 'logs', WEB)).stderr, /ceiling/);
    assert.equal((await cli(grandchild.body.access_token as string, 'logs', CI)).code, 0);

    for (const [title, more, error] of [
      ['a wider scope', { scope: 'container.stop' }, 'invalid_scope'],
      ['an action there is not', { scope: 'container.lst' }, 'invalid_scope'],
      ['details that are none', { authorization_details: '[{"type":"x"}]' }, 'invalid_authorization_details'],
      ['another audience', { audience: 'elsewhere' }, 'invalid_grant'],
      ['another kind of token', { requested_token_type: 'urn:ietf:params:oauth:token-type:saml2' }, 'invalid_request'],
      ['a lifetime in words', { expires_in: 'long' }, 'invalid_request'],
    ] as const) {
      const refused = await exchange(gateway, child, more);
      assert.deepEqual([title, refused.status, refused.body.error], [title, 400, error]);
      assert.equal(refused.headers['dockgate-audit-id'], refused.body.audit_id);
    }
  });

  it('made from a token end with it, streams and all', async () => {
    const parent = await gateway.must('token', 'create', 'bot', '--ttl', '1h');
    const child = (await exchange(gateway, parent)).body.access_token as string;
    const grandchild = (await exchange(gateway, child)).body.access_token as string;
    const stream = await follow('bot', grandchild);
    await gateway.must('token', 'revoke', idOf(parent));
    await stream.ended;
    assert.match((await cli(grandchild, 'ps')).stderr, /what the token was made from was revoked/);
    const refused = await exchange(gateway, child);
    assert.deepEqual([refused.status, refused.body.error], [400, 'invalid_request']);
    assert.equal((await listed('bot')).find(({ id }) => id === idOf(grandchild))?.state, 'revoked');
  });

  it('tokens are had for a credential that is shown once, and end with it', async () => {
    const ran = await gateway.dockgate('credential', 'create', 'bot', '--ttl', '30d', '--scope', 'class:read');
    const typo = admin(gateway, 'POST', '/credentials', { identity: 'bot', scope: ['class:raed'] });
    await assert.rejects(typo, /422.*class:raed/);
    for (const more of [{ boundTo: 'A'.repeat(43) }, { lease: '1h' }]) {
      const refused = admin(gateway, 'POST', '/credentials', { identity: 'bot', ...more });
      await assert.rejects(refused, /422.*unknown key/, 'a credential cannot hand it on');
    }
    const secret = ran.stdout.trim();
    assert.match(secret, /^dockgate_[0-9A-Za-z]{49}$/);
    const made = await askToken(gateway, { grant_type: 'client_credentials', client_secret: secret });
    assert.equal(made.status, 200, JSON.stringify(made.body));
    assert.equal(made.body.expires_in, 900);
    const token = made.body.access_token as string;
    assert.equal((await cli(token, 'ps')).code, 0);
    assert.match((await cli(token, 'stop', CI)).stderr, /denied by the token's scope/);

    const basic = `Basic ${Buffer.from(`bot:${secret}`).toString('base64')}`;
    const other = await askToken(
      gateway,
      { grant_type: 'client_credentials', expires_in: '86400' },
      { authorization: basic },
    );
    assert.equal(other.body.expires_in, 3600, 'a short token, whatever is asked for');
    assert.equal((await askToken(gateway, { grant_type: 'refresh_token', refresh_token: `${secret}\n` })).status, 200);
    // It is no token itself.
    assert.match((await cli(secret, 'ps')).stderr, /not a signed JWT/);

    for (const [title, form, headers, status, error] of [
      ['another client', { client_id: 'op', client_secret: secret }, {}, 401, 'invalid_client'],
      [
        'a letter changed',
        { client_secret: `${secret.slice(0, -1)}${secret.endsWith('a') ? 'b' : 'a'}` },
        {},
        401,
        'invalid_client',
      ],
      ['a wider scope', { client_secret: secret, scope: 'container.stop' }, {}, 400, 'invalid_scope'],
      ['no secret', {}, {}, 400, 'invalid_request'],
      ['secrets twice', { client_secret: secret }, { authorization: basic }, 400, 'invalid_request'],
      ['a bearer header', { client_secret: secret }, { authorization: 'Bearer x' }, 400, 'invalid_request'],
    ] as const) {
      const refused = await askToken(gateway, { grant_type: 'client_credentials', ...form }, headers);
      assert.deepEqual([title, refused.status, refused.body.error], [title, status, error]);
      assert.ok(!JSON.stringify(refused.body).includes(secret));
    }

    const stream = await follow('bot', token);
    const [row] = JSON.parse(await gateway.must('credential', 'list', '--identity', 'bot', '--json')) as [
      { id: string; tokens: number; lastUsedAt: string },
    ];
    assert.equal(row.tokens, 3);
    assert.ok(!JSON.stringify(row).includes(secret.slice(9)));
    await gateway.must('credential', 'revoke', row.id);
    await stream.ended;
    assert.ok((await endsOf('bot')).includes('token-revoked'));
    const gone = await askToken(gateway, { grant_type: 'refresh_token', refresh_token: secret });
    assert.deepEqual([gone.status, gone.body.error], [401, 'invalid_client']);
    assert.match(gone.body.error_description ?? '', /revoked/);
  });

  it('endpoint refuses what is no proper form, and is not there on a unix socket', async () => {
    const at = { grant_type: EXCHANGE, subject_token: 'x', subject_token_type: ACCESS_TOKEN };
    for (const [title, form, headers, error] of [
      ['no grant type', 'a=b', {}, 'invalid_request'],
      ['a form sent after 100 Continue', 'a=b', { expect: '100-continue' }, 'invalid_request'],
      ['a grant type of others', 'grant_type=password', {}, 'unsupported_grant_type'],
      ['a parameter twice', 'grant_type=refresh_token&grant_type=refresh_token', {}, 'invalid_request'],
      ['JSON', '{}', { 'content-type': 'application/json' }, 'invalid_request'],
      ['a form too large', `a=${'x'.repeat(70_000)}`, {}, 'invalid_request'],
      ['no subject token', { ...at, subject_token: '' }, {}, 'invalid_request'],
      ['no type of the subject token', { ...at, subject_token_type: '' }, {}, 'invalid_request'],
      ['a subject token that is none', at, {}, 'invalid_request'],
    ] as const) {
      const refused = await askToken(gateway, form, headers);
      assert.deepEqual([title, refused.status, refused.body.error], [title, 400, error]);
    }
    const ran = await docker({ ...process.env, DOCKER_HOST: `unix://${gateway.dir}/bot.sock` }, ['ps']);
    assert.equal(ran.code, 0, 'the socket is there');
    const { default: http } = await import('node:http');
    const status = await new Promise((resolve, reject) => {
      const request = http.request(
        { socketPath: `${gateway.dir}/bot.sock`, method: 'POST', path: '/token' },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        },
      );
      request.on('error', reject).end();
    });
    assert.equal(status, 404);
  });

  it('tokens are revoked by identity and by time, credentials included', async () => {
    await gateway.must('identity', 'create', 'crowd', '--policy', 'operator');
    const [first, second] = [
      await gateway.must('token', 'create', 'crowd'),
      await gateway.must('token', 'create', 'crowd'),
    ];
    await gateway.must('credential', 'create', 'crowd');
    assert.equal(
      await gateway.must('token', 'revoke', '--identity', 'crowd', '--before', '1h'),
      '0 tokens and 0 credentials of crowd revoked',
    );
    const stream = await follow('crowd', first);
    assert.equal((await cli(second, 'ps')).code, 0);
    assert.equal(
      await gateway.must('token', 'revoke', '--identity', 'crowd'),
      '2 tokens and 1 credentials of crowd revoked',
    );
    await stream.ended;
    assert.match((await cli(second, 'ps')).stderr, /the token was revoked/);
    assert.equal(
      (await cli(await gateway.must('token', 'create', 'crowd'), 'ps')).code,
      0,
      'a new one is good at once',
    );
    const future = await gateway.dockgate('token', 'revoke', '--identity', 'crowd', '--before', '2999-01-01');
    assert.match(future.stderr, /lies in the future/);
  });

  it('live no longer than their identity allows, however they are had', async () => {
    assert.match(
      (await gateway.dockgate('token', 'create', 'bot', '--ttl', '3h')).stderr,
      /longer than the longest allowed for bot, 2h/,
    );
    await gateway.must('identity', 'update', 'bot', '--max-ttl', '5m');
    const token = await gateway.must('token', 'create', 'bot');
    const { exp = 0, iat = 0 } = decodeJwt(token);
    assert.equal(exp - iat, 300);
    assert.ok(((await exchange(gateway, token, { expires_in: '3600' })).body.expires_in ?? 0) <= 300);
    await gateway.must('identity', 'update', 'bot', '--max-ttl', 'none');
    await gateway.must('token', 'create', 'bot', '--ttl', '3h');
  });

  it('tokens are listed with last use, calls and denials, also after kill -9', async () => {
    await gateway.must('identity', 'create', 'counted', '--policy', 'reader');
    const token = await gateway.must('token', 'create', 'counted');
    const unused = await gateway.must('token', 'create', 'counted');
    await cli(token, 'ps');
    await cli(token, 'stop', CI);
    const rows = (await auditOf(gateway, 'counted')).filter(({ stage }) => stage === 'complete');
    const use = { calls: rows.length, denials: rows.filter(({ decision }) => decision === 'deny').length };
    assert.ok(use.calls >= 2 && use.denials >= 1);
    const countOf = async (of: string) => {
      const found = (await listed('counted')).find(({ id }) => id === idOf(of));
      return { calls: found?.calls, denials: found?.denials };
    };
    assert.deepEqual(await countOf(token), use);
    await gateway.stop('SIGKILL');
    await gateway.restart();
    assert.deepEqual(await countOf(token), use);
    assert.deepEqual(await countOf(unused), { calls: 0, denials: 0 });
    assert.match(await gateway.must('token', 'list', '--identity', 'counted'), /never/);
  });

  it('tokens cannot be guessed at speed', async () => {
    let answer = await askToken(gateway, { grant_type: 'refresh_token', refresh_token: 'dockgate_guess' });
    for (let i = 0; i < 40 && answer.status === 401; i++) {
      answer = await askToken(gateway, { grant_type: 'refresh_token', refresh_token: 'dockgate_guess' });
    }
    assert.deepEqual([answer.status, answer.body.error], [429, 'slow_down']);
    assert.ok(Number(answer.headers['retry-after']) > 0);
  });
});
