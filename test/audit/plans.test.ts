// What the audit's questions cost whatever the log has grown to: by the plan of the database, not by the clock.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { AuditFilter } from '../../src/audit/event.ts';
import type { AuditConditions } from '../../src/audit/filter.ts';
import { ORPHANS } from '../../src/store/audit-log.ts';
import { ANY_SINCE, FIRST_SINCE, openAuditReader, rowsWithin, STARTS_WITH } from '../../src/store/audit-reader.ts';
import { openDatabase } from '../../src/store/database.ts';
import { blocksSql, ReviewIndex } from '../../src/store/review-index.ts';
import { NAMES, stretchSql } from '../../src/store/review-pages.ts';

test('the search of a start for calls without an outcome begins where the last one ended', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-plans-'));
  const { sqlite } = openDatabase(join(folder, 'audit.db'), 'audit');
  const plan = (sqlite.prepare(`EXPLAIN QUERY PLAN ${ORPHANS}`).all(0) as { detail: string }[]).map((o) => o.detail);
  sqlite.close();
  rmSync(folder, { recursive: true });
  assert.ok(plan.includes('SEARCH i USING INTEGER PRIMARY KEY (rowid>?)'), plan.join('\n'));
  assert.ok(!plan.some((step) => step.startsWith('SCAN')), plan.join('\n'));
});

test('a review walks an index from one row to another, sorts nothing and skips what is older', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-plans-'));
  const { sqlite } = openDatabase(join(folder, 'audit.db'), 'audit');
  const db = drizzle(sqlite);
  const explain = (text: string, params: readonly unknown[]): string =>
    (sqlite.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...params) as { detail: string }[])
      .map(({ detail }) => detail)
      .join('; ');
  const planOf = (filter: Omit<AuditFilter, 'limit'>): string => {
    const { sql, params } = rowsWithin(db, { ...filter, limit: 50 }, 1, 50_000, 50).toSQL();
    return explain(sql, params);
  };
  const plans: readonly [Omit<AuditFilter, 'limit'>, string][] = [
    [{}, 'INTEGER PRIMARY KEY (rowid>? AND rowid<?)'],
    [{ since: 1 }, 'INTEGER PRIMARY KEY (rowid>? AND rowid<?)'],
    [{ since: 1, action: 'container.*', oldestFirst: true }, 'INTEGER PRIMARY KEY (rowid>? AND rowid<?)'],
    [{ decision: 'allow' }, 'INTEGER PRIMARY KEY (rowid>? AND rowid<?)'],
    [{ tenant: 'red' }, 'INDEX audit_tenant (tenant=? AND seq>? AND seq<?)'],
    [{ tenant: 'red', since: 1, oldestFirst: true }, 'INDEX audit_tenant (tenant=? AND seq>? AND seq<?)'],
    [{ subject: 'ci', since: 1 }, 'INDEX audit_subject (subject=? AND seq>? AND seq<?)'],
    [{ decision: 'deny', since: 1 }, 'INDEX audit_denied (seq>? AND seq<?)'],
  ];
  const seen = plans.map(([filter]) => planOf(filter));
  const times = [explain(ANY_SINCE, [1]), explain(FIRST_SINCE, [1])];
  sqlite.close();
  rmSync(folder, { recursive: true });
  assert.deepEqual(
    seen,
    plans.map(([, plan]) => `SEARCH audit_event USING ${plan}`),
  );
  for (const plan of times) assert.equal(plan, 'SEARCH audit_event USING COVERING INDEX audit_at (at>?)');
});

