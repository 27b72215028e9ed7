// SHA-256 of a body that streams through, as it came and as it was sent. It takes time for every byte, so only calls whose rule asks for
// `audit: request-response` have it.
import { createHash, type Hash } from 'node:crypto';

export class UploadDigests {
  readonly #received = createHash('sha256');
  readonly #sent = createHash('sha256');
  #isReceived = false;
  #isSent = false;

  /** The body as it comes. */
  receiving(from: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return digested(from, this.#received, () => {
      this.#isReceived = true;
    });
  }

  /** The body as it goes to the engine. */
  sending(from: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return digested(from, this.#sent, () => {
      this.#isSent = true;
    });
  }

  /** In hex, once; undefined when not all of it came. */
  received(): string | undefined {
    return this.#isReceived ? this.#received.digest('hex') : undefined;
  }

  /** In hex, once; undefined when not all of it was sent. */
  sent(): string | undefined {
    return this.#isSent ? this.#sent.digest('hex') : undefined;
  }
}

async function* digested(from: AsyncIterable<Uint8Array>, hash: Hash, done: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of from) {
    hash.update(chunk);
    yield chunk;
  }
  done();
}
