// Whether the audit log is what was written: watches what its writer signs, verifies the newest part at start and every hour, and tells
// an altered log loudly. Joins the writer's thread, the review thread and a file beside the database.
import { existsSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AuditEvent, SealingRecorder } from '../audit/event.ts';
import type { AuditVerdict, Fault } from '../audit/seal/faults.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { HEAD_FILE } from '../store/audit-key.ts';
import type { SealedCheckpoint, SealerEvents } from '../store/audit-sealer.ts';
import type { ReviewThread } from '../store/review-thread.ts';

const FIRST_LOOK_MS = 1000;
const HOUR_MS = 3_600_000;
/** Rows looked at each time, at least. */
const NEWEST = 10_000;
/** How often the clock is looked at, and what counts as set, in ms. */
const CLOCK_LOOK_MS = 1000;
const CLOCK_SET_MS = 2000;

export interface IntegrityState {
  /** `unverified` until the first look has ended. */
  readonly log: 'whole' | 'altered' | 'unverified';
  /** ISO 8601, UTC, and the rows that were looked at. */
  readonly verifiedAt?: string;
  readonly verifiedFrom?: number;
  readonly verifiedThrough?: number;
  /** The first fault. */
  readonly fault?: Fault;
  /** Rows the newest checkpoint covers, and when it was signed. */
  readonly signedThrough?: number;
  readonly signedAt?: string;
  /** Why nothing is signed, while that is so. */
  readonly notSigned?: string;
  /** Why the last look came to no end. */
  readonly notVerified?: string;
}

export interface IntegrityParts {
  readonly auditFile: string;
  readonly log: Logger;
  now(): number;
  newAuditId(): string;
}

export class AuditIntegrity {
  readonly #parts: IntegrityParts;
  readonly #headFile: string;
  #recorder: SealingRecorder | undefined;
  #review: ReviewThread | undefined;
  #early: AuditEvent[] = [];
  #publicKey: string | undefined;
  #newest: { readonly size: number; readonly at: string } | undefined;
  #notSigned: string | undefined;
  #verified: Omit<IntegrityState, 'log'> = {};
  #isVerified = false;
  /** Newest checkpoint that waits to be written beside the database. */
  #head: string | undefined;
  #writing: Promise<void> = Promise.resolve();
  #timers: NodeJS.Timeout[] = [];
  #looking: Promise<void> | undefined;
  #clock = 0;
  /** Rows that are covered by a checkpoint which stands in the log itself, and that row. */
  #told = 0;

  constructor(parts: IntegrityParts) {
    this.#parts = parts;
    this.#headFile = join(dirname(parts.auditFile), HEAD_FILE);
  }

