// What the progress stream of a pull, an import or a build says at its end. The stream passes as it comes.
import type { CallerEnd } from '../../proxy/types.ts';

/** Bytes of the stream's end that are kept: the words looked for are in its last lines. */
const TAIL_BYTES = 64 * 1024;
/** Longest line about a step or a tag, in characters, and most of either that are remembered. */
const MAX_LINE = 600;
const MAX_STEPS = 10_000;

export interface StreamWords {
  readonly caller: CallerEnd;
  /** The registry was asked and the image is what it says. */
  readonly pulled: boolean;
  /** Id of the image that was made, or the start of it. */
  readonly imageId: string | undefined;
  /** Tags of a pull of a whole repository. */
  readonly tags: ReadonlySet<string>;
  /** First digits of the containers the steps of a build ran in. */
  readonly steps: ReadonlySet<string>;
  /** First digits of the image the last step of a build made. */
  readonly lastImage: string | undefined;
  /** Tells the caller that the stream has ended, once what it said is known here. */
  finish(): void;
}

export function observeStream(caller: CallerEnd): StreamWords {
  let tail = '';
  let isOver = false;
  let open = '';
  const steps = new Set<string>();
  const tags = new Set<string>();
  let lastImage: string | undefined;
  /** Lines of a build on its steps. A step may print the same text: they tell where to look and prove nothing. */
  const readLines = (text: string): void => {
    const lines = (open + text).split('\n');
    open = (lines.pop() as string).slice(-MAX_LINE);
    for (const line of lines) {
      const tag = /^\{"status":"Pulling from [^"\\]{1,256}","id":"([\w][\w.-]{0,127})"\}\r?$/.exec(line)?.[1];
      if (tag !== undefined && tags.size < MAX_STEPS) tags.add(tag);
      const found = /^\{"stream":" ---\\u003e (Running in )?([0-9a-f]{12})\\n"\}/.exec(line);
      if (found === null) continue;
      if (found[1] === undefined) lastImage = found[2];
      else if (steps.size < MAX_STEPS) steps.add(found[2] as string);
    }
  };
  const observing: CallerEnd = {
    head: (status, reason, headers) => caller.head(status, reason, headers),
    write(chunk) {
      const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1');
      tail = (tail + text).slice(-TAIL_BYTES);
      readLines(text);
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
    steps,
    tags,
    get lastImage() {
      return lastImage;
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
