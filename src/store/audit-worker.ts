// Thread of the audit's one writer. Questions and answers go through shared memory: a counter each to sleep on and to be
// woken by, which costs a fraction of a message event, and a space for the text.
import { workerData } from 'node:worker_threads';
import { AuditLog } from './audit-log.ts';
import {
  ANSWERED,
  ASKED,
  CLOSE,
  CLOSE_ORPHANS,
  FAILED,
  LENGTH,
  NUMBER,
  OPEN,
  QUESTION,
  TEXT,
  WRITE_AGAIN,
  type WriterData,
} from './audit-memory.ts';

/** Longest text of a failure, in bytes. */
const MAX_FAILURE = 1000;
/** Nobody asked for this long: time to tidy up. */
const IDLE_MS = 500;

function serve({ file: named, shared }: WriterData): void {
  let file = named;
  const cells = new Int32Array(shared, 0, TEXT / 4);
  const text = Buffer.from(shared, TEXT);
  let log: AuditLog | undefined;
  let seen = 0;
  for (;;) {
    if (Atomics.wait(cells, ASKED, seen, IDLE_MS) === 'timed-out') {
      log?.checkpoint();
      continue;
    }
    if (Atomics.load(cells, ASKED) === seen) continue;
    seen++;
    const question = cells[QUESTION];
    let failure = '';
    try {
      const asked = text.toString('utf8', 0, cells[LENGTH]);
      if (question === CLOSE) log?.close();
      else if (question === OPEN) file = asked;
      else {
        if (file === undefined) throw new Error('no file was named');
        log ??= new AuditLog(file);
        if (question === CLOSE_ORPHANS) cells[NUMBER] = log.closeOrphans(Number(asked));
        else log.write(asked.split('\n'), question === WRITE_AGAIN);
      }
    } catch (error) {
      failure = describe(error);
    }
    cells[FAILED] = failure === '' ? 0 : 1;
    cells[LENGTH] = text.write(failure.slice(0, MAX_FAILURE));
    Atomics.store(cells, ANSWERED, seen);
    Atomics.notify(cells, ANSWERED);
    if (question === CLOSE) return;
  }
}

const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  return `${(error as { code?: string }).code ?? error.name}: ${error.message}`;
};

serve(workerData as WriterData);
