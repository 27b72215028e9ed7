// The engine's answers, cut at every byte: head, body and end are the same however the bytes arrive.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerReader } from '../../src/proxy/answer-reader.ts';

interface Read {
  readonly status: number | undefined;
  readonly headers: readonly string[];
  readonly keepAlive: boolean | undefined;
  readonly body: string;
  /** Bytes behind the answer; undefined while it is not complete. */
  readonly rest: string | undefined;
  /** What `end()` says when the connection ends after these bytes. */
  readonly whole: boolean;
}

function read(method: string, pieces: readonly Buffer[]): Read {
  let status: number | undefined;
  let headers: readonly string[] = [];
  let keepAlive: boolean | undefined;
  let rest: string | undefined;
  const body: Buffer[] = [];
  const reader = new AnswerReader({
    onHead(head) {
      assert.equal(status, undefined, 'one head');
      ({ status, headers, keepAlive } = head);
    },
    onBody(chunk) {
      assert.notEqual(status, undefined, 'the head comes first');
      assert.equal(rest, undefined, 'nothing after the end');
      body.push(Buffer.from(chunk));
    },
    onEnd(behind) {
      assert.equal(rest, undefined, 'one end');
      rest = behind.toString('latin1');
    },
  });
  reader.begin(method);
  // Node reuses no read buffer for sockets, but a copy each shows that nothing is kept by reference for later.
  for (const piece of pieces) reader.push(Buffer.from(piece));
  const whole = reader.end();
  return { status, headers, keepAlive, body: Buffer.concat(body).toString('latin1'), rest, whole };
}

type Case = [name: string, method: string, wire: string, expected: Partial<Read>];
const CASES: Case[] = [
  [
    'a Content-Length body',
    'GET',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nApi-Version: 1.51\r\n\r\nhello',
    { status: 200, body: 'hello', rest: '', whole: true, keepAlive: true },
  ],
  [
    'a chunked body with extensions and trailers',
    'GET',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x="y"\r\nhello\r\nB \r\n to the end\r\n000\r\nX-Sum: 1\r\n\r\n',
    { status: 200, body: 'hello to the end', rest: '', whole: true, keepAlive: true },
  ],
  [
    'a body until the end of the connection',
    'GET',
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall there is',
    { status: 200, body: 'all there is', whole: true, keepAlive: false },
  ],
  [
    'an empty body by length',
    'GET',
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    { body: '', rest: '', whole: true },
  ],
  [
    'HEAD with a length and no body',
    'HEAD',
    'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n',
    { status: 200, body: '', rest: '', whole: true, keepAlive: true },
  ],
  [
    'HEAD with chunked announced',
    'HEAD',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    { status: 200, body: '', rest: '', whole: true, keepAlive: true },
  ],
  ['204', 'POST', 'HTTP/1.1 204 No Content\r\n\r\n', { status: 204, body: '', rest: '', whole: true, keepAlive: true }],
  [
    '304 with the length of what was not sent',
    'POST',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n',
    { status: 304, body: '', rest: '', whole: true, keepAlive: true },
  ],
  [
    'interim answers before the real one',
    'POST',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}',
    { status: 201, body: '{}', rest: '', whole: true, headers: ['Content-Length', '2'] },
  ],
  [
    '101 and what the upgraded stream begins with',
    'POST',
    'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n\u0001\u0000stream',
    { status: 101, body: '' },
  ],
  ['HTTP/1.0 is not kept', 'GET', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok', { body: 'ok', keepAlive: false }],
  [
    'Connection: close is not kept',
    'GET',
    'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
    { body: 'ok', keepAlive: false },
  ],
  [
    'headers keep spelling, order and duplicates',
    'GET',
    'HTTP/1.1 200 OK\r\nX-b: 2\r\nx-A:1\r\nX-b:  3 \r\ncontent-length: 0\r\n\r\n',
    { headers: ['X-b', '2', 'x-A', '1', 'X-b', '3', 'content-length', '0'] },
  ],
];

describe('AnswerReader', () => {
  for (const [name, method, wire, expected] of CASES) {
    it(`AnswerReader reads ${name}, whole and cut at every byte`, () => {
      const bytes = Buffer.from(wire, 'latin1');
      const once = read(method, [bytes]);
      for (const [key, value] of Object.entries(expected)) assert.deepEqual(once[key as keyof Read], value, key);
      for (let cut = 1; cut < bytes.length; cut++) {
        const got = read(method, [bytes.subarray(0, cut), bytes.subarray(cut)]);
        // Behind a 101 the stream may come in the end's rest or be left to the socket.
        assert.deepEqual({ ...got, rest: undefined }, { ...once, rest: undefined }, `cut at ${cut}`);
      }
      const single = read(
        method,
        [...bytes].map((byte) => Buffer.of(byte)),
      );
      assert.deepEqual({ ...single, rest: undefined }, { ...once, rest: undefined }, 'byte by byte');
    });

    it(`never takes the beginning of ${name} for the whole`, () => {
      const bytes = Buffer.from(wire, 'latin1');
      const headEnd = wire.lastIndexOf('\r\n\r\n', method === 'POST' ? wire.length : wire.indexOf('\r\n\r\n')) + 4;
      const untilClose = name.includes('until the end');
      for (let length = 0; length < bytes.length; length++) {
        const got = read(method, [bytes.subarray(0, length)]);
        // A body that only the end of the connection ends is whole at any length: that is HTTP's weakness, not ours.
        if (untilClose && length >= headEnd) continue;
        if (got.whole)
          assert.ok(name.startsWith('101') && length >= headEnd, `${length} bytes were taken for the whole`);
      }
    });
  }

  const BROKEN: [name: string, wire: string][] = [
    ['something that is not HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['HTTP/2', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n'],
    ['a header without a colon', 'HTTP/1.1 200 OK\r\nnonsense\r\n\r\n'],
    ['two lengths that differ', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ['a length with a sign', 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n'],
    ['a transfer coding that is not chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    [
      'a length beside chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    ],
    ['a chunk without a size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'],
    ['a chunk longer than its size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n'],
    ['a chunk with a negative size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n'],
    ['a head that does not end', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(300_000)}`],
    [
      'a chunk size line that does not end',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(10_000)}`,
    ],
  ];
  for (const [name, wire] of BROKEN) {
    it(`AnswerReader refuses ${name}`, () => {
      assert.throws(() => read('GET', [Buffer.from(wire, 'latin1')]), { code: 'engine-answer-malformed' });
    });
  }

  it('AnswerReader gives what comes behind a complete answer back, as no part of it', () => {
    const got = read('GET', [
      Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n', 'latin1'),
    ]);
    assert.equal(got.body, 'ok');
    assert.equal(got.rest, 'HTTP/1.1 200 OK\r\n\r\n');
  });
});
