// What of a recorded stream may reach the terminal of a reviewer: text, colours and the cursor. What would ask the terminal something,
// name it, fill its clipboard, or change how its keys work is left out.
import { TerminalReader, type Token } from './terminal.ts';

/** Moves, erases, inserts, deletes, scrolls, colours. Not: reports (c, n), windows (t), resets (p), printers (i), repetition (b). */
const FINALS = new Set('@ABCDEFGHJKLMPSTXZ`adefgmr');
/** Private modes that are set and reset (h, l): wrapping, the cursor, the other screen. Not: mice, keys, paste. */
const MODES = new Set(['7', '25', '47', '1047', '1048', '1049']);
/** Saved cursor, index, next line, reverse index, character sets for drawing. */
const ESCAPES = /^.(?:[78DEM]|[()][0AB])$/s;
const CONTROLS = new Set(['\b', '\t', '\n', '\r', '\u000e', '\u000f']);
/** What changes the direction of text, and what is not seen. */
const UNSEEN =
  /[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** Makes the terminal as it was, after a transcript that ends in the middle of something. */
export const TERMINAL_RESET = '\u001b[0m\u001b[?1049l\u001b[?25h\u001b[?7h\u001b[r\u001b(B\u000f\r\n';

export class Playable {
  readonly #reader = new TerminalReader();

  filter(piece: string): string {
    return this.#reader.read(piece).map(harmless).join('');
  }
}

function harmless(token: Token): string {
  switch (token.kind) {
    case 'text':
      return token.text.replace(UNSEEN, '');
    case 'control':
      return CONTROLS.has(token.text) ? token.text : '';
    case 'csi':
      return isHarmless(token) ? token.text : '';
    case 'escape':
      return ESCAPES.test(token.text) ? token.text : '';
    case 'string':
      return '';
  }
}

function isHarmless({ params, final }: Token & { readonly kind: 'csi' }): boolean {
  if (final === 'h' || final === 'l')
    return (
      params.startsWith('?') &&
      params
        .slice(1)
        .split(';')
        .every((mode) => MODES.has(mode))
    );
  // Large numbers make some terminals work for a long time.
  return FINALS.has(final) && /^[0-9;:]*$/.test(params) && !/[0-9]{5}/.test(params) && params.length <= 64;
}
