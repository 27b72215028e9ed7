// authz-adapter before a real authorization plugin of Docker's (casbin's, where DOCKGATE_TEST_AUTHZ_PLUGIN names its program), and before a
// stand-in that fails in every way one can.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, startGateway, type TestGateway } from '../support/gateway.ts';
import { pluginTable } from '../support/plugin-table.ts';
import { IS_DENO } from '../support/runtime.ts';
import { until } from '../support/until.ts';

const needs = ['bodies', 'responses'];

describe('authz-adapter before a stand-in', () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-authz-'));
  const socket = join(dir, 'authz.sock');
  let answer: (asked: Record<string, unknown>) => [status: number, body: string] | undefined = () => undefined;
  let last: Record<string, unknown> = {};
  let server: Server;
  before(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        if (request.url === '/Plugin.Activate') return response.end('{"Implements":["authz"]}');
        last = { ...(JSON.parse(Buffer.concat(chunks).toString()) as object), url: request.url };
        const given = answer(last);
        if (given === undefined) return undefined;
        response.statusCode = given[0];
        return response.end(given[1]);
      });
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
  });
  after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const ask = pluginTable('authz-adapter', { needs });
  const create = (config: object = {}) =>
    ask({
      call: 'POST /containers/create?name=a%20b',
      body: { Image: 'x', Env: ['A=1'] },
      config: { socket, ...config },
    });

  it('authz-adapter before a stand-in asks with the request as it will be sent, and passes on a plain yes', async () => {
    answer = () => [200, '{"Allow":true}'];
    assert.equal((await create()).verdict, 'pass');
    const body = JSON.parse(Buffer.from(String(last.RequestBody), 'base64').toString()) as object;
    assert.deepEqual(body, { Env: ['A=1'], Image: 'x' });
    assert.deepEqual(
      [last.url, last.User, last.RequestMethod, last.RequestUri, last.RequestHeaders],
      [
        '/AuthZPlugin.AuthZReq',
        'ann',
        'POST',
        '/v1.47/containers/create?name=a%20b',
        { 'Content-Type': 'application/json' },
      ],
    );
  });
  it('denies in its words', async () => {
    answer = () => [200, '{"Allow":false,"Msg":"not on a Friday"}'];
    const told = await create();
    assert.deepEqual([told.verdict, told.message], ['authz-denied', 'not on a Friday']);
  });
  it('authz-adapter before a stand-in does not ask about other actions', async () => {
    answer = () => [200, '{"Allow":false}'];
    assert.equal((await create({ actions: ['image.*'] })).verdict, 'pass');
  });
  for (const [title, given] of [
    ['an error of its own', [200, '{"Allow":true,"Err":"no policy"}']],
    ['another status', [500, '{"Allow":true}']],
    ['no JSON', [200, 'yes']],
    ['too much', [200, `{"Allow":true,"Msg":"${'x'.repeat(100_000)}"}`]],
    ['nothing', undefined],
  ] as const)
    it(`fails closed on ${title}`, async () => {
      answer = () => given as [number, string] | undefined;
      await assert.rejects(create());
    });
  for (const said of ['{}', '{"Allow":"true"}', '{"Allow":1}', '[]', 'null', '{"allow":true}'])
    it(`authz-adapter before a stand-in takes ${said} for no yes`, async () => {
      answer = () => [200, said];
      assert.equal((await create()).verdict, 'authz-denied');
    });
});

const PROGRAM = process.env.DOCKGATE_TEST_AUTHZ_PLUGIN;
/** Written into the program. */
const CASBIN_SOCKET = '/run/docker/plugins/casbin-authz-plugin.sock';
const skip =
  skipWithoutCli !== false
    ? skipWithoutCli
    : PROGRAM === undefined
      ? 'no authorization plugin here: DOCKGATE_TEST_AUTHZ_PLUGIN'
      : existsSync(CASBIN_SOCKET)
        ? `${CASBIN_SOCKET} is taken`
        : false;
const P = `dg-authz-${IS_DENO ? 'd' : 'n'}-`;

describe("authz-adapter before casbin's authorization plugin", { skip }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-casbin-'));
  let plugin: ChildProcess;
  let gateway: TestGateway;
  let env: NodeJS.ProcessEnv = {};
  before(async () => {
    writeFileSync(
      join(dir, 'model.conf'),
      '[request_definition]\nr = obj, act\n[policy_definition]\np = obj, act\n[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = regexMatch(r.obj, p.obj) && r.act == p.act\n',
    );
    const lines = [
      '/_ping, HEAD',
      '/_ping, GET',
      '/version, GET',
      '/containers/json, GET',
      `/containers/create\\?name=${P}ok, POST`,
      '/images/.*, GET',
    ];
    writeFileSync(join(dir, 'policy.csv'), lines.map((line) => `p, ${line}\n`).join(''));
    plugin = spawn(PROGRAM as string, ['-model', join(dir, 'model.conf'), '-policy', join(dir, 'policy.csv')]);
    await until('the plugin listens', () => existsSync(CASBIN_SOCKET));
    gateway = await startGateway({
      engine: ENGINE as string,
      settings: { plugins: [{ use: 'authz-adapter', needs, config: { socket: CASBIN_SOCKET, responses: true } }] },
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    env = gateway.dockerEnv(await gateway.must('token', 'create', 'op'));
    removeContainers(P);
  });
  after(async () => {
    removeContainers(P);
    await gateway?.remove();
    plugin?.kill();
    rmSync(CASBIN_SOCKET, { force: true });
    rmSync(dir, { recursive: true, force: true });
  });

  it('what its policy allows goes through', async () => {
    const ran = await docker(env, ['create', '--name', `${P}ok`, IMAGE]);
    assert.equal(ran.code, 0, ran.stderr);
    const ps = await docker(env, ['ps', '-a', '--filter', `name=${P}`, '--format', '{{.Names}}']);
    assert.equal(ps.stdout.trim(), `${P}ok`, ps.stderr);
  });
  it('what it does not is denied in its words, with one row in the audit', async () => {
    const ran = await docker(env, ['create', '--name', `${P}other`, IMAGE]);
    assert.match(ran.stderr, /denied by plugin authz-adapter: Access denied by casbin plugin \(authz-denied\)/);
    const [, id] = /\[audit ([0-9a-f-]{36})\]/.exec(ran.stderr) ?? [];
    assert.match(await gateway.must('audit', 'show', id as string), /plugin-denied/);
  });
  it('a plugin that is gone denies', async () => {
    plugin.kill();
    await until('the plugin is gone', async () => (await docker(env, ['ps'])).code !== 0);
    assert.match((await docker(env, ['ps'])).stderr, /plugin authz-adapter failed, so the call is denied/);
  });
});
