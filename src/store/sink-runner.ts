// Feeds one sink: reads behind its cursor, delivers in order, and moves the cursor once the receiver has the rows. A sink that fails is
// tried again with growing pauses and holds nothing in memory but the batch it failed with.
import type { SinkSetting } from '../audit/sinks/setting.ts';
import { type Sink, SinkFault } from '../audit/sinks/sink.ts';
import type { AuditPages } from './audit-pages.ts';
import { advanced, type Cursor, type SinkCursors, seqOf, settled } from './sink-cursors.ts';

/** First and longest pause after a fault, in ms. */
const MIN_PAUSE_MS = 500;
const MAX_PAUSE_MS = 60_000;

export interface SinkState {
  readonly name: string;
  readonly kind: SinkSetting['kind'];
  /** The last row the receiver has. */
  readonly seq: number;
  readonly lagRows: number;
  /** Age of the oldest row the receiver does not have. */
  readonly lagSeconds: number;
  readonly deliveredRows: number;
  readonly failures: number;
  /** Rows the receiver said it will not take. */
  readonly refusedRows: number;
  /** Why the last delivery failed; undefined after one that did not. */
  readonly fault: string | undefined;
}

export interface SinkTold {
  /** The log was put back to an earlier state: rows are sent again from here. */
  wentBack(name: string, seq: number): void;
  refused(name: string, rows: number): void;
}

export class SinkRunner {
  readonly setting: SinkSetting;
  readonly #sink: Sink;
  readonly #pages: AuditPages;
  readonly #cursors: SinkCursors;
  readonly #told: SinkTold;
  #cursor: Cursor;
  #isStopped = false;
  #abort = new AbortController();
  #wake: (() => void) | undefined;
  #isPausing = false;
  #pauseMs = 0;
  #rows: number;
  #deliveredRows = 0;
  #failures = 0;
  #refusedRows = 0;
  #fault: string | undefined;
  readonly #ended: Promise<void>;

  constructor(setting: SinkSetting, sink: Sink, pages: AuditPages, cursors: SinkCursors, told: SinkTold) {
    this.setting = setting;
    this.#sink = sink;
    this.#pages = pages;
    this.#cursors = cursors;
    this.#told = told;
    this.#rows = setting.batchRows;
    this.#cursor = this.#begin();
    this.#ended = this.#run();
  }

  #begin(): Cursor {
    const pages = this.#pages;
    const kept = this.#cursors.get(this.setting.name);
    if (kept === undefined && this.setting.from === 'now') {
      const last = pages.last();
      const hash = pages.hashAt(last);
      const cursor = { logId: pages.logId, marks: hash === undefined ? [] : [[last, hash] as const] };
      this.#cursors.set(this.setting.name, cursor);
      return cursor;
    }
    const { cursor, wentBack } = settled(kept, pages.logId, pages.first(), pages.hashAt);
    if (wentBack) this.#told.wentBack(this.setting.name, seqOf(cursor));
    // Also before the first delivery: what a sink that never answered has not got is not removed.
    if (cursor !== kept) this.#cursors.set(this.setting.name, cursor);
    return cursor;
  }

  /** Something may have been written. A sink that pauses after a fault goes on pausing. */
  poke(): void {
    if (!this.#isPausing) this.#wake?.();
  }

  state(nowMs: number): SinkState {
    const seq = seqOf(this.#cursor);
    const first = this.#pages.atAfter(seq);
    const { name, kind } = this.setting;
    return {
      name,
      kind,
      seq,
      lagRows: Math.max(0, this.#pages.last() - seq),
      lagSeconds: first === undefined ? 0 : Math.max(0, (nowMs * 1000 - first) / 1e6),
      deliveredRows: this.#deliveredRows,
      failures: this.#failures,
      refusedRows: this.#refusedRows,
      fault: this.#fault,
    };
  }

  /** Delivers the rows at hand, for at most so long, and ends. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopped = true;
    if (this.#isPausing) this.#abort.abort();
    this.#wake?.();
    const timer = setTimeout(() => this.#abort.abort(), graceMs);
    await this.#ended;
    clearTimeout(timer);
    this.#sink.close();
  }

  async #run(): Promise<void> {
    // A constructor that calls a sink would make its faults the caller's.
    await Promise.resolve();
    while (!this.#abort.signal.aborted) {
      let moved: boolean;
      try {
        moved = await this.#deliverOne();
        this.#pauseMs = 0;
        this.#fault = undefined;
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        this.#failed(error);
        if (this.#isStopped) return;
        this.#isPausing = true;
        await this.#sleep(this.#pauseMs);
        this.#isPausing = false;
        continue;
      }
      if (moved) continue;
      if (this.#isStopped) return;
      await this.#sleep(undefined);
    }
  }

  async #deliverOne(): Promise<boolean> {
    const rows = this.#pages.after(seqOf(this.#cursor), this.#rows);
    const last = rows.at(-1);
    if (last === undefined) return false;
    const timeout = AbortSignal.timeout(this.setting.timeoutMs);
    const batch = { logId: this.#pages.logId, rows };
    const { refused } = await this.#sink.deliver(batch, AbortSignal.any([timeout, this.#abort.signal]));
    this.#cursor = advanced(this.#cursor, [last.seq, last.hash]);
    this.#cursors.set(this.setting.name, this.#cursor);
    this.#deliveredRows += rows.length - refused;
    if (refused > 0) {
      this.#refusedRows += refused;
      this.#told.refused(this.setting.name, refused);
    }
    if (this.#rows < this.setting.batchRows) this.#rows = Math.min(this.setting.batchRows, this.#rows * 2);
    return true;
  }

  #failed(error: unknown): void {
    this.#failures++;
    // A fault of our own is told by its kind: its message may quote a row.
    this.#fault = error instanceof SinkFault ? error.message : `the rows could not be delivered (${nameOf(error)})`;
    if (error instanceof SinkFault && error.isTooLarge && this.#rows > 1) {
      this.#rows = Math.max(1, Math.floor(this.#rows / 2));
      this.#pauseMs = 0;
      return;
    }
    const grown = Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, this.#pauseMs * 2));
    this.#pauseMs = grown;
    if (error instanceof SinkFault && error.retryAfterMs !== undefined)
      this.#pauseMs = Math.max(grown, error.retryAfterMs);
  }

  #sleep(ms: number | undefined): Promise<void> {
    if (this.#isStopped || this.#abort.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(done, ms + Math.random() * ms * 0.2);
      const wake = done;
      this.#wake = wake;
      function done(): void {
        clearTimeout(timer);
        resolve();
      }
    });
  }
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : typeof error);
