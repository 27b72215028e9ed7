// A stretch of the audit as text for others: events in a form that other programs read, or a segment, which can be verified and read back.
// In pieces, so that the thread has time for other work in between.
import { hostname } from 'node:os';
import type { ExportPiece, ExportQuestion } from '../audit/export.ts';
import { formatted } from '../audit/formats/formats.ts';
import { jsonLine } from '../audit/formats/json-line.ts';
import type { SegmentFoot } from '../audit/segment.ts';
import type { SinkFormat } from '../audit/sinks/setting.ts';
import { VERSION } from '../version.ts';
import { openAuditPages } from './audit-pages.ts';
import { SegmentSource, segmentRow } from './segment-rows.ts';

const ROWS = 500;

/** One piece. @param file an audit.db that was migrated */
export function exportPiece(file: string, question: ExportQuestion): ExportPiece {
  return question.format === 'segment' ? segmentPiece(file, question) : eventsPiece(file, question, question.format);
}

/** The first and the last row of a stretch of time. */
function stretch(source: SegmentSource, { since, until }: ExportQuestion): [first: number, last: number] {
  const first = since === undefined ? source.first() : source.firstSince(since);
  return [Math.max(1, first), source.firstSince(until + 1) - 1];
}

function eventsPiece(file: string, question: ExportQuestion, format: SinkFormat): ExportPiece {
  const source = new SegmentSource(file);
  const [first, last] = stretch(source, question);
  source.close();
  const pages = openAuditPages(file);
  try {
    const from = Math.max(question.afterSeq, first - 1);
    const page = pages.after(from, ROWS).filter(({ seq }) => seq <= last);
    const origin = { version: VERSION, host: hostname() };
    const text = page.map((row) => `${jsonLine(formatted(format, row, pages.logId, origin))}\n`).join('');
    const end = page.at(-1)?.seq ?? last;
    return { text, next: page.length === 0 || end >= last ? undefined : end };
  } finally {
    pages.close();
  }
}

/** @throws {ChainBroken} */
function segmentPiece(file: string, question: ExportQuestion): ExportPiece {
  const source = new SegmentSource(file);
  try {
    const [first, asked] = stretch(source, question);
    // The newest rows may have none yet: then those it covers are what can be proved.
    const newest = source.checkpointFrom(asked) ?? source.checkpoint();
    const checkpoint = newest !== undefined && newest.seq >= first ? newest : undefined;
    const last = checkpoint?.seq ?? asked;
    if (last < first) return { text: '', next: undefined };
    const from = Math.max(question.afterSeq, first - 1);
    const rows = source.after(from, last, ROWS);
    const end = rows.at(-1)?.seq ?? from;
    const lines: object[] = rows.map(segmentRow);
    if (from < first) lines.unshift(source.headBefore(first));
    if (end >= last || rows.length === 0) {
      const hash = source.headBefore(end + 1).prev;
      lines.push({
        ...{ end: true, last: end, rows: end - first + 1, hash, anchor: null },
        checkpoint: checkpoint?.note ?? null,
      } satisfies SegmentFoot);
      return { text: textOf(lines), next: undefined };
    }
    return { text: textOf(lines), next: end };
  } finally {
    source.close();
  }
}

const textOf = (lines: readonly object[]): string => lines.map((line) => `${jsonLine(line)}\n`).join('');
