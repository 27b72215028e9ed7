// The main thread's end of the review thread. What operators ask of a large log costs the callers of the engine nothing:
// the thread reads, and rows come over in small batches.
import { Worker } from 'node:worker_threads';
import type { AuditFilter, AuditReader, AuditRow } from '../audit/event.ts';
import type { ExportPiece, ExportQuestion } from '../audit/export.ts';
import type { AuditPage, PageQuestion } from '../audit/filter.ts';
import type {
  AuditReports,
  CountAnswer,
  CountQuestion,
  Timeline,
  TimelineQuestion,
  UseAnswer,
} from '../audit/reports.ts';
import type { AuditVerdict } from '../audit/seal/faults.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import type { TokenUses } from './audit-token-use.ts';
import type { UsagePoint } from './usage-history.ts';
import { workerProgram } from './worker-program.ts';

export interface ReviewData {
  readonly auditFile: string;
  readonly ledgerFile: string;
  /** Where the index of the log is kept; left out, every row is looked at. */
  readonly indexFile?: string;
}

export type ReviewQuestion =
  | { readonly ask: 'list'; readonly filter: AuditFilter }
  | { readonly ask: 'page'; readonly page: PageQuestion }
  | { readonly ask: 'count'; readonly count: CountQuestion }
  | { readonly ask: 'timeline'; readonly timeline: TimelineQuestion }
  | { readonly ask: 'uses'; readonly since: number }
  | { readonly ask: 'call'; readonly auditId: string }
  | { readonly ask: 'ids'; readonly start: string }
  | { readonly ask: 'export'; readonly export: ExportQuestion }
  | { readonly ask: 'verify'; readonly options: { readonly from?: number; readonly outside?: readonly string[] } }
  | { readonly ask: 'proof'; readonly auditId: string }
  | { readonly ask: 'public-keys' }
  | { readonly ask: 'token-use'; readonly afterSeq: number; readonly limit: number }
  | {
      readonly ask: 'usage';
      readonly tenant: string;
      readonly fromMs: number;
      readonly toMs: number;
      readonly stepMs: number;
    };

export type ReviewAnswer = { readonly id: number } & (
  | { readonly value: unknown }
  | { readonly failure: string; readonly code?: ErrorCode }
);

/** Rows that come over at a time: reading one message takes the main thread some milliseconds at most. */
const BATCH = 500;
/** Questions asked and not answered yet: each tail asks one at a time, and people ask the rest. */
const MAX_QUESTIONS = 128;
/** Largest heap of the thread: it ends past it, and the gateway does not. */
const HEAP_MIB = 256;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: GatewayError): void;
}

export class ReviewThread implements AuditReader, AuditReports {
  readonly #data: ReviewData;
  readonly #program: URL | undefined;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #asked = 0;
  #isClosed = false;

  /** Starts with the first question. The files were migrated. @param program default: the one of this installation */
  constructor(data: ReviewData, program?: URL) {
    this.#data = data;
    this.#program = program;
  }

