// Group commit in front of the audit's writer: what is recorded while one group is being written forms the next one.
// No timer, no fixed delay. A call is told of success only when its row is on disk.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { AuditEvent, Recorder } from '../audit/event.ts';
import { GatewayError } from '../errors.ts';
import { encodeEvent } from './audit-row.ts';
import { ACK, FAILED, WAKE, type WriterData, type WriterMessage } from './audit-worker.ts';
import { openDatabase } from './database.ts';

export interface RecorderOptions {
  /** Rows that may wait to be written. Beyond, calls are refused. Default 10 000. */
  readonly maxQueue?: number;
  /** Told how many calls of an earlier process were closed as unknown. */
  readonly onOrphans?: (count: number) => void;
}

const DEFAULT_MAX_QUEUE = 10_000;
/** Rows in one transaction: more make the wait of the first one longer without making rows cheaper. */
const MAX_GROUP = 512;

interface Waiting {
  readonly line: string;
  /** Undefined for rows nobody waits for. */
  readonly resolve?: () => void;
  readonly reject?: (error: GatewayError) => void;
}

/** Beside the sources in a checkout, beside the bundle in a package. */
function workerUrl(): URL {
  for (const name of ['./audit-worker.ts', './audit-worker.js']) {
    const url = new URL(name, import.meta.url);
    if (existsSync(fileURLToPath(url))) return url;
  }
  throw new GatewayError('internal', 'the audit writer of this program is missing: install it again');
}

/**
 * Opens the audit log: migrates it, closes calls an earlier process left open, and starts its writer.
 *
 * @throws {GatewayError} `store-corrupt`, `store-newer`, `audit-unwritable`
 */
export async function openRecorder(file: string, options: RecorderOptions = {}): Promise<Recorder> {
  openDatabase(file, 'audit').sqlite.close();
  const recorder = new ThreadedRecorder(file, options.maxQueue ?? DEFAULT_MAX_QUEUE);
  try {
    const count = await recorder.closeOrphans(Date.now() * 1000);
    options.onOrphans?.(count);
  } catch (error) {
    await recorder.close();
    throw error;
  }
  return recorder;
}

class ThreadedRecorder implements Recorder {
  readonly #file: string;
  readonly #maxQueue: number;
  #queue: Waiting[] = [];
  #inFlight: Waiting[] | undefined;
  #scheduled = false;
  #healthy = true;
  #closed = false;
  #thread: Thread | undefined;

  constructor(file: string, maxQueue: number) {
    this.#file = file;
    this.#maxQueue = maxQueue;
  }

  get healthy(): boolean {
    return this.#healthy;
  }

  record(event: AuditEvent): Promise<void> {
    if (this.#closed) return Promise.reject(unwritable('it is closed'));
    if (this.#queue.length >= this.#maxQueue) return Promise.reject(unwritable('too many rows wait to be written'));
    const line = encodeEvent(event);
    return new Promise((resolve, reject) => {
      this.#queue.push({ line, resolve, reject });
      this.#schedule();
    });
  }

  append(event: AuditEvent): void {
    if (this.#closed) return;
    if (this.#queue.length >= this.#maxQueue) {
      // The call's intent is on disk; its outcome is lost, and the next start says so.
      this.#healthy = false;
      return;
    }
    this.#queue.push({ line: encodeEvent(event) });
    this.#schedule();
  }

  closeOrphans(at: number): Promise<number> {
    return this.#ask({ closeOrphansAt: at }).then((answer) => (answer as { orphans?: number }).orphans ?? 0);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    while (
      (this.#queue.length > 0 || this.#inFlight !== undefined) &&
      (this.#healthy || this.#inFlight !== undefined)
    ) {
      this.#schedule();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    this.#closed = true;
    for (const { reject } of this.#queue.splice(0)) reject?.(unwritable('the gateway is stopping'));
    if (this.#thread !== undefined) {
      await this.#thread.send({ close: true });
      await this.#thread.end();
    }
  }

  /** Once per turn of the event loop, after all its requests have queued their rows. */
  #schedule(): void {
    if (this.#scheduled || this.#inFlight !== undefined) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#inFlight !== undefined || this.#queue.length === 0) return;
    const group = this.#queue.length <= MAX_GROUP ? this.#queue : this.#queue.slice(0, MAX_GROUP);
    this.#queue = this.#queue.length <= MAX_GROUP ? [] : this.#queue.slice(MAX_GROUP);
    this.#inFlight = group;
    let lines = (group[0] as Waiting).line;
    for (let i = 1; i < group.length; i++) lines += `\n${(group[i] as Waiting).line}`;
    this.#ask({ lines }).then(
      () => this.#written(group),
      (error: GatewayError) => this.#refused(group, error),
    );
  }

  #written(group: readonly Waiting[]): void {
    this.#inFlight = undefined;
    this.#healthy = true;
    // The next group leaves before the callers of this one go on.
    if (this.#queue.length > 0) this.#flush();
    for (const { resolve } of group) resolve?.();
  }

  #refused(group: readonly Waiting[], error: GatewayError): void {
    this.#inFlight = undefined;
    this.#healthy = false;
    for (const { reject } of group) reject?.(error);
    // Outcomes wait for better times, in front of what came later.
    const kept = group.filter((w) => w.reject === undefined);
    this.#queue = [...kept, ...this.#queue].slice(0, this.#maxQueue);
    if (this.#queue.some((w) => w.reject !== undefined)) this.#schedule();
  }

  async #ask(message: WriterMessage): Promise<unknown> {
    if (this.#thread === undefined || this.#thread.dead) this.#thread = new Thread(this.#file);
    const answer = await this.#thread.send(message);
    if (answer.error !== undefined) throw unwritable(answer.error);
    return answer;
  }
}

const unwritable = (why: string) =>
  new GatewayError(
    'audit-unwritable',
    `the audit log cannot be written, so the call is refused (${why.slice(0, 200)})`,
  );

interface Answer {
  readonly error?: string;
  readonly orphans?: number;
}

/** The writer's thread, asked one thing at a time. */
class Thread {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #cells: Int32Array;
  #asked = 0;
  #onDeath: (() => void) | undefined;
  dead = false;

  constructor(file: string) {
    const { port1, port2 } = new MessageChannel();
    const shared = new SharedArrayBuffer(16);
    this.#port = port1;
    this.#cells = new Int32Array(shared);
    const data: WriterData = { file, port: port2, shared };
    this.#worker = new Worker(workerUrl(), { workerData: data, transferList: [port2], stdout: false, stderr: false });
    const died = () => {
      this.dead = true;
      this.#onDeath?.();
    };
    this.#worker.on('error', died);
    this.#worker.on('exit', died);
    this.#port.unref();
  }

  async send(message: WriterMessage): Promise<Answer> {
    const before = this.#asked++;
    this.#port.postMessage(message);
    Atomics.add(this.#cells, WAKE, 1);
    Atomics.notify(this.#cells, WAKE);
    const waiting = Atomics.waitAsync(this.#cells, ACK, before);
    if (waiting.async) {
      const death = new Promise<'dead'>((resolve) => {
        this.#onDeath = () => resolve('dead');
      });
      if ((await Promise.race([waiting.value, death])) === 'dead' && Atomics.load(this.#cells, ACK) === before) {
        return { error: 'its writer died' };
      }
    }
    const received = receiveMessageOnPort(this.#port);
    if (received !== undefined) return received.message as Answer;
    return Atomics.load(this.#cells, FAILED) === 1 ? { error: 'it failed' } : {};
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
    this.#port.close();
  }
}
