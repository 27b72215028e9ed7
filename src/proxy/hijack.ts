// Joins a hijacked connection: bytes both ways, half-close kept, backpressure kept, no time limit.
// Engine API: ContainerAttach and ExecStart ("hijacking"); the end of standard input is a half-close, not an end.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Outcome } from './types.ts';

/** TCP keep-alive on streams that may idle for hours, in ms. */
const KEEP_ALIVE_MS = 60_000;

/** Looks at bytes before they go on. */
export interface HijackWatch {
  watches(direction: 'in' | 'out'): boolean;
  /** Rejects to end both sides. */
  see(direction: 'in' | 'out', bytes: Buffer): Promise<void>;
}

/**
 * Splices until both directions have ended or one side broke.
 *
 * @returns bytes from the caller, bytes to the caller, and who ended it
 */
export function spliceHijack(
  caller: Duplex,
  engine: Duplex,
  { signal, watch }: { signal?: AbortSignal; watch?: HijackWatch | undefined } = {},
): Promise<Pick<Outcome, 'bytesIn' | 'bytesOut' | 'end'>> {
  return new Promise((resolve) => {
    let bytesIn = 0;
    let bytesOut = 0;
    let settled = false;
    (caller as Socket).setKeepAlive?.(true, KEEP_ALIVE_MS);
    (engine as Socket).setKeepAlive?.(true, KEEP_ALIVE_MS);
    (caller as Socket).setTimeout?.(0);
    (caller as Socket).setNoDelay?.(true);

    const settle = (end: Outcome['end']) => {
      if (settled) return;
      settled = true;
      signal?.removeEventListener('abort', onAbort);
      resolve({ bytesIn, bytesOut, end });
    };
    const onAbort = () => {
      engine.destroy();
      caller.destroy();
      settle('caller-gone');
    };
    let callerEnded = false;
    let engineEnded = false;
    let engineDone = false;
    const finish = () => {
      if (!callerEnded || !engineEnded) return;
      settle('complete');
    };

    /** What one side said goes to the other, in order. With a watch, nothing more is read until it has been looked at. */
    const carry = (direction: 'in' | 'out', from: Duplex, to: Duplex) => {
      const isWatched = watch?.watches(direction) === true;
      let pending: Promise<void> | undefined;
      const pass = (chunk: Buffer) => {
        if (to.write(chunk)) return true;
        from.pause();
        to.once('drain', () => from.resume());
        return false;
      };
      from.on('data', (chunk: Buffer) => {
        if (direction === 'in') bytesIn += chunk.length;
        else bytesOut += chunk.length;
        if (!isWatched) {
          pass(chunk);
          return;
        }
        from.pause();
        // A stream that is paused may hand over what it read before: each waits for the one in front.
        const mine = (pending ?? Promise.resolve())
          .then(() => watch.see(direction, chunk))
          .then(
            () => {
              if (pending === mine) pending = undefined;
              if (pass(chunk) && pending === undefined) from.resume();
            },
            () => onAbort(),
          );
        pending = mine;
      });
      /** The end of a side comes behind what it said. */
      return (then: () => void) => {
        if (pending === undefined) then();
        else void pending.then(then);
      };
    };
    const afterIn = carry('in', caller, engine);
    const afterOut = carry('out', engine, caller);
    caller.on('end', () =>
      afterIn(() => {
        callerEnded = true;
        engine.end();
        finish();
      }),
    );
    const onEngineEnd = () => {
      engineEnded = true;
      caller.end();
      // The engine has said all: what the caller may still send has no reader.
      if (!callerEnded) {
        engine.end();
        settle('complete');
      } else finish();
    };
    engine.on('end', () => {
      // Its connection may close before what it said was looked at.
      engineDone = true;
      afterOut(onEngineEnd);
    });
    caller.on('error', () => caller.destroy());
    engine.on('error', () => engine.destroy());
    caller.on('close', () => {
      if (!engineEnded) {
        engine.destroy();
        settle('caller-gone');
      }
    });
    engine.on('close', () => {
      if (!engineDone) {
        // Broken, not ended: the caller must see that too.
        caller.destroy();
        settle('engine-gone');
      }
    });
    if (signal?.aborted || caller.destroyed) {
      onAbort();
      return;
    }
    signal?.addEventListener('abort', onAbort);
    caller.resume();
    engine.resume();
  });
}
