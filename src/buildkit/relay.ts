// Joins two HTTP/2 connections stream by stream: a server towards the peer that opens streams, a client towards the other.
// Each stream is let in by a plan, so that nothing reaches the far side that was not judged; what passes keeps its raw headers,
// trailers and backpressure. The one place that speaks HTTP/2. RFC 9113; gRPC over HTTP/2.
import type * as Http2 from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { FrameReader, framed, Refusal, refusalHead } from './grpc.ts';
import { headersOf, RawHeaders } from './headers.ts';
import { type Held, readOne } from './one-message.ts';
import { PlainStream } from './plain-stream.ts';

/** Loaded when the first build comes: it costs more to load than most gateways use of it. */
let loaded: typeof Http2 | undefined;
function http2(): typeof Http2 {
  loaded ??= process.getBuiltinModule('node:http2');
  return loaded;
}

/** What becomes of one stream. */
export type Plan =
  /** The bytes pass both ways unread. */
  | { readonly kind: 'pass'; readonly headers: RawHeaders; readonly onEnd?: OnEnd }
  /** The one message of the request is read and judged before the far side hears of the stream. */
  | { readonly kind: 'judge'; judge(message: Uint8Array, ended: AbortSignal): Promise<Judged> };

/** The stream is over; the status is undefined when it broke off. Resolves when its trailers may leave, or others in their place. */
type OnEnd = (status: string | undefined) => OnEndResult | Promise<OnEndResult>;
// biome-ignore lint/suspicious/noConfusingVoidType: what most have to say of an end is nothing
type OnEndResult = Refusal | void;

export type Judged =
  /** Answered here; the far side hears nothing. */
  | { readonly kind: 'answer'; readonly messages: readonly Uint8Array[] }
  | {
      readonly kind: 'send';
      readonly headers: RawHeaders;
      readonly message: Uint8Array;
      /** Sees each message of the answer; gives what is passed on in its place, or undefined to leave it out. */
      onAnswer?(message: Uint8Array): Uint8Array | undefined;
      readonly onEnd?: OnEnd;
    };

/** Decides on streams by their head. */
export interface Door {
  /** @throws {Refusal} */
  plan(path: string, headers: RawHeaders): Plan;
  /** A text of the far side that the near side will see: messages of errors. */
  shown(text: string): string;
  /** Records a refusal of this room; gives the words of the answer. */
  refused(path: string, refusal: Refusal): Promise<Refusal>;
}

export interface RelayLimits {
  /** Streams at once; beyond, HTTP/2 itself refuses. */
  readonly maxStreams: number;
  /** Longest time for the one message of a judged request to arrive, in ms. */
  readonly messageTimeoutMs: number;
}

export const RELAY_LIMITS: RelayLimits = { maxStreams: 128, messageTimeoutMs: 60_000 };

/** Window of a stream and of a connection, in bytes: what may be on its way before the reader has taken it. */
const STREAM_WINDOW = 1024 * 1024;
const CONNECTION_WINDOW = 8 * 1024 * 1024;
/** What a slow reader may leave in a stream's buffer before its writer is paused, in bytes. To wait for each piece costs half the speed. */
const HELD_BYTES = 512 * 1024;
/** A peer that resets this many streams, or floods with frames that mean nothing, loses its connection. */
const HOSTILE_LIMITS = {
  maxSessionInvalidFrames: 200,
  maxSessionRejectedStreams: 200,
  maxHeaderListPairs: 200,
  maxOutstandingPings: 10,
  maxSettings: 32,
  streamResetBurst: 1000,
  streamResetRate: 33,
};

export interface Relayed {
  readonly end: 'complete' | 'caller-gone' | 'engine-gone';
}

/**
 * Relays until both connections are over.
 *
 * @param near the caller, who opens streams
 * @param far the engine, which serves them
 * @param holder whose connection it is: half-read requests of one holder have a bound of their own
 */
