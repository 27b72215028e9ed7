// Whether the transcripts a log speaks of are what was recorded: each file against the digest in its session's row.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Fault } from '../audit/seal/faults.ts';
import { TRANSCRIPTS, transcriptDigest } from './transcripts.ts';

export interface TranscriptVerdict {
  /** Transcripts that are what was recorded. */
  readonly checked: number;
  /** Transcripts that were not looked at, as the folder is not there. */
  readonly notLookedAt: number;
  readonly faults: readonly Fault[];
}

interface Named {
  readonly seq: number;
  readonly auditId: string;
  readonly sha256: string;
}

const NAMED = `SELECT seq, coalesce(json_extract(detail, '$.transcriptOf'), audit_id) AS auditId,
  json_extract(detail, '$.transcript.sha256') AS sha256 FROM audit_event
  WHERE action IN ('container.exec.start', 'container.attach', 'transcript.mend') AND stage IN ('complete', 'gateway')
  AND json_extract(detail, '$.transcript.sha256') IS NOT NULL ORDER BY seq`;
const REMOVED = `SELECT value FROM audit_event, json_each(detail, '$.transcripts') WHERE action = 'transcript.remove' AND stage = 'gateway'`;

/**
 * Compares the transcripts beside a log with the log. The log itself is verified apart from it.
 *
 * @param mustBeThere the log is in its data folder: without the folder of transcripts they are gone
 */
export async function verifyTranscripts(
  folder: string,
  file: string,
  mustBeThere: boolean,
): Promise<TranscriptVerdict> {
  const sqlite = new Database(file, { readonly: true, fileMustExist: true });
  let named: Named[];
  let removed: Set<unknown>;
  try {
    sqlite.pragma('busy_timeout = 5000');
    named = sqlite.prepare(NAMED).all() as Named[];
    removed = new Set(sqlite.prepare(REMOVED).pluck().all());
  } finally {
    sqlite.close();
  }
  const kept = named.filter(({ auditId }) => !removed.has(auditId));
  const path = join(folder, TRANSCRIPTS);
  if (!existsSync(path) && !mustBeThere) return { checked: 0, notLookedAt: kept.length, faults: [] };
  const faults: Fault[] = [];
  for (const { seq, auditId, sha256 } of kept) {
    // An id is part of a path here, and comes from a file that may have been altered.
    const digest = /^[0-9a-f-]{36}$/.test(auditId) ? await transcriptDigest(path, auditId) : undefined;
    if (digest === undefined)
      faults.push({
        kind: 'deleted',
        seq,
        message: `the transcript of ${auditId} is gone, and no row says that it was removed`,
      });
    else if (digest !== sha256)
      faults.push({ kind: 'edited', seq, message: `the transcript of ${auditId} is not what was recorded` });
  }
  return { checked: kept.length - faults.length, notLookedAt: 0, faults };
}
