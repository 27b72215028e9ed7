// Frames of HTTP/2 as they lie on a connection. What passes is cut into no pieces of its own: a run of frames that pass goes on as the
// bytes it came in. RFC 9113 sections 4 and 6.

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

/** Bytes a client begins its connection with. */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

const HEAD_BYTES = 9;
/** Longest frame, in bytes of its payload: what a peer may send unasked. Neither end is told of more. */
export const MAX_READ_BYTES = 16_384;

export interface FrameHead {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly length: number;
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, HEAD_BYTES);
  return bytes;
}

export function number32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** What a connection's frames come to. */
export interface FrameTaker {
  /** Whether a frame passes as it is; false for one that is read whole. @throws for one that may not be */
  passes(head: FrameHead): boolean;
  /** Bytes of frames that pass; the last frame that is whole ends before `whole`, 0 when none does. */
  pass(bytes: Buffer, whole: number): void;
  /** A frame that does not pass. @throws */
  read(head: FrameHead, payload: Buffer): void;
}

/** Cuts the bytes of a connection into frames. */
export class FrameCutter {
  readonly #taker: FrameTaker;
  #partial: Buffer = Buffer.alloc(0);
  /** The frame under way, and the bytes of it that are to come. */
  #head: FrameHead | undefined;
  #left = 0;
  #isPassing = false;
  #parts: Buffer[] = [];

  constructor(taker: FrameTaker) {
    this.#taker = taker;
  }

  /** @throws what the taker throws, and for a frame that is too long or has the reserved bit */
  push(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#partial.length > 0) {
      bytes = Buffer.concat([this.#partial, chunk]);
      this.#partial = Buffer.alloc(0);
    }
    let at = 0;
    /** Where the bytes that pass and are not passed on yet begin. */
    let from = 0;
    /** Where the last whole frame ended. */
    let whole = 0;
    const flush = (end: number) => {
      if (end > from) this.#taker.pass(bytes.subarray(from, end), Math.max(0, whole - from));
    };
    while (at < bytes.length) {
      if (this.#head === undefined) {
        if (bytes.length - at < HEAD_BYTES) break;
        this.#begin(bytes, at);
        if (!this.#isPassing) {
          flush(at);
          from = at + HEAD_BYTES;
        }
        at += HEAD_BYTES;
      }
      const end = Math.min(bytes.length, at + this.#left);
      this.#left -= end - at;
      const piece = bytes.subarray(at, end);
      at = end;
      if (!this.#isPassing) {
        if (piece.length > 0) this.#parts.push(piece);
        from = at;
      }
      if (this.#left > 0) break;
      whole = at;
      const head = this.#head as FrameHead;
      this.#head = undefined;
      if (this.#isPassing) continue;
      const parts = this.#parts;
      this.#parts = [];
      this.#taker.read(head, parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts));
    }
    flush(at);
    if (this.#head === undefined && at < bytes.length) this.#partial = Buffer.from(bytes.subarray(at));
  }

  #begin(bytes: Buffer, at: number): void {
    const head = {
      length: bytes.readUIntBE(at, 3),
      type: bytes[at + 3] as number,
      flags: bytes[at + 4] as number,
      stream: bytes.readUInt32BE(at + 5),
    };
    // What passes goes on as it came, and a reader may take the reserved bit for a part of the number.
    if (head.stream >= 2 ** 31) throw new Error('the reserved bit is set');
    if (head.length > MAX_READ_BYTES) throw new Error('the frame is too long');
    this.#head = head;
    this.#left = head.length;
    this.#isPassing = this.#taker.passes(head);
  }
}