export function relay(
  near: Duplex,
  far: Duplex,
  door: Door,
  { signal, holder = '', limits = RELAY_LIMITS }: { signal: AbortSignal; holder?: string; limits?: RelayLimits },
): Promise<Relayed> {
  return new Promise((resolve) => {
    for (const socket of [near, far]) {
      (socket as Socket).setTimeout?.(0);
      (socket as Socket).setNoDelay?.(true);
      socket.on('error', () => socket.destroy());
    }
    const client = http2().connect('http://buildkit', {
      createConnection: () => new PlainStream(far),
      settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
      maxHeaderListPairs: 400,
    });
    const server = http2().performServerHandshake(new PlainStream(near), {
      settings: { initialWindowSize: STREAM_WINDOW, maxConcurrentStreams: limits.maxStreams },
      ...HOSTILE_LIMITS,
    });
    server.setTimeout(0);
    client.setTimeout(0);
    widen(server);
    client.once('connect', () => widen(client));
    let first: 'near' | 'far' | undefined;
    let isAborted = false;
    let open = 2;
    const gone = (side: 'near' | 'far') => {
      first ??= side;
      // The far side may still have answers on their way to it, and the near side no more questions.
      if (side === 'near') client.destroy();
      else server.destroy();
      near.destroy();
      far.destroy();
      if (--open > 0) return;
      signal.removeEventListener('abort', onAbort);
      // A client that is done closes its connection: that is the ordinary end.
      resolve({ end: isAborted ? 'caller-gone' : first === 'near' ? 'complete' : 'engine-gone' });
    };
    const onAbort = () => {
      isAborted = true;
      server.destroy();
      client.destroy();
      near.destroy();
      far.destroy();
    };
    server.on('error', () => server.destroy());
    client.on('error', () => client.destroy());
    onceClosed(server, near, () => gone('near'));
    onceClosed(client, far, () => gone('far'));
    const held = { bytes: 0, holder };
    server.on('stream', (stream, _headers, _flags, raw) => {
      serve(stream, raw as unknown as string[], { client, door, limits, held });
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
  });
}

/** A session tells of its end, or its socket does: on one runtime the one, on the other the other. */
function onceClosed(session: Http2.Http2Session, socket: Duplex, then: () => void): void {
  let isTold = false;
  const tell = () => {
    if (isTold) return;
    isTold = true;
    session.destroy();
    then();
  };
  session.on('close', tell);
  socket.on('close', tell);
  // A peer that says no more reads no more either; one runtime leaves the session open then.
  socket.on('end', tell);
  if (session.closed || session.destroyed || socket.destroyed) tell();
}

function widen(session: Http2.Http2Session): void {
  try {
    session.setLocalWindowSize?.(CONNECTION_WINDOW);
  } catch {
    // it is over already
  }
}

interface Shared {
  readonly client: Http2.ClientHttp2Session;
  readonly door: Door;
  readonly limits: RelayLimits;
  readonly held: Held;
}

function serve(stream: Http2.ServerHttp2Stream, raw: string[], shared: Shared): void {
  stream.on('error', () => {});
  const path = pathOf(raw);
  const refuse = (error: unknown): void => void refuseBy(stream, path, error, shared.door);
  try {
    const { headers } = headersOf(raw);
    const plan = shared.door.plan(path, headers);
    if (plan.kind === 'pass') pass(stream, forward(stream, path, plan.headers, shared), shared.door, plan.onEnd);
    else
      readOne(stream, { held: shared.held, timeoutMs: shared.limits.messageTimeoutMs }, refuse, (message, ended) =>
        judged(stream, path, plan.judge(message, ended), shared),
      );
  } catch (error) {
    refuse(error);
  }
}

function pathOf(raw: readonly string[]): string {
  for (let i = 0; i + 1 < raw.length; i += 2) if (raw[i] === ':path') return raw[i + 1] as string;
  return '';
}

/** Records and answers a refusal; any other error tells the client nothing of itself. */
async function refuseBy(stream: Http2.ServerHttp2Stream, path: string, error: unknown, door: Door): Promise<void> {
  const refusal =
    error instanceof Refusal ? error : new Refusal('internal', 'the gateway failed while judging a build');
  const said = refusal.isRecorded ? refusal : await door.refused(path, refusal).catch(() => UNRECORDED);
  const { session } = stream;
  refuse(stream, said);
  if (!said.endsConnection || session === undefined || session.destroyed) return;
  session.goaway(http2().constants.NGHTTP2_ENHANCE_YOUR_CALM);
  setTimeout(() => session.destroy(), LAST_WORDS_MS);
}

/** A refusal that ends its connection has so long to reach the client, in ms. */
const LAST_WORDS_MS = 200;

const UNRECORDED = new Refusal('unavailable', 'the audit log cannot be written', true);

/** Answers with trailers alone. */
function refuse(stream: Http2.ServerHttp2Stream, refusal: Refusal): void {
  if (stream.destroyed || stream.closed) return;
  if (stream.headersSent) {
    stream.close(http2().constants.NGHTTP2_INTERNAL_ERROR);
    return;
  }
  try {
    stream.respond(refusalHead(refusal), { endStream: true });
  } catch {
    stream.close(http2().constants.NGHTTP2_INTERNAL_ERROR);
    return;
  }
  // What the client may still send has no reader.
  stream.resume();
  if (!stream.readableEnded) stream.close(http2().constants.NGHTTP2_NO_ERROR);
}

async function judged(
  stream: Http2.ServerHttp2Stream,
  path: string,
  verdict: Promise<Judged>,
  shared: Shared,
): Promise<void> {
  const plan = await verdict;
  if (stream.destroyed || stream.closed) {
    if (plan.kind === 'send') await plan.onEnd?.(undefined);
    return;
  }
  if (plan.kind === 'answer') {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () =>
      guarded(
        () => stream.sendTrailers({ 'grpc-status': '0' }),
        () => stream.close(http2().constants.NGHTTP2_INTERNAL_ERROR),
      ),
    );
    for (const message of plan.messages) stream.write(framed(message));
    stream.end();
    return;
  }
  let upstream: Http2.ClientHttp2Stream;
  try {
    upstream = forward(stream, path, plan.headers, shared);
  } catch (error) {
    await plan.onEnd?.(undefined);
    throw error;
  }
  upstream.end(framed(plan.message));
  answer(stream, upstream, shared.door, plan);
}

function forward(
  stream: Http2.ServerHttp2Stream,
  path: string,
  headers: RawHeaders,
  { client }: Shared,
): Http2.ClientHttp2Stream {
  if (client.destroyed || client.closed) throw new Refusal('unavailable', 'the other side has closed the connection');
  const upstream = client.request(
    { ':method': 'POST', ':path': path, ':scheme': 'http', ':authority': 'localhost', ...headers.forSending() },
    { endStream: false },
  );
  upstream.on('error', () => {});
  stream.once('close', () => {
    if (!upstream.closed) upstream.close(stream.rstCode === 0 ? http2().constants.NGHTTP2_CANCEL : stream.rstCode);
  });
  return upstream;
}

function pass(
  stream: Http2.ServerHttp2Stream,
  upstream: Http2.ClientHttp2Stream,
  door: Door,
  onEnd: OnEnd | undefined,
): void {
  const breakOff = () => closeBoth(stream, upstream);
  stream.on('data', (piece: Buffer) =>
    guarded(() => {
      if (upstream.write(piece) || upstream.writableLength < HELD_BYTES) return;
      stream.pause();
      upstream.once('drain', () => stream.resume());
    }, breakOff),
  );
  stream.once('end', () => guarded(() => upstream.end(), breakOff));
  answer(stream, upstream, door, onEnd === undefined ? {} : { onEnd });
}

/** Runs a handler of events: what a handler throws would end the process, and peers choose what the handlers read. */
function guarded(work: () => void, onThrown: () => void): void {
  try {
    work();
  } catch {
    onThrown();
  }
}

function closeBoth(stream: Http2.ServerHttp2Stream, upstream: Http2.ClientHttp2Stream): void {
  stream.close(http2().constants.NGHTTP2_INTERNAL_ERROR);
  upstream.close(http2().constants.NGHTTP2_CANCEL);
}

/** Carries the answer. On one runtime its data may come before its head: it is read once the head is there. */
function answer(
  stream: Http2.ServerHttp2Stream,
  upstream: Http2.ClientHttp2Stream,
  door: Door,
  { onAnswer, onEnd }: Pick<Extract<Judged, { kind: 'send' }>, 'onAnswer' | 'onEnd'>,
): void {
  const frames = onAnswer === undefined ? undefined : new FrameReader();
  let trailers: RawHeaders | undefined;
  let isEnded = false;
  let isDone = false;
  let isTold = false;
  /** Tells once how it ended, then goes on. */
  const tell = (status: string | undefined, then: (instead?: Refusal) => void) => {
    isDone = true;
    const work = isTold ? undefined : onEnd?.(status);
    isTold = true;
    const go = (instead: OnEndResult) => then(instead instanceof Refusal ? instead : undefined);
    if (!(work instanceof Promise)) go(work);
    else void work.catch(() => {}).then((instead) => guarded(() => go(instead), breakOff));
  };
  /** An answer that cannot be read, or sent, cannot be shown. */
  const breakOff = () => {
    closeBoth(stream, upstream);
    tell(undefined, () => {});
  };
  const finish = () => {
    if (isDone || !isEnded || trailers === undefined) return;
    tell(trailers.get('grpc-status'), (instead) => {
      if (instead !== undefined) trailers = RawHeaders.ofRefusal(instead);
      stream.end();
    });
  };
  const begin = (flags: number, raw: readonly string[]) => {
    const head = headersOf(raw, door).headers;
    if (stream.destroyed || stream.closed) return;
    const status = head.status;
    // An answer of trailers alone.
    if ((flags & http2().constants.NGHTTP2_FLAG_END_STREAM) !== 0 || head.get('grpc-status') !== undefined) {
      upstream.resume();
      tell(head.get('grpc-status'), (instead) => {
        if (stream.destroyed || stream.closed) return;
        const sent = instead === undefined ? { ':status': status, ...head.forSending() } : refusalHead(instead);
        stream.respond(sent, { endStream: true });
        if (!stream.readableEnded) stream.resume();
      });
      return;
    }
    stream.respond({ ':status': status, ...head.forSending() }, { waitForTrailers: true });
    stream.on('wantTrailers', () => guarded(() => stream.sendTrailers(trailers?.forSending() ?? {}), breakOff));
    const write = (piece: Uint8Array) => {
      if (stream.write(piece) || stream.writableLength < HELD_BYTES) return;
      upstream.pause();
      stream.once('drain', () => upstream.resume());
    };
    const onPiece = (piece: Buffer) => {
      if (frames === undefined || onAnswer === undefined) {
        write(piece);
        return;
      }
      for (const message of frames.push(piece)) {
        const shown = onAnswer(message);
        if (shown !== undefined) write(framed(shown));
      }
    };
    upstream.on('data', (piece: Buffer) => guarded(() => onPiece(piece), breakOff));
    upstream.once('end', () => {
      isEnded = true;
      guarded(finish, breakOff);
    });
  };
  upstream.once('response', (_headers, flags, raw) =>
    guarded(() => begin(flags, raw as unknown as string[]), breakOff),
  );
  upstream.on('trailers', (_trailers, _flags, raw) =>
    guarded(() => {
      trailers = headersOf(raw as unknown as string[], door).headers;
      finish();
    }, breakOff),
  );
  upstream.once('close', () => {
    if (isDone) return;
    tell(undefined, () => {});
    if (!stream.closed) {
      stream.close(upstream.rstCode === 0 ? http2().constants.NGHTTP2_INTERNAL_ERROR : upstream.rstCode);
    }
  });
}
