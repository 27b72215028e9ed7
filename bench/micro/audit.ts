// Cost of a durable audit row: rows per second, the wait of one row and CPU per row, at 1, 16 and 64 rows in flight.
// Run: `node bench/micro/audit.ts` or `deno run -A --no-check bench/micro/audit.ts`. The disk is that of the temporary
// folder (TMPDIR); "idle" leaves the event loop idle between two rows, as a single caller does.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditEvent, Recorder } from '../../src/audit/event.ts';
import { openRecorder } from '../../src/store/recorder.ts';

let rows = 0;
const event = (): AuditEvent => {
  rows += 1;
  const id = rows.toString(16).padStart(12, '0');
  return {
    at: 1_893_456_000_000_000 + rows,
    stage: 'intent',
    auditId: `0199f2c4-5d1e-7000-8000-${id}`,
    subject: `ci-${rows % 20}`,
    issuer: 'https://gate.example',
    tenant: 'red',
    tokenId: `0199f2c4-0000-7000-8000-${(rows % 20).toString().padStart(12, '0')}`,
    source: '127.0.0.1',
    client: 'Docker-Client/28.5.2 (linux)',
    action: 'container.create',
    operationId: 'ContainerCreate',
    class: 'write',
    apiVersion: '1.51',
    resource: `container/ci-job-${rows % 100}`,
    decision: 'allow',
    rule: 'ci-bot/run',
    policyRev: '17',
    detail: {
      body: {
        Image: 'registry.example.test:5000/team/app:1.4.2',
        Cmd: ['sh', '-c', 'make test'],
        Env: ['CI=hmac:0123456789abcdef', 'TOKEN=hmac:fedcba9876543210'],
        HostConfig: { Binds: ['/srv/ci:/src:ro'], NetworkMode: 'bridge', Memory: 268435456, AutoRemove: true },
      },
    },
  };
};

const at = (sorted: readonly number[], part: number): string =>
  (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(0).padStart(7);

async function measure(
  name: string,
  inFlight: number,
  ms: number,
  thread: 'worker' | 'inline',
  pauseMs?: number,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'dg-bench-audit-'));
  const recorder: Recorder = await openRecorder(join(folder, 'audit.db'), { thread });
  const waits: number[] = [];
  let until = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      const from = performance.now();
      await recorder.record(event());
      waits.push((performance.now() - from) * 1000);
      // A call goes on in another turn of the event loop than the one its row was written in.
      await new Promise((resolve) => (pauseMs === undefined ? setImmediate(resolve) : setTimeout(resolve, pauseMs)));
    }
  };
  until = performance.now() + 300;
  await Promise.all(Array.from({ length: inFlight }, caller));
  waits.length = 0;
  const cpu = process.cpuUsage();
  const from = performance.now();
  until = from + ms;
  await Promise.all(Array.from({ length: inFlight }, caller));
  const seconds = (performance.now() - from) / 1000;
  const used = process.cpuUsage(cpu);
  await recorder.close();
  rmSync(folder, { recursive: true, force: true });
  waits.sort((a, b) => a - b);
  const perRow = (used.user + used.system) / waits.length;
  console.log(
    `${name.padEnd(14)} ${(waits.length / seconds).toFixed(0).padStart(8)} rows/s   p50 ${at(waits, 0.5)} us   p99 ${at(waits, 0.99)} us   CPU ${perRow.toFixed(1).padStart(6)} us/row`,
  );
}

const ms = Number(process.argv[2] ?? 1500);
for (const thread of ['worker', 'inline'] as const) {
  await measure(`${thread} 1, idle`, 1, ms, thread, 2);
  for (const inFlight of [1, 16, 64]) await measure(`${thread} ${inFlight}`, inFlight, ms, thread);
}
