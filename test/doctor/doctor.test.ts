// dockgate doctor on real set-ups: sockets, certificates, tokens, clocks, a gateway and an engine.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { makeCertificate } from '../../src/identity/make-certificate.ts';
import { type Standin, startStandin } from '../../src/standin/standin.ts';
import { runCli } from '../cli/gateway.ts';
import { ENGINE, skipWithoutEngine } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';

const dir = mkdtempSync(join(tmpdir(), 'dg-do-'));
const path = (name: string) => join(dir, name);
const HOUR = 3_600_000;
/** Nothing of the machine's own settings may be looked at. */
const QUIET = {
  HOME: dir,
  DOCKER_CONFIG: dir,
  DOCKER_HOST: '',
  DOCKER_TLS_VERIFY: '',
  DOCKER_CERT_PATH: '',
  DOCKGATE_CA: '',
};

interface Finding {
  readonly level: string;
  readonly code: string;
  readonly message: string;
  readonly remedy?: string;
}
const doctor = async (args: readonly string[], env: Record<string, string> = {}) => {
  const ran = await runCli(['doctor', '--json', ...args], { env: { ...QUIET, ...env } });
  assert.ok(ran.stdout.startsWith('{'), ran.stderr);
  const { findings } = JSON.parse(ran.stdout) as { findings: Finding[] };
  const codes = findings.filter(({ level }) => level !== 'advice').map(({ code }) => code);
  return { code: ran.code, findings, codes, text: findings.map((f) => `${f.message}; ${f.remedy}`).join('\n') };
};

let standin: Standin;
before(async () => {
  standin = await startStandin(path('engine.sock'));
  chmodSync(path('engine.sock'), 0o600);
});
after(async () => {
  await standin.close();
  rmSync(dir, { recursive: true });
});

