// The one way a change is made: checked, recorded in the audit, performed, acknowledged - and one after the other.
import type { ChangeContext } from './services.ts';

export interface Change<T> {
  readonly action: string;
  readonly resource: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  /** Refuses what cannot be done, before anything is recorded as allowed. */
  check(): void;
  perform(): T | Promise<T>;
  /** What only the outcome knows, recorded as a second row before the change is acknowledged. */
  outcome?(result: T): { readonly resourceId: string };
}

/** Performs a change as said above. */
export type PerformChange = <T>(context: ChangeContext, what: Change<T>) => Promise<T>;
