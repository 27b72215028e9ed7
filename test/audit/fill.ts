// A log with as many rows as a test needs, sooner than the recorder writes them. They are not chained.
import { openDatabase } from '../../src/store/database.ts';

/** Outcomes of `container.list`, one microsecond apart. @param file an audit.db, which is made when it is not there */
export function fillAudit(file: string, count: number): void {
  const { sqlite } = openDatabase(file, 'audit');
  sqlite.exec(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
     INSERT INTO audit_event (seq, at, audit_id, stage, subject, tenant, action, decision, detail, prev, hash)
     SELECT i, 1000000 + i, 'filled-' || i, 'complete', 'ci', 'red', 'container.list', 'allow', '{}', zeroblob(32), zeroblob(32) FROM n`,
  );
  sqlite.close();
}
