// Says in the log why calls are refused while the audit cannot be written: at once, then once a minute, and when it is over.
import type { AuditEvent, Recorder } from '../audit/event.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';

const TELL_MS = 60_000;
/** How often a quiet gateway looks whether it can write again, in ms. */
const LOOK_MS = 1_000;

export interface AuditWatch {
  /** A call was refused because of it. */
  failed(error: unknown): void;
  close(): void;
}

/**
 * Watches a recorder.
 *
 * @param resumed the row with which a log that could not be written is tried again, so that a gateway without calls notices that
 *   there is room
 */
export function watchAudit(
  recorder: Pick<Recorder, 'healthy' | 'append'>,
  log: Logger,
  resumed: (sinceMs: number) => AuditEvent,
): AuditWatch {
  let sinceMs: number | undefined;
  let toldAt = 0;
  let refused = 0;
  let reason = 'the audit log cannot be written';
  const forS = () => Math.round((Date.now() - (sinceMs ?? Date.now())) / 1000);
  const look = (): void => {
    if (recorder.healthy) {
      if (sinceMs === undefined) return;
      log.info({ refused, forS: forS() }, 'the audit log can be written again');
      sinceMs = undefined;
      refused = 0;
      toldAt = 0;
      return;
    }
    if (sinceMs === undefined) {
      sinceMs = Date.now();
      recorder.append(resumed(sinceMs));
    }
    if (Date.now() - toldAt < TELL_MS) return;
    toldAt = Date.now();
    log.error({ reason, refused, forS: forS() }, 'calls are refused: the audit log cannot be written');
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref?.();
  return {
    failed(error) {
      refused++;
      if (error instanceof GatewayError) reason = error.message;
      look();
    },
    close: () => clearInterval(timer),
  };
}
