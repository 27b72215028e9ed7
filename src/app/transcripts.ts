// The transcripts of a gateway: where the settings put them, and what becomes of them told in the audit.
import { join } from 'node:path';
import type { AuditEvent, Recorder } from '../audit/event.ts';
import type { Masking } from '../audit/masking.ts';
import type { Config } from '../config/types.ts';
import type { Logger } from '../log.ts';
import { TRANSCRIPTS, TranscriptFolder, type TranscriptSetting } from '../store/transcripts.ts';

/** Under this name the key is kept, sealed. */
export const TRANSCRIPT_KEY = 'audit.transcript-key';

export const transcriptSetting = ({ audit }: Pick<Config, 'audit'>): TranscriptSetting => ({
  ...audit.transcripts,
  holds: audit.retention?.holds ?? [],
});

interface Parts {
  readonly key: Uint8Array;
  readonly masking: Masking;
  readonly recorder: Pick<Recorder, 'append'>;
  readonly log: Logger;
  newAuditId(): string;
}

export function openTranscripts(config: Config, { key, masking, recorder, log, newAuditId }: Parts): TranscriptFolder {
  const tell = (action: string, detail: AuditEvent['detail'], more: Partial<AuditEvent> = {}) =>
    recorder.append({
      at: Date.now() * 1000,
      stage: 'gateway',
      auditId: newAuditId(),
      action,
      decision: 'allow',
      ...more,
      detail,
    });
  return new TranscriptFolder({
    folder: join(config.data, TRANSCRIPTS),
    key,
    setting: transcriptSetting(config),
    hide: (text) => masking.text(text),
    now: () => Date.now(),
    onRemoved: (auditIds, why) => tell('transcript.remove', { why, transcripts: auditIds }),
    onMended: (session, { sha256, bytes }) =>
      tell('transcript.mend', { transcriptOf: session, transcript: { sha256, bytes } }),
    onFault: (error, what) => log.error({ err: error }, what),
  });
}
