// What the progress stream of a pull, an import or a build says at its end. The stream passes as it comes.
import type { CallerEnd } from '../../proxy/types.ts';

/** Bytes of the stream's end that are kept: the words looked for are in its last lines. */
const TAIL_BYTES = 64 * 1024;

export interface StreamWords {
  readonly caller: CallerEnd;
  /** The registry was asked and the image is what it says. */
  readonly pulled: boolean;
  /** Id of the image that was made, or the start of it. */
  readonly imageId: string | undefined;
  /** Tells the caller that the stream has ended, once what it said is known here. */
  finish(): void;
}

export function observeStream(caller: CallerEnd): StreamWords {
  let tail = '';
  let isOver = false;
  const observing: CallerEnd = {
    head: (status, reason, headers) => caller.head(status, reason, headers),
    write(chunk) {
      tail = (tail + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1')).slice(-TAIL_BYTES);
      return caller.write(chunk);
    },
    onDrain: (resume) => caller.onDrain(resume),
    // Who hears the end asks for the image at once.
    end: () => {
      isOver = true;
    },
    abort: () => caller.abort(),
    onGone: (gone) => caller.onGone(gone),
  };
  return {
    caller: observing,
    finish() {
      if (isOver) caller.end();
    },
    get pulled() {
      return /"status":"Status: (Downloaded newer image|Image is up to date)/.test(tail);
    },
    get imageId() {
      const id =
        /"aux":\{"ID":"(sha256:[0-9a-f]{64})"/.exec(tail)?.[1] ??
        /"status":"(sha256:[0-9a-f]{64})"/.exec(tail)?.[1] ??
        /Successfully built ([0-9a-f]{12})/.exec(tail)?.[1];
      return id === undefined || id.startsWith('sha256:') ? id : `sha256:${id}`;
    },
  };
}
