// gRPC on the wire as far as the mediation needs it: message frames, status words, and a refusal as its trailers.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
import type { OutgoingHttpHeaders } from 'node:http2';

/** Largest message, in bytes: the engine's own limit. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

export const STATUS = {
  ok: 0,
  cancelled: 1,
  'invalid-argument': 3,
  'deadline-exceeded': 4,
  'not-found': 5,
  'permission-denied': 7,
  'resource-exhausted': 8,
  'failed-precondition': 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;
export type StatusWord = keyof typeof STATUS;

/** A stream that is refused: the word clients know, and a sentence for people. */
export class Refusal extends Error {
  readonly word: StatusWord;
  /** It is in the audit, and its message says where. */
  readonly isRecorded: boolean;
  /** Nothing more is served on this connection. */
  readonly endsConnection: boolean;
  constructor(word: StatusWord, message: string, isRecorded = false, endsConnection = false) {
    super(message);
    this.word = word;
    this.isRecorded = isRecorded;
    this.endsConnection = endsConnection;
  }
}

/** The head of an answer that consists of a refusal alone. */
export function refusalHead({ word, message }: Refusal): OutgoingHttpHeaders {
  return {
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-status': String(STATUS[word]),
    'grpc-message': encodeMessage(message),
  };
}

/** Percent-encodes everything but printable ASCII, and the percent sign. */
export const encodeMessage = (message: string): string =>
  [...Buffer.from(message, 'utf8')]
    .map((byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');

/** Reads the output of `encodeMessage`; any other text stays as it is. */
export function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A message with its prefix. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

const FIRST_ROOM = 1024;

/** Cuts a stream into messages. Memory grows with the bytes received, not with the announced length or the number of pieces. */
export class FrameReader {
  #room: Buffer = Buffer.alloc(0);
  #size = 0;

  /** Bytes held back. */
  get size(): number {
    return this.#size;
  }

  /**
   * Takes a piece; @returns the messages it completes.
   *
   * @throws {Refusal} for one that is compressed, or larger than `maxBytes`
   */
  push(piece: Uint8Array, maxBytes = MAX_MESSAGE_BYTES): Uint8Array[] {
    if (this.#size + piece.length > this.#room.length) {
      const room = Buffer.allocUnsafe(Math.max(FIRST_ROOM, this.#room.length * 2, this.#size + piece.length));
      this.#room.copy(room, 0, 0, this.#size);
      this.#room = room;
    }
    this.#room.set(piece, this.#size);
    this.#size += piece.length;
    const found: Uint8Array[] = [];
    let at = 0;
    while (this.#size - at >= 5) {
      if (this.#room[at] !== 0) {
        throw new Refusal(
          'unimplemented',
          'compressed messages are not read here; send them without compression (grpc-encoding: identity)',
        );
      }
      const length = this.#room.readUInt32BE(at + 1);
      if (length > maxBytes) {
        throw new Refusal('resource-exhausted', `a message of ${length} bytes is larger than ${maxBytes}`);
      }
      if (this.#size - at < 5 + length) break;
      found.push(Uint8Array.prototype.slice.call(this.#room, at + 5, at + 5 + length));
      at += 5 + length;
    }
    if (at > 0) {
      this.#room = Buffer.from(this.#room.subarray(at, this.#size));
      this.#size = this.#room.length;
    }
    return found;
  }
}
