// Reading the audit: how much of it each caller may read. Each reading is itself recorded.
import type { AuditReader, AuditRow, Recorder } from '../audit/event.ts';
import type { AuditExporter, ExportPiece, ExportQuestion } from '../audit/export.ts';
import type { AuditPage, AuditScope, PageQuestion } from '../audit/filter.ts';
import type {
  AuditReports,
  CountAnswer,
  CountQuestion,
  Timeline,
  TimelineQuestion,
  UseAnswer,
} from '../audit/reports.ts';
import type { TranscriptReader } from '../audit/transcript/transcript.ts';
import { GatewayError } from '../errors.ts';
import { AuditReadings } from './audit-reading.ts';
import type { AdminCaller } from './services.ts';

export interface AuditParts {
  readonly reader: AuditReader;
  hashSecret?(secret: string): string;
  readonly recorder: Pick<Recorder, 'append'>;
  /** Left out, calls are listed and shown, and nothing is counted. */
  readonly reports?: AuditReports;
  /** Left out, no session is played. */
  readonly transcripts?: TranscriptReader;
  /** Left out, nothing is exported. */
  readonly exporter?: AuditExporter;
  /** Signs the log as it is now. */
  sign?(): Promise<unknown>;
  /** Takes work that is to be done before the recorder closes. */
  atStop?(work: () => void): void;
  newAuditId(): string;
  now(): number;
}

export interface AuditServices {
  /** One page of calls or rows, within what the caller may see. */
  auditPage(question: Omit<PageQuestion, 'scope'>, mine: boolean, by: AdminCaller): Promise<AuditPage>;
  /**
   * All rows of a call that the caller may see, by its audit id or the beginning of one.
   * @throws {GatewayError} `not-found`, `input-invalid` for a beginning that several calls have
   */
  auditCall(id: string, by: AdminCaller): Promise<readonly AuditRow[]>;
  /** Calls counted by what they have in common. */
  auditCount(question: Omit<CountQuestion, 'scope'>, mine: boolean, by: AdminCaller): Promise<CountAnswer>;
  /** What happened to an object. */
  auditTimeline(question: Omit<TimelineQuestion, 'scope'>, by: AdminCaller): Promise<Timeline>;
  /** When each rule, and each action of each subject, was used last. For those who may see all. */
  auditUses(by: AdminCaller): Promise<UseAnswer>;
  /**
   * Calls in which a secret was masked, for those who may see all of the audit.
   * @throws {GatewayError} `admin-forbidden`
   */
  auditSecret(secret: string, limit: number, by: AdminCaller): Promise<AuditPage & { readonly hash: string }>;
  /** A stretch of the log as text, line by line. For those who may see all. */
  auditExport(question: Omit<ExportQuestion, 'afterSeq'>, by: AdminCaller): Promise<AsyncGenerator<string>>;
  /**
   * The transcript of a session, an asciicast v2, line by line. For those who review: of all, or of their tenant.
   * @throws {GatewayError} `admin-forbidden`, `not-found`, `store-corrupt` where it was altered
   */
  auditTranscript(auditId: string, by: AdminCaller): Promise<AsyncGenerator<string>>;
  /** Records that the caller reads. */
  auditRead(by: AdminCaller, question: Readonly<Record<string, unknown>>): void;
}

/**
 * Whose calls a caller may read about.
 * @param mine its own alone, whatever more it may see
 */
export function scopeOf(by: AdminCaller, mine = false): AuditScope {
  const own: AuditScope = { kind: 'own', subject: by.subject, issuer: by.issuer };
  if (mine) return own;
  return by.operator ? { kind: 'all' } : (by.audit ?? own);
}

/** Questions that a caller without the rights to all of the audit asks at once, and all such callers together. */
const MAX_OWN = 2;
const MAX_OTHERS = 16;

