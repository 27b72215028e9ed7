// The lines of a Dockerfile as the engine's parser joins them: byte order mark, directives, comments, continuation. What the
// parsers of the engines served read in two ways is refused with its line. See buildkit, frontend/dockerfile/parser/parser.go
// in the versions of Docker 20.10 and later.
import { GatewayError } from '../../errors.ts';
import { trimEnd, trimStart, withoutEnd } from './words.ts';

/** One instruction, continuation lines joined, without white space around it. */
export interface Line {
  /** Line of the file it begins on, from 1. */
  readonly number: number;
  readonly text: string;
}

export interface Lines {
  /** What escapes a character and continues a line. */
  readonly escaping: '\\' | '`';
  readonly lines: readonly Line[];
}

/** Longest line a parser of the engine's takes, in bytes. */
const MAX_LINE_BYTES = 65_535;
/** Most instructions of a file. */
const MAX_LINES = 10_000;

/** @throws {GatewayError} `archive-unreadable` always: the refusal of a Dockerfile, with the line */
export function refuseLine(line: number, why: string): never {
  throw new GatewayError('archive-unreadable', `the Dockerfile cannot be judged: line ${line}: ${why}`);
}

/** @throws {GatewayError} `archive-unreadable` */
export function readLines(content: Uint8Array): Lines {
  let file: string;
  try {
    file = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    return refuseLine(firstBrokenLine(content), 'it is not UTF-8');
  }
  const physical = (file.startsWith('\ufeff') ? file.slice(1) : file).split('\n');
  // What follows the last line end is no line.
  if (physical.at(-1) === '') physical.pop();
  const lines: Line[] = [];
  const directives = new Directives();
  const isContinued = (text: string): boolean => continuation(directives.escaping).test(text);
  let open: { number: number; text: string } | undefined;
  for (const [i, raw] of physical.entries()) {
    const number = i + 1;
    // Go's scanner ends there: with an error, or in older engines with the lines before.
    if (raw.length > MAX_LINE_BYTES / 4 && lineBytes(raw, i, file) > MAX_LINE_BYTES)
      refuseLine(number, `it is longer than ${MAX_LINE_BYTES} bytes, the most a line of a Dockerfile may have`);
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    refuseOddCharacters(line, number);
    const trimmed = trimStart(line);
    directives.read(open === undefined ? trimmed : line, number);
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const begun = open ?? { number, text: '' };
    const piece = open === undefined ? trimmed : line;
    const isOpen = isContinued(piece);
    begun.text += isOpen
      ? withoutEnd(piece, (character) => character === ' ' || character === '\t').slice(0, -1)
      : piece;
    open = isOpen ? begun : undefined;
    if (!isOpen) add(begun);
  }
  if (open !== undefined) add(open);
  return { escaping: directives.escaping, lines };

  function add({ number, text }: { number: number; text: string }): void {
    // An escape at the very beginning of a file joins nothing with nothing.
    if (trimStart(text) === '') return;
    if (lines.length >= MAX_LINES) refuseLine(number, `it has more than ${MAX_LINES} instructions`);
    lines.push({ number, text: trimEnd(trimStart(text)) });
  }
}

/** A byte order mark counts as well. */
const lineBytes = (raw: string, i: number, file: string): number =>
  Buffer.byteLength(raw) + (i === 0 && file.startsWith('\ufeff') ? 3 : 0);

const isBlank = (character: string): boolean => '\t\n\f\r '.includes(character);

/** Name and value of `# name = value`; the name is empty for another line. */
function directiveOf(line: string): readonly [name: string, value: string] {
  const equals = line.indexOf('=');
  if (!line.startsWith('#') || equals < 0 || equals === line.length - 1) return ['', ''];
  const name = withoutEnd(line.slice(1, equals).replace(/^[\t\n\f\r ]+/, ''), isBlank);
  if (!/^[a-zA-Z][a-zA-Z0-9]*$/.test(name)) return ['', ''];
  return [name.toLowerCase(), withoutEnd(line.slice(equals + 1).replace(/^[\t\n\f\r ]+/, ''), isBlank)];
}

/** The directives at the head of a file. `syntax` and `check` mean nothing to the classic builder. */
class Directives {
  escaping: '\\' | '`' = '\\';
  readonly #seen = new Set<string>();
  #isOver = false;

  read(line: string, number: number): void {
    if (this.#isOver) return;
    const [name, value] = directiveOf(line);
    if (name !== 'escape' && name !== 'syntax' && name !== 'check') {
      this.#isOver = true;
      return;
    }
    if (this.#seen.has(name)) refuseLine(number, `the directive ${name} stands there twice`);
    if (name === 'escape') {
      // Engines before 27 know no check, and read a comment from there on.
      if (this.#seen.has('check')) refuseLine(number, 'the directive escape stands behind check; write it before');
      if (value !== '\\' && value !== '`') refuseLine(number, 'its escape directive is neither \\ nor `');
      this.escaping = value;
    }
    this.#seen.add(name);
  }
}

/** An escape that is the last but for blanks continues a line, unless another one stands before it. */
const continuation = (escaping: '\\' | '`'): RegExp =>
  escaping === '\\' ? /(?:[^\\]\\|^\\)[ \t]*$/ : /(?:[^`]`|^`)[ \t]*$/;

/** Characters that end a line, or separate words, for one reader and not for another. */
function refuseOddCharacters(line: string, number: number): void {
  const odd = /[\0\v\f\r]/.exec(line)?.[0];
  if (odd === undefined) return;
  const names: Readonly<Record<string, string>> = {
    '\0': 'a NUL character',
    '\v': 'a vertical tab',
    '\f': 'a form feed',
    '\r': 'a carriage return in its middle',
  };
  refuseLine(number, `it has ${names[odd]}`);
}

function firstBrokenLine(content: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 1;
  for (let from = 0; from < content.length; number++) {
    const end = content.indexOf(0x0a, from);
    const line = content.subarray(from, end < 0 ? content.length : end);
    try {
      decoder.decode(line);
    } catch {
      return number;
    }
    if (end < 0) break;
    from = end + 1;
  }
  return number;
}

/**
 * One line of instructions as it is sent. It holds no line end, and does not end in what would join the next one to it; one that
 * is longer than an engine's parser takes is broken where nothing changes by it.
 *
 * @throws {GatewayError} `archive-unreadable`
 */
export function renderLine(text: string, escaping: '\\' | '`', number: number): string {
  if (text.includes('\n') || trimEnd(trimStart(text)) !== text || text === '' || text.startsWith('#'))
    refuseLine(number, 'it cannot be written in one line');
  if (continuation(escaping).test(text)) refuseLine(number, `it ends in ${escaping}, which continues a line`);
  const limit = MAX_LINE_BYTES / 4;
  if (text.length < limit) return text;
  const pieces: string[] = [];
  let from = 0;
  for (let at = Math.floor(limit) - 1; at < text.length; at++) {
    const before = text.charAt(at - 1);
    // Not behind an escape or a half of a character, and not before what would make the next line empty or a comment.
    const isSound =
      before !== escaping && /[!-~]/.test(before) && /[!-"$-~]/.test(text.charAt(at)) && text.charAt(at) !== escaping;
    if (!isSound) continue;
    pieces.push(text.slice(from, at));
    from = at;
    at += Math.floor(limit) - 1;
  }
  pieces.push(text.slice(from));
  if (pieces.some((piece) => Buffer.byteLength(piece) >= MAX_LINE_BYTES))
    refuseLine(number, `it is longer than ${MAX_LINE_BYTES} bytes`);
  return pieces.join(`${escaping}\n`);
}
