// A system clock set forward and back: what was revoked stays so, whatever happens meanwhile, and what is good is let in again once
// the clock is right. The gateway runs in the test's process, whose clock the test sets; and the parts alone.
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { createSteadyClock } from '../../src/identity/steady-clock.ts';
import { openStore } from '../../src/store/open.ts';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';

const DAY = 86_400_000;
const trueNow = Date.now;
let offset = 0;

describe('a clock set forward and back', () => {
  let engine: ScriptedEngine | undefined;
  let embedded: EmbeddedTestGateway | undefined;
  afterEach(async () => {
    await embedded?.close();
    await engine?.close();
    embedded = undefined;
    engine = undefined;
    Date.now = trueNow;
    offset = 0;
  });

  const open = async (): Promise<EmbeddedTestGateway> => {
    offset = 0;
    Date.now = () => trueNow() + offset;
    engine = await startScriptedEngine((r) => r.answer(200, '[]', ['Content-Type: application/json']));
    embedded = await openEmbedded(engine.url);
    return embedded;
  };
  const status = async ({ port }: EmbeddedTestGateway, token: string): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${port}/v1.44/images/json`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    await answer.text();
    return answer.status;
  };

  for (const [title, jump] of [
    ['an hour and more', 2 * 3_600_000],
    ['40 days', 40 * DAY],
    ['three years', 3 * 365 * DAY],
  ] as const) {
    it(`a clock set forward and back by ${title} revives no revoked token and keeps no good one out`, async () => {
      const gateway = await open();
      const revoked = await gateway.token('ci', 'operator');
      const good = await gateway.token('other', 'operator');
      assert.equal(await status(gateway, good), 200);
      const { jti } = JSON.parse(Buffer.from(revoked.split('.')[1] as string, 'base64url').toString()) as {
        jti: string;
      };
      const context = () => ({ by: LOCAL_OPERATOR, auditId: gateway.gateway.admin.newAuditId() });
      await gateway.gateway.admin.revokeToken(jti, context());
      assert.equal(await status(gateway, revoked), 401);

      offset = jump;
      assert.equal(await status(gateway, good), 401, 'it has ended by this clock');
      // Everything that reads what is revoked again, or tidies up.
      const extra = await gateway.token('extra', 'operator');
      await gateway.gateway.admin.revokeToken(
        (JSON.parse(Buffer.from(extra.split('.')[1] as string, 'base64url').toString()) as { jti: string }).jti,
        context(),
      );
      await gateway.gateway.admin.revokeIdentityTokens({ identity: 'extra' }, context());
      offset = 0;
      assert.equal(await status(gateway, revoked), 401, 'revoked stays revoked');
      assert.equal(await status(gateway, good), 200, 'and the good one is good');
    });
  }

  it('a start while the clock is ahead forgets nothing that was revoked', async () => {
    const store = openStore(':memory:');
    const at = trueNow();
    store.tokens.insert({ id: 't', identity: 'a', issuedAt: at, expiresAt: at + DAY, issuedBy: 'op' });
    store.tokens.revoke('t', at);
    let elapsed = 0;
    const parts = { settings: store.settings, latest: store.latestStamp, elapsed: () => elapsed };
    const first = createSteadyClock({ ...parts, wall: () => at + 400 * DAY });
    assert.ok(first.now() <= at, 'nothing says that this much time has passed');
    elapsed += 2 * DAY;
    assert.equal(first.now(), at + 2 * DAY, 'this much has');
    first.save();
    const second = createSteadyClock({ ...parts, wall: () => at + 2 * DAY + 1000 });
    assert.equal(second.now(), at + 2 * DAY, 'the next process goes on from there');
    const back = createSteadyClock({ ...parts, wall: () => at - 5 * DAY });
    assert.equal(back.now(), at - 5 * DAY, 'and it is never later than the system’s clock');
    store.close();
  });
});
