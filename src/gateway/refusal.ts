// Which decision a refusal is: who is not known, what is not allowed, what is not there, what could not be done.
import type { AuditDecision } from '../audit/event.ts';
import { GatewayError } from '../errors.ts';
import type { Trace } from './trace.ts';

/** Decision word of a refusal: who is not known, what is not allowed, what could not be done. */
export function decisionOf(error: GatewayError): AuditDecision {
  if (error.status === 401) return 'unauthenticated';
  if (error.status >= 500 || error.code === 'request-malformed' || error.code === 'request-timeout') return 'error';
  // One of that name is there already: no denial.
  return error.code === 'conflict' ? 'error' : 'deny';
}

/** The same of a call: that an object is not there is no denial, that it is another's is one. */
export function refusalDecision(error: GatewayError, trace: Trace): AuditDecision {
  return error.code === 'object-not-found' && isMissing(trace) ? 'error' : decisionOf(error);
}

function isMissing({ decision, call, tenantCall }: Trace): boolean {
  if (decision?.effect === 'deny') {
    // Told as missing by a rule: because it is, or because it carries other labels.
    const reason = decision.reasons[0];
    const ref = call?.resources.find(({ at }) => at === reason?.field);
    return reason?.code === 'object-not-found' && ref !== undefined && ref.labels === undefined;
  }
  if (tenantCall === undefined) return true;
  if (tenantCall.serving === undefined) return false;
  const { ledger, tenant } = tenantCall;
  return (call?.resources ?? []).every(({ kind, name }) => {
    if (kind !== 'container' && kind !== 'volume' && kind !== 'network' && kind !== 'image' && kind !== 'exec')
      return true;
    const known = [...ledger.holders(kind, name), ...ledger.named(kind, name)];
    return known.every((entry) => entry.tenant === tenant);
  });
}

/** Anything thrown as a GatewayError; what is not one is our own fault and says nothing about itself to the caller. */
export const asGatewayError = (error: unknown): GatewayError =>
  error instanceof GatewayError
    ? error
    : new GatewayError('internal', 'the gateway failed while judging the call', { cause: error });
