// The relay of a session, frame by frame: its heads against the examples of RFC 7541 and made-up bytes, its streams between an engine
// and a client of node:http2. Both are stand-ins: no engine and no client sends most of this.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FLAG, FRAME, FrameCutter, frame, number32, PREFACE } from '../../src/buildkit/frames.ts';
import { framed, Refusal } from '../../src/buildkit/grpc.ts';
import { RawHeaders } from '../../src/buildkit/headers.ts';
import { HeadReader, HpackError, writeHead } from '../../src/buildkit/hpack.ts';
import { relaySession, type SessionPlan, type SessionPlans } from '../../src/buildkit/session-relay.ts';
import { fieldsOf } from '../../src/buildkit/session-wire.ts';

describe('heads of a session', () => {
  // Appendix C.4 and C.6: requests and answers in packed texts, each with the table of those before.
  for (const [title, blocks, last] of [
    [
      'requests',
      [
        '828684418cf1e3c2e5f23a6ba0ab90f4ff',
        '828684be5886a8eb10649cbf',
        '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
      ],
      [
        ':method',
        'GET',
        ':scheme',
        'https',
        ':path',
        '/index.html',
        ':authority',
        'www.example.com',
        'custom-key',
        'custom-value',
      ],
    ],
    [
      'answers',
      [
        '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
        '4883640effc1c0bf',
      ],
      [
        ':status',
        '307',
        'cache-control',
        'private',
        'date',
        'Mon, 21 Oct 2013 20:13:21 GMT',
        'location',
        'https://www.example.com',
      ],
    ],
  ] as const) {
    it(`reads the ${title} of the standard`, () => {
      const reader = new HeadReader();
      const read = blocks.map((block) => reader.read(Buffer.from(block, 'hex')));
      assert.deepEqual(read.at(-1), last);
    });
  }

  it('reads what it writes, and of anything else says that it is none', () => {
    const text = fc.string({
      unit: fc.integer({ min: 32, max: 255 }).map((code) => String.fromCharCode(code)),
      maxLength: 300,
    });
    fc.assert(
      fc.property(text, fc.array(text, { minLength: 1, maxLength: 4 }), (name, values) => {
        const read = new HeadReader().read(writeHead({ [`x${name}`]: values }));
        assert.deepEqual(
          read,
          values.flatMap((value) => [`x${name}`, value]),
        );
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 }), (blocks) => {
        const reader = new HeadReader();
        try {
          for (const block of blocks) reader.read(block);
        } catch (error) {
          assert.ok(error instanceof HpackError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('fields of a head', () => {
  const request = [':method', 'POST', ':scheme', 'http', ':path', '/a', ':authority', 'x'];
  const answer = [':status', '200'];
  for (const [title, raw] of [
    ['a request', [...request, 'te', 'trailers', 'followpaths', 'a b', 'followpaths', 'c\td', 'x-bin', '\xe9']],
    ['an answer', [...answer, 'content-type', 'application/grpc']],
    ['trailers', ['grpc-status', '0', 'x', ':status']],
  ] as const) {
    it(`${title} is read`, () => {
      const { path, hasStatus } = fieldsOf(raw, raw[0] === ':method' ? 'request' : 'answer');
      assert.deepEqual([path, hasStatus], [raw[0] === ':method' ? '/a' : '', raw[0] === ':status']);
    });
  }
  for (const [title, raw] of [
    ['a path twice', [...request, ':path', '/b']],
    ['a status twice', [...answer, ':status', '200']],
    ['a status behind other fields', ['a', 'b', ...answer]],
    ['a path in an answer', [':status', '200', ':path', '/a']],
    ['a path in trailers', [':path', '/a', 'grpc-status', '0']],
    ['a status in a request', [...request, ...answer]],
    ['a field with a colon that is not known', [...request, ':protocol', 'websocket']],
    ['a status of other digits', [':status', '2e2']],
    ['a status with zeros in front', [':status', '0200']],
    ['an empty status', [':status', '']],
    ['a name in upper case', [...answer, 'Grpc-Status', '0']],
    ['a name with a space', [...answer, 'grpc-status ', '0']],
    ['an empty name', [...answer, '', '0']],
    ['a value with a line feed', [...answer, 'a', 'b\nc']],
    ['a value with a control character', [...answer, 'a', 'b\x08c']],
    ['a value with a delete', [...answer, 'a', 'b\x7fc']],
    ['a status of gRPC twice', [...answer, 'grpc-status', '0', 'grpc-status', '1']],
    ['a content type twice', [...answer, 'content-type', 'application/grpc', 'content-type', 'text/html']],
  ] as const) {
    it(`${title} is refused`, () =>
      assert.throws(() => fieldsOf(raw, raw[0] === ':method' ? 'request' : 'answer'), Refusal));
  }
});

describe('frames of a session', () => {
  it('frames of a session come out as they went in, however they are cut', () => {
    const one = fc.record({
      type: fc.constantFrom(0, 0, 0, 1, 4, 6, 8, 200),
      payload: fc.uint8Array({ maxLength: 60 }),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 40 })), (frames, cuts) => {
        const sent = Buffer.concat(frames.map(({ type, payload }) => frame(type, 0, 1, payload)));
        const out: Buffer[] = [];
        const cutter = new FrameCutter({
          passes: ({ type }) => type === FRAME.data,
          pass: (bytes) => void out.push(bytes),
          read: (head, payload) => void out.push(frame(head.type, head.flags, head.stream, payload)),
        });
        let at = 0;
        for (const cut of [...cuts, sent.length]) {
          cutter.push(sent.subarray(at, at + cut));
          at += cut;
        }
        assert.deepEqual(Buffer.concat(out), sent);
      }),
    );
  });
});

async function joined(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const one = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  const other = await new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  server.close();
  for (const socket of [one, other]) socket.on('error', () => {});
  return [one, other];
}

type Serve = (stream: http2.ServerHttp2Stream, path: string) => void;

/** An engine and a client with the relay between them. */
async function session(plan: (path: string) => SessionPlan | Refusal, serve: Serve) {
  const [engine, near] = await joined();
  const [far, caller] = await joined();
  const plans: SessionPlans = {
    plan(path) {
      const planned = plan(path);
      if (planned instanceof Refusal) throw planned;
      return planned;
    },
    refused: async (_path, refusal) => refusal,
  };
  const over = new AbortController();
  const done = relaySession(near, far, plans, { signal: over.signal });
  const server = http2.performServerHandshake(caller);
  server.on('error', () => {});
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    serve(stream, String(headers[':path']));
  });
  const { ask, returned, write } = rawEngine(engine);
  const end = async () => {
    over.abort();
    await done;
    server.destroy();
  };
  return { ask, returned, write, end };
}

interface Answer {
  readonly status: string | undefined;
  readonly details: string | undefined;
  readonly body: Buffer;
}

interface Asked {
  status: string | undefined;
  details: string | undefined;
  readonly pieces: Buffer[];
  readonly resolve: (answer: Answer) => void;
}

/** An engine that asks: one runtime's own client loses answers that are trailers alone. It asks for no more than the first window. */
function rawEngine(socket: net.Socket) {
  const heads = new HeadReader();
  const asked = new Map<number, Asked>();
  let last = -1;
  let returned = 0;
  const cutter = new FrameCutter({
    passes: () => false,
    pass: () => {},
    read({ type, flags, stream }, payload) {
      if (type === FRAME.windowUpdate && stream === 0) returned += payload.readUInt32BE();
      const one = asked.get(stream);
      if (one === undefined) return;
      if (type === FRAME.data) one.pieces.push(payload);
      if (type === FRAME.headers) {
        const fields = heads.read(payload);
        const value = (name: string) => (fields.includes(name) ? fields[fields.indexOf(name) + 1] : undefined);
        one.status ??= value('grpc-status');
        one.details ??= value('grpc-status-details-bin');
      }
      if (type === FRAME.reset || (type <= FRAME.headers && (flags & FLAG.endStream) !== 0))
        one.resolve({ status: one.status, details: one.details, body: Buffer.concat(one.pieces) });
    },
  });
  socket.on('data', (chunk: Buffer) => cutter.push(chunk));
  socket.write(Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0, Buffer.alloc(0))]));
  const ask = (path: string, body: Buffer, id = last + 2, step = 16_000): Promise<Answer> =>
    new Promise((resolve) => {
      last = id;
      asked.set(id, { status: undefined, details: undefined, pieces: [], resolve });
      const head = { ':method': 'POST', ':scheme': 'http', ':path': path, ':authority': 'x', 'x-two': ['a', 'b'] };
      socket.write(frame(FRAME.headers, FLAG.endHeaders, id, writeHead(head)));
      for (let at = 0; at === 0 || at < body.length; at += step) {
        const isLast = at + step >= body.length;
        socket.write(frame(FRAME.data, isLast ? FLAG.endStream : 0, id, body.subarray(at, at + step)));
      }
    });
  return { ask, returned: () => returned, write: (bytes: Buffer) => socket.write(bytes) };
}