export function createAuditServices(parts: AuditParts): AuditServices {
  const { reader } = parts;
  const reports = (): AuditReports => {
    if (parts.reports === undefined) throw new GatewayError('not-found', 'this gateway counts nothing of its audit');
    return parts.reports;
  };
  const asking = new Map<string, number>();

  /** Takes care that callers who read their own calls leave room for those who review all of them. */
  async function inTurn<T>(by: AdminCaller, ask: () => Promise<T>): Promise<T> {
    if (scopeOf(by).kind === 'all') return ask();
    const who = JSON.stringify([by.issuer, by.subject]);
    const own = asking.get(who) ?? 0;
    const others = [...asking.values()].reduce((sum, one) => sum + one, 0);
    if (own >= MAX_OWN || others >= MAX_OTHERS)
      throw new GatewayError(
        'too-many-calls',
        'as many questions to the audit wait for their answers as may; ask again in a moment',
      );
    asking.set(who, own + 1);
    try {
      return await ask();
    } finally {
      const left = (asking.get(who) ?? 1) - 1;
      if (left === 0) asking.delete(who);
      else asking.set(who, left);
    }
  }

  const readings = new AuditReadings({
    append: (event) => parts.recorder.append(event),
    newAuditId: () => parts.newAuditId(),
    now: () => parts.now(),
  });
  // Repeated reads of the last minute are told too.
  parts.atStop?.(() => readings.flush());

  /** The whole id, when a beginning of it was given. */
  async function wholeId(start: string, scope: AuditScope): Promise<string> {
    if (start.length >= 36) return start;
    const found = start.length < 4 ? [] : await reader.startingWith(start);
    if (found.length <= 1) return found[0] ?? start;
    const exact = found.find((id) => id === start);
    // Of ids that a caller may not see it learns nothing, not even that they begin alike.
    if (exact !== undefined || scope.kind !== 'all') return exact ?? start;
    const some = found.slice(0, 5).join(', ');
    throw new GatewayError(
      'input-invalid',
      `${start} begins the audit ids of ${found.length > 5 ? 'more than five' : found.length} calls: ${some}; give more of it`,
    );
  }

  return {
    async auditPage(question, mine, by) {
      const page = await inTurn(by, () => reader.page({ ...question, scope: scopeOf(by, mine) }));
      const { before: _place, conditions, ...rest } = question;
      readings.note(by, { read: 'list', ...conditions, ...rest, ...(mine ? { mine } : {}) });
      return page;
    },
    async auditCall(id, by) {
      const scope = scopeOf(by);
      const rows = await inTurn(by, async () => reader.byAuditId(await wholeId(id, scope)));
      readings.note(by, { read: 'show', auditId: id.slice(0, 64) });
      const seen = rows.filter((row) => isWithin(row, scope));
      if (seen.length === 0) throw new GatewayError('not-found', `the audit has no call ${id.slice(0, 64)}`);
      return seen;
    },
    async auditCount(question, mine, by) {
      const answer = await inTurn(by, () => reports().count({ ...question, scope: scopeOf(by, mine) }));
      const { conditions, ...rest } = question;
      readings.note(by, { read: 'count', ...conditions, ...rest, ...(mine ? { mine } : {}) });
      return answer;
    },
    async auditTimeline(question, by) {
      const answer = await inTurn(by, () => reports().timeline({ ...question, scope: scopeOf(by) }));
      readings.note(by, { read: 'timeline', ...question });
      return answer;
    },
    async auditUses(by) {
      if (scopeOf(by).kind !== 'all')
        throw new GatewayError('admin-forbidden', 'what is unused is for operators and reviewers');
      const answer = await reports().uses(0);
      readings.note(by, { read: 'uses' });
      return answer;
    },
    async auditSecret(secret, limit, by) {
      const scope = scopeOf(by);
      if (scope.kind !== 'all' || parts.hashSecret === undefined)
        throw new GatewayError(
          'admin-forbidden',
          `${by.subject} may not see all of the audit, and secrets are looked for in all of it`,
        );
      const hash = parts.hashSecret(secret);
      const page = await reader.page({ conditions: { text: hash }, scope, limit, calls: true });
      readings.note(by, { read: 'find-secret', hash });
      return { ...page, hash };
    },
    async auditExport(question, by) {
      if (scopeOf(by).kind !== 'all')
        throw new GatewayError('admin-forbidden', 'the audit is exported by operators and reviewers');
      const { exporter } = parts;
      if (exporter === undefined) throw new GatewayError('not-found', 'this gateway exports nothing of its audit');
      readings.note(by, { read: 'export', ...question });
      // What cannot be signed is exported without a proof.
      if (question.format === 'segment') await parts.sign?.().catch(() => undefined);
      const first = await exporter.exportPiece({ ...question, afterSeq: 0 });
      return piecesOf(exporter, question, first);
    },
    async auditTranscript(auditId, by) {
      const scope = scopeOf(by);
      if (scope.kind === 'own')
        throw new GatewayError(
          'admin-forbidden',
          'transcripts are played by operators and reviewers, not by those recorded',
        );
      const rows = await inTurn(by, () => reader.byAuditId(auditId));
      if (!rows.some((row) => isWithin(row, scope)))
        throw new GatewayError('not-found', `the audit has no call ${auditId.slice(0, 64)}`);
      readings.note(by, { read: 'transcript', auditId });
      if (parts.transcripts === undefined) throw new GatewayError('not-found', 'this gateway keeps no transcripts');
      return parts.transcripts.cast(auditId);
    },
    auditRead: (by, question) => readings.note(by, question),
  };
}

async function* piecesOf(
  exporter: AuditExporter,
  question: Omit<ExportQuestion, 'afterSeq'>,
  first: ExportPiece,
): AsyncGenerator<string> {
  let piece = first;
  for (;;) {
    if (piece.text !== '') yield piece.text;
    if (piece.next === undefined) return;
    piece = await exporter.exportPiece({ ...question, afterSeq: piece.next });
  }
}

const isWithin = (row: AuditRow, scope: AuditScope): boolean =>
  Object.entries(scope).every(
    ([key, value]) => key === 'kind' || value === undefined || row[key as keyof AuditRow] === value,
  );
