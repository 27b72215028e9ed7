// Thread in which the audit and the history of the ledger are read for review, over connections that cannot write.
// A long question is answered in steps, so that a short one asked later is not behind all of it.
import { parentPort, workerData } from 'node:worker_threads';
import { type AuditFile, openAuditReader } from './audit-reader.ts';
import { openTokenUseReader, type TokenUseFile } from './audit-token-use.ts';
import type { ReviewAnswer, ReviewData, ReviewQuestion } from './review-thread.ts';
import { openUsageHistory, type UsageHistory } from './usage-history.ts';

const { auditFile, ledgerFile } = workerData as ReviewData;
let audit: AuditFile | undefined;
let tokenUse: TokenUseFile | undefined;
let usage: UsageHistory | undefined;

function* answer(question: ReviewQuestion): Generator<undefined, unknown> {
  switch (question.ask) {
    case 'list':
      audit ??= openAuditReader(auditFile);
      return yield* audit.listing(question.filter);
    case 'call':
      audit ??= openAuditReader(auditFile);
      return audit.byAuditId(question.auditId);
    case 'token-use':
      tokenUse ??= openTokenUseReader(auditFile);
      return tokenUse.read(question.afterSeq, question.limit);
    case 'usage':
      usage ??= openUsageHistory(ledgerFile);
      return usage.read(question.tenant, question.fromMs, question.toMs, question.stepMs);
  }
}

async function serve(id: number, question: ReviewQuestion): Promise<ReviewAnswer> {
  try {
    const steps = answer(question);
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return { id, value };
      await new Promise((resolve) => setImmediate(resolve));
    }
  } catch (error) {
    return { id, failure: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on('message', ({ id, question }: { id: number; question: ReviewQuestion }) => {
  void serve(id, question).then((given) => parentPort?.postMessage(given));
});
