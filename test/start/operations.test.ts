// What an operator asks of the gateway, on the running program: health, readiness, metrics on the admin listener and on
// one of their own, status, reload, and JSON from every command. The engine is a scripted STAND-IN.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { HttpsCaller } from '../support/https-caller.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

interface Answered {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const ask = (to: { socketPath: string } | { port: number }, path: string, method = 'GET'): Promise<Answered> =>
  new Promise((resolve, reject) => {
    const call = request(
      { ...to, ...('port' in to ? { host: '127.0.0.1' } : {}), path, method, agent: false },
      (answer) => {
        let body = '';
        answer.on('data', (data: Buffer) => {
          body += data;
        });
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, type: answer.headers['content-type'] ?? '', body }),
        );
      },
    );
    call.on('error', reject);
    call.end();
  });

describe('operating a gateway', () => {
  let engine: ScriptedEngine;
  let gateway: TestGateway;
  let caller: HttpsCaller;
  let stranger: HttpsCaller;
  let admin: { socketPath: string };
  let metrics: { port: number };
  before(async () => {
    engine = await startScriptedEngine((r) => r.answer(200, '[]', ['Content-Type: application/json']));
    gateway = await startGateway({
      engine: engine.address.path as string,
      settings: { metrics: { listen: 'http://127.0.0.1:0' } },
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    caller = new HttpsCaller(gateway, await gateway.must('token', 'create', 'op'));
    stranger = new HttpsCaller(gateway, '');
    admin = { socketPath: join(gateway.dir, 'data', 'admin.sock') };
    metrics = { port: Number(/"listener":"http:\/\/[^"]*","port":(\d+)/.exec(gateway.log())?.[1]) };
  });
  after(async () => {
    caller?.close();
    stranger?.close();
    await gateway?.remove();
    await engine?.close();
  });

  it('health and readiness answer strangers on the TCP listener, and tell no more than up', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const answer = await stranger.call('GET', path);
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [200, { status: 'up' }]);
      assert.equal((await stranger.call('HEAD', path)).status, 200);
      assert.equal((await stranger.call('GET', `${path}?verbose=1`)).status, 200);
      // In any other spelling it is a call to the engine, and those need a credential.
      for (const other of [`/${path}`, `${path}/`, `${path.slice(0, -1)}%7A`, `/.${path}`]) {
        assert.equal((await stranger.call('GET', other)).status, 401, other);
      }
    }
  });

  it('metrics are on the admin listener and on one of their own, in Prometheus text, and nowhere for strangers', async () => {
    assert.equal((await caller.call('GET', '/containers/json')).status, 200);
    assert.equal((await stranger.call('GET', '/containers/json')).status, 401);
    for (const [where, path] of [
      [admin, '/metrics'],
      [admin, '/dockgate/v1/metrics'],
      [metrics, '/metrics'],
    ] as const) {
      const answer = await ask(where, path);
      assert.equal(answer.status, 200);
      assert.match(answer.type, /^text\/plain; version=0\.0\.4/);
      assert.match(
        answer.body,
        /^dockgate_calls_total\{action="container\.list",decision="allow",status="2xx"\} [1-9]/m,
      );
      assert.match(
        answer.body,
        /^dockgate_calls_total\{action="unknown",decision="unauthenticated",status="4xx"\} [1-9]/m,
      );
      assert.match(answer.body, /^dockgate_audit_healthy 1$/m);
      assert.doesNotMatch(answer.body, /"op"/, 'no identity in the metrics');
    }
    assert.equal((await stranger.call('GET', '/metrics')).status, 401);
    assert.equal((await stranger.call('GET', '/dockgate/v1/metrics')).status, 401);
    assert.equal((await caller.call('GET', '/dockgate/v1/metrics')).status, 200);
  });

  it('the listener for metrics serves nothing else', async () => {
    for (const path of ['/containers/json', '/dockgate/v1/identities', '/version', '/.well-known/jwks.json']) {
      assert.equal((await ask(metrics, path)).status, 404, path);
    }
    assert.equal((await ask(metrics, '/healthz')).status, 200);
    assert.equal((await ask(admin, '/containers/json')).status, 404, 'nor does the admin socket reach the engine');
    const seen = engine.requests.filter((r) => r.target === '/containers/json').length;
    assert.equal(seen, 1);
  });

  it('the admin socket is its owner’s alone', async () => {
    const { statSync } = await import('node:fs');
    assert.equal(statSync(admin.socketPath).mode & 0o777, 0o600);
    assert.equal(statSync(join(gateway.dir, 'data')).mode & 0o777, 0o700);
  });

  it('every command that reads answers in JSON', async () => {
    const id = (JSON.parse(await gateway.must('audit', 'ls', '--json')) as { auditId: string }[])[0]?.auditId as string;
    const asked = join(gateway.dir, 'asked.json');
    writeFileSync(asked, JSON.stringify({ method: 'GET', target: '/containers/json' }));
    for (const args of [
      ['status'],
      ['identity', 'list'],
      ['identity', 'show', 'op'],
      ['token', 'list'],
      ['policy', 'list'],
      ['policy', 'show', 'baseline'],
      ['policy', 'explain', '--as', 'op', '--request', asked],
      ['plugin', 'list'],
      ['audit', 'ls'],
      ['audit', 'show', id],
      ['reload'],
      ['check'],
    ]) {
      const text = await gateway.must(...args, '--json');
      assert.equal(typeof JSON.parse(text), 'object', args.join(' '));
    }
  });

  it('errors are one line on standard error, exit code 1, also with --json', async () => {
    for (const args of [
      ['identity', 'show', 'nobody'],
      ['token', 'create', 'nobody'],
      ['token', 'revoke', 'no-such-id'],
      ['policy', 'show', 'nothing'],
      ['audit', 'show', '0199f2c4-0000-7000-8000-000000000000'],
    ]) {
      const ran = await gateway.dockgate(...args, '--json');
      assert.deepEqual([ran.code, ran.stdout], [1, ''], args.join(' '));
      assert.match(ran.stderr, /^dockgate: [^\n]+\n$/);
    }
  });

  it('a reload whose listener cannot be bound changes nothing at all; one that needs a restart says so', async () => {
    const good = readFileSync(gateway.configFile, 'utf8');
    const settings = parse(good) as Record<string, unknown>;
    const taken = net.createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as net.AddressInfo;
    writeFileSync(
      gateway.configFile,
      stringify({
        ...settings,
        plugins: [{ use: 'no-privileged' }],
        listen: [...(settings.listen as unknown[]), `https://127.0.0.1:${port}`],
      }),
    );
    const failed = await gateway.dockgate('reload');
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /cannot listen on .*EADDRINUSE|cannot listen on/);
    writeFileSync(gateway.configFile, good);
    assert.deepEqual(JSON.parse(await gateway.must('plugin', 'list', '--json')), []);
    await new Promise<void>((resolve) => taken.close(() => resolve()));

    writeFileSync(gateway.configFile, stringify({ ...settings, engine: 'unix:///elsewhere.sock' }));
    assert.equal(await gateway.must('reload'), 'reloaded\nchanged at the next start only: engine');
    writeFileSync(gateway.configFile, good);
    assert.equal(await gateway.must('reload'), 'reloaded');
    assert.equal((await caller.call('GET', '/containers/json')).status, 200);
  });

  it('audit tail follows the running gateway', async () => {
    const { spawn } = await import('node:child_process');
    const { dockgateCommand } = await import('../support/runtime.ts');
    const [command, args] = dockgateCommand();
    const child = spawn(command, [...args, 'audit', 'tail', '--json', '--config', gateway.configFile], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (data: Buffer) => {
      text += data;
    });
    const tail = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)));
    const calls = setInterval(() => void caller.call('GET', '/info').catch(() => {}), 100);
    await until('a row of it', () => text.includes('"system.info"'));
    clearInterval(calls);
    process.kill(child.pid as number, 'SIGINT');
    assert.equal(await tail, 0);
    for (const line of text.trim().split('\n')) assert.equal(typeof JSON.parse(line), 'object');
  });
});
