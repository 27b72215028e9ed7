// Pages of the audit against a plain reading of all rows: every filter alone and with others, with the index and without it,
// through all pages.
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import type { AuditEvent, AuditRow } from '../../src/audit/event.ts';
import { type AuditConditions, type AuditScope, foldRows, withinScope } from '../../src/audit/filter.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { openReview } from '../../src/store/review.ts';
import { eventOf, inFolder } from './events.ts';

/** Numbers that are the same in every run. */
const numbers = (seed: number) => {
  let state = seed;
  return (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};

const ID = 'c0ffee'.padEnd(64, '1');
const OF = {
  subject: ['ci', 'ci2', 'ann', undefined],
  tenant: ['red', 'redder', undefined],
  tokenId: ['t1', 't2', undefined],
  action: ['container.create', 'container.exec.create', 'containers.x', 'image.pull', 'container'],
  class: ['read', 'write', undefined],
  code: ['operation-not-allowed', 'host-field-denied', 'object-not-found', undefined],
  rule: ['team/run', 'team/build', 'team2/run', undefined],
  source: ['10.0.0.1', '10.0.0.11', '10.1.0.1', 'unix:admin'],
  client: ['docker/27.1', 'Docker-Client/100%', undefined],
  resource: ['container/web', 'container/web2', 'image/docker.io/library/alpine:latest', 'container', undefined],
  resourceId: [ID, `sha256:${'ab'.repeat(32)}`, undefined],
  engine: ['ENGINE:A', 'ENGINE:B', undefined],
  session: ['s1', undefined, undefined, undefined],
  outcome: ['ok', 'ok', 'not-found', undefined],
  resources: [
    [{ kind: 'image', name: 'docker.io/library/busybox:latest', id: `sha256:${'cd'.repeat(32)}` }],
    [
      { kind: 'network', name: 'web' },
      { kind: 'container', name: ID },
    ],
    undefined,
    undefined,
  ],
  decision: ['allow', 'allow', 'allow', 'deny', 'error'],
} as const;

const CONDITIONS: readonly AuditConditions[] = [
  {},
  { subject: 'ci' },
  { tenant: 'red' },
  { tokenId: 't2' },
  { action: 'container.*' },
  { action: 'container' },
  { class: 'read' },
  { code: 'host-field-denied' },
  { rule: 'team/run' },
  { rule: 'team' },
  { rule: 'team/*' },
  { source: '10.0.0.1' },
  { source: '10.0.*' },
  { source: '*' },
  { client: 'DOCKER' },
  { client: '100%' },
  { client: '%' },
  { text: 'WEB2' },
  { text: '_' },
  { resource: 'container/web' },
  { resource: 'web' },
  { resource: 'image/docker.io/library/alpine:latest' },
  { resource: 'docker.io/library/alpine:latest' },
  { resource: 'container/*' },
  { resource: ID },
  { resource: `container/${ID.slice(0, 12)}` },
  { resource: 'ab'.repeat(6) },
  { resource: `sha256:${'ab'.repeat(32)}` },
  { resource: 'nothing' },
  { resource: 'network/web' },
  { resource: 'image/docker.io/library/busybox:latest' },
  { resource: 'cd'.repeat(7) },
  { resource: `container/${'cd'.repeat(7)}` },
  { engine: 'ENGINE:A' },
  { engine: 'ENG' },
  { session: 's1', outcome: 'ok' },
  { outcome: 'not-found' },
  { decision: 'deny' },
  { decision: 'error' },
  { decision: 'allow' },
  { since: 200_000 },
  { until: 900_000 },
  { since: 500_000, until: 600_000, subject: 'ci' },
  { subject: 'ci', tokenId: 't1', action: 'container.*', decision: 'deny' },
  { resource: 'web', rule: 'team', source: '10.*' },
];

const bare = (id: string): string => id.replace(/^sha256:/, '');
const KINDS = new Set(['container', 'image', 'network']);

/** The same words read plainly. */
function matches(c: AuditConditions, row: AuditRow): boolean {
  for (const key of ['subject', 'tenant', 'tokenId', 'class', 'code', 'issuer', 'session', 'outcome'] as const)
    if (c[key] !== undefined && row[key] !== c[key]) return false;
  if (c.decision !== undefined && row.decision !== c.decision) return false;
  if (c.decision === 'deny' && row.outcome === undefined && row.code === 'object-not-found') return false;
  if (
    c.action?.endsWith('.*')
      ? !row.action.startsWith(c.action.slice(0, -1))
      : c.action !== undefined && row.action !== c.action
  )
    return false;
  if (c.engine !== undefined && !row.engine?.startsWith(c.engine)) return false;
  if (c.rule !== undefined) {
    const policy = c.rule.replace(/\/\*$/, '');
    if (policy.includes('/') ? row.rule !== policy : row.rule?.split('/')[0] !== policy) return false;
  }
  if (
    c.source?.endsWith('*')
      ? !row.source?.startsWith(c.source.slice(0, -1))
      : c.source !== undefined && row.source !== c.source
  )
    return false;
  const holds = (text: string | undefined, part: string) => (text ?? '').toLowerCase().includes(part.toLowerCase());
  if (c.client !== undefined && !holds(row.client, c.client)) return false;
  const texts = [
    row.resource,
    row.code,
    row.rule,
    row.client,
    c.shownTextOnly ? String(row.detail?.message ?? '') : JSON.stringify(row.detail ?? {}),
  ];
  if (c.text !== undefined && !texts.some((text) => holds(text, c.text ?? ''))) return false;
  if (c.since !== undefined && row.at < c.since) return false;
  if (c.until !== undefined && row.at > c.until) return false;
  if (c.resource === undefined) return true;
  const [first = '', ...rest] = c.resource.split('/');
  const kind = rest.length > 0 && KINDS.has(first) ? first : undefined;
  const name = kind === undefined ? c.resource : rest.join('/');
  const [ofKind, ...ofName] = (row.resource ?? '').split('/');
  if (kind !== undefined && name === '*') return ofKind === kind;
  const isKind = kind === undefined || ofKind === kind;
  if (isKind && row.resource !== undefined && (ofName.length === 0 ? row.resource : ofName.join('/')) === name)
    return true;
  const isId = /^(sha256:)?[0-9a-f]{12,64}$/.test(name);
  const begins = (id: string | undefined) => isId && bare(id ?? '').startsWith(bare(name));
  if (isKind && begins(row.resourceId)) return true;
  return (row.resources ?? []).some(
    (one) => (kind === undefined || one.kind === kind) && (one.name === name || begins(one.name) || begins(one.id)),
  );
}

const SCOPES: readonly AuditScope[] = [
  { kind: 'all' },
  { kind: 'tenant', tenant: 'red' },
  { kind: 'own', subject: 'ci', tokenId: 't1' },
];

describe('pages of the audit', () => {
  it(
    'hold what a plain reading of all rows finds, in order, once, with and without the index',
    inFolder(async (file) => {
      const next = numbers(7);
      const pick = <T>(values: readonly T[]): T => values[next(values.length)] as T;
      const recorder = await openRecorder(file, { thread: 'inline' });
      const open: AuditEvent[] = [];
      for (let i = 0; i < 1100; i++) {
        const before = next(3) === 0 ? open.shift() : undefined;
        const event: AuditEvent =
          before === undefined
            ? eventOf({
                at: i * 500 + next(5000),
                stage: next(2) === 0 ? 'intent' : 'complete',
                auditId: `0199f2c4-${String(next(90) + 1000)}-7${String(i).padStart(3, '0')}-8000-${String(i).padStart(12, '0')}`,
                ...(Object.fromEntries(
                  Object.entries(OF).map(([key, values]) => [key, pick<unknown>(values)]),
                ) as Partial<AuditEvent>),
                ...(next(4) === 0 ? { detail: { message: `web2 ${i}` } } : {}),
              })
            : {
                ...before,
                at: before.at + next(900),
                stage: 'complete',
                status: 200,
                ...(next(9) === 0 ? { decision: 'deny', code: 'plugin-denied' } : {}),
              };
        recorder.append(event);
        if (event.stage === 'intent') open.push(event);
      }
      await recorder.close();
      const indexed = openReview(file, join(dirname(file), 'audit-review.db'));
      const plain = openReview(file);
      while (indexed.advance()) {}
      const all = plain.audit.list({ limit: 10_000 });
      const byCall = Map.groupBy(all, ({ auditId }) => auditId);
      const read = (review: typeof plain, conditions: AuditConditions, scope: AuditScope, calls: boolean) => {
        const found: string[] = [];
        let before: number | undefined;
        for (let pages = 0; pages < 5000; pages++) {
          const steps = review.pages.page({ conditions, scope, before, limit: 130, calls });
          let step = steps.next();
          while (step.done !== true) step = steps.next();
          for (const { seq, auditId } of step.value.entries) found.push(calls ? auditId : String(seq));
          before = step.value.next;
          if (before === undefined) break;
        }
        return found;
      };
      for (const [n, conditions] of CONDITIONS.entries()) {
        for (const scope of SCOPES.slice(0, Object.keys(conditions).length > 1 || n % 4 === 0 ? 3 : 1)) {
          const within = withinScope(conditions, scope);
          const title = JSON.stringify([conditions, scope]);
          const rows = within === undefined ? [] : all.filter((row) => matches(within, row));
          const wanted = rows.map(({ seq }) => String(seq));
          assert.deepEqual(read(plain, conditions, scope, false), wanted, `rows, plain: ${title}`);
          assert.deepEqual(read(indexed, conditions, scope, false), wanted, `rows, indexed: ${title}`);
          const calls = [...new Set(rows.map(({ auditId }) => auditId))].filter((id) => {
            const call = foldRows((byCall.get(id) ?? []).toReversed());
            return (
              (within?.decision === undefined || call.decision === within.decision) &&
              (within?.code === undefined || call.code === within.code)
            );
          });
          assert.deepEqual(read(plain, conditions, scope, true), calls, `calls, plain: ${title}`);
          assert.deepEqual(read(indexed, conditions, scope, true), calls, `calls, indexed: ${title}`);
        }
      }
      indexed.close();
      plain.close();
    }),
  );

  it(
    'name each call by the shortest beginning of its id that names no other',
    inFolder(async (file) => {
      const recorder = await openRecorder(file, { thread: 'inline' });
      const ids = [
        '0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55',
        '0199f2c4-7d3a-7c12-9b5e-2f1f6f0f4a55',
        '0199f2c4-7d3b-7c12-9b5e-2f1f6f0f4a55',
      ];
      for (const auditId of ids) recorder.append(eventOf({ auditId }));
      await recorder.close();
      const review = openReview(file);
      const steps = review.pages.page({ conditions: {}, scope: { kind: 'all' }, limit: 9, calls: true });
      let step = steps.next();
      while (step.done !== true) step = steps.next();
      assert.deepEqual(
        step.value.entries.map(({ shortId }) => shortId),
        ['0199f2c4-7d3b', '0199f2c4-7d3a-7c12', '0199f2c4-7d3a-7c11'],
      );
      assert.deepEqual(review.audit.startingWith('0199f2c4-7d3a-7c1'), ids.slice(0, 2));
      assert.deepEqual(review.audit.startingWith('0199f2c4-7d3a-7c11'), ids.slice(0, 1));
      review.close();
    }),
  );
});
