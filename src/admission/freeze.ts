// Freezes plain data through and through. Iterative, so that deep bodies cannot exhaust the stack.

/** Freezes a tree of plain objects and arrays in place and returns it. */
export function freezeDeep<T>(value: T): T {
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next !== 'object' || next === null || Object.isFrozen(next)) continue;
    Object.freeze(next);
    for (const child of Object.values(next)) open.push(child);
  }
  return value;
}
