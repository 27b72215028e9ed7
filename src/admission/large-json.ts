// Writes a large request as JSON in slices: masking and writing a body of some MiB at once would
// keep the thread from all other calls.
import type { Json } from '../engine/types.ts';
import { isHiddenField, maskedItem, toJson } from './request.ts';

/** Longest slice, in ms. */
const SLICE_MS = 2;

/** Whether JSON of the value is longer than so many characters; costs no more than to find that out. */
export function isLongerThan(value: Json | undefined, limit: number): boolean {
  let left = limit;
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next === 'string') left -= next.length + 2;
    else if (Array.isArray(next)) {
      left -= next.length + 2;
      if (left < 0) return true;
      for (const one of next) open.push(one);
    } else if (typeof next === 'object' && next !== null) {
      for (const [key, inner] of Object.entries(next)) {
        if (inner === undefined) continue;
        left -= key.length + 4;
        open.push(inner);
        if (left < 0) return true;
      }
    } else left -= 4;
    if (left < 0) return true;
  }
  return false;
}

/** The body as JSON, masked or not; the thread is given back every few ms. */
export async function largeJson(body: Json, bodies: boolean): Promise<string> {
  const out: string[] = [];
  let sliceEnd = performance.now() + SLICE_MS;
  const breathe = async () => {
    await new Promise((resolve) => setImmediate(resolve));
    sliceEnd = performance.now() + SLICE_MS;
  };
  const write = async (given: Json, field: string, listed = ''): Promise<void> => {
    const value = bodies ? given : maskedItem(given, listed);
    if (!bodies && isHiddenField(field) && value !== null) {
      out.push('"***"');
      return;
    }
    if (typeof value !== 'object' || value === null) {
      out.push(toJson(value));
      return;
    }
    const isList = Array.isArray(value);
    let isFirst = true;
    out.push(isList ? '[' : '{');
    for (const [key, inner] of Object.entries(value) as [string, Json | undefined][]) {
      if (inner === undefined) continue;
      if (!isFirst) out.push(',');
      isFirst = false;
      if (!isList) out.push(JSON.stringify(key), ':');
      if (typeof inner !== 'object' || inner === null) {
        const shown = bodies
          ? inner
          : isList
            ? maskedItem(inner, field)
            : isHiddenField(key) && inner !== null
              ? '***'
              : inner;
        out.push(toJson(shown));
      } else await write(inner, isList ? '' : key, isList ? field : '');
      if (performance.now() > sliceEnd) await breathe();
    }
    out.push(isList ? ']' : '}');
  };
  await write(body, '');
  return out.join('');
}
