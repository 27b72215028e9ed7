// The caller's end of a tenant's call, for the engine's refusals: the text of one is held until it is whole, and loses ids and names
// that are not the tenant's. Everything else passes as it comes.
import type { EngineCall } from '../../engine/types.ts';
import { withoutForeignWords } from '../../ledger/error-words.ts';
import type { View } from '../../ledger/views.ts';
import type { CallerEnd } from '../../proxy/types.ts';
import { headersFor } from './deliver.ts';

/** A longer refusal is cut: the engine's have a line. In bytes. */
const MAX_BYTES = 64 * 1024;

export function refusingCaller(caller: CallerEnd, call: EngineCall, view: View): CallerEnd {
  let held: { status: number; reason: string; headers: readonly string[]; body: Buffer[]; bytes: number } | undefined;
  return {
    head(status, reason, headers) {
      if (status >= 400 && call.operation.method !== 'HEAD') held = { status, reason, headers, body: [], bytes: 0 };
      else caller.head(status, reason, headers);
    },
    write(chunk) {
      if (held === undefined) return caller.write(chunk);
      if (held.bytes < MAX_BYTES) held.body.push(Buffer.from(chunk));
      held.bytes += chunk.length;
      return true;
    },
    onDrain: (resume) => caller.onDrain(resume),
    end() {
      if (held !== undefined) {
        const { status, reason, headers, body } = held;
        held = undefined;
        const text = Buffer.concat(body).toString('utf8').slice(0, MAX_BYTES);
        const bytes = Buffer.from(withoutForeignWords(text, call, view));
        caller.head(status, reason, headersFor(headers, bytes.length));
        if (bytes.length > 0) caller.write(bytes);
      }
      caller.end();
    },
    abort: () => caller.abort(),
    onGone: (gone) => caller.onGone(gone),
  };
}
