// Waiting for a condition rather than for a time.

/**
 * Asks again and again until the answer is truthy, and returns it.
 *
 * @throws when it is not within `withinMs`; default 30 s, for loaded machines
 */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  withinMs = 30_000,
): Promise<Exclude<T, undefined | null | false | 0 | ''>> {
  const end = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer as Exclude<T, undefined | null | false | 0 | ''>;
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
