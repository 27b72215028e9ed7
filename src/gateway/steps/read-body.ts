// The body, as the engine's Go code reads it: from here on the call is a value, and what it does not hold is not sent.
import { hash } from 'node:crypto';
import { toCall } from '../../engine/call.ts';
import { bodyKindOfTarget, decodeBody, EMPTY_JSON } from '../../engine/decode.ts';
import { BODY_SETTING } from '../../engine/json.ts';
import type { LeftOut } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { EMPTY_BODY, headerValue, headerValues } from '../arrival.ts';
import type { GatewayParts } from '../parts.ts';
import { refusedAt } from '../refusal.ts';
import { holderName } from './authenticate.ts';
import type { Admitted, Read } from './values.ts';

/** Largest body an operation without one may carry before it is refused, in bytes: enough to recognise its content. */
const STRAY_BODY_BYTES = 64 * 1024;

/** @throws {GatewayError} `body-too-large`, `request-timeout`, `request-malformed`, or as `decodeBody` */
export function readBody(admitted: Admitted, parts: GatewayParts): Read | Promise<Read> {
  const { seen, arrival } = admitted;
  return seen !== undefined && !seen.takesBody && !arrival.body.present
    ? Object.freeze({ ...admitted, call: seen.bodiless(), bodySha256: undefined })
    : decoded(admitted, parts);
}

async function decoded(admitted: Admitted, parts: GatewayParts): Promise<Read> {
  const { arrival, target } = admitted;
  const { body, rawHeaders } = arrival;
  const kind = bodyKindOfTarget(target);
  const types = headerValues(rawHeaders, 'content-type');
  // An opaque body streams through unread; only what its head says of it is judged.
  if (kind === 'opaque' || !body.present) {
    const call = toCall(target, decodeBody(target, types, EMPTY_BODY));
    return Object.freeze({ ...admitted, call, bodySha256: undefined });
  }
  const limits = parts.limits();
  const maxBytes = kind === 'json' ? limits.bodyBytes : STRAY_BODY_BYTES;
  const bytes = await body.readAll(maxBytes, limits.bodyTimeoutMs).catch((error: unknown) => {
    if (kind !== 'json' || !(error instanceof GatewayError) || error.code !== 'body-too-large') throw error;
    throw new GatewayError('body-too-large', `${error.message} (setting ${BODY_SETTING})`, { cause: error });
  });
  // Where the length is not told the engine reads for JSON; a commit alone may come without any.
  if (kind === 'json' && bytes.length === 0 && target.operation.id !== 'ImageCommit') {
    if (headerValue(rawHeaders, 'transfer-encoding') !== undefined)
      throw new GatewayError('body-malformed', EMPTY_JSON);
  }
  return parts.largeBodies.read(holderName(admitted.principal), bytes.byteLength, () => {
    const bodySha256 = bytes.length > 0 ? sha256Hex(bytes) : undefined;
    const leftOut: LeftOut[] = [];
    try {
      const decoded = decodeBody(target, types, bytes, { maxBytes: limits.bodyBytes }, leftOut);
      return Object.freeze({ ...admitted, call: toCall(target, decoded, leftOut), bodySha256 });
    } catch (unreadable) {
      throw refusedAt({ ...admitted, bodySha256 }, unreadable);
    }
  });
}

export const sha256Hex = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex');
