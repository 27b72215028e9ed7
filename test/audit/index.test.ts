// Rows found by any object they name: by name, by id, by what it is also known as, and in a log of the release before.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import type { AuditEvent } from '../../src/audit/event.ts';
import { verifyChain } from '../../src/store/audit-reader.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { eventOf, fullEvent, inFolder } from './events.ts';

const WEB = 'a1'.repeat(32);
const AGAIN = 'b2'.repeat(32);

const EVENTS: readonly AuditEvent[] = [
  eventOf({
    resource: 'container/web',
    resources: [
      { kind: 'image', name: 'docker.io/library/alpine:3', id: 'sha256:f00d', at: 'Image' },
      { kind: 'volume', name: 'data', at: 'HostConfig.Binds[0]' },
    ],
  }),
  eventOf({
    stage: 'complete',
    resource: 'container/web',
    resources: [{ kind: 'container', name: 'web', id: WEB, at: 'answer' }],
  }),
  eventOf({ resource: `container/${WEB}`, resourceId: WEB, action: 'container.start' }),
  eventOf({ resource: 'container/web', resourceId: WEB, action: 'container.stop' }),
  // Its outcome, and the head of a stream, are found by way of the first row.
  eventOf({ stage: 'complete', resource: 'container/web', resourceId: WEB, action: 'container.stop' }),
  eventOf({ stage: 'stream-open', resource: 'container/web', action: 'container.logs' }),
  eventOf({ stage: 'complete', decision: 'deny', resource: 'container/web', action: 'container.kill' }),
  eventOf({ resource: 'container', action: 'container.list' }),
  eventOf({ resource: 'volume/web', action: 'volume.remove' }),
  eventOf({ resource: 'container/web', resourceId: AGAIN, action: 'container.inspect' }),
  eventOf({ stage: 'gateway', resource: 'identity/web', action: 'identity.disable' }),
];

/** Columns of that release, and rows of it: the line of each is the array of all of them. */
function writeOldRows(raw: Database.Database, count: number): void {
  const columns =
    'at stage audit_id subject issuer tenant token_id source client action operation_id class api_version resource resource_id decision code rule policy_rev status duration_us bytes_in bytes_out detail'.split(
      ' ',
    );
  raw.prepare("INSERT INTO audit_meta (key, value) VALUES ('log-id', 'old')").run();
  const insert = raw.prepare(
    `INSERT INTO audit_event (seq, ${columns.join(', ')}, prev, hash) VALUES (?${', ?'.repeat(columns.length + 2)})`,
  );
  let prev = createHash('sha256').update('dockgate audit log old').digest();
  for (let seq = 1; seq <= count; seq++) {
    const values: (string | number | null)[] = columns.map((name) =>
      name === 'at' ? seq : ['stage', 'audit_id', 'action', 'decision'].includes(name) ? 'complete' : null,
    );
    values[13] = 'container/web';
    values[23] = '{}';
    const hash = createHash('sha256')
      .update(prev)
      .update(`${seq}\n${JSON.stringify(values)}`)
      .digest();
    insert.run(seq, ...values, prev, hash);
    prev = hash;
  }
}

const seqsOf = (raw: Database.Database, kind: string, name: string): number[] =>
  raw
    .prepare(
      `SELECT seq FROM audit_resource WHERE name_no = (SELECT name_no FROM audit_name WHERE name = ? AND kind = ?)
       ORDER BY seq`,
    )
    .pluck()
    .all(name, kind) as number[];

