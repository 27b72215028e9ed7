// Hostile clients of BuildKit's protocol: floods, streams without end, and what becomes of streams when their credentials end. The
// neighbour of such a client goes on. Drives a real engine.
import assert from 'node:assert/strict';
import net from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { decodeMessage, framed } from '../../src/buildkit/grpc.ts';
import { writeMessage } from '../../src/buildkit/protobuf.ts';
import { admin } from '../support/admin.ts';
import { type Api, apiOver } from '../support/api.ts';
import { ENGINE, skipWithoutEngine } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { RawGrpc, upgrade } from './raw-grpc.ts';

const INFO = '/moby.buildkit.v1.Control/Info';
const SOLVE = '/moby.buildkit.v1.Control/Solve';
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const NO_SETTINGS = frame(4, 0, 0, Buffer.alloc(0));

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

describe('hostile clients of BuildKit', { skip: skipWithoutEngine }, () => {
  let gateway: TestGateway;
  let neighbour: Api;
  const socketOf = (name: string): string => join(gateway.dir, `${name}.sock`);
  before(async () => {
    const names = ['evil', 'good', 'gone', 'half'];
    gateway = await startGateway({ engine: ENGINE as string, unix: names.map((name) => ({ name, identity: name })) });
    for (const name of names) await admin(gateway, 'POST', '/identities', { name, policies: ['baseline'] });
    neighbour = apiOver(socketOf('good'));
  });
  after(() => gateway?.remove());

  /** The neighbour is served, by plain calls and by BuildKit, and the gateway did not restart. */
  const othersAreServed = async (): Promise<void> => {
    assert.equal((await neighbour('GET', '/_ping')).status, 200);
    const client = await RawGrpc.connect(socketOf('good'));
    assert.equal((await client.send(INFO, framed(new Uint8Array(0)))).status, 0);
    client.close();
    assert.equal(gateway.process.exitCode, null);
  };
  const open = async (): Promise<Duplex> => {
    const socket = await upgrade(socketOf('evil'), '/grpc');
    assert.ok(!('status' in socket));
    socket.on('error', () => {});
    socket.resume();
    return socket;
  };
  const write = (socket: Duplex, bytes: Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      if (socket.destroyed) resolve();
      else {
        socket.once('close', () => resolve());
        socket.write(bytes, () => resolve());
      }
    });

  const requestHead = (): Buffer => {
    // HPACK without indexing: :method POST, :scheme http, :path of a solve, content-type.
    const literal = (name: string, value: string): Buffer =>
      Buffer.concat([
        Buffer.from([0, name.length]),
        Buffer.from(name),
        Buffer.from([value.length]),
        Buffer.from(value),
      ]);
    return Buffer.concat([
      literal(':method', 'POST'),
      literal(':scheme', 'http'),
      literal(':path', SOLVE),
      literal(':authority', 'x'),
      literal('content-type', 'application/grpc'),
    ]);
  };

  for (const [title, bytes] of [
    ['PINGs', frame(6, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', NO_SETTINGS],
    ['frames of no known type', frame(0xfe, 0, 0, Buffer.alloc(4))],
    ['empty DATA of no stream', frame(0, 0, 1, Buffer.alloc(0))],
    ['WINDOW_UPDATEs', frame(8, 0, 0, Buffer.from([0, 0, 0, 1]))],
  ] as const) {
    it(`a flood of ${title} harms no other caller`, async () => {
      const socket = await open();
      await write(socket, Buffer.concat([PREFACE, NO_SETTINGS]));
      const many = Buffer.concat(Array.from({ length: 1000 }, () => bytes));
      for (let i = 0; i < 50 && !socket.destroyed; i++) {
        await Promise.race([write(socket, many), new Promise((resolve) => setTimeout(resolve, 200))]);
      }
      await othersAreServed();
      socket.destroy();
    });
  }

  it('a flood of streams that are reset at once harms no other caller', async () => {
    const socket = await open();
    await write(socket, Buffer.concat([PREFACE, NO_SETTINGS]));
    const head = requestHead();
    for (let round = 0; round < 10 && !socket.destroyed; round++) {
      const frames: Buffer[] = [];
      for (let i = 0; i < 1000; i++) {
        const id = (round * 1000 + i) * 2 + 1;
        frames.push(frame(1, 4, id, head), frame(3, 0, id, Buffer.from([0, 0, 0, 8])));
      }
      await Promise.race([write(socket, Buffer.concat(frames)), new Promise((resolve) => setTimeout(resolve, 500))]);
    }
    await othersAreServed();
    socket.destroy();
  });

  it('10,000 streams that never end are not all open, and harm no other caller', async () => {
    const client = await RawGrpc.connect(socketOf('evil'));
    let refused = 0;
    for (let i = 0; i < 10_000 && !client.session.destroyed; i++) {
      try {
        const stream = client.stream(SOLVE);
        stream.on('close', () => refused++);
        stream.write(Buffer.from([0, 0, 1, 0, 0, 1]));
      } catch {
        break;
      }
      if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await othersAreServed();
    client.close();
    await othersAreServed();
    assert.ok(refused >= 0);
  });

  it('many silent connections harm no other caller, and end with their client', async () => {
    const sockets: Duplex[] = [];
    for (let i = 0; i < 40; i++) {
      const socket = await upgrade(socketOf('evil'), '/grpc');
      if (!('status' in socket)) sockets.push(socket);
    }
    await othersAreServed();
    for (const socket of sockets) socket.destroy();
    await until('no call is under way', async () => {
      const { callsInFlight } = await admin<{ callsInFlight: number }>(gateway, 'GET', '/status');
      return callsInFlight === 0 ? true : undefined;
    });
  });

  it('clients that go away at any moment of the upgrade end nothing but their own connection', async () => {
    const head = 'POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n';
    const stream = frame(1, 4, 1, requestHead());
    for (let i = 0; i < 300; i++) {
      const socket = net.connect(socketOf('evil'));
      socket.on('error', () => {});
      // All of it in one piece: bytes of the new protocol arrive before the first read.
      socket.write(Buffer.concat([Buffer.from(head), PREFACE, NO_SETTINGS, stream]));
      await new Promise((resolve) => setTimeout(resolve, i % 12));
      socket.destroy();
    }
    await othersAreServed();
  });

  it('garbage in place of HTTP/2 ends its own connection', async () => {
    const socket = await open();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await write(socket, Buffer.from('GET / HTTP/1.1\r\n\r\n'.repeat(100)));
    await Promise.race([closed, new Promise((_, reject) => setTimeout(() => reject(new Error('still open')), 10_000))]);
    await othersAreServed();
  });

  it('refused requests are told one by one up to a bound; then their connection ends, and the next one sooner', async () => {
    const closed = '/moby.buildkit.v1.Control/Session';
    let told = 0;
    const last: string[] = [];
    for (let connection = 0; connection < 3; connection++) {
      const client = await RawGrpc.connect(socketOf('evil'));
      // One after another: Deno's own client of HTTP/2 ends the process when its connection goes under many open streams.
      for (let i = 0; i < 400 && !client.session.destroyed && !client.session.closed; i++) {
        const { message } = await client.send(closed, framed(new Uint8Array(0)), {}, 5000);
        if (/is not served here/.test(message)) told++;
        else if (message !== '') last.push(message);
        if (last.length > connection) break;
      }
      client.close();
    }
    assert.ok(told >= 250 && told < 400, `${told} refusals`);
    assert.match(last[0] ?? '', /more than 300 requests to BuildKit were refused.*the connection is closed \[audit /);
    await othersAreServed();
  });

  it('build arguments that are masked are bounded', async () => {
    const solve = (count: number) =>
      writeMessage('moby.buildkit.v1.SolveRequest', {
        Ref: `masked${count}`,
        FrontendAttrs: new Map(Array.from({ length: count }, (_, i) => [`build-arg:A${i}`, `value-${i}`] as const)),
        Frontend: 'dockerfile.v0',
      });
    const client = await RawGrpc.connect(socketOf('good'));
    const refused = await client.send(SOLVE, framed(solve(1001)));
    assert.match(refused.message, /a build may have 1000 values of build arguments .*\[audit /);
    assert.equal(refused.status, 8);
    const taken = await client.send(SOLVE, framed(solve(1000)));
    assert.doesNotMatch(taken.message, /denied|build arguments/);
    client.close();
  });

  it('requests that are never complete hold a bounded part of memory, and no other identity’s', async () => {
    const half = Buffer.alloc(1024 * 1024 * 12);
    half.writeUInt32BE(16 * 1024 * 1024 - 10, 1);
    const clients = await Promise.all(Array.from({ length: 4 }, () => RawGrpc.connect(socketOf('half'))));
    const said: string[] = [];
    const open = clients.flatMap((client) =>
      Array.from({ length: 3 }, () => {
        const stream = client.stream(SOLVE);
        stream.on('response', (head) => said.push(decodeMessage(String(head['grpc-message'] ?? ''))));
        stream.resume();
        stream.write(half);
        return stream;
      }),
    );
    await until('a refusal', async () => (said.length > 0 ? true : undefined));
    assert.match(said[0] ?? '', /requests that are not complete may hold .* of one identity/);
    const other = await RawGrpc.connect(socketOf('good'));
    assert.equal((await other.send(INFO, framed(new Uint8Array(0)))).status, 0);
    other.close();
    for (const stream of open) stream.close();
    for (const client of clients) client.close();
    await othersAreServed();
  });

  it('streams end with the identity that opened them', async () => {
    const client = await RawGrpc.connect(socketOf('gone'));
    assert.equal((await client.send(INFO, framed(new Uint8Array(0)))).status, 0);
    const history = client.send('/moby.buildkit.v1.Control/ListenBuildHistory', framed(new Uint8Array(0)), {}, 30_000);
    const closed = new Promise((resolve) => client.socket.once('close', resolve));
    await admin(gateway, 'POST', '/identities/gone/disable', {});
    await closed;
    await history;
    await othersAreServed();
  });
});
