// The client to the engine against a scripted STAND-IN: pooling and its retry rule, framing, early answers, aborts on
// either side, backpressure, and that a truncated answer is seen as truncated. Unix, TCP and TLS.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import { ensureAuthority, ensureServerCertificate } from '../../src/identity/certificates.ts';
import { createEngineClient, type EngineClient, type EngineClientOptions } from '../../src/proxy/engine-client.ts';
import { DEFAULT_BOUNDS, type LaneBounds } from '../../src/proxy/lanes.ts';
import type { EngineRequest } from '../../src/proxy/types.ts';
import { memoryCaller } from '../support/memory-caller.ts';
import {
  type Script,
  type ScriptedEngine,
  type ScriptedOptions,
  startScriptedEngine,
} from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const get = (target: string): EngineRequest => ({ method: 'GET', target, headers: [], body: undefined });
const post = (target: string, body: EngineRequest['body'] = undefined): EngineRequest => ({
  method: 'POST',
  target,
  headers: [],
  body,
});

/** A caller's short call; without a lane a request is the gateway's own. */
const call = (target: string): EngineRequest => ({ ...get(target), lane: 'call' });
/** Bounds without a share of one identity. */
const bounded = (given: Partial<LaneBounds>): EngineClientOptions => ({
  bounds: () => ({ ...DEFAULT_BOUNDS, sharePercent: 100, ...given }),
});

let engine: ScriptedEngine;
let client: EngineClient;
async function open(script: Script, options: EngineClientOptions = {}, how: ScriptedOptions = {}): Promise<void> {
  engine = await startScriptedEngine(script, how);
  client = createEngineClient(engine.address, options);
}
afterEach(async () => {
  await client?.close();
  await engine?.close();
});

let folder: string;
const material: { cert: string; key: string } = { cert: '', key: '' };
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dg-client-tls-'));
  await ensureAuthority(folder);
  await ensureServerCertificate(folder, { names: [] });
  material.cert = readFileSync(join(folder, 'server.pem'), 'utf8');
  material.key = readFileSync(join(folder, 'server-key.pem'), 'utf8');
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** A client that trusts the private CA of the engine's certificate. */
const trustAuthority = () => {
  const { tls: _none, ...bare } = engine.address;
  const ca = readFileSync(join(folder, 'ca.pem'), 'utf8');
  client = createEngineClient({ ...bare, tls: { ca, servername: 'localhost' } });
};
const ways: [string, () => ScriptedOptions][] = [
  ['unix', () => ({})],
  ['TCP', () => ({ tcp: true })],
  ['TLS', () => ({ tls: material })],
];