  /** For the recorder. */
  readonly seals: SealerEvents = {
    checkpoint: (sealed) => this.#signed(sealed),
    keyMade: (publicKey, isFirst) => this.#keyMade(publicKey, isFirst),
    failed: (why) => {
      this.#notSigned = why;
      this.#parts.log.error(
        { reason: why },
        'the audit log cannot be signed: what is written from now on has no proof',
      );
    },
  };

  /** Begins to look: at once, and every hour. */
  begin(recorder: SealingRecorder, review: ReviewThread): void {
    this.#recorder = recorder;
    this.#review = review;
    for (const event of this.#early.splice(0)) recorder.append(event);
    // The program has more to do in its first second.
    const first = setTimeout(() => {
      this.#looking = this.#look();
    }, FIRST_LOOK_MS);
    const hourly = setInterval(() => {
      this.#looking = this.#look();
    }, HOUR_MS);
    this.#clock = drift();
    const clock = setInterval(() => this.#lookAtClock(), CLOCK_LOOK_MS);
    this.#timers = [first, hourly, clock];
    for (const timer of this.#timers) timer.unref();
  }

  state(): IntegrityState {
    const { fault } = this.#verified;
    return {
      log: fault !== undefined ? 'altered' : this.#isVerified ? 'whole' : 'unverified',
      ...this.#verified,
      ...(this.#newest === undefined ? {} : { signedThrough: this.#newest.size, signedAt: this.#newest.at }),
      ...(this.#notSigned === undefined ? {} : { notSigned: this.#notSigned }),
    };
  }

  /** Signs the log as it is. @throws {GatewayError} `conflict` */
  async checkpoint(): Promise<{ readonly checkpoint: string; readonly publicKey: string }> {
    const note = await this.#recorder?.checkpoint();
    if (note === undefined) throw new GatewayError('conflict', 'the audit log is empty: there is nothing to sign');
    return { checkpoint: note, publicKey: await this.publicKey() };
  }

  async publicKey(): Promise<string> {
    return (await this.#review?.publicKeys()) ?? this.#publicKey ?? '';
  }

  /** Proofs of the rows of a call, all of which are covered by then. @throws {GatewayError} `not-found`, `conflict` */
  async proof(auditId: string): Promise<string> {
    await this.#recorder?.checkpoint();
    const text = await this.#review?.proof(auditId);
    if (text === undefined) throw new GatewayError('shutting-down', 'the gateway is stopping');
    return text;
  }

  /** Verifies the log as it is now. @param from begin at the newest checkpoint before this row */
  async verify(from?: number): Promise<AuditVerdict> {
    const review = this.#review;
    if (review === undefined) throw new GatewayError('shutting-down', 'the gateway is stopping');
    const verdict = await review.verify({ outside: this.#outside(), ...(from === undefined ? {} : { from }) });
    this.#found(verdict);
    return verdict;
  }

  /** Records nothing from now on: the recorder is about to close, which signs once more. */
  stop(): void {
    this.#recorder = undefined;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#looking;
    // What lies there and was compared with nothing stays, for the next start to compare.
    if (this.#isVerified) await this.#writeHead();
  }

  #outside(): string[] {
    return existsSync(this.#headFile) ? [readFileSync(this.#headFile, 'utf8')] : [];
  }

  async #look(): Promise<void> {
    try {
      const end = (await this.#review?.list({ limit: 1 }))?.[0];
      if (end !== undefined && end.at > this.#parts.now() * 1000 + CLOCK_SET_MS * 1000)
        this.#clockSet(end.at / 1000 - this.#parts.now());
      await this.verify(Math.max(1, (end?.seq ?? 0) - NEWEST));
      await this.#writeHead();
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'shutting-down') return;
      const reason = error instanceof Error ? error.message : String(error);
      this.#verified = { ...this.#verified, notVerified: reason };
      this.#parts.log.error({ reason }, 'the audit log could not be verified');
    }
  }

  #found(verdict: AuditVerdict): void {
    const [fault] = verdict.faults;
    this.#isVerified = true;
    this.#verified = {
      verifiedAt: new Date(this.#parts.now()).toISOString(),
      verifiedFrom: verdict.first,
      verifiedThrough: verdict.last,
      // Once found altered it stays so, whichever part is verified next.
      ...((fault ?? this.#verified.fault) === undefined ? {} : { fault: fault ?? this.#verified.fault }),
    } as Omit<IntegrityState, 'log'>;
    if (fault === undefined) return;
    const { kind, seq, message } = fault;
    this.#parts.log.error(
      { kind, seq, reason: message },
      'THE AUDIT LOG WAS ALTERED: keep a copy, run dockgate audit verify',
    );
  }

  #signed(sealed: SealedCheckpoint): void {
    this.#publicKey = sealed.publicKey;
    this.#notSigned = undefined;
    this.#newest = { size: sealed.size, at: new Date(this.#parts.now()).toISOString() };
    this.#head = sealed.note;
    // What lies there is compared with the log before it is replaced.
    if (this.#isVerified) void this.#writeHead();
    this.#tell(sealed);
  }

  /**
   * Records a checkpoint in the log, from where sinks ship it like any row: what is kept there proves the log that was left behind. One
   * that covers no more than such a row is not recorded, or a log at rest would go on for ever.
   */
  #tell({ size, note, publicKey }: SealedCheckpoint): void {
    if (this.#recorder === undefined || size <= this.#told) return;
    this.#told = size + 1;
    this.#append('audit.checkpoint', { checkpoint: note, publicKey });
  }

  /** Writes the newest checkpoint beside the database, one at a time; not over one that shows that the log was altered. */
  #writeHead(): Promise<void> {
    const write = async (): Promise<void> => {
      while (this.#head !== undefined && this.#verified.fault === undefined) {
        const note = this.#head;
        this.#head = undefined;
        try {
          await writeFile(`${this.#headFile}.part`, note, { mode: 0o600 });
          await rename(`${this.#headFile}.part`, this.#headFile);
        } catch (error) {
          this.#parts.log.warn({ err: error }, 'the newest checkpoint could not be written beside the audit log');
        }
      }
    };
    // One after the other: each writes the newest state when its turn comes.
    this.#writing = this.#writing.then(write);
    return this.#writing;
  }

  #keyMade(publicKey: string, isFirst: boolean): void {
    this.#publicKey = publicKey;
    if (isFirst)
      this.#parts.log.info({ publicKey }, 'a key was made that signs the audit log: keep its public key elsewhere');
    else
      this.#parts.log.warn(
        { publicKey },
        'the key that signed the audit log is gone: another one signs it from now on',
      );
    this.#append('audit.key', { publicKey, replaced: !isFirst });
  }

  /** Set while the gateway runs: wall clock and steady clock part. */
  #lookAtClock(): void {
    const byMs = drift() - this.#clock;
    if (Math.abs(byMs) < CLOCK_SET_MS) return;
    this.#clock += byMs;
    this.#clockSet(-byMs);
  }

  #clockSet(backMs: number): void {
    this.#parts.log.warn({ byMs: Math.round(-backMs) }, 'the clock was set: recorded in the audit');
    this.#append('clock.set', { byMs: Math.round(-backMs) });
  }

  #append(action: string, detail: Readonly<Record<string, unknown>>): void {
    const event: AuditEvent = {
      at: this.#parts.now() * 1000,
      stage: 'gateway',
      auditId: this.#parts.newAuditId(),
      action,
      decision: 'allow',
      detail,
    };
    if (this.#recorder === undefined) this.#early.push(event);
    else this.#recorder.append(event);
  }
}

const drift = (): number => Date.now() - performance.now();
