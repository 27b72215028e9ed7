// The caller's end of a progress stream of a tenant's (pull, push, import, load, build), for the errors in it: they come in a line of the
// stream with status 200, and lose ids and names that are not the tenant's as a refusal does. All other lines pass as they are.
import type { EngineCall } from '../../engine/types.ts';
import { withoutForeignWords } from '../../ledger/error-words.ts';
import type { View } from '../../ledger/views.ts';
import type { CallerEnd } from '../../proxy/types.ts';

/** A longer line is none of an engine's. In bytes. */
const MAX_LINE_BYTES = 1024 * 1024;
/** What the engine says of objects in the way. All else in an error of a build is about what its Dockerfile says. */
const OF_OBJECTS = /\b(?:conflict|in use|by container|already exists)\b/i;

/** @param call whose own words stay */
export function progressCaller(caller: CallerEnd, call: EngineCall, view: View): CallerEnd {
  let rest: Buffer = Buffer.alloc(0);
  let isProgress = false;
  let isTorn = false;
  const shown = (message: string): string =>
    call.action === 'build.run' && !OF_OBJECTS.test(message) ? message : withoutForeignWords(message, call, view);
  /** Whole lines, each as it may be shown. */
  const lines = (bytes: Buffer): Buffer => {
    if (!bytes.includes('"error')) return bytes;
    return Buffer.concat(
      bytes
        .toString('latin1')
        .split(/(?<=\n)/)
        .map((line) => lineOf(Buffer.from(line, 'latin1'), shown)),
    );
  };
  return {
    head(status, reason, headers) {
      isProgress = status === 200;
      caller.head(status, reason, headers);
    },
    write(chunk) {
      if (!isProgress) return caller.write(chunk);
      if (isTorn) return true;
      const bytes = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
      const end = bytes.lastIndexOf(0x0a) + 1;
      rest = bytes.subarray(end);
      if (rest.length > MAX_LINE_BYTES) {
        isTorn = true;
        caller.abort();
        return true;
      }
      return end === 0 || caller.write(lines(bytes.subarray(0, end)));
    },
    onDrain: (resume) => caller.onDrain(resume),
    end() {
      if (isTorn) return;
      if (rest.length > 0) caller.write(lines(rest));
      caller.end();
    },
    abort: () => caller.abort(),
    onGone: (gone) => caller.onGone(gone),
  };
}

function lineOf(line: Buffer, shown: (message: string) => string): Buffer {
  if (!line.includes('"error')) return line;
  let value: unknown;
  try {
    value = JSON.parse(line.toString('utf8'));
  } catch {
    // A line that cannot be read may be of any tenant.
    return Buffer.alloc(0);
  }
  if (typeof value !== 'object' || value === null) return line;
  const { error, errorDetail, ...more } = value as { readonly error?: unknown; readonly errorDetail?: unknown };
  const detail = typeof errorDetail === 'object' && errorDetail !== null ? (errorDetail as { message?: unknown }) : {};
  if (typeof error !== 'string' && typeof detail.message !== 'string') return line;
  const told = {
    ...more,
    ...(errorDetail === undefined
      ? {}
      : {
          errorDetail: { ...detail, ...(typeof detail.message === 'string' ? { message: shown(detail.message) } : {}) },
        }),
    ...(typeof error === 'string' ? { error: shown(error) } : {}),
  };
  return Buffer.from(`${JSON.stringify(told)}\r\n`);
}
