// Joins a hijacked connection: bytes both ways, half-close kept, backpressure kept, no time limit.
// Engine API: ContainerAttach and ExecStart ("hijacking"); the end of standard input is a half-close, not an end.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Outcome } from './types.ts';

/** TCP keep-alive on streams that may idle for hours, in ms. */
const KEEP_ALIVE_MS = 60_000;

/**
 * Splices until both directions have ended or one side broke.
 *
 * @returns bytes from the caller, bytes to the caller, and who ended it
 */
export function spliceHijack(
  caller: Duplex,
  engine: Duplex,
  { signal }: { signal?: AbortSignal } = {},
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
    const finish = () => {
      if (!callerEnded || !engineEnded) return;
      settle('complete');
    };

    caller.on('data', (chunk: Buffer) => {
      bytesIn += chunk.length;
      if (engine.write(chunk)) return;
      caller.pause();
      engine.once('drain', () => caller.resume());
    });
    engine.on('data', (chunk: Buffer) => {
      bytesOut += chunk.length;
      if (!caller.write(chunk)) {
        engine.pause();
        caller.once('drain', () => engine.resume());
      }
    });
    caller.on('end', () => {
      callerEnded = true;
      engine.end();
      finish();
    });
    engine.on('end', () => {
      engineEnded = true;
      caller.end();
      // The engine has said all: what the caller may still send has no reader.
      if (!callerEnded) {
        engine.end();
        settle('complete');
      } else finish();
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
      if (!engineEnded) {
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
