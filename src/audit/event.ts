// One audit event as the gateway records it, and the two interfaces the log stands behind.
// Columns and stages follow the audit record of the design: intent before the engine sees a call, complete after it.
// What a call is about (resources, body, plugin changes, engine) stands in its first row: the intent, or the one row of a
// refused call. The outcome's row says what came of it, and names what was made.
import type { LedgerEntry } from '../ledger/entry.ts';
import type { AuditConditions, AuditPage, PageQuestion } from './filter.ts';

/**
 * - `intent`: decision stored before a byte goes to the engine
 * - `stream-open`: the engine answered the head of a long call
 * - `complete`: the outcome, also of calls that never reached the engine (401, 400, 403)
 * - `gateway`: start, stop, configuration, identity, token and policy changes
 */
export type AuditStage = 'intent' | 'stream-open' | 'complete' | 'gateway';
export type AuditDecision = 'allow' | 'deny' | 'error' | 'unauthenticated';

/**
 * The outcome of a call, apart from the decision on it:
 *
 * - `ok`: the engine did it, or showed it
 * - `not-found`: there is no such object; no denial, also where the gateway itself looked for it
 * - `conflict`: the engine refused it because of existing objects or their state (409, 304)
 * - `invalid`: what was asked for cannot be read or makes no sense (400)
 * - `failed`: the engine or the gateway failed, or cannot do it
 * - `cut`: it was under way when the caller, the engine or the gateway ended it
 * - `not-sent`: a denial or an unknown caller: the engine never saw it
 * - `unknown`: the gateway ended before it was known
 */
export type AuditOutcome = 'ok' | 'not-found' | 'conflict' | 'invalid' | 'failed' | 'cut' | 'not-sent' | 'unknown';

/** An object a call names, uses or makes. Names are masked like any text that is kept. */
export interface AuditResource {
  /** `container`, `image`, `volume`, `network`, `exec`, ...; `identity`, `policy`, ... in rows of the gateway's own. */
  readonly kind: string;
  /** As asked for: a name, an id, part of an id, or an image reference in its full form. */
  readonly name: string;
  /** The engine's full id, where it is known. */
  readonly id?: string | undefined;
  /** Where the call names it: `path.id`, `HostConfig.Binds[0]`; `answer` for what the engine told. */
  readonly at?: string | undefined;
}

/** What a caller of the recorder gives. `at` is in microseconds since the epoch, UTC. */
export interface AuditEvent {
  readonly at: number;
  readonly stage: AuditStage;
  /** UUIDv7, also sent to the caller as `Dockgate-Audit-Id`. */
  readonly auditId: string;
  readonly subject?: string | undefined;
  readonly issuer?: string | undefined;
  readonly tenant?: string | undefined;
  readonly tokenId?: string | undefined;
  /** Caller's address without port, `unix:<name>` for unix sockets. */
  readonly source?: string | undefined;
  /** User-Agent, at most 256 characters. */
  readonly client?: string | undefined;
  readonly action: string;
  readonly operationId?: string | undefined;
  readonly class?: string | undefined;
  readonly apiVersion?: string | undefined;
  /** The main object, `kind/name` as asked; the kind alone where a call is about all of them. */
  readonly resource?: string | undefined;
  /** The engine's full id of the main object; in the outcome of a call that made an object, the new id. */
  readonly resourceId?: string | undefined;
  readonly decision: AuditDecision;
  readonly code?: string | undefined;
  readonly rule?: string | undefined;
  readonly policyRev?: string | undefined;
  readonly status?: number | undefined;
  readonly durationUs?: number | undefined;
  readonly bytesIn?: number | undefined;
  readonly bytesOut?: number | undefined;
  /** Reasons, redacted body, changes made by plugins, annotations. Already redacted: stored as it is. */
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
  /** Who gave the rights that were used, where that is not the subject: who exchanged or approved. */
  readonly actor?: string | undefined;
  /** Load of the plugins that saw the call. */
  readonly pluginGeneration?: number | undefined;
  /** The engine's own id, and the name of this gateway: in first rows and those of the stage `gateway`. */
  readonly engine?: string | undefined;
  readonly gateway?: string | undefined;
  /** SHA-256 in hex of the body as it was received and as it was sent. */
  readonly bodySha256?: string | undefined;
  readonly sentSha256?: string | undefined;
  /** In outcomes and single rows. */
  readonly outcome?: AuditOutcome | undefined;
  /** Of an attach or exec: what its transcript is named by. */
  readonly session?: string | undefined;
  /** The other objects of the call, in its first row; in the outcome what the engine made, removed or told. */
  readonly resources?: readonly AuditResource[] | undefined;
  /** Changes of the ownership ledger, durable together with the event and no part of its row. At most 100. */
  readonly ledger?: readonly LedgerEntry[] | undefined;
}

