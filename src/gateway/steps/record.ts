// The intent: nothing is sent before its row is kept. A session that a rule has recorded begins its transcript here.
import { callEvent } from '../call-event.ts';
import type { GatewayParts } from '../parts.ts';
import type { Passage } from '../passage.ts';
import { recordingOf, withRecording } from '../recorded.ts';
import { nothingMore, type Recorded, type Reserved } from './values.ts';

/** @throws {GatewayError} `audit-unwritable`, `transcript-unwritable`; a 401 code for credentials that ended while the body arrived */
export async function record(reserved: Reserved, passage: Passage, parts: GatewayParts): Promise<Recorded> {
  // What ended meanwhile must not be sent on.
  parts.authenticator.recheck(reserved.principal);
  const recording = reserved.decision.obligations.record === undefined ? undefined : await recordingOf(reserved, parts);
  if (recording !== undefined) passage.transcribe(recording);
  const recorded =
    recording === undefined
      ? nothingMore<Recorded>(reserved)
      : Object.freeze({ ...reserved, watch: withRecording(reserved.watch, recording), recording });
  const row = callEvent(recorded, 'intent', 'allow', { ledger: recorded.reserved }, parts);
  await parts.recorder.record(row, onlyReads(recorded) ? 'by-kernel' : 'on-disk');
  return recorded;
}

/** It changes nothing and is over soon: its row need not be on disk before the engine sees it. */
const onlyReads = ({ call: { operation } }: Reserved): boolean =>
  operation.class === 'read' && operation.stream === 'none';
