// Counts, timelines and last uses against a plain reading of all rows, with the index and without it.
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import type { AuditEvent, AuditRow } from '../../src/audit/event.ts';
import type { AuditConditions, AuditScope } from '../../src/audit/filter.ts';
import type { CountedBy } from '../../src/audit/reports.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { openReview } from '../../src/store/review.ts';
import { eventOf, inFolder } from './events.ts';

const drain = <T>(steps: Generator<undefined, T>): T => {
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
};

const HOUR_US = 3_600_000_000;
const CALLS = 900;

/** Calls with an intent and an outcome; each seventh is refused, in one row. */
function* traffic(): Generator<AuditEvent> {
  for (let i = 0; i < CALLS; i++) {
    const at = i * 40_000_000;
    const isDenied = i % 7 === 0;
    const base = {
      at,
      auditId: `call-${String(i).padStart(6, '0')}`,
      subject: ['ci', 'ann', 'bob'][i % 3] as string,
      ...(i % 3 === 0 ? { tenant: 'red' } : {}),
      action: i % 2 === 0 ? 'container.create' : 'image.pull',
      rule: `team/${i % 5}`,
      resource: `container/c${i % 11}`,
    };
    if (isDenied) {
      const detail = i % 2 === 0 ? { field: 'HostConfig.Binds[0]' } : {};
      yield eventOf({
        ...base,
        stage: 'complete',
        decision: 'deny',
        code: 'host-field-denied',
        status: 403,
        outcome: 'not-sent',
        detail,
      });
      continue;
    }
    yield eventOf({
      ...base,
      stage: 'intent',
      engine: i < 300 ? 'E1' : 'E2',
      detail: { body: { Image: `app-${i % 4}` } },
    });
    yield eventOf({
      ...base,
      at: at + 500,
      stage: 'complete',
      status: i % 10 === 3 ? 404 : 200,
      outcome: i % 10 === 3 ? 'not-found' : 'ok',
    });
  }
}

const QUESTIONS: readonly (readonly [
  AuditConditions,
  readonly CountedBy[],
  (row: AuditRow, call: readonly AuditRow[]) => boolean,
])[] = [
  [{}, ['subject'], () => true],
  [{}, ['hour', 'decision'], () => true],
  [{ decision: 'deny' }, ['rule', 'subject', 'field'], (row) => row.decision === 'deny'],
  [
    { subject: 'ci', action: 'image.*' },
    ['action', 'outcome', 'status'],
    (row) => row.subject === 'ci' && row.action === 'image.pull',
  ],
  [
    { since: 9_000_000_000, until: 20_000_000_000 },
    ['subject', 'code'],
    (row) => row.at >= 9_000_000_000 && row.at <= 20_000_000_000,
  ],
  [{ resource: 'container/c3' }, ['resource'], (row) => row.resource === 'container/c3'],
  // What stands in the first row of a call alone.
  [{ engine: 'E1' }, ['subject'], (_row, call) => call[0]?.engine === 'E1'],
  [{ text: 'app-2' }, ['subject', 'action'], (_row, call) => JSON.stringify(call[0]?.detail ?? {}).includes('app-2')],
];
const SCOPES: readonly AuditScope[] = [
  { kind: 'all' },
  { kind: 'tenant', tenant: 'red' },
  { kind: 'own', subject: 'ann' },
];
const isSeen = (scope: AuditScope, row: AuditRow): boolean =>
  scope.kind === 'all' || (scope.kind === 'tenant' ? row.tenant === scope.tenant : row.subject === scope.subject);

const groupOf = (row: AuditRow, by: CountedBy): unknown => {
  if (by === 'hour') return Math.floor(row.at / HOUR_US) * HOUR_US;
  if (by === 'field') return row.detail?.field ?? null;
  return row[by as keyof AuditRow] ?? null;
};

describe('reports of the audit', () => {
  it(
    'count what a plain reading of all rows counts, each call once',
    inFolder(async (file) => {
      const recorder = await openRecorder(file, { thread: 'inline' });
      for (const event of traffic()) recorder.append(event);
      await recorder.close();
      const indexed = openReview(file, join(dirname(file), 'audit-review.db'));
      const plain = openReview(file);
      while (indexed.advance()) {}
      const all = plain.audit.list({ limit: 10_000, oldestFirst: true });
      const byCall = Map.groupBy(all, ({ auditId }) => auditId);
      for (const [conditions, by, matches] of QUESTIONS) {
        for (const scope of SCOPES) {
          // The text of a body is not shown to all, so it is not found by them.
          const isHidden = conditions.text !== undefined && scope.kind !== 'all';
          const wanted = new Map<string, number>();
          for (const row of all) {
            if (
              row.stage !== 'complete' ||
              !isSeen(scope, row) ||
              isHidden ||
              !matches(row, byCall.get(row.auditId) ?? [])
            )
              continue;
            const key = JSON.stringify(by.map((one) => groupOf(row, one)));
            wanted.set(key, (wanted.get(key) ?? 0) + 1);
          }
          for (const [name, review] of [
            ['plain', plain],
            ['indexed', indexed],
          ] as const) {
            const { groups, more } = drain(review.reports.count({ conditions, scope, by, limit: 1000 }));
            const found = new Map(groups.map(({ values, calls }) => [JSON.stringify(values), calls]));
            assert.deepEqual(
              [...found].sort(),
              [...wanted].sort(),
              `${name}: ${JSON.stringify([conditions, by, scope])}`,
            );
            assert.equal(more, 0);
          }
        }
      }
      const few = drain(indexed.reports.count({ conditions: {}, scope: { kind: 'all' }, by: ['rule'], limit: 2 }));
      assert.deepEqual([few.groups.length, few.more], [2, 3]);
      for (const review of [plain, indexed]) {
        const { rules, actions, logSince } = drain(review.reports.uses(0));
        const last = (of: (row: AuditRow) => boolean): number => Math.max(...all.filter(of).map(({ at }) => at));
        assert.deepEqual(
          [...rules].sort(),
          [0, 1, 2, 3, 4].map((n) => [`team/${n}`, last(({ rule }) => rule === `team/${n}`)]),
        );
        assert.equal(actions.length, 6);
        for (const [subject, action, at] of actions)
          assert.equal(
            at,
            last((row) => row.subject === subject && row.action === action && row.decision === 'allow'),
          );
        assert.equal(logSince, 0);
      }
      indexed.close();
      plain.close();
    }),
  );

  it(
    'an index of another log, of an older format or cut off is made anew, and never hides a row',
    inFolder(async (file) => {
      const index = join(dirname(file), 'audit-review.db');
      const page = (review: ReturnType<typeof openReview>) =>
        drain(review.pages.page({ conditions: { subject: 'late' }, scope: { kind: 'all' }, limit: 9, calls: true }))
          .entries.length;
      const write = async (to: string, count: number, last: string) => {
        const recorder = await openRecorder(to, { thread: 'inline' });
        for (let i = 0; i < count; i++)
          recorder.append(eventOf({ at: i, auditId: `a-${i}`, subject: i === count - 1 ? last : 'x' }));
        await recorder.close();
      };
      await write(file, 1200, 'early');
      const first = openReview(file, index);
      while (first.advance()) {}
      first.close();
      // Another log in the place of the first, with what is looked for where the index knows nothing of it.
      const other = join(dirname(file), 'other.db');
      await write(other, 600, 'late');
      const second = openReview(other, index);
      assert.equal(page(second), 1);
      while (second.advance()) {}
      assert.equal(page(second), 1);
      second.close();
    }),
  );
});
