// Sessions that a rule has recorded: before the engine sees the call its transcript is begun, and each byte is in it before it goes on.
import type { StreamWatch } from '../admission/streams.ts';
import type { Recording, TranscriptFacts } from '../audit/transcript/transcript.ts';
import type { EngineCall } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { GatewayParts } from './parts.ts';
import { atMsOf, type Reserved } from './steps/values.ts';

/**
 * Begins the transcript of a call that a rule has recorded.
 *
 * @returns undefined for a call that is no session, or has none recorded
 * @throws {GatewayError} `transcript-unwritable`
 */
export async function recordingOf(
  reserved: Reserved,
  { transcripts }: Pick<GatewayParts, 'transcripts'>,
): Promise<Recording | undefined> {
  const { call, principal, auditId, decision } = reserved;
  const keeps = decision.obligations.record;
  if (keeps === undefined) return undefined;
  const { operation, path, resources, body } = call;
  const asked = (body ?? {}) as { readonly Detach?: unknown; readonly Tty?: unknown };
  if (operation.id === 'ContainerAttachWebsocket')
    throw new GatewayError(
      'transcript-unwritable',
      'a rule has this session recorded, and one over a websocket is not: use docker attach, or POST /containers/ID/attach',
    );
  const isExec = operation.id === 'ExecStart';
  // Detached, nothing of it comes by here.
  if (!(isExec || operation.id === 'ContainerAttach') || asked.Detach === true) return undefined;
  if (transcripts === undefined)
    throw new GatewayError(
      'transcript-unwritable',
      'a rule has this session recorded, and this gateway keeps no transcripts',
    );
  const [main] = resources;
  const named = (texts: readonly (string | undefined)[]): string[] => [
    ...new Set(texts.filter((text) => text !== undefined && text !== '') as string[]),
  ];
  return transcripts.begin({
    auditId,
    subject: principal.subject,
    tenant: principal.tenant,
    session: isExec ? named([path.id]) : named([path.id, main?.name, main?.id]),
    container: named([main?.resolvedName, main?.id, isExec ? undefined : main?.name]),
    at: atMsOf(reserved),
    keeps,
    // The engine frames the stream by what the start of an exec says; of an attach its answer, or its first bytes, tell.
    tty: isExec ? asked.Tty === true : undefined,
  });
}

/** What watches the stream: plugins first, so that what they end with is not what went on. */
export function withRecording(
  watch: StreamWatch | undefined,
  recording: Recording | undefined,
): StreamWatch | undefined {
  if (recording === undefined) return watch;
  return {
    watches: () => true,
    async see(direction, bytes) {
      if (watch?.watches(direction) === true) await watch.see(direction, bytes);
      await recording.see(direction, bytes);
    },
    end: async () => watch?.end(),
    annotations: watch?.annotations ?? {},
  };
}

/** Whether an answer that begins a stream says that there is a terminal; undefined where it does not say. */
export function tellsTerminal(headers: readonly string[]): boolean | undefined {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]?.toLowerCase() !== 'content-type') continue;
    if (/multiplexed-stream/i.test(headers[i + 1] ?? '')) return false;
    // Engines below API 1.42 say so of every stream.
  }
  return undefined;
}

/** The transcript of a call that is over: on disk when this resolves, and why it is not whole. */
export async function endRecording(
  recording: Recording,
): Promise<{ readonly transcript?: TranscriptFacts | undefined; readonly fault?: GatewayError }> {
  try {
    return { transcript: await recording.end() };
  } catch (error) {
    return {
      fault: error instanceof GatewayError ? error : new GatewayError('transcript-unwritable', 'the transcript failed'),
    };
  }
}

/** Tells live transcripts of a terminal's new size, once the engine took it. */
export function noteResize(call: EngineCall, { transcripts }: Pick<GatewayParts, 'transcripts'>): void {
  const { operation, path, resources, query } = call;
  if (transcripts === undefined || (operation.id !== 'ExecResize' && operation.id !== 'ContainerResize')) return;
  const [columns, rows] = [Number(query.w?.[0]), Number(query.h?.[0])];
  if (!isSize(columns) || !isSize(rows)) return;
  const ids = [path.id, ...(operation.id === 'ContainerResize' ? [resources[0]?.name, resources[0]?.id] : [])];
  transcripts.resized(ids.filter((id) => id !== undefined && id !== '') as string[], columns, rows);
}

const isSize = (number: number): boolean => Number.isSafeInteger(number) && number > 0 && number <= 10_000;
