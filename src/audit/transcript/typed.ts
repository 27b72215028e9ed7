// What was typed into a terminal, as far as it showed it: the line on which the cursor stood when a line was sent. A shell's history and
// completion are seen that way, as typing alone would not tell; hidden input, such as a password, is not.
import { TerminalReader, type Token } from './terminal.ts';

/** Most lines that are listed, and their length in characters. */
const MAX_COMMANDS = 64;
const MAX_COMMAND = 200;
/** Longest line that is followed. */
const MAX_LINE = 4096;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const KEY = /\u001bO[A-Za-z]/g;

export class TypedLines {
  readonly #reader = new TerminalReader();
  readonly #keys = new TerminalReader();
  readonly #hide: (line: string) => string;
  readonly commands: string[] = [];
  more = false;
  #line: string[] = [];
  #column = 0;
  /** What stood on the line before anything was typed: the prompt. */
  #prompt = '';
  #isTyping = false;
  /** Lines that were sent and not yet shown as a whole. */
  #sent = 0;
  /** A program has the whole screen: an editor, a pager. */
  #isFull = false;
  /** The typed part of the present line, and how much of it was shown. */
  #typed = '';
  #shown = 0;

  constructor(hide: (line: string) => string) {
    this.#hide = hide;
  }

  /** Whether at least half of the last typed text was shown. */
  get isShown(): boolean {
    return this.#typed === '' || this.#shown * 2 >= this.#typed.length;
  }

  /** Every line that was sent has been shown. */
  get hasMovedOn(): boolean {
    return this.#sent === 0;
  }

  /**
   * A line has begun: nothing of it was typed yet.
   * @param isOver the one before came by itself, so that it would have been shown by now: the terminal did not go on, as at a prompt
   */
  nextLine(isOver: boolean): void {
    if (isOver && !this.isShown && this.#sent > 0) {
      this.#sent--;
      this.#isTyping = false;
    }
    this.#typed = '';
    this.#shown = 0;
  }

  input(text: string): void {
    // Keys that are no characters, such as arrows, send sequences, some of them in a form of keys alone.
    for (const token of this.#keys.read(text.replace(KEY, ''))) {
      if (token.kind === 'control' && (token.text === '\r' || token.text === '\n')) {
        this.#sent++;
        continue;
      }
      if (!this.#isTyping) {
        this.#isTyping = true;
        this.#prompt = Array.from(this.#line, (character) => character ?? ' ').join('');
      }
      if (token.kind === 'text') this.#typed = (this.#typed + token.text).slice(0, MAX_LINE);
    }
  }

  output(text: string): void {
    for (const token of this.#reader.read(text)) this.#apply(token);
  }

  #apply(token: Token): void {
    switch (token.kind) {
      case 'text':
        for (const character of token.text) {
          if (character === this.#typed[this.#shown]) this.#shown++;
          if (this.#column < MAX_LINE) this.#line[this.#column++] = character;
        }
        return;
      case 'control':
        if (token.text === '\r') this.#column = 0;
        else if (token.text === '\b') this.#column = Math.max(0, this.#column - 1);
        else if (token.text === '\n') this.#lineEnds();
        return;
      case 'csi':
        this.#sequence(token.params, token.final);
        return;
      default:
        return;
    }
  }

  #sequence(params: string, final: string): void {
    if (final === 'h' || final === 'l') {
      if (/^\?(?:47|1047|1049)$/.test(params)) this.#isFull = final === 'h';
      return;
    }
    const [given = ''] = params.split(';');
    const count = Math.min(MAX_LINE, Number(given) || 1);
    if (final === 'C') this.#move(this.#column + count);
    else if (final === 'D') this.#move(this.#column - count);
    else if (final === 'G') this.#move(count - 1);
    else if (final === 'P') this.#line.splice(this.#column, count);
    else if (final === '@') this.#line.splice(this.#column, 0, ...Array.from({ length: count }, () => ' '));
    else if (final === 'K' && (given === '' || given === '0'))
      this.#line.length = Math.min(this.#line.length, this.#column);
    else if (final === 'K' || final === 'J')
      this.#line = given === '' || given === '0' ? this.#line.slice(0, this.#column) : [];
  }

  #move(column: number): void {
    this.#column = Math.max(0, Math.min(MAX_LINE, column));
    while (this.#line.length < this.#column) this.#line.push(' ');
  }

  #lineEnds(): void {
    const line = Array.from(this.#line, (character) => character ?? ' ').join('');
    this.#line = [];
    this.#column = 0;
    if (this.#sent === 0) return;
    this.#sent--;
    const command = (line.startsWith(this.#prompt) ? line.slice(this.#prompt.length) : line).trim();
    const isTyped = this.#isTyping && this.isShown;
    if (this.#sent === 0) {
      this.#isTyping = false;
      this.#prompt = '';
    }
    if (this.#isFull || !isTyped || command === '') return;
    if (this.commands.length >= MAX_COMMANDS) this.more = true;
    else this.commands.push(this.#hide(command).slice(0, MAX_COMMAND));
  }
}
