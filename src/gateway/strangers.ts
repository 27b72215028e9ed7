// Refusals of unauthenticated callers, in the audit: each with a row of its own up to a rate, and past it counted, address
// by address, in two rows a minute. Calls of known identities never come here. So a flood of 401s fills neither the disk nor the
// queue that calls need for their intents.
import type { Recorder } from '../audit/event.ts';
import { networkOf } from '../runtime/connections.ts';

/** Refusals are counted for so long before a row tells how many they were, in ms. */
const WINDOW_MS = 60_000;
/** Minutes of the rate that may be used at once. */
const BURST_MIN = 5;
/** What all addresses together have, in rates of one. */
const ALL = 4;
/** Addresses counted apart; further ones are counted together. */
const MAX_ADDRESSES = 64;
/** Addresses whose rate is remembered. */
const MAX_RATES = 4096;
const ELSEWHERE = 'elsewhere';

export interface StrangersParts {
  readonly recorder: Pick<Recorder, 'append'>;
  /** Rows of one address, per minute. */
  rowsPerMinute(): number;
  /** Milliseconds since the epoch. */
  now(): number;
  newAuditId(): string;
}

interface Fold {
  readonly auditId: string;
  readonly source: string;
  readonly fromMs: number;
  readonly codes: Map<string, number>;
}

interface Bucket {
  left: number;
  atMs: number;
}

export class Strangers {
  readonly #parts: StrangersParts;
  readonly #folds = new Map<string, Fold>();
  readonly #buckets = new Map<string, Bucket>();
  readonly #all: Bucket = { left: Number.POSITIVE_INFINITY, atMs: 0 };
  #timer: ReturnType<typeof setTimeout> | undefined;
  #counted = 0;

  constructor(parts: StrangersParts) {
    this.#parts = parts;
  }

  /** Refusals that have no row of their own, since the start. */
  get counted(): number {
    return this.#counted;
  }

  /**
   * Asks how a refusal is to be recorded.
   *
   * @param source address of the caller
   * @returns undefined for a row of its own; else the audit id of the rows it is counted in
   */
  fold(source: string, code: string): string | undefined {
    const name = networkOf(source);
    if (this.#hasRow(name)) return undefined;
    this.#counted++;
    const fold = this.#foldOf(name);
    fold.codes.set(code, (fold.codes.get(code) ?? 0) + 1);
    return fold.auditId;
  }

  /** Tells what was counted so far. */
  close(): void {
    clearTimeout(this.#timer);
    for (const fold of this.#folds.values()) this.#tell(fold);
    this.#folds.clear();
  }

  #hasRow(name: string): boolean {
    const rate = this.#parts.rowsPerMinute();
    const now = this.#parts.now();
    let own = this.#buckets.get(name);
    if (own === undefined) {
      if (this.#buckets.size >= MAX_RATES) this.#forget();
      own = { left: Number.POSITIVE_INFINITY, atMs: now };
      this.#buckets.set(name, own);
    }
    fill(own, rate, now);
    fill(this.#all, rate * ALL, now);
    if (own.left < 1 || this.#all.left < 1) return false;
    own.left--;
    this.#all.left--;
    return true;
  }

  /** The oldest tenth goes: they would start full again, and the rate of all holds. */
  #forget(): void {
    for (const name of this.#buckets.keys()) {
      if (this.#buckets.size < 0.9 * MAX_RATES) return;
      this.#buckets.delete(name);
    }
  }

  #foldOf(name: string): Fold {
    const found = this.#folds.get(name);
    if (found !== undefined) return found;
    const source = this.#folds.size < MAX_ADDRESSES ? name : ELSEWHERE;
    const shared = this.#folds.get(source);
    if (shared !== undefined) return shared;
    const fold: Fold = {
      auditId: this.#parts.newAuditId(),
      source,
      fromMs: this.#parts.now(),
      codes: new Map(),
    };
    this.#folds.set(source, fold);
    // Now, so that the id a caller is given is in the audit even if the gateway ends before the count is written.
    this.#append(fold, { message: 'further refusals of callers without credentials are counted from here on' });
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.close();
    }, WINDOW_MS);
    this.#timer.unref?.();
    return fold;
  }

  #tell(fold: Fold): void {
    let count = 0;
    for (const one of fold.codes.values()) count += one;
    const seconds = Math.round((this.#parts.now() - fold.fromMs) / 1000);
    const codes = Object.fromEntries(fold.codes);
    this.#append(fold, {
      message: `${count} refusals of callers without credentials within ${seconds} s`,
      count,
      codes,
    });
  }

  #append({ auditId, source }: Fold, detail: Readonly<Record<string, unknown>>): void {
    this.#parts.recorder.append({
      at: this.#parts.now() * 1000,
      stage: 'gateway',
      auditId,
      source,
      action: 'strangers.refused',
      decision: 'unauthenticated',
      detail,
    });
  }
}

function fill(bucket: Bucket, perMinute: number, now: number): void {
  const flown = (Math.max(0, now - bucket.atMs) / 60_000) * perMinute;
  bucket.left = Math.min(perMinute * BURST_MIN, bucket.left + flown);
  bucket.atMs = now;
}
