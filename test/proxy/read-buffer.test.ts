// Memory that is read into again: no byte of one answer comes to another, however slow a caller takes it and whatever is asked
// meanwhile on the same connection to the engine. A STAND-IN engine whose answers are told apart byte by byte.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { nodeCaller } from '../../src/proxy/caller-node.ts';
import { createEngineClient, type EngineClient } from '../../src/proxy/engine-client.ts';
import { ReadBuffer } from '../../src/proxy/read-buffer.ts';
import { loopbackMaterial } from '../support/certificates.ts';
import { IS_DENO } from '../support/runtime.ts';

describe('ReadBuffer', () => {
  const filled = (buffer: Buffer, value: number, bytes: number): void => void buffer.fill(value, 0, bytes);

  it('ReadBuffer is read into again while nothing refers to it', () => {
    const buffer = new ReadBuffer();
    const first = buffer.next();
    buffer.read(
      10,
      () => {},
      () => true,
    );
    assert.equal(buffer.next(), first);
  });
  it('ReadBuffer is not read into while a view of it is on its way, however many reads there are', () => {
    const buffer = new ReadBuffer();
    const views: { view: Buffer; value: number }[] = [];
    for (let value = 1; value <= 50; value++) {
      filled(buffer.next(), value, 100);
      buffer.read(
        100,
        (view) => views.push({ view, value }),
        () => false,
      );
      for (const one of views) assert.ok(one.view.every((byte) => byte === one.value));
    }
  });
  it('ReadBuffer goes back and forth between two where each view is gone before the second read after it', () => {
    const buffer = new ReadBuffer();
    const seen = new Set<Buffer>();
    let isClear = true;
    for (let i = 0; i < 20; i++) {
      seen.add(buffer.next());
      buffer.read(
        100,
        () => {
          isClear = false;
        },
        () => isClear,
      );
      isClear = true;
    }
    assert.equal(seen.size, 2);
  });
  it('grows with reads that fill it, to a bound', () => {
    const buffer = new ReadBuffer();
    for (let i = 0; i < 10; i++) {
      buffer.read(
        buffer.next().length,
        () => {},
        () => true,
      );
    }
    assert.equal(buffer.next().length, 128 * 1024);
  });
});