describe('the pool', () => {
  it('sends one call after another on one connection, and those at once on several', async () => {
    await open((r) => r.answer(200, r.target));
    for (const target of ['/a', '/b', '/c']) {
      const caller = memoryCaller();
      const outcome = await client.forward(get(target), caller);
      assert.deepEqual([outcome.status, outcome.bytesOut, outcome.end], [200, 2, 'complete']);
      assert.equal(caller.body().toString(), target);
      assert.equal(caller.state, 'ended');
    }
    assert.equal(engine.sockets.length, 1);
    await Promise.all(['/d', '/e', '/f'].map((t) => client.forward(get(t), memoryCaller())));
    assert.ok(engine.sockets.length <= 3);
  });

  it('the pool waits for a free connection at the limit, and serves those who wait in order', async () => {
    const waiting: (() => void)[] = [];
    await open((r) => waiting.push(() => r.answer(200, r.target)), bounded({ engineConnections: 2 }));
    const order: string[] = [];
    const calls = ['/1', '/2', '/3', '/4'].map((t) =>
      client.forward(call(t), memoryCaller()).then(() => order.push(t)),
    );
    await until('two calls', () => waiting.length === 2);
    assert.equal(engine.sockets.length, 2);
    while (order.length < 4) {
      waiting.shift()?.();
      await until('the next call', () => waiting.length > 0 || order.length === 4);
    }
    await Promise.all(calls);
    assert.equal(engine.sockets.length, 2, 'the connections were used again');
    assert.deepEqual([...order].sort(), ['/1', '/2', '/3', '/4']);
  });

  it('the pool drops a connection the engine did not mean to keep', async () => {
    await open((r) => r.answer(200, 'x', ['Connection: close']));
    await client.forward(get('/a'), memoryCaller());
    await client.forward(get('/b'), memoryCaller());
    assert.equal(engine.sockets.length, 2);
  });

  it('the pool drops an idle connection on which bytes come without a request', async () => {
    await open((r) => r.answer(200, 'x'));
    await client.forward(get('/a'), memoryCaller());
    engine.sockets[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison');
    await until('the connection to be dropped', () => engine.sockets[0]?.destroyed || engine.sockets[0]?.readableEnded);
    const caller = memoryCaller();
    await client.forward(get('/b'), caller);
    assert.equal(caller.body().toString(), 'x');
    assert.equal(engine.sockets.length, 2);
  });

  it('the pool does not use a connection again on which more came than the answer', async () => {
    await open((r) =>
      r.target === '/a'
        ? r.socket.write(
            'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison',
          )
        : r.answer(200, 'clean'),
    );
    await client.forward(get('/a'), memoryCaller());
    const caller = memoryCaller();
    await client.forward(get('/b'), caller);
    assert.equal(caller.body().toString(), 'clean');
  });

  it('the pool leaves no connection open that idled too long', async () => {
    await open((r) => r.answer(200, 'x'), { idleSocketMs: 1 });
    await client.forward(get('/a'), memoryCaller());
    await new Promise((resolve) => setTimeout(resolve, 20));
    await client.forward(get('/b'), memoryCaller());
    assert.equal(engine.sockets.length, 2);
  });
});

describe('a pooled connection the engine has closed', () => {
  /** The engine answers one call on a connection and closes it when the next one arrives. */
  const oncePerConnection: Script = (r) => {
    const earlier = engine.requests.filter((q) => q.connection === r.connection).length;
    if (earlier > 1) r.socket.destroy();
    else r.answer(200, 'fresh');
  };

  it('a pooled connection the engine has closed is replaced for GET: the caller notices nothing', async () => {
    await open(oncePerConnection);
    await client.forward(get('/a'), memoryCaller());
    const caller = memoryCaller();
    const outcome = await client.forward(get('/b'), caller);
    assert.equal(outcome.end, 'complete');
    assert.equal(caller.body().toString(), 'fresh');
    assert.deepEqual(
      engine.requests.map((r) => `${r.connection} ${r.target}`),
      ['0 /a', '0 /b', '1 /b'],
    );
  });

  for (const request of [post('/containers/x/start'), post('/containers/create', Buffer.from('{}'))]) {
    it(`a pooled connection the engine has closed is an error for POST ${request.target}: the engine may have acted, so it is never sent twice`, async () => {
      await open(oncePerConnection);
      await client.forward(get('/a'), memoryCaller());
      await assert.rejects(client.forward(request, memoryCaller()), { code: 'engine-unreachable' });
      assert.equal(engine.requests.filter((r) => r.method === 'POST').length, 1);
    });
  }

  it('a pooled connection the engine has closed is an error for GET too when the answer had begun', async () => {
    await open((r) => {
      const earlier = engine.requests.filter((q) => q.connection === r.connection).length;
      if (earlier === 1) r.answer(200, 'x');
      else r.socket.end('HTTP/1.1 200 O');
    });
    await client.forward(get('/a'), memoryCaller());
    await assert.rejects(client.forward(get('/b'), memoryCaller()), { code: 'engine-unreachable' });
    assert.equal(engine.requests.length, 2);
  });

  it('a pooled connection the engine has closed is an error for GET when the fresh one is closed too: asked twice, not for ever', async () => {
    await open((r) => (engine.requests.length === 1 ? r.answer(200, 'x') : r.socket.destroy()));
    await client.forward(get('/a'), memoryCaller());
    await assert.rejects(client.forward(get('/b'), memoryCaller()), { code: 'engine-unreachable' });
    assert.equal(engine.requests.length, 3);
  });
});

describe('framing of answers', () => {
  const CASES: [name: string, request: EngineRequest, wire: string, status: number, body: string, reused: boolean][] = [
    ['Content-Length', get('/'), 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 200, 'ok', true],
    ['chunked', get('/'), 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', 200, 'ok', true],
    ['204', post('/'), 'HTTP/1.1 204 No Content\r\n\r\n', 204, '', true],
    ['304', post('/'), 'HTTP/1.1 304 Not Modified\r\n\r\n', 304, '', true],
    ['HEAD', { ...get('/'), method: 'HEAD' }, 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n', 200, '', true],
    [
      'an interim answer first',
      post('/', Buffer.from('{}')),
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
      200,
      'ok',
      true,
    ],
  ];
  for (const [name, request, wire, status, body, reused] of CASES) {
    it(`${name} is complete, and its connection is used again`, async () => {
      await open((r) => r.socket.write(wire));
      for (let i = 0; i < 2; i++) {
        const caller = memoryCaller();
        const outcome = await client.forward(request, caller);
        assert.deepEqual([outcome.status, outcome.end, caller.state], [status, 'complete', 'ended']);
        assert.equal(caller.body().toString(), body);
      }
      assert.equal(engine.sockets.length === 1, reused);
    });
  }

  it('a body until the end of the connection is complete when it ends', async () => {
    await open((r) => r.socket.end('HTTP/1.1 200 OK\r\n\r\neverything'));
    const caller = memoryCaller();
    const outcome = await client.forward(get('/'), caller);
    assert.deepEqual([outcome.end, caller.state, caller.body().toString()], ['complete', 'ended', 'everything']);
  });

  const TRUNCATED: [name: string, wire: string, how: 'end' | 'destroy'][] = [
    ['short of its Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', 'end'],
    ['without its last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'end'],
    ['in the middle of a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\nhalf', 'destroy'],
    ['in its trailers', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX: 1', 'end'],
  ];
  for (const [name, wire, how] of TRUNCATED) {
    it(`an answer that breaks off ${name} is broken off for the caller too`, async () => {
      await open((r) => {
        r.socket.write(wire);
        setTimeout(() => r.socket[how](), 20);
      });
      const caller = memoryCaller();
      const outcome = await client.forward(get('/'), caller);
      assert.deepEqual([outcome.status, outcome.end, caller.state], [200, 'engine-gone', 'aborted']);
      assert.equal(caller.body().toString(), 'half');
    });
  }

  it('an answer that stops being HTTP in the middle is broken off', async () => {
    await open((r) => r.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n'));
    const caller = memoryCaller();
    assert.equal((await client.forward(get('/'), caller)).end, 'engine-gone');
    assert.equal(caller.state, 'aborted');
  });

  it('an answer that is not HTTP is told before the caller got anything', async () => {
    await open((r) => r.socket.write('220 smtp.example ESMTP\r\n\r\n'));
    const caller = memoryCaller();
    await assert.rejects(client.forward(get('/'), caller), { code: 'engine-answer-malformed' });
    assert.deepEqual([caller.status, caller.state], [undefined, 'open']);
  });

  it('hop-by-hop headers of the engine stay behind; all others keep spelling, order and duplicates', async () => {
    await open((r) =>
      r.socket.write(
        'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nX-b: 1\r\nx-A: 2\r\nX-b: 3\r\nContent-Length: 0\r\n\r\n',
      ),
    );
    const caller = memoryCaller();
    await client.forward(get('/'), caller);
    assert.deepEqual(caller.headers, ['X-b', '1', 'x-A', '2', 'X-b', '3', 'Content-Length', '0']);
  });
});

describe('uploads', () => {
  for (const [name, how] of ways) {
    it(`over ${name} arrive chunked and whole, with the bytes counted`, async () => {
      await open(async (r) => r.answer(200, String((await r.body).length)), {}, how());
      if (name === 'TLS') trustAuthority();
      async function* source() {
        for (let i = 0; i < 50; i++) yield Buffer.alloc(i * 100, i);
      }
      const caller = memoryCaller();
      const outcome = await client.forward(post('/build', source()), caller);
      assert.equal(caller.body().toString(), String(outcome.bytesIn));
      assert.equal(outcome.bytesIn, 122_500);
    });
  }

  it('uploads end early when the engine answers early; the answer arrives and the connection is not used again', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let stopped = false;
    async function* source() {
      try {
        yield Buffer.from('first');
        await held;
        yield Buffer.from('never');
        yield Buffer.from('sent');
      } finally {
        stopped = true;
      }
    }
    await open((r) => r.answer(r.target === '/early' ? 400 : 200, 'no'));
    const caller = memoryCaller();
    const outcome = await client.forward(post('/early', source()), caller);
    assert.deepEqual([outcome.status, outcome.end, caller.body().toString()], [400, 'complete', 'no']);
    release();
    await until('the source to be left alone', () => stopped);
    await client.forward(get('/next'), memoryCaller());
    assert.equal(engine.sockets.length, 2);
    assert.ok(!engine.wire().includes('never'));
  });

  it('uploads that their caller breaks off reach the engine as broken, not as short', async () => {
    await open(() => {});
    async function* source() {
      yield Buffer.from('part of an image');
      await until('the engine to have it', () => engine.requests[0]?.received().length === 16);
      throw new Error('the caller hung up');
    }
    const caller = memoryCaller();
    await assert.rejects(client.forward(post('/images/load', source()), caller), { code: 'request-malformed' });
    await assert.rejects((engine.requests[0] as (typeof engine.requests)[0]).body, /middle of the body/);
  });

  it('wait while the engine reads slowly', async () => {
    const CHUNK = 256 * 1024;
    let produced = 0;
    async function* source() {
      for (let i = 0; i < 64; i++) {
        produced++;
        yield Buffer.alloc(CHUNK);
      }
    }
    await open((r) => {
      r.socket.pause();
    });
    const call = client.forward(post('/images/load', source()), memoryCaller());
    await until('the upload to begin', () => produced > 0);
    let before = -1;
    await until('the upload to stand still', async () => {
      const same = produced === before;
      before = produced;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return same;
    });
    assert.ok(produced < 32, `${produced} of 64 chunks were taken from the caller while the engine read nothing`);
    const [request] = engine.requests;
    request?.socket.resume();
    await request?.body;
    request?.answer(200, 'ok');
    assert.equal((await call).bytesIn, 64 * CHUNK);
  });
});

describe('a caller who goes away', () => {
  it('a caller who goes away ends the call at the engine', async () => {
    await open((r) => r.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n'));
    const caller = memoryCaller();
    const call = client.forward(get('/events'), caller);
    await until('the first byte', () => caller.body().length === 1);
    caller.leave();
    assert.equal((await call).end, 'caller-gone');
    await until('the engine to see the end', () => engine.sockets[0]?.destroyed || engine.sockets[0]?.readableEnded);
  });

  it('a caller who goes away ends it also before the engine has answered', async () => {
    await open(() => {});
    const caller = memoryCaller();
    const call = client.forward(post('/containers/x/wait'), caller);
    await until('the call', () => engine.requests.length === 1);
    caller.leave();
    const outcome = await call;
    assert.deepEqual([outcome.status, outcome.end], [0, 'caller-gone']);
    await until('the engine to see the end', () => engine.sockets[0]?.destroyed || engine.sockets[0]?.readableEnded);
  });
});

describe('a slow caller', () => {
  for (const [name, how] of ways) {
    it(`a slow caller makes the engine wait over ${name}`, async () => {
      const CHUNK = Buffer.alloc(64 * 1024, 'x');
      let sent = 0;
      await open(
        (r) => {
          r.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
          const pump = () => {
            while (sent < 512 && !r.socket.destroyed) {
              sent++;
              r.socket.write(`${CHUNK.length.toString(16)}\r\n`);
              r.socket.write(CHUNK);
              if (!r.socket.write('\r\n')) {
                r.socket.once('drain', pump);
                return;
              }
            }
            if (sent === 512) r.socket.write('0\r\n\r\n');
          };
          pump();
        },
        {},
        how(),
      );
      if (name === 'TLS') trustAuthority();
      const caller = memoryCaller();
      caller.full = true;
      const call = client.forward(get('/export'), caller);
      let before = -1;
      await until('the engine to stand still', async () => {
        const same = sent === before && sent > 0;
        before = sent;
        await new Promise((resolve) => setTimeout(resolve, 100));
        return same;
      });
      assert.ok(sent < 256, `the engine could send ${sent} of 512 chunks while the caller took nothing`);
      const drain = setInterval(() => caller.drain(), 1);
      const outcome = await call;
      clearInterval(drain);
      assert.equal(outcome.bytesOut, 512 * CHUNK.length);
    });
  }

  it('a slow caller does not leave a paused connection to the next call', async () => {
    await open((r) => r.answer(200, Buffer.alloc(4 * 1024 * 1024, r.target)));
    const slow = memoryCaller();
    slow.full = true;
    const first = client.forward(get('/slow'), slow);
    const drain = setInterval(() => {
      slow.drain();
      slow.full = true;
    }, 1);
    await first;
    clearInterval(drain);
    // The last write said "full" too: the socket was paused when the answer ended.
    const next = memoryCaller();
    const outcome = await client.forward(get('/next'), next);
    assert.equal(outcome.bytesOut, 4 * 1024 * 1024);
    assert.equal(engine.sockets.length, 1);
  });
});

describe('an engine that is not there', () => {
  it('an engine that is not there is told at once, and calls work again when it is back', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dg-gone-'));
    const path = join(folder, 'engine.sock');
    client = createEngineClient({ kind: 'unix', path });
    try {
      await assert.rejects(client.forward(get('/'), memoryCaller()), {
        code: 'engine-unreachable',
        message: 'the engine cannot be reached (ENOENT)',
      });
      assert.equal(await client.ping(1000), false);
      engine = await startScriptedEngine((r) => r.answer(200, 'OK'), { path });
      assert.equal(await client.ping(5000), true);
      await engine.close();
      await assert.rejects(client.forward(get('/'), memoryCaller()), { code: 'engine-unreachable' });
      engine = await startScriptedEngine((r) => r.answer(200, 'OK'), { path });
      assert.equal((await client.forward(get('/'), memoryCaller())).status, 200);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('an engine that takes a request and closes without a word is an error, not an empty answer', async () => {
    await open((r) => r.socket.end());
    await assert.rejects(client.forward(get('/'), memoryCaller()), { code: 'engine-unreachable' });
  });

  it('an engine that stalls ends a lookup in time', async () => {
    await open(() => {});
    await assert.rejects(client.fetchJson(get('/containers/x/json'), { timeoutMs: 50 }), { code: 'engine-timeout' });
  });

  it('an engine that answers a lookup without end is cut off', async () => {
    await open((r) => r.answer(200, Buffer.alloc(200_000)));
    await assert.rejects(client.fetchJson(get('/containers/x/json'), { maxBytes: 100_000 }), {
      code: 'engine-answer-malformed',
    });
  });

  it('a closed client refuses calls and those who wait', async () => {
    await open(() => {}, bounded({ engineConnections: 1 }));
    const first = client.forward(call('/1'), memoryCaller());
    first.catch(() => {});
    await until('the first', () => engine.requests.length === 1);
    const second = client.forward(call('/2'), memoryCaller());
    const refused = assert.rejects(second, { code: 'shutting-down' });
    await client.close();
    await refused;
    await assert.rejects(client.forward(get('/3'), memoryCaller()), { code: 'shutting-down' });
  });
});

describe('places at the engine', () => {
  /** Calls of an identity's; `hold` never get an answer. */
  const of = (name: string) => client.as({ name });
  const hold = (target: string): EngineRequest => ({ ...get(target), lane: 'stream' });
  const answering: Script = (r) => {
    if (!r.target.startsWith('/hold')) r.answer(200, r.target);
  };

  it('taken by the streams of one identity leave those of another, the calls and the readiness alone', async () => {
    await open(answering, bounded({ engineStreams: 16, sharePercent: 25 }));
    const greedy = Array.from({ length: 40 }, (_, i) => {
      const caller = memoryCaller();
      of('greedy')
        .forward(hold(`/hold/${i}`), caller)
        .catch(() => {});
      return caller;
    });
    await until('the streams', () => engine.requests.length >= 4);
    assert.deepEqual((await of('good').forward(hold('/quick'), memoryCaller())).end, 'complete');
    assert.equal((await of('greedy').forward(call('/quick'), memoryCaller())).status, 200);
    assert.equal(await client.ping(5_000), true);
    assert.equal(engine.requests.filter(({ target }) => target.startsWith('/hold')).length, 4, 'a quarter of 16');
    assert.deepEqual(client.lanes().stream, { used: 4, waiting: 36, refused: 0, largestShare: 4 });
    for (const caller of greedy) caller.leave();
    await until('the places to be free', () => client.lanes().stream.used === 0 && client.lanes().stream.waiting === 0);
  });

  it('places at the engine are waited for no longer than the bound, and the refusal says who holds what', async () => {
    await open(answering, bounded({ engineStreams: 8, sharePercent: 25, engineQueueMs: 50 }));
    for (const i of [1, 2])
      of('greedy')
        .forward(hold(`/hold/${i}`), memoryCaller())
        .catch(() => {});
    await until('the streams', () => engine.requests.length === 2);
    await assert.rejects(of('greedy').forward(hold('/3'), memoryCaller()), {
      code: 'engine-busy',
      message:
        'no connection to the engine came free within 50 ms: this identity has 2 of the 2 streams one identity may have ' +
        'now, 25 % of those that are free (limits.engineStreams, limits.sharePercent); end some of them',
    });
    await assert.rejects(of('greedy').upgrade({ ...post('/x'), lane: 'stream' }, 'tcp'), { code: 'engine-busy' });
    assert.equal(client.lanes().stream.refused, 2);
  });

  it('places at the engine are asked for again whether the call may be made, after a wait', async () => {
    await open((r) => setTimeout(() => r.answer(200, r.target), 20), bounded({ engineConnections: 1 }));
    const ended = client.as({
      name: 'ended',
      recheck() {
        throw new GatewayError('token-revoked', 'revoked meanwhile');
      },
    });
    assert.equal(
      (await ended.forward(call('/at-once'), memoryCaller())).status,
      200,
      'who does not wait is not asked again',
    );
    const first = of('a').forward(call('/first'), memoryCaller());
    await assert.rejects(ended.forward(call('/late'), memoryCaller()), { code: 'token-revoked' });
    await first;
    assert.deepEqual(
      engine.requests.map(({ target }) => target),
      ['/at-once', '/first'],
    );
    assert.equal(client.lanes().call.used, 0);
  });

  it('places at the engine come back when an upgraded connection closes', async () => {
    await open(
      (r) => r.socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'),
      bounded({}),
    );
    const answer = await of('a').upgrade({ ...post('/x'), lane: 'stream' }, 'tcp');
    assert.equal(client.lanes().stream.used, 1);
    if (answer.kind === 'upgraded') answer.socket.destroy();
    await until('the place', () => client.lanes().stream.used === 0);
    await engine.close();
    await assert.rejects(of('a').upgrade({ ...post('/x'), lane: 'stream' }, 'tcp'), { code: 'engine-unreachable' });
    await assert.rejects(of('a').forward(call('/x'), memoryCaller()), { code: 'engine-unreachable' });
    assert.deepEqual([client.lanes().stream.used, client.lanes().call.used], [0, 0]);
  });
});

describe('an upgrade', () => {
  it('a connection to an engine whose certificate no trusted CA signed is not made, nor is any call', async () => {
    await open((r) => r.answer(200, 'x'), {}, { tls: material });
    const { tls: _none, ...bare } = engine.address;
    client = createEngineClient({ ...bare, tls: { servername: 'localhost' } });
    await assert.rejects(client.forward(get('/'), memoryCaller()), { code: 'engine-unreachable' });
    await assert.rejects(client.upgrade(post('/exec/x/start'), 'tcp'), { code: 'engine-unreachable' });
    assert.equal(engine.requests.length, 0);
  });

  for (const [name, how] of ways) {
    it(`an upgrade does not keep ordinary calls over ${name} from being pooled`, async () => {
      await open((r) => r.answer(200, r.target), {}, how());
      if (name === 'TLS') trustAuthority();
      for (const target of ['/a', '/b']) {
        const caller = memoryCaller();
        assert.equal((await client.forward(get(target), caller)).end, 'complete');
        assert.equal(caller.body().toString(), target);
      }
      assert.equal(engine.sockets.length, 1);
    });

    it(`over ${name} carries bytes both ways and keeps the half-close`, async () => {
      await open(
        (r) => {
          const taken: Buffer[] = [];
          // The stream's first bytes come in one write with the head: they must not be lost.
          r.socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly ');
          r.socket.on('data', (data: Buffer) => taken.push(data));
          r.socket.on('end', () => r.socket.end(`after the end of ${Buffer.concat(taken)}`));
        },
        {},
        how(),
      );
      if (name === 'TLS') trustAuthority();
      const answer = await client.upgrade(post('/exec/x/start', Buffer.from('{"Tty":false}')), 'tcp');
      assert.equal(answer.kind, 'upgraded');
      if (answer.kind !== 'upgraded') return;
      assert.match(engine.requests[0]?.head ?? '', /\r\nConnection: Upgrade\r\nUpgrade: tcp(\r\n|$)/);
      assert.equal(engine.requests[0]?.received().toString(), '{"Tty":false}');
      const got: Buffer[] = [];
      const ended = new Promise<void>((resolve) => answer.socket.on('end', resolve));
      answer.socket.on('data', (data: Buffer) => got.push(data));
      // It is handed over paused, so that nothing is lost before the caller listens.
      answer.socket.resume();
      answer.socket.write('standard input');
      answer.socket.end();
      await ended;
      assert.equal(Buffer.concat(got).toString(), 'early after the end of standard input');
      (answer.socket as Socket).destroy();
    });
  }

  it('an upgrade the engine answers as a plain request gives that answer, whole, and no stream', async () => {
    await open((r) => r.answer(409, '{"message":"container is not running"}', ['Content-Type: application/json']));
    const answer = await client.upgrade(post('/exec/x/start', Buffer.from('{}')), 'tcp');
    assert.equal(answer.kind, 'answer');
    if (answer.kind !== 'answer') return;
    const caller = memoryCaller();
    const outcome = await answer.deliver(caller);
    assert.deepEqual([outcome.status, outcome.end, caller.state], [409, 'complete', 'ended']);
    assert.equal(caller.body().toString(), '{"message":"container is not running"}');
  });

  it('an upgrade that breaks off before an answer is an error', async () => {
    await open((r) => r.socket.end('HTTP/1.1 10'));
    await assert.rejects(client.upgrade(post('/exec/x/start', Buffer.from('{}')), 'tcp'), {
      code: 'engine-unreachable',
    });
  });

  it('an upgrade does not count against the pool once it is a stream', async () => {
    await open(
      (r) =>
        r.header('upgrade') === undefined
          ? r.answer(200, 'ok')
          : r.socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'),
      bounded({ engineConnections: 1 }),
    );
    const streams: Socket[] = [];
    for (let i = 0; i < 3; i++) {
      const answer = await client.upgrade(post('/containers/x/attach'), 'tcp');
      if (answer.kind === 'upgraded') streams.push(answer.socket as Socket);
    }
    assert.equal(streams.length, 3);
    assert.equal((await client.forward(call('/'), memoryCaller())).status, 200);
    for (const stream of streams) stream.destroy();
  });
});
