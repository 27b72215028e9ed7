// What is to be reached, and what was: the table at the end of `npm run bench`. Ratios are the median of the ratios of each round.
export type Comparison = 'at least' | 'at most';

interface Row {
  readonly what: string;
  readonly goal: string;
  readonly got: string;
  readonly isReached: boolean;
}

const rows: Row[] = [];

/** Notes one row. @param unit behind the figures, ` x` for ratios */
export function goal(what: string, comparison: Comparison, limit: number, got: number, unit = ' x'): void {
  const digits = unit === ' x' ? 2 : 0;
  rows.push({
    what,
    goal: `${comparison === 'at least' ? '>=' : '<='} ${limit}${unit}`,
    got: Number.isFinite(got) ? `${got.toFixed(digits)}${unit}` : 'not measured',
    isReached: comparison === 'at least' ? got >= limit : got <= limit,
  });
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** The median of one row's figures beside another's of the same round. */
export const ratio = (one: readonly number[], other: readonly number[]): number =>
  median(one.map((value, i) => value / (other[i] ?? Number.NaN)).filter(Number.isFinite));

export function printGoals(): void {
  console.log('\nto be reached                                                        goal          measured');
  for (const { what, goal: wanted, got, isReached } of rows)
    console.log(`  ${what.padEnd(66)} ${wanted.padEnd(13)} ${got.padEnd(13)} ${isReached ? 'reached' : 'MISSED'}`);
}
