// One instruction of a Dockerfile: its name, its flags, and the rest of its line as it stands. What is written again from these
// parts is read as the same instruction by every engine served. See buildkit, frontend/dockerfile/parser/split_command.go.
import { type Line, refuseLine, renderLine } from './lines.ts';
import { isSpace, splitBlanks, trimEnd, trimStart } from './words.ts';

export interface Instruction {
  /** In upper case. */
  readonly name: string;
  /** The name as it stands: an image shows its triggers so. */
  readonly written: string;
  readonly flags: readonly Flag[];
  /** The rest of the line, without white space around it. */
  readonly rest: string;
  readonly line: number;
}

export interface Flag {
  /** Without the dashes. */
  readonly name: string;
  /** undefined for a flag without `=`. */
  readonly value: string | undefined;
}

/** Most flags of an instruction, and most words of one that are looked at. */
const MAX_FLAGS = 200;
export const MAX_WORDS = 2000;

/** Instructions and the flags each takes. A flag of RUN needs BuildKit, so the classic builder refuses it. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  ADD: ['chown', 'chmod', 'link', 'keep-git-dir', 'checksum', 'unpack', 'exclude'],
  ARG: [],
  CMD: [],
  COPY: ['from', 'chown', 'chmod', 'link', 'exclude'],
  ENTRYPOINT: [],
  ENV: [],
  EXPOSE: [],
  FROM: ['platform'],
  HEALTHCHECK: ['interval', 'timeout', 'start-period', 'start-interval', 'retries'],
  LABEL: [],
  MAINTAINER: [],
  ONBUILD: [],
  RUN: [],
  SHELL: [],
  STOPSIGNAL: [],
  USER: [],
  VOLUME: [],
  WORKDIR: [],
};

/** @throws {GatewayError} `archive-unreadable` */
export function readInstruction({ number, text }: Line, escaping: string): Instruction {
  const blank = /[\t ]+/.exec(text);
  const written = blank === null ? text : text.slice(0, blank.index);
  if (!/^[A-Za-z]+$/.test(written)) refuseLine(number, `${JSON.stringify(written.slice(0, 40))} is no instruction`);
  const name = written.toUpperCase();
  const known = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
  if (known === undefined) refuseLine(number, `${name.slice(0, 40)} is no instruction the classic builder knows`);
  const behind = blank === null ? '' : text.slice(blank.index + blank[0].length);
  const { flags, rest } = readFlags(behind, escaping, number);
  for (const flag of flags) {
    if (known.includes(flag.name)) continue;
    if (name === 'RUN')
      refuseLine(number, `RUN --${flag.name} needs BuildKit, and the classic builder has no such flag`);
    refuseLine(number, `${name} has no flag --${flag.name.slice(0, 40)}`);
  }
  if (rest.startsWith('--')) refuseLine(number, `${JSON.stringify(rest.slice(0, 40))} stands where a flag could`);
  const instruction: Instruction = { name, written, flags, rest, line: number };
  refuseHereDocument(instruction);
  return instruction;
}

/** The words in front that begin with two dashes. */
function readFlags(text: string, escaping: string, line: number): { flags: Flag[]; rest: string } {
  const flags: Flag[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && /[\t ]/.test(text.charAt(at))) at++;
    if (!text.startsWith('--', at)) return { flags, rest: trimEnd(trimStart(text.slice(at))) };
    let word = '';
    let quote = '';
    for (; at < text.length; at++) {
      const character = text.charAt(at);
      // The parser reads flags byte by byte, and some bytes of other letters are white space to it.
      if (character >= '\x7f' || (character < ' ' && character !== '\t'))
        refuseLine(line, 'a flag has a character that is not read');
      if (character === escaping || character === '\\')
        refuseLine(line, `a flag has a ${character}, which is not read`);
      if (quote !== '') {
        if (character === quote) quote = '';
        else word += character;
      } else if (isSpace(character)) break;
      else if (character === "'" || character === '"') quote = character;
      else word += character;
    }
    if (quote !== '' || /[\s'"`]/.test(word)) refuseLine(line, `the flag ${word.slice(0, 80)} is not read`);
    const [, name = '', value] = /^--([a-z][a-z-]*)(?:=(.*))?$/.exec(word) ?? [];
    if (name === '') refuseLine(line, `${JSON.stringify(word.slice(0, 40))} is no flag`);
    if (flags.some((other) => other.name === name) && name !== 'exclude')
      refuseLine(line, `--${name} stands there twice`);
    if (flags.length >= MAX_FLAGS) refuseLine(line, `it has more than ${MAX_FLAGS} flags`);
    flags.push({ name, value });
  }
}

/** The instructions that may carry one; older engines read its lines as instructions, newer ones swallow them. */
const WITH_HERE_DOCUMENT = /^(?:ADD|COPY|RUN|ONBUILD)$/;

function refuseHereDocument({ name, rest, line }: Instruction): void {
  if (!WITH_HERE_DOCUMENT.test(name) || !rest.includes('<<') || jsonForm(rest) !== undefined) return;
  let quote = '';
  let isUnsure = false;
  /** Last character that is no digit: digits before a here-document belong to it. */
  let before = '';
  for (let at = 0; at < rest.length; at++) {
    const character = rest.charAt(at);
    const begins =
      rest.startsWith('<<', at) && rest.charAt(at + 2) !== '<' && (at === 0 || rest.charAt(at - 1) !== '<');
    // Not inside a word, or inside quotes that are surely such.
    if (begins && (before === '' || isSpace(before)) && (isUnsure || quote === ''))
      refuseLine(
        line,
        'it has a here-document, which the classic builder does not know; write RUN with && or COPY a file',
      );
    if (quote === '') quote = character === "'" || character === '"' ? character : '';
    else if (character === quote) quote = '';
    if (/[$\\`]/.test(character)) isUnsure = true;
    if (!/[0-9]/.test(character)) before = character;
  }
}

/** An instruction as one line. */
export function renderInstruction({ written, flags, rest, line }: Instruction, escaping: '\\' | '`'): string {
  const words = [
    written,
    ...flags.map(({ name: flag, value }) => (value === undefined ? `--${flag}` : `--${flag}=${value}`)),
  ];
  if (rest !== '') words.push(rest);
  return renderLine(words.join(' '), escaping, line);
}

/** A list in JSON, where the rest of an instruction is one. */
export function jsonForm(rest: string): readonly string[] | undefined {
  if (!rest.startsWith('[')) return undefined;
  try {
    const list: unknown = JSON.parse(rest);
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? (list as string[]) : undefined;
  } catch {
    return undefined;
  }
}

/** Sources and destination of a COPY or ADD. @throws {GatewayError} `archive-unreadable` */
export function copiedPaths({ name, rest, line }: Instruction): {
  readonly words: readonly string[];
  readonly isJson: boolean;
} {
  const list = jsonForm(rest);
  const words = list ?? splitBlanks(rest);
  if (words.length < 2) refuseLine(line, `${name} needs a source and a destination`);
  if (words.length > MAX_WORDS) refuseLine(line, `${name} has more than ${MAX_WORDS} words`);
  return { words, isJson: list !== undefined };
}
