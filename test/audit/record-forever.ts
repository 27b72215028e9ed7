// Records calls until it is killed or refused, and prints the id of each one that was acknowledged:
// record-forever.ts AUDIT_DB CALLERS [mixed]. With `mixed` every other call only reads, and a line is `ID KIND MILLISECONDS`: when it was
// recorded. Acknowledging it takes as long as the reader of the lines lets it, which is no time of the log's.
import { writeSync } from 'node:fs';
import { v7 as uuidv7 } from 'uuid';
import { openRecorder } from '../../src/store/recorder.ts';

const [, , file = '', callers = '1', mode] = process.argv;
/** Synchronous, also while the reader is behind. */
function tell(line: string): void {
  for (let rest = Buffer.from(line); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as { code?: string }).code !== 'EAGAIN') throw error;
      Atomics.wait(SLEEP, 0, 0, 1);
    }
  }
}
const SLEEP = new Int32Array(new SharedArrayBuffer(4));

const recorder = await openRecorder(file);
tell('ready\n');

let count = 0;
async function call(): Promise<void> {
  for (;;) {
    const auditId = uuidv7();
    const reads = mode === 'mixed' && ++count % 8 !== 0;
    const kind = reads ? ({ action: 'container.list', class: 'read' } as const) : { action: 'container.create' };
    const event = { at: Date.now() * 1000, auditId, decision: 'allow', ...kind } as const;
    const text = 'x'.repeat(Math.random() * (reads ? 100 : 2000));
    const atMs = performance.now();
    try {
      await recorder.record({ ...event, stage: 'intent', detail: { text } }, reads ? 'by-kernel' : 'on-disk');
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      tell(`refused ${code} ${message}\n`);
      return;
    }
    // Synchronous: a row that is not printed was not acknowledged.
    tell(mode === 'mixed' ? `${auditId} ${reads ? 'read' : 'change'} ${atMs}\n` : `${auditId}\n`);
    recorder.append({ ...event, stage: 'complete', status: 201 });
    // As a call does that waits for its engine.
    if (reads) await new Promise((resolve) => setImmediate(resolve));
  }
}

await Promise.all(Array.from({ length: Number(callers) }, call));
tell(`healthy ${recorder.healthy}\n`);
await recorder.close().catch((error: Error) => tell(`close: ${error.message}\n`));
