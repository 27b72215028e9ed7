// Takes apart the engine's stream of sessions without a terminal: frames of 8 bytes of head and a payload, for standard output and
// standard error. Engine API, ContainerAttach, "Stream format".
import { Buffer } from 'node:buffer';

const HEAD = 8;

export interface Payload {
  /** Of standard error. */
  readonly isError: boolean;
  readonly payload: Buffer;
}

export class Frames {
  /** Undefined until the first bytes tell. */
  #isFramed: boolean | undefined;
  #head = Buffer.alloc(0);
  #left = 0;
  #isError = false;

  /** @param isFramed undefined: the first bytes tell */
  constructor(isFramed: boolean | undefined) {
    this.#isFramed = isFramed;
  }

  get isFramed(): boolean | undefined {
    return this.#isFramed;
  }

  /** The payloads in a piece of the stream. Bytes outside frames are given unchanged: a transcript leaves nothing out. */
  push(bytes: Uint8Array): Payload[] {
    let rest: Buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (this.#isFramed === false) return [{ isError: false, payload: rest }];
    const found: Payload[] = [];
    rest = this.#head.length === 0 ? rest : Buffer.concat([this.#head, rest]);
    this.#head = Buffer.alloc(0);
    while (rest.length > 0) {
      if (this.#left > 0) {
        const payload = rest.subarray(0, this.#left);
        found.push({ isError: this.#isError, payload });
        this.#left -= payload.length;
        rest = rest.subarray(payload.length);
      } else if (!looksLikeHead(rest)) {
        this.#isFramed = false;
        found.push({ isError: false, payload: rest });
        break;
      } else if (rest.length < HEAD) {
        this.#head = Buffer.from(rest);
        break;
      } else {
        this.#isFramed = true;
        this.#isError = rest[0] === 2;
        this.#left = rest.readUInt32BE(4);
        rest = rest.subarray(HEAD);
      }
    }
    return found;
  }

  /** What waits for the rest of its head. */
  end(): Buffer {
    const rest = this.#head;
    this.#head = Buffer.alloc(0);
    return rest;
  }
}

/** As far as the bytes go. */
const looksLikeHead = (bytes: Buffer): boolean =>
  bytes.subarray(0, 4).every((byte, i) => (i === 0 ? byte <= 3 : byte === 0));
