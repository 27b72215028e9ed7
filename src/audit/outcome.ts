// What came of a call, apart from what was decided of it: whether the engine did it, and if not, why. "No such image" is an outcome
// and no denial.
import type { AuditDecision, AuditOutcome } from './event.ts';

/**
 * @param decision of the row
 * @param status the caller was given; 0 or undefined when there was none
 * @param code of the gateway's own fault, or why it ended the call
 * @param isCut the call was under way when it was ended
 */
export function outcomeOf(
  decision: AuditDecision,
  status: number | undefined,
  code: string | undefined,
  isCut: boolean,
): AuditOutcome {
  if (code === 'object-not-found' && decision !== 'deny') return 'not-found';
  if (decision === 'deny' || decision === 'unauthenticated') return 'not-sent';
  if (isCut) return 'cut';
  if (status === undefined || status === 0) return 'failed';
  // 304 is how the engine says that it is so already.
  if (status < 400) return 'ok';
  switch (status) {
    case 400:
    case 413:
    case 415:
      return 'invalid';
    case 404:
      return 'not-found';
    case 409:
      return 'conflict';
    default:
      return 'failed';
  }
}
