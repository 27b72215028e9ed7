// Step 1, listeners: TLS versions and ALPN, limits on connections and idling, and unix sockets' files. What takes the
// requests is a plain answer; nothing is judged here.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage, type ServerResponse } from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import type { Listener } from '../../src/config/types.ts';
import type { GatewayError } from '../../src/errors.ts';
import { silentLogger } from '../../src/log.ts';
import { claimOf } from '../../src/runtime/connections.ts';
import { type Handlers, type ListenLimits, listen, type RunningListener } from '../../src/runtime/listen.ts';
import { loopbackMaterial } from '../support/certificates.ts';
import { RawCaller } from '../support/embedded-gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { until } from '../support/until.ts';

const LIMITS: ListenLimits = {
  headBytes: 8192,
  headTimeoutMs: 10_000,
  idleTimeoutMs: 10_000,
  connections: 100,
  connectionsPerIp: 100,
};

/** Answers `ok`; `/stream` begins an answer and leaves it open. */
const handlers = (): Handlers & { open: ServerResponse[] } => {
  const open: ServerResponse[] = [];
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    if (incoming.url === '/stream') {
      open.push(outgoing);
      outgoing.write('begun');
    } else outgoing.end('ok');
  };
  return {
    open,
    onRequest,
    onCheckContinue: onRequest,
    onUpgrade: (_incoming, socket) => socket.destroy(),
    wantsUpgrade: () => false,
    onUnreadable: (code) =>
      `HTTP/1.1 400 Bad Request\r\nContent-Length: ${code.length}\r\nConnection: close\r\n\r\n${code}`,
  };
};

/** Takes the Authorization header for the name of an identity, `someone` without one. */
const knowing = () => {
  const taking = handlers();
  return {
    ...taking,
    onRequest(incoming: IncomingMessage, outgoing: ServerResponse) {
      try {
        claimOf(incoming.socket)?.claim(incoming.headers.authorization ?? 'someone');
      } catch (error) {
        outgoing.writeHead((error as GatewayError).status).end((error as GatewayError).message);
        return;
      }
      taking.onRequest(incoming, outgoing, { kind: 'tcp', name: 'test' });
    },
  };
};

