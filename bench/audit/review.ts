// node bench/audit/review.ts [ROWS] [FOLDER]: what a reviewer waits for. Fills an audit.db with a mixture like a busy gateway's (one
// million rows unless told otherwise), takes it into the index, then asks each question twenty times. In ms, on this machine as it is.
import { existsSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { AuditConditions } from '../../src/audit/filter.ts';
import { AuditIndex } from '../../src/store/audit-index.ts';
import { COLUMNS, type ColumnValue, encodeEvent } from '../../src/store/audit-row.ts';
import { openDatabase } from '../../src/store/database.ts';
import { openReview, type Review } from '../../src/store/review.ts';

const ROWS = Number(process.argv[2] ?? 1_000_000);
const folder = process.argv[3] ?? mkdtempSync(join(tmpdir(), 'dg-bench-review-'));
const auditFile = join(folder, 'audit.db');
const indexFile = join(folder, 'audit-review.db');
const ROUNDS = 20;
/** The log covers thirty days. */
const START_US = (Date.now() - 30 * 86_400_000) * 1000;
const STEP_US = Math.floor((30 * 86_400_000_000) / ROWS);

const hex = (n: number, length = 64): string =>
  Math.imul(n + 1, 2_654_435_761)
    .toString(16)
    .replace('-', '')
    .padStart(8, '0')
    .repeat(8)
    .slice(0, length);
const containerOf = (i: number): string => `web-${Math.floor(i / 97) % 20_000}`;

function fill(): void {
  const { sqlite } = openDatabase(auditFile, 'audit');
  const insert = sqlite.prepare(
    `INSERT INTO audit_event (seq, ${COLUMNS.join(', ')}, prev, hash) VALUES (?${', ?'.repeat(COLUMNS.length + 2)})`,
  );
  const names = new AuditIndex(sqlite);
  const zero = Buffer.alloc(32);
  sqlite.pragma('synchronous = OFF');
  for (let from = 0; from < ROWS; from += 50_000) {
    sqlite.exec('BEGIN');
    for (let i = from; i < Math.min(ROWS, from + 50_000); i++) {
      const call = i >> 1;
      const isIntent = i % 2 === 0;
      const at = START_US + i * STEP_US;
      const ms = Math.floor(at / 1000)
        .toString(16)
        .padStart(12, '0');
      const isDenied = !isIntent && call % 23 === 0;
      const name = containerOf(call);
      const isRead = call % 3 !== 0;
      const line = encodeEvent({
        at,
        stage: isIntent ? 'intent' : 'complete',
        auditId: `${ms.slice(0, 8)}-${ms.slice(8)}-7${String(call % 1000).padStart(3, '0')}-8000-${String(call).padStart(12, '0')}`,
        subject: call % 5003 === 0 ? 'rare' : `ci-${call % 40}`,
        issuer: 'https://dockgate.local',
        tenant: call % 4 === 0 ? undefined : `tenant-${call % 12}`,
        tokenId: call % 100_003 === 7 ? 'token-rare' : `token-${call % 400}`,
        source: `10.0.${call % 8}.${call % 200}`,
        client: call % 9 === 0 ? 'docker-java/3.4' : 'Docker-Client/27.1.1 (linux)',
        action: isRead
          ? call % 2 === 0
            ? 'container.list'
            : 'container.inspect'
          : call % 2 === 0
            ? 'container.create'
            : 'container.exec.start',
        class: isRead ? 'read' : 'write',
        apiVersion: '1.47',
        resource: call % 2 === 0 && isRead ? 'container' : `container/${name}`,
        resourceId: call % 2 === 0 && isRead ? undefined : hex(Math.floor(call / 97)),
        decision: isDenied ? 'deny' : 'allow',
        code: isDenied ? (call % 46 === 0 ? 'host-field-denied' : 'operation-not-allowed') : undefined,
        rule: `team-${call % 30}/run`,
        policyRev: 'r12',
        status: isIntent ? undefined : isDenied ? 403 : 200,
        durationUs: isIntent ? undefined : 4200,
        outcome: isIntent ? undefined : isDenied ? 'not-sent' : 'ok',
        engine: isIntent ? 'ENGINE:0' : undefined,
        ...(isIntent && !isRead
          ? { resources: [{ kind: 'image', name: `docker.io/library/app-${call % 60}:latest`, at: 'Image' }] }
          : {}),
        detail: isDenied
          ? { message: 'denied by policy', field: `HostConfig.Binds[${call % 3}]` }
          : isIntent && !isRead
            ? {
                body: {
                  Image: `app-${call % 60}`,
                  Cmd: ['true'],
                  Env: ['A=hmac:0011'],
                  HostConfig: { NetworkMode: 'none', Memory: 1e8 },
                },
              }
            : {},
      });
      const values = JSON.parse(line) as ColumnValue[];
      while (values.length < COLUMNS.length) values.push(null);
      insert.run([i + 1, ...values, zero, zero]);
      names.add(i + 1, values);
    }
    sqlite.exec('COMMIT');
  }
  sqlite.pragma('wal_checkpoint(TRUNCATE)');
  sqlite.close();
}

const ms = (value: number): string => value.toFixed(1).padStart(8);
const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
const drain = <T>(steps: Generator<undefined, T>): T => {
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
};
function measure(name: string, ask: () => number): void {
  const times: number[] = [];
  let found = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    found = ask();
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  console.log(
    `${name.padEnd(44)} ${ms(quantile(times, 0.5))} ${ms(quantile(times, 0.95))} ${String(found).padStart(6)}`,
  );
}

const last = (hours: number): number => (Date.now() - hours * 3_600_000) * 1000;
const PAGES: readonly (readonly [string, AuditConditions])[] = [
  ['no filter', {}],
  ['subject, common', { subject: 'ci-7' }],
  ['subject, rare', { subject: 'rare' }],
  ['subject, none', { subject: 'nobody' }],
  ['tenant', { tenant: 'tenant-3' }],
  ['token, common', { tokenId: 'token-17' }],
  ['token, rare', { tokenId: 'token-rare' }],
  ['action, a family', { action: 'container.exec.*' }],
  ['class', { class: 'write' }],
  ['resource by name', { resource: 'container/web-77' }],
  ['resource by id', { resource: hex(77).slice(0, 12) }],
  ['resource beside the main one', { resource: 'image/docker.io/library/app-7:latest' }],
  ['resource, none', { resource: 'container/none' }],
  ['decision deny', { decision: 'deny' }],
  ['code', { code: 'host-field-denied' }],
  ['rule', { rule: 'team-7/run' }],
  ['policy', { rule: 'team-7' }],
  ['source', { source: '10.0.3.3' }],
  ['source, a net', { source: '10.0.3.*' }],
  ['client', { client: 'docker-java' }],
  ['engine', { engine: 'ENGINE' }],
  ['since an hour', { since: last(1) }],
  ['three minutes two weeks ago', { since: last(336), until: last(336) + 180_000_000 }],
  ['subject and denied, two weeks ago', { subject: 'ci-7', decision: 'deny', until: last(336) }],
  ['two that never meet', { subject: 'rare', tokenId: 'token-1' }],
  ['text, common', { text: 'app-7' }],
  ['text, none (a slice of the search)', { text: 'nothing has this' }],
];

function ask(review: Review): void {
  for (const [name, conditions] of PAGES)
    measure(
      name,
      () => drain(review.pages.page({ conditions, scope: { kind: 'all' }, limit: 50, calls: true })).entries.length,
    );
  measure(
    'a tenant reads its own, by code',
    () =>
      drain(
        review.pages.page({
          conditions: { code: 'host-field-denied' },
          scope: { kind: 'tenant', tenant: 'tenant-3' },
          limit: 50,
          calls: true,
        }),
      ).entries.length,
  );
  measure(
    'timeline of a container',
    () =>
      drain(review.reports.timeline({ resource: 'container/web-77', scope: { kind: 'all' }, limit: 200 })).calls.length,
  );
  measure(
    'denials of a day by rule, subject, field',
    () =>
      drain(
        review.reports.count({
          conditions: { decision: 'deny', since: last(24) },
          scope: { kind: 'all' },
          by: ['rule', 'subject', 'field'],
          limit: 50,
        }),
      ).groups.length,
  );
  measure(
    'calls of a day by hour, subject',
    () =>
      drain(
        review.reports.count({
          conditions: { since: last(24) },
          scope: { kind: 'all' },
          by: ['hour', 'subject'],
          limit: 50,
        }),
      ).groups.length,
  );
  measure('what is unused', () => drain(review.reports.uses(0)).rules.length);
}

if (!existsSync(auditFile)) {
  const began = performance.now();
  fill();
  console.log(`filled ${ROWS} rows in ${((performance.now() - began) / 1000).toFixed(1)} s: ${folder}`);
}
const review = openReview(auditFile, indexFile);
const began = performance.now();
while (review.advance()) {}
const size = (file: string): string => `${(statSync(file).size / 2 ** 20).toFixed(0)} MiB`;
console.log(
  `index: ${((performance.now() - began) / 1000).toFixed(1)} s, ${size(indexFile)} beside ${size(auditFile)}`,
);
console.log(`${'first page of 50'.padEnd(44)} ${'p50'.padStart(8)} ${'p95'.padStart(8)} ${'found'.padStart(6)}`);
ask(review);
review.close();