describe('sockets', () => {
  it('an engine that answers is well, in words and as the exit code', async () => {
    const { code, stdout } = await runCli(['doctor', `unix://${path('engine.sock')}`], { env: QUIET });
    assert.match(stdout, /^ok {6}unix:.*engine\.sock: the engine answers: Docker /m);
    assert.equal(code, 0);
  });

  it('DOCKER_HOST is looked at when nothing is named', async () => {
    const { code, codes } = await doctor([], { DOCKER_HOST: `unix://${path('engine.sock')}` });
    assert.deepEqual([code, codes], [0, ['well']]);
  });

  const PLACES: readonly [name: string, make: () => void | Promise<void>, code: string][] = [
    ['none', () => {}, 'socket-missing'],
    ['folder', () => mkdirSync(path('folder')), 'socket-is-folder'],
    ['file', () => writeFileSync(path('file'), ''), 'socket-is-file'],
    [
      'stale',
      async () => {
        // A process that was killed leaves its socket behind.
        const [command, ...args] = [
          'node',
          '-e',
          `require('net').createServer().listen('${path('stale')}',()=>process.kill(process.pid,'SIGKILL'))`,
        ];
        const { spawnSync } = await import('node:child_process');
        spawnSync(command as string, args);
      },
      'nobody-listens',
    ],
  ];
  for (const [name, make, expected] of PLACES) {
    it(`a path with ${name}: ${expected}`, async () => {
      await make();
      const { code, codes } = await doctor([`unix://${path(name)}`]);
      assert.deepEqual([code, codes], [1, [expected]]);
    });
  }

  it('a socket open to every user is told', async () => {
    chmodSync(path('engine.sock'), 0o666);
    const { codes } = await doctor([`unix://${path('engine.sock')}`]);
    chmodSync(path('engine.sock'), 0o600);
    if (codes[0] !== 'well') assert.deepEqual(codes, ['socket-open-to-all']);
  });

  const canBecomeOther = process.getuid?.() === 0 && process.seteuid !== undefined;
  const asOther = { skip: canBecomeOther ? false : 'needs root, to become another user' };

  it('a socket another user may not open is told with its mode and group', asOther, async () => {
    const { lookAt, lookHere } = await import('../../src/doctor/probe.ts');
    const { judge } = await import('../../src/doctor/findings.ts');
    // The folder of the tests is closed to others; this one is not.
    const open = mkdtempSync('/tmp/dg-do-');
    chmodSync(open, 0o755);
    const socket = join(open, 's');
    const server = net.createServer().listen(socket).unref();
    await once(server, 'listening');
    const findings = async (mode: number) => {
      chmodSync(socket, mode);
      process.seteuid?.(65534);
      try {
        const target = { text: 'unix://x', address: { kind: 'unix', path: socket } } as const;
        const facts = await lookAt({ role: 'endpoint', target });
        return judge({ here: { ...lookHere({}, Date.now()), inContainer: false, selinux: false }, targets: [facts] });
      } finally {
        process.seteuid?.(0);
      }
    };
    const [denied] = await findings(0o600);
    assert.equal(denied?.code, 'socket-denied');
    assert.match(denied?.message ?? '', /may not be opened by this user \(mode 0600, group /);
    chmodSync(open, 0o700);
    assert.equal((await findings(0o666))[0]?.code, 'folder-denied');
    server.close();
    rmSync(open, { recursive: true });
  });
});

describe('TLS, credentials and clocks', () => {
  let ca: { cert: string; key: string };
  const servers: (http.Server | https.Server)[] = [];
  const now = Date.now();
  const make = (kind: 'server' | 'client', names: readonly string[], from = now - HOUR, to = now + 30 * 24 * HOUR) =>
    makeCertificate({ kind, commonName: 'x', names, notBefore: new Date(from), notAfter: new Date(to), signer: ca });
  const ANSWERS: Record<string, string> = {
    '/version': '{"Version":"28.0.0","ApiVersion":"1.48","MinAPIVersion":"1.40"}',
    '/_ping': 'OK',
  };
  /** Stands for an endpoint with the certificate or clock a real one would need days for. */
  const serve = async (server: http.Server | https.Server, skewMs = 0): Promise<string> => {
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      response.setHeader('Date', new Date(Date.now() + skewMs).toUTCString());
      response.setHeader('Api-Version', '1.48');
      response.statusCode = request.url !== undefined && request.url in ANSWERS ? 200 : 403;
      response.end(ANSWERS[request.url ?? ''] ?? '{"message":"no"}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    const scheme = server instanceof https.Server ? 'https' : 'http';
    return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  before(async () => {
    ca = await makeCertificate({
      kind: 'authority',
      commonName: 'doctor test',
      names: [],
      notBefore: new Date(now - 100 * HOUR),
      notAfter: new Date(now + 1000 * HOUR),
    });
    writeFileSync(path('ca.pem'), ca.cert);
  });
  after(() => {
    for (const server of servers) server.close();
    for (const server of servers) server.closeAllConnections();
  });

  it('a good certificate is well; without its CA it is not trusted', async () => {
    const url = await serve(https.createServer(await make('server', ['127.0.0.1'])));
    const good = await doctor([url, '--ca', path('ca.pem')]);
    assert.deepEqual([good.code, good.codes], [0, ['well']], good.text);
    const bad = await doctor([url]);
    assert.deepEqual([bad.code, bad.codes], [1, ['tls-ca-unknown']], bad.text);
  });

  it('another name is told with the names there are', async () => {
    const url = await serve(https.createServer(await make('server', ['gw.example'])));
    const { codes, text } = await doctor([url, '--ca', path('ca.pem')]);
    assert.deepEqual(codes, ['tls-name-mismatch'], text);
    assert.match(text, /it is for gw\.example;/);
  });

  it('an expired certificate, and one about to expire', async () => {
    const late = await serve(https.createServer(await make('server', ['127.0.0.1'], now - 3 * HOUR, now - HOUR)));
    const expired = await doctor([late, '--ca', path('ca.pem')]);
    assert.deepEqual(expired.codes, ['tls-expired'], expired.text);
    const soon = await serve(https.createServer(await make('server', ['127.0.0.1'], now - 90 * 24 * HOUR, now + HOUR)));
    const { code, text } = await doctor([soon, '--ca', path('ca.pem')]);
    assert.equal(code, 0, text);
    assert.match(text, /the server certificate expires on /);
    assert.equal((await doctor([soon, '--ca', path('ca.pem'), '--strict'])).code, 1);
  });

  it('an expired client certificate, and a key that is not its own', async () => {
    const url = await serve(
      https.createServer({ ...(await make('server', ['127.0.0.1'])), requestCert: true, rejectUnauthorized: false }),
    );
    const old = await make('client', [], now - 3 * HOUR, now - HOUR);
    writeFileSync(path('cert.pem'), old.cert);
    writeFileSync(path('key.pem'), old.key);
    const files = ['--ca', path('ca.pem'), '--cert', path('cert.pem'), '--key', path('key.pem')];
    assert.deepEqual((await doctor([url, ...files])).codes, ['client-certificate-expired']);
    writeFileSync(path('key.pem'), (await make('client', [])).key);
    assert.ok((await doctor([url, ...files])).codes.includes('client-key-mismatch'));
  });

  it('an endpoint without TLS, and TLS spoken to one', async () => {
    const url = await serve(http.createServer());
    assert.deepEqual((await doctor([url])).codes, ['well']);
    const { codes, text } = await doctor([url.replace('http:', 'https:')]);
    assert.equal(codes.length, 1, text);
    assert.match(codes[0] as string, /^(not-tls|closed)$/);
  });

  it('a clock that is wrong is told by how much', async () => {
    const { code, codes, text } = await doctor([await serve(http.createServer(), -10 * 60_000)]);
    assert.deepEqual([code, codes], [1, ['clock-skew']]);
    assert.match(text, /its clock is (599|600|601) s behind this one/);
  });

  it('DOCKER_API_VERSION out of range', async () => {
    const url = await serve(http.createServer());
    const ask = async (version: string) => (await doctor([url], { DOCKER_API_VERSION: version })).codes;
    assert.deepEqual(await ask('1.44'), ['well']);
    assert.deepEqual(await ask('1.49'), ['client-version-too-new']);
    assert.deepEqual(await ask('1.39'), ['client-version-too-old']);
  });

  it('an unknown host name, and a port without a listener', async () => {
    assert.deepEqual((await doctor(['https://no-such-host.invalid:2376'])).codes, ['name-unknown']);
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    assert.deepEqual((await doctor([`https://127.0.0.1:${port}`])).codes, ['nobody-listens']);
  });
});

describe('a gateway and an engine', { skip: skipWithoutEngine }, () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'ci', identity: 'ci' }] });
    await gateway.must('identity', 'create', 'ci', '--policy', 'reader');
  });
  after(() => gateway?.remove());

  it('as a caller: a good token, none, one that has expired, and a socket that is an identity', async () => {
    const url = `https://127.0.0.1:${gateway.port}`;
    const ca = ['--ca', join(gateway.dir, 'data', 'ca.pem')];
    const token = await gateway.must('token', 'create', 'ci');
    const good = await doctor([url, ...ca], { DOCKGATE_TOKEN: token });
    assert.deepEqual([good.code, good.codes], [0, ['well']], good.text);
    assert.match(good.text, /dockgate answers: Docker \S+, API 1\.24 to 1\.\d+/);
    const none = await doctor([url, ...ca]);
    assert.deepEqual([none.code, none.codes], [1, ['not-authenticated']]);
    const [head, payload, signature] = token.split('.') as [string, string, string];
    const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), exp: 1_700_000_000 };
    writeFileSync(
      path('token'),
      [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.'),
    );
    const late = await doctor([url, ...ca, '--token-file', path('token')]);
    assert.deepEqual(late.codes, ['token-expired', 'not-authenticated']);
    assert.match(late.text, /has expired on 2023-11-14T22:13Z; /);
    assert.deepEqual((await doctor([`unix://${gateway.dir}/ci.sock`])).codes, ['well']);
  });

  it('as its operator: the engine and every listener of the settings', async () => {
    // Port 0 is another one each time: the settings must name the one that was given.
    const settings = readFileSync(gateway.configFile, 'utf8').replace(
      /https:\/\/127\.0\.0\.1:0/,
      `https://127.0.0.1:${gateway.port}`,
    );
    const file = join(gateway.dir, 'named.yaml');
    writeFileSync(file, settings);
    const well = await doctor(['--config', file]);
    assert.deepEqual(well.codes, ['well', 'well', 'well'], well.text);
    await gateway.stop();
    const { code, codes } = await doctor(['--config', file]);
    assert.deepEqual([code, codes], [1, ['well', 'nobody-listens', 'socket-missing']]);
  });
});

it('what cannot be looked at is a usage error', async () => {
  for (const args of [['ftp://x'], ['--config', path('none.yaml')], ['--config', 'a', 'unix:///b'], ['ssh://host']]) {
    assert.equal((await runCli(['doctor', ...args], { env: QUIET })).code, 2, args.join(' '));
  }
});
