// Stands before a caller while plugins look at the answer: whole JSON answers are held until they are judged, streams of JSON line by
// line, and other streams piece by piece where a plugin watches them. Nearest to the caller, so that plugins see what the gateway
// itself would show, and can only take out of it.
import { type ResponseJudge, withheld } from '../admission/responses.ts';
import type { StreamWatch } from '../admission/streams.ts';
import { parseExact } from '../engine/exact-json.ts';
import type { EngineCall } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import { JsonItems, JsonLines } from '../ledger/json-items.ts';
import type { CallerEnd } from '../proxy/types.ts';
import { QueuedCaller, type Work } from './queued-caller.ts';
import { headersFor } from './tenancy/deliver.ts';

/** Largest single answer that is shown to plugins, and largest list, in bytes. */
const MAX_VALUE_BYTES = 4 * 1024 * 1024;
const MAX_LIST_BYTES = 32 * 1024 * 1024;

export interface ShownCaller extends CallerEnd {
  /**
   * Called once the engine's answer is over: judges what was held and sends it.
   *
   * @returns why a stream was cut off, of which the caller has a part already
   * @throws {GatewayError} `response-withheld`: nothing was sent
   */
  settle(): Promise<GatewayError | undefined>;
}

export function shownCaller(
  caller: CallerEnd,
  call: EngineCall,
  responses: ResponseJudge | undefined,
  watch: StreamWatch | undefined,
): ShownCaller {
  const isWatched = watch?.watches('out') === true;
  const end: CallerEnd & { finished?(): Promise<unknown> } = isWatched ? new QueuedCaller(caller, seen(watch)) : caller;
  let sink: CallerEnd = end;
  let lines: QueuedCaller | undefined;
  let whole: Whole | undefined;
  /** A listener for the caller's leaving, before it is known which sink takes the answer. */
  let onGone: (() => void) | undefined;
  return {
    head(status, reason, headers) {
      if (responses !== undefined && status < 400 && hasJson(status, headers, call)) {
        if (call.operation.stream === 'none') {
          whole = new Whole(end, call, responses);
          sink = whole;
        } else {
          lines = new QueuedCaller(end, lineWork(status, responses));
          sink = lines;
          if (onGone !== undefined) lines.onGone(onGone);
          lines.head(status, reason, headersFor(headers, undefined));
          return;
        }
      }
      sink.head(status, reason, headers);
    },
    write: (chunk) => sink.write(chunk),
    onDrain: (resume) => sink.onDrain(resume),
    end: () => sink.end(),
    abort: () => sink.abort(),
    onGone(gone) {
      onGone = gone;
      end.onGone(gone);
    },
    async settle() {
      await whole?.settle();
      const fault = (await lines?.finished()) ?? (await end.finished?.());
      return fault === undefined ? undefined : asCut(fault);
    },
  };
}

const asCut = (fault: unknown): GatewayError =>
  fault instanceof GatewayError
    ? fault
    : new GatewayError('response-withheld', 'the answer could not be judged further, so it was cut off', {
        cause: fault,
      });

/** JSON by its header; an answer without one is read as JSON, and fails if it is none. */
function hasJson(status: number, headers: readonly string[], { operation }: EngineCall): boolean {
  if (status === 204 || status === 304 || operation.method === 'HEAD') return false;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if ((headers[i] as string).toLowerCase() === 'content-type')
      return /^application\/(?:[\w.-]*json[\w-]*|x-ndjson)\b/i.test(headers[i + 1] as string);
  }
  return operation.stream === 'none';
}

const seen = (watch: StreamWatch): Work => ({
  async onChunk(chunk) {
    await watch.see('out', chunk);
    return chunk;
  },
  onEnd: () => Promise.resolve(undefined),
});

/** Begins a record of `application/json-seq` (RFC 7464). */
const RECORD = 0x1e;

