// Reads JSON of the engine's so that writing it again gives every number as it came: nanoseconds and other 64-bit integers lose
// digits as a double, and `1.0` its point. ECMAScript: JSON.parse source text access. For answers; bodies of callers are read by
// json.ts.

interface RawJson {
  rawJSON(text: string): object;
  isRawJSON(value: unknown): boolean;
}
/** Both runtimes have it; the compiler's library does not know it yet. */
const Raw = JSON as unknown as RawJson;

/**
 * Whether there may be a number a double does not write as it came: with a point or an exponent, of 16 digits or more, or -0.
 * What looks like one within a text costs time alone.
 */
const MAY_BE_INEXACT = /[:[,]\s*(?:-0|-?(?:\d+[.eE]|\d{16}))|^\s*-?\d/;

const keeping = (_key: string, value: unknown, context?: { source?: string }): unknown => {
  if (typeof value !== 'number' || context?.source === undefined || String(value) === context.source) return value;
  return Raw.rawJSON(context.source);
};

/**
 * As JSON.parse, but for numbers that a double does not hold as they were written: those are objects that `isExactNumber` knows
 * and JSON.stringify writes back.
 *
 * @throws {SyntaxError} as JSON.parse
 */
export const parseExact = (text: string): unknown =>
  MAY_BE_INEXACT.test(text) ? JSON.parse(text, keeping as (key: string, value: unknown) => unknown) : JSON.parse(text);

/** Whether a value is a number that was kept as it was written. */
export const isExactNumber = (value: unknown): boolean => Raw.isRawJSON(value);

/** A number however it was kept; undefined for other values. */
export const numberIn = (value: unknown): number | undefined =>
  typeof value === 'number' ? value : isExactNumber(value) ? Number(JSON.stringify(value)) : undefined;
