// The main thread's end of the thread that feeds the audit's sinks: hands settings over, keeps the last states for metrics and status,
// and says in the log when a sink begins and ends to fail. Without sinks there is no thread.
import { Worker } from 'node:worker_threads';
import type { RetentionSetting } from '../audit/retention.ts';
import type { SinkSetting } from '../audit/sinks/setting.ts';
import type { RemovedSegment, RetentionState } from './retention.ts';
import type { SinkState } from './sink-runner.ts';
import { workerProgram } from './worker-program.ts';

export interface SinksData {
  readonly auditFile: string;
  readonly version: string;
}

export type SinksAsked =
  | {
      readonly ask: 'apply';
      readonly id: number;
      readonly sinks: readonly SinkSetting[];
      readonly retention: RetentionSetting | undefined;
      readonly graceMs: number;
    }
  | { readonly ask: 'kept'; readonly id: number; readonly text?: string; readonly failure?: string }
  | { readonly ask: 'stop'; readonly graceMs: number };

export type SinksTold =
  | {
      readonly tell: 'states';
      readonly states: readonly SinkState[];
      readonly retention: RetentionState | undefined;
      readonly saveFault: string | undefined;
    }
  | { readonly tell: 'anchor'; readonly id: number; readonly seq: number }
  | { readonly tell: 'remove'; readonly id: number; readonly segment: RemovedSegment }
  | { readonly tell: 'went-back'; readonly name: string; readonly seq: number }
  | { readonly tell: 'refused'; readonly name: string; readonly rows: number }
  | { readonly tell: 'applied'; readonly id: number }
  | { readonly tell: 'stopped' };

/** What the log's one writer does for retention. */
export interface Keeper {
  anchor(seq: number): Promise<string>;
  /** A segment was written: has its rows removed, and records that. */
  remove(segment: RemovedSegment): Promise<void>;
}

/** As much of the logger as is needed here. */
export interface SinksLog {
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

const HEAP_MIB = 256;
/** What a sink has left to do at the end, or before its settings change, in ms. */
const GRACE_MS = 2000;
/** A thread that does not end by itself is ended after this, in ms. */
const STOP_MS = GRACE_MS + 3000;
/** Pause before a thread that died is started again, in ms. */
const RESTART_MS = 5000;
/** How often a sink that goes on failing is told again, in ms. */
const TELL_AGAIN_MS = 600_000;

export class SinksThread {
  readonly #data: SinksData;
  readonly #log: SinksLog;
  readonly #keeper: Keeper | undefined;
  #sinks: readonly SinkSetting[] = [];
  #retention: RetentionSetting | undefined;
  #retentionState: RetentionState | undefined;
  #retentionTold: string | undefined;
  #worker: Worker | undefined;
  #states: readonly SinkState[] = [];
  #restart: NodeJS.Timeout | undefined;
  #isClosed = false;
  #asked = 0;
  #onApplied: ((id: number) => void) | undefined;
  /** What restarts of the thread would forget. */
  readonly #before = new Map<string, { failures: number; deliveredRows: number; refusedRows: number }>();
  readonly #toldAt = new Map<string, number>();

  /** @param keeper undefined where nothing is removed */
  constructor(data: SinksData, log: SinksLog, keeper?: Keeper) {
    this.#data = data;
    this.#log = log;
    this.#keeper = keeper;
  }