/** Bytes that tell which answer they are of, and where in it they stand. */
function contentOf(seed: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = (seed * 2654435761) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (state * 1664525 + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const SIZES = [10, 5_000, 16_384, 40_000, 65_536, 131_072, 300_001, 2_000_000];

describe('answers taken by slow callers beside quick ones', () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-buffer-'));
  const path = join(dir, 'engine.sock');
  const uploads = new Map<string, string>();
  const engine = http.createServer((incoming, outgoing) => {
    const [, seed = '', size = '', framing] = (incoming.url ?? '').split('/');
    if (incoming.method === 'POST') {
      const hash = createHash('sha256');
      // As slow as a disk now and then.
      incoming.on('data', (data: Buffer) => {
        hash.update(data);
        if (Math.random() < 0.2) {
          incoming.pause();
          setTimeout(() => incoming.resume(), 2);
        }
      });
      incoming.on('end', () => {
        uploads.set(seed, hash.digest('hex'));
        outgoing.end('{}');
      });
      return;
    }
    const content = contentOf(Number(seed), Number(size));
    if (framing === 'length') outgoing.setHeader('Content-Length', content.length);
    for (let at = 0, step = 1; at < content.length; at += step) {
      step = 1 + Math.floor(Math.random() * 90_000);
      outgoing.write(content.subarray(at, at + step));
    }
    outgoing.end();
  });
  let client: EngineClient;
  const servers: (http.Server | https.Server)[] = [];
  before(async () => {
    engine.listen(path);
    await once(engine, 'listening');
    client = createEngineClient({ kind: 'unix', path });
    const handle = (incoming: http.IncomingMessage, outgoing: http.ServerResponse): void => {
      const body = incoming.method === 'POST' ? { body: incoming, givesUpChunks: true } : { body: undefined };
      client
        .forward(
          { method: incoming.method ?? '', target: incoming.url ?? '', headers: [], ...body },
          nodeCaller(outgoing),
        )
        .catch(() => outgoing.destroy());
    };
    const { material } = await loopbackMaterial(dir);
    servers.push(http.createServer(handle), https.createServer(material, handle));
    for (const server of servers) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
  });
  after(async () => {
    for (const server of servers) server.close();
    await client.close();
    engine.close();
    engine.closeAllConnections();
    rmSync(dir, { recursive: true, force: true });
  });

  const portOf = (index: number): number => {
    const at = servers[index]?.address();
    assert.ok(typeof at === 'object' && at !== null);
    return at.port;
  };

  /** One call; a slow caller stops for a moment after each piece. */
  const get = (index: number, target: string, agent: http.Agent | https.Agent, isSlow: boolean): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const port = portOf(index);
      const use = index === 0 ? http : https;
      use
        .get({ host: '127.0.0.1', port, path: target, agent, rejectUnauthorized: false }, (answer) => {
          const pieces: Buffer[] = [];
          answer.on('data', (piece: Buffer) => {
            pieces.push(piece);
            if (!isSlow) return;
            answer.pause();
            setTimeout(() => answer.resume(), 1);
          });
          answer.on('end', () => resolve(Buffer.concat(pieces)));
          answer.on('error', reject);
        })
        .on('error', reject);
    });

  for (const [index, name] of ['http', 'https'].entries()) {
    // Measured on Deno 2.9.6: its TLS client hangs once it was paused, with any server.
    const skip = IS_DENO && index === 1;
    it(`each gets its own bytes (${name})`, { skip }, async () => {
      const agent =
        index === 0
          ? new http.Agent({ keepAlive: true, maxSockets: 24 })
          : new https.Agent({ keepAlive: true, maxSockets: 24 });
      let seed = 1;
      const work = async (worker: number): Promise<void> => {
        for (let i = 0; i < 16; i++) {
          const size = SIZES[(worker + i) % SIZES.length] as number;
          const mine = seed++;
          const framing = mine % 2 === 0 ? 'length' : 'chunked';
          const got = await get(index, `/${mine}/${size}/${framing}`, agent, worker % 3 === 0);
          assert.equal(digest(got), digest(contentOf(mine, size)), `answer ${mine} of ${size} bytes, ${framing}`);
        }
      };
      await Promise.all(Array.from({ length: 24 }, (_, worker) => work(worker)));
      agent.destroy();
    });
  }

  it('short answers are the same bytes over https', async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    for (const [seed, size] of [10, 1_000, 5_000, 16_384].entries()) {
      for (const framing of ['chunked', 'length'])
        assert.equal(digest(await get(1, `/${seed}/${size}/${framing}`, agent, false)), digest(contentOf(seed, size)));
    }
    agent.destroy();
  });

  it('each gets its own bytes where one connection asks ahead', async () => {
    const port = portOf(0);
    const asked = Array.from({ length: 12 }, (_, i) => ({ seed: 9000 + i, size: SIZES[i % SIZES.length] as number }));
    const socket = net.connect(port, '127.0.0.1');
    socket.write(asked.map(({ seed, size }) => `GET /${seed}/${size}/length HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
    let bytes = Buffer.alloc(0);
    socket.on('data', (data: Buffer) => {
      bytes = Buffer.concat([bytes, data]);
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    });
    const length = asked.reduce((sum, { size }) => sum + size, 0);
    while (bytes.length < length + 12 * 60) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (socket.destroyed) break;
      if (bytes.length > length && bodiesOf(bytes).length === asked.length) break;
    }
    socket.destroy();
    assert.deepEqual(
      bodiesOf(bytes).map(digest),
      asked.map(({ seed, size }) => digest(contentOf(seed, size))),
    );
  });

  it('uploads come to the engine as they were sent, with their memory given up on the way', async () => {
    const port = portOf(0);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const content = contentOf(5000 + i, 3_000_000 + i);
        const asked = http.request({ host: '127.0.0.1', port, path: `/${5000 + i}`, method: 'POST', agent });
        for (let at = 0; at < content.length; at += 50_000) {
          if (!asked.write(content.subarray(at, at + 50_000))) await once(asked, 'drain');
        }
        const answered = once(asked, 'response');
        asked.end();
        const [answer] = (await answered) as [http.IncomingMessage];
        answer.resume();
        await once(answer, 'end');
        assert.equal(uploads.get(String(5000 + i)), digest(content));
      }),
    );
    agent.destroy();
  });
});

/** The bodies of whole answers with a Content-Length. */
function bodiesOf(bytes: Buffer): Buffer[] {
  const bodies: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\r\n\r\n', at);
    if (end < 0) break;
    const length = Number(/content-length: (\d+)/i.exec(bytes.toString('latin1', at, end))?.[1]);
    if (bytes.length < end + 4 + length) break;
    bodies.push(bytes.subarray(end + 4, end + 4 + length));
    at = end + 4 + length;
  }
  return bodies;
}
