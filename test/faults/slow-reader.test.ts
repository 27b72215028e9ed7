// A caller who reads a 1 GiB export slowly: the gateway makes the engine wait and its memory stays flat; then all of it
// arrives. On a real engine; the container's file has holes, so that it costs no disk.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { until } from '../support/until.ts';

const NAME = `dg-slow-${IS_DENO ? 'deno' : 'node'}`;
const GIB = 1024 ** 3;
/** What a slow reader may cost, in bytes: buffers of a few sockets, and what the runtime has not yet swept up. */
const MAX_GROWTH = 48 * 1024 * 1024;

describe('a slow reader of a 1 GiB export', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  before(async () => {
    removeContainers(NAME);
    dockerDirect('run', '--name', NAME, '--network', 'none', IMAGE, 'truncate', '-s', '1G', '/big');
    // Over the bound socket: encrypting a GiB twice would be most of this test's time.
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'op', identity: 'op' }] });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
  });
  after(async () => {
    await gateway?.remove();
    removeContainers(NAME);
  });

  const openExport = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const call = request(
        { socketPath: join(gateway.dir, 'op.sock'), path: `/containers/${NAME}/export`, agent: false },
        resolve,
      );
      call.on('error', reject);
      call.end();
    });
  const residentBytes = (): number => {
    const status = readFileSync(`/proc/${gateway.process.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  };

  it('costs the gateway no memory, and gets every byte', {
    skip: process.platform !== 'linux' && 'reads /proc',
  }, async (t) => {
    // One export read at once: what the runtime allocates for any of them is there before the measuring begins.
    const warm = await openExport();
    await readSome(warm, 64 * 1024 * 1024);
    warm.destroy();
    await until('the warm-up to be over', async () => {
      const { callsInFlight } = JSON.parse(await gateway.must('status', '--json')) as { callsInFlight: number };
      return callsInFlight === 0;
    });
    const before = residentBytes();
    let peak = before;
    const answer = await openExport();
    assert.equal(answer.statusCode, 200);
    let received = 0;
    // 1 MiB at a time with rests between: some thirty times slower than it could be.
    for (let i = 0; i < 40; i++) {
      received += await readSome(answer, 1024 * 1024);
      await new Promise((resolve) => setTimeout(resolve, 50));
      peak = Math.max(peak, residentBytes());
    }
    assert.ok(received < GIB / 4, `it was read at once: ${received}`);
    t.diagnostic?.(`memory grew by ${((peak - before) / 1024 ** 2).toFixed(1)} MiB`);
    assert.ok(peak - before < MAX_GROWTH, `memory grew by ${((peak - before) / 1024 ** 2).toFixed(1)} MiB`);
    const rest = await new Promise<number>((resolve, reject) => {
      let size = 0;
      answer.on('data', (data: Buffer) => {
        size += data.length;
      });
      answer.on('end', () => resolve(size));
      answer.on('error', reject);
      answer.resume();
    });
    assert.equal(answer.complete, true);
    assert.ok(received + rest > GIB, `${received + rest} bytes came`);
  });
});

/** Reads at least `bytes` and pauses again; returns how many it were. */
function readSome(answer: IncomingMessage, bytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let size = 0;
    const onData = (data: Buffer) => {
      size += data.length;
      if (size < bytes) return;
      answer.pause();
      answer.off('data', onData).off('end', onEnd).off('error', reject);
      resolve(size);
    };
    const onEnd = () => reject(new Error('it ended early'));
    answer.on('data', onData).on('end', onEnd).on('error', reject);
    answer.resume();
  });
}
