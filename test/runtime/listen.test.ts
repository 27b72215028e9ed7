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
import { silentLogger } from '../../src/log.ts';
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

    it('does not speak HTTP/2 to who speaks nothing else', async () => {
      await assert.rejects(async () => {
        const { alpn } = await shake({ ALPNProtocols: ['h2'] });
        if (alpn !== 'h2') throw new Error('no protocol in common');
      });
    });

    it('gives new connections a new certificate and leaves open ones alone', async () => {
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

  it('takes no more connections than its limit, and takes new ones when there is room', async () => {
    const at = await start(http, { connections: 3 });
    const kept = [connect(at), connect(at), connect(at)];
    for (const caller of kept) {
      caller.send(HEAD);
      assert.equal((await caller.answer()).status, 200);
    }
    const extra = connect(at);
    extra.send(HEAD);
    await until('the fourth to be turned away', () => extra.closed || extra.ended);
    assert.equal(extra.received, '');
    for (const caller of kept) {
      caller.send(HEAD);
      assert.equal((await caller.answer()).status, 200, 'those who are in are not harmed');
    }
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

  it('takes no more connections of one address than its limit', async () => {
    const at = await start({ ...http, host: '0.0.0.0' } as Listener, { connectionsPerIp: 1 });
    const first = connect(at);
    first.send(HEAD);
    assert.equal((await first.answer()).status, 200);
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

  it('closes a connection that idles between requests, and leaves a stream that idles longer', async () => {
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

    it('makes the folder and the file with its mode, and takes the file away', async () => {
      const path = join(folder, 'new', 'a.sock');
      const at = await start({ kind: 'unix', path, mode: 0o660 });
      assert.equal(statSync(path).mode & 0o777, 0o660);
      assert.equal(await ask(path), 200);
      await at.close();
      assert.equal(existsSync(path), false);
    });

    it('takes the place of a socket nobody listens on', async () => {
      const path = join(folder, 'stale.sock');
      const { spawnSync } = await import('node:child_process');
      // A process that dies leaves its socket file behind.
      const code = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
      spawnSync('node', ['-e', code]);
      assert.ok(existsSync(path));
      await start({ kind: 'unix', path, mode: 0o600 });
      assert.equal(await ask(path), 200);
    });

    it('leaves a socket somebody listens on, and a file that is none, alone', async () => {
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

  it('says which address is taken', async () => {
    const at = await start(http);
    await assert.rejects(start({ ...http, port: at.port as number }), {
      code: 'config-invalid',
      message: /^cannot listen on http:\/\/127\.0\.0\.1:\d+: .*EADDRINUSE|address in use/i,
    });
  });
});
