// A gateway that was killed in a create and comes back before the engine has made the container: whose it is stays known. The engine
// is a stand-in, for what it does late.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFollower } from '../../src/gateway/tenancy/follow.ts';
import type { TenancyState } from '../../src/gateway/tenancy/tenant-call.ts';
import type { LedgerEntry } from '../../src/ledger/entry.ts';
import { Holds } from '../../src/ledger/holds.ts';
import { AUDIT_LABEL } from '../../src/ledger/labels.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { silentLogger } from '../../src/log.ts';
import type { CallerEnd } from '../../src/proxy/types.ts';

const ID = 'c'.repeat(64);
const pending: LedgerEntry = {
  ...{ key: 'lost/0', kind: 'container', id: '', name: 'app', tenant: 'red', owner: 'alice', auditId: 'lost' },
  ...{ state: 'pending', createdAt: 1000 },
};

describe('the follower', () => {
  it('knows whose a container is that the engine makes late', async () => {
    const ledger = new Ledger([pending]);
    let events: CallerEnd | undefined;
    const state = {
      ledger,
      holds: new Holds(),
      underWay: new Set<string>(),
      limitsOf: () => undefined,
      engine: {
        fetchJson: () => Promise.resolve({ status: 200, body: Buffer.from('[]') }),
        forward(_request: unknown, sink: CallerEnd, { signal }: { signal: AbortSignal }) {
          events = sink;
          return new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined)));
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
});
