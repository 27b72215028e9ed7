// Kills at random moments, and power cuts as they would find the files, with a checker that knows which calls were acknowledged: a kill
// loses none, a power cut none that changed something and of reads those of at most 50 ms. A power cut is simulated: what the
// database had synced stays, the read journal, which is never synced, is cut, emptied and torn at random.
// DOCKGATE_CRASH_ROUNDS=300 for the long run.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { openAuditReader, verifyChain } from '../../src/store/audit-reader.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { ROOT, scriptCommand } from '../support/runtime.ts';
import { inFolder } from './events.ts';

const ROUNDS = Number(process.env.DOCKGATE_CRASH_ROUNDS ?? 4);
/** A new log after so many rounds: opening it is most of a round. */
const ROUNDS_OF_A_LOG = 20;
/** Reads a power cut may take, in ms; measured by the caller, who hears of it a moment later. */
const LAG_MS = 50;
const HEARD_MS = 5;

interface Acknowledged {
  readonly id: string;
  readonly reads: boolean;
  readonly atMs: number;
}

async function killedAfter(file: string, callers: number, ms: number): Promise<Acknowledged[]> {
  const [command, args] = scriptCommand(`${ROOT}test/audit/record-forever.ts`);
  const child = spawn(command, [...args, file, String(callers), 'mixed'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  let timer: NodeJS.Timeout | undefined;
  child.stdout.on('data', (bytes: Buffer) => {
    out += bytes.toString();
    if (out.startsWith('ready\n')) timer ??= setTimeout(() => child.kill('SIGKILL'), ms);
  });
  await once(child, 'close');
  clearTimeout(timer);
  // The last line may be cut; what is cut was not told.
  return out
    .split('\n')
    .slice(1, -1)
    .map((line) => {
      const [id = '', kind, at] = line.split(' ');
      assert.match(kind ?? '', /^(read|change)$/, line);
      return { id, reads: kind === 'read', atMs: Number(at) };
    });
}

const JOURNALS = ['-reads0', '-reads1'];

/** The files as a power cut leaves them: the journal in any state. */
function afterPowerCut(file: string, to: string): string {
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to);
  for (const name of ['audit.db', 'audit.db-wal', 'ledger.db', 'ledger.db-wal']) {
    if (existsSync(join(dirname(file), name))) copyFileSync(join(dirname(file), name), join(to, name));
  }
  for (const suffix of JOURNALS) {
    if (!existsSync(`${file}${suffix}`)) continue;
    const copy = join(to, `audit.db${suffix}`);
    copyFileSync(`${file}${suffix}`, copy);
    const { length } = readFileSync(copy);
    const fate = Math.floor(Math.random() * 4);
    if (fate === 0) rmSync(copy);
    else if (fate === 1) truncateSync(copy, Math.floor(Math.random() * length));
    else if (fate === 2) tear(copy);
  }
  return join(to, 'audit.db');
}

/** Some pages never reached the disk. */
function tear(file: string): void {
  const bytes = readFileSync(file);
  for (let at = 0; at < bytes.length; at += 4096)
    if (Math.random() < 0.3) bytes.fill(0, at, Math.min(at + 4096, bytes.length));
  writeFileSync(file, bytes);
}

/** Opens it as the next start does. @returns the ids of calls; a read and its outcome may be one row */
async function recovered(file: string): Promise<ReadonlySet<string>> {
  await (await openRecorder(file)).close();
  for (const suffix of JOURNALS) assert.equal(existsSync(`${file}${suffix}`), false);
  const reader = openAuditReader(file);
  const rows = reader.list({ limit: 1_000_000 });
  reader.close();
  const intents = rows.filter((row) => row.stage === 'intent').map((row) => row.auditId);
  const begun = new Set(intents);
  assert.equal(begun.size, intents.length, 'no call stands there twice');
  const ended = rows.filter((row) => row.stage === 'complete').map((row) => row.auditId);
  assert.equal(new Set(ended).size, ended.length, 'no outcome stands there twice');
  const calls = new Set(ended);
  assert.deepEqual(
    intents.filter((id) => !calls.has(id)),
    [],
    'each call has an outcome',
  );
  const alone = rows.filter((row) => row.stage === 'complete' && !begun.has(row.auditId));
  assert.deepEqual(
    alone.filter((row) => row.class !== 'read' || row.detail?.text === undefined),
    [],
    'an outcome without a row before it holds what was asked',
  );
  return calls;
}

describe('an audit log whose process is killed at a random moment', () => {
  it(`loses no acknowledged call; in a power cut none that changed something, and reads of ${LAG_MS} ms at most (${ROUNDS} rounds)`, async (t) => {
    let calls = 0;
    let lost = 0;
    for (let round = 0; round < ROUNDS; ) {
      await inFolder(async (file, folder) => {
        const all: Acknowledged[] = [];
        for (let i = 0; i < ROUNDS_OF_A_LOG && round < ROUNDS; i++, round++) {
          const told = await killedAfter(file, [1, 8, 64][round % 3] as number, 5 + Math.random() * 250);
          all.push(...told);
          calls += told.length;
          const cut = afterPowerCut(file, join(folder, 'cut'));
          const left = await recovered(cut);
          assert.equal(verifyChain(cut).ok, true);
          const missing = all.filter(({ id }) => !left.has(id));
          assert.deepEqual(
            missing.filter(({ reads }) => !reads),
            [],
            'a power cut loses nothing that changed something',
          );
          lost += missing.length;
          const times = missing.map(({ atMs }) => atMs);
          const span = missing.length === 0 ? 0 : Math.max(...times) - Math.min(...times);
          assert.ok(span <= LAG_MS + HEARD_MS, `a power cut lost the reads of ${span.toFixed(1)} ms`);
          const kept = await recovered(file);
          assert.deepEqual(
            all.filter(({ id }) => !kept.has(id)),
            [],
            'a kill loses nothing',
          );
        }
        assert.equal(verifyChain(file).ok, true);
      })();
    }
    assert.ok(calls > 0);
    t.diagnostic?.(`${ROUNDS} rounds, ${calls} calls acknowledged; the power cuts took ${lost} reads`);
  });
});
