// What the audit's questions cost whatever the log has grown to: by the plan of the database, not by the clock.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ORPHANS } from '../../src/store/audit-log.ts';
import { openDatabase } from '../../src/store/database.ts';

test('the search of a start for calls without an outcome begins where the last one ended', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-plans-'));
  const { sqlite } = openDatabase(join(folder, 'audit.db'), 'audit');
  const plan = (sqlite.prepare(`EXPLAIN QUERY PLAN ${ORPHANS}`).all(0) as { detail: string }[]).map((o) => o.detail);
  sqlite.close();
  rmSync(folder, { recursive: true });
  assert.ok(plan.includes('SEARCH i USING INTEGER PRIMARY KEY (rowid>?)'), plan.join('\n'));
  assert.ok(!plan.some((step) => step.startsWith('SCAN')), plan.join('\n'));
});
