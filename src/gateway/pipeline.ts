// One request, start to end: a chain of values. Each step takes the value of the one before and returns a larger frozen one; the audit's
// rows are made from the furthest. The ends differ (a plain answer, an upgraded connection), the chain does not. The picture is in
// ARCHITECTURE.md.
import { GatewayError } from '../errors.ts';
import type { CallerEnd } from '../proxy/types.ts';
import type { Arrival } from './arrival.ts';
import { refuse } from './ends/refuse.ts';
import type { LiveCall } from './live-calls.ts';
import type { GatewayParts } from './parts.ts';
import { Passage } from './passage.ts';
import { admit } from './steps/admit.ts';
import { authenticate } from './steps/authenticate.ts';
import { classify } from './steps/classify.ts';
import { decide } from './steps/decide.ts';
import { mutate } from './steps/mutate.ts';
import { readBody } from './steps/read-body.ts';
import { record } from './steps/record.ts';
import { reserve } from './steps/reserve.ts';
import { resolve } from './steps/resolve.ts';
import { validate } from './steps/validate.ts';
import { arrivedOf, type Recorded, type Sent } from './steps/values.ts';
import type { Told } from './told.ts';

/**
 * Judges a call: the result may be sent, and its intent is recorded.
 *
 * @throws {GatewayError} the refusal, with the code of the step that refused; `passage` has the furthest value
 */
async function judge(passage: Passage, parts: GatewayParts): Promise<Recorded> {
  if (parts.live.isClosing) throw new GatewayError('shutting-down', 'the gateway is stopping, try again in a moment');
  const known = passage.to(await authenticate(passage.arrived, passage, parts)); // 401 429
  const named = passage.to(classify(known, parts)); //                              404 400
  const admitted = passage.to(admit(named, parts)); //                              429 403
  const read = passage.to(await readBody(admitted, parts)); //                      400 408 413
  const changed = passage.to(await mutate(read, passage, parts)); //                403 plugins
  const meant = passage.to(await resolve(changed, passage, parts)); //              404 400
  const decided = passage.to(await decide(meant, parts)); //                        403 policy
  const vetted = passage.to(await validate(decided, passage, parts)); //            403 plugins
  const reserved = passage.to(await reserve(vetted, parts)); //                     403 409 429
  return passage.to(await record(reserved, passage, parts)); //                     503
}

/** Where a judged call goes. */
export interface End<Value extends Sent> {
  /** The value that is sent. @throws {GatewayError} for a call that this end does not serve: it is refused */
  open(recorded: Recorded, running: LiveCall): Value;
  /** Sends it and records its outcome, also where that is a failure. */
  send(sent: Value, running: LiveCall): Promise<void>;
  /** The caller, for an answer of the gateway's own. */
  caller(): CallerEnd | Promise<CallerEnd>;
  /** Answering itself failed: the caller is gone or the socket broke. */
  abort(): void;
  /** The call is over, however it ended. */
  over?(): void;
  /** What the engine's answer tells. */
  readonly told?: Told | undefined;
}

/** Takes a request through the steps to its end. Never rejects. */
export async function carry<Value extends Sent>(arrival: Arrival, end: End<Value>, parts: GatewayParts): Promise<void> {
  parts.meter.started();
  const running = parts.live.enter();
  const passage = new Passage(arrivedOf(arrival, parts));
  try {
    let sent: Value;
    try {
      const recorded = await judge(passage, parts);
      sent = passage.to(end.open(recorded, running));
    } catch (refused) {
      await refuse(passage.reached, await end.caller(), refused, parts);
      return;
    }
    await end.send(sent, running); // 502 504
  } catch (unexpected) {
    parts.log.error({ err: unexpected, auditId: passage.arrived.auditId }, 'a call could not be answered');
    end.abort();
  } finally {
    end.over?.();
    passage.end(end.told);
    parts.live.leave(running);
  }
}
