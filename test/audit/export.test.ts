// What leaves the log and comes back: segments that third parties verify, events in each form, and databases made of segments.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import type { ExportQuestion } from '../../src/audit/export.ts';
import { originOf } from '../../src/audit/seal/checkpoint.ts';
import { encodeKey, noteKeyOf } from '../../src/audit/seal/note.ts';
import { exportPiece } from '../../src/store/audit-export.ts';
import { openAuditReader } from '../../src/store/audit-reader.ts';
import { KEYS_META } from '../../src/store/audit-sealer.ts';
import { verifyAudit } from '../../src/store/audit-verify.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { importSegments } from '../../src/store/segment-import.ts';
import { until } from '../support/until.ts';
import { eventOf, inFolder } from './events.ts';

const ALL = { since: undefined, until: Number.MAX_SAFE_INTEGER, afterSeq: 0 } as const;

function exported(file: string, question: Partial<ExportQuestion>): string {
  let text = '';
  for (let next: number | undefined = 0; next !== undefined; ) {
    const piece = exportPiece(file, { ...ALL, format: 'segment', ...question, afterSeq: next });
    text += piece.text;
    next = piece.next;
  }
  return text;
}

/** A log with checkpoints at 600 and 1300, a microsecond between two rows. */
async function filled(
  file: string,
  afterwards?: (recorder: Awaited<ReturnType<typeof openRecorder>>) => Promise<void>,
) {
  const recorder = await openRecorder(file);
  for (const count of [600, 700]) {
    for (let i = 0; i < count; i++)
      recorder.append(
        eventOf({
          stage: 'complete',
          subject: `s${i % 7}`,
          resource: 'container/web',
          detail: { i, text: 'ß"\u2028' },
        }),
      );
    await recorder.checkpoint();
  }
  await afterwards?.(recorder);
  await recorder.close();
}

const keyOf = (file: string): string => {
  const sqlite = new Database(file, { readonly: true });
  const keys = sqlite.prepare('SELECT value FROM audit_meta WHERE key = ?').pluck().get(KEYS_META) as string;
  sqlite.close();
  return keys;
};
const atOf = (file: string, seq: number): number => {
  const sqlite = new Database(file, { readonly: true });
  const at = sqlite.prepare('SELECT at FROM audit_event WHERE seq = ?').pluck().get(seq) as number;
  sqlite.close();
  return at;
};

