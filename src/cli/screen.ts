// Text that fits a terminal: its width, its colours, tables that are cut to it, CSV for spreadsheets. Words of callers pass through
// `visible` before they are measured or coloured.
import process from 'node:process';
import { visible } from './output.ts';

export interface Screen {
  /** Columns of the terminal; undefined where the output goes elsewhere, and nothing is cut. */
  readonly width: number | undefined;
  readonly colours: boolean;
}

/** Narrower ones are written as if they were as wide as this. */
const LEAST_WIDTH = 40;

export const screenOf = (
  stream: { readonly isTTY?: boolean; readonly columns?: number } = process.stdout,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Screen => {
  const isTerminal = stream.isTTY === true;
  return {
    width: isTerminal ? Math.max(LEAST_WIDTH, stream.columns ?? 80) : undefined,
    // https://no-color.org: any value but the empty one.
    colours: isTerminal && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb',
  };
};

const PAINT = { red: 31, green: 32, yellow: 33, magenta: 35, dim: 2, bold: 1 } as const;
export type Colour = keyof typeof PAINT;

export const paint = (screen: Screen, colour: Colour | undefined, text: string): string =>
  screen.colours && colour !== undefined ? `\u001b[${PAINT[colour]}m${text}\u001b[0m` : text;

/** Characters that take two columns: those of East Asia, and pictures. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u;
const NARROW = /\p{Mark}/u;
const columnsOf = (character: string): number => (WIDE.test(character) ? 2 : NARROW.test(character) ? 0 : 1);
const isPlain = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

export const widthOf = (text: string): number =>
  isPlain(text) ? text.length : [...text].reduce((sum, character) => sum + columnsOf(character), 0);

/** Cuts to a width, with an ellipsis in the place of what is missing: at the end, or in the middle of names that end differently. */
export function fit(text: string, width: number, from: 'end' | 'middle' = 'end'): string {
  if (widthOf(text) <= width) return text;
  if (width <= 1) return '…'.slice(0, Math.max(0, width));
  const tail = from === 'end' ? 0 : Math.floor((width - 1) / 2);
  const characters = [...text];
  const take = (order: readonly string[], room: number): string[] => {
    const taken: string[] = [];
    let used = 0;
    for (const character of order) {
      used += columnsOf(character);
      if (used > room) break;
      taken.push(character);
    }
    return taken;
  };
  const start = take(characters, width - 1 - tail);
  const end = tail === 0 ? [] : take(characters.toReversed(), tail).toReversed();
  return `${start.join('')}…${end.join('')}`;
}

const pad = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - widthOf(text)));

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number | null | undefined;
  readonly colour?: (row: Row) => Colour | undefined;
  /** Columns that may be cut, and to what; others keep their width. Those with the lowest go first. */
  readonly least?: number;
  readonly cut?: 'end' | 'middle';
  /** Left out where the terminal is narrower than this. */
  readonly from?: number;
}

/** A table as wide as the screen at most; elsewhere as wide as its cells. */
export function screenTable<Row>(
  screen: Screen,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  titled = true,
): string {
  const shown = columns.filter(({ from = 0 }) => screen.width === undefined || screen.width >= from);
  const cells = rows.map((row) =>
    shown.map(({ value }) => {
      const cell = value(row);
      return cell === undefined || cell === null || cell === '' ? '-' : visible(String(cell));
    }),
  );
  const widths = shown.map(({ title }, i) => Math.max(widthOf(title), ...cells.map((row) => widthOf(row[i] ?? ''))));
  shrink(widths, shown, screen.width);
  const line = (texts: readonly string[], colours: readonly (Colour | undefined)[]): string =>
    texts
      .map((text, i) => {
        const width = widths[i] ?? 0;
        const cut = screen.width === undefined ? text : fit(text, width, shown[i]?.cut);
        return paint(screen, colours[i], i === texts.length - 1 ? cut : pad(cut, width));
      })
      .join('  ')
      .trimEnd();
  return [
    ...(titled
      ? [
          line(
            shown.map(({ title }) => title),
            shown.map(() => 'bold'),
          ),
        ]
      : []),
    ...cells.map((row, i) =>
      line(
        row,
        shown.map(({ colour }) => colour?.(rows[i] as Row)),
      ),
    ),
  ].join('\n');
}

/** Takes from the widest column that may be cut, until the line fits. */
function shrink<Row>(widths: number[], columns: readonly Column<Row>[], width: number | undefined): void {
  if (width === undefined) return;
  let over = widths.reduce((sum, one) => sum + one + 2, -2) - width;
  while (over > 0) {
    let widest = -1;
    for (const [i, { least }] of columns.entries()) {
      const room = (widths[i] ?? 0) - (least ?? Number.POSITIVE_INFINITY);
      if (room > 0 && (widest < 0 || (widths[i] ?? 0) > (widths[widest] ?? 0))) widest = i;
    }
    if (widest < 0) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
    over--;
  }
}

/**
 * One line of CSV (RFC 4180). A cell that a spreadsheet would take for a formula begins with an apostrophe, and control characters
 * are shown, not sent.
 */
export const csvLine = (cells: readonly (string | number | null | undefined)[]): string =>
  cells
    .map((cell) => {
      if (cell === undefined || cell === null) return '';
      if (typeof cell === 'number') return String(cell);
      const text = visible(cell).replace(/^\s*[=+\-@|%＝＋－＠]/, "'$&");
      return /[",;\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    })
    .join(',');

/** How long ago, in one unit: `12s`, `5m`, `3h`, `2d`. */
export const ago = (ms: number): string => {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 100) return `${s}s`;
  if (s < 100 * 60) return `${Math.round(s / 60)}m`;
  if (s < 48 * 3600) return `${Math.round(s / 3600)}h`;
  return `${Math.round(s / 86_400)}d`;
};
