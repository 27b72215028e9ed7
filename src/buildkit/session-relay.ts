// Joins the two connections of a session frame by frame: the engine asks, the caller's client serves. Heads are read, judged and
// written anew, and a judged message is held until it is; the data of streams that were let in, and what the two say to each other of
// windows and pings, goes on as it came. So flow control is theirs, from end to end, and a large context costs little more here than
// its bytes. RFC 9113.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  FLAG,
  FRAME,
  FrameCutter,
  type FrameHead,
  type FrameTaker,
  frame,
  MAX_READ_BYTES,
  number32,
  PREFACE,
} from './frames.ts';
import { FrameReader, framed, Refusal } from './grpc.ts';
import { RawHeaders } from './headers.ts';
import type { Relayed } from './relay.ts';
import {
  answerHead,
  dataOf,
  endingOf,
  fieldsOf,
  Heads,
  IdleFrames,
  isWindow,
  Lane,
  refusalFrame,
  requestHead,
  told,
} from './session-wire.ts';

/** What becomes of one stream the engine opens. */
export type SessionPlan =
  | {
      readonly kind: 'pass';
      readonly headers: RawHeaders;
      /** The answer is whole; resolves when its trailers may leave, or others in their place. */
      onEnd?(status: string | undefined): Promise<Refusal | undefined> | undefined;
    }
  /** The one message of the request is judged before the caller hears of the stream. @throws {Refusal} */
  | { readonly kind: 'judge'; readonly headers: RawHeaders; judge(message: Uint8Array): Uint8Array };

export interface SessionPlans {
  /** @throws {Refusal} */
  plan(path: string, headers: RawHeaders): SessionPlan;
  /** Records a refusal of this room; gives the words of the answer. */
  refused(path: string, refusal: Refusal): Promise<Refusal>;
}

const PROTOCOL_ERROR = 1;
const REFUSED_STREAM = 7;
/** Streams at once, and streams of a connection that were refused. */
const MAX_STREAMS = 1000;
const MAX_REFUSED = 2000;
/** The last bytes written have so long to reach the other end, in ms. */
const LAST_WORDS_MS = 1000;

/** An end of which no word could be had: doubt is no success. */
const UNSAID = new Refusal('unavailable', 'denied: the gateway could not judge what was sent; build again');

interface Stream {
  readonly path: string;
  readonly plan: SessionPlan;
  /** Of the request, while it is held. */
  held: { readonly reader: FrameReader; bytes: number } | undefined;
  hasAnswerHead: boolean;
  /** Its trailers wait for word. */
  isEnding: boolean;
  /** What its server says behind them, when it needs no more of the request. */
  reset: Buffer | undefined;
}

/**
 * Relays a session until one side is done, or `signal` aborts.
 *
 * @param engine opens streams
 * @param caller serves them
 */
export function relaySession(
  engine: Duplex,
  caller: Duplex,
  plans: SessionPlans,
  { signal }: { signal: AbortSignal },
): Promise<Relayed> {
  return new Promise((resolve) => {
    let isOver = false;
    const finish = (end: Relayed['end'], last: 'say' | 'drop') => {
      if (isOver) return;
      isOver = true;
      signal.removeEventListener('abort', onAbort);
      for (const socket of [engine, caller]) {
        if (last === 'drop') socket.destroy();
        else {
          socket.resume();
          socket.end();
          setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref();
        }
      }
      resolve({ end });
    };
    const onAbort = () => finish('caller-gone', 'drop');
    const joined = new Joined(engine, caller, plans, () => finish('caller-gone', 'say'));
    for (const [socket, from, to, end] of [
      [engine, joined.ofEngine, caller, 'engine-gone'],
      [caller, joined.ofCaller, engine, 'complete'],
    ] as const) {
      (socket as Socket).setTimeout?.(0);
      (socket as Socket).setNoDelay?.(true);
      socket.on('data', (chunk: Buffer) => {
        if (isOver) return;
        try {
          from.push(chunk);
        } catch {
          // A frame that cannot be judged as HTTP/2 ends the session.
          finish(end === 'complete' ? 'caller-gone' : 'engine-gone', 'drop');
          return;
        }
        if (to.writableNeedDrain) hold(socket, to);
      });
      socket.on('error', () => socket.destroy());
      // A client that is done closes its connection: that is the ordinary end.
      socket.on('end', () => finish(end, 'say'));
      socket.on('close', () => finish(end, 'say'));
    }
    // They come paused from their upgrade.
    engine.resume();
    caller.resume();
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
    if (engine.destroyed) finish('engine-gone', 'say');
    if (caller.destroyed) finish('complete', 'say');
  });
}