function lineWork(status: number, responses: ResponseJudge): Work {
  let found: unknown[] = [];
  let isSequence = false;
  const lines = new JsonLines((value) => {
    found.push(value);
    return false;
  });
  const judged = async (): Promise<Uint8Array | undefined> => {
    if (found.length === 0) return undefined;
    const items = found;
    found = [];
    const left = await responses.judge(status, items, 'list');
    return Buffer.from(left.map((value) => `${isSequence ? '\x1e' : ''}${JSON.stringify(value)}\n`).join(''));
  };
  return {
    onChunk(chunk) {
      isSequence ||= chunk[0] === RECORD;
      lines.push(isSequence ? Buffer.from(chunk.filter((byte) => byte !== RECORD)) : chunk);
      return judged();
    },
    onEnd() {
      lines.end();
      return judged();
    },
  };
}

/** Holds a whole answer. A list is read element by element as it comes, so that no long list is read at once. */
class Whole implements CallerEnd {
  readonly #caller: CallerEnd;
  readonly #call: EngineCall;
  readonly #responses: ResponseJudge;
  #status = 0;
  #head: (length: number | undefined) => void = () => {};
  #items: unknown[] = [];
  #list: JsonItems | undefined;
  #chunks: Buffer[] = [];
  #size = 0;
  #fault: GatewayError | undefined;
  #isEnded = false;

  constructor(caller: CallerEnd, call: EngineCall, responses: ResponseJudge) {
    this.#caller = caller;
    this.#call = call;
    this.#responses = responses;
  }

  head(status: number, reason: string, headers: readonly string[]): void {
    this.#status = status;
    this.#head = (length) =>
      this.#caller.head(status, reason, length === undefined ? headers : headersFor(headers, length));
  }
  write(chunk: Uint8Array): boolean {
    if (this.#fault !== undefined) return true;
    this.#size += chunk.length;
    try {
      if (
        this.#list === undefined &&
        this.#chunks.length === 0 &&
        /^\s*\[/.test(Buffer.from(chunk).toString('latin1', 0, 64))
      )
        this.#list = new JsonItems((item) => {
          this.#items.push(item);
          return false;
        });
      if (this.#size > (this.#list === undefined ? MAX_VALUE_BYTES : MAX_LIST_BYTES))
        this.#fault = this.#refuse(
          `the engine's answer is larger than plugins are shown (${this.#size} bytes and more)`,
        );
      else if (this.#list !== undefined) this.#list.push(chunk);
      else this.#chunks.push(Buffer.from(chunk));
    } catch (error) {
      this.#fault = this.#refuse(error);
    }
    return true;
  }
  onDrain(resume: () => void): void {
    resume();
  }
  end(): void {
    this.#isEnded = true;
  }
  abort(): void {
    this.#caller.abort();
  }
  onGone(gone: () => void): void {
    this.#caller.onGone(gone);
  }

  async settle(): Promise<void> {
    if (!this.#isEnded) return;
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#size === 0) {
      this.#head(undefined);
      this.#caller.end();
      return;
    }
    let text: string;
    try {
      if (this.#list !== undefined) {
        this.#list.end();
        const left = await this.#responses.judge(this.#status, this.#items, 'list');
        text = `[${left.map((one) => JSON.stringify(one)).join(',')}]\n`;
      } else {
        const value = parseExact(Buffer.concat(this.#chunks, this.#size).toString('utf8'));
        const [left] = await this.#responses.judge(this.#status, [value], 'one');
        text = `${JSON.stringify(left)}\n`;
      }
    } catch (error) {
      throw this.#refuse(error);
    }
    const body = Buffer.from(text);
    this.#head(body.length);
    this.#caller.write(body);
    this.#caller.end();
  }

  #refuse(error: unknown): GatewayError {
    const why = error instanceof SyntaxError ? "the engine's answer cannot be read" : error;
    return withheld(why, this.#call, this.#status);
  }
}

/** An upload's bytes, each piece once the plugins that watch it have seen it. */
export async function* watchedUpload(body: AsyncIterable<Uint8Array>, watch: StreamWatch): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    await watch.see('in', chunk);
    yield chunk;
  }
}
