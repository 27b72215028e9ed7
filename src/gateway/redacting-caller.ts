// Takes parts out of an answer on its way to the caller, as the deciding rules oblige the gateway to. Only JSON is looked at;
// an answer that cannot be read is not shown at all.
import { parseExact } from '../engine/exact-json.ts';
import { answerRedactor } from '../engine/redact-answer.ts';
import type { Operation } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import { JsonLines } from '../ledger/json-items.ts';
import type { CallerEnd } from '../proxy/types.ts';
import { headersFor } from './tenancy/deliver.ts';

/** Largest answer that is looked through, in bytes: a list of some ten thousand containers. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Redactors kept, by the parts they take out: as many as there are different `redact` lists in the policies. */
const MAX_REDACTORS = 256;

const redactors = new Map<string, (value: unknown) => unknown>();

function redactorOf(names: readonly string[]): (value: unknown) => unknown {
  const key = names.join('\n');
  let known = redactors.get(key);
  if (known === undefined) {
    if (redactors.size >= MAX_REDACTORS) redactors.clear();
    known = answerRedactor(names);
    redactors.set(key, known);
  }
  return known;
}

export interface RedactingCaller extends CallerEnd {
  /** @throws {GatewayError} `engine-answer-malformed` when the answer could not be read; nothing of it was sent then */
  check(): void;
}

/**
 * Stands before a caller. Only a 200 with the JSON of a read is masked; logs, archives and answers to changes pass as they are.
 *
 * @param names parts to take out, as `answerRedactor` knows them
 */
export function redactingCaller(caller: CallerEnd, operation: Operation, names: readonly string[]): RedactingCaller {
  const redact = redactorOf(names);
  let sink: CallerEnd = caller;
  let failure: GatewayError | undefined;
  return {
    head(status, reason, headers) {
      if (status === 200 && operation.class === 'read') {
        if (operation.id === 'SystemEvents') sink = lineSink(caller, redact);
        else if (operation.stream === 'none' && isJson(headers)) {
          sink = wholeSink(caller, redact, (error) => {
            failure = error;
          });
        }
      }
      sink.head(status, reason, headers);
    },
    write: (chunk) => sink.write(chunk),
    onDrain: (resume) => caller.onDrain(resume),
    end: () => sink.end(),
    abort: () => caller.abort(),
    onGone: (gone) => caller.onGone(gone),
    check() {
      if (failure !== undefined) throw failure;
    },
  };
}

/** Lines change as they come; one that cannot be read is left out. */
function lineSink(caller: CallerEnd, redact: (value: unknown) => unknown): CallerEnd {
  const lines = new JsonLines((value) => redact(value) as object);
  const pass = (bytes: Uint8Array | undefined): boolean =>
    bytes === undefined || bytes.length === 0 || caller.write(bytes);
  return {
    ...caller,
    head: (status, reason, headers) => caller.head(status, reason, headersFor(headers, undefined)),
    write: (chunk) => pass(lines.push(chunk)),
    end() {
      pass(lines.end());
      caller.end();
    },
  };
}

/** The whole answer is held until it was read. */
function wholeSink(
  caller: CallerEnd,
  redact: (value: unknown) => unknown,
  onFailure: (error: GatewayError) => void,
): CallerEnd {
  const chunks: Buffer[] = [];
  let size = 0;
  let sendHead: (length: number) => void = () => {};
  return {
    ...caller,
    head(status, reason, headers) {
      sendHead = (length) => caller.head(status, reason, headersFor(headers, length));
    },
    write(chunk) {
      size += chunk.length;
      // The engine client may use the chunk again.
      if (size <= MAX_ANSWER_BYTES) chunks.push(Buffer.from(chunk));
      return true;
    },
    end() {
      let body: Buffer;
      try {
        if (size > MAX_ANSWER_BYTES) throw new RangeError('too large');
        body = Buffer.from(`${JSON.stringify(redact(parseExact(Buffer.concat(chunks, size).toString('utf8'))))}\n`);
      } catch (cause) {
        const why = cause instanceof RangeError ? 'is too large to be read' : 'cannot be read';
        const message = `the engine's answer ${why}, and the policy takes parts out of it, so it is not shown`;
        onFailure(new GatewayError('engine-answer-malformed', message, { cause }));
        return;
      }
      sendHead(body.length);
      caller.write(body);
      caller.end();
    },
  };
}

const isJson = (headers: readonly string[]): boolean =>
  headers.some(
    (value, i) =>
      i % 2 === 1 && (headers[i - 1] as string).toLowerCase() === 'content-type' && /^application\/json\b/i.test(value),
  );
