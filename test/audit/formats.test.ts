// The forms an event leaves the gateway in: what each of them must hold, and that a row is recognised in all of them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AuditRow } from '../../src/audit/event.ts';
import { formatted } from '../../src/audit/formats/formats.ts';
import { timeText } from '../../src/audit/formats/native.ts';
import { advanced, seqOf, settled } from '../../src/store/sink-cursors.ts';
import { eventOf, fullEvent } from './events.ts';

const ORIGIN = { version: '1.2.3', host: 'gate' };
const rowOf = (more: object, event = fullEvent()): AuditRow => {
  const { ledger: _ledger, ...rest } = event;
  return { ...rest, seq: 7, prev: 'aa', hash: 'bb', ...more } as AuditRow;
};
interface Form {
  readonly [field: string]: unknown;
  readonly event?: { readonly outcome: string };
}
const inForm = (format: 'native' | 'ocsf' | 'ecs', row: AuditRow): Form =>
  JSON.parse(JSON.stringify(formatted(format, row, 'log-1', ORIGIN))) as Form;

describe('formatted()', () => {
  it('native holds every column under its name, and the log', () => {
    const row = rowOf({ stage: 'complete' });
    const { at, ...columns } = row;
    assert.deepEqual(inForm('native', row), { logId: 'log-1', ...columns, at: timeText(at) });
  });

  it('OCSF is an API Activity with what the class requires', () => {
    const row = rowOf({ stage: 'complete', class: 'write', decision: 'deny', status: 403 });
    const event = inForm('ocsf', row);
    for (const field of [
      'activity_id',
      'actor',
      'api',
      'category_uid',
      'class_uid',
      'metadata',
      'severity_id',
      'src_endpoint',
      'time',
      'type_uid',
    ])
      assert.notEqual(event[field], undefined, field);
    assert.deepEqual(
      [
        event.class_uid,
        event.category_uid,
        event.activity_id,
        event.type_uid,
        event.status_id,
        event.action_id,
        event.disposition_id,
      ],
      [6003, 6, 1, 600301, 2, 2, 2],
    );
    assert.deepEqual(event.actor, {
      user: { name: 'ci', uid: 'https://gate.example#ci', org: { name: 'red' } },
      session: { uid: row.tokenId, issuer: 'https://gate.example' },
    });
    assert.deepEqual(event.resources, [
      { type: 'container', name: 'web', uid: 'c0ffee' },
      { type: 'image', name: 'docker.io/library/alpine:latest', uid: 'sha256:f00d' },
    ]);
    const metadata = event.metadata as Record<string, unknown>;
    assert.deepEqual([metadata.uid, metadata.sequence, metadata.log_provider], ['bb', 7, 'log-1']);
    assert.equal((event.unmapped as Record<string, unknown>).seq, 7);
  });

  it('ECS names user, source, rule, outcome and container, and keeps the rest under dockgate', () => {
    const event = inForm('ecs', rowOf({ stage: 'complete', class: 'write', status: 201 }));
    assert.deepEqual(event.event, {
      ...{ id: 'bb', sequence: 7, kind: 'event', category: ['api'], type: ['creation', 'allowed'] },
      ...{ action: 'container.create', outcome: 'success', code: 'operation-not-allowed', reason: 'x' },
      ...{ provider: 'dockgate', module: 'dockgate', dataset: 'dockgate.audit', duration: 1_234_000 },
    });
    assert.deepEqual(event.user, { name: 'ci', domain: 'https://gate.example' });
    assert.deepEqual(event.source, { address: '127.0.0.1', ip: '127.0.0.1' });
    assert.deepEqual(event.container, { name: 'web', id: 'c0ffee' });
    assert.deepEqual(
      [(event.dockgate as AuditRow & { logId: string }).logId, (event.dockgate as AuditRow).seq],
      ['log-1', 7],
    );
  });

  const OUTCOMES: readonly [title: string, row: object, ecs: string, ocsf: number][] = [
    ['an intent is not known yet', { stage: 'intent' }, 'unknown', 0],
    ['a call the engine refused failed', { stage: 'complete', status: 409 }, 'failure', 2],
    ['a call that was denied failed', { stage: 'complete', decision: 'deny', status: 403 }, 'failure', 2],
    ['a lost outcome is not known', { stage: 'complete', code: 'outcome-unknown' }, 'unknown', 0],
    [
      'a row that says what came of it is believed',
      { stage: 'complete', status: 404, outcome: 'not-found' },
      'failure',
      2,
    ],
    ['an event of the gateway succeeded', { stage: 'gateway', status: undefined }, 'success', 1],
  ];
  for (const [title, more, ecs, ocsf] of OUTCOMES) {
    it(title, () => {
      const row = rowOf({ code: undefined, outcome: undefined, ...more });
      assert.equal(inForm('ecs', row).event?.outcome, ecs);
      assert.equal(inForm('ocsf', row).status_id, ocsf);
    });
  }

  it('a row with the fewest columns is an event in each form', () => {
    const row = { ...eventOf({ stage: 'gateway', action: 'gateway.start' }), seq: 1, prev: 'aa', hash: 'bb' };
    for (const format of ['native', 'ocsf', 'ecs'] as const)
      assert.doesNotMatch(JSON.stringify(inForm(format, row)), /undefined|null|NaN/);
    assert.deepEqual(inForm('ocsf', row).actor, { app_name: 'dockgate' });
  });
});

describe('the cursor of a sink', () => {
  const hashes = (seq: number): string | undefined => (seq <= 1000 ? `h${seq}` : undefined);
  const at1000 = Array.from({ length: 100 }, (_, i) => (i + 1) * 10).reduce(
    (cursor, seq) => advanced(cursor, [seq, `h${seq}`]),
    { logId: 'log-1', marks: [] } as Parameters<typeof advanced>[0],
  );

  it('the cursor of a sink stays where it is in the log it knows', () => {
    assert.equal(seqOf(at1000), 1000);
    assert.deepEqual(settled(at1000, 'log-1', 1, hashes), { cursor: at1000, wentBack: false });
    assert.ok(at1000.marks.length < 20);
  });

  it('the cursor of a sink goes back to the newest row that is the same in a log that was put back', () => {
    const { cursor, wentBack } = settled(at1000, 'log-1', 1, (seq) =>
      seq <= 700 ? `h${seq}` : seq <= 900 ? 'other' : undefined,
    );
    assert.equal(wentBack, true);
    assert.ok(seqOf(cursor) <= 700 && seqOf(cursor) > 0, `${seqOf(cursor)}`);
  });

  it('the cursor of a sink begins anew in another log, and with nothing in common', () => {
    for (const [logId, hashAt] of [
      ['log-2', hashes],
      ['log-1', () => 'other'],
    ] as const)
      assert.deepEqual(settled(at1000, logId, 1, hashAt), { cursor: { logId, marks: [] }, wentBack: true });
  });

  it('trusts marks of rows that were removed since', () => {
    assert.equal(seqOf(settled(at1000, 'log-1', 1001, () => undefined).cursor), 1000);
  });
});