/** Answers with what came, between a head and trailers. */
const echo: Serve = (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.pipe(stream);
};

const RESERVED = 2 ** 31;
/** The head of an answer to the one stream that is open. */
const ANSWER = frame(FRAME.headers, FLAG.endHeaders, 3, writeHead({ ':status': '200' }));

function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

/** Headers of a plan: none of their own. */
const none = new RawHeaders(new Map());

describe('streams of a session', () => {
  it('pass whole, large and small ones beside each other', async () => {
    const { ask, end } = await session(() => ({ kind: 'pass', headers: none }), echo);
    const large = Buffer.alloc(60_000, 'abc');
    const [one, two] = await Promise.all([ask('/a', large), ask('/b', Buffer.from('b'))]);
    assert.ok(one.body.equals(large));
    assert.deepEqual([one.status, two.status, two.body.toString()], ['0', '0', 'b']);
    await end();
  });

  it('what is judged reaches the client as it was judged, and what is refused does not', async () => {
    const seen: string[] = [];
    const { ask, end } = await session(
      (path) =>
        path === '/no'
          ? new Refusal('permission-denied', 'not this')
          : {
              kind: 'judge',
              headers: none,
              judge: (message) => {
                if (message[0] === 0x78) throw new Refusal('permission-denied', 'not that');
                return Buffer.from('good');
              },
            },
      (stream, path) => {
        seen.push(path);
        echo(stream, path);
      },
    );
    assert.equal((await ask('/no', framed(Buffer.from('a')))).status, '7');
    assert.equal((await ask('/bad', framed(Buffer.from('x')))).status, '7');
    assert.equal((await ask('/two', Buffer.concat([framed(Buffer.from('a')), framed(Buffer.from('b'))]))).status, '3');
    assert.equal((await ask('/none', Buffer.alloc(0))).status, '3');
    assert.equal((await ask('/long', framed(Buffer.alloc(20_000)))).status, '8');
    const good = await ask('/good', framed(Buffer.from('a longer one')));
    assert.deepEqual([good.status, good.body.subarray(5).toString()], ['0', 'good']);
    // However it is cut, a message is one: what does not end with it is refused.
    const whole = framed(Buffer.from('message'));
    for (let step = 1; step < whole.length; step++) {
      assert.equal((await ask('/cut', whole, undefined, step)).status, '0');
      assert.equal((await ask('/broken', whole.subarray(0, step))).status, '3');
    }
    assert.equal((await ask('/packed', Buffer.concat([Buffer.from([1]), whole.subarray(1)]))).status, '12');
    assert.equal((await ask('/huge', Buffer.from([0, 0xff, 0xff, 0xff, 0xff]))).status, '8');
    assert.deepEqual(seen, ['/good', ...Array.from({ length: whole.length - 1 }, () => '/cut')]);
    await end();
  });

  it('an end may be said otherwise, and its word is waited for', async () => {
    const { ask, end } = await session(
      () => ({
        kind: 'pass',
        headers: none,
        onEnd: async () => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          return new Refusal('failed-precondition', 'not now');
        },
      }),
      echo,
    );
    assert.equal((await ask('/a', Buffer.from('a'))).status, '9');
    await end();
  });

  for (const [title, status, details, seen] of [
    ['with zeros in front', '00', undefined, undefined],
    ['with a sign', '+0', undefined, undefined],
    ['below zero', '-0', undefined, undefined],
    ['missing, with details of success', undefined, '', undefined],
    ['of failure, with details of success', '2', '', '2'],
    ['of failure, with details of success that are read twice', '2', 'CAIIAA', '2'],
    ['of failure, with details of the same', '2', 'CAISAWE', '2'],
    ['of success', '0', undefined, '9'],
  ] as const) {
    it(`an end ${title} is no success the plan did not hear of`, async () => {
      const { ask, end } = await session(
        () => ({
          kind: 'pass',
          headers: none,
          onEnd: async (heard) => (heard === '0' ? new Refusal('failed-precondition', 'not now') : undefined),
        }),
        (stream) => {
          stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
          stream.on('wantTrailers', () =>
            stream.sendTrailers({
              ...(status === undefined ? {} : { 'grpc-status': status }),
              ...(details === undefined ? {} : { 'grpc-status-details-bin': details }),
            }),
          );
          stream.resume();
          stream.end('a');
        },
      );
      const answer = await ask('/a', Buffer.from('a'));
      assert.equal(answer.status, seen);
      assert.equal(answer.details, title === 'of failure, with details of the same' ? details : undefined);
      await end();
    });
  }

  it('an end whose word cannot be had is no success', async () => {
    const { ask, end } = await session(
      () => ({ kind: 'pass', headers: none, onEnd: () => Promise.reject(new Error('the engine is gone')) }),
      echo,
    );
    assert.equal((await ask('/a', Buffer.from('a'))).status, '14');
    await end();
  });

  it('what refused requests sent is given back to the window of the connection', async () => {
    const { ask, returned, end } = await session(
      (path) => (path === '/no' ? new Refusal('permission-denied', 'no') : { kind: 'pass', headers: none }),
      echo,
    );
    const before = returned();
    for (let i = 0; i < 20; i++) assert.equal((await ask('/no', Buffer.alloc(30_000))).status, '7');
    assert.equal((await ask('/a', Buffer.alloc(60_000))).status, '0');
    assert.ok(returned() - before >= 600_000, String(returned()));
    await end();
  });

  it('so is what was held of a request that the engine breaks off', async () => {
    const judge = () => Buffer.alloc(0);
    const plan = (path: string): SessionPlan =>
      path === '/half' ? { kind: 'judge', headers: none, judge } : { kind: 'pass', headers: none };
    const { ask, returned, write, end } = await session(plan, echo);
    const head = frame(FRAME.headers, FLAG.endHeaders, 1, writeHead({ ':method': 'POST', ':path': '/half' }));
    write(Buffer.concat([head, frame(FRAME.data, 0, 1, Buffer.alloc(3)), frame(FRAME.reset, 0, 1, number32(8))]));
    assert.equal((await ask('/a', Buffer.alloc(0), 3)).status, '0');
    assert.equal(returned(), 3);
    await end();
  });

  for (const [title, bytes] of [
    ['data of a stream that was not opened', frame(FRAME.data, 0, 99, Buffer.from('a'))],
    ['an answer to no stream', frame(FRAME.headers, FLAG.endHeaders, 5, writeHead({ ':status': 200 }))],
    ['a pushed stream', frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.alloc(8))],
    ['a head that does not end', frame(FRAME.headers, 0, 1, Buffer.alloc(1))],
    ['a head in no table', frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.from([0xff, 0xff, 0xff, 0x01]))],
    ['settings of a stream', frame(FRAME.settings, 0, 1, Buffer.alloc(0))],
    ['half a setting', frame(FRAME.settings, 0, 0, Buffer.alloc(5))],
    ['padding longer than its frame', frame(FRAME.headers, FLAG.endHeaders | FLAG.padded, 1, Buffer.from([9, 0]))],
    ['a flood of pings', Buffer.concat(Array.from({ length: 8000 }, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))))],
    [
      'a flood of frames of no known type',
      Buffer.concat(Array.from({ length: 8000 }, () => frame(250, 0, 0, Buffer.alloc(0)))),
    ],
    ['a frame that is too long', frame(FRAME.settings, 0, 0, Buffer.alloc(20_000))],
    ['data that is too long', frame(FRAME.data, 0, 1, Buffer.alloc(16_385))],
    ['data with the reserved bit', frame(FRAME.data, 0, RESERVED + 1, Buffer.from('a'))],
    ['a ping with the reserved bit', frame(FRAME.ping, 0, RESERVED, Buffer.alloc(8))],
    ['a window with the reserved bit', frame(FRAME.windowUpdate, 0, 0, number32(RESERVED + 1))],
    ['a window with none', frame(FRAME.windowUpdate, 0, 0, number32(0))],
    ['a window of a stream with none', frame(FRAME.windowUpdate, 0, 3, number32(0))],
    ['a window of an even stream', frame(FRAME.windowUpdate, 0, 2, number32(1))],
    ['a window of a stream that was not opened', frame(FRAME.windowUpdate, 0, 5, number32(1))],
    ['half a window', frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(2))],
    ['data of the connection', frame(FRAME.data, 0, 0, Buffer.from('a'))],
    ['data of an even stream', frame(FRAME.data, 0, 2, Buffer.from('a'))],
    ['data in front of its head', frame(FRAME.data, 0, 3, Buffer.from('a'))],
    ['an end in data', Buffer.concat([ANSWER, frame(FRAME.data, FLAG.endStream, 3, Buffer.alloc(0))])],
    ['padding as long as its data', Buffer.concat([ANSWER, frame(FRAME.data, FLAG.padded, 3, Buffer.from([3, 0, 0]))])],
    ['padding without its length', Buffer.concat([ANSWER, frame(FRAME.data, FLAG.padded, 3, Buffer.alloc(0))])],
    ['an answer to an even stream', frame(FRAME.headers, FLAG.endHeaders, 2, writeHead({ ':status': '200' }))],
    ['an answer of the connection', frame(FRAME.headers, FLAG.endHeaders, 0, writeHead({ ':status': '200' }))],
    ['the rest of no head', frame(FRAME.continuation, FLAG.endHeaders, 3, Buffer.alloc(0))],
    [
      'the rest of the head of another',
      Buffer.concat([
        frame(FRAME.headers, 0, 3, Buffer.alloc(0)),
        frame(FRAME.continuation, FLAG.endHeaders, 1, Buffer.alloc(0)),
      ]),
    ],
    ['a head within a head', Buffer.concat([frame(FRAME.headers, 0, 3, Buffer.alloc(0)), ANSWER])],
    [
      'a head of many empty parts',
      Buffer.concat([
        frame(FRAME.headers, 0, 3, Buffer.alloc(0)),
        ...Array.from({ length: 40 }, () => frame(FRAME.continuation, 0, 3, Buffer.alloc(0))),
      ]),
    ],
    [
      'a flood of empty data',
      Buffer.concat([ANSWER, ...Array.from({ length: 8000 }, () => frame(FRAME.data, 0, 3, Buffer.alloc(0)))]),
    ],
    [
      'a flood of large heads',
      Buffer.concat(
        Array.from({ length: 200 }, () =>
          frame(FRAME.headers, FLAG.endHeaders, 1, writeHead({ a: 'b'.repeat(16_000) })),
        ),
      ),
    ],
    ['a stream that is reset before it was opened', frame(FRAME.reset, 0, 5, number32(8))],
    ['a reset of an even stream', frame(FRAME.reset, 0, 2, number32(8))],
    ['a reset of the connection', frame(FRAME.reset, 0, 0, number32(8))],
    ['half a reset', frame(FRAME.reset, 0, 3, Buffer.alloc(3))],
    ['half a ping', frame(FRAME.ping, 0, 0, Buffer.alloc(7))],
    ['a ping of a stream', frame(FRAME.ping, 0, 3, Buffer.alloc(8))],
    ['half a word of leave', frame(FRAME.goaway, 0, 0, Buffer.alloc(7))],
    ['a word of leave of a stream', frame(FRAME.goaway, 0, 3, Buffer.alloc(8))],
    ['an ack with settings', frame(FRAME.settings, FLAG.ack, 0, setting(3, 1))],
    ['a setting twice', frame(FRAME.settings, 0, 0, Buffer.concat([setting(3, 1), setting(3, 2)]))],
    ['a setting that allows to push', frame(FRAME.settings, 0, 0, setting(2, 2))],
    ['a window that is too large', frame(FRAME.settings, 0, 0, setting(4, 2 ** 31))],
    ['frames that are too small', frame(FRAME.settings, 0, 0, setting(5, 16_383))],
    ['frames that are too large', frame(FRAME.settings, 0, 0, setting(5, 2 ** 24))],
  ] as const) {
    it(`${title} ends the session alone`, async () => {
      const [engine, near] = await joined();
      const [far, caller] = await joined();
      const plans: SessionPlans = {
        plan: () => ({ kind: 'pass', headers: none }),
        refused: async (_path, said) => said,
      };
      const done = relaySession(near, far, plans, { signal: new AbortController().signal });
      engine.resume();
      caller.resume();
      engine.write(Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0, Buffer.alloc(0))]));
      engine.write(frame(FRAME.headers, FLAG.endHeaders, 3, writeHead({ ':method': 'POST', ':path': '/a' })));
      await onceReadable(caller);
      caller.write(bytes);
      // A head that does not end waits for its rest: any other frame between is one too many.
      caller.write(frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
      const late = new Promise((resolve) => setTimeout(resolve, 1000, 'goes on').unref());
      assert.deepEqual(await Promise.race([done, late]), { end: 'caller-gone' });
      for (const socket of [engine, caller]) socket.destroy();
    });
  }
});

