// Reads the one message of a request that is judged before the far side hears of it, within bounds: of a connection, of all that one
// holder has open, and of all together.
import type { ServerHttp2Stream } from 'node:http2';
import { FrameReader, Refusal } from './grpc.ts';

/** Most bytes of half-read requests of one connection, of all connections of one holder, and of all. */
const MAX_HELD_BYTES = 48 * 1024 * 1024;
const MAX_HELD_BYTES_OF_HOLDER = 96 * 1024 * 1024;
const MAX_HELD_BYTES_OF_ALL = 384 * 1024 * 1024;
/** RFC 9113 section 7. */
const PROTOCOL_ERROR = 1;

/** Half-read requests of one connection. */
export interface Held {
  bytes: number;
  readonly holder: string;
}

let heldOfAll = 0;
const heldBy = new Map<string, number>();

/** Reads the one message of a request. */
export function readOne(
  stream: ServerHttp2Stream,
  { held, timeoutMs }: { held: Held; timeoutMs: number },
  refuse: (error: unknown) => void,
  then: (message: Uint8Array, ended: AbortSignal) => Promise<void>,
): void {
  const frames = new FrameReader();
  const over = new AbortController();
  let counted = 0;
  let message: Uint8Array | undefined;
  const add = (more: number): number => {
    counted += more;
    held.bytes += more;
    heldOfAll += more;
    const ofHolder = (heldBy.get(held.holder) ?? 0) + more;
    if (ofHolder === 0) heldBy.delete(held.holder);
    else heldBy.set(held.holder, ofHolder);
    return ofHolder;
  };
  const letGo = () => void add(-counted);
  const count = (more: number) => {
    const ofHolder = add(more);
    if (held.bytes <= MAX_HELD_BYTES && ofHolder <= MAX_HELD_BYTES_OF_HOLDER && heldOfAll <= MAX_HELD_BYTES_OF_ALL)
      return;
    throw new Refusal(
      'resource-exhausted',
      `requests that are not complete may hold ${MAX_HELD_BYTES} bytes of a connection and ${MAX_HELD_BYTES_OF_HOLDER} of one identity; try again when others are done`,
    );
  };
  const fail = (error: unknown) => {
    clearTimeout(timer);
    letGo();
    stream.off('data', onData);
    refuse(error);
  };
  const timer = setTimeout(
    () => fail(new Refusal('deadline-exceeded', `the request was not sent within ${timeoutMs} ms`)),
    timeoutMs,
  );
  const onData = (piece: Buffer) => {
    try {
      if (message !== undefined) throw new Refusal('invalid-argument', 'one message is expected, more were sent');
      count(piece.length);
      const [found, ...more] = frames.push(piece);
      if (found === undefined) return;
      if (more.length > 0 || frames.size > 0) {
        throw new Refusal('invalid-argument', 'one message is expected, more were sent');
      }
      message = found;
      clearTimeout(timer);
      void then(found, over.signal).catch(refuse).finally(letGo);
    } catch (error) {
      if (message === undefined) fail(error);
      else stream.close(PROTOCOL_ERROR);
    }
  };
  stream.on('data', onData);
  stream.once('end', () => {
    if (message === undefined && !stream.closed) fail(new Refusal('invalid-argument', 'the request has no message'));
  });
  stream.once('close', () => {
    clearTimeout(timer);
    if (message === undefined) letGo();
    over.abort();
  });
}
