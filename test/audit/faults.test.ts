// What a killed process and a full disk leave behind: every acknowledged call is in the log, and the log is whole.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openAuditReader, verifyChain } from '../../src/store/audit-reader.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { ROOT, scriptCommand } from '../support/runtime.ts';
import { eventOf, inFolder } from './events.ts';

const UUID = /^[0-9a-f-]{36}$/;

/** Runs the script, kills it after `ms` if it has not ended, and returns the lines it printed. */
async function recordForever(file: string, callers: number, killAfterMs: number, wrap?: string): Promise<string[]> {
  const [command, args] = scriptCommand(`${ROOT}test/audit/record-forever.ts`);
  const all = [...args, file, String(callers)];
  const child =
    wrap === undefined
      ? spawn(command, all, { stdio: ['ignore', 'pipe', 'inherit'] })
      : spawn('sh', ['-c', `${wrap}; exec "$0" "$@"`, command, ...all], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  let timer: NodeJS.Timeout | undefined;
  child.stdout.on('data', (bytes: Buffer) => {
    out += bytes.toString();
    if (out.startsWith('ready\n')) timer ??= setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  });
  await once(child, 'close');
  clearTimeout(timer);
  const lines = out.split('\n');
  assert.equal(lines[0], 'ready');
  // The last line may be cut; what is cut was not told.
  return lines.slice(1, -1);
}

describe('a gateway killed with kill -9', () => {
  for (const callers of [1, 32]) {
    it(
      `has every acknowledged call of ${callers} callers in its log, and the next start closes what was open`,
      inFolder(async (file) => {
        let acknowledged = 0;
        for (let round = 0; round < 4; round++) {
          const ids = await recordForever(file, callers, 20 + Math.random() * 200);
          acknowledged += ids.length;
          const reader = openAuditReader(file);
          const stored = new Set(reader.list({ limit: 1_000_000 }).map((row) => `${row.stage} ${row.auditId}`));
          reader.close();
          const missing = ids.filter((id) => UUID.test(id) && !stored.has(`intent ${id}`));
          assert.deepEqual(missing, []);
          assert.equal(verifyChain(file).ok, true);
        }
        assert.ok(acknowledged > 0);
        await (await openRecorder(file)).close();
        const reader = openAuditReader(file);
        const open = new Set<string>();
        for (const row of [...reader.list({ limit: 1_000_000 })].reverse()) {
          if (row.stage === 'intent') open.add(row.auditId);
          else assert.ok(open.delete(row.auditId), 'every outcome has its intent, once');
        }
        reader.close();
        assert.equal(open.size, 0);
        assert.equal(verifyChain(file).ok, true);
      }),
    );
  }
});

describe('a disk that takes no more', () => {
  it(
    'every call is refused from then on, and those acknowledged before are in the log (a file size limit)',
    inFolder(async (file) => {
      await (await openRecorder(file)).close();
      const lines = await recordForever(file, 8, 20_000, "trap '' XFSZ; ulimit -f 1024");
      const refused = lines.filter((line) => line.startsWith('refused'));
      assert.equal(refused.length, 8, lines.slice(-5).join('\n'));
      for (const line of refused) {
        assert.match(
          line,
          /^refused audit-unwritable the audit log cannot be written, so the call is refused \(.*SQLITE_IOERR/,
        );
        assert.doesNotMatch(line, /audit\.db/);
      }
      assert.ok(lines.includes('healthy false'));
      const ids = lines.filter((line) => UUID.test(line));
      assert.ok(ids.length > 10);
      const reader = openAuditReader(file);
      const stored = new Set(reader.list({ limit: 1_000_000 }).map((row) => row.auditId));
      reader.close();
      assert.deepEqual(
        ids.filter((id) => !stored.has(id)),
        [],
      );
      assert.equal(verifyChain(file).ok, true);
    }),
  );

  it('the recorder refuses while the disk is full, keeps outcomes, and serves again when there is room (a small file system)', async (t) => {
    await inFolder(async (_file, folder) => {
      const disk = join(folder, 'disk');
      mkdirSync(disk);
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]).status !== 0) {
        t.skip('needs the right to mount a small file system');
        return;
      }
      try {
        const file = join(disk, 'audit.db');
        const ballast = join(disk, 'ballast');
        const recorder = await openRecorder(file);
        await recorder.record(eventOf());
        fill(ballast);
        const acknowledged: string[] = [];
        let refusal: Error | undefined;
        for (let i = 0; i < 5000 && refusal === undefined; i++) {
          const event = eventOf({ detail: { text: 'x'.repeat(8000) } });
          await recorder.record(event).then(
            () => acknowledged.push(event.auditId),
            (error: Error) => {
              refusal = error;
            },
          );
        }
        assert.equal((refusal as { code?: string } | undefined)?.code, 'audit-unwritable');
        assert.match(refusal?.message ?? '', /the disk is full/);
        assert.equal(recorder.healthy, false);
        const kept = eventOf({ stage: 'complete', detail: { text: 'y'.repeat(8000) } });
        recorder.append(kept);
        await assert.rejects(recorder.record(eventOf({ detail: { text: 'x'.repeat(8000) } })), /the disk is full/);
        rmSync(ballast);
        await recorder.record(eventOf({ subject: 'after' }));
        assert.equal(recorder.healthy, true);
        const reader = openAuditReader(file);
        assert.equal(reader.byAuditId(kept.auditId).length, 1, 'the outcome waited for room');
        for (const id of acknowledged) assert.equal(reader.byAuditId(id).length, 1);
        reader.close();
        await recorder.close();
        assert.equal(verifyChain(file).ok, true);
      } finally {
        spawnSync('umount', [disk]);
      }
    })();
  });
});

/** Takes all the room there is. */
function fill(file: string): void {
  for (let size = 1 << 20; size >= 512; size >>= 1) {
    for (;;) {
      const before = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
      try {
        writeFileSync(file, Buffer.alloc(size), { flag: 'a' });
      } catch {
        // a smaller piece may still fit
      }
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) === before) break;
    }
  }
}
