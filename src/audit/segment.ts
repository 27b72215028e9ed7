// A segment: rows of the log in a file of their own, one JSON object a line, so that they can be kept, read and verified without the gateway.
// The first line names the log and the row before, then come the rows with their columns as they are stored (nulls left out), and the
// last line says where the segment ends and how that is signed.

export const SEGMENT_FORMAT = 1;

export interface SegmentHead {
  readonly dockgateAuditSegment: typeof SEGMENT_FORMAT;
  readonly logId: string;
  /** Row the segment begins with. */
  readonly first: number;
  /** Hash of the row before, in hex. */
  readonly prev: string;
  /** Signed anchor at the row before; null at the log's beginning and where none was made. */
  readonly anchor: string | null;
  /** Roots of the complete subtrees over the rows before, largest first, in base64; null where they are not known. */
  readonly before: readonly string[] | null;
  /** Public keys that signed, as the log knows them: for a first look, not for proof. */
  readonly keys: readonly string[];
}

/** A row: `seq`, columns by their names in the database, and `hash` in hex. */
export type SegmentRow = Readonly<Record<string, string | number>> & { readonly seq: number; readonly hash: string };

export interface SegmentFoot {
  readonly end: true;
  readonly last: number;
  readonly rows: number;
  /** Hash of the last row, in hex. */
  readonly hash: string;
  /** Signed anchor at the last row, where rows are removed; else null. */
  readonly anchor: string | null;
  /** The newest signed checkpoint when the segment was made; null where there is none. */
  readonly checkpoint: string | null;
}
