// Write layers are measured within a bound of time, those first that were measured longest ago, and only where a quota limits
// them. The engine is a stand-in: how long it takes is the point.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMeasurer } from '../../src/gateway/tenancy/measure.ts';
import type { TenancyState } from '../../src/gateway/tenancy/tenant-call.ts';
import type { LedgerEntry } from '../../src/ledger/entry.ts';
import { Holds } from '../../src/ledger/holds.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { NO_SHARE } from '../../src/ledger/share.ts';
import { silentLogger } from '../../src/log.ts';

const MIB = 1024 * 1024;

function scene({ tookMs, bytes }: { tookMs: number; bytes: (id: string) => number }) {
  const container = (id: string, tenant = 'red'): LedgerEntry => ({
    ...{ key: `${id}/0`, kind: 'container', id, name: id, tenant, owner: 'alice', auditId: id },
    ...{ state: 'live', createdAt: 0, share: NO_SHARE },
  });
  const ledger = new Ledger([...['a', 'b', 'c', 'd', 'e'].map((id) => container(id)), container('x', 'blue')]);
  const asked: string[] = [];
  let now = 1000;
  const state = {
    ledger,
    holds: new Holds(),
    limitsOf: (tenant: string) => ({ quota: tenant === 'red' ? { 'write-layer-bytes': MIB } : {}, identityQuota: {} }),
    engine: {
      fetchJson({ target }: { target: string }) {
        const id = /containers\/(\w)\/json\?size=1/.exec(target)?.[1] as string;
        asked.push(id);
        now += tookMs;
        const status = id === 'c' ? 404 : 200;
        return Promise.resolve({ status, body: Buffer.from(JSON.stringify({ SizeRw: bytes(id) })) });
      },
    },
  } as unknown as TenancyState;
  const writes: number[] = [];
  const measurer = createMeasurer(state, {
    log: silentLogger,
    now: () => now,
    learn(changes) {
      writes.push(changes.length);
      for (const entry of changes) ledger.apply(entry);
    },
  });
  return { measurer, asked, writes, used: () => ledger.usages.of('red')['write-layer-bytes'] };
}

describe('write layers', () => {
  it('write layers are measured within a bound of time, and the next round goes on where this one ended', async () => {
    const { measurer, asked } = scene({ tookMs: 2500, bytes: () => MIB });
    await measurer.round();
    assert.deepEqual(asked, ['a', 'b', 'c']);
    measurer.ended('a');
    assert.equal(asked.length, 3, 'the time of this round is used up');
    await measurer.round();
    assert.deepEqual(asked.slice(3), ['d', 'e', 'a']);
  });
  it('write layers are written down together, and small changes not at all', async () => {
    let size = MIB;
    const { measurer, writes, used } = scene({ tookMs: 1, bytes: () => size });
    await measurer.round();
    assert.deepEqual(writes, [4]);
    assert.equal(used(), 4 * MIB);
    size += 4096;
    await measurer.round();
    assert.deepEqual(writes, [4]);
    assert.equal(used(), 4 * MIB);
  });
  it('write layers of a container that ended are measured soon', async () => {
    const { measurer, asked } = scene({ tookMs: 1, bytes: () => MIB });
    await measurer.round();
    measurer.ended('b');
    measurer.ended('x');
    assert.deepEqual(asked.slice(5), ['b'], 'the other has no limit');
  });
});
