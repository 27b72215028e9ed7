// Heads no honest peer sends: the relay closes their stream and goes on. The far side is a stand-in, for no engine sends such heads.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import { describe, it } from 'node:test';
import { type Door, relay } from '../../src/buildkit/relay.ts';
import { rawAnswer } from './raw-http2.ts';

type Head = readonly (readonly [string, string])[];

const GRPC: Head = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];

/** Longest a step may wait, in ms. A stream one runtime never closes fails its row and holds up no other. */
const WAIT_MS = 15_000;

async function within<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${WAIT_MS} ms`)), WAIT_MS);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

async function joined(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const one = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  const other = await new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  server.close();
  for (const socket of [one, other]) socket.on('error', () => {});
  return [one, other];
}

/** Status of the answer, or the code the stream was reset with; and how often the end was told. */
async function asked(head: Head, trailers: Head | undefined, kind: 'pass' | 'judge') {
  const [caller, near] = await joined();
  const [far, peer] = await joined();
  rawAnswer(peer, head, trailers);
  const ends: (string | undefined)[] = [];
  const door: Door = {
    plan: (_path, headers) =>
      kind === 'pass'
        ? { kind, headers }
        : {
            kind,
            judge: async (message) => ({ kind: 'send', headers, message, onEnd: (status) => void ends.push(status) }),
          },
    shown: (text) => text,
    refused: async (_path, refusal) => refusal,
  };
  const over = new AbortController();
  const done = relay(near, far, door, { signal: over.signal });
  const client = http2.connect('http://caller', { createConnection: () => caller });
  client.on('error', () => {});
  const stream = client.request({ ':method': 'POST', ':path': '/a/b', 'content-type': 'application/grpc' });
  let status: number | undefined;
  stream.on('response', (given) => {
    status = given[':status'];
  });
  stream.on('error', () => {});
  stream.resume();
  stream.end(Buffer.from([0, 0, 0, 0, 0]));
  const closed = new Promise((resolve) => stream.once('close', resolve));
  try {
    await within('the end of the stream', closed);
  } finally {
    over.abort();
    client.destroy();
    peer.destroy();
  }
  const { rstCode } = stream;
  await within('the end of the relay', done);
  return { status, rstCode, ends };
}

describe('an answer with a head that cannot be sent on', () => {
  const heads: Readonly<Record<string, readonly [Head, Head | undefined]>> = {
    'content-type twice': [[...GRPC, ['content-type', 'text/plain']], undefined],
    'etag twice': [[...GRPC, ['etag', 'a'], ['etag', 'b']], undefined],
    'etag twice, without a body': [[...GRPC, ['grpc-status', '0'], ['etag', 'a'], ['etag', 'b']], undefined],
    'a status of 999': [[[':status', '999']], undefined],
    'http2-settings': [[...GRPC, ['http2-settings', 'x']], undefined],
    'grpc-status twice in trailers': [
      GRPC,
      [
        ['grpc-status', '0'],
        ['grpc-status', '1'],
      ],
    ],
    'etag twice in trailers': [
      GRPC,
      [
        ['grpc-status', '0'],
        ['etag', 'a'],
        ['etag', 'b'],
      ],
    ],
    'http2-settings in trailers': [
      GRPC,
      [
        ['grpc-status', '0'],
        ['http2-settings', 'x'],
      ],
    ],
    'te of gzip in trailers': [
      GRPC,
      [
        ['grpc-status', '0'],
        ['te', 'gzip'],
      ],
    ],
    'a status in trailers': [
      GRPC,
      [
        ['grpc-status', '0'],
        [':status', '200'],
      ],
    ],
  };
  for (const kind of ['pass', 'judge'] as const) {
    for (const [name, [head, trailers]] of Object.entries(heads)) {
      it(`an answer with a head that cannot be sent on ends its own stream alone: ${name} (${kind})`, async () => {
        const { rstCode, ends } = await asked(head, trailers, kind);
        assert.notEqual(rstCode, 0);
        if (kind === 'judge') assert.equal(ends.length, 1);
      });
    }
    it(`an answer with a head that cannot be sent on leaves an ordinary answer as it is (${kind})`, async () => {
      const { status, rstCode } = await asked(GRPC, [['grpc-status', '0']], kind);
      assert.deepEqual({ status, rstCode }, { status: 200, rstCode: 0 });
    });
  }
});