describe('a segment of the audit', () => {
  it(
    'read back is the rows as they were, signed, and a log that verifies',
    inFolder(async (file, folder) => {
      await filled(file);
      const [whole, part] = [join(folder, 'whole.ndjson'), join(folder, 'part.ndjson.gz')];
      writeFileSync(whole, exported(file, {}));
      writeFileSync(part, gzipSync(exported(file, { since: atOf(file, 700), until: atOf(file, 800) })));
      const key = keyOf(file);
      const [done] = await importSegments([whole], join(folder, 'whole.db'), [key]);
      assert.deepEqual(
        { ...done, logId: '' },
        { file: whole, logId: '', first: 1, last: 1300, rows: 1300, proof: 'signed' },
      );
      const rows = (path: string) => {
        const reader = openAuditReader(path);
        try {
          return reader.list({ limit: 10_000, oldestFirst: true });
        } finally {
          reader.close();
        }
      };
      assert.deepEqual(rows(join(folder, 'whole.db')), rows(file));
      assert.deepEqual(verifyAudit({ file: join(folder, 'whole.db'), keys: [] }).faults, []);
      // It goes on to the checkpoint that proves it.
      const [some] = await importSegments([part], join(folder, 'part.db'), [key]);
      assert.deepEqual([some?.first, some?.last, some?.proof], [700, 1300, 'signed']);
      assert.deepEqual(rows(join(folder, 'part.db')), rows(file).slice(699));
      const [own] = await importSegments([part], join(folder, 'own.db'));
      assert.equal(own?.proof, 'signed-by-its-own');
      await assert.rejects(importSegments([part], join(folder, 'own.db')), { code: 'conflict' });
    }),
  );

  it(
    'that was altered, cut, put together anew or signed by another is refused, and nothing is left of it',
    inFolder(async (file, folder) => {
      await filled(file);
      const key = keyOf(file);
      const text = exported(file, {});
      const lines = text.trimEnd().split('\n');
      const head = JSON.parse(lines[0] ?? '') as { logId: string; keys: string[] };
      const changed = (at: number, change: (line: string) => string): string =>
        lines.map((line, index) => (index === at ? change(line) : line)).join('\n');
      const foot = JSON.parse(lines.at(-1) ?? '') as { checkpoint: string; hash: string; last: number; rows: number };
      const other = encodeKey(noteKeyOf(originOf(head.logId), generateKeyPairSync('ed25519').privateKey));
      const at = foot.checkpoint.length - 20;
      const other64 = foot.checkpoint[at] === 'A' ? 'B' : 'A';
      const forged = JSON.stringify({
        ...foot,
        checkpoint: `${foot.checkpoint.slice(0, at)}${other64}${foot.checkpoint.slice(at + 1)}`,
      });
      const unreadable = JSON.stringify({ ...foot, checkpoint: `x${foot.checkpoint.replace('\n', ' ')}` });
      const cases: readonly [title: string, text: string, told: RegExp, keys?: string[]][] = [
        ['a changed column', changed(40, (line) => line.replace(/"s\d"/, '"s9"')), /row 40 is not as it was written/],
        ['a missing row', lines.filter((_, index) => index !== 50).join('\n'), /row 50 is not as it was written/],
        [
          'rows in another order',
          [...lines.slice(0, 9), lines[10], lines[9], ...lines.slice(11)].join('\n'),
          /row 9 is/,
        ],
        ['no end', lines.slice(0, -1).join('\n'), /it is cut off/],
        ['an earlier end', [...lines.slice(0, 100), lines.at(-1)].join('\n'), /does not end with the row/],
        [
          'an earlier end with the right hash',
          [
            ...lines.slice(0, 100),
            JSON.stringify({
              ...foot,
              last: 99,
              rows: 99,
              hash: (JSON.parse(lines[99] ?? '') as { hash: string }).hash,
            }),
          ].join('\n'),
          /^none$/,
        ],
        [
          'another log id',
          changed(0, (line) => line.replaceAll(head.logId, '0'.repeat(36))),
          /does not begin as its log/,
        ],
        ['a forged signature', changed(lines.length - 1, () => forged), /signature at its end is forged/],
        ['an unreadable checkpoint', changed(lines.length - 1, () => unreadable), /its checkpoint cannot be read/],
        ['another key', text, /another key than those given signed it/, [other]],
        ['a line behind the end', `${text}{}`, /something stands behind/],
        ['no JSON', 'hello\n', /a line is no JSON/],
        ['nothing', '', /it is cut off/],
      ];
      for (const [title, altered, told, keys] of cases) {
        const [from, into] = [join(folder, 'altered.ndjson'), join(folder, 'altered.db')];
        writeFileSync(from, altered);
        if (told.source === '^none$') {
          // What is left of it is whole; only that nothing signed covers its end tells.
          const [done] = await importSegments([from], join(folder, 'earlier.db'), [key]);
          assert.equal(done?.proof, 'none', title);
          continue;
        }
        await assert.rejects(
          importSegments([from], into, keys ?? [key]),
          (error: Error) => told.test(error.message),
          title,
        );
        assert.equal(existsSync(into), false, title);
      }
    }),
  );

  it(
    'and the log behind the rows that were removed verify, each and together',
    inFolder(async (file, folder) => {
      const segment = join(folder, 'removed.ndjson');
      await filled(file, async (recorder) => {
        writeFileSync(segment, exported(file, { until: atOf(file, 10) }));
        await recorder.anchor(600);
        await recorder.remove(600);
        await until('they are removed', () => {
          const sqlite = new Database(file, { readonly: true });
          const gone = sqlite.prepare("SELECT 1 FROM audit_meta WHERE key = 'removing-through'").get() === undefined;
          sqlite.close();
          return gone;
        });
      });
      assert.deepEqual(verifyAudit({ file, keys: [] }).faults, [], 'the log without its beginning');
      const rest = join(folder, 'rest.ndjson');
      writeFileSync(rest, exported(file, {}));
      const key = keyOf(file);
      const done = await importSegments([segment, rest], join(folder, 'all.db'), [key]);
      assert.deepEqual(
        done.map(({ first, last, rows, proof }) => [first, last, rows, proof]),
        [
          [1, 600, 600, 'signed'],
          [601, 1300, 700, 'signed'],
        ],
      );
      assert.deepEqual(
        verifyAudit({ file: join(folder, 'all.db'), keys: [] }).faults,
        [],
        'the log put together again',
      );
      await importSegments([rest], join(folder, 'rest.db'), [key]);
      assert.deepEqual(verifyAudit({ file: join(folder, 'rest.db'), keys: [] }).faults, [], 'its end alone');
    }),
  );
});

describe('events that are exported', () => {
  it(
    'are those of the time asked for, in the form asked for',
    inFolder(async (file) => {
      await filled(file);
      for (const format of ['native', 'ocsf', 'ecs'] as const) {
        const lines = exported(file, { format, since: atOf(file, 101), until: atOf(file, 1200) })
          .trimEnd()
          .split('\n');
        assert.equal(lines.length, 1100);
        const first = JSON.parse(lines[0] ?? '') as Record<string, Record<string, unknown>>;
        const seq = { native: first.seq, ocsf: first.metadata?.sequence, ecs: first.event?.sequence }[format];
        assert.equal(seq, 101);
      }
      assert.equal(exported(file, { format: 'native', since: atOf(file, 1300) + 1 }), '');
      assert.equal(exported(file, { since: atOf(file, 1300) + 1 }), '');
    }),
  );
});
