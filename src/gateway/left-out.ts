// What the caller sent and the engine is not sent: refused where the engine would have read it, and told to the caller in the
// answer, in the list of warnings where an answer of the Engine API has one and in a header everywhere.
import { parseExact } from '../engine/exact-json.ts';
import type { EngineCall, LeftOut } from '../engine/types.ts';
import { minorOf } from '../engine/versions.ts';
import { GatewayError } from '../errors.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import type { CallerEnd } from '../proxy/types.ts';
import { headersFor } from './tenancy/deliver.ts';

/** Docker 27 is the first that does not look for fields of HostConfig at the top of a create body. */
const FIRST_MINOR_WITHOUT_TOP = 46;
const MAX_VERSION_BYTES = 256 * 1024;
/** An answer with warnings is a few hundred bytes; one past this is passed on as it is. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** Answers with a place for warnings, by operation id: the field, and whether it is a list or one text. */
const WARNED: Readonly<Record<string, { readonly field: string; readonly isList: boolean }>> = {
  ContainerCreate: { field: 'Warnings', isList: true },
  ContainerUpdate: { field: 'Warnings', isList: true },
  ServiceCreate: { field: 'Warnings', isList: true },
  ServiceUpdate: { field: 'Warnings', isList: true },
  NetworkCreate: { field: 'Warning', isList: false },
};

/**
 * Refuses a call that was left without fields its engine reads: the engine's own version decides, for old ones take a whole
 * HostConfig from the top of a create body. It is asked each time, since such bodies are rare and engines change.
 *
 * @throws {GatewayError} `body-malformed`; `engine-unreachable` when the engine does not tell its version
 */
export async function refuseWhatEngineReads(call: EngineCall, engine: EngineClient): Promise<void> {
  const trap = call.leftOut?.find((left) => left.trap !== undefined);
  if (trap === undefined) return;
  const answer = await engine.fetchJson(
    { method: 'GET', target: '/version', headers: [], body: undefined },
    { maxBytes: MAX_VERSION_BYTES },
  );
  const version = answer.status === 200 ? versionIn(answer.body) : undefined;
  if (version === undefined) throw new GatewayError('engine-unreachable', 'the engine did not tell its version');
  if (version.isPodman || version.minor >= FIRST_MINOR_WITHOUT_TOP) return;
  throw new GatewayError(
    'body-malformed',
    `invalid JSON: ${trap.at}: ${trap.trap}; this engine (API 1.${version.minor}) reads it at the top of the body, newer ones do not`,
  );
}

function versionIn(body: Uint8Array): { readonly minor: number; readonly isPodman: boolean } | undefined {
  try {
    const { ApiVersion, Components } = JSON.parse(Buffer.from(body).toString('utf8')) as Record<string, unknown>;
    const minor = minorOf(ApiVersion);
    const names = Array.isArray(Components) ? Components.map((one) => (one as { Name?: unknown } | null)?.Name) : [];
    return minor === undefined ? undefined : { minor, isPodman: names.includes('Podman Engine') };
  } catch {
    return undefined;
  }
}

/** One sentence for the caller; undefined when nothing was left out. */
export const leftOutWarning = (leftOut: readonly LeftOut[] | undefined): string | undefined =>
  leftOut === undefined || leftOut.length === 0
    ? undefined
    : `not sent to the engine, which does not read it: ${leftOut.map(({ at }) => at).join(', ')}`;

/** The caller's end, with the warning in the engine's answer where it has a place for one. */
export function warningCaller(caller: CallerEnd, operationId: string, warning: string): CallerEnd {
  const place = WARNED[operationId];
  if (place === undefined) return caller;
  const chunks: Buffer[] = [];
  let size = 0;
  let held: { readonly status: number; readonly reason: string; readonly headers: readonly string[] } | undefined;
  const pass = (): void => {
    if (held === undefined) return;
    caller.head(held.status, held.reason, held.headers);
    held = undefined;
    for (const chunk of chunks.splice(0)) caller.write(chunk);
  };
  return {
    head(status, reason, headers) {
      if (status === 200 || status === 201) held = { status, reason, headers };
      else caller.head(status, reason, headers);
    },
    write(chunk) {
      if (held === undefined) return caller.write(chunk);
      // The engine client may use the chunk again.
      chunks.push(Buffer.from(chunk));
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES) pass();
      return true;
    },
    end() {
      const body = held === undefined ? undefined : warned(Buffer.concat(chunks, size), place, warning);
      if (held !== undefined && body !== undefined) {
        caller.head(held.status, held.reason, headersFor(held.headers, body.length));
        caller.write(body);
      } else pass();
      caller.end();
    },
    abort() {
      pass();
      caller.abort();
    },
    onDrain: (resume) => caller.onDrain(resume),
    onGone: (gone) => caller.onGone(gone),
  };
}

function warned(body: Buffer, { field, isList }: { field: string; isList: boolean }, warning: string) {
  try {
    const answer = parseExact(body.toString('utf8')) as Record<string, unknown>;
    if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) return undefined;
    const before = answer[field];
    answer[field] = isList
      ? [...(Array.isArray(before) ? before : []), warning]
      : before
        ? `${before}; ${warning}`
        : warning;
    return Buffer.from(`${JSON.stringify(answer)}\n`);
  } catch {
    return undefined;
  }
}