  /** Sinks as the settings have them now, with counts since the gateway started. */
  states(): readonly SinkState[] {
    return this.#states.map((state) => {
      const before = this.#before.get(state.name);
      if (before === undefined) return state;
      return {
        ...state,
        failures: state.failures + before.failures,
        deliveredRows: state.deliveredRows + before.deliveredRows,
        refusedRows: state.refusedRows + before.refusedRows,
      };
    });
  }

  /** How retention stands; undefined where everything is kept. */
  retention(): RetentionState | undefined {
    return this.#retention === undefined ? undefined : this.#retentionState;
  }

  /** Takes over the sinks and the retention of a configuration. Those that did not change go on. */
  async apply(sinks: readonly SinkSetting[], retention?: RetentionSetting): Promise<void> {
    if (this.#isClosed) return;
    const changed = this.#sinks.filter((old) => !sinks.some((one) => JSON.stringify(one) === JSON.stringify(old)));
    this.#sinks = sinks;
    this.#retention = retention;
    for (const { name } of changed)
      this.#keepCounts(
        name,
        sinks.some((one) => one.name === name),
      );
    if (sinks.length === 0 && retention === undefined && this.#worker === undefined) return;
    const worker = this.#started();
    const id = ++this.#asked;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, STOP_MS);
      timer.unref();
      const earlier = this.#onApplied;
      this.#onApplied = (applied) => {
        earlier?.(applied);
        if (applied >= id) done();
      };
      function done(): void {
        clearTimeout(timer);
        resolve();
      }
      worker.postMessage({ ask: 'apply', id, sinks, retention, graceMs: GRACE_MS } satisfies SinksAsked);
    });
  }

  #keepCounts(name: string, isKept: boolean): void {
    const state = this.states().find((one) => one.name === name);
    if (!isKept || state === undefined) this.#before.delete(name);
    else this.#before.set(name, state);
    this.#states = this.#states.filter((one) => one.name !== name);
  }

  /** Delivers the rows at hand for a moment, and ends. The others are delivered after the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, STOP_MS);
      worker.on('message', (told: SinksTold) => {
        if (told.tell === 'stopped') done();
      });
      worker.on('exit', done);
      function done(): void {
        clearTimeout(timer);
        resolve();
      }
      worker.postMessage({ ask: 'stop', graceMs: GRACE_MS } satisfies SinksAsked);
    });
    await worker.terminate();
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(workerProgram('sinks-worker'), {
      workerData: this.#data,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
    });
    worker.unref();
    worker.on('message', (told: SinksTold) => this.#heard(worker, told));
    worker.on('error', (error) => this.#died(worker, error.message));
    worker.on('exit', () => this.#died(worker, 'it exited'));
    this.#worker = worker;
    return worker;
  }

  #heard(worker: Worker, told: SinksTold): void {
    if (worker !== this.#worker) return;
    switch (told.tell) {
      case 'states':
        if (told.saveFault !== undefined)
          this.#log.error({ reason: told.saveFault }, 'cursors of the audit sinks cannot be saved');
        this.#tellFaults(told.states);
        this.#states = told.states;
        this.#retentionState = told.retention;
        this.#tellRetention(told.retention);
        return;
      case 'anchor':
        this.#keep(worker, told.id, this.#keeper?.anchor(told.seq));
        return;
      case 'remove':
        this.#keep(
          worker,
          told.id,
          this.#keeper?.remove(told.segment).then(() => undefined),
        );
        return;
      case 'went-back':
        this.#log.warn(
          { sink: told.name, seq: told.seq },
          'the audit log is not the one this sink knew: it is sent again',
        );
        return;
      case 'refused':
        this.#log.warn({ sink: told.name, rows: told.rows }, 'an audit sink took a batch without some of its rows');
        return;
      case 'applied':
        this.#onApplied?.(told.id);
        return;
      case 'stopped':
        return;
    }
  }

  /** Hands on what the writer answers. */
  #keep(worker: Worker, id: number, done: Promise<string | undefined> | undefined): void {
    const answer = (more: { text?: string; failure?: string }): void =>
      worker.postMessage({ ask: 'kept', id, ...more } satisfies SinksAsked);
    if (done === undefined) answer({ failure: 'nothing is removed here' });
    else
      done.then(
        (text) => answer(text === undefined ? {} : { text }),
        (error: unknown) => answer({ failure: error instanceof Error ? error.message : String(error) }),
      );
  }

  #tellRetention(state: RetentionState | undefined): void {
    const fault = state?.fault;
    if (fault !== undefined && fault !== this.#retentionTold)
      this.#log.error({ reason: fault }, 'rows of the audit that are due cannot be exported and removed');
    this.#retentionTold = fault;
  }

  #tellFaults(states: readonly SinkState[]): void {
    const now = Date.now();
    for (const { name, fault, lagRows } of states) {
      const toldAt = this.#toldAt.get(name);
      if (fault === undefined) {
        if (toldAt !== undefined) this.#log.info({ sink: name }, 'an audit sink takes rows again');
        this.#toldAt.delete(name);
      } else if (toldAt === undefined || now - toldAt >= TELL_AGAIN_MS) {
        this.#log.warn({ sink: name, reason: fault, lagRows }, 'an audit sink does not take rows; nothing is lost');
        this.#toldAt.set(name, now);
      }
    }
  }

  #died(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    for (const state of this.states()) this.#before.set(state.name, state);
    this.#states = this.#states.map((state) => ({ ...state, failures: 0, deliveredRows: 0, refusedRows: 0 }));
    this.#onApplied?.(this.#asked);
    if (this.#isClosed) return;
    this.#log.error({ reason }, 'the thread of the audit sinks ended; it starts again');
    this.#restart = setTimeout(() => void this.apply(this.#sinks, this.#retention), RESTART_MS);
    this.#restart.unref();
  }
}