/** An end that takes nothing of what is written to it, or all. */
function endOf(isTaking: boolean): Duplex {
  const write = (_chunk: unknown, _encoding: string, taken: () => void) => {
    if (isTaking) taken();
  };
  return new Duplex({ read() {}, write, writableHighWaterMark: 1024 });
}

describe('a session whose end reads nothing', () => {
  const ping = frame(FRAME.ping, 0, 0, Buffer.alloc(8));
  const data = frame(FRAME.data, 0, 1, Buffer.from('a'));
  for (const [title, isCaller, one] of [
    ['pings to the caller', true, ping],
    ['data and pings to the caller', true, Buffer.concat([data, ping])],
    ['pings to the engine', false, ping],
    ['data and pings to the engine', false, Buffer.concat([data, ping])],
  ] as const) {
    it(`a session whose end reads nothing holds up its other end: ${title} fill no memory`, async () => {
      const engine = endOf(isCaller);
      const caller = endOf(!isCaller);
      const plans: SessionPlans = {
        plan: () => ({ kind: 'pass', headers: none }),
        refused: async (_path, said) => said,
      };
      const over = new AbortController();
      const done = relaySession(engine, caller, plans, { signal: over.signal });
      const [from, to] = isCaller ? [engine, caller] : [caller, engine];
      engine.push(Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0, Buffer.alloc(0))]));
      engine.push(frame(FRAME.headers, FLAG.endHeaders, 1, writeHead({ ':method': 'POST', ':path': '/a' })));
      await new Promise(setImmediate);
      caller.push(frame(FRAME.headers, FLAG.endHeaders, 1, writeHead({ ':status': '200' })));
      const some = Buffer.concat(Array.from({ length: 40 }, () => one));
      for (let i = 0; i < 100 && !from.isPaused(); i++) {
        from.push(some);
        await new Promise(setImmediate);
      }
      assert.ok(from.isPaused(), 'what comes waits');
      assert.ok(to.writableLength < 1024 + 2 * some.length, `${to.writableLength} bytes wait to be taken`);
      assert.equal(to.listenerCount('drain'), 1);
      over.abort();
      await done;
    });
  }
});

const onceReadable = (socket: Duplex): Promise<void> => new Promise((resolve) => socket.once('data', () => resolve()));