class Joined {
  readonly #plans: SessionPlans;
  readonly #onLast: () => void;
  readonly #streams = new Map<number, Stream>();
  readonly #refused = new Set<number>();
  #lastStream = 0;
  readonly #toEngine: Lane;
  readonly #toCaller: Lane;
  readonly #idle = new IdleFrames();
  #prefaceLeft = PREFACE.length;
  readonly ofEngine: { push(chunk: Buffer): void };
  readonly ofCaller: { push(chunk: Buffer): void };

  /** @param onLast is called when nothing more is served on this connection */
  constructor(engine: Duplex, caller: Duplex, plans: SessionPlans, onLast: () => void) {
    this.#plans = plans;
    this.#onLast = onLast;
    this.#toEngine = new Lane(engine);
    this.#toCaller = new Lane(caller);
    const asked = new FrameCutter(this.#asked());
    this.ofEngine = {
      push: (chunk) => asked.push(this.#prefaceLeft > 0 ? this.#withoutPreface(chunk) : chunk),
    };
    this.ofCaller = new FrameCutter(this.#answered());
  }

  #withoutPreface(chunk: Buffer): Buffer {
    const from = PREFACE.length - this.#prefaceLeft;
    const part = chunk.subarray(0, this.#prefaceLeft);
    if (!part.equals(PREFACE.subarray(from, from + part.length))) throw new Error('no HTTP/2');
    this.#prefaceLeft -= part.length;
    this.#toCaller.own(part);
    return chunk.subarray(part.length);
  }

  /** What the engine sends. */
  #asked(): FrameTaker {
    const heads = new Heads();
    return {
      passes: (head) => {
        if (heads.open !== undefined && head.type !== FRAME.continuation) throw new Error('a head is not whole');
        if (head.type !== FRAME.data || this.#refused.has(head.stream)) return false;
        const stream = this.#streams.get(head.stream);
        if (stream === undefined && (head.stream === 0 || head.stream > this.#lastStream))
          throw new Error('data of no stream');
        this.#idle.carries(head);
        return stream?.held === undefined;
      },
      pass: (bytes, whole) => this.#toCaller.pass(bytes, whole),
      read: (head, payload) => {
        const { stream: id, type } = head;
        if (type === FRAME.data) this.#hold(id, head, payload);
        else if (type === FRAME.headers || type === FRAME.continuation) {
          const whole = this.#headOf(heads, head, payload);
          if (whole !== undefined) this.#open(whole);
        } else this.#between(head, payload, this.#toCaller);
      },
    };
  }

  /** What the caller's client sends. */
  #answered(): FrameTaker {
    const heads = new Heads();
    return {
      passes: (head) => {
        if (heads.open !== undefined && head.type !== FRAME.continuation) throw new Error('a head is not whole');
        if (head.type !== FRAME.data) return false;
        if (head.stream === 0 || !this.#mayName(head.stream)) throw new Error('data of no stream');
        this.#idle.carries(head);
        const stream = this.#streams.get(head.stream);
        if (stream === undefined) return true;
        // Its end is in trailers, and they come once.
        if (stream.isEnding || !stream.hasAnswerHead || (head.flags & FLAG.endStream) !== 0)
          throw new Error('data out of place');
        return (head.flags & FLAG.padded) === 0;
      },
      pass: (bytes, whole) => this.#toEngine.pass(bytes, whole),
      read: (head, payload) => {
        if (head.type === FRAME.headers || head.type === FRAME.continuation) {
          const whole = this.#headOf(heads, head, payload);
          if (whole !== undefined) this.#answer(whole);
        } else if (head.type === FRAME.data) {
          dataOf(head, payload);
          this.#toEngine.own(frame(head.type, head.flags, head.stream, payload));
        } else this.#between(head, payload, this.#toEngine);
      },
    };
  }

  /** Neither end knows of a stream that was refused, or is not judged yet, from the other. */
  #isUnheard(id: number): boolean {
    return this.#refused.has(id) || this.#streams.get(id)?.held !== undefined;
  }

  /** Whether the caller can know of a stream; 0 is the connection. */
  #mayName(id: number): boolean {
    return id === 0 || (id % 2 === 1 && id <= this.#lastStream && !this.#isUnheard(id));
  }

  #headOf(heads: Heads, head: FrameHead, payload: Buffer) {
    if (head.type === FRAME.continuation && heads.open?.stream !== head.stream) throw new Error('no head is open');
    this.#idle.count(payload.length);
    return heads.take(head, payload);
  }

  /** What the two ends say of streams and of the connection. */
  #between(head: FrameHead, payload: Buffer, lane: Lane): void {
    const { type, flags, stream: id } = head;
    const isOfCaller = lane === this.#toEngine;
    this.#idle.count();
    switch (type) {
      case FRAME.settings:
        if (id !== 0 || ((flags & FLAG.ack) !== 0 && payload.length > 0)) throw new Error('no settings');
        lane.own(frame(type, flags & FLAG.ack, 0, (flags & FLAG.ack) === 0 ? told(payload) : Buffer.alloc(0)));
        return;
      case FRAME.ping:
        if (id !== 0 || payload.length !== 8) throw new Error('no ping');
        lane.own(frame(type, flags & FLAG.ack, 0, payload));
        return;
      case FRAME.goaway:
        if (id !== 0 || payload.length < 8 || payload.readUInt32BE() >= 2 ** 31) throw new Error('no word of leave');
        lane.own(frame(type, 0, 0, payload));
        return;
      case FRAME.windowUpdate:
        if (!isWindow(payload) || id > this.#lastStream || (isOfCaller && !this.#mayName(id)))
          throw new Error('no window');
        if (id === 0 || !this.#isUnheard(id)) lane.own(frame(type, 0, id, payload));
        return;
      case FRAME.reset: {
        if (payload.length !== 4 || id === 0 || id > this.#lastStream || (isOfCaller && !this.#mayName(id)))
          throw new Error('no stream');
        const isUnheard = this.#isUnheard(id);
        const stream = this.#streams.get(id);
        if (stream?.isEnding === true && isOfCaller) {
          stream.reset = frame(type, 0, id, payload);
          return;
        }
        this.#forget(id);
        if (!isUnheard) lane.own(frame(type, 0, id, payload));
        return;
      }
      case FRAME.pushPromise:
        throw new Error('nothing is pushed');
      default:
      // Priorities and unknown frames have no meaning here.
    }
  }

  #forget(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#streams.delete(id);
    if (stream.held !== undefined) {
      this.#giveBack(stream.held.bytes);
      this.#noteRefused(id);
    }
    if (stream.plan.kind === 'pass' && !stream.isEnding) void stream.plan.onEnd?.(undefined)?.catch(() => {});
  }

  #noteRefused(id: number): void {
    this.#refused.add(id);
    if (this.#refused.size > MAX_REFUSED) throw new Error('too many streams were refused');
  }

  #open({ stream: id, isLast, raw }: { stream: number; isLast: boolean; raw: string[] }): void {
    if (id % 2 === 0 || id <= this.#lastStream) throw new Error('no new stream');
    this.#lastStream = id;
    let path = '';
    try {
      if (this.#streams.size >= MAX_STREAMS) throw new Refusal('resource-exhausted', 'too many streams at once');
      const fields = fieldsOf(raw, 'request');
      path = fields.path;
      const plan = this.#plans.plan(path, fields.headers);
      const held = plan.kind === 'judge' ? { reader: new FrameReader(), bytes: 0 } : undefined;
      if (held !== undefined && isLast) throw new Refusal('invalid-argument', 'the request has no message');
      this.#streams.set(id, {
        path,
        plan,
        held,
        hasAnswerHead: false,
        isEnding: false,
        reset: undefined,
      });
      if (held === undefined) this.#toCaller.own(requestHead(id, path, plan.headers, isLast));
    } catch (error) {
      this.#refuse(id, path, error);
    }
  }

  /** Data of a request that is judged, or was refused. */
  #hold(id: number, head: FrameHead, payload: Buffer): void {
    const held = this.#streams.get(id)?.held;
    const stream = this.#streams.get(id);
    if (stream === undefined || held === undefined || stream.plan.kind !== 'judge') {
      this.#giveBack(payload.length);
      return;
    }
    held.bytes += payload.length;
    try {
      const [message, ...more] = held.reader.push(dataOf(head, payload), MAX_READ_BYTES - 5);
      const isLast = (head.flags & FLAG.endStream) !== 0;
      if (
        more.length > 0 ||
        (message !== undefined && (!isLast || held.reader.size > 0)) ||
        held.bytes > MAX_READ_BYTES
      )
        throw new Refusal('invalid-argument', `one message of up to ${MAX_READ_BYTES} bytes is expected`);
      if (message === undefined) {
        if (isLast) throw new Refusal('invalid-argument', 'the request has no message');
        return;
      }
      const sent = framed(stream.plan.judge(message));
      if (sent.length > held.bytes) throw new Refusal('internal', 'the request grew while it was judged');
      this.#giveBack(held.bytes - sent.length);
      stream.held = undefined;
      this.#toCaller.own(
        requestHead(id, stream.path, stream.plan.headers, false),
        frame(FRAME.data, FLAG.endStream, id, sent),
      );
    } catch (error) {
      this.#giveBack(held.bytes);
      this.#refuse(id, stream.path, error);
    }
  }

  /** The engine may send as much again: the caller, who tells it so of what it gets, never will of this. */
  #giveBack(bytes: number): void {
    if (bytes > 0) this.#toEngine.own(frame(FRAME.windowUpdate, 0, 0, number32(bytes)));
  }

