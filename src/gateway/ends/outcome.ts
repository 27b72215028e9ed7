// What came of a call that was sent: its last row, and the figures. The row is queued, not awaited: a lost one is closed at the next
// start. A call that the gateway ended says why, in the place of who went away.
import { GatewayError } from '../../errors.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import type { CallerEnd, Outcome } from '../../proxy/types.ts';
import { refusalOf, sendRefusal } from '../answer.ts';
import { callEvent, type EventOutcome } from '../call-event.ts';
import { execFacts } from '../exec-facts.ts';
import type { LiveCall } from '../live-calls.ts';
import type { GatewayParts } from '../parts.ts';
import { endRecording, noteResize } from '../recorded.ts';
import { asGatewayError, decisionOf, RefusedAt } from '../refusal.ts';
import { type Reached, type Sent, sinceUs } from '../steps/values.ts';
import type { Told } from '../told.ts';

/** What the outcome's row tells beside the engine's answer. */
export interface Learned {
  /** What ended a stream that plugins watched. */
  readonly cut?: GatewayError | undefined;
  readonly ledger?: readonly LedgerEntry[] | undefined;
  /** The engine's answer, where the audit needs something of it. */
  readonly told?: Told | undefined;
}

export function finish(
  at: Reached,
  decision: 'allow' | 'deny' | 'error' | 'unauthenticated',
  status: number,
  parts: Pick<GatewayParts, 'meter'>,
): void {
  parts.meter.finished({ action: at.target?.action ?? 'unknown', decision, status, durationUs: sinceUs(at) });
}

/** Records the outcome. */
export function complete(
  sent: Sent,
  outcome: Outcome,
  running: LiveCall,
  { cut, ledger, told }: Learned,
  parts: GatewayParts,
): void | Promise<void> {
  const code = cut?.code ?? (outcome.end === 'complete' ? undefined : running.endedBy);
  const ended: EventOutcome =
    code === undefined
      ? { ...outcome, ledger, told }
      : { ...outcome, code, end: code, message: cut?.message, ledger, told };
  finish(sent, 'allow', outcome.status, parts);
  if (outcome.status < 300) noteResize(sent.call, parts);
  const isExec = sent.call.operation.id === 'ExecStart' && outcome.status > 0 && outcome.status < 400;
  if (isExec || sent.recording !== undefined) return completeSession(sent, ended, isExec, parts);
  parts.recorder.append(callEvent(sent, 'complete', 'allow', ended, parts));
}

/** What ran is known to the engine alone, once it is over; its transcript is on disk before its digest is recorded. */
async function completeSession(sent: Sent, ended: EventOutcome, isExec: boolean, parts: GatewayParts): Promise<void> {
  const { recording } = sent;
  const { transcript, fault } = recording === undefined ? {} : await endRecording(recording);
  const lost = fault === undefined ? {} : { code: fault.code, message: fault.message };
  const exec = isExec ? await execFacts(sent.call, parts.engine) : undefined;
  parts.recorder.append(callEvent(sent, 'complete', 'allow', { ...lost, ...ended, exec, transcript }, parts));
}

/** Records and answers that the engine did not, or that what was on its way was denied. */
export function fail(
  sent: Sent,
  caller: CallerEnd,
  thrown: unknown,
  { endedBy }: LiveCall,
  { ledger, told }: Learned,
  parts: GatewayParts,
): void {
  const error =
    endedBy === undefined ? asGatewayError(thrown) : new GatewayError(endedBy, `the call was ended: ${endedBy}`);
  const at = error instanceof RefusedAt ? Object.freeze({ ...sent, decision: error.at.decision }) : sent;
  // What an upload holds is judged on its way: then the one row of the outcome is a denial.
  const decision = decisionOf(error) === 'deny' ? 'deny' : 'allow';
  const { code, message, status } = error;
  parts.recorder.append(callEvent(at, 'complete', decision, { code, message, status, ledger, told }, parts));
  sendRefusal(caller, refusalOf(error, at.auditId), at.arrival.method);
  finish(at, decision === 'deny' ? decision : 'error', status, parts);
}

/** The row of a stream that opened: its outcome may be hours away. */
export const streamOpened = (sent: Sent, status: number, parts: GatewayParts): void =>
  parts.recorder.append(callEvent(sent, 'stream-open', 'allow', { status }, parts));
