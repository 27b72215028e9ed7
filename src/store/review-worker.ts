// Thread in which the audit and the history of the ledger are read for review, over connections that cannot write.
// A long question is answered in steps, so that a short one asked later is not behind all of it.
import { parentPort, workerData } from 'node:worker_threads';
import { GatewayError } from '../errors.ts';
import { exportPiece } from './audit-export.ts';
import { keysOf, proofsOf, publicKeysOf } from './audit-proof.ts';
import { openTokenUseReader, type TokenUseFile } from './audit-token-use.ts';
import { verifying } from './audit-verify.ts';
import { openReview, type Review } from './review.ts';
import type { ReviewAnswer, ReviewData, ReviewQuestion } from './review-thread.ts';
import { openUsageHistory, type UsageHistory } from './usage-history.ts';

const { auditFile, ledgerFile, indexFile } = workerData as ReviewData;
let opened: Review | undefined;
let tokenUse: TokenUseFile | undefined;
let usage: UsageHistory | undefined;

const review = (): Review => {
  opened ??= openReview(auditFile, indexFile);
  return opened;
};

function* answer(question: ReviewQuestion): Generator<undefined, unknown> {
  switch (question.ask) {
    case 'list':
      return yield* review().audit.listing(question.filter);
    case 'page':
      return yield* review().pages.page(question.page);
    case 'count':
      return yield* review().reports.count(question.count);
    case 'timeline':
      return yield* review().reports.timeline(question.timeline);
    case 'uses':
      return yield* review().reports.uses(question.since);
    case 'call':
      return review().audit.byAuditId(question.auditId);
    case 'export':
      return exportPiece(auditFile, question.export);
    case 'ids':
      return review().audit.startingWith(question.start);
    case 'verify':
      return yield* verifying({ file: auditFile, keys: keysOf(auditFile).keys, ...question.options });
    case 'proof':
      return proofsOf(auditFile, question.auditId);
    case 'public-keys':
      return publicKeysOf(auditFile);
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
    const failure = error instanceof Error ? error.message : String(error);
    return error instanceof GatewayError ? { id, failure, code: error.code } : { id, failure };
  }
}

/** How long the thread rests between two portions of the index, in ms: a log of before is taken in at half of a core. */
const REST_MS = 15;
let isIndexing = false;

/** Takes the log into the index, a portion at a time, for as long as there is more. */
function keepIndex(): void {
  if (isIndexing) return;
  isIndexing = true;
  const next = (): void => {
    if (review().advance()) setTimeout(next, REST_MS);
    else isIndexing = false;
  };
  setTimeout(next, REST_MS);
}

parentPort?.on('message', ({ id, question }: { id: number; question: ReviewQuestion }) => {
  void serve(id, question).then((given) => {
    parentPort?.postMessage(given);
    keepIndex();
  });
});