for (const thread of ['worker', 'inline'] as const) {
  describe(`the audit's index of resources, its writer ${thread === 'worker' ? 'in a thread' : 'inline'}`, () => {
    it(
      'finds first rows and what outcomes tell by name and by id, each kind apart',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        for (const event of EVENTS) await recorder.record(event);
        await recorder.close();
        const raw = new Database(file, { readonly: true });
        const cases: readonly [string, string, readonly number[]][] = [
          ['container', 'web', [1, 2, 4, 7, 10]],
          ['container', WEB, [2, 3, 4]],
          ['container', AGAIN, [10]],
          ['container', 'we', []],
          ['image', 'docker.io/library/alpine:3', [1]],
          ['image', 'sha256:f00d', [1]],
          ['volume', 'data', [1]],
          ['volume', 'web', [9]],
          ['identity', 'web', [11]],
          ['container', '', []],
        ];
        for (const [kind, name, wanted] of cases) assert.deepEqual(seqsOf(raw, kind, name), wanted, `${kind}/${name}`);
        const aliases = raw
          .prepare(
            `SELECT i.name AS id, n.name, first_seq AS first FROM audit_alias
             JOIN audit_name AS i ON i.name_no = id_no JOIN audit_name AS n ON n.name_no = audit_alias.name_no ORDER BY 3`,
          )
          .all();
        assert.deepEqual(aliases, [
          { id: 'sha256:f00d', name: 'docker.io/library/alpine:3', first: 1 },
          { id: WEB, name: 'web', first: 2 },
          { id: AGAIN, name: 'web', first: 10 },
        ]);
        raw.close();
        assert.deepEqual(verifyChain(file), { ok: true, rows: EVENTS.length });
      }),
    );
    it(
      'is right after a group that could not be written and took new names with it',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        await recorder.record(eventOf({ resource: 'container/first' }));
        const blocker = new Database(file);
        blocker.exec(
          "CREATE TRIGGER full BEFORE INSERT ON audit_resource WHEN NEW.name_no > 1 BEGIN SELECT RAISE(ABORT, 'no room'); END",
        );
        await assert.rejects(recorder.record(eventOf({ resource: 'container/lost' })));
        blocker.exec('DROP TRIGGER full');
        await recorder.record(eventOf({ resource: 'container/other' }));
        await recorder.record(eventOf({ resource: 'container/lost' }));
        await recorder.close();
        assert.deepEqual(
          ['first', 'other', 'lost'].map((name) => seqsOf(blocker, 'container', name)),
          [[1], [2], [3]],
        );
        blocker.close();
      }),
    );
    it(
      'holds some hundred objects of one call, and tells how many more there were',
      inFolder(async (file) => {
        const recorder = await openRecorder(file, { thread });
        const many = (count: number, name: string) =>
          Array.from({ length: count }, (_, i) => ({ kind: 'container', name: `${name}${i}`, at: `Links[${i}]` }));
        await recorder.record(eventOf({ resource: 'container/web', resources: many(400, 'peer-') }));
        await recorder.record(eventOf({ resource: 'container/web', resources: many(5000, '\u0001"\\漢'.repeat(100)) }));
        await recorder.close();
        const raw = new Database(file, { readonly: true });
        assert.deepEqual(seqsOf(raw, 'container', 'peer-399'), [1]);
        const stored = raw.prepare('SELECT resources FROM audit_event WHERE seq = 2').pluck().get() as string;
        raw.close();
        const all = JSON.parse(stored) as { more?: number }[];
        assert.equal(all.length - 1 + (all.at(-1)?.more ?? 0), 5000);
        assert.deepEqual(verifyChain(file), { ok: true, rows: 2 });
      }),
    );
  });
}

it('the questions to the index of resources walk a key and sort nothing', async () => {
  await inFolder(async (file) => {
    await (await openRecorder(file, { thread: 'inline' })).close();
    const raw = new Database(file, { readonly: true });
    const planOf = (text: string) =>
      (raw.prepare(`EXPLAIN QUERY PLAN ${text}`).all() as { detail: string }[]).map((step) => step.detail).join('; ');
    const plans = [
      "SELECT name_no FROM audit_name WHERE name = 'web' AND kind = 'container'",
      "SELECT name_no FROM audit_name WHERE name >= '0f3a' AND name < '0f3b'",
      'SELECT id_no, first_seq FROM audit_alias WHERE name_no = 1',
      'SELECT seq FROM audit_resource WHERE name_no = 1 AND seq < 9 ORDER BY seq DESC LIMIT 50',
    ].map(planOf);
    raw.close();
    assert.deepEqual(plans, [
      'SEARCH audit_name USING COVERING INDEX audit_name_name (name=? AND kind=?)',
      'SEARCH audit_name USING COVERING INDEX audit_name_name (name>? AND name<?)',
      'SEARCH audit_alias USING INDEX audit_alias_name (name_no=?)',
      'SEARCH audit_resource USING PRIMARY KEY (name_no=? AND seq<?)',
    ]);
  })();
});

it('a log of the release before opens, keeps its chain, and says from where on there is an index', async () => {
  await inFolder(async (file, folder) => {
    // Its migrations alone, and rows as that release wrote them.
    const from = fileURLToPath(new URL('../../migrations/audit', import.meta.url));
    const old = join(folder, 'migrations');
    mkdirSync(join(old, 'meta'), { recursive: true });
    const journal = JSON.parse(readFileSync(join(from, 'meta/_journal.json'), 'utf8')) as {
      entries: { tag: string }[];
    };
    const entries = journal.entries.filter(({ tag }) => tag < '0007');
    writeFileSync(join(old, 'meta/_journal.json'), JSON.stringify({ ...journal, entries }));
    for (const name of readdirSync(from)) if (name.endsWith('.sql')) copyFileSync(join(from, name), join(old, name));
    const raw = new Database(file);
    migrate(drizzle(raw), { migrationsFolder: old });
    writeOldRows(raw, 25);
    raw.close();
    const recorder = await openRecorder(file);
    await recorder.record(fullEvent());
    await recorder.close();
    assert.deepEqual(verifyChain(file), { ok: true, rows: 26 });
    const now = new Database(file, { readonly: true });
    assert.equal(now.prepare("SELECT value FROM audit_meta WHERE key = 'indexed-after'").pluck().get(), '25');
    assert.deepEqual(seqsOf(now, 'container', 'web'), [26]);
    now.close();
  })();
});
