// The audit as it grows: one JSON object a line, for as long as the caller stays.
import { type AuditConditions, type AuditScope, withinScope } from '../audit/filter.ts';
import { callView } from './audit-view.ts';
import type { AdminServices } from './services.ts';

/** How soon a new row is seen. */
const POLL_MS = 200;
/** An empty line this often shows that the other end is still there. */
const HEARTBEAT_MS = 15_000;
/** Rows asked for at a time. */
const BATCH = 500;
/** Rows are stored so long after their time at most, in microseconds. */
const SETTLED_US = 2_000_000;

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });

/**
 * Streams rows with `seq` above `from`, oldest first, as NDJSON. Ends when the signal does or the caller goes away.
 *
 * @param from sequence number already seen
 */
export const tailStream = (
  services: AdminServices,
  { conditions, scope }: { readonly conditions: AuditConditions; readonly scope: AuditScope },
  from: number,
  signal: AbortSignal,
  onEnd: () => void,
): ReadableStream<Uint8Array> => {
  const filter = withinScope(conditions, scope);
  const encoder = new TextEncoder();
  const gone = new AbortController();
  const ends = AbortSignal.any([signal, gone.signal]);
  let seen = from;
  let quietSince = services.now();
  /** Nothing that is recorded from then on is asked for. */
  const isOver = (): boolean => conditions.until !== undefined && services.now() * 1000 > conditions.until + SETTLED_US;
  let ended = false;
  const end = () => {
    if (!ended) onEnd();
    ended = true;
  };
  return new ReadableStream<Uint8Array>(
    {
      // One pull answers with one batch, so a slow reader holds one batch and no more.
      async pull(controller) {
        try {
          while (!ends.aborted) {
            const end = await services.auditEnd();
            const rows =
              end > seen && filter !== undefined
                ? await services.auditAfter({ ...filter, afterSeq: seen, limit: BATCH })
                : [];
            const last = rows.at(-1);
            // Rows that did not match are not looked at again.
            if (last === undefined) seen = Math.max(seen, end);
            if (last === undefined && isOver()) break;
            if (last) {
              seen = last.seq;
              quietSince = services.now();
              controller.enqueue(
                encoder.encode(rows.map((row) => `${JSON.stringify(callView(row, scope))}\n`).join('')),
              );
              return;
            }
            if (services.now() - quietSince >= HEARTBEAT_MS) {
              quietSince = services.now();
              controller.enqueue(encoder.encode('\n'));
              return;
            }
            await sleep(POLL_MS, ends);
          }
          end();
          controller.close();
        } catch (error) {
          end();
          controller.error(error);
        }
      },
      cancel() {
        gone.abort();
        end();
      },
    },
    { highWaterMark: 1 },
  );
};
