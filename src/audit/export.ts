// A stretch of the audit for export: the question, and the pieces of the answer.

/** `segment`: rows as they are stored, with what proves them, to be verified and read back. The others: events for other programs. */
export const EXPORT_FORMATS = ['segment', 'native', 'ocsf', 'ecs'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportQuestion {
  readonly format: ExportFormat;
  /** Microseconds since the epoch, both inclusive. A segment goes on to the next checkpoint, which proves it. */
  readonly since: number | undefined;
  readonly until: number;
  /** Only rows behind this one: where the last piece ended; 0 for the first piece. */
  readonly afterSeq: number;
}

export interface ExportPiece {
  /** Lines, each with its end. */
  readonly text: string;
  /** Where the next piece goes on; undefined when this is the last one. */
  readonly next: number | undefined;
}

export interface AuditExporter {
  exportPiece(question: ExportQuestion): Promise<ExportPiece>;
}
