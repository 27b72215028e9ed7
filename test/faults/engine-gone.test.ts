// An engine killed in mid-stream: callers see a broken answer, never a whole one; then 502 in Docker's words; and it works
// again by itself when the engine is back. The engine is the built-in STAND-IN as a process of its own, so that it can be
// killed; the gateway is the program.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { HttpsCaller } from '../support/https-caller.ts';
import { ROOT, scriptCommand } from '../support/runtime.ts';
import { until } from '../support/until.ts';

describe('an engine that is killed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-killed-engine-'));
  const socket = join(folder, 'engine.sock');
  let engine: ChildProcess;
  let gateway: TestGateway;
  let caller: HttpsCaller;

  const startEngine = async () => {
    const [command, args] = scriptCommand(`${ROOT}test/support/standin-process.ts`);
    engine = spawn(command, [...args, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(engine.stdout as NonNullable<typeof engine.stdout>, 'data');
  };
  const killEngine = async () => {
    if (engine.exitCode !== null || engine.signalCode !== null) return;
    const ended = once(engine, 'exit');
    engine.kill('SIGKILL');
    await ended;
  };
  before(async () => {
    await startEngine();
    gateway = await startGateway({ engine: socket });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    caller = new HttpsCaller(gateway, await gateway.must('token', 'create', 'op'));
  });
  after(async () => {
    caller?.close();
    await killEngine();
    await gateway?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it('breaks off streams, answers 502 with a sentence while it is gone, and serves again by itself', async () => {
    const created = await caller.call('POST', '/containers/create?name=long', {
      Image: 'busybox',
      Cmd: ['sh', '-c', 'echo begun; sleep 600'],
    });
    assert.equal(created.status, 201, created.body);
    assert.equal((await caller.call('POST', '/containers/long/start')).status, 204);
    const logs = await caller.open('GET', '/containers/long/logs?follow=1&stdout=1');
    const auditId = String(logs.headers['dockgate-audit-id']);
    let text = '';
    logs.on('data', (data: Buffer) => {
      text += data;
    });
    const broken = new Promise<string>((resolve) => {
      logs.on('end', () => resolve(logs.complete ? 'whole' : 'broken'));
      logs.on('error', () => resolve('broken'));
      logs.on('aborted', () => resolve('broken'));
    });
    await until('the stream to flow', () => text.includes('begun'));

    await killEngine();
    assert.equal(await broken, 'broken', 'the caller saw a whole answer of a killed engine');
    const rows = await until('the outcome', async () => {
      const { events } = JSON.parse(await gateway.must('audit', 'show', auditId, '--json')) as {
        events: { stage: string; detail?: { end?: string } }[];
      };
      return events.some((e) => e.stage === 'complete') ? events : undefined;
    });
    assert.equal(rows.find((r) => r.stage === 'complete')?.detail?.end, 'engine-gone');

    for (const [method, path] of [
      ['GET', '/containers/json'],
      ['POST', '/containers/long/stop'],
    ] as const) {
      const answer = await caller.call(method, path);
      assert.equal(answer.status, 502, answer.body);
      assert.match(answer.message, /^the engine cannot be reached \((ECONNREFUSED|ENOENT)\) \[audit [0-9a-f-]{36}\]$/);
    }
    const stranger = new HttpsCaller(gateway, '');
    assert.equal((await stranger.call('GET', '/healthz')).status, 200);
    const down = await until('readiness to notice', async () => {
      const ready = await stranger.call('GET', '/readyz');
      return ready.status === 503 ? ready : undefined;
    });
    assert.deepEqual(JSON.parse(down.body), { status: 'down' });

    await startEngine();
    const back = await caller.call('GET', '/containers/json?all=1');
    assert.equal(back.status, 200, back.body);
    await until('readiness', async () => (await stranger.call('GET', '/readyz')).status === 200);
    stranger.close();
    assert.equal(gateway.process.exitCode, null);
  });

  it('an engine that is killed answers 502 for calls that were waiting for it, and they were not repeated', async () => {
    // Stopped, not dead: it takes connections and answers nothing.
    // Not engine.kill(): Deno would take the process for ended.
    process.kill(engine.pid as number, 'SIGSTOP');
    const waiting = [
      caller.call('GET', '/info'),
      caller.call('POST', '/containers/create?name=once', { Image: 'busybox' }),
    ];
    await new Promise((resolve) => setTimeout(resolve, 200));
    await killEngine();
    for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 502, answer.body);
    await startEngine();
    const listed = await until('the engine', async () => {
      const answer = await caller.call('GET', '/containers/json?all=1');
      return answer.status === 200 ? answer : undefined;
    });
    assert.ok(!listed.body.includes('once'));
  });
});
