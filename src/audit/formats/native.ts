// The row as it is, under the names `dockgate audit ls --json` uses, with the log it belongs to.
import type { AuditRow } from '../event.ts';

/** Microseconds since the epoch as RFC 3339 with all six digits. */
export const timeText = (at: number): string => {
  const seconds = Math.floor(at / 1e6);
  const micros = String(at - seconds * 1e6).padStart(6, '0');
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${micros}Z`;
};

/** `logId` and `seq` name a row; `hash` also tells apart rows of a log that was put back to an earlier state. */
export const nativeEvent = (row: AuditRow, logId: string): Record<string, unknown> => {
  const { at, ledger: _ledger, ...rest } = row;
  return { logId, ...rest, at: timeText(at) };
};
