// What can be wrong with a log, and which of it a difference between rows is. Pure.

/**
 * - `edited`: a row does not hold what was written, or not the link that was
 * - `deleted`, `inserted`, `reordered`: rows are missing, too many, or in another order
 * - `gap`: numbers are skipped, and no row is missing between
 * - `truncated`: rows at the end are missing that a checkpoint covers
 * - `rolled-back`: an earlier state of the log was put back, and perhaps written on
 * - `missing-outcome`: a call without an outcome, though a later start had closed all of them
 * - `clock-backwards`: times go back, and the gateway has not recorded that its clock was set
 * - `wrong-log`: it is another log than the checkpoint's or the key's
 * - `other-key`: it is signed with a key that was not given, and that no given key vouches for
 * - `unsigned`: far more rows without a checkpoint than the gateway leaves
 */
export type FaultKind =
  | 'edited'
  | 'deleted'
  | 'inserted'
  | 'reordered'
  | 'gap'
  | 'truncated'
  | 'rolled-back'
  | 'missing-outcome'
  | 'clock-backwards'
  | 'wrong-log'
  | 'other-key'
  | 'unsigned';

export interface Fault {
  readonly kind: FaultKind;
  /** First row that is not as it was; where rows are missing, the first of those. */
  readonly seq: number;
  /** Last row it may be, where that is not `seq`. */
  readonly through?: number;
  readonly message: string;
}

export interface AuditVerdict {
  readonly whole: boolean;
  /** Name of the log in its checkpoints. */
  readonly origin: string;
  /** First and last row that were looked at; `last` below `first` for none. */
  readonly first: number;
  readonly last: number;
  /** Last row a checkpoint that holds covers; 0 for none. */
  readonly signedThrough: number;
  /** Checkpoints that hold. */
  readonly checkpoints: number;
  /** Row up to which an earlier key signed, for which a believed one vouches: what was altered before the keys changed is seen with that key given. */
  readonly vouchedThrough?: number;
  /** Ids of such keys. */
  readonly vouchedKeys?: readonly string[];
  /** Row up to which the beginning was exported and removed. */
  readonly anchor?: number;
  /** Calls without an outcome so far. */
  readonly open: number;
  /** Ids of the keys that were believed, and how they were had. */
  readonly keys: readonly string[];
  /** First row first; empty for a whole log. */
  readonly faults: readonly Fault[];
}

/** What one row is compared by. */
export interface Link {
  readonly seq: number;
  readonly prev: Buffer;
  readonly hash: Buffer;
}

/**
 * Names the first difference between the rows that are there and those that were signed, by the hashes of their lines.
 *
 * @param before rows that are the same
 * @returns undefined where the lines are the same
 */
export function firstDifference(
  there: readonly string[],
  signed: readonly string[],
  before: number,
): Fault | undefined {
  const at = signed.findIndex((hash, i) => there[i] !== hash);
  if (at < 0) return undefined;
  const seq = before + at + 1;
  const [found, wanted] = [there[at], signed[at] as string];
  const foundLater = found === undefined ? -1 : signed.indexOf(found, at + 1);
  const wantedLater = there.indexOf(wanted, at + 1);
  if (foundLater >= 0 && wantedLater >= 0)
    return { kind: 'reordered', seq, message: `row ${seq} stands further behind, and another in its place` };
  if (foundLater >= 0 || found === undefined) {
    const through = foundLater >= 0 ? before + foundLater : before + signed.length;
    return {
      kind: 'deleted',
      seq,
      ...(through > seq ? { through } : {}),
      message: `${rowsText(seq, through)} missing`,
    };
  }
  if (wantedLater >= 0) {
    const through = before + wantedLater;
    return {
      kind: 'inserted',
      seq,
      ...(through > seq ? { through } : {}),
      message: `${rowsText(seq, through)} none that was signed`,
    };
  }
  return { kind: 'edited', seq, message: `row ${seq} does not hold what was signed` };
}

const rowsText = (from: number, to: number): string => (to > from ? `rows ${from} to ${to} are` : `row ${from} is`);

/**
 * Names the fault at a row by the links of the chain alone, where no signature tells more.
 *
 * @param expected number and link that should follow
 * @param row the first one that does not
 * @param isSound whether the row's hash is that of its number, its own link and its content; `withLink`: with the link expected
 * @param later rows behind it
 */
export function brokenLink(
  expected: { readonly seq: number; readonly prev: Buffer },
  row: Link,
  isSound: { readonly withOwn: boolean; readonly withLink: boolean },
  later: readonly Link[],
): Fault {
  const { seq, prev } = expected;
  const isLinked = row.prev.equals(prev);
  if (row.seq > seq) {
    const message = isLinked
      ? `numbers ${seq} to ${row.seq - 1} were left out, and no row is missing`
      : `${rowsText(seq, row.seq - 1)} missing`;
    return { kind: isLinked ? 'gap' : 'deleted', seq, ...(row.seq - 1 > seq ? { through: row.seq - 1 } : {}), message };
  }
  if (isLinked) {
    return later[0]?.prev.equals(prev) === true
      ? { kind: 'inserted', seq, message: `row ${seq} stands between two that follow each other` }
      : { kind: 'edited', seq, message: `the content of row ${seq} was changed` };
  }
  if (isSound.withLink) return { kind: 'edited', seq, message: `the link of row ${seq} was changed` };
  const successor = later.find((one) => one.prev.equals(prev));
  if (successor !== undefined) {
    return later.some((one) => one.hash.equals(row.prev))
      ? { kind: 'reordered', seq, message: `row ${seq} does not follow the row before it, which another row does` }
      : {
          kind: 'inserted',
          seq,
          ...(successor.seq - 1 > seq ? { through: successor.seq - 1 } : {}),
          message: `${rowsText(seq, successor.seq - 1)} between two that follow each other`,
        };
  }
  return isSound.withOwn || later[0]?.prev.equals(row.hash) === true
    ? {
        kind: 'deleted',
        seq,
        message: `row ${seq} does not follow the row before it: at least one between them is missing`,
      }
    : { kind: 'edited', seq, message: `row ${seq} does not follow the row before it` };
}
