// Names and values of LABEL and ENV, and names of ARG, as the engine's parser pairs them.
import { type Instruction, MAX_WORDS } from './instruction.ts';
import { refuseLine } from './lines.ts';
import { expand, quotedWords, splitBlanks, UnreadWord } from './words.ts';

export interface Pair {
  /** As written, quotes and variables included. */
  readonly key: string;
  readonly value: string;
  /** `KEY value` in place of `KEY=value`. */
  readonly isOld: boolean;
}

/** @throws {GatewayError} `archive-unreadable` */
export function pairsOf({ name, rest, line }: Instruction, escaping: string): readonly Pair[] {
  const words = quotedWords(rest, escaping);
  if (words.length === 0) refuseLine(line, `${name} needs a name and a value`);
  if (!(words[0] as string).includes('=')) {
    const [key = '', ...more] = splitBlanks(rest);
    if (more.length === 0) refuseLine(line, `${name} needs a name and a value`);
    return [{ key, value: rest.slice(key.length).replace(/^[\t ]+/, ''), isOld: true }];
  }
  if (words.length > MAX_WORDS) refuseLine(line, `${name} has more than ${MAX_WORDS} words`);
  return words.map((word) => {
    const equals = word.indexOf('=');
    if (equals < 1) refuseLine(line, `${word.slice(0, 80)} of ${name} is no name=value`);
    return { key: word.slice(0, equals), value: word.slice(equals + 1), isOld: false };
  });
}

/** A word with its variables filled in. @throws {GatewayError} `archive-unreadable` */
export function expanded(word: string, variables: ReadonlyMap<string, string>, escaping: string, line: number): string {
  try {
    return expand(word, variables, escaping);
  } catch (error) {
    if (error instanceof UnreadWord) refuseLine(line, error.message);
    throw error;
  }
}

/** What may be written as the name of a label without quotes. */
const PLAIN_NAME = /^[\w.\-/:@+]+$/;

/**
 * A LABEL with its names written out.
 *
 * @param variables undefined where they are not known: names with variables are refused then
 * @throws {GatewayError} `archive-unreadable`
 */
export function plainLabels(
  instruction: Instruction,
  variables: ReadonlyMap<string, string> | undefined,
  escaping: string,
): { readonly names: readonly string[]; readonly bytes: number; readonly instruction: Instruction } {
  const { line } = instruction;
  let bytes = 0;
  const names: string[] = [];
  const rest: string[] = [];
  for (const { key, value, isOld } of pairsOf(instruction, escaping)) {
    if (variables === undefined && key.includes('$'))
      refuseLine(line, `the name of a label, ${key.slice(0, 80)}, has a variable; write it out`);
    const name = expanded(key, variables ?? NONE, escaping, line);
    if (!PLAIN_NAME.test(name)) refuseLine(line, `${JSON.stringify(name.slice(0, 80))} is no name of a label`);
    names.push(name);
    bytes += Buffer.byteLength(name) + valueBytes(value, variables ?? NONE, escaping, line);
    rest.push(isOld ? `${name} ${value}` : `${name}=${value}`);
  }
  return { names, bytes, instruction: { ...instruction, rest: rest.join(' ') } };
}

/** Bytes of a value once its variables are filled in, or more. @throws {GatewayError} where that cannot be known */
function valueBytes(value: string, variables: ReadonlyMap<string, string>, escaping: string, line: number): number {
  try {
    return Buffer.byteLength(expand(value, variables, escaping));
  } catch (error) {
    if (!(error instanceof UnreadWord)) throw error;
    if (/\$\{[^}]*\//.test(value))
      refuseLine(line, `the value ${value.slice(0, 80)} of a label is not read; write it out`);
    // What cuts a value, or takes another one, makes none longer than all there are.
    let longest = 0;
    for (const text of variables.values()) longest = Math.max(longest, Buffer.byteLength(text));
    return Buffer.byteLength(value) + (value.split('$').length - 1) * longest;
  }
}

const NONE: ReadonlyMap<string, string> = new Map();
