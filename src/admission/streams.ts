// Shows plugins what flows on a long call, where they asked to watch it. A plugin lets a piece pass or ends the call; it edits nothing.
// One question at a time for each stream: what a plugin remembers of it goes along as its `state`.
import { StringDecoder } from 'node:string_decoder';
import type { EngineCall, Json } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import { annotate, askHook, failed, holderOf, oneLine } from './asking.ts';
import type { GuardedHost } from './hosts/guarded.ts';
import { type AdmissionContext, headOf, toJson } from './request.ts';

/** Largest piece shown at once, in bytes, and largest `state`, in characters of JSON. */
const MAX_PIECE = 32 * 1024;
const MAX_STATE = 4096;

type Direction = 'in' | 'out';

interface Watcher {
  readonly one: GuardedHost;
  readonly head: string;
  readonly directions: readonly Direction[];
  state: Json | undefined;
}

type Verdict = { kind: 'pass' | 'watch'; direction?: 'in' | 'out' | 'both'; state?: Json };

/** A stream that at least one plugin watches. */
export interface StreamWatch {
  watches(direction: Direction): boolean;
  /** Resolves when the bytes may go on. @throws {GatewayError} `plugin-denied`, `plugin-failed`: the call has to end */
  see(direction: Direction, bytes: Uint8Array): Promise<void>;
  /** The stream is over, whichever side ended it. Never throws. */
  end(): Promise<void>;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * Tells plugins that a long call opens.
 *
 * @returns what watches it, or undefined where no plugin does
 * @throws {GatewayError} `plugin-denied`, `plugin-failed`
 */
export async function openStream(
  plugins: readonly GuardedHost[],
  call: EngineCall,
  context: AdmissionContext,
): Promise<StreamWatch | undefined> {
  const annotations: Record<string, string> = {};
  const watchers: Watcher[] = [];
  for (const one of plugins) {
    const bodies = one.host.description.needs.bodies === true;
    const head = toJson(headOf(call, context, bodies)).slice(0, -1);
    const verdict = await askOf(one, head, holderOf(context), annotations, { phase: 'open', bytesIn: 0, bytesOut: 0 });
    if (verdict.kind !== 'watch') continue;
    if (call.operation.stream === 'h2c')
      throw failed(one.host, `it wants to watch ${call.action}, whose streams inside are no plugin's to read`);
    const directions: readonly Direction[] =
      verdict.direction === 'both' || verdict.direction === undefined ? ['in', 'out'] : [verdict.direction];
    watchers.push({ one, head, directions, state: verdict.state });
  }
  return watchers.length === 0 ? undefined : new Watched(watchers, holderOf(context), annotations);
}

class Watched implements StreamWatch {
  readonly #watchers: readonly Watcher[];
  readonly #holder: string;
  readonly annotations: Record<string, string>;
  readonly #text = { in: new StringDecoder('utf8'), out: new StringDecoder('utf8') };
  readonly #bytes = { in: 0, out: 0 };
  #last: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(watchers: readonly Watcher[], holder: string, annotations: Record<string, string>) {
    this.#watchers = watchers;
    this.#holder = holder;
    this.annotations = annotations;
  }

  watches(direction: Direction): boolean {
    return this.#watchers.some(({ directions }) => directions.includes(direction));
  }

  see(direction: Direction, bytes: Uint8Array): Promise<void> {
    const next = this.#last.then(async () => {
      for (let at = 0; at < bytes.length; at += MAX_PIECE)
        await this.#piece(direction, bytes.subarray(at, at + MAX_PIECE));
    });
    this.#last = next.catch(() => undefined);
    return next;
  }

  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#last;
    for (const watcher of this.#watchers) await this.#ask(watcher, { phase: 'end' }).catch(() => undefined);
  }

  async #piece(direction: Direction, piece: Uint8Array): Promise<void> {
    if (this.#isOver) return;
    this.#bytes[direction] += piece.length;
    const text = this.#text[direction].write(Buffer.from(piece.buffer, piece.byteOffset, piece.length));
    for (const watcher of this.#watchers) {
      if (watcher.directions.includes(direction)) await this.#ask(watcher, { phase: 'data', direction, text });
    }
  }

  async #ask(watcher: Watcher, part: Readonly<Record<string, Json>>): Promise<void> {
    const { one, head, state } = watcher;
    const verdict = await askOf(one, head, this.#holder, this.annotations, {
      ...part,
      bytesIn: this.#bytes.in,
      bytesOut: this.#bytes.out,
      ...(state === undefined ? {} : { state }),
    });
    if (verdict.state !== undefined) watcher.state = verdict.state;
  }
}

async function askOf(
  one: GuardedHost,
  head: string,
  holder: string,
  annotations: Record<string, string>,
  part: Readonly<Record<string, Json>>,
): Promise<Verdict> {
  const input = `${head},${toJson(part).slice(1)}`;
  const { value, annotations: left } = await askHook(one, 'onStream', input, holder);
  annotate(annotations, one.host.name, left);
  const verdict = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
  const { kind, direction, state } = verdict;
  if (state !== undefined && toJson(state).length > MAX_STATE)
    throw failed(one.host, `its state is longer than ${MAX_STATE} characters`);
  if (kind === 'end' && typeof verdict.message === 'string' && typeof verdict.code === 'string') {
    one.denied();
    throw new GatewayError(
      'plugin-denied',
      `denied by plugin ${one.host.name}: ${oneLine(verdict.message)} (${oneLine(verdict.code)})`,
    );
  }
  const isWatch = kind === 'watch' && (direction === 'in' || direction === 'out' || direction === 'both');
  if (kind !== 'pass' && !isWatch) throw failed(one.host, 'onStream did not return a verdict');
  return verdict as unknown as Verdict;
}
