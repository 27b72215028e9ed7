// Thread of the audit's one writer. It sleeps on a shared counter and is woken by it: a tenth of what a message event
// costs. Groups come over the port; the acknowledgement is a counter too, and a failure's text comes over the port.
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { AuditLog } from './audit-log.ts';

/** Cells of the shared counters. */
export const WAKE = 0;
export const ACK = 1;
export const FAILED = 2;

export interface WriterData {
  readonly file: string;
  readonly port: MessagePort;
  readonly shared: SharedArrayBuffer;
}

/** A group of lines; `close` ends the thread. */
export type WriterMessage = { readonly lines: string } | { readonly close: true } | { readonly closeOrphansAt: number };

function serve({ file, port, shared }: WriterData): void {
  const cells = new Int32Array(shared);
  let log: AuditLog | undefined;
  let seen = 0;
  const acknowledge = () => {
    Atomics.add(cells, ACK, 1);
    Atomics.notify(cells, ACK);
  };
  for (;;) {
    Atomics.wait(cells, WAKE, seen);
    seen = Atomics.load(cells, WAKE);
    for (let received = receiveMessageOnPort(port); received !== undefined; received = receiveMessageOnPort(port)) {
      const message = received.message as WriterMessage;
      if ('close' in message) {
        log?.close();
        acknowledge();
        return;
      }
      try {
        log ??= new AuditLog(file);
        if ('lines' in message) log.write(message.lines.split('\n'));
        else port.postMessage({ orphans: log.closeOrphans(message.closeOrphansAt) });
        Atomics.store(cells, FAILED, 0);
      } catch (error) {
        port.postMessage({
          error:
            error instanceof Error
              ? `${(error as { code?: string }).code ?? error.name}: ${error.message}`
              : String(error),
        });
        Atomics.store(cells, FAILED, 1);
      }
      acknowledge();
    }
  }
}

if (workerData !== null && typeof workerData === 'object' && 'shared' in workerData) serve(workerData as WriterData);
