// Thread of the audit's one writer. Questions and answers go through shared memory: a counter each to sleep on and to be
// woken by, which costs a fraction of a message event, and a space for the text.
import { parentPort, workerData } from 'node:worker_threads';
import { AuditLog } from './audit-log.ts';
import {
  ANCHOR,
  ANSWERED,
  ASKED,
  CLOSE,
  CLOSE_ORPHANS,
  FAILED,
  LENGTH,
  NUMBER,
  OPEN,
  QUESTION,
  REMOVE,
  type SealMessage,
  SIGN,
  TEXT,
  WRITE_AGAIN,
  type WriterData,
} from './audit-memory.ts';
import type { SealerEvents } from './audit-sealer.ts';

/** Longest text of a failure, in bytes. */
const MAX_FAILURE = 1000;
/** After this long without a question, in ms, the worker tidies up. */
const IDLE_MS = 500;
/** After this long without a question, in ms, it reads rows that an earlier process did not sign. */
const PAUSE_MS = 2;
/** While they are asked without a pause, rows of an earlier process are read again between two of so many questions. */
const QUESTIONS = 50;
/** No question for this long: time to remove some rows, in ms. */
const REMOVE_PAUSE_MS = 5;

function serve({ file: named, shared }: WriterData): void {
  let file = named;
  const cells = new Int32Array(shared, 0, TEXT / 4);
  const text = Buffer.from(shared, TEXT);
  let log: AuditLog | undefined;
  let seen = 0;
  let sinceSealed = 0;
  let sinceRemoved = 0;
  const events: SealerEvents = {
    checkpoint: (checkpoint) => tell({ checkpoint }),
    keyMade: (publicKey, isFirst) => tell({ publicKey, isFirst }),
    failed: (failure) => tell({ failure }),
  };
  for (;;) {
    const due = log?.seals(Date.now());
    const idle = log?.isRemoving === true ? REMOVE_PAUSE_MS : IDLE_MS;
    const patience = due === undefined ? idle : due === 'soon' || sinceSealed > QUESTIONS ? 0 : PAUSE_MS;
    if (Atomics.wait(cells, ASKED, seen, patience) === 'timed-out') {
      sinceSealed = 0;
      if (due !== undefined) log?.seal(Date.now());
      else if (log?.isRemoving === true) {
        sinceRemoved = 0;
        log.removeSome();
      } else {
        log?.storeSeals();
        log?.checkpoint();
      }
      continue;
    }
    if (Atomics.load(cells, ASKED) === seen) continue;
    seen++;
    sinceSealed++;
    const question = cells[QUESTION];
    let said = '';
    let failure = '';
    try {
      const asked = text.toString('utf8', 0, cells[LENGTH]);
      if (question === CLOSE) log?.close();
      else if (question === OPEN) file = asked;
      else {
        if (file === undefined) throw new Error('no file was named');
        log ??= new AuditLog(file, events);
        if (question === CLOSE_ORPHANS) cells[NUMBER] = log.closeOrphans(Number(asked));
        else if (question === SIGN) said = log.signNow(Date.now()) ?? '';
        else if (question === ANCHOR) said = log.anchorAt(Number(asked), Date.now());
        else if (question === REMOVE) log.remove(Number(asked));
        else log.write(asked.split('\n'), question === WRITE_AGAIN);
      }
    } catch (error) {
      failure = describe(error);
    }
    cells[FAILED] = failure === '' ? 0 : 1;
    cells[LENGTH] = text.write(failure === '' ? said : failure.slice(0, MAX_FAILURE));
    Atomics.store(cells, ANSWERED, seen);
    Atomics.notify(cells, ANSWERED);
    if (question !== CLOSE) {
      // Without a pause for long, rows are removed between two questions all the same.
      if (log?.isRemoving === true && ++sinceRemoved > QUESTIONS) {
        sinceRemoved = 0;
        log.removeSome();
      }
      continue;
    }
    tell({ ended: true });
    return;
  }
}

const tell = (message: SealMessage): void => parentPort?.postMessage(message);

const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  return `${(error as { code?: string }).code ?? error.name}: ${error.message}`;
};

serve(workerData as WriterData);
