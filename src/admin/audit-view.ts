// Rows of the audit as readers see them: whole for operators and reviewers, without what concerns the gateway alone for the rest.
import type { AuditRow } from '../audit/event.ts';
import type { AuditCall, AuditScope } from '../audit/filter.ts';
import { microTime } from './views.ts';

/** What a caller may see of the detail of its own calls, and a tenant of its tenant's. */
const OWN_DETAIL: ReadonlySet<string> = new Set([
  ...[
    'message',
    'field',
    'method',
    'path',
    'query',
    'body',
    'leftOut',
    'warnings',
    'end',
    'build',
    'resources',
    'unread',
  ],
  ...['exec', 'argv', 'user', 'exitCode', 'tty', 'session'],
  ...['recorded', 'transcript', 'commands', 'moreCommands'],
]);

/** Columns of the gateway's own. */
const OPERATORS = ['prev', 'hash', 'policyRev', 'pluginGeneration', 'gateway', 'issuer'] as const;

/**
 * What became of a call, told apart from what was decided of it. Rows say it; for those of earlier releases it is told by the
 * stage, the code and the status.
 */
export function outcomeOf(row: AuditRow): string {
  if (row.outcome !== undefined) return row.outcome;
  if (row.stage === 'intent' || row.stage === 'stream-open') return 'open';
  if (row.code === 'outcome-unknown') return 'unknown';
  const status = row.status ?? 0;
  if (row.code === 'object-not-found' || row.code === 'not-found' || status === 404) return 'not-found';
  if (row.decision === 'deny' || row.decision === 'unauthenticated') return 'not-sent';
  if (status === 409 || status === 304) return 'conflict';
  if (status >= 500) return 'failed';
  if (status >= 400) return 'invalid';
  return row.decision === 'error' ? 'failed' : 'ok';
}

/** A row or call as JSON. @param scope of the reader */
export function callView(row: AuditCall, scope: AuditScope) {
  const view = { ...row, at: microTime(row.at), outcome: outcomeOf(row) };
  if (scope.kind === 'all') return view;
  const bare: Record<string, unknown> = { ...view };
  for (const column of OPERATORS) delete bare[column];
  if (row.detail !== undefined)
    bare.detail = Object.fromEntries(Object.entries(row.detail).filter(([key]) => OWN_DETAIL.has(key)));
  return bare;
}
