// What never became a request: a head that cannot be read, a TLS handshake that is refused. Both are recorded without an identity.
import { type ErrorCode, GatewayError } from '../errors.ts';
import { rawRefusal } from './answer.ts';
import type { Arrival, Channel } from './arrival.ts';
import { callEvent } from './call-event.ts';
import { finish } from './ends/outcome.ts';
import type { GatewayParts } from './parts.ts';
import { arrivedOf } from './steps/values.ts';

/** Code of a TLS handshake that came to nothing: a version, a certificate, or no TLS at all. */
const HANDSHAKE_REFUSED = 'handshake-refused';
/** Longest reason kept of one, in characters. */
const MAX_HANDSHAKE_WORDS = 200;

/** Records a head that could not be read and returns the answer to write. */
export function refuseUnreadable(
  code: ErrorCode,
  message: string,
  channel: Channel,
  source: string,
  parts: GatewayParts,
): string {
  const at = arrivedOf({ method: '', target: '', rawHeaders: [], channel, source, body: NO_BODY }, parts);
  const { status } = new GatewayError(code, message);
  const counted = parts.strangers.fold(source, code);
  if (counted === undefined)
    parts.recorder.append(callEvent(at, 'complete', 'error', { code, message, status }, parts));
  parts.meter.started();
  finish(at, 'error', status, parts);
  return rawRefusal(code, message, counted ?? at.auditId);
}

/** Records a TLS handshake that was refused: without identity, without a request. */
export function refuseHandshake(message: string, channel: Channel, source: string, parts: GatewayParts): void {
  if (parts.strangers.fold(source, HANDSHAKE_REFUSED) !== undefined) return;
  parts.recorder.append({
    at: parts.now() * 1000,
    stage: 'gateway',
    auditId: parts.newAuditId(),
    source,
    action: 'connection.refused',
    decision: 'unauthenticated',
    code: HANDSHAKE_REFUSED,
    outcome: 'not-sent',
    detail: { message: message.slice(0, MAX_HANDSHAKE_WORDS), listener: channel.name },
  });
}

const NO_BODY: Arrival['body'] = {
  present: false,
  readAll: () => Promise.resolve(new Uint8Array(0)),
  stream: () => {
    throw new GatewayError('body-not-allowed', 'there is no body');
  },
};
