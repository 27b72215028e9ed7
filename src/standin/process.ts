// One pretended process, a container's or an exec's: input, output to its listeners, exit code, signals.
import { EventEmitter } from 'node:events';
import { Input, terminalInput } from './input.ts';
import { runCommand } from './shell.ts';

export interface Output {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Buffer;
  readonly at: Date;
}

/** Output kept for `logs`, in bytes; the oldest goes first. */
const MAX_LOG_BYTES = 4 * 1024 * 1024;
const SIGNALS: Record<string, number> = { HUP: 1, INT: 2, QUIT: 3, KILL: 9, USR1: 10, USR2: 12, TERM: 15 };
/** Signals that end no process. */
const HARMLESS = new Set(['WINCH', 'CONT', 'CHLD', 'URG']);

export interface ProcessOptions {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly hostname: string;
  readonly tty: boolean;
  /** Without it the input is at its end from the start. */
  readonly openStdin: boolean;
  /** A dry run: any program is there, and runs until it is released. Default: one that is not there is exit code 127. */
  readonly pretends?: boolean | undefined;
}

/** Emits `output` ({@link Output}) and `exit` (code) once. */
export class PretendProcess extends EventEmitter {
  readonly options: ProcessOptions;
  readonly log: Output[] = [];
  exitCode: number | undefined;
  #running = false;
  #logBytes = 0;
  #signal = 0;
  readonly #kill = new AbortController();
  readonly #released = Promise.withResolvers<void>();
  readonly #input = new Input();
  readonly #typed: ((chunk: Buffer) => void) | undefined;

  constructor(options: ProcessOptions) {
    super();
    this.setMaxListeners(0);
    this.options = options;
    if (!options.openStdin) this.#input.end();
    if (options.tty) {
      this.#typed = terminalInput(
        this.#input,
        (text) => this.#write('stdout', text),
        // A shell at its prompt takes Ctrl-C as an empty line; anything else ends.
        () => (/(^|\/)(sh|ash)$/.test(options.argv[0] ?? '') ? this.#input.push(Buffer.from('\n')) : this.kill('INT')),
      );
    }
  }

  /** A client waits for the end: in a dry run it comes. */
  release(): void {
    this.#released.resolve();
  }

  get running(): boolean {
    return this.#running;
  }

  /** Bytes from an attached caller. */
  feed(chunk: Buffer): void {
    if (!this.options.openStdin) return;
    if (this.#typed === undefined) this.#input.push(chunk);
    else this.#typed(chunk);
  }

  endInput(): void {
    this.#input.end();
  }

  start(): void {
    const { argv, env, hostname, tty, pretends } = this.options;
    this.#running = true;
    const base = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOSTNAME: hostname };
    const given = env.map((entry): [string, string] => {
      const at = entry.indexOf('=');
      return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
    });
    runCommand(argv, {
      env: { ...base, ...(tty ? { TERM: 'xterm' } : {}), HOME: '/root', ...Object.fromEntries(given) },
      hostname,
      input: this.#input,
      tty,
      ...(pretends === true ? { released: this.#released.promise } : {}),
      signal: this.#kill.signal,
      write: (stream, text) => this.#write(stream, text),
    }).then(
      (code) => this.#exit(code),
      () => this.#exit(this.#signal === 0 ? 1 : 128 + this.#signal),
    );
  }

  /** @returns false for a signal there is not */
  kill(name: string): boolean {
    const plain = name.toUpperCase().replace(/^SIG/, '');
    if (HARMLESS.has(plain)) return true;
    const number = SIGNALS[plain] ?? Object.values(SIGNALS).find((value) => String(value) === plain);
    if (number === undefined) return false;
    this.#signal = number;
    this.#kill.abort(new Error('killed'));
    return true;
  }

  #write(stream: 'stdout' | 'stderr', text: string | Buffer): void {
    // A terminal has one stream, and its lines end in CR LF.
    const tty = this.options.tty;
    const data = tty ? Buffer.from(text.toString().replace(/\r?\n/g, '\r\n')) : Buffer.from(text);
    const output: Output = { stream: tty ? 'stdout' : stream, data, at: new Date() };
    this.log.push(output);
    this.#logBytes += data.length;
    while (this.#logBytes > MAX_LOG_BYTES) this.#logBytes -= this.log.shift()?.data.length ?? this.#logBytes;
    this.emit('output', output);
  }

  #exit(code: number): void {
    this.#running = false;
    this.exitCode = code;
    this.emit('exit', code);
  }
}

/** Frame of a multiplexed stream: stream number, three zeros, length, bytes. */
export function frameOf(output: Output): Buffer {
  const head = Buffer.alloc(8);
  head[0] = output.stream === 'stdout' ? 1 : 2;
  head.writeUInt32BE(output.data.length, 4);
  return Buffer.concat([head, output.data]);
}