  async list(filter: AuditFilter): Promise<readonly AuditRow[]> {
    const rows: AuditRow[] = [];
    let rest = filter;
    for (;;) {
      const limit = Math.min(BATCH, filter.limit - rows.length);
      const batch = (await this.#ask({ ask: 'list', filter: { ...rest, limit } })) as readonly AuditRow[];
      rows.push(...batch);
      const last = batch.at(-1);
      if (last === undefined || batch.length < limit || rows.length >= filter.limit) return rows;
      rest = filter.oldestFirst === true ? { ...filter, afterSeq: last.seq } : { ...filter, beforeSeq: last.seq };
    }
  }

  async byAuditId(auditId: string): Promise<readonly AuditRow[]> {
    return (await this.#ask({ ask: 'call', auditId })) as readonly AuditRow[];
  }

  async page(page: PageQuestion): Promise<AuditPage> {
    return (await this.#ask({ ask: 'page', page })) as AuditPage;
  }

  async count(count: CountQuestion): Promise<CountAnswer> {
    return (await this.#ask({ ask: 'count', count })) as CountAnswer;
  }

  async timeline(timeline: TimelineQuestion): Promise<Timeline> {
    return (await this.#ask({ ask: 'timeline', timeline })) as Timeline;
  }

  async uses(since: number): Promise<UseAnswer> {
    return (await this.#ask({ ask: 'uses', since })) as UseAnswer;
  }

  async startingWith(start: string): Promise<readonly string[]> {
    return (await this.#ask({ ask: 'ids', start })) as readonly string[];
  }

  /** Whether the log is what was written. @param options checkpoints kept elsewhere, and the row to begin at */
  async verify(options: { readonly from?: number; readonly outside?: readonly string[] }): Promise<AuditVerdict> {
    return (await this.#ask({ ask: 'verify', options })) as AuditVerdict;
  }

  /** Proofs of the rows of a call. @throws {GatewayError} `not-found`, `conflict` */
  async proof(auditId: string): Promise<string> {
    return (await this.#ask({ ask: 'proof', auditId })) as string;
  }

  /** Public keys the log was signed with, one a line. */
  async publicKeys(): Promise<string> {
    return (await this.#ask({ ask: 'public-keys' })) as string;
  }

  async exportPiece(question: ExportQuestion): Promise<ExportPiece> {
    return (await this.#ask({ ask: 'export', export: question })) as ExportPiece;
  }

  /** Uses of tokens in the rows after `afterSeq`, at most `limit` rows of them. */
  async tokenUse(afterSeq: number, limit: number): Promise<TokenUses> {
    return (await this.#ask({ ask: 'token-use', afterSeq, limit })) as TokenUses;
  }

  /** What a tenant had in use at `fromMs`, and every `stepMs` until `toMs`. */
  async usage(tenant: string, fromMs: number, toMs: number, stepMs: number): Promise<readonly UsagePoint[]> {
    return (await this.#ask({ ask: 'usage', tenant, fromMs, toMs, stepMs })) as readonly UsagePoint[];
  }

  /** Questions that wait are told that the gateway stops. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    this.#ended(worker, new GatewayError('shutting-down', 'the gateway is stopping'));
    await worker?.terminate();
  }

  /** @throws {GatewayError} `too-many-calls`, `shutting-down`, `internal` */
  #ask(question: ReviewQuestion): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(new GatewayError('shutting-down', 'the gateway is stopping'));
    if (this.#waiting.size >= MAX_QUESTIONS) {
      const message = `${MAX_QUESTIONS} questions to the audit wait for their answers already; ask again in a moment`;
      return Promise.reject(new GatewayError('too-many-calls', message));
    }
    return new Promise((resolve, reject) => {
      const worker = this.#started();
      const id = ++this.#asked;
      this.#waiting.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ id, question });
    });
  }

  /** The thread that is there, or a new one where there is none or the last one died. */
  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(this.#program ?? workerProgram('review-worker'), {
      workerData: this.#data,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
    });
    const died = (error?: Error): void => {
      const why = error === undefined ? '' : `: ${error.message}`;
      this.#ended(worker, new GatewayError('internal', `the thread that reads the audit ended${why}; ask again`));
    };
    worker.on('message', (answer: ReviewAnswer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (this.#waiting.size === 0) worker.unref();
      if ('failure' in answer) {
        waiting?.reject(
          answer.code === undefined
            ? new GatewayError('internal', `the audit could not be read: ${answer.failure}`)
            : new GatewayError(answer.code, answer.failure),
        );
      } else waiting?.resolve(answer.value);
    });
    worker.on('error', died);
    worker.on('exit', () => died());
    this.#worker = worker;
    return worker;
  }

  /** The open questions to a thread are not answered any more. */
  #ended(worker: Worker | undefined, error: GatewayError): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    const lost = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of lost) reject(error);
  }
}
