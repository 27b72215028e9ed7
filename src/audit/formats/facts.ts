// What the foreign formats ask of a row and the row does not say in their words.
import type { AuditRow } from '../event.ts';

export type Verb = 'create' | 'read' | 'update' | 'delete' | 'other';

const CREATES = /\.(create|pull|import|load|build|run|issue|commit|copy)$/;
const DELETES = /\.(remove|delete|prune|revoke|leave)$/;

/** The kind of change an action makes: its last word says so, else its class. */
export function verbOf({ action, class: kind }: Pick<AuditRow, 'action' | 'class'>): Verb {
  if (kind === 'read') return 'read';
  if (CREATES.test(action)) return 'create';
  if (DELETES.test(action)) return 'delete';
  if (kind === 'write' || kind === 'admin') return 'update';
  return 'other';
}

/** How a call ended, as far as this row knows it: a row written before the end does not. */
export function outcomeOf({ stage, decision, status, code, outcome }: AuditRow): 'success' | 'failure' | 'unknown' {
  if (decision !== 'allow') return 'failure';
  if (outcome !== undefined)
    return outcome === 'ok' ? 'success' : /^(cut|unknown)$/.test(outcome) ? 'unknown' : 'failure';
  if (stage === 'gateway') return 'success';
  if (stage !== 'complete' || code === 'outcome-unknown' || status === undefined || status === 0) return 'unknown';
  return status < 400 ? 'success' : 'failure';
}

export interface ResourcePart {
  readonly kind: string;
  readonly name: string | undefined;
  readonly id: string | undefined;
}

/** Every object of a call: the main one, `container/web` in its two parts with the id it was resolved to, first. */
export function resourceParts({ resource, resourceId, resources = [] }: AuditRow): ResourcePart[] {
  const others = resources.map(({ kind, name, id }) => ({ kind, name, id }));
  if (resource === undefined) return others;
  const slash = resource.indexOf('/');
  const kind = slash < 0 ? resource : resource.slice(0, slash);
  return [{ kind, name: slash < 0 ? undefined : resource.slice(slash + 1), id: resourceId }, ...others];
}
