// Ways an answer reaches a tenant: whole, after it was looked at, or filtered while it streams by.
import type { GatewayError } from '../../errors.ts';
import { Ender, type Ending } from '../../proxy/ending.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import type { CallerEnd, EngineRequest, Outcome } from '../../proxy/types.ts';
import { asGatewayError } from '../refusal.ts';

/** Headers of the engine's answer for a body of another length. */
export function headersFor(headers: readonly string[], length: number | undefined): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (!/^(content-length|transfer-encoding|connection)$/i.test(headers[i] as string)) {
      kept.push(headers[i] as string, headers[i + 1] as string);
    }
  }
  if (length !== undefined) kept.push('Content-Length', String(length));
  return kept;
}

/** Sends a whole answer. */
export function deliver(
  caller: CallerEnd,
  answer: { status: number; reason: string; headers: readonly string[]; body: Uint8Array },
): Outcome {
  const { status, body } = answer;
  const isEmpty = status === 204 || status === 304;
  caller.head(status, answer.reason, headersFor(answer.headers, isEmpty ? undefined : body.length));
  if (!isEmpty && body.length > 0) caller.write(body);
  caller.end();
  return { status, bytesIn: 0, bytesOut: isEmpty ? 0 : body.length, end: 'complete' };
}

export const jsonBody = (value: unknown): Buffer => Buffer.from(`${JSON.stringify(value)}\n`);

/** Changes the bytes of an answer as they come. */
export interface BodyFilter {
  push(chunk: Uint8Array): Uint8Array | undefined;
  end(): Uint8Array | undefined;
}

/**
 * Forwards a call whose answer is filtered while it streams by. Answers other than 200 pass as they are.
 *
 * @param waits the head is sent with the first filtered bytes, so that an unreadable answer becomes a refusal and not a torn list
 * @throws {GatewayError} `engine-answer-malformed` when nothing was sent yet
 */
export async function forwardFiltered(
  engine: EngineClient,
  request: EngineRequest,
  caller: CallerEnd,
  filter: BodyFilter,
  options: { ending: Ending; onHead?: ((status: number) => void) | undefined; waits: boolean },
): Promise<Outcome> {
  const stop = new Ender();
  let failure: GatewayError | undefined;
  let isFiltered = false;
  let sendHead: (() => void) | undefined;
  let bytesOut = 0;
  const pass = (bytes: Uint8Array | undefined): boolean => {
    if (bytes === undefined || bytes.length === 0) return true;
    sendHead?.();
    bytesOut += bytes.length;
    return caller.write(bytes);
  };
  const guarded = (work: () => Uint8Array | undefined): boolean => {
    if (failure !== undefined) return true;
    try {
      return pass(work());
    } catch (error) {
      failure = asGatewayError(error);
      stop.end();
      return true;
    }
  };
  const filtering: CallerEnd = {
    head(status, reason, headers) {
      isFiltered = status === 200;
      const given = isFiltered ? headersFor(headers, undefined) : headers;
      sendHead = () => {
        sendHead = undefined;
        caller.head(status, reason, given);
      };
      if (!isFiltered || !options.waits) sendHead();
    },
    write: (chunk) => (isFiltered ? guarded(() => filter.push(chunk)) : pass(chunk)),
    onDrain: (resume) => caller.onDrain(resume),
    end() {
      if (isFiltered) guarded(() => filter.end());
      if (failure !== undefined) return;
      sendHead?.();
      caller.end();
    },
    abort() {
      if (failure === undefined || sendHead === undefined) caller.abort();
    },
    onGone: (gone) => caller.onGone(gone),
  };
  const { onHead } = options;
  if (options.ending.ended) stop.end();
  options.ending.onEnd(() => stop.end());
  const outcome = await engine
    .forward(request, filtering, {
      ending: stop,
      ...(onHead === undefined ? {} : { onHead: (status: number) => onHead(status) }),
    })
    .finally(() => options.ending.onEnd(undefined));
  if (failure === undefined) return { ...outcome, bytesOut };
  if (sendHead !== undefined) throw failure;
  caller.abort();
  return { ...outcome, bytesOut, end: 'engine-gone' };
}
