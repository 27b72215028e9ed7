// What the command line prints: tables for people, JSON for machines, one line for an error.
// Everything shown may hold what a stranger sent, so nothing in it may steer a terminal.
import process from 'node:process';

/** Exit codes: part of the contract with scripts. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** Ends a command with one line on stderr and an exit code. */
export class CliError extends Error {
  readonly exitCode: number;
  /** Further lines, each printed as its own. */
  readonly lines: readonly string[];
  constructor(message: string, exitCode: number = EXIT.failed, lines: readonly string[] = []) {
    super(message);
    this.name = 'CliError';
    this.exitCode = exitCode;
    this.lines = lines;
  }
}

/** A command called wrongly, or a configuration at fault. */
export const usageError = (message: string): CliError => new CliError(message, EXIT.usage);

/** Control characters, C1 included, characters that change the direction of text, and invisible ones. */
const STEERING =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** Shows control characters as `\xNN` or `\u{NNNN}` instead of sending them to the terminal. */
export const visible = (text: string): string =>
  text.replace(STEERING, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });

/** The same over several lines that are ours to break. */
export const visibleLines = (text: string): string => text.split('\n').map(visible).join('\n');

/** JSON that cannot steer a terminal either: still the same value. */
export const jsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(value, undefined, indent).replace(
    /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** Columns padded to their widest cell, two spaces apart; the last one is left as it is. */
export const table = (
  headers: readonly string[],
  rows: readonly (readonly (string | number | null | undefined)[])[],
): string => {
  const cells = [headers, ...rows].map((row) =>
    row.map((cell) => (cell === undefined || cell === null || cell === '' ? '-' : visible(String(cell)))),
  );
  const widths = headers.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};

/** Name and value, one pair a line. */
export const sheet = (pairs: readonly (readonly [string, unknown])[]): string => {
  const width = Math.max(...pairs.map(([name]) => name.length)) + 1;
  return pairs
    .map(([name, value]) => {
      const text =
        value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)
          ? '-'
          : Array.isArray(value)
            ? value.join(', ')
            : typeof value === 'object'
              ? jsonText(value)
              : String(value);
      return `${`${name}:`.padEnd(width)} ${visible(text)}`;
    })
    .join('\n');
};

/** Milliseconds are enough for people: `2030-01-31T12:00:00.123456Z` without its last three digits. */
export const shortTime = (time: string): string => time.replace(/(\.\d{3})\d+Z$/, '$1Z');

/** Writes whole lines to stdout and waits while the reader is slow. */
export const print = (text: string): Promise<void> =>
  new Promise((resolve) => {
    if (process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)) resolve();
    else process.stdout.once('drain', () => resolve());
  });

export const printJson = (value: unknown): Promise<void> => print(jsonText(value, 2));

/** One line on stderr. */
export const printError = (message: string): void => {
  process.stderr.write(`dockgate: ${visible(message.replaceAll(/\s*\n\s*/g, ' '))}\n`);
};
