// Applies what `onResponse` wants to take out of an answer. A change may remove or mask, and nothing else: what is put in the place of
// a value has to be a part of it, so that no plugin can show a caller what the gateway would not have shown.
import { isExactNumber } from '../engine/exact-json.ts';
import type { Change } from './plugin.ts';

/** Most changes of one plugin to one element of an answer. */
const MAX_CHANGES = 1024;
/** Most values compared for one change: the plugin chooses what is compared. */
const MAX_STEPS = 200_000;
const MASKS = /\*\*\*|<redacted>/;

/** Stands for an element that was taken out as a whole. */
export const GONE = Symbol('gone');

type Tree = { [key: string]: unknown };

/**
 * Changes a value in place.
 *
 * @param value as `parseExact` or JSON.parse read it
 * @returns the value, another in its place, or GONE
 * @throws {Error} in words that follow the plugin's name, for a change that does more than take out
 */
export function narrowed(value: unknown, changes: readonly Change[]): unknown {
  if (changes.length > MAX_CHANGES) throw new Error(`it made more than ${MAX_CHANGES} changes to one answer`);
  const root: Tree = { body: value };
  for (const change of changes) {
    if (typeof change !== 'object' || change === null || typeof change.path !== 'string')
      throw new Error('a change has no path');
    if (!Object.hasOwn(root, 'body')) throw new Error('it changed what it had taken out');
    narrowOne(root, change);
  }
  return Object.hasOwn(root, 'body') ? root.body : GONE;
}

function narrowOne(root: Tree, { op, path, value }: Change): void {
  const steps = path.split('/').map((s) => s.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (steps[0] !== '' || steps[1] !== 'body') throw new Error(`its change of ${path} is not below /body`);
  if (op !== 'remove' && op !== 'replace')
    throw new Error(`its change of ${path} is ${String(op)}, and an answer may only lose (remove, replace)`);
  let at: unknown = root;
  for (const step of steps.slice(1, -1)) {
    at = member(at, step);
    if (typeof at !== 'object' || at === null || isExactNumber(at))
      throw new Error(`its change of ${path} has no parent there`);
  }
  const last = steps.at(-1) as string;
  const old = member(at, last);
  if (old === undefined) throw new Error(`its change of ${path} has no such member`);
  if (op === 'replace') {
    const budget = { steps: MAX_STEPS };
    if (!isPartOf(old, value, budget))
      throw new Error(`its change of ${path} puts in what did not stand there, and an answer may only lose`);
    (at as Tree)[last] = value;
  } else if (Array.isArray(at)) at.splice(Number(last), 1);
  else delete (at as Tree)[last];
}

function member(at: unknown, step: string): unknown {
  if (Array.isArray(at)) return /^(0|[1-9]\d*)$/.test(step) ? at[Number(step)] : undefined;
  return typeof at === 'object' && at !== null && Object.hasOwn(at, step) ? (at as Tree)[step] : undefined;
}

/** Whether the second value tells nothing that the first does not. */
function isPartOf(whole: unknown, part: unknown, budget: { steps: number }): boolean {
  if (--budget.steps < 0) throw new Error('its change is too large to be compared');
  if (part === null || part === '' || part === 0 || part === false) return true;
  if (typeof part === 'string') return typeof whole === 'string' && isPieces(whole, part);
  if (Array.isArray(part)) {
    if (part.length === 0) return true;
    if (!Array.isArray(whole)) return false;
    let at = 0;
    return part.every((one) => {
      while (at < whole.length) if (isPartOf(whole[at++], one, budget)) return true;
      return false;
    });
  }
  if (typeof part === 'object' && part !== undefined) {
    const entries = Object.entries(part as Tree);
    if (entries.length === 0) return true;
    if (typeof whole !== 'object' || whole === null || Array.isArray(whole) || isExactNumber(whole)) return false;
    return entries.every(([key, value]) => Object.hasOwn(whole, key) && isPartOf((whole as Tree)[key], value, budget));
  }
  return whole === part || (isExactNumber(whole) && Number(JSON.stringify(whole)) === part);
}

/** Pieces of the text in their order, with masks between them. */
function isPieces(whole: string, part: string): boolean {
  if (whole === part) return true;
  let at = 0;
  const pieces = part.split(MASKS);
  // Without a mask a text is a single piece: `FROM=` of `FROM=secret`.
  for (const piece of pieces) {
    const found = whole.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return true;
}
