// The commands that prove the log, and what a gateway says of a log that was altered: with the real program.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import Database from 'better-sqlite3';
import { ReadJournal } from '../../../src/store/read-journal.ts';
import { startGateway, type TestGateway } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';

let at: TestGateway;
let data = '';
const file = (name: string): string => join(at.dir, name);

before(async () => {
  at = await startGateway({ engine: 'unix:///var/run/there-is-none.sock' });
  data = file('data');
  for (const name of ['one', 'two', 'three']) await at.must('identity', 'create', name, '--policy', 'baseline');
});
after(() => at.remove());

const readyz = (): Promise<string> =>
  new Promise((resolve, reject) => {
    http
      .get({ socketPath: join(data, 'admin.sock'), path: '/readyz' }, (answer) => {
        let text = '';
        answer.on('data', (chunk: Uint8Array) => {
          text += Buffer.from(chunk).toString();
        });
        answer.on('end', () => resolve(text));
      })
      .on('error', reject);
  });

const alter = (name: string, sql: string): void => {
  const raw = new Database(name);
  raw.exec(`DROP TRIGGER audit_event_no_update; DROP TRIGGER audit_event_no_delete; ${sql}`);
  raw.close();
};

describe('dockgate audit', () => {
  it('verifies the log, signs it, and proves a call to a reader who has only the public key', async () => {
    const [event] = JSON.parse(await at.must('audit', 'ls', '--action', 'identity.create', '--json')) as {
      auditId: string;
    }[];
    const id = event?.auditId ?? '';
    await at.must('audit', 'checkpoint', '--out', file('checkpoint'));
    assert.match(
      readFileSync(file('checkpoint'), 'utf8'),
      /^dockgate\/audit\/[0-9a-f-]{36}\n\d+\n.{44}\n\n— dockgate\/audit\//,
    );
    const told = await until('the checkpoint is in the log too', async () => {
      const rows = await at.must('audit', 'ls', '--action', 'audit.checkpoint', '--json');
      return (JSON.parse(rows) as { detail?: { checkpoint?: string } }[])[0]?.detail?.checkpoint;
    });
    assert.equal(told, readFileSync(file('checkpoint'), 'utf8'));
    await at.must('audit', 'public-key', '--out', file('audit.pub'));
    await at.must('audit', 'proof', id, '--out', file('call.tlog-proof'));
    const whole = await at.dockgate(
      'audit',
      'verify',
      '--checkpoint',
      file('checkpoint'),
      '--public-key',
      file('audit.pub'),
    );
    assert.equal(whole.code, 0, whole.stderr + whole.stdout);
    assert.match(whole.stdout, /^whole: rows 1 to \d+/);
    const holds = await at.dockgate(
      'audit',
      'verify-proof',
      file('call.tlog-proof'),
      '--public-key',
      file('audit.pub'),
    );
    assert.equal(holds.code, 0, holds.stdout + holds.stderr);
    assert.ok(holds.stdout.includes(id) && holds.stdout.startsWith('holds: row '), holds.stdout);

    const proof = readFileSync(file('call.tlog-proof'), 'utf8');
    const line = /^extra (.*)$/m.exec(proof)?.[1] ?? '';
    const forged = Buffer.from(Buffer.from(line, 'base64').toString().replace('identity.create', 'identity.delete'));
    writeFileSync(file('forged'), proof.replace(line, forged.toString('base64')));
    const fails = await at.dockgate('audit', 'verify-proof', file('forged'), '--public-key', file('audit.pub'));
    assert.equal(fails.code, 1, fails.stdout);
    assert.match(fails.stdout, /^DOES NOT HOLD: row/);
  });

  it('ends with 2 for what it cannot read', async () => {
    writeFileSync(file('none'), 'x\n');
    const calls: readonly (readonly string[])[] = [
      ['verify', '--file', file('missing.db')],
      ['verify', '--file', file('none')],
      ['verify', '--from', 'x'],
      ['verify', '--public-key', file('none')],
      ['verify', '--checkpoint', file('none')],
      ['verify-proof', file('none'), '--public-key', file('audit.pub')],
      ['verify-proof', file('call.tlog-proof')],
    ];
    for (const args of calls) {
      const { code, stderr } = await at.dockgate('audit', ...args);
      assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    }
  });

  it('tells of a whole log in status, metrics and readiness', async () => {
    const status = async () => JSON.parse(await at.must('status', '--json')) as { audit: { log: string } };
    await until('the log was verified', async () => (await status()).audit.log === 'whole');
    assert.match(await readyz(), /"audit":\{"log":"whole"/);
  });

  it('says loudly, at its start, that the log was altered while it was down; and verify says where', async () => {
    await at.stop();
    copyFileSync(join(data, 'audit.db'), file('copy.db'));
    // As a gateway that is killed leaves them.
    const journal = new ReadJournal(file('copy.db'), 'a log');
    journal.keep('[]');
    journal.close();
    const waiting = await at.dockgate('audit', 'verify', '--file', file('copy.db'));
    assert.equal(waiting.code, 0, waiting.stdout + waiting.stderr);
    assert.match(waiting.stdout, /^rows of reads that are not in the log yet: 1;/m);
    alter(file('copy.db'), "UPDATE audit_event SET subject = 'x' WHERE seq = 2");
    const told = await at.dockgate(
      'audit',
      'verify',
      '--file',
      file('copy.db'),
      '--public-key',
      file('audit.pub'),
      '--json',
    );
    assert.equal(told.code, 1);
    const { faults } = JSON.parse(told.stdout) as { faults: { kind: string; seq: number }[] };
    assert.deepEqual([faults[0]?.kind, faults[0]?.seq], ['edited', 2]);

    alter(join(data, 'audit.db'), "UPDATE audit_event SET subject = 'x' WHERE seq = 2");
    await at.restart();
    await until('the gateway says so', () => at.log().includes('THE AUDIT LOG WAS ALTERED'));
    const { audit } = JSON.parse(await at.must('status', '--json')) as {
      audit: { log: string; fault: { seq: number } };
    };
    assert.deepEqual([audit.log, audit.fault.seq], ['altered', 2]);
    assert.match(await readyz(), /"audit":\{"log":"altered"/);
    await at.must('identity', 'create', 'four', '--policy', 'baseline');
  });

  it('says so too when rows were cut off, by the checkpoint that lies beside the log', async () => {
    await at.stop();
    const audit = join(data, 'audit.db');
    const raw = new Database(audit);
    raw.exec('DELETE FROM audit_event; DELETE FROM audit_checkpoint; DELETE FROM audit_tile');
    raw.close();
    await at.restart();
    const status = async () =>
      (JSON.parse(await at.must('status', '--json')) as { audit: { log: string; fault?: { kind: string } } }).audit;
    await until('it is told', async () => (await status()).log === 'altered');
    assert.equal((await status()).fault?.kind, 'truncated');
  });
});
