// What `connect` makes of a client's bytes, seen from both ends. A scripted server stands for the gateway: it shows the
// very bytes that arrive and fails when told to; docker.test.ts has the real ones.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { serveSocket } from '../../src/connect/connect.ts';
import type { Credentials } from '../../src/connect/credentials.ts';
import { GatewayError } from '../../src/errors.ts';
import { dialPeer, type Peer, ScriptedServer } from './peer.ts';

let dir: string;
let gateway: ScriptedServer;
let serving: Awaited<ReturnType<typeof serveSocket>>;
let client: Peer;
/** What the credentials give, and what a renewal after a 401 would make of it. */
let token: string;
let renewed: string | undefined;
let renewals: number;

const credentials: Credentials = {
  authorization: async () => `Bearer ${token}`,
  async renew(refused) {
    renewals++;
    token = renewed ?? token;
    return refused !== `Bearer ${token}`;
  },
};

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'dg-ca-'));
  gateway = new ScriptedServer();
  await gateway.listen();
  token = 't1';
  renewed = undefined;
  renewals = 0;
  const address = { kind: 'tcp', host: '127.0.0.1', port: gateway.port } as const;
  serving = await serveSocket({
    target: { text: 'http://gw', address },
    credentials,
    report() {},
    path: join(dir, 's'),
    mode: 0o600,
  });
  client = await dialPeer(join(dir, 's'));
});
afterEach(async () => {
  client.socket.destroy();
  await serving.stop();
  await gateway.close();
  rmSync(dir, { recursive: true });
});

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe('requests', () => {
  it('every head of a kept connection gets the credential, and the client’s own is taken out', async () => {
    client.send('GET /a HTTP/1.1\r\nHost: x\r\nAuthorization: Basic bWU6\r\nX-A: 1\r\nauthorization: two\r\n\r\n');
    const up = await gateway.next();
    assert.equal(
      await up.head(),
      `GET /a HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\nAuthorization: Bearer t1\r\nX-A: 1\r\n\r\n`,
    );
    up.send(OK);
    assert.equal(await client.take(/ok$/), OK);
    token = 't2';
    client.send('GET /b HTTP/1.1\r\n\r\n');
    assert.match(await up.head(), /^GET \/b HTTP\/1\.1\r\nHost: [\s\S]*Authorization: Bearer t2\r\n\r\n$/);
    up.send(OK);
    await client.take(/ok$/);
    assert.equal(gateway.peers.length, 1);
  });

  const BODIES: readonly [name: string, head: string, body: string][] = [
    ['a length', 'Content-Length: 5', 'hello'],
    ['no body', 'Content-Length: 0', ''],
    ['chunks', 'Transfer-Encoding: chunked', '5\r\nhello\r\n0\r\n\r\n'],
    ['chunks with extensions and a trailer', 'Transfer-Encoding: chunked', '5;a=b\r\nhel\r\n\r\n0;x\r\nT: 1\r\n\r\n'],
    ['a body that looks like a request', 'Content-Length: 24', 'GET /evil HTTP/1.1\r\n\r\n\r\n'],
  ];
  for (const [name, head, body] of BODIES) {
    for (const piece of [1_000, 1]) {
      it(`pipelined requests are told apart after ${name}, in pieces of ${piece}`, async () => {
        const all = `POST /a HTTP/1.1\r\n${head}\r\n\r\n${body}GET /b HTTP/1.1\r\n\r\n`;
        for (let i = 0; i < all.length; i += piece) client.send(all.slice(i, i + piece));
        const up = await gateway.next();
        assert.match(await up.head(), new RegExp(`^POST /a [\\s\\S]*Bearer t1\r\n${head}\r\n\r\n$`));
        await up.take(new RegExp(`^${body.replaceAll(/[.*+?^$()|]/g, '\\$&')}`));
        assert.equal(up.text, '');
        up.send(OK);
        assert.match(await up.head(), /^GET \/b [\s\S]*Bearer t1/);
        up.send(OK);
        assert.equal(await client.take(/okHTTP[\s\S]*ok$/), OK + OK);
      });
    }
  }

  it('Expect: 100-continue is asked of the gateway, and its 100 handed on', async () => {
    client.send('POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    const up = await gateway.next();
    assert.match(await up.head(), /\r\nExpect: 100-continue\r\n/);
    up.send('HTTP/1.1 100 Continue\r\n\r\n');
    assert.equal(await client.head(), 'HTTP/1.1 100 Continue\r\n\r\n');
    client.send('hello');
    await up.take(/^hello$/);
    up.send(OK);
    assert.equal(await client.take(/ok$/), OK);
  });

  it('a head with bare line feeds is written anew', async () => {
    client.send('POST /a HTTP/1.1\nContent-Length: 2\n\nhi\nGET /b HTTP/1.1\n\n');
    const up = await gateway.next();
    assert.match(
      await up.head(),
      /^POST \/a HTTP\/1\.1\r\nHost: \S+\r\nAuthorization: Bearer t1\r\nContent-Length: 2\r\n\r\n/,
    );
    await up.take(/^hi/);
    up.send(OK);
    assert.match(await up.head(), /^GET \/b /);
  });

  const WRONG: readonly [name: string, text: string, status: number][] = [
    ['both lengths', 'POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['two lengths', 'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
    ['another encoding', 'POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 400],
    ['a folded header', 'GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n', 400],
    ['a space before the colon', 'GET / HTTP/1.1\r\nAuthorization : x\r\n\r\n', 400],
    ['a carriage return inside', 'GET / HTTP/1.1\r\nA: b\rAuthorization: x\r\n\r\n', 400],
    ['no HTTP', 'PRI * HTTP/2.0\r\n\r\n', 400],
    ['a head without end', `GET / HTTP/1.1\r\nA: ${'b'.repeat(140_000)}`, 431],
  ];
  for (const [name, text, status] of WRONG) {
    it(`${name}: ${status} in Docker’s words, and nothing reaches the gateway`, async () => {
      client.send(text);
      const answer = await client.untilEnd();
      assert.match(
        answer,
        new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*Content-Type: application/json\r\n[\\s\\S]*\\{"message":`),
      );
      assert.equal(gateway.peers.length, 0);
    });
  }

  it('a chunk that cannot be read ends the call at the gateway', async () => {
    client.send('POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    const up = await gateway.next();
    await up.take(/hello\r\n$/);
    client.send('zz\r\n');
    await up.untilEnd();
    assert.match(await client.untilEnd(), /^HTTP\/1\.1 400 /);
  });
});

describe('answers', () => {
  const BODILESS: readonly [name: string, method: string, head: string][] = [
    ['HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n'],
    ['204', 'POST', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['304', 'POST', 'HTTP/1.1 304 Not Modified\r\n\r\n'],
  ];
  for (const [name, method, head] of BODILESS) {
    it(`an answer without body (${name}) is followed by the next one`, async () => {
      client.send(`${method} /a HTTP/1.1\r\n\r\n`);
      const up = await gateway.next();
      await up.head();
      up.send(head);
      assert.equal(await client.head(), head);
      client.send('GET /b HTTP/1.1\r\n\r\n');
      await up.head();
      up.send(OK);
      assert.equal(await client.take(/ok$/), OK);
    });
  }

  it('the head is flushed before any body, and each chunk as it comes', async () => {
    client.send('POST /wait HTTP/1.1\r\n\r\n');
    const up = await gateway.next();
    await up.head();
    up.send('HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nTransfer-Encoding: chunked\r\n\r\n');
    assert.equal(await client.head(), 'HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nTransfer-Encoding: chunked\r\n\r\n');
    up.send('1\r\na\r\n');
    assert.equal(await client.take(/a\r\n/), '1\r\na\r\n');
    up.send('1\r\nb\r\n0\r\n\r\n');
    assert.equal(await client.take(/0\r\n\r\n/), '1\r\nb\r\n0\r\n\r\n');
  });

  it('HTTP/1.0 gets its body without chunks and the end as the end', async () => {
    client.send('GET /a HTTP/1.0\r\n\r\n');
    const up = await gateway.next();
    await up.head();
    up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n');
    assert.equal(await client.untilEnd(), 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok');
  });

  it('an answer that breaks off is seen to be broken', async () => {
    client.send('GET /a HTTP/1.1\r\n\r\n');
    const up = await gateway.next();
    await up.head();
    up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n');
    await client.take(/ok\r\n/);
    up.socket.destroy();
    await client.untilEnd();
    assert.doesNotMatch(client.text, /0\r\n/);
  });

  it('an early answer to an upload arrives, and closes the connection', async () => {
    client.send('POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    const up = await gateway.next();
    await up.take(/abc\r\n$/);
    up.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    assert.match(
      await client.untilEnd(),
      /^HTTP\/1\.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno$/,
    );
  });

  it('a client that goes away ends the call at the gateway', async () => {
    for (const leave of ['end', 'destroy'] as const) {
      const other = await dialPeer(join(dir, 's'));
      other.send('GET /events HTTP/1.1\r\n\r\n');
      const up = await gateway.next();
      await up.head();
      up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      await other.head();
      other.socket[leave]();
      await up.untilEnd();
    }
  });

  it('a client that ends its side at once still gets a short answer', async () => {
    client.socket.end('GET /a HTTP/1.1\r\n\r\n');
    const up = await gateway.next();
    await up.head();
    up.send(OK);
    assert.equal(await client.untilEnd(), OK);
  });

  it('backpressure reaches the gateway from a slow client, and a client from a slow gateway', async () => {
    const piece = Buffer.alloc(1024 * 1024, 97);
    /** Writes until the other side takes no more for a while; returns what it took. */
    const fill = async (peer: Peer): Promise<number> => {
      let taken = 0;
      while (taken < 64) {
        const ready = peer.socket.write(piece);
        taken++;
        if (!ready) {
          const drained = await Promise.race([
            new Promise((resolve) => peer.socket.once('drain', () => resolve(true))),
            new Promise((resolve) => setTimeout(resolve, 1_500, false)),
          ]);
          if (drained === false) return taken;
        }
      }
      return taken;
    };
    client.send('GET /a HTTP/1.1\r\n\r\n');
    const up = await gateway.next();
    await up.head();
    up.send(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * piece.length}\r\n\r\n`);
    await client.head();
    client.socket.pause();
    assert.ok((await fill(up)) < 32, 'the gateway could write without end');
    const other = await dialPeer(join(dir, 's'));
    other.send(`POST /a HTTP/1.1\r\nContent-Length: ${64 * piece.length}\r\n\r\n`);
    const slow = await gateway.next();
    await slow.head();
    slow.socket.pause();
    assert.ok((await fill(other)) < 32, 'the client could write without end');
    other.socket.destroy();
  });
});

describe('upgrades', () => {
  const UPGRADE = 'POST /exec/1/start HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}';
  const SWITCH = 'HTTP/1.1 101 UPGRADED\r\nContent-Type: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n';

  it('after a 101 bytes go both ways, early ones too, and each end is carried by itself', async () => {
    client.send(`${UPGRADE}early`);
    const up = await gateway.next();
    assert.match(await up.head(), /Bearer t1\r\nContent-Length: 2\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n$/);
    await up.take(/^\{\}/);
    up.send(`${SWITCH}first`);
    assert.equal(await client.take(/first$/), `${SWITCH}first`);
    await up.take(/^early$/);
    client.send('GET /not-http HTTP/1.1\r\n\r\n');
    assert.equal(await up.head(), 'GET /not-http HTTP/1.1\r\n\r\n');
    client.socket.end();
    assert.equal(await up.untilEnd(), '');
    up.send('after');
    assert.equal(await client.take(/after/), 'after');
    up.socket.end();
    assert.equal(await client.untilEnd(), '');
  });

  it('an end of the client before the 101 is carried after it', async () => {
    client.socket.end(`${UPGRADE}stdin`);
    const up = await gateway.next();
    await up.take(/\{\}$/);
    await new Promise((resolve) => setTimeout(resolve, 700));
    up.send(SWITCH);
    await up.take(/^stdin/);
    assert.equal(await up.untilEnd(), '');
    up.socket.end('late');
    assert.match(await client.untilEnd(), /late$/);
  });

  it('an upgrade that is refused is an ordinary answer, and the connection goes on', async () => {
    client.send(`${UPGRADE}GET /b HTTP/1.1\r\n\r\n`);
    const up = await gateway.next();
    await up.take(/\{\}$/);
    up.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    assert.match(await client.take(/no$/), /^HTTP\/1\.1 403 /);
    assert.match(await up.head(), /^GET \/b .*\r\n.*\r\nAuthorization: Bearer t1/);
  });

  it('a raw stream answered with 200 and no length goes both ways until it ends', async () => {
    client.send('POST /attach HTTP/1.1\r\nContent-Length: 0\r\n\r\n');
    const up = await gateway.next();
    await up.head();
    up.send('HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nout');
    await client.take(/out$/);
    client.send('in');
    await up.take(/^in$/);
    client.socket.end();
    await up.untilEnd();
    up.socket.end('after');
    assert.equal(await client.untilEnd(), 'after');
  });
});

describe('a credential that is refused', () => {
  const DENIED = 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nexpired';

  it('a credential that is refused is looked up once more, and the request sent again with its body', async () => {
    renewed = 't2';
    client.send('POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello');
    const first = await gateway.next();
    await first.take(/Bearer t1[\s\S]*hello$/);
    first.send(DENIED);
    const second = await gateway.next();
    await second.take(/Bearer t2[\s\S]*hello$/);
    second.send(OK);
    assert.equal(await client.take(/ok$/), OK);
    assert.equal(renewals, 1);
  });

  it('a credential that is refused is told when there is no other, or when the other is refused too', async () => {
    client.send('GET /a HTTP/1.1\r\n\r\n');
    const first = await gateway.next();
    await first.head();
    first.send(DENIED);
    assert.equal(await client.take(/expired$/), DENIED);
    renewed = 't2';
    client.send('GET /b HTTP/1.1\r\n\r\n');
    await first.head();
    first.send(DENIED);
    const second = await gateway.next();
    assert.match(await second.head(), /Bearer t2/);
    second.send(DENIED);
    assert.equal(await client.take(/expired$/), DENIED);
    assert.equal(renewals, 2);
  });

  it('a credential that is refused is told at once where too much was sent to send it again', async () => {
    renewed = 't2';
    const body = `${'b'.repeat(100_000)}END`;
    client.send(`POST /a HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    const up = await gateway.next();
    await up.take(/END$/);
    up.send(DENIED);
    assert.equal(await client.take(/expired$/), DENIED);
    assert.equal(renewals, 0);
  });
});

describe('a gateway that goes', () => {
  it('between requests is not noticed, by GET or POST', async () => {
    for (const method of ['GET', 'POST', 'POST']) {
      client.send(`${method} /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n`);
      const up = await gateway.next();
      await up.head();
      up.send(OK);
      await client.take(/ok$/);
      up.socket.destroy();
      await up.untilClosed();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(gateway.peers.length, 3);
  });

  it('while a kept connection is used again: a GET is asked again, a POST is not', async () => {
    client.send('GET /a HTTP/1.1\r\n\r\n');
    const first = await gateway.next();
    await first.head();
    first.send(OK);
    await client.take(/ok$/);
    client.send('GET /b HTTP/1.1\r\n\r\n');
    await first.head();
    first.socket.destroy();
    const second = await gateway.next();
    assert.match(await second.head(), /^GET \/b /);
    second.send(OK);
    await client.take(/ok$/);
    client.send('POST /c HTTP/1.1\r\nContent-Length: 0\r\n\r\n');
    await second.head();
    second.socket.destroy();
    assert.match(
      await client.untilEnd(),
      /^HTTP\/1\.1 502 [\s\S]*\{"message":"http:\/\/gw closed the connection before/,
    );
    assert.equal(gateway.peers.length, 2);
  });

  it('for good: 502 says so in Docker’s words, and its return is seen by the next request', async () => {
    const { port } = gateway;
    await gateway.close();
    client.send('GET /a HTTP/1.1\r\n\r\n');
    assert.match(await client.untilEnd(), /^HTTP\/1\.1 502 [\s\S]*\{"message":"nothing listens at http:\/\/gw; start/);
    gateway = new ScriptedServer();
    await gateway.listen(port);
    const other = await dialPeer(join(dir, 's'));
    other.send('GET /a HTTP/1.1\r\n\r\n');
    const up = await gateway.next();
    await up.head();
    up.send(OK);
    assert.equal(await other.take(/ok$/), OK);
    other.socket.destroy();
  });
});

describe('a connect that starts', () => {
  const start = (error: GatewayError, report: (line: string) => void) =>
    serveSocket({
      target: { text: 'http://gw', address: { kind: 'tcp', host: '127.0.0.1', port: gateway.port } },
      credentials: { authorization: async () => Promise.reject(error), renew: async () => false },
      report,
      path: join(dir, 'other'),
      mode: 0o600,
    });

  it('while the gateway is away serves, says so, and tells clients why', async () => {
    const lines: string[] = [];
    const other = await start(new GatewayError('gateway-unreachable', 'nothing listens at gw'), (line) =>
      lines.push(line),
    );
    const peer = await dialPeer(join(dir, 'other'));
    peer.send('GET /a HTTP/1.1\r\n\r\n');
    assert.match(await peer.untilEnd(), /^HTTP\/1\.1 502 [\s\S]*nothing listens at gw/);
    assert.deepEqual(lines, ['nothing listens at gw']);
    peer.socket.destroy();
    await other.stop();
  });

  it('with a credential that cannot be had ends, and leaves no socket', async () => {
    const refused = new GatewayError('credential-unavailable', 'it was revoked');
    await assert.rejects(
      start(refused, () => {}),
      refused,
    );
    await assert.rejects(dialPeer(join(dir, 'other')));
  });
});
