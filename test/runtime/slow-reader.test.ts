// A caller that sends faster than it is read, over each kind of listener: it is made to wait instead of being kept in
// memory, and when it is read on, every byte and its end are there. Requests that are uploads, and upgraded connections.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import type { Listener } from '../../src/config/types.ts';
import { silentLogger } from '../../src/log.ts';
import { listen, type RunningListener } from '../../src/runtime/listen.ts';
import { loopbackMaterial } from '../support/certificates.ts';

const MIB = 1024 * 1024;
/** What is sent, and the most that may be on its way without a reader, in MiB: buffers of the kernel and of two streams. */
const SENT = 64;
const MAX_AHEAD = 32;
/** Nothing was taken for this long: the sender waits. In ms. */
const STILL_MS = 500;

const LIMITS = { headBytes: 8192, headTimeoutMs: 10_000, idleTimeoutMs: 10_000, connections: 9, connectionsPerIp: 9 };
const UPGRADE = 'POST /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n';
const UPLOAD = `POST /load HTTP/1.1\r\nHost: x\r\nContent-Length: ${SENT * MIB}\r\n\r\n`;

/** Writes until the other side takes no more. @returns what is left to write, in MiB, and what it has taken */
async function fill(socket: net.Socket): Promise<{ left: number; taken: number }> {
  const piece = Buffer.alloc(MIB, 97);
  let written = 0;
  while (written < SENT) {
    written++;
    if (socket.write(piece)) continue;
    const drained = await Promise.race([
      once(socket, 'drain').then(() => true),
      new Promise<boolean>((resolve) => setTimeout(resolve, STILL_MS, false)),
    ]);
    if (!drained) break;
  }
  return { left: SENT - written, taken: written - socket.writableLength / MIB };
}

async function finish(socket: net.Socket, left: number): Promise<void> {
  const piece = Buffer.alloc(MIB, 97);
  for (let i = 0; i < left; i++) if (!socket.write(piece)) await once(socket, 'drain');
}

/** Counts what is left to come. @returns at the end, the number of bytes */
const readOn = (stream: Duplex | IncomingMessage): Promise<number> =>
  new Promise((resolve, reject) => {
    let size = 0;
    stream.on('data', (data: Buffer) => {
      size += data.length;
    });
    stream.on('end', () => resolve(size)).on('close', () => reject(new Error(`closed after ${size} bytes`)));
    stream.resume();
  });

describe('a caller that sends faster than it is read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-slow-'));
  let material: { cert: string; key: string };
  before(async () => {
    ({ material } = await loopbackMaterial(folder));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const LISTENERS: readonly Listener[] = [
    { kind: 'https', host: '127.0.0.1', port: 0 },
    { kind: 'unix', path: join(folder, 's.sock'), mode: 0o600 },
  ];
  for (const listener of LISTENERS) {
    describe(`over ${listener.kind}`, () => {
      let at: RunningListener;
      let arrived: (stream: Duplex | IncomingMessage, answer?: ServerResponse) => void;
      const next = () =>
        new Promise<{ stream: Duplex | IncomingMessage; answer?: ServerResponse | undefined }>((resolve) => {
          arrived = (stream, answer) => resolve({ stream, answer });
        });
      const connect = async (): Promise<net.Socket> => {
        const to = { host: '127.0.0.1', port: at.port as number, allowHalfOpen: true };
        const socket =
          listener.kind === 'unix'
            ? net.connect({ path: listener.path, allowHalfOpen: true })
            : tls.connect({ ...to, ca: readFileSync(join(folder, 'ca.pem')), servername: 'localhost' } as object);
        await once(socket, listener.kind === 'https' ? 'secureConnect' : 'connect');
        return socket;
      };
      before(async () => {
        at = await listen(
          listener,
          {
            onRequest: (incoming, outgoing) => arrived(incoming, outgoing),
            onCheckContinue: (incoming, outgoing) => arrived(incoming, outgoing),
            onUpgrade(_incoming, socket) {
              socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
              socket.pause();
              arrived(socket);
            },
            wantsUpgrade: () => true,
            onUnreadable: (code) => code,
          },
          LIMITS,
          silentLogger,
          listener.kind === 'https' ? material : undefined,
        );
      });
      after(() => at.close());

      it('an upgraded connection waits, then carries everything and the end', async () => {
        const socket = await connect();
        const there = next();
        socket.write(UPGRADE);
        await once(socket, 'data');
        const { stream } = await there;
        const { left, taken } = await fill(socket);
        assert.ok(taken < MAX_AHEAD, `${taken} MiB were taken without a reader`);
        const read = readOn(stream);
        await finish(socket, left);
        socket.end();
        assert.equal(await read, SENT * MIB);
        // Its other half is still open.
        const told = readOn(socket);
        (stream as Duplex).end('after');
        assert.equal(await told, 5);
      });

      it('an end that comes without a reader is told to the next one', async () => {
        const socket = await connect();
        const there = next();
        socket.write(UPGRADE);
        await once(socket, 'data');
        const { stream } = await there;
        socket.end('short');
        await once(socket, 'finish');
        await new Promise((resolve) => setTimeout(resolve, 100));
        assert.equal(await readOn(stream), 5);
        (stream as Duplex).end();
        await readOn(socket);
      });

      it('an upload waits, then arrives whole', async () => {
        const socket = await connect();
        const there = next();
        socket.write(UPLOAD);
        const { stream, answer } = await there;
        const { left, taken } = await fill(socket);
        assert.ok(taken < MAX_AHEAD, `${taken} MiB were taken without a reader`);
        const read = readOn(stream);
        await finish(socket, left);
        assert.equal(await read, SENT * MIB);
        answer?.end();
        await once(socket, 'data');
        socket.destroy();
      });
    });
  }
});
