// Ordinary calls through the whole gateway over HTTP, against a scripted STAND-IN: judged equals sent, secrets stay out of
// engine, log and audit, uploads are decided before they are taken, and a caller that leaves is noticed.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { type ScriptedEngine, type SeenRequest, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const ID = 'c'.repeat(64);
const JSON_TYPE = 'Content-Type: application/json';

describe('a call through the gateway', () => {
  let engine: ScriptedEngine;
  let at: EmbeddedTestGateway;
  let token: string;
  let reader: string;
  before(async () => {
    engine = await startScriptedEngine(() => {});
    at = await openEmbedded(engine.url, { limits: { bodyBytes: 16384, bodyTimeoutMs: 300, headTimeoutMs: 1000 } });
    token = await at.token('alice');
    reader = await at.token('rita', 'reader');
  });
  after(async () => {
    await at?.close();
    await engine?.close();
  });
  beforeEach(() => {
    engine.script = (r) => r.answer(200, '[]', [JSON_TYPE]);
  });
  const head = (line: string, headers: readonly string[] = [], who = token) =>
    `${[`${line} HTTP/1.1`, 'Host: docker', ...(who === '' ? [] : [`Authorization: Bearer ${who}`]), ...headers].join('\r\n')}\r\n\r\n`;

  it('credentials never reach the engine, the log, the audit or any file of the data folder', async () => {
    engine.script = (r) => r.answer(/create/.test(r.target) ? 201 : 200, '{"Id":"x","Warnings":[]}', [JSON_TYPE]);
    const body = JSON.stringify({ Image: 'busybox', Env: ['PASSWORD=hunter2-in-the-environment'] });
    const basic = Buffer.from(`user:${token}`).toString('base64');
    const caller = at.connect();
    const ids: string[] = [];
    for (const text of [
      head('GET /containers/json'),
      head('GET /containers/json', [`Authorization: Basic ${basic}`], ''),
      head('GET /containers/json', [
        `Proxy-Authorization: Bearer ${token}`,
        `Cookie: t=${token}`,
        `X-Api-Key: ${token}`,
      ]),
      head('POST /containers/create', [JSON_TYPE, `Content-Length: ${body.length}`]) + body,
      head('GET /containers/json', [], `${token.slice(0, -4)}AAAA`),
      head('GET /nonsense'),
    ]) {
      caller.send(text);
      const answer = await caller.answer();
      assert.ok(!JSON.stringify(answer).includes(token.slice(0, 40)), 'nor does it come back');
      ids.push(answer.auditId);
    }
    for (const id of ids) await at.completed(id);
    caller.destroy();
    const secrets = [token.split('.')[2] as string, basic.slice(-40), token.slice(0, -4)];
    const places: [string, string][] = [
      ['the engine', engine.wire()],
      ['the log', at.log()],
      ['the audit', JSON.stringify(await at.rows())],
      ...readdirSync(at.data)
        .filter((file) => /\.(db|db-wal|log)$/.test(file))
        .map((file): [string, string] => [file, readFileSync(join(at.data, file), 'latin1')]),
    ];
    for (const [place, text] of places) {
      for (const secret of secrets) assert.ok(!text.includes(secret), `a token in ${place}`);
      if (place !== 'the engine') assert.ok(!text.includes('hunter2'), `a password in ${place}`);
      assert.ok(!/authorization/i.test(place === 'the engine' ? text : ''), 'an Authorization header at the engine');
    }
  });

  it('a password in the address of a registry is in no row, and a digest is no password', async () => {
    const auth = JSON.stringify({
      serveraddress: 'https://usr:hunter2@pw@registry.test',
      username: 'u',
      password: 'p',
    });
    const digest = `sha256:${'a'.repeat(64)}`;
    const caller = at.connect();
    const ids: string[] = [];
    for (const text of [
      head('POST /auth', [JSON_TYPE, `Content-Length: ${auth.length}`]) + auth,
      head('GET /images/search?term=usr:hunter2@registry.test/app'),
      head(`GET /images/registry.test/app@${digest}/json`),
    ]) {
      caller.send(text);
      ids.push((await caller.answer()).auditId);
    }
    for (const id of ids) await at.completed(id);
    caller.destroy();
    const rows = (await at.rows()).filter((row) => ids.includes(row.auditId));
    assert.doesNotMatch(JSON.stringify(rows), /hunter2/);
    const resources = ids.map((id) => rows.find((row) => row.auditId === id)?.resource);
    assert.deepEqual(resources, [
      'system/https://***@registry.test',
      'image/***@registry.test/app',
      `image/registry.test/app@${digest}`,
    ]);
  });

  it('the engine receives what was judged, not what was sent: spelling, order and extra headers are gone', async () => {
    engine.script = (r) => r.answer(201, '{"Id":"x"}', [JSON_TYPE]);
    const body = '{ "image" : "busybox",\n "hostconfig": {"privileged":false} }';
    const caller = at.connect();
    caller.send(
      `${head('POST /v1.47/containers/create?name=%62ox', [
        'Content-Type: application/json; charset=utf-8',
        `Content-Length: ${body.length}`,
        'X-Forwarded-For: 1.2.3.4',
        'X-Registry-Config: secret',
        'User-Agent: odd/1',
        'Accept-Encoding: gzip',
      ])}${body}`,
    );
    const answer = await caller.answer();
    assert.equal(answer.status, 201, answer.body);
    const sent = engine.requests.at(-1) as SeenRequest;
    assert.equal(sent.target, '/v1.47/containers/create?name=box');
    // An engine that does not say what it is gets the names of images in full.
    const Image = 'docker.io/library/busybox:latest';
    assert.deepEqual(JSON.parse(sent.received().toString()), { Image, HostConfig: { Privileged: false } });
    assert.equal(sent.header('user-agent'), 'odd/1');
    for (const name of ['x-forwarded-for', 'x-registry-config', 'accept-encoding', 'authorization']) {
      assert.equal(sent.header(name), undefined, name);
    }
    caller.destroy();
  });

  it('one judged connection carries many calls, each judged on its own', async () => {
    const caller = at.connect();
    // Pipelined: all of them stand in one write.
    caller.send(
      head('GET /containers/json') +
        head('GET /containers/json', [], '') +
        head('POST /containers/x/kill', ['Content-Length: 0'], reader) +
        head('GET /version', [], 'nonsense') +
        head('GET /containers/json'),
    );
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await caller.answer()).status);
    assert.deepEqual(statuses, [200, 401, 403, 401, 200]);
    caller.destroy();
  });

  describe('Expect: 100-continue', () => {
    const upload = (line: string, who: string, length: number, type = 'application/x-tar') =>
      head(line, ['Expect: 100-continue', `Content-Type: ${type}`, `Content-Length: ${length}`], who);

    it('Expect: 100-continue is answered with the refusal before a byte of the upload is sent', async () => {
      const before = engine.requests.length;
      for (const [who, status] of [
        [reader, 403],
        ['', 401],
        ['nonsense', 401],
      ] as const) {
        const caller = at.connect();
        caller.send(upload('POST /images/load', who, 1_000_000));
        const answer = await caller.answer();
        assert.equal(answer.status, status, answer.body);
        caller.destroy();
      }
      assert.equal(engine.requests.length, before);
    });

    it('Expect: 100-continue is answered with 100 when the call may go on, and the upload arrives', async () => {
      engine.script = async (r) => r.answer(200, String((await r.body).length), [JSON_TYPE]);
      const caller = at.connect();
      caller.send(upload('POST /images/load', token, 10));
      assert.equal((await caller.answer()).status, 100);
      caller.send('0123456789');
      const answer = await caller.answer();
      assert.deepEqual([answer.status, answer.body], [200, '10']);
      caller.destroy();
    });

    it('Expect: 100-continue is answered 413 for a body that announces too much, before it is sent', async () => {
      const caller = at.connect();
      caller.send(upload('POST /containers/create', token, 1_000_000, 'application/json'));
      assert.equal((await caller.answer()).status, 413);
      caller.destroy();
    });

    it('Expect: 100-continue with another expectation is refused', async () => {
      const caller = at.connect();
      caller.send(head('POST /images/load', ['Expect: the-unexpected', 'Content-Length: 3']));
      assert.equal((await caller.answer()).status, 417);
      caller.destroy();
    });
  });

  it('an early answer of the engine arrives while the upload is still on its way; the next request is read', async () => {
    engine.script = (r) =>
      /load/.test(r.target) ? r.answer(400, '{"message":"no"}', [JSON_TYPE]) : r.answer(200, '[]', [JSON_TYPE]);
    const caller = at.connect();
    caller.send(head('POST /images/load', ['Content-Type: application/x-tar', 'Content-Length: 300000']));
    caller.send(Buffer.alloc(100_000));
    const answer = await caller.answer();
    assert.deepEqual([answer.status, answer.body], [400, '{"message":"no"}']);
    // The rest of the upload is read past, not taken for a request.
    caller.send(Buffer.alloc(200_000));
    caller.send(head('GET /containers/json'));
    assert.equal((await caller.answer()).status, 200);
    caller.destroy();
  });

  it('an upload that breaks off is broken for the engine, and recorded', async () => {
    engine.script = () => {};
    const caller = at.connect();
    caller.send(head('POST /images/load', ['Content-Type: application/x-tar', 'Content-Length: 300000']));
    caller.send(Buffer.alloc(50_000));
    const seen = await until('the engine to have some', () => {
      const last = engine.requests.at(-1);
      return last?.target.includes('load') && last.received().length >= 50_000 ? last : undefined;
    });
    caller.socket.resetAndDestroy();
    await assert.rejects(seen.body, /middle of the body/);
    await until('the outcome', async () =>
      (await at.rows()).some((r) => r.action === 'image.load' && r.stage === 'complete' && r.durationUs !== undefined),
    );
    await until('no call under way', () => at.gateway.active === 0);
  });

  it('a caller who leaves in the middle of an answer ends it at the engine', async () => {
    engine.script = (r) => r.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
    const caller = at.connect();
    caller.send(head('GET /events'));
    await until('the first byte', () => caller.received.includes('1\r\nx'));
    const seen = engine.requests.at(-1);
    caller.socket.resetAndDestroy();
    await until('the engine to see the end', () => seen?.socket.destroyed || seen?.socket.readableEnded);
    await until('no call under way', () => at.gateway.active === 0);
  });

  it('a caller who leaves while the call is judged leaves no call at the engine', async () => {
    let lookup: SeenRequest | undefined;
    let wait: SeenRequest | undefined;
    engine.script = (r) => {
      if (r.target.endsWith('/json')) lookup = r;
      else wait = r;
    };
    // Judging it needs the container's name, and the engine takes its time to tell.
    await at.policy(
      'boxes',
      'apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: boxes }\nrules:\n' +
        '  - { name: own, effect: allow, actions: ["container.*"], resources: ["container/box-*"], host: { preset: baseline } }\n',
    );
    const boxes = await at.token('bob', 'boxes');
    const caller = at.connect();
    caller.send(head(`POST /containers/${ID}/wait`, ['Content-Length: 0'], boxes));
    const asked = await until('the lookup', () => lookup);
    caller.socket.resetAndDestroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    asked.answer(200, JSON.stringify({ Id: ID, Name: '/box-1', Config: { Labels: {} } }), [JSON_TYPE]);
    await until('no call under way', () => at.gateway.active === 0);
    const left = wait as SeenRequest | undefined;
    if (left !== undefined) await until('its end', () => left.socket.destroyed || left.socket.readableEnded);
  });

  it('an answer that breaks off is broken off for the caller, by length and by chunks', async () => {
    for (const wire of [
      'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    ]) {
      engine.script = (r) => {
        r.socket.write(wire);
        setTimeout(() => r.socket.destroy(), 20);
      };
      const caller = at.connect();
      caller.send(head('GET /containers/json'));
      await until('the end', () => caller.ended || caller.closed);
      assert.match(caller.received, /half/);
      assert.ok(!caller.received.endsWith('0\r\n\r\n'), 'the last chunk is missing');
      caller.destroy();
    }
  });

  it('the head of an answer arrives before there is a body', async () => {
    let release = () => {};
    engine.script = (r) => {
      r.socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n');
      release = () => r.socket.write('2\r\n{}\r\n0\r\n\r\n');
    };
    const caller = at.connect();
    caller.send(head(`POST /containers/${ID}/wait`, ['Content-Length: 0']));
    // `docker run` sends start only after this head has come.
    await until('the head', () => caller.received.includes('\r\n\r\n'));
    release();
    assert.equal((await caller.answer()).body, '{}');
    caller.destroy();
  });

  it('HEAD, 204 and 304 carry no body, and their connection goes on', async () => {
    engine.script = (r) => {
      if (r.method === 'HEAD') r.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nApi-Version: 1.51\r\n\r\n');
      else if (r.target.endsWith('/start')) r.answer(304);
      else if (r.target.endsWith('/stop')) r.answer(204);
      else r.answer(200, '[]', [JSON_TYPE]);
    };
    const caller = at.connect();
    for (const [line, status] of [
      ['HEAD /_ping', 200],
      [`POST /containers/${ID}/start`, 304],
      [`POST /containers/${ID}/stop`, 204],
      ['HEAD /nonsense', 404],
    ] as const) {
      caller.send(head(line, line.startsWith('POST') ? ['Content-Length: 0'] : []));
      const answer = await caller.answer(line.split(' ')[0]);
      assert.equal(answer.status, status);
    }
    caller.send(head('GET /containers/json'));
    assert.equal((await caller.answer()).body, '[]');
    assert.equal(caller.received, '');
    caller.destroy();
  });

  it('on the socket bound to an identity no token is needed, and what is no token of ours is not read', async () => {
    const { RawCaller } = await import('../support/embedded-gateway.ts');
    const net = await import('node:net');
    const caller = new RawCaller(net.connect(at.socketPath));
    caller.send(head('GET /containers/json', [], '') + head('GET /containers/json', [], 'nonsense'));
    for (let i = 0; i < 2; i++) {
      const answer = await caller.answer();
      assert.equal(answer.status, 200);
      const [row] = await at.completed(answer.auditId);
      assert.deepEqual([row?.subject, row?.source], ['op', 'unix']);
    }
    caller.destroy();
  });
});