  /** Records and answers a refusal; the caller hears nothing. */
  #refuse(id: number, path: string, error: unknown): void {
    this.#streams.delete(id);
    this.#noteRefused(id);
    const refusal =
      error instanceof Refusal ? error : new Refusal('internal', 'the gateway failed while judging a build');
    const answer = (said: Refusal) => {
      this.#toEngine.own(refusalFrame(id, said));
      if (said.endsConnection) this.#onLast();
    };
    if (refusal.isRecorded) answer(refusal);
    else {
      void this.#plans
        .refused(path, refusal)
        .catch(() => new Refusal('unavailable', 'the audit log cannot be written', true))
        .then(answer);
    }
  }

  /** A head of the caller's: of an answer, its trailers, or both in one. */
  #answer({ stream: id, isLast, raw }: { stream: number; isLast: boolean; raw: string[] }): void {
    if (id === 0 || !this.#mayName(id)) throw new Error('an answer to no stream');
    const stream = this.#streams.get(id);
    // The engine has reset it meanwhile.
    if (stream === undefined) return;
    if (stream.isEnding) throw new Error('an answer behind its end');
    let headers: RawHeaders;
    let hasStatus: boolean;
    try {
      const fields = fieldsOf(raw, 'answer');
      headers = isLast ? endingOf(fields.headers) : fields.headers;
      hasStatus = fields.hasStatus;
    } catch {
      this.#breakOff(id);
      return;
    }
    if (stream.hasAnswerHead === hasStatus || (stream.hasAnswerHead && !isLast) || headers.status < 200) {
      this.#breakOff(id);
      return;
    }
    if (!isLast) {
      stream.hasAnswerHead = true;
      this.#toEngine.own(answerHead(id, headers, true, false));
      return;
    }
    stream.isEnding = true;
    const end = (instead?: Refusal) => {
      if (!this.#streams.delete(id)) return;
      const own = instead === undefined ? headers : RawHeaders.ofRefusal(instead);
      this.#toEngine.own(
        instead !== undefined && hasStatus ? refusalFrame(id, instead) : answerHead(id, own, hasStatus, true),
      );
      if (stream.reset !== undefined) this.#toEngine.own(stream.reset);
    };
    const work = stream.plan.kind === 'pass' ? stream.plan.onEnd?.(headers.get('grpc-status')) : undefined;
    if (work === undefined) end();
    else void work.catch(() => UNSAID).then(end);
  }

  #breakOff(id: number): void {
    this.#forget(id);
    this.#toEngine.own(frame(FRAME.reset, 0, id, number32(PROTOCOL_ERROR)));
    this.#toCaller.own(frame(FRAME.reset, 0, id, number32(REFUSED_STREAM)));
  }
}

/**
 * What comes from one socket waits until the other has room: answers to pings as well as data, or they would fill the memory for a
 * peer that reads none.
 */
function hold(from: Duplex, to: Duplex): void {
  from.pause();
  to.once('drain', () => from.resume());
}
