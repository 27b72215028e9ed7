// The end of a call that is not sent: recorded first, then answered. A caller never hears of a denial that is not in the audit.
import { maskText } from '../../engine/mask.ts';
import { GatewayError } from '../../errors.ts';
import type { CallerEnd } from '../../proxy/types.ts';
import { refusalOf, sendRefusal } from '../answer.ts';
import { callEvent } from '../call-event.ts';
import type { GatewayParts } from '../parts.ts';
import { asGatewayError, RefusedAt, refusalDecision } from '../refusal.ts';
import type { Reached } from '../steps/values.ts';
import { finish } from './outcome.ts';

export async function refuse(reached: Reached, caller: CallerEnd, thrown: unknown, parts: GatewayParts): Promise<void> {
  const at = thrown instanceof RefusedAt ? thrown.at : reached;
  at.tenantCall?.abandon();
  at.ownSocket?.abandon();
  let error = withoutSecretsIn(asGatewayError(thrown));
  if (error.code === 'internal') parts.log.error({ err: thrown, auditId: at.auditId }, 'a call could not be judged');
  const decision = refusalDecision(error, at);
  const counted = at.principal === undefined ? parts.strangers.fold(at.arrival.source, error.code) : undefined;
  try {
    if (error.code !== 'audit-unwritable' && counted === undefined) {
      const { code, message, status, audit: origin } = error;
      const field = at.decision?.effect === 'deny' ? at.decision.reasons[0]?.field : undefined;
      await parts.recorder.record(callEvent(at, 'complete', decision, { code, message, field, origin, status }, parts));
    }
  } catch (unwritable) {
    error = asGatewayError(unwritable);
  }
  if (error.code === 'audit-unwritable') parts.onUnwritable(error);
  const challenge = error.status === 401 ? parts.authenticator.challengeFor(error) : undefined;
  sendRefusal(caller, refusalOf(error, counted ?? at.auditId, challenge), at.arrival.method);
  finish(at, decision, error.status, parts);
}

/** A refusal quotes what the caller sent, and its message is read by others than the caller: in logs of jobs, and in the audit. */
function withoutSecretsIn(error: GatewayError): GatewayError {
  // A plugin's name may sound like one of a secret, and is none.
  const [named = ''] = /^denied by plugin [a-z][a-z0-9-]*: /.exec(error.message) ?? [];
  const message =
    error.status === 401 ? error.message : `${named}${maskText(error.message.slice(named.length), undefined)}`;
  if (message === error.message) return error;
  const { code, audit, retryAfterS, cause } = error;
  return new GatewayError(code, message, { cause, audit, ...(retryAfterS === undefined ? {} : { retryAfterS }) });
}
