// How much text a call attaches to an object that every list of such objects shows: labels, and options of its driver.
import type { EngineCall, Json } from './types.ts';

/** Maps of texts the engine keeps as they come and shows wherever it shows the object. */
const SHOWN: ReadonlySet<string> = new Set(['Labels', 'DriverOpts', 'Options', 'Annotations']);
/** Query parameters that carry them: `docker build --label`, `docker commit --change "LABEL ..."`. */
const IN_QUERY = ['labels', 'changes'];

/** Bytes of labels and driver options in a call that makes or changes an object, names and values together. */
export function labelBytes({ operation, body, query }: Pick<EngineCall, 'operation' | 'body' | 'query'>): number {
  if (operation.class === 'read') return 0;
  let bytes = bytesIn(body);
  for (const name of IN_QUERY) for (const value of query[name] ?? []) bytes += Buffer.byteLength(value);
  return bytes;
}

function bytesIn(value: Json | undefined): number {
  if (typeof value !== 'object' || value === null) return 0;
  let bytes = 0;
  if (Array.isArray(value)) {
    for (const item of value as readonly Json[]) bytes += bytesIn(item);
    return bytes;
  }
  for (const [key, member] of Object.entries(value)) {
    if (!SHOWN.has(key)) bytes += bytesIn(member);
    else if (typeof member === 'object' && member !== null && !Array.isArray(member))
      bytes += mapBytes(member as object);
  }
  return bytes;
}

/** Bytes of a map's names and values. */
export function mapBytes(map: unknown): number {
  if (typeof map !== 'object' || map === null) return 0;
  let bytes = 0;
  for (const [key, value] of Object.entries(map)) {
    bytes += Buffer.byteLength(key) + (typeof value === 'string' ? Buffer.byteLength(value) : bytesIn(value as Json));
  }
  return bytes;
}
