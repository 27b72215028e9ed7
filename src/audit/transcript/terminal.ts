// Reads what a program sends to a terminal: text, control characters and control sequences (ECMA-48), in pieces as they come.

export type Token =
  | { readonly kind: 'text'; readonly text: string }
  /** One character, such as a line feed. */
  | { readonly kind: 'control'; readonly text: string }
  /** `ESC [ params final`. */
  | { readonly kind: 'csi'; readonly text: string; readonly params: string; readonly final: string }
  /** `ESC` and the rest of its sequence. */
  | { readonly kind: 'escape'; readonly text: string }
  /** A string for the terminal itself: a title, a clipboard, a device. */
  | { readonly kind: 'string' };

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ESCAPE = /^\u001b(?:\[([0-?]*)([ -/]*)([@-~])|([ -/]+[0-~]?)|([0-Z\\^-~]))/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const STRING_END = /\u0007|\u001b\\|\u009c|[\u0018\u001a]/;
/** Longest control sequence, in characters: a longer one is read as plain characters. */
const MAX_SEQUENCE = 256;

export class TerminalReader {
  #rest = '';
  #isInString = false;

  read(piece: string): Token[] {
    const tokens: Token[] = [];
    let text = this.#rest + piece;
    this.#rest = '';
    while (text !== '') {
      if (this.#isInString) {
        const end = STRING_END.exec(text);
        if (end === null) {
          // Its end may be cut in two.
          if (text.endsWith('\u001b')) this.#rest = '\u001b';
          return tokens;
        }
        this.#isInString = false;
        tokens.push({ kind: 'string' });
        text = text.slice(end.index + end[0].length);
        continue;
      }
      CONTROL.lastIndex = 0;
      const at = CONTROL.exec(text)?.index ?? text.length;
      if (at > 0) {
        tokens.push({ kind: 'text', text: text.slice(0, at) });
        text = text.slice(at);
        continue;
      }
      const used = this.#control(text, tokens);
      if (used === 0) {
        this.#rest = text;
        return tokens;
      }
      text = text.slice(used);
    }
    return tokens;
  }

  /** @returns how many characters were read; 0 where more are needed */
  #control(text: string, tokens: Token[]): number {
    const [first = ''] = text;
    if ('\u0090\u0098\u009d\u009e\u009f'.includes(first)) {
      this.#isInString = true;
      return 1;
    }
    // The one-character form of ESC [ is written in one way.
    const shown = first === '\u009b' ? `\u001b[${text.slice(1, MAX_SEQUENCE)}` : text.slice(0, MAX_SEQUENCE);
    if (!shown.startsWith('\u001b')) {
      tokens.push({ kind: 'control', text: first });
      return 1;
    }
    const second = shown[1];
    if (second !== undefined && 'P]X^_'.includes(second)) {
      this.#isInString = true;
      return 2;
    }
    const found = ESCAPE.exec(shown);
    const longer = first === '\u009b' ? 1 : 0;
    if (found === null) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      const isCut = shown.length < MAX_SEQUENCE && /^\u001b(?:\[[0-?]*[ -/]*|[ -/]*)$/.test(shown);
      if (isCut) return 0;
      tokens.push({ kind: 'control', text: '\u001b' });
      return 1;
    }
    const [whole, params, between, final] = found;
    if (final === undefined) {
      if (/^.[ -/]+$/.test(whole))
        return shown.length < MAX_SEQUENCE && shown.length === whole.length ? 0 : whole.length;
      tokens.push({ kind: 'escape', text: whole });
    } else tokens.push({ kind: 'csi', text: whole, params: `${params ?? ''}${between ?? ''}`, final });
    return whole.length - longer;
  }
}
