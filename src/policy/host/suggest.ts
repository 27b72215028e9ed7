// Finds the word that was probably meant.

/** Number of single-character edits between two short words. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** ` (did you mean x?)`, or nothing when no known word is near. */
export function suggestion(word: string, known: readonly string[]): string {
  if (word.length > 40) return '';
  let best: string | undefined;
  let least = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const count = edits(word.toLowerCase(), candidate.toLowerCase());
    if (count < least) [best, least] = [candidate, count];
  }
  return best === undefined ? '' : ` (did you mean ${best}?)`;
}
