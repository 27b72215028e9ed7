// Rows of the audit as the command line shows them.
import { shortTime } from '../../output.ts';

/** One row as the admin API gives it. */
export interface EventView {
  readonly seq: number;
  readonly at: string;
  readonly stage: string;
  readonly auditId: string;
  readonly subject?: string | null;
  readonly action: string;
  readonly resource?: string | null;
  readonly decision: string;
  readonly code?: string | null;
  readonly status?: number | null;
  readonly [column: string]: unknown;
}

const outcome = (event: EventView): string =>
  [event.code, event.status].filter((part) => part !== undefined && part !== null && part !== '').join(' ');

export const COLUMNS = ['TIME', 'SUBJECT', 'ACTION', 'RESOURCE', 'DECISION', 'CODE/STATUS', 'AUDIT ID'];
export const row = (event: EventView): (string | null | undefined)[] => [
  shortTime(event.at),
  event.subject,
  event.action,
  event.resource,
  event.decision,
  outcome(event),
  event.auditId,
];
