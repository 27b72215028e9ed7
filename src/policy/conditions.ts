// Conditions of a rule (`when:`), written in CEL.
import type { DecisionInput } from './types.ts';

/** A compiled condition. */
export interface Condition {
  readonly text: string;
  /** Reads the objects' names or labels, so they must be known. */
  readonly readsResources: boolean;
  /** @throws when it cannot be evaluated; the caller takes that for a denial */
  holds(input: DecisionInput): boolean;
}

/** What is wrong with a condition; undefined when nothing is. */
export function faultOfConditions(_expression: string): string | undefined {
  return 'not supported yet, so it would not be enforced; remove it';
}

export function compileCondition(text: string): Condition {
  return { text, readsResources: true, holds: () => false };
}
