// Which events of the engine belong to no call, without an engine: each is compared with the gateway's records.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AuditEvent, Recorder } from '../../src/audit/event.ts';
import { OutsideEvents } from '../../src/gateway/outside-events.ts';

const ID = 'c'.repeat(64);
const NOW = 1_900_000_000_000;

function watch() {
  const rows: AuditEvent[] = [];
  const inner = {
    record: async () => {},
    append: (event: AuditEvent) => void (event.stage === 'gateway' && rows.push(event)),
  } as unknown as Recorder;
  let number = 0;
  let now = NOW;
  const outside = new OutsideEvents({
    recorder: inner,
    now: () => now,
    newAuditId: () => `row-${++number}`,
    tenantOf: (_kind, id) => (id === ID ? 'red' : undefined),
  });
  const recorder = outside.noting(inner);
  const call = (stage: AuditEvent['stage'], action: string, more: Partial<AuditEvent> = {}) =>
    recorder.append({
      at: 0,
      stage,
      auditId: `call ${action}`,
      action,
      class: 'write',
      decision: 'allow',
      ...more,
    } as AuditEvent);
  const event = (action: string, more: { type?: string; id?: string; name?: string } = {}) =>
    outside.see({
      ...{ type: more.type ?? 'container', action, id: more.id ?? ID, atMs: now },
      attributes: { name: more.name ?? 'web' },
    });
  const told = () => {
    outside.close();
    return rows.map(({ action, resource, resourceId, tenant, detail }) => ({
      action,
      resource,
      resourceId,
      tenant,
      detail,
    }));
  };
  return { call, event, told, later: (ms: number) => (now += ms) };
}
const actions = (told: readonly { readonly action: string }[]) => told.map(({ action }) => action);

describe('events outside the gateway', () => {
  it('events outside the gateway have a row with what and when, and without the command of an exec', () => {
    const { event, told } = watch();
    event('start');
    event('exec_start: sh -c "echo --password geheim"');
    event('exec_die');
    event('pull', { type: 'image' });
    event('create', { type: 'volume', id: 'data', name: 'data' });
    const rows = told();
    assert.deepEqual(actions(rows), ['engine.container.start', 'engine.container.exec.start', 'engine.volume.create']);
    assert.deepEqual(rows[0], {
      ...{ action: 'engine.container.start', resource: 'container/web', resourceId: ID, tenant: 'red' },
      detail: {
        outside: true,
        message: 'no call of the gateway did this',
        happened: new Date(NOW).toISOString(),
      },
    });
    assert.ok(!JSON.stringify(rows).includes('geheim'));
  });

  it('events outside the gateway are none where a call is about the object, before, under way or just over', () => {
    const { call, event, told, later } = watch();
    call('intent', 'container.start', { resource: 'container/web' });
    event('start');
    // A container that is made is named by the outcome alone.
    call('intent', 'container.create', { resource: 'container' });
    event('create', { id: 'd'.repeat(64), name: 'odd_name' });
    call('complete', 'container.create', { resource: 'container', resourceId: 'd'.repeat(64) });
    call('complete', 'container.start', { resource: 'container/web' });
    call('intent', 'container.prune', {});
    event('destroy', { id: 'e'.repeat(64), name: 'other' });
    call('complete', 'container.prune', {});
    assert.deepEqual(told(), []);
    later(1);
  });

  it('events outside the gateway are told of an object that no call is about, while calls are about others, and of reads', () => {
    const { call, event, told } = watch();
    call('intent', 'container.start', { resource: 'container/other', resourceId: 'f'.repeat(64) });
    call('intent', 'container.inspect', { resource: 'container/web', class: 'read' });
    event('stop');
    assert.deepEqual(actions(told()), ['engine.container.stop']);
  });

  it('leave out the steps of the engine right after a container ended by itself, but not after a call ended it', () => {
    const alone = watch();
    alone.event('die');
    alone.event('destroy');
    assert.deepEqual(alone.told(), []);
    const killed = watch();
    for (const action of ['create', 'start', 'kill', 'die', 'destroy']) killed.event(action);
    assert.deepEqual(
      actions(killed.told()),
      ['create', 'start', 'kill', 'destroy'].map((action) => `engine.container.${action}`),
    );
    const late = watch();
    late.event('die');
    late.later(60_000);
    late.event('start');
    assert.deepEqual(actions(late.told()), ['engine.container.start']);
  });

  it('events outside the gateway are counted beyond a rate', () => {
    const { event, told } = watch();
    for (let i = 0; i < 500; i++) event('start', { id: String(i), name: `n${i}` });
    const rows = told();
    assert.equal(rows.length, 121);
    assert.deepEqual(rows.at(-1)?.detail?.events, { 'container start': 380 });
  });
});
