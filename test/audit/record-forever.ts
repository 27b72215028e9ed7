// Records calls until it is killed or refused, and prints the id of each one that was acknowledged:
// record-forever.ts AUDIT_DB CALLERS
import { writeSync } from 'node:fs';
import { v7 as uuidv7 } from 'uuid';
import { openRecorder } from '../../src/store/recorder.ts';

const recorder = await openRecorder(process.argv[2] as string);
writeSync(1, 'ready\n');

async function call(): Promise<void> {
  for (;;) {
    const auditId = uuidv7();
    const event = { at: Date.now() * 1000, auditId, action: 'container.create', decision: 'allow' } as const;
    try {
      await recorder.record({ ...event, stage: 'intent', detail: { text: 'x'.repeat(Math.random() * 2000) } });
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      writeSync(1, `refused ${code} ${message}\n`);
      return;
    }
    // Synchronous: what is not printed was not acknowledged to anybody.
    writeSync(1, `${auditId}\n`);
    recorder.append({ ...event, stage: 'complete', status: 201 });
  }
}

await Promise.all(Array.from({ length: Number(process.argv[3]) }, call));
writeSync(1, `healthy ${recorder.healthy}\n`);
await recorder.close().catch((error: Error) => writeSync(1, `close: ${error.message}\n`));
