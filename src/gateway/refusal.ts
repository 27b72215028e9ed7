// Refusals: the decision of each (caller unknown, call not allowed, object not there, call not possible), and how far
// the call had come.
import type { AuditDecision } from '../audit/event.ts';
import { GatewayError } from '../errors.ts';
import { sentenceOf } from '../policy/evaluate.ts';
import type { Decision } from '../policy/types.ts';
import type { Reached } from './steps/values.ts';

/** A refusal with the value it was made on, where that is larger than the value of the last step. */
export class RefusedAt extends GatewayError {
  readonly at: Reached;
  constructor(at: Reached, { code, message, audit, retryAfterS }: GatewayError, cause: unknown) {
    super(code, message, { cause, audit, ...(retryAfterS === undefined ? {} : { retryAfterS }) });
    this.at = at;
  }
}

/** A thrown error as the refusal of a value; one that has its value keeps it. */
export const refusedAt = (at: Reached, thrown: unknown): RefusedAt =>
  thrown instanceof RefusedAt ? thrown : new RefusedAt(at, asGatewayError(thrown), thrown);

/** Policy's denial of a call. */
export function denialOf(at: Reached & { readonly decision: Decision }): RefusedAt {
  const { decision, target } = at;
  const code = decision.reasons[0]?.code ?? 'operation-not-allowed';
  const message = sentenceOf(decision);
  if (code === 'operation-not-allowed' && target?.action.endsWith('.inspect') && target.operation.class === 'read') {
    // `docker inspect` asks kind after kind until one answers something else than 404: a 403 would end its search, and
    // would tell that the object is there.
    const name = target.path.id ?? target.path.name ?? '';
    return refusedAt(
      at,
      new GatewayError('object-not-found', `No such ${target.operation.resource}: ${name} (${message})`),
    );
  }
  return refusedAt(at, new GatewayError(code, message));
}

/** Decision word of a refusal: caller unknown, call not allowed, or call not possible. */
export function decisionOf(error: GatewayError): AuditDecision {
  if (error.status === 401) return 'unauthenticated';
  if (error.status >= 500 || error.code === 'request-malformed' || error.code === 'request-timeout') return 'error';
  // One of that name is there already: no denial.
  return error.code === 'conflict' ? 'error' : 'deny';
}

/** The same of a call: that an object is not there is no denial, that it is another's is one. */
export function refusalDecision(error: GatewayError, at: Reached): AuditDecision {
  return error.code === 'object-not-found' && isMissing(at) ? 'error' : decisionOf(error);
}

function isMissing({ decision, call, tenantCall }: Reached): boolean {
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

/** Anything thrown as a GatewayError; any other error is a fault of the gateway, and the caller learns nothing of it. */
export const asGatewayError = (error: unknown): GatewayError =>
  error instanceof GatewayError
    ? error
    : new GatewayError('internal', 'the gateway failed while judging the call', { cause: error });
