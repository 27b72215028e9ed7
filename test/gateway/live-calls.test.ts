// Calls under way: whose they are, when they end, and that one timer serves them all.
import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { type ErrorCode, GatewayError } from '../../src/errors.ts';
import { LiveCalls } from '../../src/gateway/live-calls.ts';
import type { Principal } from '../../src/policy/types.ts';

const principal = (subject: string, expiresAt?: number): Principal => ({
  subject,
  issuer: 'test',
  groups: [],
  policies: [],
  channel: 'bearer',
  claims: {},
  ...(expiresAt === undefined ? {} : { expiresAt }),
});

/** Live calls over a table of ended subjects and a clock that tests move. */
function room() {
  const ended = new Map<string, ErrorCode>();
  const clock = { at: 1000 };
  let asked = 0;
  const live = new LiveCalls({
    recheck({ subject, expiresAt }) {
      asked++;
      if (subject === 'broken') throw new TypeError('no answer');
      const code = ended.get(subject);
      if (code !== undefined) throw new GatewayError(code, 'ended');
      if (expiresAt !== undefined && clock.at >= expiresAt) throw new GatewayError('token-expired', 'ended');
    },
    now: () => clock.at,
  });
  return { live, ended, clock, asked: () => asked };
}

describe('LiveCalls', () => {
  it('LiveCalls end with their principal, and no others', () => {
    const { live, ended, asked } = room();
    const alice = principal('alice');
    const calls = [alice, alice, principal('bob')].map((who) => {
      const call = live.enter();
      live.hold(call, who);
      return call;
    });
    const unknown = live.enter();
    ended.set('alice', 'token-revoked');
    const before = asked();
    live.review();
    assert.equal(asked() - before, 2, 'each principal is asked for once');
    assert.deepEqual(
      [...calls, unknown].map((call) => [call.signal.aborted, call.endedBy]),
      [
        [true, 'token-revoked'],
        [true, 'token-revoked'],
        [false, undefined],
        [false, undefined],
      ],
    );
  });

  it('keep the first reason', () => {
    const { live, ended } = room();
    const call = live.enter();
    live.hold(call, principal('alice'));
    ended.set('alice', 'identity-disabled');
    live.review();
    live.endAll('shutting-down');
    assert.equal(call.endedBy, 'identity-disabled');
  });

  it('LiveCalls are refused when the credentials ended while the call was judged', () => {
    const { live, ended } = room();
    ended.set('alice', 'token-revoked');
    const call = live.enter();
    assert.throws(() => live.hold(call, principal('alice')), { code: 'token-revoked' });
    assert.equal(call.signal.aborted, false);
  });

  it('live calls end when the principal cannot be checked again', () => {
    const { live } = room();
    const call = live.enter();
    assert.throws(() => live.hold(call, principal('broken')), TypeError);
    const other = { ...principal('alice') } as { subject: string } & Principal;
    const held = live.enter();
    live.hold(held, other);
    (other as { subject: string }).subject = 'broken';
    live.review();
    assert.equal(held.endedBy, 'internal');
  });

  it('LiveCalls end at their expiry, the nearest first, with one timer', () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const { live, clock } = room();
      const pass = (ms: number) => {
        clock.at += ms;
        mock.timers.tick(ms);
      };
      const [late, soon, never] = [principal('late', 5000), principal('soon', 3000), principal('never')].map((who) => {
        const call = live.enter();
        live.hold(call, who);
        return call;
      });
      const gone = live.enter();
      live.hold(gone, principal('gone', 2000));
      live.leave(gone);
      pass(1000);
      assert.equal(gone.endedBy, undefined);
      pass(999);
      assert.equal(soon?.endedBy, undefined);
      pass(1);
      assert.deepEqual([soon?.endedBy, late?.endedBy], ['token-expired', undefined]);
      pass(2000);
      assert.deepEqual([late?.endedBy, never?.endedBy], ['token-expired', undefined]);
    } finally {
      mock.timers.reset();
    }
  });

  it('wait for an expiry far beyond what a timer can hold', () => {
    const { live } = room();
    const call = live.enter();
    live.hold(call, principal('patient', 1000 + 400 * 86_400_000));
    assert.equal(call.endedBy, undefined);
  });

  it('tell when none is left, or that time is up', async () => {
    const { live } = room();
    await live.idle(60_000);
    const call = live.enter();
    const idle = live.idle(60_000);
    live.leave(call);
    await idle;
    live.enter();
    await live.idle(1);
    assert.equal(live.size, 1);
  });
});