/** A stored event: `seq` is gapless, `prev` and `hash` chain it to the one before (hex). */
export interface AuditRow extends AuditEvent {
  readonly seq: number;
  /** Resources that found no room in the row: several hundred did. */
  readonly moreResources?: number;
  readonly prev: string;
  readonly hash: string;
}

/**
 * When a call may go on: once its event is on disk (a power cut loses it no more), or, for one that only reads, once the kernel has it
 * (a kill of the process loses it no more; it is on disk within 50 ms, beyond which it is waited for).
 */
export type Kept = 'on-disk' | 'by-kernel';

export interface Recorder {
  /** Resolves once the event is kept; by default once it is on disk (group commit). Rejects with GatewayError `audit-unwritable`. */
  record(event: AuditEvent, kept?: Kept): Promise<void>;
  /**
   * Queues the event behind earlier ones; written with the next group, within some ten milliseconds. Never throws;
   * failures surface in `healthy`.
   */
  append(event: AuditEvent): void;
  /** Runs work, which does not wait, at a moment when no row is being written. Rows that wait go on waiting for it. */
  atRest<T>(work: () => T): Promise<T>;
  /** Resolves once what was queued so far is written, or cannot be written. For readers who want to see all of it. */
  settle(): Promise<void>;
  /** False once a write failed, true again after one succeeded. */
  readonly healthy: boolean;
  /** Writes what is queued and closes the log. */
  close(): Promise<void>;
}

/** The recorder of a log that signs itself. */
export interface SealingRecorder extends Recorder {
  /**
   * Signs the log as it is now, and resolves with the checkpoint once that is on disk; undefined for an empty log. Rejects with
   * GatewayError `conflict` when it cannot be signed.
   */
  checkpoint(): Promise<string | undefined>;
  /**
   * Signs and keeps an anchor at a row that a checkpoint covers: the log is verified from behind it, and `remove` may follow. Rejects
   * with GatewayError `conflict` when it cannot be signed.
   */
  anchor(seq: number): Promise<string>;
  /** Begins to remove the rows up to one that has an anchor: some at a time, while no row waits to be written. */
  remove(seq: number): Promise<void>;
}

/** Conditions, and which stretch of the log. */
export interface AuditFilter extends AuditConditions {
  /** Only rows with `seq` greater than this one. */
  readonly afterSeq?: number;
  /** Only rows with `seq` less than this one. */
  readonly beforeSeq?: number;
  /** Default: newest first. */
  readonly oldestFirst?: boolean;
  /** At most this many rows. */
  readonly limit: number;
}

/** The log for review. Answers take as long as the log is large, and nothing else waits for them. */
export interface AuditReader {
  list(filter: AuditFilter): Promise<readonly AuditRow[]>;
  /** All rows of one call, in order. */
  byAuditId(auditId: string): Promise<readonly AuditRow[]>;
  /** Audit ids that begin so, at most six. */
  startingWith(start: string): Promise<readonly string[]>;
  /** Calls or rows that meet conditions, newest first, a page at a time. */
  page(question: PageQuestion): Promise<AuditPage>;
}
