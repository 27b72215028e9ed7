// Review of a large log beside the gateway's work: what is measured is the order in which things happen.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { openDatabase } from '../../src/store/database.ts';
import { ReviewThread } from '../../src/store/review-thread.ts';
import { openEmbedded } from '../support/embedded-gateway.ts';
import { startScriptedEngine } from '../support/scripted-engine.ts';
import { inFolder } from './events.ts';
import { fillAudit } from './fill.ts';

/** Rows that a search without an index takes long to look at. */
const MANY = 400_000;
const NO_HITS = { action: 'container.stop', limit: 50 };

describe('the review of a large log', () => {
  it('delays no call: one that begins after it ends before it', async () => {
    const engine = await startScriptedEngine((r) => r.answer(200, '[]', ['Content-Type: application/json']));
    const at = await openEmbedded(engine.url, {}, (data) => fillAudit(join(data, 'audit.db'), MANY));
    try {
      const token = await at.token('ci');
      // The thread has started, and the caller has its connection.
      await at.rows();
      const caller = at.connect();
      const list = async (): Promise<void> => {
        caller.send(`GET /containers/json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
        assert.equal((await caller.answer()).status, 200);
      };
      await list();
      const order: string[] = [];
      await Promise.all([
        at.gateway.admin.listAudit(NO_HITS, LOCAL_OPERATOR).then((rows) => order.push(`review ${rows.length}`)),
        list().then(() => order.push('call')),
      ]);
      assert.deepEqual(order, ['call', 'review 0']);
      caller.destroy();
    } finally {
      await at.close();
      await engine.close();
    }
  });

  it(
    'delays no short question: its answer comes in steps',
    inFolder(async (file) => {
      fillAudit(file, MANY);
      const review = new ReviewThread({ auditFile: file, ledgerFile: file });
      try {
        const order: string[] = [];
        await Promise.all([
          review.list(NO_HITS).then((rows) => order.push(`long ${rows.length}`)),
          review.byAuditId('filled-7').then((rows) => order.push(`short ${rows.length}`)),
        ]);
        assert.deepEqual(order, ['short 1', 'long 0']);
      } finally {
        await review.close();
      }
    }),
  );

  it(
    'gives every row once, whatever the batches they come in',
    inFolder(async (file) => {
      fillAudit(file, 120_001);
      const review = new ReviewThread({ auditFile: file, ledgerFile: file });
      const seqs = async (filter: { oldestFirst?: boolean; afterSeq?: number; limit: number }) =>
        (await review.list(filter)).map(({ seq }) => seq);
      try {
        assert.deepEqual(
          await seqs({ limit: 1201 }),
          Array.from({ length: 1201 }, (_, i) => 120_001 - i),
        );
        assert.deepEqual(await seqs({ limit: 1201, oldestFirst: true, afterSeq: 119_000 }), [
          ...Array.from({ length: 1001 }, (_, i) => 119_001 + i),
        ]);
        assert.deepEqual(await seqs({ limit: 0 }), []);
        const { uses, to } = await review.tokenUse(0, 2000);
        assert.deepEqual([uses.size, to], [0, 2000]);
      } finally {
        await review.close();
      }
    }),
  );
});

describe('ReviewThread', () => {
  it(
    'asks no more of a thread than has room, and each question beside the last has its answer',
    inFolder(async (file) => {
      fillAudit(file, 10);
      const review = new ReviewThread({ auditFile: file, ledgerFile: file });
      try {
        const answers = await Promise.allSettled(Array.from({ length: 129 }, () => review.list({ limit: 1 })));
        const refused = answers.filter(({ status }) => status === 'rejected');
        assert.equal(refused.length, 1);
        await assert.rejects(Promise.reject((refused[0] as PromiseRejectedResult).reason), { code: 'too-many-calls' });
        assert.equal((await review.list({ limit: 1 })).length, 1, 'there is room again');
      } finally {
        await review.close();
      }
    }),
  );

  it(
    'tells what cannot be read, and starts again after its thread died',
    inFolder(async (file, folder) => {
      openDatabase(file, 'audit').sqlite.close();
      const program = join(folder, 'dies.mjs');
      writeFileSync(
        program,
        `import { parentPort } from 'node:worker_threads';
         let asked = 0;
         parentPort.on('message', ({ id, question }) => {
           if (question.auditId === 'die') setTimeout(() => process.exit(1), 1);
           else if (question.auditId === 'throw') throw new Error('broken');
           else if (question.auditId === 'fail') parentPort.postMessage({ id, failure: 'no such table' });
           else parentPort.postMessage({ id, value: [++asked] });
         });`,
      );
      const review = new ReviewThread({ auditFile: file, ledgerFile: file }, pathToFileURL(program));
      try {
        await assert.rejects(review.byAuditId('fail'), { code: 'internal', message: /no such table/ });
        assert.deepEqual(await review.byAuditId('x'), [1]);
        for (const how of ['die', 'throw']) {
          await assert.rejects(review.byAuditId(how), { code: 'internal', message: /ended.*ask again/ });
          assert.deepEqual(await review.byAuditId('x'), [1], 'by a new thread');
        }
      } finally {
        await review.close();
      }
    }),
  );

  it(
    'closes in the middle of a long answer, and says so',
    inFolder(async (file) => {
      fillAudit(file, MANY);
      const review = new ReviewThread({ auditFile: file, ledgerFile: file });
      const long = review.list(NO_HITS);
      const refused = assert.rejects(long, { code: 'shutting-down' });
      await review.byAuditId('filled-1');
      await review.close();
      await refused;
      await assert.rejects(review.list({ limit: 1 }), { code: 'shutting-down' });
    }),
  );
});
