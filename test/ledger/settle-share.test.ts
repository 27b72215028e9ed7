// What the ledger holds of an update's share while the engine has not answered, or never did: never less than what may be.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toCall } from '../../src/engine/call.ts';
import { classify } from '../../src/engine/classify.ts';
import { type TenancyState, TenantCall } from '../../src/gateway/tenancy/tenant-call.ts';
import type { LedgerEntry } from '../../src/ledger/entry.ts';
import { Holds } from '../../src/ledger/holds.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { NO_SHARE } from '../../src/ledger/share.ts';

const ID = 'a'.repeat(64);
const container: LedgerEntry = {
  key: 'made/0',
  kind: 'container',
  id: ID,
  name: 'c',
  tenant: 'red',
  owner: 'alice',
  auditId: 'made',
  state: 'live',
  createdAt: 0,
  share: { ...NO_SHARE, memory: 1000 },
};

function scene() {
  const ledger = new Ledger([container]);
  const state = {
    ledger,
    holds: new Holds(),
    underWay: new Set<string>(),
    rates: { enter: () => undefined },
    limitsOf: () => ({ quota: { memory: 5000 }, identityQuota: {}, defaults: {} }),
  } as unknown as TenancyState;
  let number = 0;
  return {
    memory: () => ledger.usages.of('red').memory,
    isOpen: () => ledger.byKey(container.key)?.share?.isOpen === true,
    async update(memory: number): Promise<TenantCall> {
      const call = new TenantCall({ tenant: 'red', subject: 'alice', auditId: `u${++number}`, atMs: 0 }, state);
      const target = classify('POST', `/v1.41/containers/${ID}/update`);
      await call.reserve(toCall(target, { Memory: memory, MemorySwap: memory }));
      return call;
    },
  };
}

describe('the share of an update', () => {
  it('the share of an update is what the engine did', async () => {
    const { update, memory } = scene();
    const more = await update(5000);
    assert.equal(memory(), 5000);
    more.settleShare('undone');
    more.release();
    assert.equal(memory(), 1000);
    const done = await update(2000);
    done.settleShare('done');
    done.release();
    assert.equal(memory(), 2000);
    const less = await update(500);
    less.settleShare('done');
    less.release();
    assert.equal(memory(), 500);
  });
  it('the share of an update stays the larger one when the outcome is unknown', async () => {
    const { update, memory, isOpen } = scene();
    const less = await update(500);
    less.settleShare('unknown');
    less.release();
    assert.equal(memory(), 1000);
    assert.ok(isOpen(), 'and is looked at later');
    const known = await update(700);
    known.settleShare('done');
    known.release();
    assert.ok(!isOpen());
  });
  for (const order of ['first', 'last'] as const) {
    it(`the share of an update is the larger of two at once, whichever the engine does last (the larger settles ${order})`, async () => {
      const { update, memory } = scene();
      const large = await update(5000);
      const small = await update(1000);
      for (const call of order === 'first' ? [large, small] : [small, large]) {
        call.settleShare('done');
        call.release();
      }
      assert.equal(memory(), 5000);
      const alone = await update(1500);
      alone.settleShare('done');
      alone.release();
      assert.equal(memory(), 1500);
    });
  }
});
