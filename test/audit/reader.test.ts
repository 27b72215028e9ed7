// Review of the log: every filter with its nearest neighbour left out, newest first.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import Database from 'better-sqlite3';
import type { AuditFilter } from '../../src/audit/event.ts';
import { openAuditReader } from '../../src/store/audit-reader.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { eventOf, inFolder } from './events.ts';

const EVENTS = [
  eventOf({ at: 100, subject: 'ci', tenant: 'red', action: 'container.create' }),
  eventOf({ at: 200, subject: 'ci', tenant: 'red', action: 'container.exec.create', decision: 'deny' }),
  eventOf({ at: 300, subject: 'ci2', tenant: 'red', action: 'containers.create' }),
  eventOf({ at: 400, subject: 'ci2', tenant: 'blue', action: 'container', decision: 'unauthenticated' }),
  eventOf({ at: 500, action: 'Container.create', decision: 'error' }),
  eventOf({ at: 600, subject: 'ci', tenant: 'redder', action: 'container_x' }),
];

const cases: readonly [string, Omit<AuditFilter, 'limit'> & { limit?: number }, readonly number[]][] = [
  ['nothing asked: all, newest first', {}, [6, 5, 4, 3, 2, 1]],
  ['a limit', { limit: 2 }, [6, 5]],
  ['a limit of none', { limit: 0 }, []],
  ['a subject, not those that begin with it', { subject: 'ci' }, [6, 2, 1]],
  ['an unknown subject', { subject: 'c%' }, []],
  ['a tenant, not those that begin with it', { tenant: 'red' }, [3, 2, 1]],
  ['one action, not those that begin with it', { action: 'container' }, [4]],
  ['a family, at every depth, and nothing that merely begins alike', { action: 'container.*' }, [2, 1]],
  ['a family within one', { action: 'container.exec.*' }, [2]],
  ['a decision', { decision: 'deny' }, [2]],
  ['a time, inclusive', { since: 400 }, [6, 5, 4]],
  ['a time just after', { since: 401 }, [6, 5]],
  ['rows after one', { afterSeq: 4 }, [6, 5]],
  [
    'everything at once',
    { subject: 'ci', tenant: 'red', action: 'container.*', since: 150, afterSeq: 1, decision: 'deny' },
    [2],
  ],
];

describe('openAuditReader()', () => {
  for (const [title, filter, wanted] of cases) {
    it(
      `lists by ${title}`,
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread: 'inline' });
        for (const event of EVENTS) recorder.append(event);
        await recorder.close();
        const reader = openAuditReader(file);
        assert.deepEqual(
          reader.list({ limit: 100, ...filter }).map((row) => row.seq),
          wanted,
        );
        reader.close();
      }),
    );
  }
  it(
    'gives the rows of one call in order, and none of an unknown id',
    inFolder(async (file) => {
      const recorder = await openRecorder(file, { thread: 'inline' });
      const call = eventOf();
      for (const event of [
        call,
        eventOf(),
        { ...call, stage: 'stream-open' as const },
        { ...call, stage: 'complete' as const },
      ]) {
        recorder.append(event);
      }
      await recorder.close();
      const reader = openAuditReader(file);
      assert.deepEqual(
        reader.byAuditId(call.auditId).map((row) => row.stage),
        ['intent', 'stream-open', 'complete'],
      );
      assert.deepEqual(reader.byAuditId('x'), []);
      reader.close();
    }),
  );
  it(
    'looks up subjects, calls and denials by an index',
    inFolder(async (file) => {
      await (await openRecorder(file, { thread: 'inline' })).close();
      const raw = new Database(file, { readonly: true });
      const planOf = (where: string) =>
        (
          raw
            .prepare(`EXPLAIN QUERY PLAN SELECT * FROM audit_event WHERE ${where} ORDER BY seq DESC LIMIT 50`)
            .all() as { detail: string }[]
        )
          .map((step) => step.detail)
          .join('; ');
      assert.match(planOf("subject = 'ci'"), /USING INDEX audit_subject/);
      assert.match(planOf("audit_id = 'x'"), /USING INDEX audit_call/);
      // As the reader asks; without the second half SQLite reads every row.
      assert.match(planOf("decision = 'deny' AND decision <> 'allow'"), /USING INDEX audit_denied/);
      raw.close();
    }),
  );
});
