// Whether two JSON values are the same: keys in any order, numbers by value.
import type { Json } from './types.ts';

/** @param left and right as decoded, or as JSON.parse gives them; nested no deeper than a decoded body may be */
export function isEqualJson(left: Json | undefined, right: Json | undefined): boolean {
  if (left === right) return true;
  if (typeof left === 'bigint' || typeof right === 'bigint') {
    return typeof left !== 'object' && typeof right !== 'object' && String(left) === String(right);
  }
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false;
    return left.every((item: Json, i) => isEqualJson(item, right[i] as Json));
  }
  const [one, other] = [left as { [key: string]: Json }, right as { [key: string]: Json }];
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && isEqualJson(one[key], other[key]))
  );
}
