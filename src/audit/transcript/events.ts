// Makes the events of a transcript from the bytes of a session: asciicast v2, one JSON array a line (docs.asciinema.org/manual/asciicast/v2).
// Standard error is an event `e` of our own here, which an export writes as output.
import { StringDecoder } from 'node:string_decoder';
import { Frames } from './frames.ts';
import { TypedLines } from './typed.ts';

/** Longest text that is masked as one, in characters: masking takes a longer text for a document. */
const MAX_MASKED = 4000;
/** Stands for typed text that was not shown: a password, mostly. */
export const UNSEEN = '***';
/** Longest line that waits until it is known whether it was shown, in characters. */
const MAX_WAITING = 4096;

export interface EventsOptions {
  /** Undefined: the first bytes tell. */
  readonly tty: boolean | undefined;
  readonly keepsInput: boolean;
  /** Takes secrets out of a line. */
  hide(text: string): string;
  /** Seconds since the session began. */
  seconds(): number;
}

export class SessionEvents {
  readonly #options: EventsOptions;
  #frames: Frames;
  readonly #text = { o: new StringDecoder('utf8'), e: new StringDecoder('utf8'), i: new StringDecoder('utf8') };
  readonly typed: TypedLines;
  /** Typed into a terminal and not yet sent as a line. */
  #waiting = '';

  constructor(options: EventsOptions) {
    this.#options = options;
    this.#frames = new Frames(options.tty === undefined ? undefined : !options.tty);
    this.typed = new TypedLines((line) => options.hide(line));
  }

  /** Before the first byte. */
  began(tty: boolean): void {
    this.#frames = new Frames(!tty);
  }

  get isTerminal(): boolean {
    return this.#frames.isFramed === false;
  }

  /** What the engine said. @returns lines of the transcript */
  output(bytes: Uint8Array): string {
    const wasFramed = this.#frames.isFramed;
    let lines = '';
    for (const { isError, payload } of this.#frames.push(bytes)) {
      const kind = isError ? 'e' : 'o';
      const text = this.#text[kind].write(payload);
      if (text === '') continue;
      if (this.isTerminal) {
        this.typed.output(text);
        lines += this.#settled();
      }
      lines += this.#line(kind, this.#hidden(text));
    }
    return wasFramed === undefined && this.#frames.isFramed !== undefined ? this.#shape() + lines : lines;
  }

  /** What the caller sent. */
  input(bytes: Uint8Array): string {
    const text = this.#text.i.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    if (text === '') return '';
    if (!this.isTerminal) return this.#options.keepsInput ? this.#line('i', this.#hidden(text)) : '';
    let lines = '';
    const [first = '', ...rest] = text.split(/(?<=[\r\n])/);
    for (const part of [first, ...rest]) {
      // Text sent before is a line of its own: it is known by now whether it was shown.
      if (/[\r\n]$/.test(this.#waiting)) lines += this.#give(part === first);
      this.typed.input(part);
      this.#waiting += part;
      if (this.#waiting.length > MAX_WAITING) lines += this.#give();
    }
    return lines;
  }

  resize(columns: number, rows: number): string {
    return this.#line('r', `${columns}x${rows}`);
  }

  end(): string {
    let lines = this.#give();
    for (const kind of ['o', 'e', 'i'] as const) {
      const rest = this.#text[kind].end();
      if (rest !== '' && (kind !== 'i' || this.#options.keepsInput)) lines += this.#line(kind, this.#hidden(rest));
    }
    const rest = this.#frames.end();
    return rest.length === 0 ? lines : `${lines}${this.#line('o', rest.toString('latin1'))}`;
  }

  /** A line that was sent is kept once the terminal went on to the next. */
  #settled(): string {
    return /[\r\n]$/.test(this.#waiting) && this.typed.hasMovedOn ? this.#give() : '';
  }

  #give(isOver = false): string {
    const text = this.#waiting;
    this.#waiting = '';
    if (text === '') return '';
    const isShown = this.typed.isShown;
    this.typed.nextLine(isOver);
    if (!this.#options.keepsInput) return '';
    const end = /[\r\n]*$/.exec(text)?.[0] ?? '';
    return this.#line('i', isShown ? this.#hidden(text) : `${UNSEEN}${end}`);
  }

  #shape(): string {
    return this.#line('m', this.isTerminal ? TERMINAL : NO_TERMINAL);
  }

  #hidden(text: string): string {
    let kept = '';
    for (const line of text.split(/(?<=\n)/))
      for (let at = 0; at < line.length; at += MAX_MASKED) kept += this.#options.hide(line.slice(at, at + MAX_MASKED));
    return kept;
  }

  #line(kind: string, text: string): string {
    return `${JSON.stringify([Number(this.#options.seconds().toFixed(6)), kind, text])}\n`;
  }
}

/** Marks that say which kind of session follows. */
export const TERMINAL = 'terminal';
export const NO_TERMINAL = 'no terminal';
