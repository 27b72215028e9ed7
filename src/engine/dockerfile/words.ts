// Words of a Dockerfile as the engine's parser splits them, and the values of variables in them. Exotic substitutions, which
// engines before 25 do not know, are refused. See buildkit, frontend/dockerfile/parser/line_parsers.go and shell/lex.go.

/** White space to Go's unicode package; JavaScript's has no U+0085 and has U+FEFF. */
const SPACE = '\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const LEADING = new RegExp(`^[${SPACE}]+`);
const ONE_SPACE = new RegExp(`^[${SPACE}]$`);

export const trimStart = (text: string): string => text.replace(LEADING, '');
export const isSpace = (character: string): boolean => ONE_SPACE.test(character);
export const trimEnd = (text: string): string => withoutEnd(text, isSpace);

/** A text without the characters at its end that are blank. A pattern would try each run of blanks from each of its characters. */
export function withoutEnd(text: string, isBlank: (character: string) => boolean): string {
  let end = text.length;
  while (end > 0 && isBlank(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** Parts of a text at runs of blanks, as the parser's own pattern has them. */
export const splitBlanks = (text: string): string[] => text.split(/[\t\v\f\r ]+/);

/**
 * Words at white space, quotes and escapes kept: ENV, LABEL and ARG are read so.
 *
 * @param escaping the file's escape character
 */
export function quotedWords(text: string, escaping: string): string[] {
  const words: string[] = [];
  let word = '';
  let isWord = false;
  let quote = '';
  let mayBeEmpty = false;
  const end = () => {
    if (mayBeEmpty || word !== '') words.push(word);
    word = '';
    isWord = false;
    mayBeEmpty = false;
  };
  const characters = [...text];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] as string;
    const isLast = at === characters.length - 1;
    if (!isWord) {
      if (isSpace(character)) continue;
      isWord = true;
    }
    if (quote === '') {
      if (isSpace(character)) {
        end();
        continue;
      }
      if (character === "'" || character === '"') {
        quote = character;
        mayBeEmpty = true;
      } else if (character === escaping) {
        // At the very end it stands for nothing.
        if (!isLast) word += character + characters[++at];
        continue;
      }
      word += character;
      continue;
    }
    if (character === quote) quote = '';
    else if (character === escaping && quote === '"') {
      if (isLast) quote = '';
      else word += character + characters[++at];
      continue;
    }
    word += character;
  }
  if (isWord) end();
  return words;
}

export class UnreadWord extends Error {}

/** Longest word once its variables are filled in, in characters. */
const MAX_WORD = 65_536;
/** Most substitutions inside each other. */
const MAX_NESTED = 50;

/**
 * What a word is once quotes, escapes and variables are done with.
 *
 * @throws {UnreadWord} for a text that is no word, or a substitution that only some engines know
 */
export function expand(word: string, variables: ReadonlyMap<string, string>, escaping: string): string {
  const reader = new WordReader([...word], variables, escaping);
  return reader.until(undefined);
}

class WordReader {
  readonly #text: readonly string[];
  readonly #variables: ReadonlyMap<string, string>;
  readonly #escaping: string;
  #at = 0;
  #depth = 0;

  constructor(text: readonly string[], variables: ReadonlyMap<string, string>, escaping: string) {
    this.#text = text;
    this.#variables = variables;
    this.#escaping = escaping;
  }

  until(stop: string | undefined): string {
    let out = '';
    for (;;) {
      if (out.length > MAX_WORD) throw tooLong();
      const character = this.#text[this.#at];
      if (character === undefined) {
        if (stop !== undefined) throw new UnreadWord(`a ${stop} is missing`);
        return out;
      }
      this.#at++;
      if (character === stop) return out;
      if (character === "'") out += this.#single();
      else if (character === '"') out += this.#double();
      else if (character === '$') out += this.#dollar();
      else if (character === this.#escaping) out += this.#text[this.#at++] ?? '';
      else out += character;
    }
  }

  #single(): string {
    const end = this.#text.indexOf("'", this.#at);
    if (end < 0) throw new UnreadWord("a ' is missing");
    const inner = this.#text.slice(this.#at, end).join('');
    this.#at = end + 1;
    return inner;
  }

  #double(): string {
    let out = '';
    for (;;) {
      if (out.length > MAX_WORD) throw tooLong();
      const character = this.#text[this.#at++];
      if (character === undefined) throw new UnreadWord('a " is missing');
      if (character === '"') return out;
      if (character === '$') out += this.#dollar();
      else if (character === this.#escaping) {
        const next = this.#text[this.#at];
        if (next === undefined) continue;
        if (next === '"' || next === '$' || next === this.#escaping) {
          this.#at++;
          out += next;
        } else out += character;
      } else out += character;
    }
  }

  #dollar(): string {
    if (this.#text[this.#at] !== '{') {
      const name = this.#name();
      return name === '' ? '$' : (this.#variables.get(name) ?? '');
    }
    this.#at++;
    const name = this.#name();
    const value = this.#variables.get(name);
    let modifier = this.#text[this.#at++];
    if (name === '' || modifier === undefined) throw new UnreadWord('a substitution is not read');
    if (modifier === '}') return value ?? '';
    // Engines before 25 know these with a colon alone, and end the build.
    const isColon = modifier === ':';
    if (isColon) modifier = this.#text[this.#at++];
    if (modifier === undefined || !'+-?'.includes(modifier))
      throw new UnreadWord(`the substitution \${${name}${isColon ? ':' : ''}${modifier ?? ''}...} is not read`);
    if (++this.#depth > MAX_NESTED) throw new UnreadWord(`more than ${MAX_NESTED} substitutions are inside each other`);
    const word = this.until('}');
    this.#depth--;
    const isMissing = value === undefined || (isColon && value === '');
    if (modifier === '-') return isMissing ? word : value;
    if (modifier === '+') return isMissing ? '' : word;
    if (isMissing) throw new UnreadWord(`${name} has no value`);
    return value;
  }

  /** Digits, or one special character, or a name of letters, digits and underscores. */
  #name(): string {
    const from = this.#at;
    const first = this.#text[from];
    if (first === undefined) return '';
    if (!isAscii(first)) throw new UnreadWord('a variable has a name that is not read');
    if (/[0-9]/.test(first)) return this.#while(/^[0-9]$/);
    if (/[@*#?!$-]/.test(first)) {
      this.#at++;
      return first;
    }
    return this.#while(/^[A-Za-z0-9_]$/);
  }

  #while(pattern: RegExp): string {
    const from = this.#at;
    for (let next = this.#text[this.#at]; next !== undefined; next = this.#text[this.#at]) {
      // Letters and digits of other scripts belong to a name in Go.
      if (!isAscii(next) && /[\p{L}\p{N}]/u.test(next)) throw new UnreadWord('a variable has a name that is not read');
      if (!pattern.test(next)) break;
      this.#at++;
    }
    return this.#text.slice(from, this.#at).join('');
  }
}

const tooLong = (): UnreadWord =>
  new UnreadWord(`a word is longer than ${MAX_WORD} characters once its variables are filled in`);

const isAscii = (character: string): boolean => character.length === 1 && character.charCodeAt(0) < 0x80;
