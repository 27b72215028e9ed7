// What a plugin reads a request with: JSON of unknown form without exceptions, names against patterns, and the usual verdicts.
// Pure, so that the sandbox has it as well.
import type { Json, JsonObject } from '../engine/types.ts';
import type { Verdict } from './plugin.ts';

const NOTHING: JsonObject = Object.freeze({});

/** The value where it is an object, else an empty one. */
export const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : NOTHING;

/** The value where it is a list, else an empty one. */
export const listOf = (value: Json | undefined): readonly Json[] =>
  Array.isArray(value) ? (value as readonly Json[]) : [];

/** The value where it is a text, else an empty one. */
export const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

/** The value where it is a number, else 0, as the engine reads a number that is missing. */
export const numberOf = (value: Json | undefined): number =>
  typeof value === 'number' || typeof value === 'bigint' ? Number(value) : 0;

/** Whether a text is like a pattern: `*` stands for any text, everything else for itself. Linear in the length of both. */
export function isLike(pattern: string, text: string): boolean {
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === text;
  const first = parts[0] as string;
  const last = parts.at(-1) as string;
  if (!text.startsWith(first) || text.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.endsWith(last) && text.length - last.length >= at;
}

/** The verdict without an opinion. */
export const PASS: Verdict = Object.freeze({ kind: 'pass' });

/**
 * A denial.
 *
 * @param code kebab-case, stable
 * @param message one line: which field and value, what is allowed, what to do
 */
export const deny = (code: string, message: string): Verdict => ({ kind: 'deny', code, message });
