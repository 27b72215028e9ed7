// SIGHUP and SIGTERM while callers work: no request is dropped by a reload, the new settings and certificates hold, a faulty
// file changes nothing; a stop lets calls end, then ends streams, then closes the audit. The engine is a scripted STAND-IN.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { parse, stringify } from 'yaml';
import { ensureAuthority, ensureServerCertificate } from '../../src/identity/certificates.ts';
import { openAuditReader } from '../../src/store/audit-reader.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { HttpsCaller } from '../support/https-caller.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

/** A certificate of another private CA. */
async function newCertificate(inside: string): Promise<{ cert: string; key: string }> {
  const folder = mkdtempSync(join(inside, 'cert-'));
  await ensureAuthority(folder);
  await ensureServerCertificate(folder, { names: [] });
  return {
    cert: readFileSync(join(folder, 'server.pem'), 'utf8'),
    key: readFileSync(join(folder, 'server-key.pem'), 'utf8'),
  };
}

const fingerprint = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().fingerprint256));
      socket.destroy();
    });
    socket.on('error', reject);
  });

describe('a running gateway', () => {
  let engine: ScriptedEngine;
  let gateway: TestGateway;
  let token: string;
  before(async () => {
    engine = await startScriptedEngine((r) => {
      if (r.target.includes('/events')) {
        r.socket.write(
          'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n',
        );
      } else if (r.target.includes('/slow') || r.target.includes('/wait')) {
        setTimeout(() => r.answer(200, '{"StatusCode":0}', ['Content-Type: application/json']), 300);
      } else r.answer(200, '[]', ['Content-Type: application/json']);
    });
    gateway = await startGateway({
      engine: engine.address.path as string,
      settings: { limits: { drainTimeoutMs: 1500 } },
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    token = await gateway.must('token', 'create', 'op');
  });
  after(async () => {
    await gateway?.remove();
    await engine?.close();
  });
  const settings = () => parse(readFileSync(gateway.configFile, 'utf8')) as Record<string, unknown>;
  const write = (next: Record<string, unknown>) => writeFileSync(gateway.configFile, stringify(next));
  const reloads = () => gateway.log().split('"msg":"reloaded"').length - 1;
  const hup = async () => {
    const before = reloads();
    process.kill(gateway.process.pid as number, 'SIGHUP');
    await until('the reload', () => reloads() > before);
  };

  it('a running gateway takes over the API versions served', async () => {
    const caller = new HttpsCaller(gateway, token, 1);
    const status = async () => (await caller.call('GET', '/v1.30/containers/json')).status;
    assert.equal(await status(), 200);
    const before = settings();
    write({ ...before, apiVersions: { min: '1.40' } });
    await hup();
    assert.equal(await status(), 400);
    write(before);
    await hup();
    assert.equal(await status(), 200);
    caller.close();
  });

  it('a running gateway takes over settings, plugins, policies and certificates on SIGHUP without a dropped request', async () => {
    const callers = Array.from({ length: 4 }, () => new HttpsCaller(gateway, token, 1));
    const stream = await callers[0]?.open('GET', '/events');
    let events = '';
    stream?.on('data', (data: Buffer) => {
      events += data;
    });
    await until('the stream', () => events !== '');
    const failures: string[] = [];
    let calls = 0;
    let stop = false;
    const work = callers.slice(1).map(async (caller) => {
      while (!stop) {
        try {
          const answer = await caller.call('GET', '/containers/json');
          if (answer.status !== 200) failures.push(answer.body);
        } catch (error) {
          failures.push(String(error));
        }
        calls++;
      }
    });
    await until('calls', () => calls > 10);

    const first = await fingerprint(gateway.port);
    const { cert, key } = await newCertificate(gateway.dir);
    writeFileSync(join(gateway.dir, 'own.pem'), cert);
    writeFileSync(join(gateway.dir, 'own-key.pem'), key);
    write({
      ...settings(),
      tls: { cert: './own.pem', key: './own-key.pem' },
      plugins: [{ use: 'no-privileged' }],
      log: { level: 'info' },
      limits: { bodyBytes: 16384, drainTimeoutMs: 1500 },
    });
    await hup();
    const second = await fingerprint(gateway.port);
    assert.notEqual(second, first, 'new connections get the new certificate');
    const third = await newCertificate(gateway.dir);
    writeFileSync(join(gateway.dir, 'own.pem'), third.cert);
    writeFileSync(join(gateway.dir, 'own-key.pem'), third.key);
    await hup();
    assert.notEqual(await fingerprint(gateway.port), second, 'a file that changed in place is read again');

    const before = calls;
    await until('calls on the old connections', () => calls > before + 10);
    stop = true;
    await Promise.all(work);
    assert.deepEqual(failures, []);
    const [plugin] = JSON.parse(await gateway.must('plugin', 'list', '--json')) as { name: string }[];
    assert.equal(plugin?.name, 'no-privileged');
    const large = await callers[1]?.call('POST', '/containers/create', { Labels: { x: 'y'.repeat(20_000) } });
    assert.equal(large?.status, 413, 'the new limit holds');

    // The stream that was open all the time still flows.
    const seen = events.length;
    engine.requests.find((r) => r.target.includes('/events'))?.socket.write('3\r\n{}\n\r\n');
    await until('one more event', () => events.length > seen);
    stream?.destroy();
    for (const caller of callers) caller.close();
  });

  it('a running gateway keeps the old settings when the new file is faulty, and says why', async () => {
    const good = settings();
    write({ ...good, limts: {} });
    process.kill(gateway.process.pid as number, 'SIGHUP');
    await until('the refusal', () => gateway.log().includes('reload failed, the old settings stay in force'));
    assert.match(gateway.log(), /limts: unknown key/);
    const failed = await gateway.dockgate('reload');
    assert.notEqual(failed.code, 0);
    write(good);
    // A certificate that is none: the one before stays.
    const before = await fingerprint(gateway.port);
    const own = join(gateway.dir, 'own.pem');
    const certificate = readFileSync(own, 'utf8');
    writeFileSync(own, certificate.slice(0, 200));
    const broken = await gateway.dockgate('reload');
    assert.equal(broken.code, 1);
    assert.equal(await fingerprint(gateway.port), before);
    writeFileSync(own, certificate);
    assert.equal((await gateway.dockgate('reload')).code, 0);
    assert.equal(gateway.process.exitCode, null);
  });

  it('a running gateway opens and closes listeners of a new file', async () => {
    const good = settings();
    write({ ...good, listen: [...(good.listen as unknown[]), { unix: './late.sock', mode: '0600', identity: 'op' }] });
    await hup();
    const { request } = await import('node:http');
    const ask = () =>
      new Promise<number>((resolve, reject) => {
        const call = request(
          { socketPath: join(gateway.dir, 'late.sock'), path: '/containers/json', agent: false },
          (answer) => {
            answer.resume();
            resolve(answer.statusCode ?? 0);
          },
        );
        call.on('error', reject);
        call.end();
      });
    assert.equal(await ask(), 200);
    write(good);
    await hup();
    await assert.rejects(ask());
  });

  it('on SIGTERM lets calls end, refuses new ones, ends streams, closes the audit, and exits 0', async () => {
    // The certificate is another CA's by now.
    write({ ...settings(), tls: undefined });
    await hup();
    const caller = new HttpsCaller(gateway, token);
    const kept = new HttpsCaller(gateway, token, 1);
    assert.equal((await kept.call('GET', '/containers/json')).status, 200);
    const stream = await caller.open('GET', '/events');
    const auditId = String(stream.headers['dockgate-audit-id']);
    const streamEnded = new Promise<void>((resolve) => {
      stream.on('end', () => resolve());
      stream.on('error', () => resolve());
      stream.on('aborted', () => resolve());
    });
    stream.resume();
    const underWay = caller.call('POST', `/containers/${'c'.repeat(64)}/wait`);
    await until('it to be under way', () => engine.requests.some((r) => r.target.includes('/wait')));
    const ended = once(gateway.process, 'exit');
    process.kill(gateway.process.pid as number, 'SIGTERM');
    await until('the stop', () => gateway.log().includes('"msg":"stopping"'));
    // A kept connection still gets an answer, a clear one; a new one is not taken.
    const late = await kept.call('GET', '/containers/json').catch((error: unknown) => error);
    if (!(late instanceof Error)) {
      const answer = late as { status: number; message: string };
      assert.deepEqual([answer.status, /stopping/.test(answer.message)], [503, true]);
    }
    const answer = await underWay;
    assert.deepEqual([answer.status, answer.body], [200, '{"StatusCode":0}']);
    await streamEnded;
    const [code] = (await ended) as [number | null];
    assert.equal(code, 0, gateway.log());
    const reader = openAuditReader(join(gateway.dir, 'data', 'audit.db'));
    const rows = reader.list({ limit: 10_000 });
    reader.close();
    assert.ok(
      rows.some((r) => r.auditId === auditId && r.stage === 'complete'),
      'the stream has its outcome',
    );
    assert.ok(rows.some((r) => r.auditId === answer.auditId && r.stage === 'complete' && r.status === 200));
    assert.ok(rows.some((r) => r.action === 'gateway.stop'));
    caller.close();
    kept.close();
  });
});
