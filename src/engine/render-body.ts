// Renders the judged body of a call for the engine. Nothing of the received bytes is kept: what was judged is sent.
import { writeJson } from './json.ts';
import type { EngineCall } from './types.ts';

/**
 * Bytes of the body, undefined when the call has none or streams it through unread. To be sent as `application/json`
 * with their exact length. Decoded again, they give a value deeply equal to `call.body`.
 */
export function renderBody(call: Pick<EngineCall, 'operation' | 'body'>): Uint8Array | undefined {
  return call.body === undefined ? undefined : writeJson(call.body);
}
