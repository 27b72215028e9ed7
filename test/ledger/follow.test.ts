// A gateway that was killed in a create and comes back before the engine has made the container: whose it is stays known. The engine
// is a stand-in, for what it does late.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFollower } from '../../src/gateway/tenancy/follow.ts';
import { reconcile } from '../../src/gateway/tenancy/reconcile.ts';
import type { TenancyState } from '../../src/gateway/tenancy/tenant-call.ts';
import type { LedgerEntry } from '../../src/ledger/entry.ts';
import { Holds } from '../../src/ledger/holds.ts';
import { AUDIT_LABEL } from '../../src/ledger/labels.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { NO_SHARE } from '../../src/ledger/share.ts';
import { silentLogger } from '../../src/log.ts';
import type { Ending } from '../../src/proxy/ending.ts';
import type { CallerEnd } from '../../src/proxy/types.ts';

const ID = 'c'.repeat(64);
const pending: LedgerEntry = {
  ...{ key: 'lost/0', kind: 'container', id: '', name: 'app', tenant: 'red', owner: 'alice', auditId: 'lost' },
  ...{ state: 'pending', createdAt: 1000 },
};

describe('the follower', () => {
  it('the follower knows whose a container is that the engine makes late', async () => {
    const ledger = new Ledger([pending]);
    let events: CallerEnd | undefined;
    const state = {
      ledger,
      holds: new Holds(),
      underWay: new Set<string>(),
      limitsOf: () => undefined,
      engine: {
        fetchJson: () => Promise.resolve({ status: 200, body: Buffer.from('[]') }),
        forward(_request: unknown, sink: CallerEnd, { ending }: { ending: Ending }) {
          events = sink;
          return new Promise((resolve) => ending.onEnd(() => resolve(undefined)));
        },
      },
    } as unknown as TenancyState;
    const follower = createFollower(state, {
      recorder: { record: () => Promise.resolve(), append() {} } as never,
      log: silentLogger,
      now: () => 2000,
      newAuditId: () => 'look',
    });
    follower.start();
    await follower.reconcile();
    assert.equal(ledger.usages.of('red').containers, 0, 'nothing is there yet');
    const line = (id: string) => {
      const Actor = { ID: id, Attributes: { [AUDIT_LABEL]: 'lost', name: 'app' } };
      events?.write(Buffer.from(`${JSON.stringify({ Type: 'container', Action: 'create', Actor, time: 2 })}\n`));
    };
    line(ID);
    assert.equal(ledger.owned('red', 'container', ID)?.name, 'app');
    // The label of a call is good for one container.
    line('d'.repeat(64));
    assert.equal(ledger.usages.of('red').containers, 1);
    follower.stop();
  });

  it('the follower asks the engine what a container takes where no outcome was seen, and leaves one alone that is being changed', async () => {
    const open = (id: string): LedgerEntry => ({
      ...{ ...pending, key: `${id[0]}/0`, id, name: id[0] as string, state: 'live' },
      share: { ...NO_SHARE, memory: 9000, isOpen: true },
    });
    const ledger = new Ledger([open(ID), open('d'.repeat(64))]);
    const holds = new Holds();
    const letGo = holds.hold('update', 'd/0', 'red');
    const bodies = {
      '/containers/json?all=1': [
        { Id: ID, Names: ['/c'] },
        { Id: 'd'.repeat(64), Names: ['/d'] },
      ],
      [`/containers/${ID}/json`]: { Id: ID, HostConfig: { Memory: 1000, MemorySwap: 1500, PidsLimit: 7 } },
      [`/containers/${'d'.repeat(64)}/json`]: { Id: 'd'.repeat(64), HostConfig: { Memory: 20, MemorySwap: 20 } },
    };
    const fetchJson = ({ target }: { target: string }) =>
      Promise.resolve({
        status: 200,
        body: Buffer.from(JSON.stringify((bodies as Record<string, unknown>)[target] ?? [])),
      });
    const state = { ledger, holds, underWay: new Set(), limitsOf: () => undefined, engine: { fetchJson } };
    const learn = (changes: readonly LedgerEntry[]) => {
      for (const entry of changes) ledger.apply(entry);
    };
    await reconcile(state as unknown as TenancyState, learn);
    assert.deepEqual(ledger.byKey('c/0')?.share, { ...NO_SHARE, memory: 1000, swap: 500, pids: 7 });
    assert.equal(ledger.byKey('d/0')?.share?.memory, 9000);
    letGo();
    await reconcile(state as unknown as TenancyState, learn);
    assert.equal(ledger.byKey('d/0')?.share?.memory, 20);
  });
});