test('a review since a moment finds rows that a clock that was set back wrote before later ones', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-plans-'));
  const file = join(folder, 'audit.db');
  const { sqlite } = openDatabase(file, 'audit');
  // Three rows of a clock that was ahead, then 120,000 of the right one.
  sqlite.exec(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
     INSERT INTO audit_event (seq, at, audit_id, stage, action, decision, detail, prev, hash)
     SELECT i, CASE WHEN i < 4 THEN 9000000 ELSE 0 END + i, 'a', 'complete', 'x', 'allow', '{}', x'', x'' FROM n`,
  );
  sqlite.close();
  const reader = openAuditReader(file);
  const seqs = (since: number, oldestFirst = false) =>
    reader.list({ since, oldestFirst, limit: 5 }).map(({ seq }) => seq);
  assert.deepEqual(seqs(120_000), [120_000, 3, 2, 1]);
  assert.deepEqual(seqs(120_000, true), [1, 2, 3, 120_000]);
  assert.deepEqual(seqs(9_000_003), [3]);
  assert.deepEqual(seqs(9_000_004), []);
  reader.close();
  rmSync(folder, { recursive: true });
});

test('a page walks rows by number, and its index by value, whatever is asked', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-plans-'));
  const { sqlite } = openDatabase(join(folder, 'audit.db'), 'audit');
  const indexFile = join(folder, 'audit-review.db');
  new ReviewIndex(indexFile, sqlite).close();
  const index = new Database(indexFile, { readonly: true });
  const planOf = (db: Database.Database, sql: string, params: readonly unknown[]): string[] =>
    (db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...params) as { detail: string }[])
      .map(({ detail }) => detail)
      .filter(
        (detail) =>
          !/^(CORRELATED|COMPOUND|LEFT-MOST|UNION|CO-ROUTINE|MULTI-INDEX|INDEX \d|MERGE|LEFT$|RIGHT$)/.test(detail),
      );
  const filters: readonly AuditConditions[] = [
    {},
    { subject: 'ci' },
    { tenant: 'red', decision: 'deny' },
    { tokenId: 't', since: 1, until: 9 },
    { action: 'container.*', class: 'write', source: '10.*' },
    { rule: 'team', code: 'x', client: 'docker', text: 'x' },
    { resource: 'container/web' },
    { resource: 'c0ffee0c0ffee' },
    { engine: 'E', session: 's', outcome: 'cut', since: 5 },
  ];
  for (const conditions of filters) {
    const title = JSON.stringify(conditions);
    for (const calls of [false, true]) {
      const { sql, params } = stretchSql(conditions, calls);
      const steps = planOf(sqlite, sql, [1, 512, ...params, 50]);
      const first = calls
        ? /^SEARCH e USING (INTEGER PRIMARY KEY \(rowid>\? AND rowid<\?\)|INDEX audit_\w+ \(.*(seq|rowid)>\? AND (seq|rowid)<\?\))$/
        : /^SEARCH e /;
      assert.match(steps[0] ?? '', first, title);
      for (const step of steps)
        assert.match(
          step,
          /^SEARCH (e USING (INTEGER PRIMARY KEY|INDEX)|l USING (COVERING )?INDEX audit_call \(audit_id=\? AND (seq|rowid)>\?\)|n USING (COVERING )?INDEX audit_name_name|r USING PRIMARY KEY \(name_no=\? AND seq=\?\)|MULTI-INDEX)/,
          `${title}: ${steps.join('; ')}`,
        );
    }
    const { sql, params } = blocksSql(conditions, 100, 64);
    for (const step of planOf(index, sql, params)) {
      // A part of a client's name looks at the clients there are, each as often as there are blocks.
      if (step.startsWith('SCAN') || step.startsWith('USE TEMP')) continue;
      assert.match(
        step,
        /^SEARCH (term|o|b)( EXISTS)? USING (PRIMARY KEY \(kind=\?|INTEGER PRIMARY KEY)/,
        `${title}: ${step}`,
      );
    }
  }
  for (const [sql, params] of [
    [NAMES, ['container', 'x']],
    [STARTS_WITH, ['a', 'b']],
  ] as const)
    for (const step of planOf(sqlite, sql, params)) assert.doesNotMatch(step, /^SCAN/);
  index.close();
  sqlite.close();
  rmSync(folder, { recursive: true });
});
