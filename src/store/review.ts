// The audit as the review thread has it open: the log over a connection that cannot write, and the index of it.
import { chmodSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type AuditFile, openAuditReader } from './audit-reader.ts';
import { ReviewIndex } from './review-index.ts';
import { ReviewPages } from './review-pages.ts';
import { ReviewReports } from './review-reports.ts';

export interface Review {
  readonly audit: AuditFile;
  readonly pages: ReviewPages;
  readonly reports: ReviewReports;
  /** Takes the next rows into the index. Returns whether there are more. */
  advance(): boolean;
  close(): void;
}

/**
 * @param auditFile an audit.db that was migrated
 * @param indexFile left out, or where it cannot be written, every row is looked at
 */
export function openReview(auditFile: string, indexFile?: string): Review {
  const audit = openAuditReader(auditFile);
  const sqlite = new Database(auditFile, { readonly: true });
  sqlite.pragma('busy_timeout = 5000');
  let index = indexFile === undefined ? undefined : openIndex(indexFile, sqlite);
  let pages = new ReviewPages(sqlite, audit, index);
  let reports = new ReviewReports(sqlite, pages, audit, index);
  return {
    audit,
    get pages() {
      return pages;
    },
    get reports() {
      return reports;
    },
    advance() {
      if (index === undefined) return false;
      try {
        return index.advance(pages.newest());
      } catch {
        // No room, or a damaged file: the log is read without it.
        index.close();
        index = undefined;
        pages = new ReviewPages(sqlite, audit, undefined);
        reports = new ReviewReports(sqlite, pages, audit, undefined);
        return false;
      }
    },
    close() {
      index?.close();
      sqlite.close();
      audit.close();
    },
  };
}

function openIndex(file: string, audit: Database.Database): ReviewIndex | undefined {
  try {
    const index = new ReviewIndex(file, audit);
    chmodSync(file, 0o600);
    return index;
  } catch {
    return undefined;
  }
}
