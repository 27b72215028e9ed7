// Refusals of unknown callers in the audit: a row each up to a rate, counts past it, and nothing of known callers in them.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AuditEvent } from '../../src/audit/event.ts';
import { Strangers } from '../../src/gateway/strangers.ts';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

describe('Strangers', () => {
  const open = (rows = 6) => {
    const events: AuditEvent[] = [];
    let nowMs = 1_000_000;
    let ids = 0;
    const strangers = new Strangers({
      recorder: { append: (event) => events.push(event) },
      rowsPerMinute: () => rows,
      now: () => nowMs,
      newAuditId: () => `id-${++ids}`,
    });
    const refuse = (count: number, source: string) => {
      let own = 0;
      for (let i = 0; i < count; i++) if (strangers.fold(source, 'token-missing') === undefined) own++;
      return own;
    };
    return {
      strangers,
      events,
      refuse,
      pass: (ms: number) => {
        nowMs += ms;
      },
    };
  };

  it('Strangers gives each refusal its row up to five minutes of the rate, then one row and a count', () => {
    const { strangers, events, refuse } = open();
    assert.equal(refuse(1000, '192.0.2.1'), 30);
    assert.equal(strangers.fold('192.0.2.1', 'token-expired'), 'id-1', 'the id of the row it is counted in');
    assert.equal(events.length, 1);
    strangers.close();
    assert.equal(events.length, 2);
    assert.deepEqual(
      events.map(({ auditId, source, action, decision }) => [auditId, source, action, decision]),
      [1, 2].map(() => ['id-1', '192.0.2.1', 'strangers.refused', 'unauthenticated']),
    );
    assert.deepEqual(events[1]?.detail, {
      message: '971 refusals of callers without credentials within 0 s',
      count: 971,
      codes: { 'token-missing': 970, 'token-expired': 1 },
    });
    assert.equal(strangers.counted, 971);
  });

  it('Strangers lets the rate flow in again, and knows addresses apart', () => {
    const { refuse, pass } = open();
    refuse(1000, '192.0.2.1');
    pass(60_000);
    assert.equal(refuse(1000, '192.0.2.1'), 6);
    assert.equal(refuse(1000, '192.0.2.2'), 30, 'another address has its own');
  });

  it('Strangers holds a rate for all addresses together, and counts them in a bounded number of rows', () => {
    const { strangers, events, refuse } = open();
    let rows = 0;
    for (let i = 0; i < 20_000; i++) rows += refuse(2, `2001:db8:${i.toString(16)}::1`);
    assert.equal(rows, 4 * 5 * 6);
    strangers.close();
    assert.equal(events.length, 2 * 65);
    assert.equal(events.filter(({ source }) => source === 'elsewhere').length, 2);
  });

  it('Strangers takes the network of an IPv6 address for the address', () => {
    const { refuse } = open();
    let rows = 0;
    for (let i = 0; i < 100; i++) rows += refuse(1, `2001:db8:1:2:${i}::1`);
    assert.equal(rows, 30);
  });
});

describe('a flood of refusals', () => {
  let engine: ScriptedEngine;
  let at: EmbeddedTestGateway;
  before(async () => {
    engine = await startScriptedEngine((r) => r.answer(200, '[]', ['Content-Type: application/json']));
    at = await openEmbedded(engine.url, { limits: { strangerRows: 2, auditQueue: 50 } });
  });
  after(async () => {
    await at?.close();
    await engine?.close();
  });

  it('a flood of refusals of strangers is counted, while each call of a known caller has its rows', async () => {
    const token = await at.token('good', 'reader');
    const before = (await at.rows()).length;
    const flood = async (text: string, status: number) => {
      const caller = at.connect();
      let last = '';
      for (let i = 0; i < 100; i++) {
        caller.send(text);
        const answer = await caller.answer();
        assert.equal(answer.status, status);
        last = answer.auditId;
      }
      caller.destroy();
      return last;
    };
    const good = async () => {
      const caller = at.connect();
      const ids: string[] = [];
      for (let i = 0; i < 50; i++) {
        // Allowed and denied in turn.
        const [method, path, status] =
          i % 2 === 0 ? ['GET', '/containers/json', 200] : ['POST', '/containers/x/stop', 403];
        caller.send(`${method} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
        const answer = await caller.answer();
        assert.equal(answer.status, status);
        ids.push(answer.auditId);
      }
      caller.destroy();
      return ids;
    };
    const unknown = 'GET /containers/json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\n\r\n';
    const form = 'grant_type=refresh_token&refresh_token=x';
    const [fold, , admin, ids] = await Promise.all([
      flood(unknown, 401),
      flood(unknown.replace('GET', 'POST'), 401),
      flood('GET /dockgate/v1/identities HTTP/1.1\r\nHost: x\r\n\r\n', 401),
      good(),
    ]);
    const caller = at.connect();
    for (let i = 0; i < 30; i++) {
      caller.send(
        `POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n${form}`,
      );
      await caller.answer();
    }
    caller.destroy();
    for (const id of ids) await at.completed(id);
    assert.equal(fold, admin, 'both are counted in the rows of their address');
    const counted = await until('the row', async () => {
      const found = (await at.rows()).filter(({ auditId }) => auditId === fold);
      return found.length > 0 ? found : undefined;
    });
    assert.deepEqual(
      counted.map(({ action, source }) => [action, source]),
      [['strangers.refused', '127.0.0.1']],
    );
    const strangers = (await at.rows()).slice(before).filter(({ subject }) => subject === undefined);
    assert.ok(strangers.length <= 12, `${strangers.length} rows for 330 refusals`);
  });
});
