// What a relayed session is written and read with: its lanes, heads that come in blocks, fields that every reader reads alike, settings.
import type { OutgoingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import { FLAG, FRAME, type FrameHead, frame, MAX_READ_BYTES } from './frames.ts';
import { Refusal, refusalHead } from './grpc.ts';
import { headersOf, type RawHeaders } from './headers.ts';
import { HeadReader, writeHead } from './hpack.ts';
import { readMessage, writeMessage } from './protobuf.ts';

const SETTINGS = { pushIsAllowed: 2, streams: 3, streamWindow: 4, frameBytes: 5, headBytes: 6 } as const;
/** Settings that are told on. Without the sizes of table and frames both ends keep to the first ones, which are those kept here. */
const TOLD: ReadonlySet<number> = new Set([
  SETTINGS.pushIsAllowed,
  SETTINGS.streams,
  SETTINGS.streamWindow,
  SETTINGS.headBytes,
]);
/** Values a setting may have, where not all are. RFC 9113 section 6.5.2. */
const BOUNDS: ReadonlyMap<number, readonly [least: number, most: number]> = new Map([
  [SETTINGS.pushIsAllowed, [0, 1]],
  [SETTINGS.streamWindow, [0, 2 ** 31 - 1]],
  [SETTINGS.frameBytes, [16_384, 2 ** 24 - 1]],
]);
/** Longest head, in bytes of its block. */
const MAX_HEAD_BYTES = 64 * 1024;

/** One direction to write to: frames of our own wait until a frame that passes is whole. */
export class Lane {
  readonly #socket: Duplex;
  #isWhole = true;
  #waiting: Buffer[] = [];
  constructor(socket: Duplex) {
    this.#socket = socket;
  }
  pass(bytes: Buffer, whole: number): void {
    this.#isWhole = whole === bytes.length;
    if (whole === 0 || this.#waiting.length === 0) {
      this.#socket.write(bytes);
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#socket.write(Buffer.concat([bytes.subarray(0, whole), ...waiting, bytes.subarray(whole)]));
  }
  own(...frames: readonly Buffer[]): void {
    if (this.#isWhole) for (const one of frames) this.#socket.write(one);
    else this.#waiting.push(...frames);
  }
}

/** Frames that carry nothing: a peer may send so many at once, one more for each that carries data, and so many more each second. */
const IDLE_FRAMES = 5000;
const IDLE_FRAMES_A_SECOND = 500;
/** Bytes of a head that count as one more such frame. */
const BYTES_AS_A_FRAME = 256;

/** Counts frames that carry nothing, of both ends of a session. */
export class IdleFrames {
  #left = IDLE_FRAMES;
  #atMs = performance.now();

  /**
   * @param bytes of a head: a long one takes as much time as many short ones
   * @throws when there were too many
   */
  count(bytes = 0): void {
    const now = performance.now();
    const left = Math.min(IDLE_FRAMES, this.#left + ((now - this.#atMs) / 1000) * IDLE_FRAMES_A_SECOND);
    const frames = 1 + bytes / BYTES_AS_A_FRAME;
    if (left < frames) throw new Error('too many frames that carry nothing');
    this.#left = left - frames;
    this.#atMs = now;
  }

  /** A frame of data: it makes room for another that carries nothing, unless it is one itself. */
  carries(head: FrameHead): void {
    if (head.length === 0 && (head.flags & FLAG.endStream) === 0) this.count();
    else this.#left = Math.min(IDLE_FRAMES, this.#left + 1);
  }
}

/** Blocks of a head as they come. */
export class Heads {
  readonly #reader = new HeadReader();
  #parts: Buffer[] = [];
  #bytes = 0;
  /** The stream whose head is not whole yet: no other frame may come between. */
  open: { readonly stream: number; readonly isLast: boolean } | undefined;

  /** @returns the fields once the head is whole */
  take(head: FrameHead, payload: Buffer): { stream: number; isLast: boolean; raw: string[] } | undefined {
    const part = head.type === FRAME.headers ? blockOf(head, payload) : payload;
    this.open ??= { stream: head.stream, isLast: (head.flags & FLAG.endStream) !== 0 };
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes > MAX_HEAD_BYTES || this.#parts.length > 32) throw new Error('the head is too long');
    if ((head.flags & FLAG.endHeaders) === 0) return undefined;
    const raw = this.#reader.read(Buffer.concat(this.#parts));
    const { stream, isLast } = this.open;
    this.open = undefined;
    this.#parts = [];
    this.#bytes = 0;
    return { stream, isLast, raw };
  }
}

/** The block within a HEADERS frame: padding and priority aside. */
function blockOf({ flags }: FrameHead, payload: Buffer): Buffer {
  let from = 0;
  let end = payload.length;
  if ((flags & FLAG.padded) !== 0) {
    end -= payload[0] ?? 0;
    from += 1;
  }
  if ((flags & FLAG.priority) !== 0) from += 5;
  if (from > end) throw new Error('the padding is longer than its frame');
  return payload.subarray(from, end);
}

/** The data within a DATA frame. */
export function dataOf({ flags }: FrameHead, payload: Buffer): Buffer {
  if ((flags & FLAG.padded) === 0) return payload;
  const end = payload.length - (payload[0] ?? 0);
  if (end < 1) throw new Error('the padding is longer than its frame');
  return payload.subarray(1, end);
}

export const isWindow = (payload: Buffer): boolean =>
  payload.length === 4 && payload.readUInt32BE() > 0 && payload.readUInt32BE() < 2 ** 31;

/** A field that every reader reads alike. */
const FIELD_NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a value may not have
const FIELD_VALUE = /^[^\x00-\x08\x0a-\x1f\x7f]*$/;
const OF_REQUEST: ReadonlySet<string> = new Set([':method', ':scheme', ':path', ':authority']);
const OF_ANSWER: ReadonlySet<string> = new Set([':status']);
const HTTP_STATUS = /^[1-9][0-9]{2}$/;

/** @throws {Refusal} for a head that is none of a request, an answer or trailers. RFC 9113 section 8.3 */
export function fieldsOf(
  raw: readonly string[],
  of: 'request' | 'answer',
): { headers: RawHeaders; path: string; hasStatus: boolean } {
  const known = of === 'answer' ? OF_ANSWER : OF_REQUEST;
  const first = new Set<string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    const isOfFirst = name.startsWith(':');
    // Fields of the protocol's own come once, in front of all others.
    const isOutOfPlace = isOfFirst && (!known.has(name) || first.has(name) || first.size * 2 !== i);
    if (isOutOfPlace || !FIELD_NAME.test(name) || !FIELD_VALUE.test(value)) {
      throw new Refusal('invalid-argument', 'a field of the head cannot be sent on');
    }
    if (isOfFirst) first.add(name);
  }
  const hasStatus = first.has(':status');
  if (hasStatus && !HTTP_STATUS.test(raw[1] ?? '')) {
    throw new Refusal('invalid-argument', 'the status of an answer is no number');
  }
  const { headers, path } = headersOf(raw);
  return { headers, path, hasStatus };
}

const STATUS_FIELD = 'grpc-status';
const DETAILS_FIELD = 'grpc-status-details-bin';
/** The engine reads a number with a sign, or zeros in front, as well. */
const STATUS_CODE = /^(?:0|[1-9][0-9]{0,9})$/;

/**
 * The head that ends an answer, with a status that has one reading. The gRPC of older engines (before 1.60) believes the details
 * rather than the status: details that cannot be read, or are of another status, are left out.
 *
 * @throws {Refusal} for a status that is no plain number
 */
export function endingOf(headers: RawHeaders): RawHeaders {
  const status = headers.get(STATUS_FIELD);
  if (status !== undefined && !STATUS_CODE.test(status)) {
    throw new Refusal('invalid-argument', 'the status of an answer is no number');
  }
  const details = headers.values(DETAILS_FIELD);
  if (details.length === 0) return headers;
  const kept =
    details.length === 1 && status !== undefined ? detailsOf(details[0] as string, Number(status)) : undefined;
  return kept === undefined
    ? headers.only((name) => name !== DETAILS_FIELD)
    : headers.with(DETAILS_FIELD, [Buffer.from(kept).toString('base64').replace(/=+$/, '')]);
}

function detailsOf(value: string, status: number): Uint8Array | undefined {
  try {
    const read = readMessage('google.rpc.Status', Buffer.from(value, 'base64'));
    return Number(read.code ?? 0) === status ? writeMessage('google.rpc.Status', read) : undefined;
  } catch {
    return undefined;
  }
}

export function requestHead(id: number, path: string, headers: RawHeaders, isLast: boolean): Buffer {
  const fields = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'localhost',
    ...headers.forSending(),
  };
  return headFrame(id, fields, isLast);
}

export function answerHead(id: number, headers: RawHeaders, hasStatus: boolean, isLast: boolean): Buffer {
  return headFrame(
    id,
    { ...(hasStatus ? { ':status': String(headers.status) } : {}), ...headers.forSending() },
    isLast,
  );
}

export const refusalFrame = (id: number, refusal: Refusal): Buffer => headFrame(id, refusalHead(refusal), true);

function headFrame(id: number, fields: OutgoingHttpHeaders, isLast: boolean): Buffer {
  const block = writeHead(fields);
  const last = isLast ? FLAG.endStream : 0;
  if (block.length <= MAX_READ_BYTES) return frame(FRAME.headers, FLAG.endHeaders | last, id, block);
  const frames = [frame(FRAME.headers, last, id, block.subarray(0, MAX_READ_BYTES))];
  for (let at = MAX_READ_BYTES; at < block.length; at += MAX_READ_BYTES) {
    const part = block.subarray(at, at + MAX_READ_BYTES);
    frames.push(frame(FRAME.continuation, at + part.length >= block.length ? FLAG.endHeaders : 0, id, part));
  }
  return Buffer.concat(frames);
}

/**
 * Settings that are told on, each as it came; a client is never told that it may be pushed to.
 *
 * @throws for one twice, of which readers take the first or the last, and for a value out of bounds
 */
export function told(payload: Buffer): Buffer {
  if (payload.length % 6 !== 0 || payload.length > 6 * 32) throw new Error('no settings');
  const kept: Buffer[] = [];
  const known = new Set<number>();
  for (let at = 0; at < payload.length; at += 6) {
    const id = payload.readUInt16BE(at);
    const value = payload.readUInt32BE(at + 2);
    const [least, most] = BOUNDS.get(id) ?? [0, 2 ** 32];
    if (known.has(id) || value < least || value > most) throw new Error('no settings');
    known.add(id);
    if (!TOLD.has(id) || (id === SETTINGS.pushIsAllowed && value !== 0)) continue;
    kept.push(payload.subarray(at, at + 6));
  }
  return Buffer.concat(kept);
}
