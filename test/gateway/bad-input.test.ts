// Bad input on the running program's HTTPS port: each gets a clear error or its own connection closed, none crashes the
// gateway, and another caller who works at the same time notices nothing. The engine is a scripted STAND-IN.
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { RawCaller } from '../support/embedded-gateway.ts';
import { type Ran, run, startGateway, type TestGateway } from '../support/gateway.ts';
import { dockgateCommand } from '../support/runtime.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

describe('bad input', () => {
  let engine: ScriptedEngine;
  let gateway: TestGateway;
  let token: string;
  let ca: string;
  /** Statuses another caller got, one call after the other, all the time. */
  const others: number[] = [];
  let stopOthers = false;
  let otherCaller: Promise<void>;

  before(async () => {
    engine = await startScriptedEngine((r) => r.answer(200, '[]', ['Content-Type: application/json']));
    gateway = await startGateway({
      engine: engine.address.path as string,
      settings: { limits: { headTimeoutMs: 1000, bodyTimeoutMs: 500, headBytes: 131072 }, log: { level: 'debug' } },
    });
    await gateway.must('identity', 'create', 'alice', '--policy', 'operator');
    await gateway.must('identity', 'create', 'bob', '--policy', 'reader');
    token = await gateway.must('token', 'create', 'alice');
    const bob = await gateway.must('token', 'create', 'bob');
    ca = readFileSync(join(gateway.dir, 'data', 'ca.pem'), 'utf8');
    otherCaller = (async () => {
      while (!stopOthers) {
        others.push((await get('/containers/json', [`Bearer ${bob}`])).status);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
  });
  after(async () => {
    stopOthers = true;
    await otherCaller;
    await gateway?.remove();
    await engine?.close();
  });

  /** A call as a client library makes it. */
  function get(path: string, authorization: readonly string[], method = 'GET') {
    return new Promise<{ status: number; message: string; challenge: string; auditId: string }>((resolve, reject) => {
      const call = httpsRequest(
        { host: '127.0.0.1', port: gateway.port, path, method, ca, servername: 'localhost', agent: false },
        (answer) => {
          let text = '';
          answer.on('data', (data: Buffer) => {
            text += data;
          });
          answer.on('end', () => {
            let message = text;
            try {
              message = (JSON.parse(text) as { message?: string }).message ?? text;
            } catch {
              // not JSON: the text is what came
            }
            resolve({
              status: answer.statusCode ?? 0,
              message,
              challenge: answer.headers['www-authenticate'] ?? '',
              auditId: String(answer.headers['dockgate-audit-id'] ?? ''),
            });
          });
        },
      );
      call.on('error', reject);
      if (authorization.length > 0) call.setHeader('authorization', authorization as string[]);
      call.end();
    });
  }
  /** A TLS connection that speaks bytes. */
  const raw = (): RawCaller =>
    new RawCaller(
      tls.connect({
        host: '127.0.0.1',
        port: gateway.port,
        ca,
        servername: 'localhost',
        allowHalfOpen: true,
      } as tls.ConnectionOptions),
    );
  const auth = () => `Authorization: Bearer ${token}\r\n`;
  /** The program lives and the other caller was served all the time. */
  async function unharmed(): Promise<void> {
    const before = others.length;
    await until('two more calls of the other caller', () => others.length >= before + 2);
    assert.ok(
      others.every((status) => status === 200),
      `the other caller got ${others}`,
    );
    assert.equal(gateway.process.exitCode, null);
    assert.equal((await get('/containers/json', [`Bearer ${token}`])).status, 200);
  }

  describe('on the wire', () => {
    it('garbage on the TLS port ends its own connection and nothing else', async () => {
      for (const bytes of [
        Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
        Buffer.from([0x16, 0x03, 0x01, 0xff, 0xff, ...Array(100).fill(0x41)]),
        Buffer.alloc(20_000, 0),
        Buffer.from('SSH-2.0-x\r\n'),
      ]) {
        const caller = new RawCaller(net.connect(gateway.port, '127.0.0.1'));
        caller.send(bytes);
        await until('the connection to be closed', () => caller.closed || caller.ended);
        caller.destroy();
      }
      await unharmed();
    });

    it('a connection that says nothing is closed in time', async () => {
      const silent = new RawCaller(net.connect(gateway.port, '127.0.0.1'));
      const handshaken = raw();
      await until(
        'both to be closed',
        () => (silent.closed || silent.ended) && (handshaken.closed || handshaken.ended),
      );
      silent.destroy();
      handshaken.destroy();
      await unharmed();
    });

    it('half a request gets 408, in Docker’s error JSON', async () => {
      const caller = raw();
      caller.send('GET /containers/json HTTP/1.1\r\nHost: x\r\nAuthor');
      const answer = await caller.answer();
      assert.equal(answer.status, 408);
      assert.match((JSON.parse(answer.body) as { message: string }).message, /did not arrive within 1000 ms \[audit /);
      await until('the connection to be closed', () => caller.closed || caller.ended);
      caller.destroy();
      await unharmed();
    });

    it('half a request whose sender leaves harms no other call', async () => {
      for (let i = 0; i < 20; i++) {
        const caller = raw();
        caller.socket.once('secureConnect', () => {
          caller.send('POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Len');
          setTimeout(() => caller.destroy(), i);
        });
        await until('it to be gone', () => caller.closed);
      }
      await unharmed();
    });

    it('100 MB of headers get 431 after the first of them', async () => {
      const caller = raw();
      const line = Buffer.from(`X-Long: ${'y'.repeat(65_000)}\r\n`);
      caller.send('GET /containers/json HTTP/1.1\r\nHost: x\r\n');
      let sent = 0;
      const pump = (): void => {
        while (sent < 100 * 1024 * 1024 && !caller.socket.destroyed && !caller.received.includes('\r\n\r\n')) {
          sent += line.length;
          if (!caller.socket.write(line)) return void caller.socket.once('drain', pump);
        }
      };
      caller.socket.once('secureConnect', pump);
      const answer = await caller.answer();
      assert.equal(answer.status, 431);
      assert.match(answer.body, /larger than 131072 bytes/);
      await until('the connection to be closed', () => caller.closed || caller.ended);
      caller.destroy();
      await unharmed();
    });

    const MALFORMED: [name: string, text: () => string][] = [
      ['no HTTP', () => 'hello\r\n\r\n'],
      ['HTTP/2 preface', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
      ['a bad header name', () => `GET /containers/json HTTP/1.1\r\n${auth()}Bad Name: x\r\n\r\n`],
      ['a line end without CR', () => `GET /containers/json HTTP/1.1\n${auth()}\n`],
      ['a folded header', () => `GET /containers/json HTTP/1.1\r\n${auth()}X: a\r\n b\r\n\r\n`],
      [
        'two lengths',
        () => `POST /containers/create HTTP/1.1\r\n${auth()}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
      ],
      [
        'length and chunks',
        () =>
          `POST /containers/create HTTP/1.1\r\n${auth()}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      ],
      [
        'an unknown transfer coding',
        () => `POST /containers/create HTTP/1.1\r\n${auth()}Transfer-Encoding: gzip\r\n\r\nxx`,
      ],
      ['a negative length', () => `POST /containers/create HTTP/1.1\r\n${auth()}Content-Length: -1\r\n\r\n`],
      ['an unknown method', () => `BREW /containers/json HTTP/1.1\r\n${auth()}\r\n`],
      ['a NUL in the path', () => `GET /containers/\0json HTTP/1.1\r\n${auth()}\r\n`],
      ['CONNECT', () => `CONNECT docker:2375 HTTP/1.1\r\nHost: docker:2375\r\n${auth()}\r\n`],
    ];
    for (const [name, text] of MALFORMED) {
      it(`${name} is refused, and the engine hears nothing of it`, async () => {
        const before = engine.requests.filter((r) => r.method !== 'GET').length;
        const caller = raw();
        caller.send(text());
        const answer = await caller.answer();
        assert.ok([400, 404, 411, 501].includes(answer.status), `${answer.status} ${answer.body}`);
        assert.equal(answer.headers['content-type'], 'application/json');
        assert.match((JSON.parse(answer.body) as { message: string }).message, /\[audit [0-9a-f-]{36}\]$/);
        await until('the connection to be closed', () => caller.closed || caller.ended);
        caller.destroy();
        assert.equal(engine.requests.filter((r) => r.method !== 'GET').length, before);
      });
    }

    it('a body shorter than announced: 408 when its sender waits, and no call when it leaves', async () => {
      const head = `POST /containers/create HTTP/1.1\r\n${auth()}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n`;
      const before = engine.requests.filter((r) => r.method === 'POST').length;
      const waits = raw();
      waits.send(`${head}{"Image":"busybox"}`);
      const answer = await waits.answer();
      assert.equal(answer.status, 408, answer.body);
      waits.destroy();
      const ends = raw();
      ends.send(`${head}{"Image":"busybox"}`);
      ends.socket.end();
      await until('its connection to end', () => ends.closed || ends.ended);
      ends.destroy();
      await unharmed();
      assert.equal(engine.requests.filter((r) => r.method === 'POST').length, before);
    });

    it('a body longer than announced: what is too much is the next request, and no HTTP', async () => {
      const caller = raw();
      caller.send(
        `POST /volumes/create HTTP/1.1\r\n${auth()}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}{"Name":"smuggled"}`,
      );
      assert.equal((await caller.answer()).status, 200);
      const second = await caller.answer();
      assert.equal(second.status, 400);
      assert.ok(!engine.wire().includes('smuggled'));
      caller.destroy();
      await unharmed();
    });

    it('what stands behind a body is judged as a request of its own', async () => {
      const caller = raw();
      caller.send(
        `POST /volumes/create HTTP/1.1\r\n${auth()}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}` +
          'DELETE /containers/smuggled HTTP/1.1\r\nHost: x\r\n\r\n',
      );
      assert.equal((await caller.answer()).status, 200);
      assert.equal((await caller.answer()).status, 401);
      assert.ok(!engine.wire().includes('smuggled'));
      caller.destroy();
    });

    it('a refused upgrade gives its TLS connection back: the next request is judged', async () => {
      const caller = raw();
      caller.send(
        'POST /containers/x/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n' +
          `GET /containers/json HTTP/1.1\r\nHost: x\r\n${auth()}\r\n`,
      );
      assert.equal((await caller.answer()).status, 401);
      assert.equal((await caller.answer()).status, 200);
      caller.send('GET /containers/json HTTP/1.1\r\nHost: x\r\n\r\n');
      assert.equal((await caller.answer()).status, 401);
      caller.destroy();
    });
  });

  describe('in the request line', () => {
    const CASES: [method: string, path: string, status: number, message: RegExp][] = [
      ['GET', '/nonsense', 404, /./],
      ['GET', '/v1.47/containers/x/nonsense', 404, /./],
      ['DELETE', '/version', 404, /./],
      ['PATCH', '/containers/json', 404, /./],
      ['GET', '/v9.99/containers/json', 400, /1\.99|9\.99|version/],
      ['GET', '/v1.12/containers/json', 400, /1\.12/],
      ['GET', '/containers//json', 400, /./],
      ['GET', '/containers/%2e%2e/json', 400, /./],
      ['GET', '/containers/json?all=1&all=0', 400, /all/],
    ];
    for (const [method, path, status, message] of CASES) {
      it(`${method} ${path} gets ${status} with a sentence and an audit id`, async () => {
        const answer = await get(path, [`Bearer ${token}`], method);
        assert.equal(answer.status, status, answer.message);
        assert.match(answer.message, message);
        assert.match(answer.message, /\[audit [0-9a-f-]{36}\]$/);
      });
    }
  });

  describe('as credentials', () => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = (): Record<string, unknown> =>
      JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as Record<string, unknown>;
    const header = (): Record<string, unknown> =>
      JSON.parse(Buffer.from(token.split('.')[0] as string, 'base64url').toString()) as Record<string, unknown>;
    const now = () => Math.floor(Date.now() / 1000);
    const strange = generateKeyPairSync('ed25519');
    /** Signed by a key of the attacker's own. */
    const forged = (head: object, body: object): string => {
      const text = `${part(head)}.${part(body)}`;
      return `${text}.${sign(null, Buffer.from(text), strange.privateKey).toString('base64url')}`;
    };
    let publicKey: { x: string; kid: string };
    before(async () => {
      const answer = await get('/.well-known/jwks.json', []);
      publicKey = (JSON.parse(answer.message) as { keys: (typeof publicKey)[] }).keys[0] as typeof publicKey;
    });
    const hmac = (secret: string | Buffer): string => {
      const text = `${part({ ...header(), alg: 'HS256' })}.${part(claims())}`;
      return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
    };

    const CASES: [name: string, authorization: () => readonly string[], message: RegExp][] = [
      ['none', () => [], /token|credentials/i],
      ['an empty one', () => ['Bearer '], /./],
      ['no scheme', () => [token], /./],
      ['another scheme', () => [`Digest ${token}`], /./],
      ['two Authorization headers', () => [`Bearer ${token}`, `Bearer ${token}`], /more than one|two|once|2/i],
      ['64 KiB', () => [`Bearer ${'a'.repeat(65_536)}`], /./],
      ['a token cut short', () => [`Bearer ${token.slice(0, -10)}`], /./],
      [
        'a token with a changed claim',
        () => {
          const [h, , s] = token.split('.');
          return [`Bearer ${h}.${part({ ...claims(), sub: 'bob' })}.${s}`];
        },
        /./,
      ],
      ['alg none', () => [`Bearer ${part({ ...header(), alg: 'none' })}.${part(claims())}.`], /./],
      [
        'alg none with the old signature',
        () => [`Bearer ${part({ ...header(), alg: 'none' })}.${token.split('.')[1]}.${token.split('.')[2]}`],
        /./,
      ],
      ['HMAC with the public key, raw', () => [`Bearer ${hmac(Buffer.from(publicKey.x, 'base64url'))}`], /./],
      ['HMAC with the public key, as text', () => [`Bearer ${hmac(publicKey.x)}`], /./],
      [
        'HMAC with the public key, as PEM',
        () => {
          const pem = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey.x }, format: 'jwk' });
          return [`Bearer ${hmac(pem.export({ type: 'spki', format: 'pem' }))}`];
        },
        /./,
      ],
      [
        'a key of the attacker’s own in the header',
        () => [`Bearer ${forged({ ...header(), jwk: strange.publicKey.export({ format: 'jwk' }) }, claims())}`],
        /./,
      ],
      ['a forged one that is expired', () => [`Bearer ${forged(header(), { ...claims(), exp: now() - 10 })}`], /./],
      ['Basic with a password that is no token', () => [`Basic ${Buffer.from('u:p').toString('base64')}`], /./],
      ['Basic that is no base64', () => ['Basic ***'], /./],
    ];
    for (const [name, authorization, message] of CASES) {
      it(`${name}: 401 with a challenge, a sentence and an audit id, without the token in it`, async () => {
        const before = engine.requests.length;
        const sent = authorization();
        const answer = await get('/containers/json?all=1', sent);
        assert.equal(answer.status, 401, answer.message);
        assert.match(answer.challenge, /^Bearer/);
        assert.match(answer.message, message);
        assert.match(answer.message, /\[audit [0-9a-f-]{36}\]$/);
        for (const secret of sent) if (secret.length > 30) assert.ok(!answer.message.includes(secret.slice(-30)));
        assert.ok(!engine.requests.slice(before).some((r) => r.target.includes('all=1')));
      });
    }

    // These need the issuer's own key: a clock that is not ours to move signs them in this process.
    it('an own token that is expired, not yet valid, or for another audience: 401 and which of it', async () => {
      const { createIssuer } = await import('../../src/identity/issue-token.ts');
      const { loadSeal } = await import('../../src/identity/seal.ts');
      const { openStore } = await import('../../src/store/open.ts');
      const store = openStore(join(gateway.dir, 'data'));
      try {
        const issue = async (atMs: number, audience = 'dockgate') => {
          const issuer = createIssuer({
            issuer: 'dockgate',
            audience,
            keys: store.keys,
            tokens: store.tokens,
            identities: store.identities,
            seal: loadSeal({ defaultFile: join(gateway.dir, 'data', 'seal.key'), inUse: true }),
            now: () => atMs,
          } as Parameters<typeof createIssuer>[0]);
          await issuer.ensureKey();
          return (await issuer.issue({ identity: 'alice', ttlMs: 600_000, by: 'test' })).token;
        };
        const cases: [string, number, string | undefined, RegExp][] = [
          ['expired', Date.now() - 3_600_000, undefined, /expired/],
          ['not yet valid', Date.now() + 3_600_000, undefined, /not yet valid|future/],
          ['another audience', Date.now(), 'elsewhere', /audience|not valid here|another/],
        ];
        for (const [name, at, audience, message] of cases) {
          const answer = await get('/containers/json', [`Bearer ${await issue(at, audience)}`]);
          assert.equal(answer.status, 401, name);
          assert.match(answer.message, message);
          assert.match(answer.challenge, /error="invalid_token"/);
        }
        assert.equal((await get('/containers/json', [`Bearer ${await issue(Date.now())}`])).status, 200);
      } finally {
        store.close();
      }
    });

    it('the gateway stood it all, and the other caller noticed nothing', unharmed);
  });

  it('every refusal above is in the audit, and no token is in the log', async () => {
    const listed = JSON.parse(
      await gateway.must('audit', 'ls', '--decision', 'unauthenticated', '--limit', '500', '--json'),
    ) as unknown[];
    assert.ok(listed.length > 15);
    assert.ok(!gateway.log().includes(token.split('.')[2] as string));
  });
});

describe('a start with bad input', () => {
  const serve = (config: string): Promise<Ran> => {
    const [command, args] = dockgateCommand();
    return run(command, [...args, 'serve', '--config', config], { timeoutMs: 30_000 });
  };

  it('settings with unknown keys: every fault at once with its line, exit code 2, nothing made', async () => {
    const dir = process.env.TMPDIR ?? '/tmp';
    const file = join(dir, `dg-bad-${process.pid}-${'Deno' in globalThis}.yaml`);
    writeFileSync(
      file,
      'engine: unix:///e.sock\nlimts: {}\nlisten: [https://127.0.0.1]\nlog: { level: loud, colour: red }\n',
    );
    const ran = await serve(file);
    assert.equal(ran.code, 2, ran.stderr);
    const lines = ran.stderr.trim().split('\n');
    assert.equal(lines.length, 4, ran.stderr);
    for (const [i, expected] of [/:2:.*limts.*limits/, /:3:.*port/, /:4:.*loud/, /:4:.*colour/].entries())
      assert.match(lines[i] as string, expected);
  });

  for (const which of ['state.db', 'audit.db']) {
    it(`a corrupt ${which}: told which file and what to do, exit code 1, and the file is left as it is`, async () => {
      const engine = await startScriptedEngine((r) => r.answer(200, 'OK'));
      const gateway = await startGateway({ engine: engine.address.path as string });
      try {
        await gateway.stop();
        const file = join(gateway.dir, 'data', which);
        const bytes = readFileSync(file);
        bytes.fill(0x5a, 0, Math.min(bytes.length, 8192));
        writeFileSync(file, bytes);
        const ran = await serve(gateway.configFile);
        assert.equal(ran.code, 1, ran.stdout + ran.stderr);
        assert.match(ran.stderr, new RegExp(`^dockgate: .*${which.replace('.', '\\.')} is damaged .*\n$`));
        assert.deepEqual(readFileSync(file), bytes);
      } finally {
        await gateway.remove();
        await engine.close();
      }
    });
  }
});
