// Puts target, decoded body and the objects they name together into the value that is judged and then rendered.
import { canonicalNames } from './canonical-names.ts';
import { bodyKindOfTarget } from './decode.ts';
import { referencesOf } from './references.ts';
import type { EngineCall, Json, LeftOut, Target } from './types.ts';

const NOTHING: readonly LeftOut[] = Object.freeze([]);

/**
 * The judged call, frozen to the bottom: what is decided on is what is rendered.
 *
 * @param asked as `classify` gave it; its names take their canonical form
 * @param body as `decodeBody` gave it; it is frozen in place
 * @param leftOut what `decodeBody` left out of it, beside what the target tells already
 * @throws {GatewayError} as `referencesOf`
 */
export function toCall(asked: Target, body: Json | undefined, leftOut = NOTHING): EngineCall {
  const target = canonicalNames(asked);
  freezeJson(body);
  for (const values of Object.values(target.query)) Object.freeze(values);
  Object.freeze(target.query);
  Object.freeze(target.path);
  const all = leftOut.length === 0 ? target.leftOut : Object.freeze([...(target.leftOut ?? NOTHING), ...leftOut]);
  return Object.freeze({
    operation: target.operation,
    action: target.action,
    apiVersion: target.apiVersion,
    path: target.path,
    query: target.query,
    ...(target.credentials === true ? { credentials: true } : {}),
    body,
    opaque: bodyKindOfTarget(target) === 'opaque',
    resources: referencesOf(target, body),
    ...(all === undefined || all.length === 0 ? {} : { leftOut: all }),
  });
}

/** Freezes without recursion: a body may be nested as deep as its limits allow. */
function freezeJson(value: Json | undefined): void {
  const waiting: unknown[] = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next !== 'object' || next === null || Object.isFrozen(next)) continue;
    Object.freeze(next);
    if (Array.isArray(next)) {
      for (const item of next) if (typeof item === 'object' && item !== null) waiting.push(item);
    } else {
      for (const key in next) {
        const item = (next as Record<string, unknown>)[key];
        if (typeof item === 'object' && item !== null) waiting.push(item);
      }
    }
  }
}
