// What a reviewer may ask beside pages of calls: an object's life, denials and calls counted, what was used. Types alone.
import type { AuditCall, AuditConditions, AuditScope } from './filter.ts';

/** What calls are counted by. */
export const COUNTED_BY = [
  'subject',
  'tenant',
  'token',
  'action',
  'class',
  'resource',
  'decision',
  'outcome',
  'code',
  'rule',
  'field',
  'source',
  'client',
  'status',
  'minute',
  'hour',
  'day',
] as const;
export type CountedBy = (typeof COUNTED_BY)[number];

export interface CountQuestion {
  readonly conditions: AuditConditions;
  readonly scope: AuditScope;
  readonly by: readonly CountedBy[];
  readonly limit: number;
}

/** Calls that have the same values. */
export interface Counted {
  /** In the order of `by`; null where a call has none. */
  readonly values: readonly (string | number | null)[];
  readonly calls: number;
  readonly denials: number;
  readonly errors: number;
  /** Microseconds since the epoch. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** Audit id of the newest of them. */
  readonly lastAuditId: string;
}

export interface CountAnswer {
  readonly groups: readonly Counted[];
  /** Groups that were left out, and whether calls were too because there were too many groups. */
  readonly more: number;
}

/** When rules and actions were used last, in microseconds since the epoch. */
export interface UseAnswer {
  readonly rules: readonly (readonly [rule: string, at: number])[];
  readonly actions: readonly (readonly [subject: string, action: string, at: number])[];
  /** Time of the oldest row. What was used before it cannot be known. */
  readonly logSince: number | undefined;
}

/** What happened to an object, oldest first. */
export interface Timeline {
  readonly calls: readonly AuditCall[];
  /** The ids it had, each with its names, in the order in which they were seen. More than one where a name was used again. */
  readonly objects: readonly { readonly kind: string; readonly id: string; readonly names: readonly string[] }[];
  /** Older calls than these were left out. */
  readonly more: boolean;
}

export interface TimelineQuestion {
  readonly resource: string;
  readonly scope: AuditScope;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly limit: number;
}

/** The questions beside pages, as the review thread is asked them. */
export interface AuditReports {
  count(question: CountQuestion): Promise<CountAnswer>;
  timeline(question: TimelineQuestion): Promise<Timeline>;
  /** When rules and actions were used, by calls since a time in microseconds. */
  uses(since: number): Promise<UseAnswer>;
}
