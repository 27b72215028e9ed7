// Applies a plugin's changes (a subset of RFC 6902 JSON Patch) to the body and query of a call.
// The result is plain data that is decoded and judged again: nothing here decides.
import type { Json } from '../engine/types.ts';
import type { Admissible } from './chain.ts';
import type { Change } from './plugin.ts';

/** Most changes one plugin may make to one call. */
const MAX_CHANGES = 256;

type Tree = { [key: string]: unknown };

/**
 * @throws {Error} when a path does not exist, is not below `/body` or `/query`, or a value is not JSON
 * @see https://www.rfc-editor.org/rfc/rfc6902 add, replace and remove; RFC 6901 pointers
 */
export function applyChanges(from: Admissible, changes: readonly Change[]): Admissible {
  if (changes.length > MAX_CHANGES) throw new Error(`it made more than ${MAX_CHANGES} changes`);
  const root: Tree = { body: thaw(from.body), query: thaw(from.query as unknown as Json) };
  for (const change of changes) applyOne(root, change);
  const query: Record<string, readonly string[]> = Object.create(null);
  for (const [name, values] of Object.entries((root.query ?? {}) as Tree)) {
    const list = Array.isArray(values) ? values : [values];
    if (!list.every((v) => typeof v === 'string'))
      throw new Error(`its change leaves /query/${name} without a text value`);
    query[name] = list as string[];
  }
  return { body: root.body as Json | undefined, query };
}

/** What stands at a change's place before it is made; undefined where nothing does. */
export function valueAt(from: Admissible, path: string): Json | undefined {
  if (typeof path !== 'string') return undefined;
  let at: unknown = from;
  for (const step of stepsOf(path).slice(1)) at = child(at, step);
  return at as Json | undefined;
}

const stepsOf = (path: string): string[] =>
  path.split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));

function applyOne(root: Tree, change: Change): void {
  if (typeof change !== 'object' || change === null || typeof change.path !== 'string')
    throw new Error('a change has no path');
  const steps = stepsOf(change.path);
  if (steps[0] !== '' || (steps[1] !== 'body' && steps[1] !== 'query') || steps.length < 3) {
    throw new Error(`its change of ${change.path} is not below /body or /query`);
  }
  let at: unknown = root;
  for (const [i, step] of steps.slice(1, -1).entries()) {
    let next = child(at, step);
    if ((next === undefined || next === null) && change.op === 'add' && !Array.isArray(at)) {
      // The engine's schema decides afterwards whether there is such a parent.
      next = steps[i + 2] === '-' ? [] : Object.create(null);
      (at as Tree)[step] = next;
    }
    if (typeof next !== 'object' || next === null) throw new Error(`its change of ${change.path} has no parent there`);
    at = next;
  }
  const last = steps.at(-1) as string;
  const value = change.op === 'remove' ? undefined : thaw(checkJson(change.value));
  if (Array.isArray(at)) {
    const index = last === '-' && change.op === 'add' ? at.length : Number(last);
    const limit = change.op === 'add' ? at.length : at.length - 1;
    if (!Number.isInteger(index) || index < 0 || index > limit || (last !== '-' && String(index) !== last)) {
      throw new Error(`its change of ${change.path} has no such element`);
    }
    if (change.op === 'add') at.splice(index, 0, value);
    else if (change.op === 'replace') at[index] = value;
    else if (change.op === 'remove') at.splice(index, 1);
    else throw new Error(`a change has the unknown op ${String(change.op)}`);
    return;
  }
  const object = at as Tree;
  if (change.op !== 'add' && !Object.hasOwn(object, last))
    throw new Error(`its change of ${change.path} has no such member`);
  if (change.op === 'add' || change.op === 'replace') object[last] = value;
  else if (change.op === 'remove') delete object[last];
  else throw new Error(`a change has the unknown op ${String(change.op)}`);
}

function child(at: unknown, step: string): unknown {
  if (Array.isArray(at)) return /^(0|[1-9]\d*)$/.test(step) ? at[Number(step)] : undefined;
  return typeof at === 'object' && at !== null && Object.hasOwn(at, step) ? (at as Tree)[step] : undefined;
}

function checkJson(value: unknown): Json {
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    switch (typeof next) {
      case 'string':
      case 'boolean':
      case 'bigint':
        break;
      case 'number':
        if (!Number.isFinite(next)) throw new Error('a change has a number that JSON cannot hold');
        break;
      case 'object':
        if (next !== null) open.push(...Object.values(next));
        break;
      default:
        throw new Error('a change has a value that is not JSON');
    }
  }
  return value as Json;
}

/** A copy that may be changed, without prototypes. */
function thaw(value: Json | undefined): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((v) => thaw(v as Json));
  const copy: Tree = Object.create(null);
  for (const [key, v] of Object.entries(value)) copy[key] = thaw(v as Json | undefined);
  return copy;
}
