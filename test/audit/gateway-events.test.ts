// Rows beside those of calls: a start and a stop with what ran, a reload by signal, a change of policies with its digests, and TLS
// handshakes that were refused. The engine is a scripted STAND-IN.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type AuditView, admin } from '../support/admin.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const POLICY = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: look }
rules: [{ name: list, effect: allow, actions: [container.list] }]
`;

describe('rows of the gateway’s own', () => {
  let gateway: TestGateway;
  let engine: ScriptedEngine;
  const rowsOf = async (action: string): Promise<readonly AuditView[]> =>
    (await admin<{ events: AuditView[] }>(gateway, 'GET', `/audit?action=${action}&limit=100`)).events;

  // Deno sends a child one signal at most by way of its handle.
  const hangUp = () => process.kill(gateway.process.pid as number, 'SIGHUP');

  before(async () => {
    engine = await startScriptedEngine((seen) => seen.answer(200, 'OK'));
    gateway = await startGateway({ engine: engine.url });
  });
  after(async () => {
    await gateway?.remove();
    await engine?.close();
  });

  it('a start tells the version, the runtime, the host and the plugins', async () => {
    const [row] = await rowsOf('gateway.start');
    const { version, runtime, host, pid, plugins } = row?.detail ?? {};
    assert.match(String(version), /^\d/);
    assert.match(String(runtime), IS_DENO ? /deno/i : /node/i);
    assert.ok(String(host) !== '');
    assert.equal(pid, gateway.process.pid);
    assert.deepEqual(plugins, []);
  });

  it('a change of policies has the digest of each document', async () => {
    const file = join(gateway.dir, 'look.yaml');
    writeFileSync(file, POLICY);
    await gateway.must('policy', 'apply', '-f', file);
    const [row] = await rowsOf('policy.apply');
    assert.deepEqual(row?.detail?.documents, ['Policy/look']);
    const { look = '' } = (row?.detail?.sha256 ?? {}) as { look?: string };
    const sources = [POLICY, POLICY.trimEnd()].map((text) => createHash('sha256').update(text).digest('hex'));
    assert.ok(sources.includes(look), look);
  });

  it('a reload by signal is a row, and one that fails is one with its reason', async () => {
    hangUp();
    const reloaded = await until('the reload', async () => (await rowsOf('gateway.reload'))[0]);
    assert.equal(reloaded.decision, 'allow');
    assert.equal(reloaded.detail?.by, 'SIGHUP');
    const good = readFileSync(gateway.configFile, 'utf8');
    writeFileSync(gateway.configFile, `${good}\nnoSuchSetting: 1\n`);
    hangUp();
    const failed = await until('the failure', async () =>
      (await rowsOf('gateway.reload')).find(({ decision }) => decision === 'error'),
    );
    assert.match(String(failed.detail?.message), /noSuchSetting/);
    writeFileSync(gateway.configFile, good);
  });

  it('a handshake that is none is a row; a port that is only looked at is not', {
    skip: IS_DENO && 'not told here',
  }, async () => {
    const connect = (send: string) =>
      new Promise<void>((resolve) => {
        const socket = net.connect(gateway.port, '127.0.0.1', () =>
          send === '' ? socket.destroy() : socket.write(send),
        );
        socket.on('error', () => {});
        socket.on('close', () => resolve());
      });
    await connect('');
    await connect('GET /v1.44/containers/json HTTP/1.1\r\nHost: x\r\n\r\n');
    const rows = await until('the row', async () => {
      const found = await rowsOf('connection.refused');
      return found.length > 0 ? found : undefined;
    });
    assert.equal(rows.length, 1);
    assert.equal(rows[0]?.decision, 'unauthenticated');
    assert.equal(rows[0]?.code, 'handshake-refused');
  });

  it('a stop is a row, and so is the next start', async () => {
    await gateway.stop();
    await gateway.restart();
    assert.equal((await rowsOf('gateway.stop')).length, 1);
    assert.equal((await rowsOf('gateway.start')).length, 2);
  });
});
