// Upgrades through the whole gateway, against a scripted STAND-IN: an Upgrade header never skips a step, only judged
// routes that hijack may upgrade, and what comes on a connection after an upgrade that was not is judged like anything else.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { type ScriptedEngine, type SeenRequest, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const ID = 'c'.repeat(64);
const EXEC = 'e'.repeat(64);

/** Answers what the gateway itself asks about objects; the rest is the test's. */
const withObjects = (script: (request: SeenRequest) => unknown) => (request: SeenRequest) => {
  if (request.target.endsWith(`/exec/${EXEC}/json`)) {
    request.answer(200, JSON.stringify({ ID: EXEC, ContainerID: ID }), ['Content-Type: application/json']);
  } else if (request.target.startsWith('/containers/') && request.target.endsWith('/json')) {
    request.answer(200, JSON.stringify({ Id: ID, Name: '/box', Config: { Labels: {} } }), [
      'Content-Type: application/json',
    ]);
  } else script(request);
};
const echo = (request: SeenRequest) => {
  request.socket.write('HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n');
  request.socket.write('Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
  request.socket.on('data', (data: Buffer) => request.socket.write(data));
  request.socket.on('end', () => request.socket.end('[end]'));
};

describe('an upgrade through the gateway', () => {
  let engine: ScriptedEngine;
  let at: EmbeddedTestGateway;
  let token: string;
  let reader: string;
  before(async () => {
    engine = await startScriptedEngine(() => {});
    at = await openEmbedded(engine.url);
    token = await at.token('alice');
    reader = await at.token('rita', 'reader');
  });
  after(async () => {
    await at?.close();
    await engine.close();
  });
  beforeEach(() => {
    engine.script = withObjects((r) => r.answer(200, '{}', ['Content-Type: application/json']));
  });

  const asked = (line: string) => engine.requests.filter((r) => `${r.method} ${r.target}`.includes(line));
  const headOf = (line: string, headers: readonly string[], who: string | undefined = token) =>
    `${[`${line} HTTP/1.1`, 'Host: docker', ...(who === undefined ? [] : [`Authorization: Bearer ${who}`]), ...headers].join('\r\n')}\r\n\r\n`;
  const UPGRADE = ['Connection: Upgrade', 'Upgrade: tcp'];
  const EXEC_BODY = '{"Detach":false,"Tty":false}';
  const execStart = (who?: string) =>
    headOf(
      `POST /v1.47/exec/${EXEC}/start`,
      [...UPGRADE, 'Content-Type: application/json', `Content-Length: ${EXEC_BODY.length}`],
      who,
    ) + EXEC_BODY;

  it('an upgrade through the gateway carries bytes, keeps the half-close, and is in the audit with its byte counts', async () => {
    engine.script = withObjects(echo);
    const caller = at.connect();
    caller.send(headOf(`POST /v1.47/containers/${ID}/attach?stream=1&stdin=1&stdout=1`, UPGRADE));
    const answer = await caller.answer();
    assert.equal(answer.status, 101);
    assert.equal(answer.headers.upgrade, 'tcp');
    caller.send('hello');
    await until('the echo', () => caller.received === 'hello');
    caller.socket.end();
    await until('output after the end of input', () => caller.received === 'hello[end]' && caller.ended);
    const rows = await at.completed(answer.auditId);
    assert.deepEqual(
      rows.map((r) => [r.stage, r.status, r.bytesIn, r.bytesOut]),
      [
        ['intent', undefined, undefined, undefined],
        ['stream-open', 101, undefined, undefined],
        ['complete', 101, 5, 10],
      ].map((row) => row.map((v) => v ?? rows[0]?.status)),
    );
    caller.destroy();
  });

  it('an upgrade through the gateway with a body and stream bytes in one write: the body is judged and rebuilt, the bytes follow it', async () => {
    engine.script = withObjects(echo);
    const caller = at.connect();
    caller.send(`${execStart()}early`);
    assert.equal((await caller.answer()).status, 101);
    await until('the early bytes', () => caller.received === 'early');
    const [start] = asked('/start').slice(-1);
    assert.deepEqual(JSON.parse(start?.received().toString() ?? ''), JSON.parse(EXEC_BODY));
    caller.destroy();
  });

  const chunkedStart = (chunks: string, coding = 'chunked') =>
    headOf(`POST /v1.47/exec/${EXEC}/start`, [
      ...UPGRADE,
      'Content-Type: application/json',
      `Transfer-Encoding: ${coding}`,
    ]) + chunks;
  // dockerode opens its session so; the engine reads a body of either kind.
  const CHUNKS = `9\r\n${EXEC_BODY.slice(0, 9)}\r\n${(EXEC_BODY.length - 9).toString(16)}\r\n${EXEC_BODY.slice(9)}\r\n0\r\n\r\n`;

  it('an upgrade through the gateway with a body in chunks, at once or byte by byte, and stream bytes behind it', async () => {
    engine.script = withObjects(echo);
    for (const pause of [false, true]) {
      const caller = at.connect();
      const bytes = `${chunkedStart(CHUNKS)}early`;
      if (pause) {
        const head = bytes.indexOf('\r\n\r\n') + 4;
        caller.send(bytes.slice(0, head));
        // Deno has the bytes of the body as they were sent where none came with the head.
        await new Promise((resolve) => setTimeout(resolve, 50));
        for (const byte of bytes.slice(head)) {
          caller.socket.write(byte);
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      } else caller.send(bytes);
      assert.equal((await caller.answer()).status, 101);
      await until('the early bytes', () => caller.received === 'early');
      const [start] = asked('/start').slice(-1);
      assert.deepEqual(JSON.parse(start?.received().toString() ?? ''), JSON.parse(EXEC_BODY));
      caller.destroy();
    }
  });

  // Deno reads chunks that come with the head by itself, and the body it makes of them is the one that is judged.
  const onNode = { skip: IS_DENO ? 'Deno reads such chunks itself' : false };
  it('an upgrade through the gateway with chunks that could be read in two ways is refused', onNode, async () => {
    const before = asked('/start').length;
    for (const [name, request] of [
      ['an extension', chunkedStart(CHUNKS.replace('9\r\n', '9;a=b\r\n'))],
      ['a trailer', chunkedStart(CHUNKS.replace('0\r\n\r\n', '0\r\nA: b\r\n\r\n'))],
      ['a bare line feed', chunkedStart(CHUNKS.replace('9\r\n', '9\n'))],
      ['no size', chunkedStart(`x\r\n${CHUNKS}`)],
      ['a size with a sign', chunkedStart(CHUNKS.replace('9\r\n', '+9\r\n'))],
      ['a size of many digits', chunkedStart(CHUNKS.replace('9\r\n', '00000000000000009\r\n'))],
      ['more bytes than its size', chunkedStart(CHUNKS.replace('9\r\n', '8\r\n'))],
      ['a body that is too long', chunkedStart('fffff\r\n')],
      ['two codings', chunkedStart(CHUNKS, 'gzip, chunked')],
    ] as const) {
      const caller = at.connect();
      caller.send(request);
      const { status } = await caller.answer();
      assert.ok(status === 400 || status === 413 || status === 501, `${name}: ${status}`);
      caller.destroy();
    }
    assert.equal(asked('/start').length, before);
  });

  it('an upgrade through the gateway with more behind the body than the body is long', async () => {
    engine.script = withObjects(echo);
    const caller = at.connect();
    const long = 'stream bytes '.repeat(20);
    caller.send(`${execStart()}${long}`);
    assert.equal((await caller.answer()).status, 101);
    await until('all of them', () => caller.received === long);
    caller.destroy();
  });

  it('an upgrade through the gateway with a body sent byte by byte', async () => {
    engine.script = withObjects(echo);
    const caller = at.connect();
    const text = execStart();
    const from = text.length - EXEC_BODY.length - 6;
    caller.send(text.slice(0, from));
    for (const byte of text.slice(from)) {
      caller.socket.write(byte);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    caller.send('x');
    assert.equal((await caller.answer()).status, 101);
    await until('the echo', () => caller.received === 'x');
    caller.destroy();
  });

  const REFUSED: [name: string, send: () => string, status: number, code: string][] = [
    ['without a token', () => headOf(`POST /containers/${ID}/attach`, UPGRADE, ''), 401, 'token-'],
    [
      'that policy denies',
      () => headOf(`POST /containers/${ID}/attach`, UPGRADE, reader),
      403,
      'operation-not-allowed',
    ],
    ['of an exec that policy denies', () => execStart(reader), 403, 'operation-not-allowed'],
    [
      'with an ambiguous body',
      () =>
        `${headOf(`POST /exec/${EXEC}/start`, [...UPGRADE, 'Content-Type: application/json', 'Content-Length: 29'])}{"Detach":false,"detach":true}`,
      400,
      'body-ambiguous',
    ],
    [
      'with a body of two codings',
      () => headOf(`POST /exec/${EXEC}/start`, [...UPGRADE, 'Transfer-Encoding: gzip, chunked']),
      400,
      'request-malformed',
    ],
    [
      'with a body that is too large',
      () => headOf(`POST /exec/${EXEC}/start`, [...UPGRADE, 'Content-Type: application/json', 'Content-Length: 70000']),
      413,
      'body-too-large',
    ],
    [
      'on a path that is not canonical',
      () => headOf(`POST /containers/${ID}/../${ID}/attach`, UPGRADE),
      400,
      'path-not-canonical',
    ],
  ];
  for (const [name, send, status, code] of REFUSED) {
    it(`${name} is refused and recorded, and the engine hears nothing of it`, async () => {
      const before = asked('/attach').length + asked('/start').length;
      const caller = at.connect();
      caller.send(send());
      const answer = await caller.answer();
      assert.equal(answer.status, status, answer.body);
      assert.equal(answer.headers['content-type'], 'application/json');
      assert.deepEqual(Object.keys(JSON.parse(answer.body) as object), ['message']);
      const [row] = await at.completed(answer.auditId);
      assert.ok(row?.code?.startsWith(code), row?.code);
      assert.equal(asked('/attach').length + asked('/start').length, before);
      caller.destroy();
    });
  }

  for (const [name, line] of [
    ['a read', 'GET /containers/json'],
    ['a ping', 'GET /_ping'],
    ['a change', `POST /containers/${ID}/stop`],
    ['health', 'GET /healthz'],
    ['an unknown route', 'GET /nonsense'],
  ] as const) {
    it(`on ${name} (${line}) is ignored: an ordinary answer, and the next bytes are the next request`, async () => {
      engine.script = withObjects((r) => r.answer(200, `"${r.target}"`, ['Content-Type: application/json']));
      const before = engine.requests.length;
      const caller = at.connect();
      caller.send(headOf(line, [...UPGRADE, ...(line.startsWith('POST') ? ['Content-Length: 0'] : [])]));
      const first = await caller.answer();
      assert.notEqual(first.status, 101);
      assert.equal(first.headers.upgrade, undefined);
      for (const seen of engine.requests.slice(before)) assert.equal(seen.header('upgrade'), undefined);
      // Judged on its own: this one has no token.
      caller.send(headOf('GET /containers/json', [], ''));
      const second = await caller.answer();
      assert.equal(second.status, 401);
      caller.send(headOf('GET /containers/json', []));
      assert.equal((await caller.answer()).status, 200);
      caller.destroy();
    });
  }

  for (const [name, first, status] of [
    ['refused by policy', () => headOf(`POST /containers/${ID}/attach`, UPGRADE, reader), 403],
    ['refused by policy, with a body', () => execStart(reader), 403],
    ['refused without a token', () => headOf(`POST /containers/${ID}/attach`, UPGRADE, ''), 401],
    ['answered 409 by the engine', () => headOf(`POST /containers/${ID}/attach`, UPGRADE), 409],
    ['answered 409 by the engine, with a body', () => execStart(), 409],
  ] as const) {
    it(`${name}: bytes sent behind it are a new request, judged as one, never a stream`, async () => {
      engine.script = withObjects((r) =>
        /attach|start/.test(r.target)
          ? r.answer(409, '{"message":"not running"}', ['Content-Type: application/json'])
          : r.answer(200, '[]', ['Content-Type: application/json']),
      );
      const caller = at.connect();
      // In one write: the next request stands directly behind the one that asked to upgrade.
      caller.send(first() + headOf('GET /containers/json', [], '') + headOf('GET /containers/json', []));
      const answer = await caller.answer();
      assert.equal(answer.status, status, answer.body);
      assert.equal((await caller.answer()).status, 401);
      assert.equal((await caller.answer()).status, 200);
      caller.destroy();
    });
  }

  it('an upgrade the caller leaves before the engine answers is ended at the engine', async () => {
    let seen: SeenRequest | undefined;
    engine.script = withObjects((r) => {
      seen = r;
    });
    const caller = at.connect();
    caller.send(headOf(`POST /containers/${ID}/attach`, UPGRADE));
    const request = await until('the engine to be asked', () => seen);
    caller.socket.resetAndDestroy();
    // Deno does not tell of the end of a socket without a reader: there it is noticed when the engine has answered.
    if (IS_DENO) request.socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nx');
    await until('the engine to see the end', () => request.socket.destroyed || request.socket.readableEnded);
    await until('no call under way', () => at.gateway.active === 0);
  });

  it('an upgrade whose engine breaks off is broken off for the caller, and the audit says who ended it', async () => {
    let seen: SeenRequest | undefined;
    engine.script = withObjects((r) => {
      seen = r;
      echo(r);
    });
    const caller = at.connect();
    caller.send(headOf(`POST /containers/${ID}/attach`, UPGRADE));
    const answer = await caller.answer();
    caller.send('x');
    await until('the echo', () => caller.received === 'x');
    seen?.socket.destroy();
    await until('the caller to see the end', () => caller.closed || caller.ended);
    const rows = await at.completed(answer.auditId);
    assert.ok(rows.some((r) => r.stage === 'complete' && r.bytesOut === 1));
    caller.destroy();
  });

  it('an upgrade whose caller breaks off is ended at the engine', async () => {
    let seen: SeenRequest | undefined;
    engine.script = withObjects((r) => {
      seen = r;
      echo(r);
    });
    const caller = at.connect();
    caller.send(headOf(`POST /containers/${ID}/attach`, UPGRADE));
    const answer = await caller.answer();
    caller.socket.resetAndDestroy();
    await until('the engine to see it', () => seen?.socket.destroyed || seen?.socket.readableEnded);
    await at.completed(answer.auditId);
  });

  it('an upgrade that asks for two protocols, or for WebSocket on a POST, hears tcp or nothing of its own choosing', async () => {
    engine.script = withObjects(echo);
    const caller = at.connect();
    caller.send(headOf(`POST /containers/${ID}/attach`, ['Connection: Upgrade', 'Upgrade: h2c, websocket']));
    assert.equal((await caller.answer()).status, 101);
    const [sent] = asked('/attach').slice(-1);
    assert.equal(sent?.header('upgrade'), 'tcp');
    caller.destroy();
  });
});
