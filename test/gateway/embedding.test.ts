// createGateway in a server of one's own: the web-standard fetch alone, without any listener. Against a scripted STAND-IN.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

describe('createGateway().fetch', () => {
  let engine: ScriptedEngine;
  let at: EmbeddedTestGateway;
  let token: string;
  before(async () => {
    engine = await startScriptedEngine(() => {});
    at = await openEmbedded(engine.url, { limits: { bodyBytes: 16384, bodyTimeoutMs: 150 } });
    token = await at.token('alice');
  });
  after(async () => {
    await at?.close();
    await engine?.close();
  });
  beforeEach(() => {
    engine.script = (r) => r.answer(200, '[]', ['Content-Type: application/json']);
  });
  const request = (path: string, init: RequestInit & { duplex?: 'half' } = {}, who: string | undefined = token) =>
    new Request(`http://anything${path}`, {
      ...init,
      headers: { ...(who === '' ? {} : { authorization: `Bearer ${who}` }), ...init.headers },
    } as RequestInit);
  const messageOf = async (response: Response) => ((await response.json()) as { message: string }).message;

  it('createGateway().fetch answers an allowed call, with the audit id of its record', async () => {
    const response = await at.gateway.fetch(request('/v1.47/containers/json?all=1'));
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '[]');
    const rows = await at.completed(response.headers.get('dockgate-audit-id') as string);
    // Two rows where the engine took its time, else one.
    for (const row of rows) assert.deepEqual([row.subject, row.action], ['alice', 'container.list']);
    assert.equal(rows.at(-1)?.stage, 'complete');
  });

  it('a request whose connection cannot be inspected is ended, and no other one is', async () => {
    const socket = {
      getPeerCertificate() {
        throw new Error('the connection is in no state to tell');
      },
    };
    const incoming = { method: 'GET', url: '/containers/json', rawHeaders: [], headers: {}, socket };
    let isDestroyed = false;
    const outgoing = { destroy: () => (isDestroyed = true) };
    const before = engine.requests.length;
    at.gateway.onRequest(incoming as never, outgoing as never, { kind: 'tcp', name: 'mine' });
    assert.equal(isDestroyed, true);
    assert.equal(engine.requests.length, before);
    assert.equal((await at.gateway.fetch(request('/containers/json'))).status, 200);
  });

  it('createGateway().fetch refuses without a token, and with two', async () => {
    const without = await at.gateway.fetch(request('/containers/json', {}, ''));
    assert.equal(without.status, 401);
    assert.match(without.headers.get('www-authenticate') ?? '', /^Bearer/);
    const headers = new Headers({ authorization: `Bearer ${token}` });
    headers.append('authorization', `Bearer ${token}`);
    const two = await at.gateway.fetch(new Request('http://x/containers/json', { headers }));
    assert.equal(two.status, 401);
  });

  it('an Upgrade header skips nothing: the call is judged and sent as an ordinary one', async () => {
    const before = engine.requests.length;
    for (const [who, status] of [
      ['', 401],
      [await at.token('rita', 'reader'), 403],
    ] as const) {
      const response = await at.gateway.fetch(
        request(`/containers/${'c'.repeat(64)}/attach`, { method: 'POST', headers: { 'x-upgrade': 'tcp' } }, who),
        // Request drops these names; an adapter that builds its own headers may not.
      );
      assert.equal(response.status, status);
    }
    assert.ok(engine.requests.slice(before).every((r) => !r.target.includes('attach')));
  });

  it('streams an answer as it comes, and makes the engine wait for a reader who does not read', async () => {
    let sent = 0;
    engine.script = (r) => {
      r.socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n');
      const chunk = Buffer.alloc(64 * 1024, 'x');
      const pump = () => {
        while (sent < 256 && !r.socket.destroyed) {
          sent++;
          r.socket.write('10000\r\n');
          r.socket.write(chunk);
          if (!r.socket.write('\r\n')) return void r.socket.once('drain', pump);
        }
        if (sent === 256) r.socket.write('0\r\n\r\n');
      };
      pump();
    };
    const response = await at.gateway.fetch(request('/images/x:1/get'));
    assert.equal(response.status, 200);
    let before = -1;
    await until('the engine to stand still', async () => {
      const same = sent === before;
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return same;
    });
    assert.ok(sent < 128, `${sent} of 256 chunks went out without a reader`);
    assert.equal((await response.arrayBuffer()).byteLength, 256 * 64 * 1024);
  });

  it('a reader who cancels ends the call at the engine', async () => {
    engine.script = (r) => r.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
    const response = await at.gateway.fetch(request('/events'));
    const reader = response.body?.getReader();
    assert.equal((await reader?.read())?.value?.length, 1);
    await reader?.cancel();
    const seen = engine.requests.at(-1);
    await until('the engine to see the end', () => seen?.socket.destroyed || seen?.socket.readableEnded);
    await at.completed(response.headers.get('dockgate-audit-id') as string);
  });

  it('a caller who aborts before the head ends the call at the engine', async () => {
    engine.script = () => {};
    const before = engine.requests.length;
    const controller = new AbortController();
    const pending = at.gateway.fetch(request('/events', { signal: controller.signal }));
    await until('the engine to be asked', () => engine.requests.length > before);
    controller.abort();
    assert.equal((await pending).status, 503);
    const seen = engine.requests.at(-1);
    await until('the engine to see the end', () => seen?.socket.destroyed || seen?.socket.readableEnded);
    await until('no call under way', () => at.gateway.active === 0);
  });

  it('a truncated answer of the engine fails the reader', async () => {
    engine.script = (r) => {
      r.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
      setTimeout(() => r.socket.destroy(), 20);
    };
    const response = await at.gateway.fetch(request('/containers/json'));
    await assert.rejects(response.text());
  });

  it('a body that is too large, stops or breaks off is told, and never taken for a whole one', async () => {
    const json = { 'content-type': 'application/json' };
    const large = await at.gateway.fetch(
      request('/containers/create', {
        method: 'POST',
        headers: json,
        body: JSON.stringify({ Cmd: ['x'.repeat(20_000)] }),
      }),
    );
    assert.equal(large.status, 413, await large.text());
    const before = engine.requests.length;
    const stalled = new ReadableStream({
      start: (c) => c.enqueue(new TextEncoder().encode('{"Image":"busybox"}')),
    });
    const late = await at.gateway.fetch(
      request('/containers/create', { method: 'POST', headers: json, body: stalled, duplex: 'half' }),
    );
    assert.equal(late.status, 408, await messageOf(late));
    const broken = new ReadableStream({
      start: (c) => c.enqueue(new TextEncoder().encode('{"Image":"busybox"}')),
      pull: () => Promise.reject(new Error('the sender died')),
    });
    const gone = await at.gateway.fetch(
      request('/containers/create', { method: 'POST', headers: json, body: broken, duplex: 'half' }),
    );
    assert.equal(gone.status, 400, await messageOf(gone));
    assert.equal(engine.requests.slice(before).filter((r) => r.method === 'POST').length, 0);
  });

  it('serves health and keys beside the Engine API', async () => {
    assert.deepEqual(await (await at.gateway.fetch(new Request('http://x/healthz'))).json(), { status: 'up' });
    const keys = (await (await at.gateway.fetch(new Request('http://x/.well-known/jwks.json'))).json()) as {
      keys: { kty: string; d?: string }[];
    };
    assert.equal(keys.keys[0]?.kty, 'OKP');
    assert.equal(keys.keys[0]?.d, undefined);
  });

  it('HEAD, 204 and 304 have no body', async () => {
    engine.script = (r) => (r.method === 'HEAD' ? r.answer(200, 'OK') : r.answer(304));
    assert.equal(await (await at.gateway.fetch(request('/_ping', { method: 'HEAD' }))).text(), '');
    const started = await at.gateway.fetch(request(`/containers/${'c'.repeat(64)}/start`, { method: 'POST' }));
    assert.deepEqual([started.status, started.body], [304, null]);
  });
});

it('importing the package starts nothing', async () => {
  const { run } = await import('../support/gateway.ts');
  const { IS_DENO, ROOT } = await import('../support/runtime.ts');
  const code = `await import(${JSON.stringify(`file://${ROOT}src/index.ts`)}); console.log('imported')`;
  const ran = await run(
    process.execPath,
    IS_DENO ? ['eval', '--no-check', code] : ['--input-type=module', '-e', code],
    { timeoutMs: 30_000 },
  );
  // It ends by itself: no listener, timer or database keeps it alive.
  assert.deepEqual([ran.code, ran.stdout.trim()], [0, 'imported'], ran.stderr);
});
