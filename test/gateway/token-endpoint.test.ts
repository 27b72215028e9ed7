// The token endpoint as a function of a request: nothing is handed out that is not in the audit, no fault shows its insides.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AuditEvent } from '../../src/audit/event.ts';
import { GatewayError } from '../../src/errors.ts';
import { Strangers } from '../../src/gateway/strangers.ts';
import { answerTokenCall } from '../../src/gateway/token-endpoint.ts';
import { FailedCredentials } from '../../src/identity/attempts.ts';
import { createGrants } from '../../src/identity/grants.ts';
import { createRefreshCredentials } from '../../src/identity/refresh-credentials.ts';
import { openRoom } from '../identity/memory-stores.ts';

const NO_CALL = { source: '192.0.2.7', client: undefined };

async function openEndpoint(options: { unwritable?: boolean; fault?: Error } = {}) {
  const room = await openRoom();
  const now = () => room.clock.at;
  const refreshCredentials = createRefreshCredentials({ ...room, now });
  const grants = createGrants({ ...room, refreshCredentials, now });
  const { secret } = refreshCredentials.create({ identity: 'alice', by: 'op' });
  const rows: AuditEvent[] = [];
  const parts = {
    grants: options.fault === undefined ? grants : { ...grants, refresh: () => Promise.reject(options.fault) },
    attempts: new FailedCredentials(),
    recorder: {
      record: (event: AuditEvent) => {
        if (options.unwritable) return Promise.reject(new GatewayError('audit-unwritable', 'the disk is full'));
        rows.push(event);
        return Promise.resolve();
      },
      append() {},
      atRest: async <T>(work: () => T) => work(),
      settle: () => Promise.resolve(),
      healthy: true,
      close: () => Promise.resolve(),
    },
    audience: 'dockgate',
    now,
    newAuditId: () => 'an-id',
    strangers: new Strangers({ recorder: { append() {} }, rowsPerMinute: () => 60, now, newAuditId: () => 'counted' }),
  };
  const ask = async (form: Record<string, string>) => {
    const request = new Request('https://gate.example/token', { method: 'POST', body: new URLSearchParams(form) });
    const response = await answerTokenCall({ request, ...NO_CALL }, parts);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return { room, secret, rows, ask };
}

describe('answerTokenCall()', () => {
  it('records what it gives, by whom it was asked and what for', async () => {
    const { ask, secret, rows } = await openEndpoint();
    const { status, body } = await ask({ grant_type: 'refresh_token', refresh_token: secret, scope: 'class:read' });
    assert.equal(status, 200);
    const [row] = rows;
    assert.deepEqual(
      [row?.action, row?.subject, row?.source, row?.decision],
      ['token.refresh', 'alice', '192.0.2.7', 'allow'],
    );
    assert.deepEqual(row?.detail?.scope, ['class:read']);
    assert.ok(!JSON.stringify(rows).includes(secret) && !JSON.stringify(rows).includes(String(body.access_token)));
  });

  it('answerTokenCall() gives nothing while the audit cannot be written, and says so in OAuth terms', async () => {
    const { ask, secret } = await openEndpoint({ unwritable: true });
    for (const refresh_token of [secret, 'x']) {
      const { status, body } = await ask({ grant_type: 'refresh_token', refresh_token });
      assert.deepEqual([status, body.error, body.access_token], [503, 'server_error', undefined]);
    }
  });

  it('answerTokenCall() tells nothing of a fault of its own', async () => {
    const { ask, secret, rows } = await openEndpoint({ fault: new TypeError('secret insides') });
    const { status, body } = await ask({ grant_type: 'refresh_token', refresh_token: secret });
    assert.deepEqual([status, body.error], [500, 'server_error']);
    assert.ok(!JSON.stringify(body).includes('insides'));
    assert.equal(rows[0]?.decision, 'error');
  });

  it('records a refusal once, looks no more at a credential that failed too often, and takes a good one all the while', async () => {
    const { ask, secret, rows, room } = await openEndpoint();
    const guess = { grant_type: 'refresh_token', refresh_token: 'guess' };
    for (let i = 0; i < 20; i++) await ask(guess);
    assert.ok(rows.every(({ decision, code }) => decision === 'unauthenticated' && code === 'client-invalid'));
    const { status, body } = await ask(guess);
    assert.deepEqual([status, body.error], [429, 'slow_down']);
    assert.equal(rows.length, 21);
    // Many callers share an address: the mistakes of one are not another's.
    assert.equal((await ask({ grant_type: 'refresh_token', refresh_token: secret })).status, 200);
    const other = await ask({ grant_type: 'refresh_token', refresh_token: 'an old one' });
    assert.deepEqual(
      [other.status, other.body.error],
      [401, 'invalid_client'],
      'another is told what is wrong with it',
    );
    room.clock.at += 60_000;
    assert.equal((await ask(guess)).status, 401);
  });

  it('answerTokenCall() tells a source that presents many bad credentials to wait, whatever they are, and takes a good one', async () => {
    const { ask, secret, room } = await openEndpoint();
    for (let i = 0; i < 20; i++) await ask({ grant_type: 'refresh_token', refresh_token: `guess-${i}` });
    for (const form of [
      { grant_type: 'refresh_token', refresh_token: 'one more' },
      { grant_type: 'client_credentials', client_id: 'alice', client_secret: 'one more of hers' },
    ]) {
      const { status, body } = await ask(form);
      assert.deepEqual([status, body.error], [429, 'slow_down']);
    }
    assert.equal(
      (await ask({ grant_type: 'client_credentials', client_id: 'alice', client_secret: secret })).status,
      200,
    );
    room.clock.at += 60_000;
    assert.equal((await ask({ grant_type: 'refresh_token', refresh_token: 'later' })).status, 401);
  });
});