describe('a listener', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-listen-'));
  const running: RunningListener[] = [];
  let material: { cert: string; key: string };
  let ca: string;
  before(async () => {
    ({ ca, material } = await loopbackMaterial(folder));
  });
  after(async () => {
    await Promise.all(running.map((l) => l.close()));
    rmSync(folder, { recursive: true, force: true });
  });
  const start = async (listener: Listener, limits: Partial<ListenLimits> = {}, taking = handlers()) => {
    const started = await listen(
      listener,
      taking,
      { ...LIMITS, ...limits },
      silentLogger,
      listener.kind === 'https' ? material : undefined,
    );
    running.push(started);
    return started;
  };
  const http = { kind: 'http', host: '127.0.0.1', port: 0 } as const;
  const connect = ({ port }: RunningListener) =>
    new RawCaller(net.connect({ port: port as number, host: '127.0.0.1', allowHalfOpen: true }));
  const HEAD = 'GET /x HTTP/1.1\r\nHost: x\r\n\r\n';

  describe('on HTTPS', () => {
    let at: RunningListener;
    before(async () => {
      at = await start({ kind: 'https', host: '127.0.0.1', port: 0 });
    });
    const shake = (options: tls.ConnectionOptions) =>
      new Promise<{ protocol: string | null; alpn: string | false | null }>((resolve, reject) => {
        const socket = tls.connect(
          { port: at.port as number, host: '127.0.0.1', servername: 'localhost', ca, ...options },
          () => {
            resolve({ protocol: socket.getProtocol(), alpn: socket.alpnProtocol });
            socket.destroy();
          },
        );
        socket.on('error', reject);
      });

    it('speaks TLS 1.3 and 1.2, and http/1.1 by ALPN', async () => {
      assert.deepEqual(await shake({ ALPNProtocols: ['h2', 'http/1.1'] }), { protocol: 'TLSv1.3', alpn: 'http/1.1' });
      // Clients without ALPN, as older ones are, are served all the same.
      assert.equal((await shake({})).protocol, 'TLSv1.3');
    });

    it('speaks TLS 1.2, and nothing older', {
      skip: IS_DENO ? 'Deno’s client cannot be told a version' : false,
    }, async () => {
      assert.equal((await shake({ maxVersion: 'TLSv1.2' })).protocol, 'TLSv1.2');
      await assert.rejects(shake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
    });

    it('an HTTPS listener does not speak HTTP/2 to a client that speaks nothing else', async () => {
      await assert.rejects(async () => {
        const { alpn } = await shake({ ALPNProtocols: ['h2'] });
        if (alpn !== 'h2') throw new Error('no protocol in common');
      });
    });

    it('an HTTPS listener gives new connections a new certificate and leaves open ones alone', async () => {
      const old = tls.connect({
        port: at.port as number,
        host: '127.0.0.1',
        servername: 'localhost',
        ca,
        allowHalfOpen: true,
      } as tls.ConnectionOptions);
      const caller = new RawCaller(old);
      caller.send(HEAD);
      assert.equal((await caller.answer()).status, 200);
      const other = await loopbackMaterial(mkdtempSync(join(folder, 'other-')));
      at.updateTls(other.material);
      await assert.rejects(shake({}), 'the old CA does not vouch for the new certificate');
      assert.equal((await shake({ ca: other.ca })).protocol, 'TLSv1.3');
      caller.send(HEAD);
      assert.equal((await caller.answer()).status, 200);
      caller.destroy();
    });
  });

  it('a listener takes no more connections than its limit, and takes new ones when there is room', async () => {
    const taking = handlers();
    const at = await start(http, { connections: 3 }, taking);
    const kept = [connect(at), connect(at), connect(at)];
    for (const caller of kept) {
      caller.send('GET /stream HTTP/1.1\r\nHost: x\r\n\r\n');
      await until('the stream', () => caller.received.includes('begun'));
    }
    const extra = connect(at);
    extra.send(HEAD);
    await until('the fourth to be turned away', () => extra.closed || extra.ended);
    assert.equal(extra.received, '');
    for (const [i, caller] of kept.entries()) {
      taking.open[i]?.end(' and ended');
      await until('the whole answer', () => caller.received.includes('and ended'));
    }
    assert.deepEqual(at.counts(), { open: 3, unproven: 3, closed: 0, refused: 1 });
    kept[0]?.destroy();
    await until('room', async () => {
      const late = connect(at);
      late.send(HEAD);
      const status = await late.answer().then(
        (answer) => answer.status,
        () => 0,
      );
      late.destroy();
      return status === 200;
    });
    for (const caller of kept) caller.destroy();
  });

  it('a listener takes no more connections of one address than its limit', async () => {
    const taking = handlers();
    const at = await start({ ...http, host: '0.0.0.0' } as Listener, { connectionsPerIp: 1 }, taking);
    const first = connect(at);
    first.send('GET /stream HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('the stream', () => first.received.includes('begun'));
    const second = connect(at);
    second.send(HEAD);
    await until('the second to be turned away', () => second.closed || second.ended);
    const elsewhere = new RawCaller(
      net.connect({ port: at.port as number, host: '127.0.0.1', localAddress: '127.0.0.2' }),
    );
    elsewhere.send(HEAD);
    assert.equal((await elsewhere.answer()).status, 200, 'another address has its own');
    for (const caller of [first, second, elsewhere]) caller.destroy();
  });

  it('a listener lets the oldest silent connection of an address go where there are too many without credentials', async () => {
    const taking = handlers();
    const at = await start(http, { connectionsUnproven: 3 }, taking);
    const silent = connect(at);
    await until('it to be there', () => at.counts().open === 1);
    const half = connect(at);
    half.send('GET /x HTTP/1.1\r\nHo');
    await until('it to be there', () => at.counts().open === 2);
    const streaming = connect(at);
    streaming.send('GET /stream HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('the stream', () => streaming.received.includes('begun'));
    for (const gone of [silent, half]) {
      const next = connect(at);
      next.send(HEAD);
      assert.equal((await next.answer()).status, 200);
      await until('the oldest silent one to go', () => gone.closed || gone.ended);
      assert.ok(!streaming.closed && !streaming.ended, 'what is under way is not ended');
    }
    assert.deepEqual(at.counts(), { open: 3, unproven: 3, closed: 2, refused: 0 });
    taking.open[0]?.end('');
  });

  it('a listener counts connections with credentials by identity: another identity at the same address still gets in', async () => {
    const at = await start(http, { connections: 1000, connectionsPerIp: 16, connectionsUnproven: 4 }, knowing());
    const callers: RawCaller[] = [];
    const asks = async (name: string) => {
      const caller = connect(at);
      callers.push(caller);
      caller.send(`GET /stream HTTP/1.1\r\nHost: x\r\nAuthorization: ${name}\r\n\r\n`);
      await until('an answer', () => caller.received !== '' || caller.closed || caller.ended);
      return caller.received.slice(9, 12);
    };
    for (let i = 0; i < 8; i++) assert.equal(await asks('greedy'), '200', `connection ${i} of 8, half of 16`);
    for (let i = 0; i < 6; i++) assert.equal(await asks('greedy'), '503');
    assert.equal(await asks('good'), '200');
    for (const caller of callers) caller.destroy();
    await until('all to be gone', () => at.counts().open === 0);
    assert.equal(at.counts().unproven, 0);
  });

  it('a listener begins the requests of one connection one after the other, upgrades among them', async () => {
    const begun: string[] = [];
    const answers: ServerResponse[] = [];
    const at = await start(
      http,
      {},
      {
        ...handlers(),
        onRequest(incoming, outgoing) {
          begun.push(incoming.url ?? '');
          answers.push(outgoing);
        },
        wantsUpgrade: () => true,
        onUpgrade(incoming, socket) {
          begun.push(incoming.url ?? '');
          socket.end('HTTP/1.1 101 UPGRADED\r\n\r\n');
        },
      },
    );
    const caller = connect(at);
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    caller.send(
      `${get('/1')}${get('/2')}${get('/3')}GET /4 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`,
    );
    for (let i = 1; i <= 3; i++) {
      await until('the next to be begun', () => begun.length === i);
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(begun.length, i, 'not before the one before it is answered');
      answers[i - 1]?.end(`answer ${i}`);
      assert.equal((await caller.answer()).body, `answer ${i}`);
    }
    await until('the upgrade', () => caller.received.startsWith('HTTP/1.1 101'));
    assert.deepEqual(begun, ['/1', '/2', '/3', '/4']);
    caller.destroy();
  });

  it('a listener closes a connection that sends too many requests ahead, once those that may wait are answered', async () => {
    const begun: string[] = [];
    const taking = handlers();
    const at = await start(
      http,
      {},
      {
        ...taking,
        onRequest(incoming, outgoing, channel) {
          begun.push(incoming.url ?? '');
          setTimeout(() => taking.onRequest(incoming, outgoing, channel), 2);
        },
      },
    );
    const caller = connect(at);
    caller.send(HEAD.repeat(500));
    await until('it to be closed', () => caller.closed || caller.ended);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(begun.length, 33, 'one, and those that may wait behind it');
    assert.equal(caller.received.match(/HTTP\/1.1 200/g)?.length, 33);
  });

  it('a listener closes a connection that idles between requests, and leaves a stream that idles longer', async () => {
    const taking = handlers();
    const at = await start(http, { idleTimeoutMs: 300, headTimeoutMs: 300 }, taking);
    const stream = connect(at);
    stream.send('GET /stream HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('the stream', () => stream.received.includes('begun'));
    const idle = connect(at);
    idle.send(HEAD);
    assert.equal((await idle.answer()).status, 200);
    await until('the idle one to be closed', () => idle.closed || idle.ended);
    // Many times the limits have passed for the stream by the time a third idle connection has come and gone.
    const again = connect(at);
    again.send(HEAD);
    await again.answer();
    await until('the next one to be closed', () => again.closed || again.ended);
    assert.ok(!stream.closed && !stream.ended);
    taking.open[0]?.end(' and ended');
    await until('its end', () => stream.received.includes('and ended'));
    for (const caller of [stream, idle, again]) caller.destroy();
  });

  describe('on a unix socket', () => {
    const ask = (socketPath: string): Promise<number> =>
      new Promise((resolve, reject) => {
        get({ socketPath, path: '/x', agent: false }, (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        }).on('error', reject);
      });

    it('a listener on a unix socket makes the folder and the file with its mode, and takes the file away', async () => {
      const path = join(folder, 'new', 'a.sock');
      const at = await start({ kind: 'unix', path, mode: 0o660 });
      assert.equal(statSync(path).mode & 0o777, 0o660);
      assert.equal(await ask(path), 200);
      await at.close();
      assert.equal(existsSync(path), false);
    });

    it('a listener on a unix socket takes the place of a socket without a listener', async () => {
      const path = join(folder, 'stale.sock');
      const { spawnSync } = await import('node:child_process');
      // A process that dies leaves its socket file behind.
      const code = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
      spawnSync('node', ['-e', code]);
      assert.ok(existsSync(path));
      await start({ kind: 'unix', path, mode: 0o600 });
      assert.equal(await ask(path), 200);
    });

    it('a listener on a unix socket leaves a socket with a listener, and a file that is no socket, alone', async () => {
      const path = join(folder, 'busy.sock');
      await start({ kind: 'unix', path, mode: 0o600 });
      await assert.rejects(start({ kind: 'unix', path, mode: 0o600 }), {
        code: 'config-invalid',
        message: /another process listens there/,
      });
      assert.equal(await ask(path), 200);
      const file = join(folder, 'file');
      writeFileSync(file, 'precious');
      await assert.rejects(start({ kind: 'unix', path: file, mode: 0o600 }), { code: 'config-invalid' });
      assert.equal(readFileSync(file, 'utf8'), 'precious');
    });
  });

  it('a listener says which address is taken', async () => {
    const at = await start(http);
    await assert.rejects(start({ ...http, port: at.port as number }), {
      code: 'config-invalid',
      message: /^cannot listen on http:\/\/127\.0\.0\.1:\d+: .*EADDRINUSE|address in use/i,
    });
  });
});
